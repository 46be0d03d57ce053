//! Holds: open ones with their deadlines, and ended ones for as long as they are remembered.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::paged::Paged;
use crate::{ClusterTime, HoldId, HoldStatus, Owner};

/// What ended a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    Confirm,
    Release,
    Expiry,
}

/// One line of a hold. What is neither reserved, confirmed nor released of `granted` has expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLine {
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
}

/// The lines of a hold; most have one, which needs no allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HoldLines {
    One(HoldLine),
    Many(Box<[HoldLine]>),
}

impl From<Vec<HoldLine>> for HoldLines {
    fn from(mut lines: Vec<HoldLine>) -> Self {
        if lines.len() == 1 { Self::One(lines.remove(0)) } else { Self::Many(lines.into()) }
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
    /// The last movement of its making; orders holds of the same deadline.
    pub made_seq: u64,
    /// The last movement that it made.
    pub last_seq: u64,
    pub deadline: Option<ClusterTime>,
    pub status: HoldStatus,
    /// What ended it and when; none while it is open.
    pub ended: Option<(EndedBy, ClusterTime)>,
    pub lines: HoldLines,
}

impl Hold {
    pub fn is_open(&self) -> bool {
        self.lines.as_slice().iter().any(|line| line.reserved > 0)
    }

    pub fn was_confirmed(&self) -> bool {
        self.lines.as_slice().iter().any(|line| line.confirmed > 0)
    }

    /// The hold's share of the digest, with the hash of each row's names in place of its number.
    pub fn digest(&self, row_hash: impl Fn(u32) -> (u128, u128)) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(self.id.uuid().as_bytes());
        hash.update(self.owner.as_ref().map_or("", Owner::as_str).as_bytes());
        let (ended_by, ended_at) = self.ended.map_or((0, 0), |(by, at)| (by as u64 + 1, at.0));
        let deadline = self.deadline.map_or(u64::MAX, |deadline| deadline.0);
        let status = self.status as u64;
        for field in [self.content, self.made_seq, self.last_seq, deadline, status, ended_by, ended_at] {
            hash.update(&field.to_le_bytes());
        }
        for line in self.lines.as_slice() {
            let (store, item) = row_hash(line.row);
            hash.update(&store.to_le_bytes());
            hash.update(&item.to_le_bytes());
            for field in [line.requested, line.granted, line.reserved, line.confirmed, line.released] {
                hash.update(&field.to_le_bytes());
            }
        }
        hash.digest128()
    }
}

/// All holds, and the ways to find them.
#[derive(Clone, Default)]
pub struct Holds {
    holds: Paged<Option<Hold>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    deadlines: BTreeSet<(ClusterTime, u64, u32)>,
    /// Open holds with a deadline, by row.
    by_row: BTreeSet<(u32, ClusterTime, u64, u32)>,
    ended: BTreeSet<(ClusterTime, u64, u32)>,
    open: u64,
}

fn id_hash(id: HoldId) -> u64 {
    xxh3_64(id.uuid().as_bytes())
}

impl Holds {
    pub fn find(&self, id: HoldId) -> Option<u32> {
        let same = |&ix: &u32| self.holds.get(ix).as_ref().is_some_and(|hold| hold.id == id);
        self.index.find(id_hash(id), same).copied()
    }

    /// The hold at `ix`.
    ///
    /// # Panics
    /// When there is none: places come from [`Self::find`] and the indexes alone.
    pub fn get(&self, ix: u32) -> &Hold {
        self.holds.get(ix).as_ref().expect("a place that was found holds a hold")
    }

    pub fn insert(&mut self, hold: Hold) -> u32 {
        let id = hold.id;
        let ix = match self.free.pop() {
            Some(ix) => {
                *self.holds.get_mut(ix) = Some(hold);
                ix
            }
            None => self.holds.push(Some(hold)),
        };
        let holds = &self.holds;
        self.index
            .insert_unique(id_hash(id), ix, |&ix| holds.get(ix).as_ref().map_or(0, |hold| id_hash(hold.id)));
        self.list(ix);
        ix
    }

