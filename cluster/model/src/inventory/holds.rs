//! Holds: open ones with their deadlines, and ended ones for as long as they are remembered.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::digest::{Bytes, Kind};
use super::paged::Paged;
use super::rows::RowNames;
use super::slab::{Identified, Slab};
use crate::{ClusterTime, HoldId, HoldStatus, OrderId, Owner};

/// What ended a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    Confirm = 1,
    Release,
    Expiry,
    /// Its order has another hold now.
    Replacement,
}

/// One line of a hold. What is neither reserved, confirmed nor released of `granted` has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
    /// The row's place, which it keeps even when it is taken away.
    pub row: u32,
    pub requested: u64,
    pub granted: u64,
    pub reserved: u64,
    pub confirmed: u64,
    pub released: u64,
}

impl HoldLine {
    pub fn expired(&self) -> u64 {
        self.granted - self.reserved - self.confirmed - self.released
    }

    /// Whether the line's parts fit into what was granted.
    pub fn is_whole(&self) -> bool {
        let used = self.reserved.checked_add(self.confirmed).and_then(|used| used.checked_add(self.released));
        used.is_some_and(|used| used <= self.granted) && self.granted <= self.requested
    }
}

/// The lines of a hold; most have one, which needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldLines {
    One(HoldLine),
    Many(Box<[HoldLine]>),
}

impl FromIterator<HoldLine> for HoldLines {
    fn from_iter<I: IntoIterator<Item = HoldLine>>(lines: I) -> Self {
        let mut lines = lines.into_iter();
        match (lines.next(), lines.next()) {
            (Some(line), None) => Self::One(line),
            (first, second) => Self::Many(first.into_iter().chain(second).chain(lines).collect()),
        }
    }
}

impl HoldLines {
    pub fn as_slice(&self) -> &[HoldLine] {
        match self {
            Self::One(line) => std::slice::from_ref(line),
            Self::Many(lines) => lines,
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [HoldLine] {
        match self {
            Self::One(line) => std::slice::from_mut(line),
            Self::Many(lines) => lines,
        }
    }
}

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub id: HoldId,
    /// Hash of what was asked for, to tell a repeat from another use of the id.
    pub content: u64,
    pub owner: Option<Owner>,
    /// The order whose goods it holds: it ends with that alone.
    pub order: Option<OrderId>,
    /// The last movement of its making. No two holds share it, so it orders those that are due or ended together.
    pub made_seq: u64,
    /// The last movement that it made.
    pub last_seq: u64,
    pub deadline: Option<ClusterTime>,
    /// What ended it; none while it is open.
    pub ended_by: Option<EndedBy>,
    /// From when on it is remembered for the window of ended holds; 0 while it is open.
    pub ended_at: ClusterTime,
    pub lines: HoldLines,
}

impl Identified for Hold {
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Hold {
    pub fn lines(&self) -> &[HoldLine] {
        self.lines.as_slice()
    }

    pub fn is_open(&self) -> bool {
        self.lines().iter().any(|line| line.reserved > 0)
    }

    /// Rows and quantities of the lines that still reserve something.
    pub fn reserved_lines(&self) -> impl Iterator<Item = (u32, u64)> {
        self.lines().iter().map(|line| (line.row, line.reserved)).filter(|&(_, qty)| qty > 0)
    }

    /// An ended hold is confirmed when any unit was sold, else it is as its last act says.
    pub fn status(&self) -> HoldStatus {
        let sold = self.lines().iter().any(|line| line.confirmed > 0);
        match self.ended_by {
            None => HoldStatus::Held,
            Some(_) if sold => HoldStatus::Confirmed,
            Some(EndedBy::Confirm) => HoldStatus::Confirmed,
            Some(EndedBy::Release | EndedBy::Replacement) => HoldStatus::Released,
            Some(EndedBy::Expiry) => HoldStatus::Expired,
        }
    }

    /// Whether its order keeps it: then it is forgotten along with that.
    pub fn is_kept(&self) -> bool {
        self.order.is_some() && self.ended_by != Some(EndedBy::Replacement)
    }

    /// The hold's share of the digest: one hash for itself and one for each line.
    pub fn digest(&self, names: impl Fn(u32) -> RowNames) -> u128 {
        let id = self.id.uuid().as_u128();
        let owner = self.owner.as_ref().map_or(0, |owner| xxh3_128(owner.as_str().as_bytes()));
        let order = self.order.map_or(0, |order| order.uuid().as_u128());
        let ended_by = self.ended_by.map_or(0, |by| by as u64);
        let head = Bytes::new()
            .wide(id)
            .wide(owner)
            .wide(order)
            .numbers(&[u64::from(self.order.is_some())])
            .optional(self.deadline.map(|deadline| deadline.0))
            .numbers(&[self.content, self.made_seq, self.last_seq, ended_by, self.ended_at.0])
            .hash(Kind::Hold);
        (0_u64..).zip(self.lines()).fold(head, |sum, (place, line)| {
            let row = names(line.row);
            let numbers = [place, line.requested, line.granted, line.reserved, line.confirmed, line.released];
            let mut line = Bytes::new();
            line.wide(id).wide(row.store).wide(row.item).numbers(&numbers);
            sum.wrapping_add(line.hash(Kind::HoldLine))
        })
    }
}

/// What orders holds that are due: oldest deadline first, then the order in which they were made.
pub type Turn = (ClusterTime, u64, u32);

/// All holds, and the ways to find them.
#[derive(Default)]
pub struct Holds {
    holds: Slab<Hold>,
    /// Open holds that have a deadline.
    deadlines: BTreeSet<Turn>,
    /// Lines of open holds by row, as far as their deadline is at or before `listed_until`. Holds are rarely due and
    /// not swept, so this is made when somebody asks, and costs nothing before that.
    due_by_row: BTreeSet<(u32, Turn)>,
    /// What those lines reserve, by row.
    due_units: BTreeMap<u32, u64>,
    listed_until: Option<ClusterTime>,
    ended: BTreeSet<Turn>,
    /// Ended holds that their orders keep.
    kept: u64,
}

impl Holds {
    pub fn find(&self, id: HoldId) -> Option<u32> {
        self.holds.find(id.uuid())
    }

