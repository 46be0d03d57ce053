//! What happens to a hold after it was made: confirmed, released, extended, taken again.

use std::collections::BTreeMap;

use super::holds::{EndedBy, HoldLine};
use super::lines::{Merged, merge};
use super::rows::signed;
use super::{By, Decision, Done, Inventory, Step};
use crate::{Cause, HoldId, Line, MAX_TOTAL, MovementKind, Outcome, Refusal, Seq, ShortLine};

/// So much of one line of a hold.
struct Part {
    /// Which line.
    line: usize,
    row: u32,
    qty: u64,
}

impl Inventory {
    pub(super) fn confirm(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: HoldId,
        lines: Option<&[Line]>,
        reacquire: bool,
        has_key: bool,
    ) -> Decision {
        #[cfg(feature = "planted-bugs")]
        if let Some(ix) = self.holds.find(id).filter(|&ix| self.holds.get(ix).ended_by.is_none())
            && crate::planted::is(crate::planted::Bug::ConfirmedAfterExpiry)
        {
            let merged = part_lines(lines, has_key)?;
            return self.sell_parts(step, by, ix, merged.as_deref());
        }
        let found = self.meet_hold(step, id);
        let merged = part_lines(lines, has_key)?;
        let ix = found.ok_or(Refusal::UnknownHold { hold: id })?;
        self.check_no_order(ix)?;
        match self.holds.get(ix).ended_by {
            None => self.sell_parts(step, by, ix, merged.as_deref()),
            Some(EndedBy::Expiry) if reacquire => self.reacquire(step, by, ix, merged.as_deref()),
            Some(EndedBy::Expiry) => Err(Refusal::HoldExpired { hold: id }),
            Some(EndedBy::Release | EndedBy::Replacement) => Err(Refusal::HoldReleased { hold: id }),
            Some(EndedBy::Confirm) => self.repeat_or_exceed(ix, merged.as_deref()),
        }
    }

    pub(super) fn release(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: HoldId,
        lines: Option<&[Line]>,
        has_key: bool,
    ) -> Decision {
        let found = self.meet_hold(step, id);
        let merged = part_lines(lines, has_key)?;
        let ix = found.ok_or(Refusal::UnknownHold { hold: id })?;
        self.check_no_order(ix)?;
        match self.holds.get(ix).ended_by {
            None => self.give_back_parts(step, by, ix, merged.as_deref(), EndedBy::Release),
            Some(EndedBy::Confirm) => Err(Refusal::HoldConfirmed { hold: id }),
            Some(EndedBy::Release | EndedBy::Replacement | EndedBy::Expiry) => {
                self.repeat_or_exceed(ix, merged.as_deref())
            }
        }
    }

    pub(super) fn extend(&mut self, step: &mut Step, by: By<'_>, id: HoldId, ttl_ms: u64) -> Decision {
        let found = self.meet_hold(step, id);
        self.check_ttl(ttl_ms)?;
        let ix = found.ok_or(Refusal::UnknownHold { hold: id })?;
        let hold = self.holds.get(ix);
        match hold.ended_by {
            Some(EndedBy::Expiry) => return Err(Refusal::HoldExpired { hold: id }),
            Some(EndedBy::Release | EndedBy::Replacement) => {
                return Err(Refusal::HoldReleased { hold: id });
            }
            Some(EndedBy::Confirm) => return Err(Refusal::HoldConfirmed { hold: id }),
            None => {}
        }
        let deadline = self.clock.now.plus(ttl_ms);
        if hold.deadline.is_none_or(|old| old >= deadline) {
            return Ok(Done::now(self.hold_outcome(ix)));
        }
        let cause = Cause::Hold { hold: id, expires_at: Some(deadline), order: hold.order };
        let open: Vec<(u32, u64)> = hold.reserved_lines().collect();
        for (row, qty) in open {
            self.book(step, by, row, (MovementKind::Extended, signed(qty), cause.clone()), |_| {});
        }
        let last_seq = self.clock.last_seq.0;
        self.change_hold(ix, |hold| {
            hold.deadline = Some(deadline);
            hold.last_seq = last_seq;
        });
        Ok(Done::now(self.hold_outcome(ix)))
    }

