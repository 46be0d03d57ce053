//! Rows as lists of what happened to them, and the commands on one row.

use holdfast_model::{
    Cause, Command, CountBasis, MAX_TOTAL, MovementKind, Outcome, Policy, Quantity, Record, Refusal, RowKey,
    RowView, Seq,
};

use super::{Decision, Naive, Who, fits, key};

/// A row: its name, what is set on it, and every movement since it was made.
#[derive(Clone)]
pub struct Row {
    pub key: RowKey,
    pub policy: Policy,
    pub retired: bool,
    pub movements: Vec<(Seq, MovementKind, i128)>,
}

impl Row {
    pub fn last_seq(&self) -> Seq {
        self.movements.last().map_or(Seq(0), |&(seq, _, _)| seq)
    }

    /// The sum of the quantities of all movements of a kind.
    fn sum(&self, kind: MovementKind) -> i128 {
        self.movements.iter().filter(|movement| movement.1 == kind).map(|movement| movement.2).sum()
    }

    fn sold(&self) -> i128 {
        self.sum(MovementKind::Sold) + self.sum(MovementKind::Confirmed)
    }

    pub fn on_hand(&self) -> i128 {
        let came = [
            MovementKind::Created,
            MovementKind::Received,
            MovementKind::Adjusted,
            MovementKind::Counted,
            MovementKind::TransferIn,
        ];
        let came: i128 = came.map(|kind| self.sum(kind)).iter().sum();
        came - self.sold() - self.sum(MovementKind::TransferOut)
    }
}

/// Units as a view tells them.
pub fn unsigned(units: i128) -> u64 {
    u64::try_from(units).expect("a total")
}

pub fn signed(units: i128) -> i64 {
    i64::try_from(units).expect("a total")
}

impl Naive {
    pub fn row(&self, row: &RowKey) -> Option<&Row> {
        self.rows.iter().find(|other| other.key == *row)
    }

    fn row_mut(&mut self, row: &RowKey) -> &mut Row {
        self.rows.iter_mut().find(|other| other.key == *row).expect("the row was looked up")
    }

    pub(super) fn known(&self, row: &RowKey) -> Result<&Row, Refusal> {
        self.row(row).ok_or_else(|| Refusal::UnknownItem { rows: vec![row.clone()], omitted: 0 })
    }

    /// What open holds have of a row.
    pub fn reserved(&self, row: &RowKey) -> i128 {
        let lines = self.holds.iter().flat_map(|hold| &hold.lines);
        lines.filter(|line| line.row == *row).map(|line| i128::from(line.reserved)).sum()
    }

    fn available(&self, row: &RowKey) -> i128 {
        self.row(row).map_or(0, Row::on_hand) - self.reserved(row)
    }

    /// What a transfer may take.
    pub(super) fn sendable(&self, row: &RowKey) -> i128 {
        self.available(row) - self.row(row).map_or(0, |row| i128::from(row.policy.safety_stock))
    }

    /// What a hold may take.
    pub(super) fn sellable(&self, row: &RowKey) -> i128 {
        self.sendable(row) + self.row(row).map_or(0, |row| i128::from(row.policy.backorder_limit))
    }

    pub fn row_view(&self, row: &RowKey) -> Option<RowView> {
        let found = self.row(row)?;
        Some(RowView {
            row: row.clone(),
            available: signed(self.available(row)),
            reserved: unsigned(self.reserved(row)),
            version: found.movements.len() as u64,
            last_seq: found.last_seq(),
            policy: found.policy,
            retired: found.retired,
            opening: unsigned(found.sum(MovementKind::Created)),
            received: unsigned(found.sum(MovementKind::Received)),
            adjusted: signed(found.sum(MovementKind::Adjusted)),
            counted: signed(found.sum(MovementKind::Counted)),
            transferred_in: unsigned(found.sum(MovementKind::TransferIn)),
            transferred_out: unsigned(found.sum(MovementKind::TransferOut)),
            sold: unsigned(found.sold()),
        })
    }

    /// All rows that `wanted` names, in the order in which they came to be.
    pub fn row_views(&self, wanted: impl Fn(&RowKey) -> bool) -> Vec<RowView> {
        let keys = self.rows.iter().map(|row| &row.key).filter(|key| wanted(key));
        keys.filter_map(|key| self.row_view(key)).collect()
    }

    /// No total of a row, and not what its item lost on the way in all, passes the largest.
    pub(super) fn totals_fit(&self, row: &RowKey) -> bool {
        let Some(found) = self.row(row) else { return true };
        let (available, reserved) = (self.available(row), self.reserved(row));
        let kinds = [
            MovementKind::Created,
            MovementKind::Received,
            MovementKind::Adjusted,
            MovementKind::Counted,
            MovementKind::TransferIn,
            MovementKind::TransferOut,
        ];
        let lost = self.ledger.iter().filter_map(Record::movement);
        let lost = lost.filter(|movement| movement.item == row.item);
        let lost = lost.filter(|movement| movement.kind == MovementKind::Shortfall);
        let lost: i128 = lost.map(|movement| i128::from(movement.qty)).sum();
        let totals = [available, reserved, found.on_hand(), found.sold(), lost];
        totals.into_iter().chain(kinds.map(|kind| found.sum(kind))).all(fits)
    }

    pub(super) fn row_outcome(&self, row: &RowKey) -> Outcome {
        Outcome::Row(self.row_view(row).expect("the row was looked up"))
    }