    pub fn get(&self, ix: u32) -> &Hold {
        self.holds.get(ix)
    }

    /// Adds a hold whose id is new; returns its place.
    pub fn insert(&mut self, hold: Hold) -> u32 {
        let ix = self.holds.insert(hold);
        self.list(ix);
        ix
    }

    /// Changes a hold and keeps every index right.
    pub fn change(&mut self, ix: u32, change: impl FnOnce(&mut Hold)) {
        self.unlist(ix);
        change(self.holds.get_mut(ix));
        self.list(ix);
    }

    /// Forgets a hold.
    pub fn forget(&mut self, ix: u32) {
        self.unlist(ix);
        self.holds.remove(ix);
    }

    fn list(&mut self, ix: u32) {
        let hold = self.holds.get(ix);
        if hold.ended_by.is_some() && hold.is_kept() {
            self.kept += 1;
        } else if hold.ended_by.is_some() {
            self.ended.insert((hold.ended_at, hold.made_seq, ix));
        } else if let Some(deadline) = hold.deadline {
            let turn = (deadline, hold.made_seq, ix);
            self.deadlines.insert(turn);
            if Some(deadline) <= self.listed_until {
                for (row, qty) in hold.reserved_lines() {
                    self.due_by_row.insert((row, turn));
                    *self.due_units.entry(row).or_default() += qty;
                }
            }
        }
    }

    fn unlist(&mut self, ix: u32) {
        let hold = self.holds.get(ix);
        if hold.ended_by.is_some() && hold.is_kept() {
            self.kept -= 1;
        } else if hold.ended_by.is_some() {
            self.ended.remove(&(hold.ended_at, hold.made_seq, ix));
        } else if let Some(deadline) = hold.deadline {
            let turn = (deadline, hold.made_seq, ix);
            self.deadlines.remove(&turn);
            if Some(deadline) <= self.listed_until {
                for (row, qty) in hold.reserved_lines() {
                    self.due_by_row.remove(&(row, turn));
                    if let Entry::Occupied(mut units) = self.due_units.entry(row) {
                        *units.get_mut() -= qty;
                        if *units.get() == 0 {
                            units.remove();
                        }
                    }
                }
            }
        }
    }

    /// The open hold with the earliest deadline.
    pub fn next_due(&self) -> Option<(ClusterTime, u32)> {
        self.deadlines.first().map(|&(deadline, _, ix)| (deadline, ix))
    }

    /// Units of `row` that open holds whose deadline has come still reserve.
    pub fn due_on(&mut self, row: u32, now: ClusterTime) -> u64 {
        self.list_due(now);
        self.due_units.get(&row).copied().unwrap_or_default()
    }

    /// The open hold on `row` whose deadline has come and whose turn is next.
    pub fn next_due_on(&mut self, row: u32, now: ClusterTime) -> Option<u32> {
        self.list_due(now);
        let all = (row, (ClusterTime(0), 0, 0))..=(row, (now, u64::MAX, u32::MAX));
        self.due_by_row.range(all).next().map(|&(_, (_, _, ix))| ix)
    }

