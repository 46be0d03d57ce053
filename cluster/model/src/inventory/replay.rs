//! The stock part of the state and the open quantity of every hold, rebuilt from the ledger alone.
//!
//! It shares no code with what made the records but the row itself and its digest, so that an audit that compares the
//! two finds mistakes of either. An audit calls it with every record that the ledger keeps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_128;

use super::audit::Violation;
use super::rows::{Number, Row, RowNames};
use crate::{
    Cause, HoldId, ItemId, Movement, MovementKind, OrderEvent, OrderEventKind, OrderId, OrderStatus,
    PaymentId, Record, RowKey, Seq,
};

/// Rows and open quantities as the ledger tells them.
///
/// A ledger that was trimmed tells less of rows and holds that are older than its start: where they stand, from their
/// first movement on, but not how they came there.
pub struct Replay {
    first: Seq,
    last_seq: Seq,
    /// The number of the row that is made next; right only when the ledger begins with the first.
    next_number: Number,
    rows: BTreeMap<RowKey, ToldRow>,
    open: BTreeMap<(HoldId, RowKey), ToldOpen>,
    shortfalls: BTreeMap<ItemId, u64>,
    /// Orders that may be paid.
    placed: BTreeSet<OrderId>,
    /// Payments that are owed to their buyers.
    due: BTreeSet<(OrderId, PaymentId)>,
}

/// A row as far as the ledger tells of it.
pub(super) struct ToldRow {
    pub row: Row,
    /// The ledger has the row's first movement.
    pub whole: bool,
    /// The last movement was the only retirement that the ledger has of a row that is older: either the row was retired,
    /// or it is gone.
    pub maybe_gone: bool,
}

/// What is open of one line of a hold, as far as the ledger tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ToldOpen {
    /// So much.
    Exactly(u64),
    /// So much less than at the ledger's start.
    Less(u64),
}

impl Default for Replay {
    fn default() -> Self {
        Self::starting_at(Seq(1))
    }
}

impl Replay {
    /// Before the first record of a ledger that starts at `first`: 1 unless it was trimmed.
    #[must_use]
    pub fn starting_at(first: Seq) -> Self {
        let last_seq = Seq(first.0.saturating_sub(1));
        let next_number = Number::default();
        let (rows, open, shortfalls) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (placed, due) = (BTreeSet::new(), BTreeSet::new());
        Self { first, last_seq, next_number, rows, open, shortfalls, placed, due }
    }

    /// The first record of the ledger.
    #[must_use]
    pub fn first_seq(&self) -> Seq {
        self.first
    }

    /// The last record taken; the one before the first when there was none yet.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// Whether it began no later than at `start`, and so knows all of a ledger that starts there.
    pub(super) fn covers(&self, start: Seq) -> bool {
        self.first <= start
    }

    pub(super) fn rows(&self) -> &BTreeMap<RowKey, ToldRow> {
        &self.rows
    }

    pub(super) fn open(&self) -> &BTreeMap<(HoldId, RowKey), ToldOpen> {
        &self.open
    }

    /// Orders that may be paid.
    pub(super) fn placed(&self) -> &BTreeSet<OrderId> {
        &self.placed
    }

    /// Payments that are owed to their buyers.
    pub(super) fn due(&self) -> &BTreeSet<(OrderId, PaymentId)> {
        &self.due
    }

    /// What fell short of an item's transfers since the ledger's start.
    pub(super) fn shortfall(&self, item: &ItemId) -> u64 {
        self.shortfalls.get(item).copied().unwrap_or_default()
    }

    /// The digest of the rebuilt rows: equal to [`crate::Digest::stock`] of the state at the same sequence, unless the
    /// ledger was trimmed.
    #[must_use]
    pub fn stock_digest(&self) -> u128 {
        self.rows.iter().fold(0, |sum, (key, told)| {
            let [store, item] = [key.store.as_str(), key.item.as_str()].map(|text| xxh3_128(text.as_bytes()));
            sum.wrapping_add(told.row.digest(RowNames { store, item }))
        })
    }

    /// Takes the next record.
    ///
    /// # Errors
    /// A record that does not follow from those before it, in words.
    pub fn apply(&mut self, record: &Record) -> Result<(), Violation> {
        let seq = record.seq();
        let fault = |detail: String| Violation { invariant: 4, detail: format!("record {seq}: {detail}") };
        if seq != self.last_seq.next() {
            return Err(fault(format!("it follows {}", self.last_seq)));
        }
        match record {
            Record::Movement(movement) => self.follow_movement(movement),
            Record::Order(event) => self.follow_order(event),
        }
        .map_err(fault)?;
        self.last_seq = seq;
        Ok(())
    }

