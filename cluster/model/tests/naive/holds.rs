//! Holds: made, sold, given back, made longer, over, forgotten.

use holdfast_model::{
    Cause, ClusterTime, Command, HoldId, HoldLineView, HoldStatus, HoldView, Line, MAX_TOTAL, MovementKind,
    OrderId, Outcome, Owner, Refusal, RowKey, Seq, ShortLine,
};

use super::rows::signed;
use super::{Decision, Naive, Who, key};

/// What ended a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    Confirm,
    Release,
    Expiry,
}

/// What a hold was asked for: the same id with the same of it is a repeat.
#[derive(Clone, PartialEq)]
pub struct Asked {
    pub lines: Vec<(RowKey, u64)>,
    pub ttl_ms: Option<u64>,
    pub allow_partial: bool,
    pub owner: Option<Owner>,
}

#[derive(Clone)]
pub struct Hold {
    pub id: HoldId,
    pub asked: Asked,
    /// Whose goods it holds.
    pub order: Option<OrderId>,
    pub lines: Vec<HoldLineView>,
    pub deadline: Option<ClusterTime>,
    pub ended: Option<(EndedBy, ClusterTime)>,
    pub made_seq: Seq,
    last_seq: Seq,
}

impl Hold {
    pub fn status(&self) -> HoldStatus {
        match self.ended {
            None => HoldStatus::Held,
            Some(_) if self.lines.iter().any(|line| line.confirmed > 0) => HoldStatus::Confirmed,
            Some((EndedBy::Confirm, _)) => HoldStatus::Confirmed,
            Some((EndedBy::Release, _)) => HoldStatus::Released,
            Some((EndedBy::Expiry, _)) => HoldStatus::Expired,
        }
    }

    pub fn is_due(&self, now: ClusterTime) -> bool {
        self.ended.is_none() && self.deadline.is_some_and(|deadline| deadline <= now)
    }
}

/// One sum for each row, in the order in which the rows first came.
pub fn merge(lines: &[Line]) -> Result<Vec<(RowKey, u64)>, Refusal> {
    if lines.is_empty() {
        return Err(Refusal::NoLines);
    }
    let mut merged: Vec<(RowKey, u64)> = Vec::new();
    for line in lines {
        let row = key(&line.store, &line.item);
        match merged.iter_mut().find(|(other, _)| *other == row) {
            Some((_, qty)) => *qty += line.qty.get(),
            None => merged.push((row.clone(), line.qty.get())),
        }
        if merged.iter().any(|&(_, qty)| qty > MAX_TOTAL) {
            return Err(Refusal::QuantityOutOfRange { row: Some(row) });
        }
    }
    Ok(merged)
}

/// The lines of a part, which needs a key; none for the whole.
fn part(lines: Option<&[Line]>, has_key: bool) -> Result<Option<Vec<(RowKey, u64)>>, Refusal> {
    match lines {
        Some(_) if !has_key => Err(Refusal::KeyRequired),
        Some(lines) => Ok(Some(merge(lines)?)),
        None => Ok(None),
    }
}

/// A hold of an order is left to the order.
fn check_no_order(hold: &Hold) -> Result<(), Refusal> {
    match hold.order {
        Some(order) => Err(Refusal::HoldOfOrder { hold: hold.id, order }),
        None => Ok(()),
    }
}

impl Naive {
    pub(super) fn find(&self, id: HoldId) -> Result<&Hold, Refusal> {
        self.holds.iter().find(|hold| hold.id == id).ok_or(Refusal::UnknownHold { hold: id })
    }

    fn find_mut(&mut self, id: HoldId) -> &mut Hold {
        self.holds.iter_mut().find(|hold| hold.id == id).expect("the hold was looked up")
    }

    /// A hold that something is about to happen to: it is over if it is due.
    pub(super) fn meet(&mut self, id: HoldId) -> Result<Hold, Refusal> {
        if self.find(id)?.is_due(self.now) {
            self.expire(id);
        }
        self.find(id).cloned()
    }

