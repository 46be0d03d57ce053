//! A machine's disk as its present process sees it: the disk in memory of the log's own tests, with the time that it
//! takes, and with the errors that a machine's disk has now and then.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use holdfast_replica::disk::{Disk, DiskFile, Job, Lane};
use openraft_rt::AsyncRuntime;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::coverage::Fault;
use crate::memory_disk::{Crash, MemoryDisk, MemoryFile};
use crate::process::Process;
use crate::runtime::Simulated;
use crate::world::{World, hash};

/// Everything takes so long at least and at most, in microseconds.
const USUAL_MICROS: (u64, u64) = (30, 800);

/// A stalled disk takes so long at least and at most, in microseconds.
const STALLED_MICROS: (u64, u64) = (300_000, 4_000_000);

/// What is wrong with a machine's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ills {
    /// After so many more changes the power goes, and takes this of what was not synced.
    pub die_after: Option<(u64, Crash)>,
    /// So many more reads or writes go well, then one fails.
    pub fail_after: Option<u64>,
    /// Every sync takes long.
    pub is_stalled: bool,
}

/// A machine's disk, whoever uses it. Cheap to clone: a handle.
#[derive(Clone, Default)]
pub struct Machine {
    /// The files.
    pub files: MemoryDisk,
    /// What is wrong with it.
    pub ills: Arc<Mutex<Ills>>,
}

/// A machine's disk as one process sees it.
#[derive(Clone)]
pub struct SimDisk {
    machine: Machine,
    process: Arc<Process>,
    world: World,
}

impl SimDisk {
    /// The disk of `machine` as `process` sees it.
    pub fn new(machine: Machine, process: Arc<Process>, world: World) -> Self {
        Self { machine, process, world }
    }

    fn check(&self) -> io::Result<()> {
        if self.process.is_alive() { Ok(()) } else { Err(io::Error::other("the process has gone")) }
    }

    /// A read or write that may fail.
    fn access(&self) -> io::Result<()> {
        self.check()?;
        let mut ills = self.machine.ills.lock();
        match &mut ills.fail_after {
            Some(0) => {
                ills.fail_after = None;
                drop(ills);
                self.world.fault(Fault::ReadOrWriteError);
                self.world.trace(&[self.process.number], || format!("p{} EIO", self.process.number));
                Err(io::Error::other("input/output error"))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A change, with which the power may go.
    fn change(&self, what: &str, name: &str) -> io::Result<()> {
        self.access()?;
        let number = self.process.number;
        self.world.trace(&[number, hash(what.as_bytes()), hash(name.as_bytes())], || {
            format!("p{number} disk {what} {name}")
        });
        let mut ills = self.machine.ills.lock();
        match &mut ills.die_after {
            Some((0, crash)) => {
                let crash = *crash;
                *ills = Ills::default();
                drop(ills);
                self.world.fault(Fault::PowerLossAtDiskStep);
                self.world.trace(&[number], || format!("p{number} the power goes"));
                self.process.kill();
                self.machine.files.crash(crash);
                self.check()
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn pause(&self) -> std::time::Duration {
        let is_stalled = self.machine.ills.lock().is_stalled;
        if is_stalled {
            self.world.fault(Fault::SyncStalled);
        }
        let (from, to) = if is_stalled { STALLED_MICROS } else { USUAL_MICROS };
        self.world.micros(from, to)
    }
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    file: MemoryFile,
    name: String,
}

impl SimDisk {
    fn file(&self, name: &str, file: MemoryFile) -> SimFile {
        SimFile { disk: self.clone(), file, name: name.to_owned() }
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lane = SimLane;

    fn create(&self, name: &str) -> io::Result<SimFile> {
        self.change("create", name)?;
        Ok(self.file(name, self.machine.files.create(name)?))
    }

    fn create_new(&self, name: &str) -> io::Result<SimFile> {
        self.change("create", name)?;
        Ok(self.file(name, self.machine.files.create_new(name)?))
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        self.access()?;
        Ok(self.file(name, self.machine.files.open(name)?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.check()?;
        self.machine.files.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.change("remove", name)?;
        self.machine.files.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.change("rename to", to)?;
        self.machine.files.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.change("sync", "the directory")?;
        self.machine.files.sync_dir()
    }

    fn lane(&self) -> SimLane {
        let lane = Arc::new(Queue::default());
        drop(Simulated::spawn(work(lane.clone(), self.clone())));
        SimLane(lane)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        World::sleep(self.pause()).await;
        work()
    }
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.change("append to", &self.name)?;
        self.disk.world.trace(&[hash(bytes)], || format!("  {} bytes", bytes.len()));
        let appended = self.file.append(bytes);
        if appended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            self.disk.world.fault(Fault::DiskFull);
        }
        appended
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.change("sync", &self.name)?;
        let synced = self.file.sync();
        if synced.is_err() {
            self.disk.world.fault(Fault::SyncFailed);
        }
        synced
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.disk.access()?;
        self.file.read_at(offset, buffer)
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.check()?;
        self.file.size()
    }
}

/// Runs jobs in order, each after the time that the disk takes.
pub struct SimLane(Arc<Queue>);

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<Job>>,
    is_closed: Mutex<bool>,
    arrived: Notify,
}

impl Lane for SimLane {
    fn push(&self, job: Job) {
        self.0.jobs.lock().push_back(job);
        self.0.arrived.notify_one();
    }
}

impl Drop for SimLane {
    fn drop(&mut self) {
        *self.0.is_closed.lock() = true;
        self.0.arrived.notify_one();
    }
}

async fn work(queue: Arc<Queue>, disk: SimDisk) {
    loop {
        let next = queue.jobs.lock().pop_front();
        match next {
            Some(job) => {
                World::sleep(disk.pause()).await;
                job();
            }
            None if *queue.is_closed.lock() => return,
            None => queue.arrived.notified().await,
        }
    }
}
