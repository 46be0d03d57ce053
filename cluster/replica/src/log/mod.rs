//! The Raft log and the vote: segments of records over a [`Disk`], written by one job at a time, which syncs once for
//! all that has gathered.
//!
//! It knows nothing of what entries mean, and never answers before what it answers is durable. The first error of the
//! disk is the last thing that it does: everything after fails with the same text. [`crate::Replica`] opens it and
//! gives it to the consensus library, which alone writes to it.

#[cfg(test)]
mod fuzz;
mod memory;
mod reader;
mod record;
mod recovery;
mod replay;
mod scan;
mod vote;
mod writer;

use std::io;
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::alias::{EntryOf, LogIdOf, VoteOf};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use parking_lot::Mutex;

pub use self::memory::Limits;
use self::memory::{Memory, Waiter};
pub use self::recovery::Damage;
use self::recovery::SUSPECT_FILE;
use self::writer::Writer;
use crate::disk::{Disk, Lane};
use crate::types::{Host, LogIdRecord, Types, VoteRecord};

const PREFIX: &str = "log-";

/// The file of a segment.
fn segment_name(number: u64) -> String {
    format!("{PREFIX}{number:020}")
}

/// The segment of a file; none when it is none.
fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// The log of one member. Cheap to clone: a handle.
pub struct Log<H: Host>(Arc<Inner<H>>);

struct Inner<H: Host> {
    shared: Arc<Shared<H>>,
    disk: H::Disk,
    lane: <H::Disk as Disk>::Lane,
    damage: Option<Damage>,
}

/// What the lane's jobs need.
struct Shared<H: Host> {
    memory: Mutex<Memory<H>>,
    writer: Mutex<Writer<H::Disk>>,
}

impl<H: Host> Clone for Log<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<H: Host> Log<H> {
    /// Reads the log of a directory, cuts a torn tail, and sets damage aside. Blocks.
    ///
    /// # Errors
    /// When that cannot be done, when another release wrote the log, or when the vote is lost: one line that says what
    /// to do.
    pub fn open(disk: H::Disk) -> io::Result<Self> {
        Self::open_with(disk, Limits::default())
    }

    /// As [`Self::open`], with other sizes than the usual ones.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with(disk: H::Disk, limits: Limits) -> io::Result<Self> {
        let (memory, damage) = recovery::open::<H>(&disk, limits)?;
        let last = memory.segments.back().map(|segment| disk.open(&segment_name(segment.number)));
        let writer = Writer::new(disk.clone(), last.transpose()?);
        let shared = Arc::new(Shared { memory: Mutex::new(memory), writer: Mutex::new(writer) });
        let lane = disk.lane();
        Ok(Self(Arc::new(Inner { shared, disk, lane, damage })))
    }

    /// The last entry that was purged.
    #[must_use]
    pub fn last_purged(&self) -> Option<LogIdRecord> {
        self.memory().lock().purged
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.memory().lock().size_bytes()
    }

    /// What was not as it was written when this log was opened. Earlier damage is told by [`Self::is_suspect`].
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.0.damage.as_ref()
    }

    /// Whether a part of the log was lost that may have been acknowledged, and that is not made good yet. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_suspect(&self) -> io::Result<bool> {
        Ok(self.0.disk.list()?.iter().any(|name| name == SUSPECT_FILE))
    }

    /// Takes note that what was lost has been made good. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn clear_suspect(&self) -> io::Result<()> {
        if self.is_suspect()? {
            self.0.disk.remove(SUSPECT_FILE)?;
        }
        self.0.disk.sync_dir()
    }

    /// Removes every entry from a log that nothing writes to, and that is opened anew before it is used again; the
    /// vote stays. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_entries(&self) -> io::Result<()> {
        let disk = &self.0.disk;
        // Newest first and each durably, so that a crash leaves a log without a hole.
        for name in disk.list()?.iter().rev().filter(|name| segment_number(name).is_some()) {
            disk.remove(name)?;
            disk.sync_dir()?;
        }
        Ok(())
    }

    fn memory(&self) -> &Mutex<Memory<H>> {
        &self.0.shared.memory
    }

    /// Changes the log in memory, and sees to it that somebody does on disk what that has queued.
    fn change(&self, change: impl FnOnce(&mut Memory<H>) -> io::Result<()>) -> io::Result<()> {
        let mut memory = self.memory().lock();
        let done = memory.check().and_then(|()| change(&mut memory));
        let is_due = memory.schedule();
        drop(memory);
        if is_due {
            let shared = self.0.shared.clone();
            self.0.lane.push(Box::new(move || writer::work::<H>(&shared.memory, &shared.writer)));
        }
        done
    }

    /// Changes the log in memory, and waits until that is durable.
    async fn change_durably(&self, change: impl FnOnce(&mut Memory<H>)) -> io::Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.change(|memory| {
            change(memory);
            memory.wait(Waiter::Caller(sender));
            Ok(())
        })?;
        receiver.await.unwrap_or_else(|_| Err(io::Error::other("the log has ended")))
    }
}

impl<H: Host> RaftLogStorage<Types<H>> for Log<H> {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types<H>>, io::Error> {
        let memory = self.memory().lock();
        memory.check()?;
        Ok(LogState {
            last_purged_log_id: memory.purged.map(LogIdRecord::log_id::<H>),
            last_log_id: memory.last().map(LogIdRecord::log_id::<H>),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &VoteOf<Types<H>>) -> Result<(), io::Error> {
        let vote = VoteRecord::of::<H>(vote);
        self.change_durably(|memory| memory.save_vote(vote)).await?;
        self.memory().lock().vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogIdOf<Types<H>>>) -> Result<(), io::Error> {
        let mut memory = self.memory().lock();
        memory.check()?;
        // Written along with what comes next: losing it costs a moment of catching up, never an entry.
        memory.committed = committed.as_ref().map(LogIdRecord::of::<H>);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogIdOf<Types<H>>>, io::Error> {
        let memory = self.memory().lock();
        memory.check()?;
        Ok(memory.committed.map(LogIdRecord::log_id::<H>))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types<H>>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = EntryOf<Types<H>>> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        self.change(|memory| {
            entries.into_iter().try_for_each(|entry| memory.push(entry))?;
            memory.wait(Waiter::Append(callback));
            Ok(())
        })
    }

    async fn truncate_after(&mut self, last: Option<LogIdOf<Types<H>>>) -> Result<(), io::Error> {
        let last = last.as_ref().map(LogIdRecord::of::<H>);
        self.change_durably(|memory| memory.truncate_after(last)).await
    }

    async fn purge(&mut self, upto: LogIdOf<Types<H>>) -> Result<(), io::Error> {
        let upto = LogIdRecord::of::<H>(&upto);
        self.change_durably(|memory| memory.purge(upto)).await
    }
}
