//! The end of holds by their deadline, and the end of what is remembered.

use super::holds::EndedBy;
use super::{By, Inventory, Step};
use crate::{Cause, HoldStatus, MovementKind};

/// How much an entry forgets at least, beyond twice its commands: a backlog always shrinks, and no entry takes long.
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

    /// Expires the due holds on `rows`, oldest first. True when there were any: what was refused for stock may be
    /// asked again.
    pub(super) fn expire_due_on(&mut self, step: &mut Step, rows: &[u32]) -> bool {
        let now = self.clock.now;
        let mut due: Vec<_> = rows.iter().flat_map(|&row| self.holds.due_on_row(row, now)).collect();
        due.sort_unstable();
        due.dedup();
        for &(_, _, ix) in &due {
            self.expire(step, ix);
        }
        !due.is_empty()
    }

    /// Expires one hold when it is due, so that no action ever meets a hold that is over.
    pub(super) fn expire_if_due(&mut self, step: &mut Step, ix: u32) {
        let hold = self.holds.get(ix);
        if hold.ended.is_none() && hold.deadline.is_some_and(|deadline| deadline <= self.clock.now) {
            self.expire(step, ix);
        }
    }

    fn expire(&mut self, step: &mut Step, ix: u32) {
        let hold = self.holds.get(ix);
        let cause = Cause::Hold { hold: hold.id, expires_at: hold.deadline };
        let open: Vec<(u32, u64)> = hold
            .lines
            .as_slice()
            .iter()
            .filter(|line| line.reserved > 0)
            .map(|line| (line.row, line.reserved))
            .collect();
        for (row, qty) in open {
            self.give_back(step, By::default(), row, qty, MovementKind::Expired, cause.clone());
        }
        let (now, last_seq) = (self.clock.now, self.clock.last_seq.0);
        self.change_hold(ix, |hold| {
            for line in hold.lines.as_mut_slice() {
                line.reserved = 0;
            }
            hold.status = if hold.was_confirmed() { HoldStatus::Confirmed } else { HoldStatus::Expired };
            hold.ended = Some((EndedBy::Expiry, now));
            hold.last_seq = last_seq;
        });
    }

    /// Moves `qty` of a row from reserved back to available.
    pub(super) fn give_back(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        row: u32,
        qty: u64,
        kind: MovementKind,
        cause: Cause,
    ) {
        self.book(step, by, row, (kind, signed(qty), cause), |row| {
            row.reserved -= qty;
            row.available += signed(qty);
        });
    }

    /// Forgets keys, events, holds and transfers whose windows are over, up to the limit of an entry.
    pub(super) fn forget(&mut self, requests: usize) {
        let now = self.clock.now;
        for _ in 0..FORGET_PER_ENTRY + 2 * requests {
            let keys_over =
                self.keys.oldest().is_some_and(|key| now.since(key.at) > self.config.key_window_ms);
            if keys_over {
                self.sums.keys = self.sums.keys.wrapping_sub(self.keys.forget_oldest());
            }
            let window = self.config.event_window_ms;
            let events_over = self.events.oldest().is_some_and(|event| now.since(event.at) > window);
            if events_over {
                self.sums.keys = self.sums.keys.wrapping_sub(self.events.forget_oldest());
            }
            if !(self.forget_hold() | self.forget_transfer() | keys_over | events_over) {
                return;
            }
        }
    }

    fn forget_hold(&mut self) -> bool {
        match self.holds.first_ended() {
            Some((at, ix)) if self.clock.now.since(at) > self.config.ended_window_ms => {
                let digest = self.hold_digest(self.holds.get(ix));
                self.sums.holds = self.sums.holds.wrapping_sub(digest);
                self.holds.forget(ix);
                true
            }
            _ => false,
        }
    }

    fn forget_transfer(&mut self) -> bool {
        match self.transfers.first_ended() {
            Some((at, id)) if self.clock.now.since(at) > self.config.ended_window_ms => {
                if let Some(transfer) = self.transfers.forget(at, id) {
                    let digest = self.transfer_digest(id, &transfer);
                    self.sums.transfers = self.sums.transfers.wrapping_sub(digest);
                }
                true
            }
            _ => false,
        }
    }
}

/// A total as a signed number: it fits 53 bits.
pub(super) fn signed(qty: u64) -> i64 {
    i64::try_from(qty).expect("totals fit 53 bits")
}