    pub(super) fn create(&mut self, row: &RowKey, opening: u128, who: Who) -> Decision {
        if let Some(found) = self.row(row) {
            let current_version = found.movements.len() as u64;
            return Err(Refusal::SkuExists { row: row.clone(), current_version });
        }
        if opening > u128::from(MAX_TOTAL) {
            return Err(Refusal::QuantityOutOfRange { row: Some(row.clone()) });
        }
        let (policy, movements) = (Policy::default(), Vec::new());
        self.rows.push(Row { key: row.clone(), policy, retired: false, movements });
        self.book(row, MovementKind::Created, opening.cast_signed(), Cause::Row, &who);
        Ok((self.row_outcome(row), None))
    }

    pub(super) fn adjust(
        &mut self,
        row: &RowKey,
        delta: i128,
        expected_version: Option<u64>,
        who: Who,
    ) -> Decision {
        if delta == 0 {
            return Err(Refusal::QuantityOutOfRange { row: Some(row.clone()) });
        }
        self.known(row)?;
        self.check_version(row, expected_version)?;
        let available = self.available(row) + self.due_on(row);
        if delta < 0 && available + delta < 0 {
            return Err(Refusal::BelowZero { available: signed(available), delta: signed(delta) });
        }
        if !fits(delta) {
            return Err(Refusal::QuantityOutOfRange { row: Some(row.clone()) });
        }
        if delta < 0 {
            self.expire_due_on(row, |naive| naive.available(row) + delta >= 0);
        }
        self.unless_too_large(|naive| naive.book(row, MovementKind::Adjusted, delta, Cause::Row, &who))?;
        Ok((self.row_outcome(row), None))
    }

    fn check_version(&self, row: &RowKey, expected: Option<u64>) -> Result<(), Refusal> {
        let current_version = self.known(row)?.movements.len() as u64;
        if expected.is_some_and(|expected| expected != current_version) {
            return Err(Refusal::VersionConflict { current_version });
        }
        Ok(())
    }

    pub(super) fn count(
        &mut self,
        row: &RowKey,
        counted: i128,
        as_of: Option<CountBasis>,
        cause: Cause,
        who: Who,
    ) -> Decision {
        let mut then = self.known(row)?.on_hand();
        if let Some(CountBasis { seq, on_hand }) = as_of {
            if seq > self.last_seq() {
                return Err(Refusal::SeqAhead { last: self.last_seq() });
            }
            if u128::from(seq.0) + 1 < u128::from(self.ledger_start.0) {
                return Err(Refusal::CursorCompacted { oldest: self.ledger_start });
            }
            let unknown = || Refusal::UnknownItem { rows: vec![row.clone()], omitted: 0 };
            then = i128::from(on_hand.ok_or_else(unknown)?);
        }
        if !fits(counted) || !fits(then) {
            return Err(Refusal::QuantityOutOfRange { row: Some(row.clone()) });
        }
        self.unless_too_large(|naive| naive.book(row, MovementKind::Counted, counted - then, cause, &who))?;
        Ok((self.row_outcome(row), None))
    }

    pub(super) fn fact(
        &mut self,
        kind: MovementKind,
        row: &RowKey,
        qty: Quantity,
        cause: Cause,
        who: Who,
    ) -> Decision {
        self.known(row)?;
        self.unless_too_large(|naive| naive.book(row, kind, i128::from(qty.get()), cause, &who))?;
        Ok((self.row_outcome(row), None))
    }

    pub(super) fn set_policy(&mut self, command: &Command, who: Who) -> Decision {
        let Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version } = command
        else {
            unreachable!("only policies come here")
        };
        let row = &key(store, item);
        let old = self.known(row)?.policy;
        self.check_version(row, *expected_version)?;
        let policy = Policy {
            safety_stock: safety_stock.unwrap_or(old.safety_stock),
            backorder_limit: backorder_limit.unwrap_or(old.backorder_limit),
        };
        if !fits(policy.safety_stock.into()) || !fits(policy.backorder_limit.into()) {
            return Err(Refusal::QuantityOutOfRange { row: Some(row.clone()) });
        }
        if policy != old {
            self.row_mut(row).policy = policy;
            self.book(row, MovementKind::Policy, 0, Cause::Policy(policy), &who);
        }
        Ok((self.row_outcome(row), None))
    }

    pub(super) fn retire(&mut self, row: &RowKey, who: Who) -> Decision {
        let found = self.known(row)?;
        if found.retired {
            return Ok((self.row_outcome(row), Some(found.last_seq())));
        }
        self.row_mut(row).retired = true;
        self.book(row, MovementKind::Retired, 0, Cause::Row, &who);
        Ok((self.row_outcome(row), None))
    }

    pub(super) fn remove(&mut self, row: &RowKey, who: Who) -> Decision {
        self.known(row)?;
        let on_hand = self.known(row)?.on_hand();
        let (reserved, in_transit) = (self.reserved(row) - self.due_on(row), self.in_transit(row));
        if (on_hand, reserved, in_transit) != (0, 0, 0) {
            return Err(Refusal::NotEmpty {
                row: row.clone(),
                on_hand: signed(on_hand),
                reserved: unsigned(reserved),
                in_transit: unsigned(in_transit),
            });
        }
        self.expire_due_on(row, |_| false);
        if !self.known(row)?.retired {
            self.retire(row, who.clone())?;
        }
        self.book(row, MovementKind::Retired, 0, Cause::Row, &who);
        let view = self.row_view(row).expect("the row was looked up");
        self.rows.retain(|other| other.key != *row);
        Ok((Outcome::Removed(view), None))
    }
}