    fn follow_movement(&mut self, movement: &Movement) -> Result<(), String> {
        let key = RowKey { store: movement.store.clone(), item: movement.item.clone() };
        self.follow_row(movement, &key)?;
        self.follow_hold(movement, key)?;
        if movement.kind == MovementKind::Shortfall {
            let sum = self.shortfalls.entry(movement.item.clone()).or_default();
            *sum = sum.saturating_add(movement.qty.unsigned_abs());
        }
        Ok(())
    }

    /// Keeps whether the order may be paid, and what is owed for it.
    fn follow_order(&mut self, event: &OrderEvent) -> Result<(), String> {
        let is_placed = event.status == OrderStatus::Placed;
        let may_be_placed = self.placed.contains(&event.order) || self.first > Seq(1);
        let is_possible = match event.kind {
            OrderEventKind::Placed => is_placed && !self.placed.contains(&event.order),
            OrderEventKind::LinesReplaced => is_placed && may_be_placed,
            // It may be paid for after it was over.
            OrderEventKind::Paid => event.status == OrderStatus::Paid,
            OrderEventKind::Cancelled => event.status == OrderStatus::Cancelled && may_be_placed,
            OrderEventKind::Expired => event.status == OrderStatus::Expired && may_be_placed,
            OrderEventKind::PaymentFailed | OrderEventKind::RefundDue | OrderEventKind::Refunded => {
                self.first > Seq(1) || self.placed.contains(&event.order) == is_placed
            }
        };
        if !is_possible {
            return Err(format!("{:?} and {:?} do not follow", event.kind, event.status));
        }
        if is_placed {
            self.placed.insert(event.order);
        } else {
            self.placed.remove(&event.order);
        }
        self.follow_refund(event)
    }

    fn follow_refund(&mut self, event: &OrderEvent) -> Result<(), String> {
        let due = event.payment.clone().map(|payment| (event.order, payment));
        let is_possible = match (event.kind, due) {
            (OrderEventKind::RefundDue, Some(due)) => self.due.insert(due),
            (OrderEventKind::Refunded, Some(due)) => self.due.remove(&due) || self.first > Seq(1),
            (OrderEventKind::Paid | OrderEventKind::PaymentFailed, Some(_)) => true,
            (
                OrderEventKind::Placed
                | OrderEventKind::LinesReplaced
                | OrderEventKind::Cancelled
                | OrderEventKind::Expired,
                None,
            ) => true,
            _ => false,
        };
        if is_possible { Ok(()) } else { Err("nothing is owed, or it was owed already".to_owned()) }
    }

    fn follow_row(&mut self, movement: &Movement, key: &RowKey) -> Result<(), String> {
        let creates = movement.kind == MovementKind::Created;
        let told = match self.rows.entry(key.clone()) {
            Entry::Occupied(told) if creates && !told.get().maybe_gone => {
                return Err("the row exists already".to_owned());
            }
            Entry::Occupied(mut told) if creates => {
                told.insert(ToldRow::new(self.next_number));
                told.into_mut()
            }
            Entry::Occupied(told) => told.into_mut(),
            Entry::Vacant(place) if creates => place.insert(ToldRow::new(self.next_number)),
            Entry::Vacant(place) if movement.prev_seq > Seq(0) && movement.prev_seq < self.first => {
                place.insert(ToldRow::before(movement).ok_or("its quantity is impossible")?)
            }
            Entry::Vacant(_) => return Err("there is no such row".to_owned()),
        };
        let was_retired = told.row.retired;
        told.follow(movement)?;
        if creates {
            self.next_number = self.next_number.next();
        }
        if movement.kind == MovementKind::Retired && was_retired {
            self.rows.remove(key);
        }
        Ok(())
    }

    /// Keeps what is open of the movement's hold.
    fn follow_hold(&mut self, movement: &Movement, key: RowKey) -> Result<(), String> {
        let Cause::Hold { hold, .. } = movement.cause else { return Ok(()) };
        let qty = movement.qty.unsigned_abs();
        let id = (hold, key);
        let told = self.open.get(&id).copied();
        let now = match (movement.kind, told) {
            // A line is reserved when it is made, or taken again: when nothing of it is open.
            (MovementKind::Reserved, None | Some(ToldOpen::Less(_))) => ToldOpen::Exactly(qty),
            (MovementKind::Extended, Some(ToldOpen::Exactly(open))) if open != qty => {
                return Err(format!("{open} of the hold is open"));
            }
            (MovementKind::Extended, None) if self.first == Seq(1) => {
                return Err("nothing of the hold is open".to_owned());
            }
            (MovementKind::Extended, _) => ToldOpen::Exactly(qty),
            (MovementKind::Confirmed | MovementKind::Released | MovementKind::Expired, told) => {
                self.less(told, qty)?
            }
            _ => return Err("the hold reserves more than it was made for".to_owned()),
        };
        match now {
            ToldOpen::Exactly(0) => self.open.remove(&id),
            _ => self.open.insert(id, now),
        };
        Ok(())
    }

