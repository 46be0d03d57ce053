//! The end of holds by their deadline, and the end of what is remembered.

use super::digest::Kind;
use super::holds::EndedBy;
use super::rows::{Row, signed};
use super::{By, Inventory, Step};
use crate::{Cause, ClusterTime, Command, MovementKind};

/// How many records of each kind an entry forgets at most, beyond two for each of its commands: a backlog always shrinks,
/// since a command adds one of a kind, and no entry takes long.
const FORGET_PER_ENTRY: usize = 64;

impl Inventory {
    /// Expires what is due, oldest first, up to the limit of an entry.
    pub(super) fn sweep(&mut self, step: &mut Step) {
        for _ in 0..self.config.expiries_per_entry {
            match self.holds.next_due() {
                Some((deadline, ix)) if deadline <= self.clock.now => self.expire(step, ix),
                _ => return,
            }
        }
    }

    /// What holds that are over still reserve of a row: nobody's any more, so that no refusal may rest on it.
    pub(super) fn due_on(&mut self, row: u32) -> u64 {
        self.holds.due_on(row, self.clock.now)
    }

    /// Expires due holds on a row, oldest first, until it `fits` what is asked of it, and no more than that: a command is
    /// not made to pay for a backlog that it does not need.
    pub(super) fn expire_due_on(&mut self, step: &mut Step, row: u32, fits: impl Fn(&Row) -> bool) {
        while !fits(self.rows.get(row))
            && let Some(ix) = self.holds.next_due_on(row, self.clock.now)
        {
            self.expire(step, ix);
        }
    }

    /// Expires one hold when it is due.
    pub(super) fn expire_if_due(&mut self, step: &mut Step, ix: u32) {
        let hold = self.holds.get(ix);
        if hold.ended_by.is_none() && hold.deadline.is_some_and(|deadline| deadline <= self.clock.now) {
            self.expire(step, ix);
        }
    }

    fn expire(&mut self, step: &mut Step, ix: u32) {
        let hold = self.holds.get(ix);
        let order = hold.order;
        let cause = Cause::Hold { hold: hold.id, expires_at: hold.deadline, order };
        let open: Vec<(u32, u64)> = hold.reserved_lines().collect();
        for (row, qty) in open {
            self.give_back(step, By::default(), row, qty, (MovementKind::Expired, cause.clone()));
        }
        let (now, last_seq) = (self.clock.now, self.clock.last_seq.0);
        self.change_hold(ix, |hold| {
            for line in hold.lines.as_mut_slice() {
                line.reserved = 0;
            }
            hold.ended_by = Some(EndedBy::Expiry);
            hold.ended_at = now;
            hold.last_seq = last_seq;
        });
        if let Some(order) = order {
            self.expire_order(step, order);
        }
    }

    /// Moves `qty` of a row from reserved back to available.
    pub(super) fn give_back(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        row: u32,
        qty: u64,
        (kind, cause): (MovementKind, Cause),
    ) {
        self.book(step, by, row, (kind, signed(qty), cause), |row| {
            row.reserved -= qty;
            row.available += signed(qty);
        });
    }

    /// Forgets keys, events, holds, transfers and orders whose windows are over, up to the limit of an entry.
    pub(super) fn forget(&mut self, requests: usize) {
        let limit = FORGET_PER_ENTRY.saturating_add(requests.saturating_mul(2));
        let kinds = [
            Self::forget_key,
            Self::forget_event,
            Self::forget_hold,
            Self::forget_transfer,
            Self::forget_order,
        ];
        for forget in kinds {
            for _ in 0..limit {
                if !forget(self) {
                    break;
                }
            }
        }
    }

    fn is_over(&self, at: ClusterTime, window_ms: u64) -> bool {
        self.clock.now.since(at) > window_ms
    }

    fn forget_key(&mut self) -> bool {
        match self.keys.oldest() {
            Some(key) if self.is_over(key.at, self.config.key_window_ms) => {
                self.sums.keys = self.sums.keys.wrapping_sub(key.digest(Kind::Key));
                self.keys.forget_oldest();
                true
            }
            _ => false,
        }
    }

    fn forget_event(&mut self) -> bool {
        match self.events.oldest() {
            Some(event) if self.is_over(event.at, self.config.event_window_ms) => {
                self.sums.keys = self.sums.keys.wrapping_sub(event.digest(Kind::Event));
                self.events.forget_oldest();
                true
            }
            _ => false,
        }
    }

    fn forget_hold(&mut self) -> bool {
        match self.holds.first_ended() {
            Some((at, ix)) if self.may_forget_ended(at) => {
                self.drop_hold(ix);
                true
            }
            _ => false,
        }
    }

    fn drop_hold(&mut self, ix: u32) {
        let digest = self.hold_digest(self.holds.get(ix));
        self.sums.holds = self.sums.holds.wrapping_sub(digest);
        self.holds.forget(ix);
    }

    fn forget_transfer(&mut self) -> bool {
        match self.transfers.first_ended() {
            Some((at, ix)) if self.may_forget_ended(at) => {
                let digest = self.transfer_digest(self.transfers.get(ix));
                self.sums.transfers = self.sums.transfers.wrapping_sub(digest);
                self.transfers.forget(ix);
                true
            }
            _ => false,
        }
    }

    /// Forgets an order and the hold that it keeps.
    fn forget_order(&mut self) -> bool {
        match self.orders.first_ended() {
            Some((at, ix)) if self.may_forget_ended(at) => {
                self.drop_hold(self.hold_of(ix));
                self.sums.orders = self.sums.orders.wrapping_sub(self.orders.get(ix).digest());
                self.orders.forget(ix);
                true
            }
            _ => false,
        }
    }

    /// A key remembers a hold, a transfer or an order by its id alone, so nothing is forgotten before the keys that tell of it.
    fn may_forget_ended(&self, at: ClusterTime) -> bool {
        let key_remains = self.keys.oldest().is_some_and(|key| key.at <= at);
        self.is_over(at, self.config.ended_window_ms) && !key_remains
    }

    /// Starts the window of the ended hold, transfer or order of `command` again: a key that tells of it was just remembered.
    pub(super) fn keep_ended(&mut self, command: &Command) {
        let now = self.clock.now;
        if let Some(ix) = command.hold().and_then(|hold| self.holds.find(hold))
            && self.holds.get(ix).ended_by.is_some()
            && self.holds.get(ix).ended_at < now
        {
            self.change_hold(ix, |hold| hold.ended_at = now);
        }
        if let Some(ix) = command.transfer().and_then(|transfer| self.transfers.find(transfer))
            && self.transfers.get(ix).ended_at.is_some_and(|at| at < now)
        {
            self.change_transfer(ix, |transfer| transfer.ended_at = Some(now));
        }
        if let Some(ix) = command.order().and_then(|order| self.orders.find(order))
            && self.orders.get(ix).ended_at.is_some_and(|at| at < now)
        {
            self.change_order(ix, |order| order.ended_at = Some(now));
        }
    }
}