    pub fn hold_view(&self, id: HoldId) -> Option<HoldView> {
        let hold = self.find(id).ok()?;
        let left = |deadline: ClusterTime| if hold.ended.is_some() { 0 } else { deadline.since(self.now) };
        Some(HoldView {
            hold: id,
            status: hold.status(),
            expires_at: hold.deadline,
            expires_at_utc: hold.deadline.map(|at| at.to_utc(self.utc_offset_ms.unwrap_or(0))),
            expires_in_ms: hold.deadline.map(left),
            owner: hold.asked.owner.clone(),
            order: hold.order,
            lines: hold.lines.clone(),
        })
    }

    fn hold_outcome(&self, id: HoldId) -> Outcome {
        Outcome::Hold(self.hold_view(id).expect("the hold was looked up"))
    }

    /// Open holds that are over, in the order in which they end.
    fn due(&self) -> Vec<Hold> {
        let mut due: Vec<Hold> = self.holds.iter().filter(|hold| hold.is_due(self.now)).cloned().collect();
        due.sort_by_key(|hold| (hold.deadline, hold.made_seq));
        due
    }

    pub(super) fn sweep(&mut self) {
        let limit = usize::try_from(self.config.expiries_per_entry).unwrap_or(usize::MAX);
        for hold in self.due().into_iter().take(limit) {
            self.expire(hold.id);
        }
    }

    /// What holds that are over still reserve of a row.
    pub(super) fn due_on(&self, row: &RowKey) -> i128 {
        let due = self.due();
        let lines = due.iter().flat_map(|hold| &hold.lines).filter(|line| line.row == *row);
        lines.map(|line| i128::from(line.reserved)).sum()
    }

    /// Expires holds on a row that are over, one after another, until it fits.
    pub(super) fn expire_due_on(&mut self, row: &RowKey, fits: impl Fn(&Self) -> bool) {
        for hold in self.due() {
            let is_there = hold.lines.iter().any(|line| line.reserved > 0 && line.row == *row);
            if is_there && !fits(self) {
                self.expire(hold.id);
            }
        }
    }

    /// Ends the holds that are in the way of a claim on these rows; undone when the claim comes to nothing.
    pub(super) fn claim(
        &mut self,
        parts: &[(RowKey, u64)],
        change: impl FnOnce(&mut Self),
    ) -> Result<(), Refusal> {
        let before = self.clone();
        for (row, qty) in parts.iter().filter(|(_, qty)| *qty > 0) {
            let qty = i128::from(*qty);
            self.expire_due_on(row, |naive| {
                naive.sellable(row) >= qty && naive.reserved(row) + qty <= i128::from(MAX_TOTAL)
            });
        }
        self.unless_too_large(change).inspect_err(|_| *self = before)
    }

    /// What could be sold of a row if every hold on it that is over had ended.
    pub(super) fn to_be_had(&self, row: &RowKey) -> i128 {
        self.sellable(row) + self.due_on(row)
    }

    fn expire(&mut self, id: HoldId) {
        let open = self.open_lines(id);
        self.change(id, &open, Some(EndedBy::Expiry), MovementKind::Expired, &Who::default(), |line, qty| {
            line.reserved -= qty;
            line.expired += qty;
        });
        if let Some(order) = self.find(id).expect("the hold was looked up").order {
            self.expire_order(order);
        }
    }

    /// What is still reserved of a hold.
    pub(super) fn open_lines(&self, id: HoldId) -> Vec<(RowKey, u64)> {
        let hold = self.find(id).expect("the hold was looked up");
        let open = hold.lines.iter().filter(|line| line.reserved > 0);
        open.map(|line| (line.row.clone(), line.reserved)).collect()
    }

