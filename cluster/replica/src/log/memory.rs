//! The log in memory: where each entry is on disk, the recent ones themselves, and what is still to be written. It
//! touches no file: [`super::writer`] does what is queued here.

use std::collections::VecDeque;
use std::io;

use openraft::EntryPayload;
use openraft::alias::EntryOf;
use openraft::storage::IOFlushed;

use super::record::{self, Head, Kind};
use crate::types::{Host, LogIdRecord, Types, VoteRecord};

/// A decoded proposal takes about this many times the memory of its bytes.
const DECODED_FACTOR: usize = 4;

/// A buffer of at most this many bytes is used again for the next batch.
const SPARE_BYTES: usize = 1 << 20;

/// Where a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of its segment.
    pub segment: u64,
    /// Where it starts.
    pub offset: u64,
    /// Bytes that it takes.
    pub length: u64,
}

/// One entry of the log.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Its term and index.
    pub id: LogIdRecord,
    /// Where it is on disk, or will be.
    pub place: Place,
}

/// A segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number, one more than that of the segment before.
    pub number: u64,
    /// Bytes in it, or soon to be.
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
}

/// Somebody who is told once everything queued before is durable, or never will be.
pub enum Waiter<H: Host> {
    /// The consensus library, which goes on meanwhile.
    Append(IOFlushed<Types<H>>),
    /// A caller who does not.
    Caller(tokio::sync::oneshot::Sender<io::Result<()>>),
}

impl<H: Host> Waiter<H> {
    /// Tells them.
    pub fn tell(self, result: io::Result<()>) {
        match self {
            Self::Append(callback) => callback.io_completed(result),
            // The caller may have gone.
            Self::Caller(sender) => drop(sender.send(result)),
        }
    }
}

/// All that had gathered when the disk was free again.
pub struct Batch<H: Host> {
    /// What is done first.
    pub ops: Vec<Op>,
    /// Who is told once it is durable.
    pub waiters: Vec<Waiter<H>>,
    /// A segment that is removed then.
    pub remove: Option<u64>,
    /// Everything before here is durable, then.
    end: Position,
}

/// A segment, and an offset in it.
type Position = (u64, u64);

/// The first error of the disk. Nothing is written after it.
#[derive(Debug, Clone)]
pub struct Failure {
    kind: io::ErrorKind,
    text: String,
}

impl Failure {
    /// The error again, for somebody else.
    pub fn error(&self) -> io::Error {
        io::Error::new(self.kind, self.text.clone())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { kind: error.kind(), text: error.to_string() }
    }
}

/// Sizes that the log keeps to, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A segment is closed when it has reached this size.
    pub segment_bytes: u64,
    /// Entries of about this size in sum are kept in memory, and always those that are not durable yet.
    pub cache_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, cache_bytes: 64 << 20 }
    }
}

/// An entry in memory, and about how many bytes it takes there.
struct Recent<H: Host> {
    entry: EntryOf<Types<H>>,
    bytes: usize,
}

/// The log in memory.
pub struct Memory<H: Host> {
    /// All entries, in order and without a hole.
    pub slots: VecDeque<Slot>,
    /// All segments, in order and without a hole.
    pub segments: VecDeque<Segment>,
    /// The last entry that was purged.
    pub purged: Option<LogIdRecord>,
    /// What is known to be committed.
    pub committed: Option<LogIdRecord>,
    /// The vote that was saved last.
    pub vote: Option<VoteRecord>,
    written_committed: Option<LogIdRecord>,
    /// The last entries of `slots`.
    recent: VecDeque<Recent<H>>,
    recent_bytes: usize,
    ops: Vec<Op>,
    waiters: Vec<Waiter<H>>,
    /// Segments that no entry needs any more, oldest first.
    unneeded: VecDeque<u64>,
    /// Somebody is at it, or has been called.
    is_scheduled: bool,
    durable: Position,
    failure: Option<Failure>,
    spare: Vec<u8>,
    limits: Limits,
}

impl<H: Host> Memory<H> {
    /// A log with nothing in it.
    pub fn new(limits: Limits) -> Self {
        Self {
            slots: VecDeque::new(),
            segments: VecDeque::new(),
            purged: None,
            committed: None,
            vote: None,
            written_committed: None,
            recent: VecDeque::new(),
            recent_bytes: 0,
            ops: Vec::new(),
            waiters: Vec::new(),
            unneeded: VecDeque::new(),
            is_scheduled: false,
            durable: (0, 0),
            failure: None,
            spare: Vec::new(),
            limits,
        }
    }

