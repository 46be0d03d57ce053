//! Making holds.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_64;

use super::holds::{Hold, HoldLine};
use super::lines::{Merged, merge};
use super::rows::signed;
use super::{By, Decision, Done, Inventory, Step};
use crate::{
    Cause, ClusterTime, HoldId, Line, MAX_TOTAL, MovementKind, OrderId, Owner, Refusal, Seq, ShortLine,
};

/// What is asked for: the fields of [`crate::Command::Reserve`], and the order that asks.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    pub hold: HoldId,
    pub lines: &'a [Line],
    pub ttl_ms: Option<u64>,
    pub allow_partial: bool,
    pub owner: Option<&'a Owner>,
    pub order: Option<OrderId>,
}

/// One line that is asked for, its row, and what it gets.
pub struct Claim<'a> {
    merged: Merged<'a>,
    row: u32,
    /// What the hold that this one takes the place of has of the row. It can always be had again.
    own: u64,
    granted: u64,
}

impl Claim<'_> {
    /// What it takes of the row beyond what it can have again.
    fn more(&self) -> u64 {
        self.granted.saturating_sub(self.own)
    }
}

impl Inventory {
    pub(super) fn reserve(&mut self, step: &mut Step, by: By<'_>, ask: &Ask<'_>) -> Decision {
        let merged = merge(ask.lines);
        if let Some(ix) = self.meet_hold(step, ask.hold) {
            return self.same_hold(ix, merged.is_ok_and(|merged| self.is_content(ix, ask, &merged)));
        }
        let merged = merged?;
        self.check_shape(merged.len(), ask.ttl_ms)?;
        let content = content_hash(ask, &merged);
        let mut claims = self.claims(merged, None)?;
        self.grant(step, &mut claims, ask.allow_partial)?;
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is(crate::planted::Bug::LostLine) && claims.len() > 1 {
            claims.pop();
        }
        let ix = self.make_hold(step, by, ask, (content, self.deadline_of(ask.ttl_ms)), &claims);
        Ok(Done::now(self.hold_outcome(ix)))
    }

