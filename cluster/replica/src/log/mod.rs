//! The Raft log: segments of records over a [`Disk`], written by one job at a time, which syncs once for all that has
//! gathered. It knows nothing of what entries mean.

mod core;
mod record;
mod recovery;
mod vote;

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use parking_lot::Mutex;

pub use self::core::Limits;
use self::core::{Core, Op, Place};
use self::record::{Found, Kind};
use crate::disk::{Disk, DiskFile, Lane};
use crate::types::{Host, LogIdRecord, Types, VoteRecord};

/// What one reading gives at most, in bytes of records; a single larger entry is given alone.
const READ_BYTES: u64 = 4 << 20;

const PREFIX: &str = "log-";

/// The file of a segment.
fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// The log of one member. Cheap to clone: a handle.
pub struct Log<H: Host>(Arc<Inner<H>>);

struct Inner<H: Host> {
    core: Arc<Mutex<Core<H>>>,
    disk: H::Disk,
    lane: <H::Disk as Disk>::Lane,
    /// The segment that is written, used by the lane's jobs alone.
    writer: Arc<Mutex<Option<<H::Disk as Disk>::File>>>,
}

impl<H: Host> Clone for Log<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Host> Log<H> {
    /// Reads the log of a directory, cuts a torn tail, and sets damage aside.
    ///
    /// # Errors
    /// When that cannot be done, in one line that says what to do.
    pub fn open(disk: H::Disk) -> io::Result<Self> {
        Self::open_with(disk, Limits::default())
    }