    fn less(&self, told: Option<ToldOpen>, qty: u64) -> Result<ToldOpen, String> {
        let left = match told {
            Some(ToldOpen::Exactly(open)) => open.checked_sub(qty).map(ToldOpen::Exactly),
            Some(ToldOpen::Less(less)) => less.checked_add(qty).map(ToldOpen::Less),
            None if self.first > Seq(1) => Some(ToldOpen::Less(qty)),
            None => None,
        };
        left.ok_or_else(|| "less of the hold is open".to_owned())
    }
}

impl ToldRow {
    /// A row that is about to be made.
    fn new(number: Number) -> Self {
        Self { row: Row::new((0, 0), number, 0), whole: true, maybe_gone: false }
    }

    /// A row that is older than the ledger, as it stood before its first movement there.
    fn before(movement: &Movement) -> Option<Self> {
        let (available, reserved) = effect(movement)?;
        let mut row = Row::new((0, 0), Number::default(), 0);
        row.available = movement.available.checked_sub(available)?;
        row.reserved = movement.reserved.checked_add_signed(reserved.checked_neg()?)?;
        row.version = movement.version.checked_sub(1)?;
        row.last_seq = movement.prev_seq.0;
        Some(Self { row, whole: false, maybe_gone: false })
    }

    fn follow(&mut self, movement: &Movement) -> Result<(), String> {
        let row = &mut self.row;
        if movement.prev_seq.0 != row.last_seq || movement.version != row.version + 1 {
            return Err(format!("the row is at movement {}, version {}", row.last_seq, row.version));
        }
        change(row, movement).ok_or("its quantity is impossible")?;
        if (row.available, row.reserved) != (movement.available, movement.reserved) {
            return Err(format!("the balances come to {} and {}", row.available, row.reserved));
        }
        row.version += 1;
        row.last_seq = movement.seq.0;
        self.maybe_gone = !self.whole && movement.kind == MovementKind::Retired;
        Ok(())
    }
}

/// By how much a movement changes available and reserved; none when its quantity is impossible.
fn effect(movement: &Movement) -> Option<(i64, i64)> {
    let qty = movement.qty;
    let possible = match movement.kind {
        MovementKind::Adjusted | MovementKind::Counted => true,
        MovementKind::Policy | MovementKind::Retired => qty == 0,
        _ => qty >= 0,
    };
    if !possible {
        return None;
    }
    Some(match movement.kind {
        MovementKind::Created
        | MovementKind::Received
        | MovementKind::Adjusted
        | MovementKind::Counted
        | MovementKind::TransferIn => (qty, 0),
        MovementKind::Sold | MovementKind::TransferOut => (-qty, 0),
        MovementKind::Reserved => (-qty, qty),
        MovementKind::Confirmed => (0, -qty),
        MovementKind::Released | MovementKind::Expired => (qty, -qty),
        MovementKind::Extended | MovementKind::Shortfall | MovementKind::Policy | MovementKind::Retired => {
            (0, 0)
        }
    })
}

/// What a movement does to its row; none when it is impossible.
fn change(row: &mut Row, movement: &Movement) -> Option<()> {
    let (available, reserved) = effect(movement)?;
    row.available = row.available.checked_add(available)?;
    row.reserved = row.reserved.checked_add_signed(reserved)?;
    let (signed, qty) = (movement.qty, movement.qty.unsigned_abs());
    let add = |sum: &mut u64| sum.checked_add(qty).map(|total| *sum = total);
    match movement.kind {
        MovementKind::Created => add(&mut row.opening),
        MovementKind::Confirmed | MovementKind::Sold => add(&mut row.sold),
        MovementKind::Received => add(&mut row.received),
        MovementKind::TransferOut => add(&mut row.transferred_out),
        MovementKind::TransferIn => add(&mut row.transferred_in),
        MovementKind::Adjusted => row.adjusted.checked_add(signed).map(|sum| row.adjusted = sum),
        MovementKind::Counted => row.counted.checked_add(signed).map(|sum| row.counted = sum),
        MovementKind::Policy => {
            let Cause::Policy(policy) = movement.cause else { return None };
            row.policy = policy;
            Some(())
        }
        MovementKind::Retired => {
            row.retired = true;
            Some(())
        }
        MovementKind::Reserved
        | MovementKind::Released
        | MovementKind::Expired
        | MovementKind::Extended
        | MovementKind::Shortfall => Some(()),
    }
}
