//! Commands on one row: made, corrected, counted, sold from, received into.

use super::rows::{Row, signed};
use super::{By, Decision, Done, Inventory, RowName, Step};
use crate::{Cause, CountBasis, Event, MAX_TOTAL, MovementKind, Outcome, Quantity, Refusal, RowKey};

impl Inventory {
    pub(super) fn create_sku(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        name: RowName<'_>,
        opening: u64,
    ) -> Decision {
        if let Some(ix) = self.find_row(name.store, name.item) {
            let current_version = self.rows.get(ix).version;
            return Err(Refusal::SkuExists { row: name.key(), current_version });
        }
        if opening > MAX_TOTAL {
            return Err(out_of_range(name.key()));
        }
        let (store, item) = (self.stores.intern(name.store), self.items.intern(name.item));
        let ix = self.rows.create(store, item, opening);
        self.book(step, by, ix, (MovementKind::Created, signed(opening), Cause::Row), |_| {});
        Ok(self.row_done(ix))
    }

    pub(super) fn adjust(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        name: RowName<'_>,
        delta: i64,
        expected_version: Option<u64>,
    ) -> Decision {
        if delta == 0 {
            return Err(out_of_range(name.key()));
        }
        let ix = self.known_row(name)?;
        self.check_version(ix, expected_version)?;
        let fits = |row: &Row| delta > 0 || row.available.saturating_add(delta) >= 0;
        if !fits(self.rows.get(ix)) {
            let available = self.rows.get(ix).available.saturating_add_unsigned(self.due_on(ix));
            if available.saturating_add(delta) < 0 {
                return Err(Refusal::BelowZero { available, delta });
            }
            // Ending holds moves the row on, so the version was checked before, against what the caller saw.
            self.expire_due_on(step, ix, fits);
        }
        let row = self.rows.get(ix);
        let adjusted = row.adjusted.saturating_add(delta);
        self.check_room(ix, delta, adjusted.unsigned_abs())?;
        self.book(step, by, ix, (MovementKind::Adjusted, delta, Cause::Row), |row| {
            row.available += delta;
            row.adjusted = adjusted;
        });
        Ok(self.row_done(ix))
    }

    pub(super) fn count(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        name: RowName<'_>,
        counted: u64,
        as_of: Option<&CountBasis>,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(name)?;
        let row = self.rows.get(ix);
        let then = match as_of {
            None => row.on_hand(),
            Some(basis) => self.on_hand_at(name, basis)?,
        };
        if counted > MAX_TOTAL || then.unsigned_abs() > MAX_TOTAL {
            return Err(out_of_range(name.key()));
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
    fn on_hand_at(&self, name: RowName<'_>, basis: &CountBasis) -> Result<i64, Refusal> {
        let (last, oldest) = (self.clock.last_seq, self.clock.ledger_start);
        if basis.seq > last {
            return Err(Refusal::SeqAhead { last });
        }
        if basis.seq.next() < oldest {
            return Err(Refusal::CursorCompacted { oldest });
        }
        basis.on_hand.ok_or_else(|| Refusal::UnknownItem { rows: vec![name.key()], omitted: 0 })
    }

    pub(super) fn record_sale(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        name: RowName<'_>,
        qty: Quantity,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(name)?;
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
        name: RowName<'_>,
        qty: Quantity,
        event: Option<&Event>,
    ) -> Decision {
        let ix = self.known_row(name)?;
        let qty = qty.get();
        self.check_room(ix, signed(qty), self.rows.get(ix).received + qty)?;
        self.book(step, by, ix, (MovementKind::Received, signed(qty), cause_of(event)), |row| {
            row.available += signed(qty);
            row.received += qty;
        });
        Ok(self.row_done(ix))
    }

    pub(super) fn known_row(&self, name: RowName<'_>) -> Result<u32, Refusal> {
        self.find_row(name.store, name.item)
            .ok_or_else(|| Refusal::UnknownItem { rows: vec![name.key()], omitted: 0 })
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

    /// Refuses what would change a row's balances by `delta`, or bring one of its sums to `sum`, beyond the largest total.
    pub(super) fn check_room(&self, ix: u32, delta: i64, sum: u64) -> Result<(), Refusal> {
        if self.rows.get(ix).has_room(delta) && sum <= MAX_TOTAL {
            Ok(())
        } else {
            Err(out_of_range(self.row_key(ix)))
        }
    }

    pub(super) fn row_done(&self, ix: u32) -> Done {
        Done::now(Outcome::Row(self.row_view(ix)))
    }
}

fn out_of_range(row: RowKey) -> Refusal {
    Refusal::QuantityOutOfRange { row: Some(row) }
}

fn cause_of(event: Option<&Event>) -> Cause {
    event.map_or(Cause::Row, |event| Cause::Event { event: event.id.clone() })
}
