//! Commands on one row: made, corrected, counted, sold from, received into.

use super::expiry::signed;
use super::rows::Row;
use super::{By, Decision, Done, Inventory, Step};
use crate::{
    Cause, CountBasis, Event, ItemId, MAX_TOTAL, MovementKind, Outcome, Quantity, Refusal, RowKey, StoreId,
};

impl Inventory {
    pub(super) fn create_sku(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        opening: u64,
    ) -> Decision {
        let row = RowKey { store: store.clone(), item: item.clone() };
        if let Some(ix) = self.find_row(store, item) {
            return Err(Refusal::SkuExists { row, current_version: self.rows.get(ix).version });
        }
        if opening > MAX_TOTAL {
            return Err(Refusal::QuantityOutOfRange { row: Some(row) });
        }
        let row = Row::new(self.stores.intern(store), self.items.intern(item), opening);
        let ix = self.rows.push(row);
        self.book(step, by, ix, (MovementKind::Created, signed(opening), Cause::Row), |_| {});
        Ok(self.row_done(ix))
    }

    pub(super) fn adjust(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        delta: i64,
        expected_version: Option<u64>,
    ) -> Decision {
        if delta == 0 || delta.unsigned_abs() > MAX_TOTAL {
            let row = RowKey { store: store.clone(), item: item.clone() };
            return Err(Refusal::QuantityOutOfRange { row: Some(row) });
        }
        let ix = self.known_row(store, item)?;
        self.check_version(ix, expected_version)?;
        let is_short = |row: &Row| delta < 0 && row.available + delta < 0;
        if is_short(self.rows.get(ix)) {
            // Ending holds moves the row on, so an expected version is checked against what the caller saw.
            self.expire_due_on(step, &[ix]);
            if is_short(self.rows.get(ix)) {
                return Err(Refusal::BelowZero { available: self.rows.get(ix).available, delta });
            }
        }
        let adjusted = self.rows.get(ix).adjusted + delta;
        self.check_room(ix, delta, adjusted.unsigned_abs())?;
        self.book(step, by, ix, (MovementKind::Adjusted, delta, Cause::Row), |row| {
            row.available += delta;
            row.adjusted = adjusted;
        });
        Ok(self.row_done(ix))
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of the command")]
    pub(super) fn count(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        counted: u64,
        as_of: Option<&CountBasis>,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(store, item)?;
        let row = self.rows.get(ix);
        let then = match as_of {
            None => row.on_hand(),
            Some(basis) => self.on_hand_at(ix, basis)?,
        };
        let out_of_range = || Refusal::QuantityOutOfRange { row: Some(self.row_key(ix)) };
        if counted > MAX_TOTAL || then.unsigned_abs() > MAX_TOTAL {
            return Err(out_of_range());
        }
        let correction = signed(counted) - then;
        let sum = row.counted + correction;
        self.check_room(ix, correction, sum.unsigned_abs())?;
        self.book(step, by, ix, (MovementKind::Counted, correction, cause_of(event)), |row| {
            row.available += correction;
            row.counted = sum;
        });
        Ok(self.row_done(ix))
    }

    /// What was on hand when a stocktake was made, as the leader looked it up.
    fn on_hand_at(&self, ix: u32, basis: &CountBasis) -> Result<i64, Refusal> {
        let (last, oldest) = (self.clock.last_seq, self.clock.ledger_start);
        if basis.seq > last {
            return Err(Refusal::SeqAhead { last });
        }
        if basis.seq.next() < oldest {
            return Err(Refusal::CursorCompacted { oldest });
        }
        basis.on_hand.ok_or_else(|| Refusal::UnknownItem { rows: vec![self.row_key(ix)], omitted: 0 })
    }

    pub(super) fn record_sale(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        qty: Quantity,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(store, item)?;
        let qty = qty.get();
        self.check_room(ix, -signed(qty), self.rows.get(ix).sold + qty)?;
        self.book(step, by, ix, (MovementKind::Sold, signed(qty), cause_of(event)), |row| {
            row.available -= signed(qty);
            row.sold += qty;
        });
        Ok(self.row_done(ix))
    }

    pub(super) fn receive(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        store: &StoreId,
        item: &ItemId,
        qty: Quantity,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(store, item)?;
        let qty = qty.get();
        self.check_room(ix, signed(qty), self.rows.get(ix).received + qty)?;
        self.book(step, by, ix, (MovementKind::Received, signed(qty), cause_of(event)), |row| {
            row.available += signed(qty);
            row.received += qty;
        });
        Ok(self.row_done(ix))
    }

    pub(super) fn known_row(&self, store: &StoreId, item: &ItemId) -> Result<u32, Refusal> {
        self.find_row(store, item).ok_or_else(|| {
            let row = RowKey { store: store.clone(), item: item.clone() };
            Refusal::UnknownItem { rows: vec![row], omitted: 0 }
        })
    }

    pub(super) fn check_version(&self, ix: u32, expected: Option<u64>) -> Result<(), Refusal> {
        let current_version = self.rows.get(ix).version;
        match expected {
            Some(expected) if expected != current_version => {
                Err(Refusal::VersionConflict { current_version })
            }
            _ => Ok(()),
        }
    }

    /// Whether a row's balances may change by `delta`, and one of its sums become `sum`: no total passes the largest.
    pub(super) fn check_room(&self, ix: u32, delta: i64, sum: u64) -> Result<(), Refusal> {
        let row = self.rows.get(ix);
        let fits = |total: i64| total.unsigned_abs() <= MAX_TOTAL;
        if fits(row.available + delta) && fits(row.on_hand() + delta) && sum <= MAX_TOTAL {
            Ok(())
        } else {
            Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(ix)) })
        }
    }

    pub(super) fn row_done(&self, ix: u32) -> Done {
        Done::now(Outcome::Row(self.row_view(ix)))
    }
}

fn cause_of(event: Option<&Event>) -> Cause {
    event.map_or(Cause::Row, |event| Cause::Event { event: event.id.clone() })
}
