//! What happens to a hold after it was made: confirmed, released, extended.

use super::expiry::signed;
use super::holds::{EndedBy, Hold, HoldLine};
use super::lines::{Merged, merge};
use super::{By, Decision, Done, Inventory, Step};
use crate::{Cause, HoldId, HoldStatus, Line, MAX_TOTAL, MovementKind, Outcome, Refusal, Seq, ShortLine};

/// So much of one line of a hold.
struct Part {
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
        let merged = part_lines(lines, has_key)?;
        let ix = self.find_hold(step, id)?;
        match self.holds.get(ix).ended {
            None => {
                let parts = self.parts(ix, merged.as_deref(), |line| line.reserved)?;
                self.sell(step, by, ix, &parts, EndedBy::Confirm)
            }
            Some((EndedBy::Expiry, _)) if reacquire => self.reacquire(step, by, ix, merged.as_deref()),
            Some((EndedBy::Expiry, _)) => Err(Refusal::HoldExpired { hold: id }),
            Some((EndedBy::Release, _)) => Err(Refusal::HoldReleased { hold: id }),
            Some((EndedBy::Confirm, _)) => self.repeat_or_exceed(ix, merged.as_deref()),
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
        let merged = part_lines(lines, has_key)?;
        let ix = self.find_hold(step, id)?;
        match self.holds.get(ix).ended {
            None => {
                let parts = self.parts(ix, merged.as_deref(), |line| line.reserved)?;
                self.give_back_parts(step, by, ix, &parts)
            }
            Some((EndedBy::Confirm, _)) => Err(Refusal::HoldConfirmed { hold: id }),
            Some((EndedBy::Release | EndedBy::Expiry, _)) => self.repeat_or_exceed(ix, merged.as_deref()),
        }
    }

    pub(super) fn extend(&mut self, step: &mut Step, by: By<'_>, id: HoldId, ttl_ms: u64) -> Decision {
        self.check_ttl(ttl_ms)?;
        let ix = self.find_hold(step, id)?;
        let hold = self.holds.get(ix);
        match hold.ended {
            Some((EndedBy::Expiry, _)) => return Err(Refusal::HoldExpired { hold: id }),
            Some((EndedBy::Release, _)) => return Err(Refusal::HoldReleased { hold: id }),
            Some((EndedBy::Confirm, _)) => return Err(Refusal::HoldConfirmed { hold: id }),
            None => {}
        }
        let deadline = self.clock.now.plus(ttl_ms);
        if hold.deadline.is_none_or(|old| old >= deadline) {
            return Ok(Done::now(Outcome::Hold(self.hold_view(hold))));
        }
        let cause = Cause::Hold { hold: id, expires_at: Some(deadline) };
        let open: Vec<(u32, u64)> = hold
            .lines
            .as_slice()
            .iter()
            .map(|line| (line.row, line.reserved))
            .filter(|line| line.1 > 0)
            .collect();
        for (row, qty) in open {
            self.book(step, by, row, (MovementKind::Extended, signed(qty), cause.clone()), |_| {});
        }
        let last_seq = self.clock.last_seq.0;
        self.change_hold(ix, |hold| {
            hold.deadline = Some(deadline);
            hold.last_seq = last_seq;
        });
        Ok(Done::now(Outcome::Hold(self.hold_view(self.holds.get(ix)))))
    }

    /// A hold that is remembered; one that is over is ended first.
    fn find_hold(&mut self, step: &mut Step, id: HoldId) -> Result<u32, Refusal> {
        let ix = self.holds.find(id).ok_or(Refusal::UnknownHold { hold: id })?;
        self.expire_if_due(step, ix);
        Ok(ix)
    }

