//! The log in memory: where each entry is on disk, the recent ones themselves, and what is still to be written.

use std::collections::VecDeque;
use std::io;

use openraft::alias::EntryOf;

use super::record::{self, Head, Kind};
use crate::types::{Host, LogIdRecord, Types, VoteRecord};

/// Called once what was queued before it is durable, or can never be.
pub type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub segment: u64,
    pub offset: u64,
    pub length: u32,
}

/// One entry of the log.
pub struct Slot<H: Host> {
    pub id: LogIdRecord,
    pub place: Place,
    /// The entry itself, while it is recent.
    pub entry: Option<EntryOf<Types<H>>>,
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub number: u64,
    pub size: u64,
    /// The highest index that was ever written to it; none when it has no entry.
    pub highest: Option<u64>,
}

/// What is to be done on disk, in order.
pub enum Op {
    /// Append to the current segment.
    Write(Vec<u8>),
    /// Start a segment, which these bytes begin.
    Start(u64, Vec<u8>),
    /// Save a vote.
    Vote(VoteRecord),
    /// Tell somebody once everything before is durable; entries up to this index are, then.
    Tell(Option<u64>, Done),
    /// Remove segments, once everything before is durable.
    Remove(Vec<u64>),
}

/// The log in memory.
pub struct Core<H: Host> {
    pub slots: VecDeque<Slot<H>>,
    pub segments: VecDeque<Segment>,
    pub purged: Option<LogIdRecord>,
    pub committed: Option<LogIdRecord>,
    pub written_committed: Option<LogIdRecord>,
    pub vote: Option<VoteRecord>,
    pub ops: Vec<Op>,
    /// A job that will do `ops` has been queued.
    pub is_scheduled: bool,
    /// The first error; nothing is written after it.
    pub poison: Option<String>,
    cached_bytes: usize,
    /// Slots before this place in `slots` have no entry in memory.
    cached_from: u64,
    durable: u64,
    limits: Limits,
}

/// Sizes that the log keeps to, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A segment is closed when it has reached this size.
    pub segment_bytes: u64,
    /// Entries of about this size in sum are kept in memory.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, cache_bytes: 64 << 20 }
    }
}