    /// The hold with an id, ended first when it is due: no command meets a hold that is over but not ended.
    pub(super) fn meet_hold(&mut self, step: &mut Step, id: HoldId) -> Option<u32> {
        let ix = self.holds.find(id)?;
        self.expire_if_due(step, ix);
        Some(ix)
    }

    /// A hold of an order is sold and given back with the order alone, so that the two never disagree.
    fn check_no_order(&self, ix: u32) -> Result<(), Refusal> {
        let hold = self.holds.get(ix);
        match hold.order {
            Some(order) => Err(Refusal::HoldOfOrder { hold: hold.id, order }),
            None => Ok(()),
        }
    }

    /// The parts of a hold that `lines` name, or all that `open` leaves of it; names every line that asks too much.
    fn parts(
        &self,
        ix: u32,
        lines: Option<&[Merged<'_>]>,
        open: impl Fn(&HoldLine) -> u64,
    ) -> Result<Vec<Part>, Refusal> {
        let hold = self.holds.get(ix);
        let whole = hold.lines().iter().enumerate().map(|(line, held)| (held.row, line, open(held)));
        let part = |(row, line, qty)| Part { line, row, qty };
        let Some(lines) = lines else {
            return Ok(whole.filter(|&(_, _, qty)| qty > 0).map(part).collect());
        };
        let whole: BTreeMap<u32, (usize, u64)> = whole.map(|(row, line, qty)| (row, (line, qty))).collect();
        let (mut parts, mut short) = (Vec::with_capacity(lines.len()), Vec::new());
        for merged in lines {
            let row = self.row_place(&merged.line.store, &merged.line.item);
            let found = row.and_then(|row| Some((row, *whole.get(&row)?)));
            match found {
                Some((row, (line, open))) if open >= merged.qty => {
                    parts.push(part((row, line, merged.qty)));
                }
                _ => short.push(ShortLine {
                    row: merged.key(),
                    requested: merged.qty,
                    available: found.map_or(0, |(_, (_, open))| signed(open)),
                }),
            }
        }
        if short.is_empty() {
            Ok(parts)
        } else {
            Err(Refusal::ExceedsHold { hold: hold.id, lines: short, omitted: 0 })
        }
    }

    /// A repeat of the action that ended a hold is answered with the hold; a part of what is gone is too much.
    fn repeat_or_exceed(&self, ix: u32, lines: Option<&[Merged<'_>]>) -> Decision {
        if lines.is_some() {
            self.parts(ix, lines, |line| line.reserved)?;
        }
        Ok(Done::before(self.hold_outcome(ix), Seq(self.holds.get(ix).last_seq)))
    }

    pub(super) fn sell_parts(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        lines: Option<&[Merged<'_>]>,
    ) -> Decision {
        let parts = self.parts(ix, lines, |line| line.reserved)?;
        self.check_sold(&parts)?;
        let cause = self.cause_of_hold(ix);
        for part in &parts {
            self.sell(step, by, part, cause.clone());
        }
        Ok(Done::now(self.settle(ix, &parts, EndedBy::Confirm, |line, qty| {
            line.reserved -= qty;
            line.confirmed += qty;
        })))
    }

    pub(super) fn give_back_parts(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        lines: Option<&[Merged<'_>]>,
        ended_by: EndedBy,
    ) -> Decision {
        let parts = self.parts(ix, lines, |line| line.reserved)?;
        let cause = self.cause_of_hold(ix);
        for part in &parts {
            self.give_back(step, by, part.row, part.qty, (MovementKind::Released, cause.clone()));
        }
        Ok(Done::now(self.settle(ix, &parts, ended_by, |line, qty| {
            line.reserved -= qty;
            line.released += qty;
        })))
    }

    /// Takes again what a hold lost to its deadline, and sells it in the same step.
    pub(super) fn reacquire(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        lines: Option<&[Merged<'_>]>,
    ) -> Decision {
        let parts = self.parts(ix, lines, HoldLine::expired)?;
        self.check_there(&parts)?;
        let short = self.short_parts(&parts);
        if !short.is_empty() {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        self.check_sold(&parts)?;
        if let Some(part) = parts.iter().find(|part| !self.has_room_for(part.row, part.qty)) {
            return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(part.row)) });
        }
        for part in &parts {
            self.expire_due_on(step, part.row, |row| row.may_reserve(part.qty));
        }
        let cause = self.cause_of_hold(ix);
        for part in &parts {
            self.take(step, by, part.row, part.qty, cause.clone());
        }
        for part in &parts {
            self.sell(step, by, part, cause.clone());
        }
        // What has expired of a line is what its other parts leave, so it shrinks as the sold part grows.
        let outcome = self.settle(ix, &parts, EndedBy::Expiry, |line, qty| line.confirmed += qty);
        if self.holds.get(ix).lines().iter().any(|line| line.expired() > 0) {
            return Ok(Done::now(outcome));
        }
        self.change_hold(ix, |hold| hold.ended_by = Some(EndedBy::Confirm));
        Ok(Done::now(self.hold_outcome(ix)))
    }

    fn sell(&mut self, step: &mut Step, by: By<'_>, part: &Part, cause: Cause) {
        self.book(step, by, part.row, (MovementKind::Confirmed, signed(part.qty), cause), |row| {
            row.reserved -= part.qty;
            row.sold += part.qty;
        });
    }

    /// Changes the lines of a hold, and ends it when nothing is left reserved.
    fn settle(
        &mut self,
        ix: u32,
        parts: &[Part],
        ended_by: EndedBy,
        change: impl Fn(&mut HoldLine, u64),
    ) -> Outcome {
        let (now, last_seq) = (self.clock.now, self.clock.last_seq.0);
        self.change_hold(ix, |hold| {
            for part in parts {
                change(&mut hold.lines.as_mut_slice()[part.line], part.qty);
            }
            hold.last_seq = last_seq;
            if !hold.is_open() {
                hold.ended_by = Some(ended_by);
                hold.ended_at = now;
            }
        });
        self.hold_outcome(ix)
    }

    fn check_sold(&self, parts: &[Part]) -> Result<(), Refusal> {
        match parts.iter().find(|part| self.rows.get(part.row).sold + part.qty > MAX_TOTAL) {
            Some(part) => Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(part.row)) }),
            None => Ok(()),
        }
    }

