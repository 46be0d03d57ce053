//! A second model of the inventory, as plain as can be, to hold the real one against.
//!
//! It keeps every movement of a row and adds them up again whenever it is asked; what a row has reserved is what the
//! open holds say. It has no index, shares nothing, packs nothing, and finds things by looking at all of them. A change
//! that would make a total too large is made, looked at, and taken back. It knows the model's vocabulary and nothing
//! else of it.

mod admin;
mod holds;
mod memory;
mod orders;
mod registry;
mod rows;
mod transfers;

use holdfast_model::{
    Actor, Applied, Cause, ClusterTime, Command, Config, DeadLetterView, Entry, ItemId, MAX_TOTAL, Movement,
    MovementKind, OrderAction, Outcome, Reason, Record, Reference, Refusal, Reply, Request, RowKey, Seq,
    StoreId, SubscriptionView,
};

use holds::Hold;
use memory::{EventMemory, KeyMemory};
pub use orders::Order;
use rows::Row;
use transfers::Transfer;

/// Everything, in the order in which it came.
#[derive(Clone)]
pub struct Naive {
    now: ClusterTime,
    utc_offset_ms: Option<i64>,
    ledger: Vec<Record>,
    ledger_start: Seq,
    /// What the entry at hand drops of the ledger.
    trimmed: Option<Seq>,
    model_version: u32,
    config: Config,
    rows: Vec<Row>,
    holds: Vec<Hold>,
    transfers: Vec<Transfer>,
    orders: Vec<Order>,
    subscriptions: Vec<SubscriptionView>,
    letters: Vec<DeadLetterView>,
    keys: Vec<KeyMemory>,
    events: Vec<EventMemory>,
}

/// What was done, and for a repeat the movement that it names.
type Decision = Result<(Outcome, Option<Seq>), Refusal>;

/// Who wants a movement and why.
#[derive(Clone, Default)]
struct Who {
    actor: Option<Actor>,
    reason: Option<Reason>,
    reference: Option<Reference>,
}

impl Naive {
    pub fn new() -> Self {
        Self {
            now: ClusterTime(0),
            utc_offset_ms: None,
            ledger: Vec::new(),
            ledger_start: Seq(1),
            trimmed: None,
            model_version: 1,
            config: Config::default(),
            rows: Vec::new(),
            holds: Vec::new(),
            transfers: Vec::new(),
            orders: Vec::new(),
            subscriptions: Vec::new(),
            letters: Vec::new(),
            keys: Vec::new(),
            events: Vec::new(),
        }
    }

    pub fn apply(&mut self, entry: &Entry) -> Applied {
        let before = self.ledger.len();
        self.trimmed = None;
        self.utc_offset_ms = entry.utc_offset_ms.or(self.utc_offset_ms);
        self.now = self.now.max(entry.stamp);
        self.sweep();
        self.forget(entry.requests.len());
        let replies = entry.requests.iter().map(|request| self.decide(request)).collect();
        let records = self.ledger[before..].to_vec();
        Applied { replies, records, trim_before: self.trimmed }
    }

    fn decide(&mut self, request: &Request) -> Reply {
        if let Some(reply) = self.answer_of_key(request) {
            return reply;
        }
        let reply = self.answer_of_event(request).unwrap_or_else(|| {
            let reply = self.perform_and_reply(request);
            self.remember_event(request, &reply);
            reply
        });
        self.remember_key(request, &reply);
        reply
    }

    fn perform_and_reply(&mut self, request: &Request) -> Reply {
        let before = self.last_seq();
        let result = self.perform(request);
        let made = if self.last_seq() > before { self.last_seq() } else { Seq(0) };
        match result {
            Ok((outcome, None)) => Reply { result: Ok(outcome), seq: made, replayed: false },
            Ok((outcome, Some(seq))) => Reply { result: Ok(outcome), seq, replayed: true },
            Err(refusal) => Reply { result: Err(refusal), seq: Seq(0), replayed: false },
        }
    }