impl<H: Host> Core<H> {
    /// A log with nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            slots: VecDeque::new(),
            segments: VecDeque::new(),
            purged: None,
            committed: None,
            written_committed: None,
            vote: None,
            ops: Vec::new(),
            is_scheduled: false,
            poison: None,
            cached_bytes: 0,
            cached_from: 0,
            durable: 0,
            limits,
        }
    }

    /// The last entry, or the last that was purged.
    pub fn last(&self) -> Option<LogIdRecord> {
        self.slots.back().map_or(self.purged, |slot| Some(slot.id))
    }

    /// The index of the first entry that is there, or would be.
    pub fn first_index(&self) -> u64 {
        self.slots
            .front()
            .map_or_else(|| self.purged.map_or(0, |purged| purged.index + 1), |slot| slot.id.index)
    }

    /// The slot of an entry.
    pub fn slot(&self, index: u64) -> Option<&Slot<H>> {
        let offset = index.checked_sub(self.slots.front()?.id.index)?;
        self.slots.get(usize::try_from(offset).ok()?)
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// Queues an entry to be written, and makes it readable.
    ///
    /// # Errors
    /// When it does not follow the last one: the log must have no hole.
    pub fn push(&mut self, entry: EntryOf<Types<H>>) -> io::Result<()> {
        let id = LogIdRecord::of::<H>(&entry.log_id);
        // A log with nothing in it starts wherever its first entry is.
        if let Some(last) = self.last().filter(|last| last.index + 1 != id.index) {
            return Err(io::Error::other(format!("entry {} does not follow entry {}", id.index, last.index)));
        }
        let place = self.write(|bytes| record::write_entry::<H>(&entry, bytes));
        if let Some(segment) = self.segments.back_mut() {
            segment.highest = segment.highest.max(Some(id.index));
        }
        self.cached_bytes += place.length as usize;
        self.slots.push_back(Slot { id, place, entry: Some(entry) });
        self.trim_cache();
        Ok(())
    }

    /// Takes note of an entry that is on disk already.
    pub fn note(&mut self, id: LogIdRecord, place: Place) {
        if let Some(segment) = self.segments.back_mut() {
            segment.highest = segment.highest.max(Some(id.index));
        }
        self.slots.push_back(Slot { id, place, entry: None });
        self.cached_from = id.index + 1;
        self.durable = id.index;
    }

    /// Queues a record that is not an entry.
    pub fn write_note(&mut self, kind: Kind, id: Option<LogIdRecord>) {
        let body = holdfast_model::codec::encode(&id);
        self.write(|bytes| record::write(kind, &[&body], bytes));
    }

    /// Queues what became known to be committed since it was written last.
    pub fn write_committed(&mut self) {
        if self.committed != self.written_committed {
            self.written_committed = self.committed;
            self.write_note(Kind::Committed, self.committed);
        }
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        if self.segments.back().is_none_or(|segment| segment.size >= self.limits.segment_bytes) {
            self.start_segment();
        }
        if !matches!(self.ops.last(), Some(Op::Write(_) | Op::Start(..))) {
            self.ops.push(Op::Write(Vec::new()));
        }
        let segment = self.segments.back_mut().expect("a segment was just started");
        let Some(Op::Write(bytes) | Op::Start(_, bytes)) = self.ops.last_mut() else {
            unreachable!("a write was just queued")
        };
        let start = bytes.len();
        write(bytes);
        let written = bytes.len() - start;
        let length = u32::try_from(written).expect("a record is far smaller than 4 GiB");
        let place = Place { segment: segment.number, offset: segment.size, length };
        segment.size += u64::from(length);
        place
    }

    /// Queues the start of a new segment.
    pub fn start_segment(&mut self) {
        let number = self.segments.back().map_or(1, |segment| segment.number + 1);
        let head =
            Head { segment: number, purged: self.purged, committed: self.committed, last: self.last() };
        let mut bytes = Vec::new();
        record::write(Kind::Head, &[&holdfast_model::codec::encode(&head)], &mut bytes);
        self.segments.push_back(Segment { number, size: bytes.len() as u64, highest: None });
        self.ops.push(Op::Start(number, bytes));
    }

    /// Forgets entries after `last`.
    pub fn truncate_after(&mut self, last: Option<LogIdRecord>) {
        while self.slots.back().is_some_and(|slot| Some(slot.id.index) > last.map(|last| last.index)) {
            if let Some(Slot { entry: Some(_), place, .. }) = self.slots.pop_back() {
                self.cached_bytes -= place.length as usize;
            }
        }
        let end = self.last().map_or(0, |last| last.index + 1);
        self.cached_from = self.cached_from.min(end);
        self.durable = self.durable.min(end.saturating_sub(1));
    }

    /// Forgets entries up to `upto`; returns the segments that no entry needs any more.
    pub fn purge(&mut self, upto: LogIdRecord) -> Vec<u64> {
        while self.slots.front().is_some_and(|slot| slot.id.index <= upto.index) {
            if let Some(Slot { entry: Some(_), place, .. }) = self.slots.pop_front() {
                self.cached_bytes -= place.length as usize;
            }
        }
        self.purged = self.purged.max(Some(upto));
        self.cached_from = self.cached_from.max(upto.index + 1);
        let mut unneeded = Vec::new();
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|segment| segment.highest <= Some(upto.index))
        {
            unneeded.extend(self.segments.pop_front().map(|segment| segment.number));
        }
        unneeded
    }

    /// Takes note of what is durable now, and of what need not be kept in memory any more.
    pub fn note_durable(&mut self, index: u64) {
        self.durable = self.durable.max(index);
        self.trim_cache();
    }

    fn trim_cache(&mut self) {
        let first = self.first_index();
        while self.cached_bytes > self.limits.cache_bytes && self.cached_from.max(first) <= self.durable {
            let index = self.cached_from.max(first);
            let Some(offset) =
                usize::try_from(index - first).ok().filter(|&offset| offset < self.slots.len())
            else {
                return;
            };
            let slot = &mut self.slots[offset];
            if slot.entry.take().is_some() {
                self.cached_bytes -= slot.place.length as usize;
            }
            self.cached_from = index + 1;
        }
    }
}
