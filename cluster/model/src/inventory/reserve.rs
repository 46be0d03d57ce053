//! Making holds.

use xxhash_rust::xxh3::Xxh3;

use super::expiry::signed;
use super::holds::{Hold, HoldLine, HoldLines};
use super::lines::{Merged, merge};
use super::{By, Decision, Done, Inventory, Step};
use crate::{
    Cause, HoldId, HoldStatus, Line, MAX_TOTAL, MovementKind, Outcome, Owner, Refusal, RowKey, Seq, ShortLine,
};

impl Inventory {
    #[expect(clippy::too_many_arguments, reason = "the fields of the command")]
    pub(super) fn reserve(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: HoldId,
        lines: &[Line],
        ttl_ms: Option<u64>,
        allow_partial: bool,
        owner: Option<&Owner>,
    ) -> Decision {
        let merged = merge(lines)?;
        let content = content_hash(&merged, ttl_ms, allow_partial, owner);
        if let Some(ix) = self.holds.find(id) {
            return self.same_hold(step, ix, content);
        }
        self.check_shape(&merged, ttl_ms)?;
        let rows = self.rows_for_hold(&merged)?;
        let granted = self.grant(step, &merged, &rows, allow_partial)?;
        self.make_hold(step, by, id, content, ttl_ms, owner, &merged, &rows, &granted)
    }

    /// The answer to a second use of a hold's id.
    fn same_hold(&mut self, step: &mut Step, ix: u32, content: u64) -> Decision {
        self.expire_if_due(step, ix);
        let hold = self.holds.get(ix);
        if hold.content == content {
            Ok(Done::before(Outcome::Hold(self.hold_view(hold)), Seq(hold.made_seq)))
        } else {
            Err(Refusal::HoldExists { hold: hold.id, state: hold.status })
        }
    }

    fn check_shape(&self, merged: &[Merged<'_>], ttl_ms: Option<u64>) -> Result<(), Refusal> {
        let limit = self.config.max_hold_lines;
        let got = merged.len() as u64;
        if got > limit {
            return Err(Refusal::TooManyLines { got, limit });
        }
        ttl_ms.map_or(Ok(()), |ttl_ms| self.check_ttl(ttl_ms))
    }

    pub(super) fn check_ttl(&self, ttl_ms: u64) -> Result<(), Refusal> {
        let max_ms = self.config.max_ttl_ms;
        if ttl_ms == 0 || ttl_ms > max_ms { Err(Refusal::TtlOutOfRange { max_ms }) } else { Ok(()) }
    }

    /// The rows of all lines; names every one that does not exist, or takes no new holds.
    fn rows_for_hold(&self, merged: &[Merged<'_>]) -> Result<Vec<u32>, Refusal> {
        let found: Vec<Option<u32>> =
            merged.iter().map(|merged| self.find_row(&merged.line.store, &merged.line.item)).collect();
        let missing = keys_where(merged, &found, |row| row.is_none());
        if !missing.is_empty() {
            return Err(Refusal::UnknownItem { rows: missing, omitted: 0 });
        }
        let retired = keys_where(merged, &found, |row| row.is_some_and(|ix| self.rows.get(ix).retired));
        if !retired.is_empty() {
            return Err(Refusal::ItemRetired { rows: retired, omitted: 0 });
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// How much of each line is to be had. Before it says no, the holds on its rows that are over are ended.
    fn grant(
        &mut self,
        step: &mut Step,
        merged: &[Merged<'_>],
        rows: &[u32],
        allow_partial: bool,
    ) -> Result<Vec<u64>, Refusal> {
        let (mut granted, mut short) = self.measure(merged, rows);
        if !short.is_empty() && self.expire_due_on(step, rows) {
            (granted, short) = self.measure(merged, rows);
        }
        let nothing = granted.iter().all(|&qty| qty == 0);
        if !short.is_empty() && (!allow_partial || nothing) {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        for ((merged, &row), &qty) in merged.iter().zip(rows).zip(&granted) {
            if self.rows.get(row).reserved + qty > MAX_TOTAL {
                return Err(Refusal::QuantityOutOfRange { row: Some(merged.key()) });
            }
        }
        Ok(granted)
    }

    /// What of each line is to be had now, and the lines that are short.
    pub(super) fn measure(&self, merged: &[Merged<'_>], rows: &[u32]) -> (Vec<u64>, Vec<ShortLine>) {
        let mut short = Vec::new();
        let granted = merged
            .iter()
            .zip(rows)
            .map(|(merged, &row)| {
                let sellable = self.rows.get(row).sellable().max(0);
                if sellable < signed(merged.qty) {
                    short.push(ShortLine { row: merged.key(), requested: merged.qty, available: sellable });
                }
                merged.qty.min(sellable.unsigned_abs())
            })
            .collect();
        (granted, short)
    }

    #[expect(clippy::too_many_arguments, reason = "everything that a hold is made of")]
    fn make_hold(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: HoldId,
        content: u64,
        ttl_ms: Option<u64>,
        owner: Option<&Owner>,
        merged: &[Merged<'_>],
        rows: &[u32],
        granted: &[u64],
    ) -> Decision {
        let deadline = ttl_ms.map(|ttl_ms| self.clock.now.plus(ttl_ms));
        let mut lines = Vec::with_capacity(rows.len());
        for ((merged, &row), &qty) in merged.iter().zip(rows).zip(granted) {
            if qty > 0 {
                let cause = Cause::Hold { hold: id, expires_at: deadline };
                self.take(step, by, row, qty, cause);
            }
            let line = HoldLine {
                row,
                requested: merged.qty,
                granted: qty,
                reserved: qty,
                confirmed: 0,
                released: 0,
            };
            lines.push(line);
        }
        let seq = self.clock.last_seq.0;
        let hold = Hold {
            id,
            content,
            owner: owner.cloned(),
            made_seq: seq,
            last_seq: seq,
            deadline,
            status: HoldStatus::Held,
            ended: None,
            lines: HoldLines::from(lines),
        };
        self.sums.holds = self.sums.holds.wrapping_add(self.hold_digest(&hold));
        let view = self.hold_view(&hold);
        self.holds.insert(hold);
        Ok(Done::now(Outcome::Hold(view)))
    }

    /// Moves `qty` of a row from available to reserved.
    pub(super) fn take(&mut self, step: &mut Step, by: By<'_>, row: u32, qty: u64, cause: Cause) {
        self.book(step, by, row, (MovementKind::Reserved, signed(qty), cause), |row| {
            row.available -= signed(qty);
            row.reserved += qty;
        });
    }
}

fn keys_where(
    merged: &[Merged<'_>],
    rows: &[Option<u32>],
    test: impl Fn(Option<u32>) -> bool,
) -> Vec<RowKey> {
    merged.iter().zip(rows).filter(|(_, row)| test(**row)).map(|(merged, _)| merged.key()).collect()
}

/// Hash of what a hold was asked for.
fn content_hash(
    merged: &[Merged<'_>],
    ttl_ms: Option<u64>,
    allow_partial: bool,
    owner: Option<&Owner>,
) -> u64 {
    let mut hash = Xxh3::new();
    for merged in merged {
        for text in [merged.line.store.as_str(), merged.line.item.as_str()] {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.update(&merged.qty.to_le_bytes());
    }
    hash.update(&ttl_ms.unwrap_or_default().to_le_bytes());
    hash.update(&[u8::from(ttl_ms.is_some()), u8::from(allow_partial), u8::from(owner.is_some())]);
    hash.update(owner.map_or("", Owner::as_str).as_bytes());
    hash.digest()
}
