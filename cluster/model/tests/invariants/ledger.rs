//! Fourth invariant: sequence numbers are dense, a row's movements are a chain, and the ledger alone gives the balances
//! of every row and what every hold has open, digest and all.

use std::collections::BTreeMap;

use holdfast_model::{Cause, HoldId, Inventory, Movement, MovementKind, Record, Replay, RowKey, Seq};

use super::{Seen, row_of};

/// What the ledger tells so far: to this file, and to the model's own replay.
#[derive(Default)]
pub struct Balances {
    last: Seq,
    rows: BTreeMap<RowKey, Row>,
    open: BTreeMap<(HoldId, RowKey), i128>,
    /// The model's own replay of everything.
    replay: Replay,
    /// The same of what is left after a trim.
    kept: Replay,
}

#[derive(Default)]
struct Row {
    available: i128,
    reserved: i128,
    version: u64,
    last: Seq,
    is_retired: bool,
}

impl Balances {
    pub fn check(&mut self, seen: &Seen<'_>, inventory: &Inventory) {
        for record in seen.records {
            assert_eq!(record.seq(), self.last.next(), "fourth invariant: the sequence is dense");
            self.last = record.seq();
            record.movement().into_iter().for_each(|movement| self.take(movement));
            follow(&mut self.replay, record);
        }
        self.follow_kept(seen, inventory.ledger_start());
        assert_eq!(self.last, inventory.last_seq(), "fourth invariant: the last movement");
        self.check_rows(seen);
        self.check_holds(seen);
        assert_eq!(
            self.replay.stock_digest(),
            inventory.digest().stock,
            "fourth invariant: the stock's digest"
        );
        let audit = inventory.freeze().audit_with(&self.kept);
        assert!(audit.violations.is_empty(), "the model's own audit: {:?}", audit.violations);
        assert_eq!(audit.rows, seen.rows.len() as u64, "the model's own audit: its rows");
        assert_eq!(audit.holds, seen.holds.len() as u64, "the model's own audit: its holds");
        assert_eq!(audit.orders, seen.orders.len() as u64, "the model's own audit: its orders");
    }

    fn follow_kept(&mut self, seen: &Seen<'_>, start: Seq) {
        let records = if start == self.kept.first_seq() {
            seen.records
        } else {
            self.kept = Replay::starting_at(start);
            seen.all_records
        };
        for record in records.iter().filter(|record| record.seq() >= start) {
            follow(&mut self.kept, record);
        }
    }

    fn take(&mut self, movement: &Movement) {
        let key = row_of(movement);
        if movement.kind == MovementKind::Created {
            assert!(!self.rows.contains_key(&key), "fourth invariant: made twice: {movement:?}");
            self.rows.insert(key.clone(), Row::default());
        }
        let row = self.rows.get_mut(&key).expect("fourth invariant: the row was made before");
        assert_eq!(movement.prev_seq, row.last, "fourth invariant: the chain of {movement:?}");
        assert_eq!(movement.version, row.version + 1, "fourth invariant: the version of {movement:?}");
        (row.last, row.version) = (movement.seq, movement.version);
        let (available, reserved) = effect(movement);
        row.available += available;
        row.reserved += reserved;
        let told = (i128::from(movement.available), i128::from(movement.reserved));
        assert_eq!((row.available, row.reserved), told, "fourth invariant: the balances of {movement:?}");
        if let Cause::Hold { hold, .. } = movement.cause {
            *self.open.entry((hold, key.clone())).or_default() += reserved;
        }
        if movement.kind == MovementKind::Retired && std::mem::replace(&mut row.is_retired, true) {
            self.rows.remove(&key);
        }
    }

    fn check_rows(&self, seen: &Seen<'_>) {
        assert_eq!(self.rows.len(), seen.rows.len(), "fourth invariant: how many rows there are");
        for view in &seen.rows {
            let row = self.rows.get(&view.row).expect("fourth invariant: the ledger tells of the row");
            let told = (row.available, row.reserved, row.version, row.last);
            let is = (i128::from(view.available), i128::from(view.reserved), view.version, view.last_seq);
            assert_eq!(told, is, "fourth invariant: {view:?}");
        }
    }

    fn check_holds(&self, seen: &Seen<'_>) {
        let mut open = self.open.clone();
        open.retain(|_, qty| *qty != 0);
        for hold in &seen.holds {
            for line in hold.lines.iter().filter(|line| line.reserved > 0) {
                let told = open.remove(&(hold.hold, line.row.clone()));
                let reserved = i128::from(line.reserved);
                assert_eq!(told, Some(reserved), "fourth invariant: {line:?} of {}", hold.hold);
            }
        }
        assert!(open.is_empty(), "fourth invariant: open in the ledger alone: {open:?}");
    }
}

fn follow(replay: &mut Replay, record: &Record) {
    replay.apply(record).expect("fourth invariant: the model's replay takes every record");
}

/// What a movement adds to available and to reserved.
fn effect(movement: &Movement) -> (i128, i128) {
    let qty = i128::from(movement.qty);
    match movement.kind {
        MovementKind::Created
        | MovementKind::Received
        | MovementKind::Adjusted
        | MovementKind::Counted
        | MovementKind::TransferIn => (qty, 0),
        MovementKind::Sold | MovementKind::TransferOut => (-qty, 0),
        MovementKind::Reserved => (-qty, qty),
        MovementKind::Released | MovementKind::Expired => (qty, -qty),
        MovementKind::Confirmed => (0, -qty),
        MovementKind::Extended | MovementKind::Shortfall | MovementKind::Policy | MovementKind::Retired => {
            (0, 0)
        }
    }
}
