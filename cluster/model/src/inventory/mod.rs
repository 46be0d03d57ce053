//! The state and its one way in.
//!
//! `apply` is called with every committed entry, in order, by whoever holds the log; everything else in here either
//! serves it or only reads. Each family of commands has a file of its own: `stock`, `reserve`, `hold_actions`,
//! `transfer_actions`, `order_actions`, `registry_actions`, `admin`; `expiry` is what time does. Records live in pages that snapshots share (`paged`, `slab`,
//! `rows`, `holds`, `transfers`, `orders`, `registry`, `table`); what is only a way to find them is made anew when a state is restored.

mod admin;
mod audit;
mod compact;
mod digest;
mod expiry;
mod frozen;
mod hold_actions;
mod holds;
mod lines;
mod names;
mod order_actions;
mod order_audit;
mod orders;
mod paged;
mod read;
mod registry;
mod registry_actions;
mod replay;
mod reserve;
mod restore;
mod rows;
mod slab;
mod stock;
mod table;
mod transfer_actions;
mod transfers;

pub use audit::{Audit, Violation};
pub use frozen::Frozen;
pub use read::{Page, Stats};
pub use replay::Replay;
pub use restore::RestoreError;

use self::compact::Compact;
use self::digest::Kind;
use self::holds::{Hold, Holds};
use self::names::Names;
use self::orders::Orders;
use self::registry::{DeadLetter, Listed, Subscription};
use self::rows::{Row, RowNames, Rows};
use self::table::{Known, Remembered, Table};
use self::transfers::{ItemSums, Transfer, Transfers};
use crate::{
    Actor, Applied, Cause, ClusterTime, Command, Config, Entry, Event, ItemId, Key, Movement, MovementKind,
    Outcome, Reason, Record, Reference, Refusal, Reply, Request, RowKey, Seq, StoreId, fingerprint,
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
    orders: Orders,
    subscriptions: Listed<Subscription>,
    letters: Listed<DeadLetter>,
    /// What all dead letters count for.
    letter_bytes: u64,
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
    /// The number that a subscription or dead letter got last.
    last_number: u64,
}

/// The parts of the digest that are kept up to date by every change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Sums {
    stock: u128,
    holds: u128,
    transfers: u128,
    orders: u128,
    registry: u128,
    keys: u128,
}

/// What an entry has done so far.
#[derive(Default)]
struct Step {
    records: Vec<Record>,
    trim_before: Option<Seq>,
}

/// Who asked for a movement, why, and what it belongs to.
#[derive(Default, Clone, Copy)]
struct By<'a> {
    actor: Option<&'a Actor>,
    reason: Option<&'a Reason>,
    reference: Option<&'a Reference>,
}

/// The row that a command is about.
#[derive(Clone, Copy)]
struct RowName<'a> {
    store: &'a StoreId,
    item: &'a ItemId,
}