    /// Changes a hold and keeps every index right.
    pub fn change(&mut self, ix: u32, change: impl FnOnce(&mut Hold)) {
        self.unlist(ix);
        change(self.holds.get_mut(ix).as_mut().expect("a place that was found holds a hold"));
        self.list(ix);
    }

    /// Forgets a hold.
    pub fn forget(&mut self, ix: u32) -> Hold {
        self.unlist(ix);
        let id = self.get(ix).id;
        if let Ok(entry) = self.index.find_entry(id_hash(id), |&other| other == ix) {
            entry.remove();
        }
        self.free.push(ix);
        self.holds.get_mut(ix).take().expect("a place that was found holds a hold")
    }

    fn list(&mut self, ix: u32) {
        let hold = self.holds.get(ix).as_ref().expect("a place that was found holds a hold");
        if let Some((_, at)) = hold.ended {
            self.ended.insert((at, hold.made_seq, ix));
            return;
        }
        self.open += 1;
        if let Some(deadline) = hold.deadline {
            self.deadlines.insert((deadline, hold.made_seq, ix));
            for line in hold.lines.as_slice().iter().filter(|line| line.reserved > 0) {
                self.by_row.insert((line.row, deadline, hold.made_seq, ix));
            }
        }
    }

    fn unlist(&mut self, ix: u32) {
        let hold = self.holds.get(ix).as_ref().expect("a place that was found holds a hold");
        if let Some((_, at)) = hold.ended {
            self.ended.remove(&(at, hold.made_seq, ix));
            return;
        }
        self.open -= 1;
        if let Some(deadline) = hold.deadline {
            self.deadlines.remove(&(deadline, hold.made_seq, ix));
            for line in hold.lines.as_slice().iter().filter(|line| line.reserved > 0) {
                self.by_row.remove(&(line.row, deadline, hold.made_seq, ix));
            }
        }
    }

    /// The open hold with the earliest deadline.
    pub fn next_due(&self) -> Option<(ClusterTime, u32)> {
        self.deadlines.first().map(|&(deadline, _, ix)| (deadline, ix))
    }

    /// Open holds on `row` whose deadline has come, with what orders them.
    pub fn due_on_row(&self, row: u32, now: ClusterTime) -> impl Iterator<Item = (ClusterTime, u64, u32)> {
        let range = (row, ClusterTime(0), 0, 0)..=(row, now, u64::MAX, u32::MAX);
        self.by_row.range(range).map(|&(_, deadline, seq, ix)| (deadline, seq, ix))
    }

    /// The hold that ended first.
    pub fn first_ended(&self) -> Option<(ClusterTime, u32)> {
        self.ended.first().map(|&(at, _, ix)| (at, ix))
    }

    pub fn open_count(&self) -> u64 {
        self.open
    }

    pub fn ended_count(&self) -> u64 {
        self.ended.len() as u64
    }

    pub fn due_count(&self, now: ClusterTime) -> u64 {
        self.deadlines.range(..=(now, u64::MAX, u32::MAX)).count() as u64
    }

    /// All places in order, free ones included, and the free ones in the order in which they will be used.
    pub fn frozen(&self) -> (Paged<Option<Hold>>, Vec<u32>) {
        (self.holds.clone(), self.free.clone())
    }

    /// Holds from their places, and the free places in the order in which they will be used.
    pub fn restore(places: Vec<Option<Hold>>, free: Vec<u32>) -> Self {
        let mut holds = Self { free, ..Self::default() };
        for place in places {
            let id = place.as_ref().map(|hold| hold.id);
            let ix = holds.holds.push(place);
            if let Some(id) = id {
                let paged = &holds.holds;
                holds.index.insert_unique(id_hash(id), ix, |&ix| {
                    paged.get(ix).as_ref().map_or(0, |hold| id_hash(hold.id))
                });
                holds.list(ix);
            }
        }
        holds
    }
}
