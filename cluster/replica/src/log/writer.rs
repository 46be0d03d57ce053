//! The one who writes: takes everything that has gathered, writes it, syncs once, tells everybody, and looks again.
//! Runs on the log's lane alone.

use std::io;

use parking_lot::Mutex;

use super::memory::{Batch, Failure, Memory, Op};
use super::{segment_name, vote};
use crate::disk::{Disk, DiskFile};
use crate::types::Host;

/// The segment that is written.
pub struct Writer<D: Disk> {
    disk: D,
    segment: Option<D::File>,
}

/// Does everything that is queued, then what has been queued meanwhile, until there is nothing.
pub fn work<H: Host>(memory: &Mutex<Memory<H>>, writer: &Mutex<Writer<H::Disk>>) {
    let mut writer = writer.lock();
    loop {
        let mut locked = memory.lock();
        let Some(batch) = locked.take_batch() else { return };
        // What was dirty when a sync failed may be gone for good, so nothing is tried after an error.
        let earlier = locked.failure().cloned();
        drop(locked);
        let written = earlier.map_or_else(|| writer.write(&batch.ops).map_err(Failure::from), Err);
        let remove = batch.remove.filter(|_| written.is_ok());
        settle(memory, batch, written);
        if let Some(Err(error)) = remove.map(|number| writer.remove(number)) {
            memory.lock().fail(error.into());
        }
    }
}

/// Takes note of how a batch went, and tells everybody who waits for it.
fn settle<H: Host>(memory: &Mutex<Memory<H>>, mut batch: Batch<H>, written: Result<(), Failure>) {
    let waiters = std::mem::take(&mut batch.waiters);
    let mut locked = memory.lock();
    match &written {
        Ok(()) => locked.note_durable(&batch),
        Err(failure) => locked.fail(failure.clone()),
    }
    locked.recycle(batch.ops);
    drop(locked);
    for waiter in waiters {
        waiter.tell(written.as_ref().copied().map_err(Failure::error));
    }
}

impl<D: Disk> Writer<D> {
    /// Goes on at the end of `segment`, or waits for the first one to be started.
    pub fn new(disk: D, segment: Option<D::File>) -> Self {
        Self { disk, segment }
    }

    fn write(&mut self, ops: &[Op]) -> io::Result<()> {
        let mut is_dirty = false;
        #[cfg(feature = "planted-bugs")]
        let is_put_off = holdfast_model::planted::is(holdfast_model::planted::Bug::AcknowledgedBeforeSync);
        #[cfg(feature = "planted-bugs")]
        if let Some(segment) = self.segment.as_mut().filter(|_| is_put_off) {
            segment.sync()?;
        }
        for op in ops {
            match op {
                Op::Write(bytes) => {
                    let no_segment = || io::Error::other("no segment of the log was started");
                    self.segment.as_mut().ok_or_else(no_segment)?.append(bytes)?;
                    is_dirty = true;
                }
                Op::Start(number, bytes) => {
                    self.start(*number, bytes)?;
                    is_dirty = true;
                }
                #[cfg(feature = "planted-bugs")]
                Op::Vote(_)
                    if holdfast_model::planted::is(holdfast_model::planted::Bug::VoteNotDurable)
                        && self.disk.list()?.iter().any(|name| name == vote::FILES[0]) => {}
                Op::Vote(vote) => vote::save(&self.disk, *vote)?,
            }
        }
        match &mut self.segment {
            #[cfg(feature = "planted-bugs")]
            Some(_) if is_put_off => Ok(()),
            Some(segment) if is_dirty => segment.sync(),
            _ => Ok(()),
        }
    }

    /// Only the last segment may end in a torn record: the one before is durable when the next one begins.
    fn start(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        if let Some(mut full) = self.segment.take() {
            full.sync()?;
        }
        let mut segment = self.disk.create(&segment_name(number))?;
        segment.append(bytes)?;
        self.segment = Some(segment);
        self.disk.sync_dir()
    }

    /// One at a time and oldest first, each durably, so that a crash leaves no hole.
    fn remove(&self, number: u64) -> io::Result<()> {
        self.disk.remove(&segment_name(number))?;
        self.disk.sync_dir()
    }
}