impl RowName<'_> {
    fn key(self) -> RowKey {
        RowKey { store: self.store.clone(), item: self.item.clone() }
    }
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
                last_number: 0,
            },
            config: Config::default(),
            stores: Names::default(),
            items: Names::default(),
            rows: Rows::default(),
            holds: Holds::default(),
            transfers: Transfers::default(),
            orders: Orders::default(),
            subscriptions: Listed::default(),
            letters: Listed::default(),
            letter_bytes: 0,
            keys: Table::default(),
            events: Table::default(),
            sums: Sums::default(),
        }
    }

    /// Decides one entry.
    ///
    /// First time passes: it becomes the entry's stamp, unless that is earlier. Then holds end whose deadline has come,
    /// oldest first, up to [`Config::expiries_per_entry`]; then what is older than its window is forgotten. Then each
    /// command is decided, in order, and gets one reply.
    ///
    /// - **Keys.** A key that came before with the same fingerprint is answered from the table, with another it is
    ///   [`Refusal::KeyReused`]. A new one is remembered with its reply, refusals included. What a key tells of is never
    ///   forgotten before the key.
    /// - **Own ids.** A hold, a transfer, an order or a store's event that came before is answered with what it did, when the
    ///   command says the same; else it is refused. An event that was refused may be corrected and sent again.
    /// - **No refusal rests on a hold that is over.** What would be refused for lack of stock first ends the due holds on
    ///   its rows, oldest first, and is decided again; a command on a hold that is due ends it first.
    /// - **A refusal changes nothing** but the clock, the holds that time has ended and the table of keys.
    /// - **No total passes [`crate::MAX_TOTAL`]**: what would is [`Refusal::QuantityOutOfRange`].
    ///
    /// Deterministic, and total: no entry makes it panic.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        if let Some(offset) = entry.utc_offset_ms {
            self.clock.utc_offset_ms = Some(offset);
        }
        self.clock.now = self.clock.now.max(entry.stamp);
        let requests = entry.requests.len();
        let mut step = Step { records: Vec::with_capacity(requests), trim_before: None };
        self.sweep(&mut step);
        self.forget(requests);
        let replies = entry.requests.iter().map(|request| self.decide(&mut step, request)).collect();
        Applied { replies, records: step.records, trim_before: step.trim_before }
    }

    /// The reply to one request: the one that its key is remembered with, or a new one.
    fn decide(&mut self, step: &mut Step, request: &Request) -> Reply {
        let command = &request.command;
        let Some(key) = request.key else { return self.decide_once(step, request) };
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is(crate::planted::Bug::DuplicateKeyApplied) {
            return self.decide_once(step, request);
        }
        match self.keys.look_up(key) {
            Known::Same(record) => return self.replay(record, command, Refusal::KeyReused),
            Known::Other => return refused(Refusal::KeyReused),
            Known::New => {}
        }
        let cap_bytes = self.config.key_table_cap_bytes;
        if self.keys.is_full(cap_bytes) {
            return refused(Refusal::KeyTableFull { cap_bytes });
        }
        let reply = self.decide_once(step, request);
        if let Some(record) = self.record(key, &reply, command) {
            self.sums.keys = self.sums.keys.wrapping_add(record.digest(Kind::Key));
            self.keys.push(record);
            self.keep_ended(command);
        }
        reply
    }

    /// The reply to one request whose key is new or absent: the one that its event is remembered with, or a new one.
    fn decide_once(&mut self, step: &mut Step, request: &Request) -> Reply {
        let command = &request.command;
        let Some((store, event)) = event_of(command) else { return self.perform_and_reply(step, request) };
        let key = Key::new("event", Some(store.as_str()), event.id.as_str(), event_fingerprint(command));
        match self.events.look_up(key) {
            Known::Same(record) => return self.replay(record, command, Refusal::EventExists),
            Known::Other => return refused(Refusal::EventExists),
            Known::New => {}
        }
        if let Some(refusal) = self.refuses_event(event) {
            return refused(refusal);
        }
        let reply = self.perform_and_reply(step, request);
        // What was refused may be corrected and sent again under the same id.
        if reply.result.is_ok()
            && let Some(record) = self.record(key, &reply, command)
        {
            self.sums.keys = self.sums.keys.wrapping_add(record.digest(Kind::Event));
            self.events.push(record);
        }
        reply
    }

    /// The reply that `record` remembers. Fingerprints are hashes: one that fits another command is `otherwise`.
    fn replay(&self, record: &Remembered, command: &Command, otherwise: Refusal) -> Reply {
        record.outcome.reply(command, self).unwrap_or_else(|| refused(otherwise))
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

    fn record(&self, key: Key, reply: &Reply, command: &Command) -> Option<Remembered> {
        let outcome = Compact::of(reply, command, self)?;
        Some(Remembered { id: key.id, fingerprint: key.fingerprint, at: self.clock.now, outcome })
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
            Command::CreateSku { store, item, opening } => {
                self.create_sku(step, by, RowName { store, item }, *opening)
            }
            Command::Reserve { hold, lines, ttl_ms, allow_partial, owner } => {
                let (hold, ttl_ms, allow_partial) = (*hold, *ttl_ms, *allow_partial);
                let owner = owner.as_ref();
                let ask = reserve::Ask { hold, lines, ttl_ms, allow_partial, owner, order: None };
                self.reserve(step, by, &ask)
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
                self.adjust(step, by, RowName { store, item }, *delta, *expected_version)
            }
            Command::Count { store, item, counted, as_of, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                let (as_of, event) = (as_of.as_ref(), event.as_ref());
                self.count(step, by, RowName { store, item }, *counted, as_of, event)
            }
            Command::RecordSale { store, item, qty, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                self.record_sale(step, by, RowName { store, item }, *qty, event.as_ref())
            }
            Command::Receive { store, item, qty, kind: _, reason, reference, event } => {
                let by = By { reason: reason.as_ref(), reference: reference.as_ref(), ..by };
                self.receive(step, by, RowName { store, item }, *qty, event.as_ref())
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
            Command::Order { order, action } => self.act_on_order(step, by, *order, action),
            Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version } => {
                let policy = (*safety_stock, *backorder_limit);
                self.set_policy(step, by, RowName { store, item }, policy, *expected_version)
            }
            Command::RetireSku { store, item, remove } => {
                self.retire_sku(step, by, RowName { store, item }, *remove)
            }
            Command::Subscription { subscription, action } => self.act_on_subscription(*subscription, action),
            Command::DeadLetter { letter, action } => self.act_on_letter(*letter, action),
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
        #[cfg(feature = "planted-bugs")]
        let seq = match crate::planted::is(crate::planted::Bug::SkippedSequence) && seq.0.is_multiple_of(40) {
            true => seq.next(),
            false => seq,
        };
        self.clock.last_seq = seq;
        let names = self.row_names(ix);
        let row = self.rows.get_mut(ix);
        let prev_seq = Seq(row.last_seq);
        // A row that is being made was not in the sum before.
        let before = if prev_seq == Seq(0) { 0 } else { row.digest(names) };
        change(row);
        row.version += 1;
        row.last_seq = seq.0;
        self.sums.stock = self.sums.stock.wrapping_sub(before).wrapping_add(row.digest(names));
        let at = self.clock.now;
        step.records.push(Record::Movement(Movement {
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
        }));
    }

    fn row_names(&self, ix: u32) -> RowNames {
        rows::names(self.rows.get(ix), &self.stores, &self.items)
    }

    fn row_digest(&self, ix: u32) -> u128 {
        self.rows.get(ix).digest(self.row_names(ix))
    }

    fn hold_digest(&self, hold: &Hold) -> u128 {
        hold.digest(|row| self.row_names(row))
    }

    /// Changes a hold and its share of the digest.
    fn change_hold(&mut self, ix: u32, change: impl FnOnce(&mut Hold)) {
        let before = self.hold_digest(self.holds.get(ix));
        self.holds.change(ix, change);
        let after = self.hold_digest(self.holds.get(ix));
        self.sums.holds = self.sums.holds.wrapping_sub(before).wrapping_add(after);
    }

    fn transfer_digest(&self, transfer: &Transfer) -> u128 {
        transfer.digest(|row| self.row_names(row))
    }

    /// Changes a transfer and its share of the digest.
    fn change_transfer(&mut self, ix: u32, change: impl FnOnce(&mut Transfer)) {
        let before = self.transfer_digest(self.transfers.get(ix));
        self.transfers.change(ix, change);
        let after = self.transfer_digest(self.transfers.get(ix));
        self.sums.transfers = self.sums.transfers.wrapping_sub(before).wrapping_add(after);
    }

    /// Changes the sums of an item and their share of the digest.
    fn change_sums(&mut self, item: u32, change: impl FnOnce(&mut ItemSums)) {
        let name = self.items.hash(item);
        let mut sums = self.transfers.sums(item);
        let before = sums.digest(name);
        change(&mut sums);
        self.transfers.set_sums(item, sums);
        self.sums.transfers = self.sums.transfers.wrapping_sub(before).wrapping_add(sums.digest(name));
    }

    fn find_row(&self, store: &StoreId, item: &ItemId) -> Option<u32> {
        self.row_place(store, item).filter(|&ix| !self.rows.get(ix).removed)
    }

    /// The place of a row, also of one that was taken away.
    fn row_place(&self, store: &StoreId, item: &ItemId) -> Option<u32> {
        self.rows.place(self.stores.find(store.as_str())?, self.items.find(item.as_str())?)
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

/// The fingerprint of what a store reported. What the leader looked up for it may differ when it is sent again after the
/// ledger was trimmed, so it does not count.
fn event_fingerprint(command: &Command) -> u64 {
    let mut reported = command.clone();
    if let Command::Count { as_of: Some(basis), .. } = &mut reported {
        basis.on_hand = None;
    }
    fingerprint(&reported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HoldId, TransferId, UtcMillis};

    fn decide(inventory: &mut Inventory, command: &Command, key: Option<u128>) -> Reply {
        let key = key.map(|id| Key { id, fingerprint: 0 });
        let requests = vec![Request { command: command.clone(), key, actor: None }];
        let entry = Entry { stamp: ClusterTime(1), utc_offset_ms: None, requests };
        inventory.apply(&entry).replies.remove(0)
    }

    fn commands() -> Vec<Command> {
        let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
        let hold = HoldId::from_uuid(uuid::Uuid::nil());
        let transfer = TransferId::from_uuid(uuid::Uuid::nil());
        vec![
            Command::CreateSku { store: store.clone(), item: item.clone(), opening: 0 },
            Command::Confirm { hold, lines: None, reacquire: true },
            Command::Extend { hold, ttl_ms: 1 },
            Command::ReceiveTransfer { transfer, qty: None },
            Command::RetireSku { store, item, remove: true },
            Command::Configure { changes: Vec::new() },
            Command::Tick,
        ]
    }

    #[test]
    fn a_fingerprint_that_fits_another_command_is_no_way_to_stop_a_member() {
        for first in commands() {
            for second in commands() {
                let mut inventory = Inventory::new();
                let reply = decide(&mut inventory, &first, Some(1));
                let again = decide(&mut inventory, &second, Some(1));
                let is_refused = again.result == Err(Refusal::KeyReused);
                assert!(again.replayed || is_refused, "{first:?}, {second:?}: {again:?}");
                assert!(first != second || again.result == reply.result, "{first:?}: {again:?}");
            }
        }
    }

    #[test]
    fn the_same_count_is_the_same_event_whatever_the_leader_looked_up_for_it() {
        let event = Event { id: crate::EventId::new("E1").unwrap(), occurred_at: UtcMillis(0) };
        let count = |on_hand| Command::Count {
            store: StoreId::new("S1").unwrap(),
            item: ItemId::new("A").unwrap(),
            counted: 3,
            as_of: Some(crate::CountBasis { seq: Seq(1), on_hand }),
            reason: None,
            reference: None,
            event: Some(event.clone()),
        };
        let mut inventory = Inventory::new();
        decide(&mut inventory, &commands()[0], None);
        let first = decide(&mut inventory, &count(Some(0)), None);
        let again = decide(&mut inventory, &count(None), None);
        assert_eq!((first.result.is_ok(), again.replayed, again.result), (true, true, first.result.clone()));
    }
}