    fn is_content(&self, ix: u32, ask: &Ask<'_>, merged: &[Merged<'_>]) -> bool {
        self.holds.get(ix).content == content_hash(ask, merged)
    }

    /// The answer to a second use of a hold's id.
    fn same_hold(&self, ix: u32, same_content: bool) -> Decision {
        let hold = self.holds.get(ix);
        if same_content {
            Ok(Done::before(self.hold_outcome(ix), Seq(hold.made_seq)))
        } else {
            Err(Refusal::HoldExists { hold: hold.id, state: hold.status() })
        }
    }

    pub(super) fn check_shape(&self, lines: usize, ttl_ms: Option<u64>) -> Result<(), Refusal> {
        let (got, limit) = (lines as u64, self.config.max_hold_lines);
        if got > limit {
            return Err(Refusal::TooManyLines { got, limit });
        }
        ttl_ms.map_or(Ok(()), |ttl_ms| self.check_ttl(ttl_ms))
    }

    pub(super) fn check_ttl(&self, ttl_ms: u64) -> Result<(), Refusal> {
        let max_ms = self.config.max_ttl_ms;
        if ttl_ms == 0 || ttl_ms > max_ms { Err(Refusal::TtlOutOfRange { max_ms }) } else { Ok(()) }
    }

    /// The lines with their rows; names every row that does not exist, or else every one that takes no new holds.
    /// `old` is the hold that the new one takes the place of.
    pub(super) fn claims<'a>(
        &self,
        merged: Vec<Merged<'a>>,
        old: Option<u32>,
    ) -> Result<Vec<Claim<'a>>, Refusal> {
        let had: BTreeMap<u32, u64> =
            old.map_or_else(BTreeMap::new, |old| self.holds.get(old).reserved_lines().collect());
        let mut claims = Vec::with_capacity(merged.len());
        let (mut missing, mut retired) = (Vec::new(), Vec::new());
        for merged in merged {
            let Some(row) = self.find_row(&merged.line.store, &merged.line.item) else {
                missing.push(merged.key());
                continue;
            };
            let own = had.get(&row).copied().unwrap_or_default();
            if self.rows.get(row).retired && merged.qty > own {
                retired.push(merged.key());
            }
            claims.push(Claim { merged, row, own, granted: 0 });
        }
        if !missing.is_empty() {
            return Err(Refusal::UnknownItem { rows: missing, omitted: 0 });
        }
        if !retired.is_empty() {
            return Err(Refusal::ItemRetired { rows: retired, omitted: 0 });
        }
        Ok(claims)
    }

    /// Settles how much each line gets, and ends the holds on these rows that are over and in the way of it. What is
    /// refused ends none.
    pub(super) fn grant(
        &mut self,
        step: &mut Step,
        claims: &mut [Claim<'_>],
        allow_partial: bool,
    ) -> Result<(), Refusal> {
        let short = self.measure(claims);
        let nothing = claims.iter().all(|claim| claim.granted == 0);
        if !short.is_empty() && (!allow_partial || nothing) {
            return Err(Refusal::InsufficientStock { lines: short, omitted: 0 });
        }
        if let Some(claim) = claims.iter().find(|claim| !self.has_room_for(claim.row, claim.more())) {
            return Err(Refusal::QuantityOutOfRange { row: Some(claim.merged.key()) });
        }
        for claim in claims.iter().filter(|claim| claim.more() > 0) {
            self.expire_due_on(step, claim.row, |row| row.may_reserve(claim.more()));
        }
        Ok(())
    }

    /// Gives each line what is to be had of it now; returns those that are short.
    fn measure(&mut self, claims: &mut [Claim<'_>]) -> Vec<ShortLine> {
        let mut short = Vec::new();
        for claim in claims {
            let requested = claim.merged.qty;
            let sellable = self.sellable_for(claim.row, requested.saturating_sub(claim.own)).max(0);
            let available = sellable.saturating_add_unsigned(claim.own);
            claim.granted = requested.min(available.unsigned_abs());
            if claim.granted < requested {
                short.push(ShortLine { row: claim.merged.key(), requested, available });
            }
        }
        short
    }

    /// What can be sold of a row. Where that is less than `wanted`, what holds that are over reserve of it counts as well.
    pub(super) fn sellable_for(&mut self, row: u32, wanted: u64) -> i64 {
        let sellable = self.rows.get(row).sellable();
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is(crate::planted::Bug::RefusedForAHoldThatIsOver) {
            return sellable;
        }
        if sellable >= signed(wanted) { sellable } else { sellable.saturating_add_unsigned(self.due_on(row)) }
    }

    /// Whether a row's reserved total has room for `qty` more, without what holds that are over reserve of it.
    pub(super) fn has_room_for(&mut self, row: u32, qty: u64) -> bool {
        let total = self.rows.get(row).reserved + qty;
        total <= MAX_TOTAL || total - self.due_on(row) <= MAX_TOTAL
    }

    pub(super) fn deadline_of(&self, ttl_ms: Option<u64>) -> Option<ClusterTime> {
        ttl_ms.map(|ttl_ms| self.clock.now.plus(ttl_ms))
    }

    /// Makes a hold of what was granted, known by the hash `content`; returns its place.
    pub(super) fn make_hold(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ask: &Ask<'_>,
        (content, deadline): (u64, Option<ClusterTime>),
        claims: &[Claim<'_>],
    ) -> u32 {
        let cause = Cause::Hold { hold: ask.hold, expires_at: deadline, order: ask.order };
        for claim in claims.iter().filter(|claim| claim.granted > 0) {
            self.take(step, by, claim.row, claim.granted, cause.clone());
        }
        let line = |claim: &Claim<'_>| HoldLine {
            row: claim.row,
            requested: claim.merged.qty,
            granted: claim.granted,
            reserved: claim.granted,
            confirmed: 0,
            released: 0,
        };
        let seq = self.clock.last_seq.0;
        let hold = Hold {
            id: ask.hold,
            content,
            owner: ask.owner.cloned(),
            order: ask.order,
            made_seq: seq,
            last_seq: seq,
            deadline,
            ended_by: None,
            ended_at: ClusterTime(0),
            lines: claims.iter().map(line).collect(),
        };
        self.sums.holds = self.sums.holds.wrapping_add(self.hold_digest(&hold));
        self.holds.insert(hold)
    }

    /// Moves `qty` of a row from available to reserved.
    pub(super) fn take(&mut self, step: &mut Step, by: By<'_>, row: u32, qty: u64, cause: Cause) {
        self.book(step, by, row, (MovementKind::Reserved, signed(qty), cause), |row| {
            row.available -= signed(qty);
            row.reserved += qty;
        });
    }
}

/// Hash of what a hold is asked for.
pub fn content_hash(ask: &Ask<'_>, merged: &[Merged<'_>]) -> u64 {
    /// What a line takes, with names of usual length.
    const USUAL_LINE_BYTES: usize = 48;
    let mut bytes = Vec::with_capacity(USUAL_LINE_BYTES * (merged.len() + 1));
    let mut put = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    for merged in merged {
        put(merged.line.store.as_str().as_bytes());
        put(merged.line.item.as_str().as_bytes());
        put(&merged.qty.to_le_bytes());
    }
    put(&[u8::from(ask.allow_partial)]);
    put(ask.ttl_ms.map(u64::to_le_bytes).as_ref().map_or(&[], |bytes| &bytes[..]));
    put(ask.owner.map_or(&[], |owner| owner.as_str().as_bytes()));
    if let Some(order) = ask.order {
        put(order.uuid().as_bytes());
    }
    xxh3_64(&bytes)
}