    fn perform(&mut self, request: &Request) -> Decision {
        let who = who(request);
        let has_key = request.key.is_some();
        match &request.command {
            Command::Tick => Ok((Outcome::Ticked, None)),
            Command::CreateSku { store, item, opening } => {
                self.create(&key(store, item), u128::from(*opening), who)
            }
            Command::Reserve { .. } => self.reserve(&request.command, who),
            Command::Confirm { hold, lines, reacquire } => {
                self.confirm(*hold, lines.as_deref(), *reacquire, has_key, who)
            }
            Command::Release { hold, lines, .. } => self.release(*hold, lines.as_deref(), has_key, who),
            Command::Extend { hold, ttl_ms } => self.extend(*hold, *ttl_ms, who),
            Command::Adjust { store, item, delta, expected_version, .. } => {
                self.adjust(&key(store, item), i128::from(*delta), *expected_version, who)
            }
            Command::Count { store, item, counted, as_of, event, .. } => {
                let cause = cause(event.as_ref());
                self.count(&key(store, item), i128::from(*counted), *as_of, cause, who)
            }
            Command::RecordSale { store, item, qty, event, .. } => {
                self.fact(MovementKind::Sold, &key(store, item), *qty, cause(event.as_ref()), who)
            }
            Command::Receive { store, item, qty, event, .. } => {
                self.fact(MovementKind::Received, &key(store, item), *qty, cause(event.as_ref()), who)
            }
            Command::Transfer { .. } => self.ship(&request.command, who),
            Command::ReceiveTransfer { transfer, qty } => self.arrive(*transfer, *qty, has_key, who),
            Command::CloseTransfer { transfer, .. } => self.close(*transfer, who),
            Command::CancelTransfer { transfer, .. } => self.cancel(*transfer, who),
            Command::Order { order, action } => self.act_on_order(*order, action, &who),
            Command::SetPolicy { .. } => self.set_policy(&request.command, who),
            Command::RetireSku { store, item, remove: false } => self.retire(&key(store, item), who),
            Command::RetireSku { store, item, remove: true } => self.remove(&key(store, item), who),
            Command::Subscription { subscription, action } => self.act_on_subscription(*subscription, action),
            Command::DeadLetter { letter, action } => self.act_on_letter(*letter, action),
            Command::Configure { changes } => self.configure(changes),
            Command::TrimLedger { before } => self.trim(*before),
            Command::RaiseModelVersion { to } => self.raise(*to),
        }
    }

    pub fn last_seq(&self) -> Seq {
        self.ledger.last().map_or(Seq(0), Record::seq)
    }

    /// Writes a movement down. Whatever it says of holds and transfers must be so already.
    fn book(&mut self, row: &RowKey, kind: MovementKind, qty: i128, cause: Cause, who: &Who) {
        let seq = self.last_seq().next();
        let found = self.rows.iter_mut().find(|other| other.key == *row).expect("the row was looked up");
        let prev_seq = found.last_seq();
        found.movements.push((seq, kind, qty));
        let found = found.clone();
        let reserved = self.reserved(row);
        self.ledger.push(Record::Movement(Movement {
            seq,
            at: self.now,
            at_utc: self.now.to_utc(self.utc_offset_ms.unwrap_or(0)),
            kind,
            store: row.store.clone(),
            item: row.item.clone(),
            qty: i64::try_from(qty).expect("a quantity of a movement"),
            available: i64::try_from(found.on_hand() - reserved).expect("near the largest total at most"),
            reserved: u64::try_from(reserved).expect("near the largest total at most"),
            version: found.movements.len() as u64,
            prev_seq,
            cause,
            actor: who.actor.clone(),
            reason: who.reason.clone(),
            reference: who.reference.clone(),
        }));
    }

    /// Makes a change, unless a total would pass the largest: then nothing has happened.
    fn unless_too_large(&mut self, change: impl FnOnce(&mut Self)) -> Result<(), Refusal> {
        let before = self.clone();
        change(self);
        let made = &self.ledger[before.ledger.len()..];
        let made = || made.iter().filter_map(Record::movement);
        let too_large = made().map(row_of).find(|row| {
            let balances = made().filter(|movement| row_of(movement) == *row);
            !self.totals_fit(row) || !balances.into_iter().all(balances_fit)
        });
        match too_large {
            None => Ok(()),
            Some(row) => {
                *self = before;
                Err(Refusal::QuantityOutOfRange { row: Some(row) })
            }
        }
    }
}

fn fits(total: i128) -> bool {
    total.unsigned_abs() <= u128::from(MAX_TOTAL)
}

fn balances_fit(movement: &Movement) -> bool {
    let (available, reserved) = (i128::from(movement.available), i128::from(movement.reserved));
    fits(available) && fits(reserved) && fits(available + reserved)
}

fn row_of(movement: &Movement) -> RowKey {
    key(&movement.store, &movement.item)
}

fn key(store: &StoreId, item: &ItemId) -> RowKey {
    RowKey { store: store.clone(), item: item.clone() }
}

fn cause(event: Option<&holdfast_model::Event>) -> Cause {
    event.map_or(Cause::Row, |event| Cause::Event { event: event.id.clone() })
}

fn who(request: &Request) -> Who {
    let (reason, reference) = match &request.command {
        Command::Adjust { reason, reference, .. } => (Some(reason), reference.as_ref()),
        Command::Count { reason, reference, .. }
        | Command::RecordSale { reason, reference, .. }
        | Command::Receive { reason, reference, .. }
        | Command::Transfer { reason, reference, .. } => (reason.as_ref(), reference.as_ref()),
        Command::Release { reason, .. }
        | Command::CancelTransfer { reason, .. }
        | Command::Order { action: OrderAction::Cancel { reason }, .. } => (reason.as_ref(), None),
        Command::CloseTransfer { reason, .. } => (Some(reason), None),
        _ => (None, None),
    };
    Who { actor: request.actor.clone(), reason: reason.cloned(), reference: reference.cloned() }
}