    /// The parts of a hold that `lines` name, or all that `open` leaves of it; names every line that asks too much.
    fn parts(
        &self,
        ix: u32,
        lines: Option<&[Merged<'_>]>,
        open: impl Fn(&HoldLine) -> u64,
    ) -> Result<Vec<Part>, Refusal> {
        let hold = self.holds.get(ix);
        let held = hold.lines.as_slice();
        let Some(lines) = lines else {
            let all = held.iter().enumerate().filter(|(_, line)| open(line) > 0);
            return Ok(all
                .map(|(place, line)| Part { line: place, row: line.row, qty: open(line) })
                .collect());
        };
        let (mut parts, mut short) = (Vec::with_capacity(lines.len()), Vec::new());
        for merged in lines {
            let place = held.iter().position(|line| self.is_row(line.row, merged.line));
            let available = place.map_or(0, |place| open(&held[place]));
            match place {
                Some(place) if available >= merged.qty => {
                    parts.push(Part { line: place, row: held[place].row, qty: merged.qty });
                }
                _ => short.push(ShortLine {
                    row: merged.key(),
                    requested: merged.qty,
                    available: signed(available),
                }),
            }
        }
        if short.is_empty() {
            Ok(parts)
        } else {
            Err(Refusal::ExceedsHold { hold: hold.id, lines: short, omitted: 0 })
        }
    }

    fn is_row(&self, ix: u32, line: &Line) -> bool {
        let row = self.rows.get(ix);
        *self.stores.text(row.store) == line.store && *self.items.text(row.item) == line.item
    }

    /// A repeat of the action that ended a hold is answered with the hold; a part of what is gone is too much.
    fn repeat_or_exceed(&self, ix: u32, lines: Option<&[Merged<'_>]>) -> Decision {
        if lines.is_some() {
            self.parts(ix, lines, |line| line.reserved)?;
        }
        let hold = self.holds.get(ix);
        Ok(Done::before(Outcome::Hold(self.hold_view(hold)), Seq(hold.last_seq)))
    }

    /// Sells what is reserved.
    fn sell(&mut self, step: &mut Step, by: By<'_>, ix: u32, parts: &[Part], ended_by: EndedBy) -> Decision {
        self.check_sold(parts)?;
        let hold = self.holds.get(ix);
        let cause = Cause::Hold { hold: hold.id, expires_at: hold.deadline };
        for part in parts {
            self.book(
                step,
                by,
                part.row,
                (MovementKind::Confirmed, signed(part.qty), cause.clone()),
                |row| {
                    row.reserved -= part.qty;
                    row.sold += part.qty;
                },
            );
        }
        self.settle(ix, parts, ended_by, |line, qty| {
            line.reserved -= qty;
            line.confirmed += qty;
        });
        Ok(Done::now(Outcome::Hold(self.hold_view(self.holds.get(ix)))))
    }

    fn check_sold(&self, parts: &[Part]) -> Result<(), Refusal> {
        for part in parts {
            if self.rows.get(part.row).sold + part.qty > MAX_TOTAL {
                return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(part.row)) });
            }
        }
        Ok(())
    }

    fn give_back_parts(&mut self, step: &mut Step, by: By<'_>, ix: u32, parts: &[Part]) -> Decision {
        let hold = self.holds.get(ix);
        let cause = Cause::Hold { hold: hold.id, expires_at: hold.deadline };
        for part in parts {
            self.give_back(step, by, part.row, part.qty, MovementKind::Released, cause.clone());
        }
        self.settle(ix, parts, EndedBy::Release, |line, qty| {
            line.reserved -= qty;
            line.released += qty;
        });
        Ok(Done::now(Outcome::Hold(self.hold_view(self.holds.get(ix)))))
    }

    /// Changes the lines of a hold, and ends it when nothing is left reserved.
    fn settle(&mut self, ix: u32, parts: &[Part], ended_by: EndedBy, change: impl Fn(&mut HoldLine, u64)) {
        let (now, last_seq) = (self.clock.now, self.clock.last_seq.0);
        self.change_hold(ix, |hold| {
            for part in parts {
                change(&mut hold.lines.as_mut_slice()[part.line], part.qty);
            }
            hold.last_seq = last_seq;
            if !hold.is_open() {
                hold.ended = Some((ended_by, now));
                hold.status = final_status(hold, ended_by);
            }
        });
    }

    /// Takes again what a hold lost to its deadline, and sells it in the same step.
    fn reacquire(&mut self, step: &mut Step, by: By<'_>, ix: u32, lines: Option<&[Merged<'_>]>) -> Decision {
        let mut parts = self.parts(ix, lines, HoldLine::expired)?;
        self.find_rows_again(&mut parts)?;
        self.check_sold(&parts)?;
        let rows: Vec<u32> = parts.iter().map(|part| part.row).collect();
        let mut short = self.short_parts(&parts);
        if !short.is_empty() && self.expire_due_on(step, &rows) {
            short = self.short_parts(&parts);
        }
        if !short.is_empty() {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        for part in &parts {
            if self.rows.get(part.row).reserved + part.qty > MAX_TOTAL {
                return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(part.row)) });
            }
        }
        let cause = Cause::Hold { hold: self.holds.get(ix).id, expires_at: self.holds.get(ix).deadline };
        for part in &parts {
            self.take(step, by, part.row, part.qty, cause.clone());
        }
        self.change_hold(ix, |hold| {
            for part in &parts {
                let line = &mut hold.lines.as_mut_slice()[part.line];
                line.row = part.row;
                line.reserved += part.qty;
            }
        });
        let all_back = self.holds.get(ix).lines.as_slice().iter().all(|line| line.expired() == 0);
        let ended_by = if all_back { EndedBy::Confirm } else { EndedBy::Expiry };
        self.sell(step, by, ix, &parts, ended_by)
    }

    /// Rows that were taken away since may have come again; names every one that has not.
    fn find_rows_again(&self, parts: &mut [Part]) -> Result<(), Refusal> {
        let mut gone = Vec::new();
        for part in parts {
            let row = self.rows.get(part.row);
            if row.removed {
                match self.rows.find(row.store, row.item) {
                    Some(again) => part.row = again,
                    None => gone.push(self.row_key(part.row)),
                }
            }
        }
        if gone.is_empty() { Ok(()) } else { Err(Refusal::UnknownItem { rows: gone, omitted: 0 }) }
    }

    fn short_parts(&self, parts: &[Part]) -> Vec<ShortLine> {
        let sellable = |part: &Part| self.rows.get(part.row).sellable().max(0);
        let short = parts.iter().filter(|part| sellable(part) < signed(part.qty));
        short
            .map(|part| ShortLine {
                row: self.row_key(part.row),
                requested: part.qty,
                available: sellable(part),
            })
            .collect()
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

fn final_status(hold: &Hold, ended_by: EndedBy) -> HoldStatus {
    if hold.was_confirmed() {
        return HoldStatus::Confirmed;
    }
    match ended_by {
        EndedBy::Confirm => HoldStatus::Confirmed,
        EndedBy::Release => HoldStatus::Released,
        EndedBy::Expiry => HoldStatus::Expired,
    }
}