    /// Lists by row the open holds that have come due since the last time.
    fn list_due(&mut self, now: ClusterTime) {
        if self.next_due().is_none_or(|(deadline, _)| deadline > now) {
            return;
        }
        let from = match self.listed_until {
            Some(until) if until >= now => return,
            Some(until) => Bound::Excluded((until, u64::MAX, u32::MAX)),
            None => Bound::Unbounded,
        };
        let to = Bound::Included((now, u64::MAX, u32::MAX));
        let units = &mut self.due_units;
        let lines = self.deadlines.range((from, to)).flat_map(|&turn| {
            self.holds.get(turn.2).reserved_lines().map(move |(row, qty)| (row, qty, turn))
        });
        let lines = lines.map(|(row, qty, turn)| {
            *units.entry(row).or_default() += qty;
            (row, turn)
        });
        // A set that is made at once, from a million lines, takes a fraction of the time.
        if self.due_by_row.is_empty() {
            self.due_by_row = lines.collect();
        } else {
            self.due_by_row.extend(lines);
        }
        self.listed_until = Some(now);
    }

    /// The hold that ended first, of those that no order keeps.
    pub fn first_ended(&self) -> Option<(ClusterTime, u32)> {
        self.ended.first().map(|&(at, _, ix)| (at, ix))
    }

    pub fn open_count(&self) -> u64 {
        self.holds.len() as u64 - self.ended_count()
    }

    pub fn ended_count(&self) -> u64 {
        self.ended.len() as u64 + self.kept
    }

    pub fn due_count(&self, now: ClusterTime) -> u64 {
        self.deadlines.range(..=(now, u64::MAX, u32::MAX)).count() as u64
    }

    /// The holds without the ways to find them: enough for a frozen state.
    pub fn frozen(&self) -> Paged<Option<Hold>> {
        self.holds.places()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: u128, deadline: u64, rows: &[u32]) -> Hold {
        let line = |&row| HoldLine { row, requested: 2, granted: 2, reserved: 2, confirmed: 0, released: 0 };
        Hold {
            id: HoldId::from_uuid(Uuid::from_u128(id)),
            content: 0,
            owner: None,
            order: None,
            made_seq: u64::try_from(id).unwrap(),
            last_seq: 0,
            deadline: Some(ClusterTime(deadline)),
            ended_by: None,
            ended_at: ClusterTime(0),
            lines: rows.iter().map(line).collect(),
        }
    }

    /// The holds that are due on a row, in turn; what they reserve of it is what is told.
    fn due(holds: &mut Holds, row: u32, now: u64) -> Vec<u64> {
        let now = ClusterTime(now);
        let units = holds.due_on(row, now);
        let listed: Vec<u32> =
            holds.due_by_row.iter().filter(|(other, _)| *other == row).map(|(_, turn)| turn.2).collect();
        assert_eq!(holds.next_due_on(row, now), listed.first().copied());
        let reserved = listed.iter().flat_map(|&ix| holds.get(ix).reserved_lines());
        assert_eq!(units, reserved.filter(|&(other, _)| other == row).map(|(_, qty)| qty).sum::<u64>());
        listed.into_iter().map(|ix| holds.get(ix).made_seq).collect()
    }

    #[test]
    fn due_holds_are_found_by_row_in_turn_also_after_changes() {
        let mut holds = Holds::default();
        for (id, deadline, rows) in [(1, 30, &[7, 8][..]), (2, 10, &[7]), (3, 10, &[8]), (4, 50, &[7])] {
            holds.insert(hold(id, deadline, rows));
        }
        assert_eq!(due(&mut holds, 7, 9), [0_u64; 0]);
        assert_eq!(due(&mut holds, 7, 30), [2, 1]);
        assert_eq!(due(&mut holds, 8, 30), [3, 1]);
        let place = |holds: &Holds, id| holds.find(HoldId::from_uuid(Uuid::from_u128(id))).unwrap();
        let first = place(&holds, 1);
        holds.change(first, |hold| hold.lines.as_mut_slice()[1].reserved = 0);
        let second = place(&holds, 2);
        holds.change(second, |hold| hold.deadline = Some(ClusterTime(60)));
        holds.insert(hold(5, 20, &[8]));
        assert_eq!(due(&mut holds, 7, 30), [1]);
        assert_eq!(due(&mut holds, 8, 30), [3, 5]);
        assert_eq!(due(&mut holds, 7, 60), [1, 4, 2]);
        assert_eq!(due(&mut holds, 9, 60), [0_u64; 0]);
    }

    #[test]
    fn one_line_is_kept_inline_and_more_are_not() {
        assert!(matches!(hold(1, 1, &[7]).lines, HoldLines::One(_)));
        let three = hold(1, 1, &[7, 8, 9]);
        assert_eq!(three.lines().iter().map(|line| line.row).collect::<Vec<_>>(), [7, 8, 9]);
    }
}
