//! The six invariants of the model, each in a file of its own, looked at from outside: through readers and movements
//! alone, sharing no code with the model's own audit, which must agree.

mod ledger;
mod one_effect;
mod one_end;
mod orders;
mod reserved;
mod sums;

use std::collections::BTreeSet;

use holdfast_model::{
    Applied, Cause, Entry, HoldId, HoldView, Inventory, Movement, OrderId, OrderView, Record, RowKey,
    RowView, TransferId, TransferView,
};

/// Watches one state from its first entry on.
#[derive(Default)]
pub struct Witness {
    records: Vec<Record>,
    /// The movements among the records.
    ledger: Vec<Movement>,
    rows: BTreeSet<RowKey>,
    holds: BTreeSet<HoldId>,
    transfers: BTreeSet<TransferId>,
    orders: BTreeSet<OrderId>,
    told_orders: orders::Orders,
    balances: ledger::Balances,
    ends: one_end::Ends,
    effects: one_effect::Effects,
}

/// What there is after an entry.
struct Seen<'a> {
    ledger: &'a [Movement],
    /// The movements that the entry made.
    made: &'a [Movement],
    all_records: &'a [Record],
    /// The records that the entry made.
    records: &'a [Record],
    rows: Vec<RowView>,
    holds: Vec<HoldView>,
    transfers: Vec<TransferView>,
    orders: Vec<OrderView>,
}

impl Witness {
    /// Every movement so far.
    pub fn ledger(&self) -> &[Movement] {
        &self.ledger
    }

    /// Looks at the state after an entry.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn look(&mut self, inventory: &Inventory, entry: &Entry, applied: &Applied) {
        let (before, records_before) = (self.ledger.len(), self.records.len());
        for record in &applied.records {
            self.note(record);
        }
        let seen = Seen {
            made: &self.ledger[before..],
            ledger: &self.ledger,
            records: &self.records[records_before..],
            all_records: &self.records,
            rows: self.rows.iter().filter_map(|row| inventory.row(&row.store, &row.item)).collect(),
            holds: self.holds.iter().filter_map(|&hold| inventory.hold(hold)).collect(),
            transfers: self.transfers.iter().filter_map(|&it| inventory.transfer(it)).collect(),
            orders: self.orders.iter().filter_map(|&order| inventory.order(order)).collect(),
        };
        sums::check(&seen);
        reserved::check(&seen);
        self.ends.check(&seen);
        self.balances.check(&seen, inventory);
        self.told_orders.check(&seen, inventory);
        self.effects.check(inventory, entry, applied);
    }

    fn note(&mut self, record: &Record) {
        self.records.push(record.clone());
        match record {
            Record::Movement(movement) => self.note_movement(movement),
            Record::Order(event) => {
                self.orders.insert(event.order);
            }
        }
    }

    fn note_movement(&mut self, movement: &Movement) {
        self.rows.insert(row_of(movement));
        match movement.cause {
            Cause::Hold { hold, .. } => {
                self.holds.insert(hold);
            }
            Cause::Transfer { transfer } => {
                self.transfers.insert(transfer);
            }
            Cause::Row | Cause::Event { .. } | Cause::Policy(_) => {}
        }
        self.ledger.push(movement.clone());
    }
}

fn row_of(movement: &Movement) -> RowKey {
    RowKey { store: movement.store.clone(), item: movement.item.clone() }
}