    /// As [`Self::open`], with other sizes than the usual ones.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(disk: H::Disk, limits: Limits) -> io::Result<Self> {
        let core = recovery::open::<H>(&disk, limits)?;
        let current =
            core.segments.back().map(|segment| disk.open(&segment_name(segment.number))).transpose()?;
        let lane = disk.lane();
        Ok(Self(Arc::new(Inner {
            core: Arc::new(Mutex::new(core)),
            disk,
            lane,
            writer: Arc::new(Mutex::new(current)),
        })))
    }

    /// The last entry that was purged.
    #[must_use]
    pub fn last_purged(&self) -> Option<LogIdRecord> {
        self.0.core.lock().purged
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.0.core.lock().size_bytes()
    }

    /// Whether a part of the log was lost that may have been acknowledged, and that is not made good yet.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_suspect(&self) -> io::Result<bool> {
        Ok(self.0.disk.list()?.iter().any(|name| name == recovery::SUSPECT_FILE))
    }

    /// Takes note that what was lost has been made good. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear_suspect(&self) -> io::Result<()> {
        self.0.disk.remove(recovery::SUSPECT_FILE)?;
        self.0.disk.sync_dir()
    }

    /// Entries from `first` on, not all at once; empty at the end. Blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_blocking(&self, first: u64) -> io::Result<Vec<EntryOf<Types<H>>>> {
        let first = first.max(self.0.core.lock().first_index());
        self.gather(first, u64::MAX)?.into_iter().map(|found| self.load(found)).collect()
    }

    /// Removes every entry from a log that nothing writes to; the vote stays. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_entries(&self) -> io::Result<()> {
        let disk = &self.0.disk;
        for name in disk.list()?.iter().filter(|name| segment_number(name).is_some()) {
            disk.remove(name)?;
        }
        disk.sync_dir()
    }

    fn check(core: &Core<H>) -> io::Result<()> {
        core.poison.as_ref().map_or(Ok(()), |error| Err(io::Error::other(error.clone())))
    }

    /// Queues `op` and sees to it that somebody does it.
    fn schedule(&self, core: &mut Core<H>) {
        if std::mem::replace(&mut core.is_scheduled, true) {
            return;
        }
        let (core, disk, writer) = (self.0.core.clone(), self.0.disk.clone(), self.0.writer.clone());
        self.0.lane.push(Box::new(move || work::<H>(&core, &disk, &writer)));
    }

    /// Queues what `queue` does, and waits until it is durable.
    async fn durably(&self, queue: impl FnOnce(&mut Core<H>)) -> io::Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        {
            let mut core = self.0.core.lock();
            Self::check(&core)?;
            queue(&mut core);
            // The caller waits: it is told, unless it has gone.
            core.ops.push(Op::Tell(None, Box::new(move |done| drop(sender.send(done)))));
            self.schedule(&mut core);
        }
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log has ended")))
    }

    /// The entries of a range, in memory or where they are on disk, as far as one reading goes.
    fn gather(&self, first: u64, end: u64) -> io::Result<Vec<Stored<H>>> {
        let core = self.0.core.lock();
        Self::check(&core)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for index in first..end {
            let Some(slot) = core.slot(index) else { break };
            bytes += u64::from(slot.place.length);
            if bytes > READ_BYTES && !found.is_empty() {
                break;
            }
            found.push(match &slot.entry {
                Some(entry) => Stored::Cached(entry.clone()),
                None => Stored::At(slot.place),
            });
        }
        Ok(found)
    }

    /// Reads an entry from its segment, when it is not in memory. Blocks.
    fn load(&self, stored: Stored<H>) -> io::Result<EntryOf<Types<H>>> {
        let place = match stored {
            Stored::Cached(entry) => return Ok(entry),
            Stored::At(place) => place,
        };
        let name = segment_name(place.segment);
        let file = self.0.disk.open(&name)?;
        let mut bytes = vec![0; place.length as usize];
        let read = file.read_at(place.offset, &mut bytes)?;
        let damaged = || {
            let text = format!("the log is damaged: {name} at byte {}", place.offset);
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        match record::read(&bytes[..read]) {
            Found::Record(Kind::Entry, payload, _) => record::entry::<H>(payload).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }
}

/// An entry, in memory or on disk.
enum Stored<H: Host> {
    Cached(EntryOf<Types<H>>),
    At(Place),
}

/// Does everything that is queued, with one sync for all of it; then what has been queued meanwhile.
fn work<H: Host>(core: &Mutex<Core<H>>, disk: &H::Disk, writer: &Mutex<Option<<H::Disk as Disk>::File>>) {
    loop {
        let (ops, poison) = {
            let mut core = core.lock();
            if core.ops.is_empty() {
                core.is_scheduled = false;
                return;
            }
            core.write_committed();
            (std::mem::take(&mut core.ops), core.poison.clone())
        };
        let mut result = poison.map_or(Ok(()), Err);
        let mut tell = Vec::new();
        let mut remove = Vec::new();
        let mut writer = writer.lock();
        for op in ops {
            match op {
                Op::Tell(index, done) => tell.push((index, done)),
                Op::Remove(segments) => remove.extend(segments),
                Op::Write(_) | Op::Start(..) | Op::Vote(_) if result.is_err() => {}
                op => result = perform(disk, &mut writer, op).map_err(|error| error.to_string()),
            }
        }
        if result.is_ok() {
            result = finish(disk, writer.as_mut(), &remove).map_err(|error| error.to_string());
        }
        drop(writer);
        settle(core, &result, tell);
    }
}

fn perform<D: Disk>(disk: &D, writer: &mut Option<D::File>, op: Op) -> io::Result<()> {
    match op {
        Op::Write(bytes) => {
            let file = writer.as_mut().ok_or_else(|| io::Error::other("no segment was started"))?;
            file.append(&bytes)
        }
        Op::Start(number, bytes) => {
            if let Some(mut full) = writer.take() {
                full.sync()?;
            }
            let mut file = disk.create(&segment_name(number))?;
            file.append(&bytes)?;
            *writer = Some(file);
            disk.sync_dir()
        }
        Op::Vote(vote) => vote::save(disk, vote),
        Op::Tell(..) | Op::Remove(_) => Ok(()),
    }
}

fn finish<D: Disk>(disk: &D, writer: Option<&mut D::File>, remove: &[u64]) -> io::Result<()> {
    if let Some(file) = writer {
        file.sync()?;
    }
    for &number in remove {
        disk.remove(&segment_name(number))?;
    }
    if remove.is_empty() { Ok(()) } else { disk.sync_dir() }
}

/// Tells everybody. An error stays: what was dirty when a sync failed may be gone, so it is never tried again.
fn settle<H: Host>(core: &Mutex<Core<H>>, result: &Result<(), String>, tell: Vec<(Option<u64>, core::Done)>) {
    {
        let mut core = core.lock();
        match result {
            Ok(()) => {
                if let Some(index) = tell.iter().filter_map(|(index, _)| *index).max() {
                    core.note_durable(index);
                }
            }
            Err(error) => {
                if core.poison.is_none() {
                    tracing::error!(%error, "the log cannot be written; this member stops");
                    core.poison = Some(error.clone());
                }
            }
        }
    }
    for (_, done) in tell {
        done(result.clone().map_err(io::Error::other));
    }
}

impl<H: Host> RaftLogReader<Types<H>> for Log<H> {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types<H>>>, io::Error> {
        let (first, end) = bounds(&range);
        let first = first.max(self.0.core.lock().first_index());
        let mut entries = Vec::new();
        // The library takes what it asked for as a whole, so the readings are put together again.
        loop {
            let next = first + entries.len() as u64;
            if next >= end {
                return Ok(entries);
            }
            let found = self.gather(next, end)?;
            if found.is_empty() {
                return Ok(entries);
            }
            let log = self.clone();
            let is_cached = found.iter().all(|stored| matches!(stored, Stored::Cached(_)));
            let load =
                move || found.into_iter().map(|stored| log.load(stored)).collect::<io::Result<Vec<_>>>();
            entries.extend(if is_cached { load()? } else { self.0.disk.run(load).await? });
        }
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<EntryOf<Types<H>>>, io::Error> {
        let found = self.gather(start, end)?;
        let log = self.clone();
        self.0.disk.run(move || found.into_iter().map(|stored| log.load(stored)).collect()).await
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types<H>>>, io::Error> {
        Ok(self.0.core.lock().vote.map(VoteRecord::vote::<H>))
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before + 1,
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    (first, end)
}

impl<H: Host> RaftLogStorage<Types<H>> for Log<H> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types<H>>, io::Error> {
        let core = self.0.core.lock();
        Ok(LogState {
            last_purged_log_id: core.purged.map(LogIdRecord::log_id::<H>),
            last_log_id: core.last().map(LogIdRecord::log_id::<H>),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types<H>>) -> Result<(), io::Error> {
        let vote = VoteRecord::of::<H>(vote);
        self.durably(|core| core.ops.push(Op::Vote(vote))).await?;
        self.0.core.lock().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types<H>>>) -> Result<(), io::Error> {
        // Written along with what comes next: losing it costs a moment of catching up, never an entry.
        self.0.core.lock().committed = committed.as_ref().map(LogIdRecord::of::<H>);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types<H>>>, io::Error> {
        Ok(self.0.core.lock().committed.map(LogIdRecord::log_id::<H>))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<H>>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types<H>>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut core = self.0.core.lock();
        Self::check(&core)?;
        for entry in entries {
            core.push(entry)?;
        }
        let last = core.last().map(|last| last.index);
        core.ops.push(Op::Tell(last, Box::new(move |done| callback.io_completed(done))));
        self.schedule(&mut core);
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types<H>>>) -> Result<(), io::Error> {
        let last = last.as_ref().map(LogIdRecord::of::<H>);
        self.durably(|core| {
            // Written first: should it begin a segment, the segment's head tells of the log as it was before.
            core.write_note(Kind::Truncated, last);
            core.truncate_after(last);
        })
        .await
    }

    async fn purge(&mut self, upto: LogIdOf<Types<H>>) -> Result<(), io::Error> {
        let upto = LogIdRecord::of::<H>(&upto);
        self.durably(|core| {
            core.write_note(Kind::Purged, Some(upto));
            let unneeded = core.purge(upto);
            core.ops.push(Op::Remove(unneeded));
        })
        .await
    }
}