    fn check_there(&self, parts: &[Part]) -> Result<(), Refusal> {
        let gone = parts.iter().filter(|part| self.rows.get(part.row).removed);
        let rows: Vec<_> = gone.map(|part| self.row_key(part.row)).collect();
        if rows.is_empty() { Ok(()) } else { Err(Refusal::UnknownItem { rows, omitted: 0 }) }
    }

    fn short_parts(&mut self, parts: &[Part]) -> Vec<ShortLine> {
        let mut short = Vec::new();
        for part in parts {
            let sellable = self.sellable_for(part.row, part.qty);
            if sellable < signed(part.qty) {
                let (row, requested) = (self.row_key(part.row), part.qty);
                short.push(ShortLine { row, requested, available: sellable.max(0) });
            }
        }
        short
    }

    fn cause_of_hold(&self, ix: u32) -> Cause {
        let hold = self.holds.get(ix);
        Cause::Hold { hold: hold.id, expires_at: hold.deadline, order: hold.order }
    }
}

/// The lines of a partial action, merged. Repeating one would count twice, so it needs a key.
fn part_lines(lines: Option<&[Line]>, has_key: bool) -> Result<Option<Vec<Merged<'_>>>, Refusal> {
    match lines {
        None => Ok(None),
        Some(_) if !has_key => Err(Refusal::KeyRequired),
        Some(lines) => merge(lines).map(Some),
    }
}