    /// Changes lines of a hold, ends it if nothing is left reserved, and books a movement for each line.
    pub(super) fn change(
        &mut self,
        id: HoldId,
        parts: &[(RowKey, u64)],
        end: Option<EndedBy>,
        kind: MovementKind,
        who: &Who,
        change: impl Fn(&mut HoldLineView, u64),
    ) {
        let now = self.now;
        let hold = self.find_mut(id);
        for line in &mut hold.lines {
            if let Some((_, qty)) = parts.iter().find(|(row, _)| *row == line.row) {
                change(line, *qty);
            }
        }
        if hold.lines.iter().all(|line| line.reserved == 0) {
            hold.ended = end.map(|by| (by, now)).or(hold.ended);
        }
        let cause = Cause::Hold { hold: id, expires_at: hold.deadline, order: hold.order };
        for (row, qty) in parts {
            self.book(row, kind, i128::from(*qty), cause.clone(), who);
        }
        let last_seq = self.last_seq();
        self.find_mut(id).last_seq = last_seq;
    }

    pub(super) fn reserve(&mut self, command: &Command, who: Who) -> Decision {
        let Command::Reserve { hold: id, lines, ttl_ms, allow_partial, owner } = command else {
            unreachable!("only reserves come here")
        };
        let merged = merge(lines);
        let asked = Asked {
            lines: merged.clone().unwrap_or_default(),
            ttl_ms: *ttl_ms,
            allow_partial: *allow_partial,
            owner: owner.clone(),
        };
        if let Ok(hold) = self.meet(*id) {
            return if hold.asked == asked && hold.order.is_none() {
                Ok((self.hold_outcome(*id), Some(hold.made_seq)))
            } else {
                Err(Refusal::HoldExists { hold: *id, state: hold.status() })
            };
        }
        merged?;
        self.check_shape(&asked)?;
        self.check_rows(&asked.lines)?;
        let short = self.short(&asked.lines);
        let granted = self.lines_of(&asked.lines);
        if !short.is_empty() && (!allow_partial || granted.iter().all(|line| line.granted == 0)) {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        let deadline = ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms));
        let parts: Vec<_> = granted.iter().map(|line| (line.row.clone(), line.granted)).collect();
        self.claim(&parts, |naive| naive.make(*id, asked, (None, deadline), granted, &who))?;
        Ok((self.hold_outcome(*id), None))
    }

    pub(super) fn check_shape(&self, asked: &Asked) -> Result<(), Refusal> {
        let (got, limit) = (asked.lines.len() as u64, self.config.max_hold_lines);
        if got > limit {
            return Err(Refusal::TooManyLines { got, limit });
        }
        asked.ttl_ms.map_or(Ok(()), |ttl_ms| self.check_ttl(ttl_ms))
    }

    fn check_ttl(&self, ttl_ms: u64) -> Result<(), Refusal> {
        let max_ms = self.config.max_ttl_ms;
        if (1..=max_ms).contains(&ttl_ms) { Ok(()) } else { Err(Refusal::TtlOutOfRange { max_ms }) }
    }

    fn check_rows(&self, lines: &[(RowKey, u64)]) -> Result<(), Refusal> {
        let rows = || lines.iter().map(|(row, _)| row);
        let unknown: Vec<RowKey> = rows().filter(|row| self.row(row).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownItem { rows: unknown, omitted: 0 });
        }
        let retired = rows().filter(|row| self.row(row).is_some_and(|row| row.retired));
        let retired: Vec<RowKey> = retired.cloned().collect();
        if retired.is_empty() { Ok(()) } else { Err(Refusal::ItemRetired { rows: retired, omitted: 0 }) }
    }

    /// The lines that ask for more than can be sold.
    fn short(&self, lines: &[(RowKey, u64)]) -> Vec<ShortLine> {
        let short = lines.iter().filter(|(row, qty)| self.to_be_had(row) < i128::from(*qty));
        let named = short.map(|(row, qty)| ShortLine {
            row: row.clone(),
            requested: *qty,
            available: signed(self.to_be_had(row).max(0)),
        });
        named.collect()
    }

    /// Each line with as much of it as can be sold.
    fn lines_of(&self, lines: &[(RowKey, u64)]) -> Vec<HoldLineView> {
        let line = |(row, requested): &(RowKey, u64)| {
            let granted = self.to_be_had(row).clamp(0, i128::from(*requested));
            let granted = u64::try_from(granted).expect("between 0 and what was asked for");
            HoldLineView {
                row: row.clone(),
                requested: *requested,
                granted,
                reserved: granted,
                confirmed: 0,
                released: 0,
                expired: 0,
            }
        };
        lines.iter().map(line).collect()
    }

    pub(super) fn make(
        &mut self,
        id: HoldId,
        asked: Asked,
        (order, deadline): (Option<OrderId>, Option<ClusterTime>),
        lines: Vec<HoldLineView>,
        who: &Who,
    ) {
        let granted: Vec<_> = lines.iter().map(|line| (line.row.clone(), line.granted)).collect();
        let (made_seq, last_seq) = (Seq(0), Seq(0));
        self.holds.push(Hold { id, asked, order, lines, deadline, ended: None, made_seq, last_seq });
        let cause = Cause::Hold { hold: id, expires_at: deadline, order };
        for (row, qty) in granted.into_iter().filter(|(_, qty)| *qty > 0) {
            self.book(&row, MovementKind::Reserved, i128::from(qty), cause.clone(), who);
        }
        let last_seq = self.last_seq();
        let hold = self.find_mut(id);
        (hold.made_seq, hold.last_seq) = (last_seq, last_seq);
    }

    pub(super) fn confirm(
        &mut self,
        id: HoldId,
        lines: Option<&[Line]>,
        reacquire: bool,
        has_key: bool,
        who: Who,
    ) -> Decision {
        let hold = self.meet(id);
        let (lines, hold) = (part(lines, has_key)?, hold?);
        check_no_order(&hold)?;
        match hold.ended {
            None => {
                let parts = self.parts(&hold, lines, |line| line.reserved)?;
                self.unless_too_large(|naive| naive.sell(id, &parts, EndedBy::Confirm, &who))?;
                Ok((self.hold_outcome(id), None))
            }
            Some((EndedBy::Confirm, _)) => self.repeat(&hold, lines),
            Some((EndedBy::Release, _)) => Err(Refusal::HoldReleased { hold: id }),
            Some((EndedBy::Expiry, _)) if !reacquire => Err(Refusal::HoldExpired { hold: id }),
            Some((EndedBy::Expiry, _)) => self.reacquire(&hold, lines, who),
        }
    }

    pub(super) fn sell(&mut self, id: HoldId, parts: &[(RowKey, u64)], ended_by: EndedBy, who: &Who) {
        self.change(id, parts, Some(ended_by), MovementKind::Confirmed, who, |line, qty| {
            line.reserved -= qty;
            line.confirmed += qty;
        });
    }

    pub(super) fn reacquire(&mut self, hold: &Hold, lines: Option<Vec<(RowKey, u64)>>, who: Who) -> Decision {
        let parts = self.parts(hold, lines, |line| line.expired)?;
        let rows: Vec<RowKey> = parts.iter().map(|(row, _)| row.clone()).collect();
        let gone: Vec<RowKey> = rows.iter().filter(|row| self.row(row).is_none()).cloned().collect();
        if !gone.is_empty() {
            return Err(Refusal::UnknownItem { rows: gone, omitted: 0 });
        }
        let short = self.short(&parts);
        if !short.is_empty() {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        let taken: u128 = parts.iter().map(|&(_, qty)| u128::from(qty)).sum();
        let expired: u128 = hold.lines.iter().map(|line| u128::from(line.expired)).sum();
        let ended_by = if taken == expired { EndedBy::Confirm } else { EndedBy::Expiry };
        self.claim(&parts, |naive| {
            naive.change(hold.id, &parts, None, MovementKind::Reserved, &who, |line, qty| {
                line.expired -= qty;
                line.reserved += qty;
            });
            naive.sell(hold.id, &parts, ended_by, &who);
        })?;
        Ok((self.hold_outcome(hold.id), None))
    }

    pub(super) fn release(
        &mut self,
        id: HoldId,
        lines: Option<&[Line]>,
        has_key: bool,
        who: Who,
    ) -> Decision {
        let hold = self.meet(id);
        let (lines, hold) = (part(lines, has_key)?, hold?);
        check_no_order(&hold)?;
        match hold.ended {
            None => {
                let parts = self.parts(&hold, lines, |line| line.reserved)?;
                let end = Some(EndedBy::Release);
                self.change(id, &parts, end, MovementKind::Released, &who, |line, qty| {
                    line.reserved -= qty;
                    line.released += qty;
                });
                Ok((self.hold_outcome(id), None))
            }
            Some((EndedBy::Confirm, _)) => Err(Refusal::HoldConfirmed { hold: id }),
            Some((EndedBy::Release | EndedBy::Expiry, _)) => self.repeat(&hold, lines),
        }
    }

    /// The lines that were asked for, or all; every one of which there is too little is named.
    fn parts(
        &self,
        hold: &Hold,
        lines: Option<Vec<(RowKey, u64)>>,
        of: impl Fn(&HoldLineView) -> u64,
    ) -> Result<Vec<(RowKey, u64)>, Refusal> {
        let Some(lines) = lines else {
            let all = hold.lines.iter().filter(|line| of(line) > 0);
            return Ok(all.map(|line| (line.row.clone(), of(line))).collect());
        };
        let available = |row: &RowKey| hold.lines.iter().find(|line| line.row == *row).map_or(0, &of);
        let too_much = lines.iter().filter(|(row, qty)| available(row) < *qty);
        let named: Vec<ShortLine> = too_much
            .map(|(row, qty)| ShortLine {
                row: row.clone(),
                requested: *qty,
                available: signed(available(row).into()),
            })
            .collect();
        if named.is_empty() {
            Ok(lines)
        } else {
            Err(Refusal::ExceedsHold { hold: hold.id, lines: named, omitted: 0 })
        }
    }

    /// The same end once more; of a part there is nothing left.
    fn repeat(&self, hold: &Hold, lines: Option<Vec<(RowKey, u64)>>) -> Decision {
        if lines.is_some() {
            self.parts(hold, lines, |line| line.reserved)?;
        }
        Ok((self.hold_outcome(hold.id), Some(hold.last_seq)))
    }

    pub(super) fn extend(&mut self, id: HoldId, ttl_ms: u64, who: Who) -> Decision {
        let hold = self.meet(id);
        self.check_ttl(ttl_ms)?;
        let hold = hold?;
        match hold.ended {
            Some((EndedBy::Confirm, _)) => return Err(Refusal::HoldConfirmed { hold: id }),
            Some((EndedBy::Release, _)) => return Err(Refusal::HoldReleased { hold: id }),
            Some((EndedBy::Expiry, _)) => return Err(Refusal::HoldExpired { hold: id }),
            None => {}
        }
        let later = self.now.plus(ttl_ms);
        if hold.deadline.is_some_and(|deadline| deadline < later) {
            self.find_mut(id).deadline = Some(later);
            let open = self.open_lines(id);
            self.change(id, &open, None, MovementKind::Extended, &who, |_, _| {});
        }
        Ok((self.hold_outcome(id), None))
    }

    /// Forgets up to `limit` ended holds whose window is over, those that ended first before others.
    pub(super) fn forget_holds(&mut self, limit: usize) {
        for _ in 0..limit {
            let is_kept = |hold: &&Hold| self.orders.iter().any(|order| order.hold == hold.id);
            let ended = self.holds.iter().filter(|hold| !is_kept(hold));
            let ended = ended.filter_map(|hold| Some((hold.ended?.1, hold.made_seq, hold.id)));
            match ended.min() {
                Some((at, _, id)) if self.is_over(at) => {
                    self.holds.retain(|hold| hold.id != id);
                }
                _ => return,
            }
        }
    }
}