    /// Takes everything that is there as written and durable.
    pub fn all_is_durable(&mut self) {
        self.written_committed = self.committed;
        self.durable = self.end();
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

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// An entry's place, and the entry itself when it is in memory.
    pub fn get(&self, index: u64) -> Option<(Place, Option<&EntryOf<Types<H>>>)> {
        let at = usize::try_from(index.checked_sub(self.slots.front()?.id.index)?).ok()?;
        let place = self.slots.get(at)?.place;
        let on_disk_only = self.slots.len() - self.recent.len();
        let recent = at.checked_sub(on_disk_only).and_then(|at| self.recent.get(at));
        Some((place, recent.map(|recent| &recent.entry)))
    }

    /// Queues an entry to be written, and makes it readable.
    ///
    /// # Errors
    /// When it does not follow the last one: the log must have no hole. Only an empty log begins anywhere.
    pub fn push(&mut self, entry: EntryOf<Types<H>>) -> io::Result<()> {
        let id = LogIdRecord::of::<H>(&entry.log_id);
        if let Some(last) = self.last().filter(|last| last.index + 1 != id.index || last.term > id.term) {
            let text = format!(
                "entry {} of term {} does not follow entry {} of term {}",
                id.index, id.term, last.index, last.term
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let place = self.write(|bytes| record::write_entry::<H>(&entry, bytes));
        self.note(Slot { id, place });
        let bytes = weight::<H>(&entry);
        self.recent_bytes += bytes;
        self.recent.push_back(Recent { entry, bytes });
        self.trim_recent();
        Ok(())
    }

    /// Takes note of where an entry is.
    pub fn note(&mut self, slot: Slot) {
        if let Some(segment) = self.segments.back_mut() {
            segment.highest = segment.highest.max(Some(slot.id.index));
        }
        self.slots.push_back(slot);
    }

    /// Queues a vote.
    pub fn save_vote(&mut self, vote: VoteRecord) {
        self.ops.push(Op::Vote(vote));
    }

    /// Forgets entries after `last`, and queues a record of that.
    pub fn truncate_after(&mut self, last: Option<LogIdRecord>) {
        // The record first: the head of a segment that it may begin tells what was there before.
        self.write(|bytes| record::write_value(Kind::Truncated, &last, bytes));
        self.forget_after(last.map(|last| last.index));
    }

    /// Forgets entries after `last`, in memory alone.
    pub fn forget_after(&mut self, last: Option<u64>) {
        while self.slots.back().is_some_and(|slot| Some(slot.id.index) > last) {
            self.slots.pop_back();
            self.recent_bytes -= self.recent.pop_back().map_or(0, |recent| recent.bytes);
        }
    }

    /// Forgets entries up to `upto`, queues a record of that, and the removal of what is not needed then.
    pub fn purge(&mut self, upto: LogIdRecord) {
        if Some(upto) <= self.purged {
            return;
        }
        self.write(|bytes| record::write_value(Kind::Purged, &Some(upto), bytes));
        self.forget_upto(upto);
        let unneeded = self.take_unneeded();
        self.unneeded.extend(unneeded);
    }

    /// Forgets entries up to `upto`, in memory alone.
    pub fn forget_upto(&mut self, upto: LogIdRecord) {
        while self.slots.front().is_some_and(|slot| slot.id.index <= upto.index) {
            if self.slots.len() == self.recent.len() {
                self.forget_oldest_recent();
            }
            self.slots.pop_front();
        }
        self.purged = self.purged.max(Some(upto));
    }

    /// The numbers of segments that no entry needs, oldest first; they are no part of the log any more. The last
    /// segment always is.
    pub fn take_unneeded(&mut self) -> Vec<u64> {
        let purged = self.purged.map(|purged| purged.index);
        let mut unneeded = Vec::new();
        while self.segments.len() > 1 && self.segments[0].highest <= purged {
            unneeded.extend(self.segments.pop_front().map(|segment| segment.number));
        }
        unneeded
    }

    /// Somebody is to be told once all that was queued so far is durable.
    pub fn wait(&mut self, waiter: Waiter<H>) {
        self.waiters.push(waiter);
    }

    /// Whether somebody must be called to do what is queued. Whoever is told so calls them.
    pub fn schedule(&mut self) -> bool {
        let is_work = !(self.ops.is_empty() && self.waiters.is_empty() && self.unneeded.is_empty());
        is_work && !std::mem::replace(&mut self.is_scheduled, true)
    }

    /// All that is queued; none when there is nothing, and then somebody must be called for what comes next.
    pub fn take_batch(&mut self) -> Option<Batch<H>> {
        if self.ops.is_empty() && self.waiters.is_empty() && self.unneeded.is_empty() {
            self.is_scheduled = false;
            return None;
        }
        if !self.ops.is_empty() && self.committed != self.written_committed {
            let committed = self.committed;
            self.written_committed = committed;
            self.write(|bytes| record::write_value(Kind::Committed, &committed, bytes));
        }
        Some(Batch {
            ops: std::mem::take(&mut self.ops),
            waiters: std::mem::take(&mut self.waiters),
            remove: self.unneeded.pop_front(),
            end: self.end(),
        })
    }

    /// Takes note that a batch is durable.
    pub fn note_durable(&mut self, batch: &Batch<H>) {
        self.durable = batch.end;
        self.trim_recent();
    }

    /// Takes back the buffers of a batch.
    pub fn recycle(&mut self, ops: Vec<Op>) {
        let buffers = ops.into_iter().filter_map(|op| match op {
            Op::Write(bytes) | Op::Start(_, bytes) => Some(bytes),
            Op::Vote(_) => None,
        });
        let fits = |buffer: &Vec<u8>| buffer.capacity() <= SPARE_BYTES;
        if let Some(mut buffer) = buffers.filter(fits).max_by_key(Vec::capacity) {
            buffer.clear();
            self.spare = buffer;
        }
    }

    /// Takes note of an error of the disk; the first one stays.
    pub fn fail(&mut self, failure: Failure) {
        if self.failure.is_none() {
            self.failure = Some(failure);
        }
    }

    /// The first error of the disk.
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Whether the log can be used.
    ///
    /// # Errors
    /// The first error of the disk, once there was one.
    pub fn check(&self) -> io::Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(failure.error()))
    }

    fn end(&self) -> Position {
        self.segments.back().map_or((0, 0), |segment| (segment.number, segment.size))
    }

    fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Place {
        if self.segments.back().is_none_or(|segment| segment.size >= self.limits.segment_bytes) {
            self.start_segment();
        }
        if !matches!(self.ops.last(), Some(Op::Write(_) | Op::Start(..))) {
            self.ops.push(Op::Write(std::mem::take(&mut self.spare)));
        }
        let (Some(Op::Write(bytes) | Op::Start(_, bytes)), Some(segment)) =
            (self.ops.last_mut(), self.segments.back_mut())
        else {
            unreachable!("a segment was started and a write queued")
        };
        let start = bytes.len();
        write(bytes);
        let place =
            Place { segment: segment.number, offset: segment.size, length: (bytes.len() - start) as u64 };
        segment.size += place.length;
        place
    }

    fn start_segment(&mut self) {
        let number = self.segments.back().map_or(1, |segment| segment.number + 1);
        let head =
            Head { segment: number, purged: self.purged, committed: self.committed, last: self.last() };
        self.written_committed = self.committed;
        let mut bytes = Vec::new();
        record::write_value(Kind::Head, &head, &mut bytes);
        self.segments.push_back(Segment { number, size: bytes.len() as u64, highest: None });
        self.ops.push(Op::Start(number, bytes));
    }

    fn trim_recent(&mut self) {
        while self.recent_bytes > self.limits.cache_bytes {
            let oldest = self.slots.len() - self.recent.len();
            let is_durable = |slot: &Slot| (slot.place.segment, slot.place.offset) < self.durable;
            if !self.slots.get(oldest).is_some_and(is_durable) {
                return;
            }
            self.forget_oldest_recent();
        }
    }

    fn forget_oldest_recent(&mut self) {
        self.recent_bytes -= self.recent.pop_front().map_or(0, |recent| recent.bytes);
    }
}

/// About how many bytes an entry takes in memory.
fn weight<H: Host>(entry: &EntryOf<Types<H>>) -> usize {
    let payload = match &entry.payload {
        EntryPayload::Normal(proposal) => {
            let factor = if proposal.entry.is_some() { 1 + DECODED_FACTOR } else { 1 };
            proposal.bytes.len() * factor
        }
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    };
    size_of_val(entry) + payload
}
