//! The state and its one way in.

mod admin;
mod audit;
mod compact;
mod expiry;
mod frozen;
mod hold_actions;
mod holds;
mod lines;
mod names;
mod paged;
mod read;
mod replay;
mod reserve;
mod rows;
mod stock;
mod table;
mod transfer_actions;
mod transfers;

pub use audit::{Audit, Violation};
pub use frozen::{Frozen, RestoreError};
pub use read::{Page, Stats};
pub use replay::Replay;

use self::compact::Compact;
use self::holds::{Hold, Holds};
use self::names::Names;
use self::rows::{Row, Rows};
use self::table::{Known, Record, Table};
use self::transfers::{Transfer, Transfers};
use crate::{
    Actor, Applied, Cause, ClusterTime, Command, Config, Entry, Event, ItemId, Key, Movement, MovementKind,
    Outcome, Reason, Reference, Refusal, Reply, Request, Seq, StoreId, TransferId, fingerprint,
};

/// The highest version of the rules that this release knows.
const SUPPORTED_MODEL_VERSION: u32 = 1;

/// Everything that the members agree on.
pub struct Inventory {
    clock: Clock,
    config: Config,
    stores: Names<StoreId>,
    items: Names<ItemId>,
    rows: Rows,
    holds: Holds,
    transfers: Transfers,
    keys: Table,
    events: Table,
    sums: Sums,
}

/// Time, and how far the ledger has come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Clock {
    now: ClusterTime,
    utc_offset_ms: Option<i64>,
    last_seq: Seq,
    ledger_start: Seq,
    model_version: u32,
}

/// The parts of the digest that are kept up to date by every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Sums {
    stock: u128,
    holds: u128,
    transfers: u128,
    keys: u128,
}

/// What an entry has done so far.
#[derive(Default)]
struct Step {
    movements: Vec<Movement>,
    trim_before: Option<Seq>,
}

/// Who asked for a movement, why, and what it belongs to.
#[derive(Default, Clone, Copy)]
struct By<'a> {
    actor: Option<&'a Actor>,
    reason: Option<&'a Reason>,
    reference: Option<&'a Reference>,
}

/// What a command that was not refused did.
struct Done {
    outcome: Outcome,
    /// The command was a repeat, of something whose last movement this is.
    repeats: Option<Seq>,
}

impl Done {
    fn now(outcome: Outcome) -> Self {
        Self { outcome, repeats: None }
    }

    fn before(outcome: Outcome, seq: Seq) -> Self {
        Self { outcome, repeats: Some(seq) }
    }
}

type Decision = Result<Done, Refusal>;

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

impl Inventory {
    /// The state before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: Clock {
                now: ClusterTime(0),
                utc_offset_ms: None,
                last_seq: Seq(0),
                ledger_start: Seq(1),
                model_version: 1,
            },
            config: Config::default(),
            stores: Names::default(),
            items: Names::default(),
            rows: Rows::default(),
            holds: Holds::default(),
            transfers: Transfers::default(),
            keys: Table::default(),
            events: Table::default(),
            sums: Sums::default(),
        }
    }

    /// Decides one entry: lets time pass, ends what is over, forgets what is old, then decides each command.
    ///
    /// Deterministic, and total: no entry makes it panic.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        if let Some(offset) = entry.utc_offset_ms {
            self.clock.utc_offset_ms = Some(offset);
        }
        self.clock.now = self.clock.now.max(entry.stamp);
        let mut step = Step::default();
        self.sweep(&mut step);
        self.forget(entry.requests.len());
        let replies = entry.requests.iter().map(|request| self.decide(&mut step, request)).collect();
        Applied { replies, movements: step.movements, trim_before: step.trim_before }
    }

    /// The reply to one request: the one that its key is remembered with, or a new one.
    fn decide(&mut self, step: &mut Step, request: &Request) -> Reply {
        let command = &request.command;
        let Some(key) = request.key else { return self.decide_once(step, request) };
        match self.keys.look_up(key) {
            Known::Same(record) => return record.outcome.clone().reply(command, self),
            Known::Other => return refused(Refusal::KeyReused),
            Known::New => {}
        }
        let cap_bytes = self.config.key_table_cap_bytes;
        if self.keys.is_full(cap_bytes) {
            return refused(Refusal::KeyTableFull { cap_bytes });
        }
        let reply = self.decide_once(step, request);
        // A full table of events is a state of the moment: the same key may try again.
        if !matches!(reply.result, Err(Refusal::EventTableFull { .. })) {
            let record = self.record(key, &reply, command);
            self.sums.keys = self.sums.keys.wrapping_add(record.digest());
            self.keys.push(record);
        }
        reply
    }

    /// The reply to one request whose key is new or absent: the one that its event is remembered with, or a new one.
    fn decide_once(&mut self, step: &mut Step, request: &Request) -> Reply {
        let command = &request.command;
        let Some((store, event)) = event_of(command) else { return self.perform_and_reply(step, request) };
        let key = Key::new("event", Some(store.as_str()), event.id.as_str(), fingerprint(command));
        match self.events.look_up(key) {
            Known::Same(record) => return record.outcome.clone().reply(command, self),
            Known::Other => return refused(Refusal::EventExists),
            Known::New => {}
        }
        if let Some(refusal) = self.refuses_event(event) {
            return refused(refusal);
        }
        let reply = self.perform_and_reply(step, request);
        // What was refused may be corrected and sent again under the same id.
        if reply.result.is_ok() {
            let record = self.record(key, &reply, command);
            self.sums.keys = self.sums.keys.wrapping_add(record.digest());
            self.events.push(record);
        }
        reply
    }

    fn refuses_event(&self, event: &Event) -> Option<Refusal> {
        let window_ms = self.config.event_window_ms;
        if let Some(offset) = self.clock.utc_offset_ms {
            let oldest = self.clock.now.to_utc(offset).0.saturating_sub_unsigned(window_ms);
            if event.occurred_at.0 < oldest {
                return Some(Refusal::EventTooOld { window_ms });
            }
        }
        let cap_bytes = self.config.event_table_cap_bytes;
        self.events.is_full(cap_bytes).then_some(Refusal::EventTableFull { cap_bytes })
    }

    fn record(&self, key: Key, reply: &Reply, command: &Command) -> Record {
        let outcome = Compact::of(reply, command, self);
        Record { id: key.id, fingerprint: key.fingerprint, at: self.clock.now, outcome }
    }

    fn perform_and_reply(&mut self, step: &mut Step, request: &Request) -> Reply {
        let before = self.clock.last_seq;
        match self.perform(step, request) {
            Ok(Done { outcome, repeats: Some(seq) }) => Reply { result: Ok(outcome), seq, replayed: true },
            Ok(Done { outcome, repeats: None }) => {
                let made = self.clock.last_seq > before;
                let seq = if made { self.clock.last_seq } else { Seq(0) };
                Reply { result: Ok(outcome), seq, replayed: false }
            }
            Err(refusal) => refused(refusal),
        }
    }

    fn perform(&mut self, step: &mut Step, request: &Request) -> Decision {
        let by = By { actor: request.actor.as_ref(), ..By::default() };
        let has_key = request.key.is_some();
        match &request.command {
            Command::Tick => Ok(Done::now(Outcome::Ticked)),
            Command::CreateSku { store, item, opening } => self.create_sku(step, by, store, item, *opening),
            Command::Reserve { hold, lines, ttl_ms, allow_partial, owner } => {
                self.reserve(step, by, *hold, lines, *ttl_ms, *allow_partial, owner.as_ref())
            }
            Command::Confirm { hold, lines, reacquire } => {
                self.confirm(step, by, *hold, lines.as_deref(), *reacquire, has_key)
            }
            Command::Release { hold, lines, reason } => {
                let by = By { reason: reason.as_ref(), ..by };
                self.release(step, by, *hold, lines.as_deref(), has_key)
            }
            Command::Extend { hold, ttl_ms } => self.extend(step, by, *hold, *ttl_ms),
            Command::Adjust { store, item, delta, reason, reference, expected_version } => {
                let by = By { reason: Some(reason), reference: reference.as_ref(), ..by };
                self.adjust(step, by, store, item, *delta, *expected_version)
            }
            Command::Count { store, item, counted, as_of, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                self.count(step, by, store, item, *counted, as_of.as_ref(), event.as_ref())
            }
            Command::RecordSale { store, item, qty, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                self.record_sale(step, by, store, item, *qty, event.as_ref())
            }
            Command::Receive { store, item, qty, kind: _, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                self.receive(step, by, store, item, *qty, event.as_ref())
            }
            Command::Transfer { transfer, item, from, to, qty, at_once, reason, reference } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                let route = transfer_actions::Route { item, from, to };
                self.transfer_goods(step, by, *transfer, route, *qty, *at_once)
            }
            Command::ReceiveTransfer { transfer, qty } => {
                self.receive_transfer(step, by, *transfer, *qty, has_key)
            }
            Command::CloseTransfer { transfer, reason } => {
                self.close_transfer(step, By { reason: Some(reason), ..by }, *transfer)
            }
            Command::CancelTransfer { transfer, reason } => {
                self.cancel_transfer(step, By { reason: reason.as_ref(), ..by }, *transfer)
            }
            Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version } => {
                self.set_policy(step, by, store, item, *safety_stock, *backorder_limit, *expected_version)
            }
            Command::RetireSku { store, item, remove } => self.retire_sku(step, by, store, item, *remove),
            Command::Configure { changes } => self.configure(changes),
            Command::TrimLedger { before } => self.trim_ledger(step, *before),
            Command::RaiseModelVersion { to } => self.raise_model_version(*to),
        }
    }

    /// Changes a row and writes down the movement that says so. The one way in which a row changes.
    fn book(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        (kind, qty, cause): (MovementKind, i64, Cause),
        change: impl FnOnce(&mut Row),
    ) {
        let seq = self.clock.last_seq.next();
        self.clock.last_seq = seq;
        let before = self.row_digest(ix);
        let row = self.rows.get_mut(ix);
        let prev_seq = Seq(row.last_seq);
        change(row);
        row.version += 1;
        row.last_seq = seq.0;
        let row = self.rows.get(ix);
        let at = self.clock.now;
        step.movements.push(Movement {
            seq,
            at,
            at_utc: at.to_utc(self.clock.utc_offset_ms.unwrap_or_default()),
            kind,
            store: self.stores.text(row.store).clone(),
            item: self.items.text(row.item).clone(),
            qty,
            available: row.available,
            reserved: row.reserved,
            version: row.version,
            prev_seq,
            cause,
            actor: by.actor.cloned(),
            reason: by.reason.cloned(),
            reference: by.reference.cloned(),
        });
        // A row that is being made was not in the sum before.
        let before = if prev_seq == Seq(0) { 0 } else { before };
        self.sums.stock = self.sums.stock.wrapping_sub(before).wrapping_add(self.row_digest(ix));
    }

    fn row_digest(&self, ix: u32) -> u128 {
        let row = self.rows.get(ix);
        row.digest(self.stores.hash(row.store), self.items.hash(row.item))
    }

    fn hold_digest(&self, hold: &Hold) -> u128 {
        hold.digest(|ix| {
            let row = self.rows.get(ix);
            (self.stores.hash(row.store), self.items.hash(row.item))
        })
    }

    /// Changes a hold and its share of the digest.
    fn change_hold(&mut self, ix: u32, change: impl FnOnce(&mut Hold)) {
        let before = self.hold_digest(self.holds.get(ix));
        self.holds.change(ix, change);
        let after = self.hold_digest(self.holds.get(ix));
        self.sums.holds = self.sums.holds.wrapping_sub(before).wrapping_add(after);
    }

    fn transfer_digest(&self, id: TransferId, transfer: &Transfer) -> u128 {
        let names =
            [self.items.hash(transfer.item), self.stores.hash(transfer.from), self.stores.hash(transfer.to)];
        transfer.digest(id, names)
    }

    /// Puts a transfer in place of the one with its id, if any, and keeps the digest right.
    fn put_transfer(&mut self, id: TransferId, transfer: Transfer) {
        if let Some(old) = self.transfers.get(id) {
            self.sums.transfers = self.sums.transfers.wrapping_sub(self.transfer_digest(id, old));
        }
        self.sums.transfers = self.sums.transfers.wrapping_add(self.transfer_digest(id, &transfer));
        self.transfers.put(id, transfer);
    }

    fn find_row(&self, store: &StoreId, item: &ItemId) -> Option<u32> {
        self.rows.find(self.stores.find(store.as_str())?, self.items.find(item.as_str())?)
    }
}

fn refused(refusal: Refusal) -> Reply {
    Reply { result: Err(refusal), seq: Seq(0), replayed: false }
}

/// The event that a command reports, and the store that names it.
fn event_of(command: &Command) -> Option<(&StoreId, &Event)> {
    match command {
        Command::Count { store, event, .. }
        | Command::RecordSale { store, event, .. }
        | Command::Receive { store, event, .. } => Some(store).zip(event.as_ref()),
        _ => None,
    }
}
