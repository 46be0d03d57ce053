//! A disk that is full, or whose sync fails: the log says so once, and nothing is acknowledged afterwards.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use tempfile::TempDir;

use super::{E, entry};
use crate::disk::{Disk, DiskFile};
use crate::file_disk::{FileDisk, FileLane, OpenFile};
use crate::log::Log;
use crate::tcp::TcpNetwork;
use crate::types::{Host, Types, VoteRecord};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Failing;

impl Host for Failing {
    type Runtime = openraft_rt_tokio::TokioRuntime;
    type Disk = FailingDisk;
    type Network = TcpNetwork;
}

/// Real files, whose appends or syncs fail from some time on.
#[derive(Clone)]
struct FailingDisk {
    files: FileDisk,
    plan: Arc<Plan>,
}

#[derive(Default)]
struct Plan {
    appends_left: AtomicU64,
    syncs_left: AtomicU64,
    syncs: AtomicU64,
}

struct FailingFile {
    file: OpenFile,
    plan: Arc<Plan>,
}

/// One less of what is left; false when nothing is.
fn spend(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl FailingDisk {
    fn new(dir: &TempDir) -> Self {
        let plan = Plan {
            appends_left: AtomicU64::new(u64::MAX),
            syncs_left: AtomicU64::new(u64::MAX),
            ..Plan::default()
        };
        Self { files: FileDisk::open(dir.path()).unwrap(), plan: Arc::new(plan) }
    }

    fn wrap(&self, file: OpenFile) -> FailingFile {
        FailingFile { file, plan: self.plan.clone() }
    }
}

impl Disk for FailingDisk {
    type File = FailingFile;
    type Lane = FileLane;

    fn create(&self, name: &str) -> io::Result<FailingFile> {
        self.files.create(name).map(|file| self.wrap(file))
    }
    fn open(&self, name: &str) -> io::Result<FailingFile> {
        self.files.open(name).map(|file| self.wrap(file))
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.files.list()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn sync_dir(&self) -> io::Result<()> {
        self.files.sync_dir()
    }
    fn lane(&self) -> FileLane {
        self.files.lane()
    }
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.files.run(work).await
    }
}

impl DiskFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if spend(&self.plan.appends_left) {
            return self.file.append(bytes);
        }
        // A full disk takes a part.
        self.file.append(&bytes[..bytes.len() / 2])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
    fn sync(&mut self) -> io::Result<()> {
        self.plan.syncs.fetch_add(1, Ordering::Relaxed);
        if spend(&self.plan.syncs_left) {
            self.file.sync()
        } else {
            Err(io::Error::other("the device has gone"))
        }
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}

async fn append(log: &mut Log<Failing>, entries: Vec<E>) -> io::Result<()> {
    let (sender, receiver) = Types::<Failing>::oneshot();
    // Entries look the same for every host.
    let entries =
        entries.into_iter().map(|entry| openraft::entry::RaftEntry::new(entry.log_id, entry.payload));
    log.append(entries, IOFlushed::signal(sender)).await?;
    receiver.await.unwrap()
}

#[tokio::test]
async fn a_failed_sync_is_told_and_never_tried_again() {
    let dir = TempDir::new().unwrap();
    let disk = FailingDisk::new(&dir);
    let mut log = Log::<Failing>::open(disk.clone()).unwrap();
    append(&mut log, vec![entry(1, 0)]).await.unwrap();
    disk.plan.syncs_left.store(0, Ordering::Relaxed);
    assert!(
        append(&mut log, vec![entry(1, 1)]).await.unwrap_err().to_string().contains("the device has gone")
    );
    let syncs = disk.plan.syncs.load(Ordering::Relaxed);
    // The device is back, but what was dirty may be lost: nothing is acknowledged any more.
    disk.plan.syncs_left.store(u64::MAX, Ordering::Relaxed);
    assert!(
        append(&mut log, vec![entry(1, 2)]).await.unwrap_err().to_string().contains("the device has gone")
    );
    assert!(log.purge(entry(1, 0).log_id).await.is_err());
    assert_eq!(disk.plan.syncs.load(Ordering::Relaxed), syncs);
}

#[tokio::test]
async fn a_full_disk_is_told_and_what_was_acknowledged_is_there_afterwards() {
    let dir = TempDir::new().unwrap();
    let disk = FailingDisk::new(&dir);
    let mut log = Log::<Failing>::open(disk.clone()).unwrap();
    log.save_vote(&VoteRecord { term: 1, node: 2, committed: true }.vote::<Failing>()).await.unwrap();
    append(&mut log, vec![entry(1, 0)]).await.unwrap();
    disk.plan.appends_left.store(0, Ordering::Relaxed);
    let error = append(&mut log, vec![entry(1, 1)]).await.unwrap_err().to_string();
    assert!(error.contains("no storage space"), "{error}");
    assert!(append(&mut log, vec![entry(1, 2)]).await.is_err());
    drop(log);
    let mut log = Log::<Failing>::open(FailingDisk::new(&dir)).unwrap();
    assert!(!log.is_suspect().unwrap(), "half a record is torn, not damaged");
    assert_eq!(log.get_log_state().await.unwrap().last_log_id.map(|id| id.index()), Some(0));
    append(&mut log, vec![entry(2, 1)]).await.unwrap();
}

#[tokio::test]
async fn many_appends_share_a_sync() {
    let dir = TempDir::new().unwrap();
    let disk = FailingDisk::new(&dir);
    let mut log = Log::<Failing>::open(disk.clone()).unwrap();
    let mut waits = Vec::new();
    for index in 0..1000 {
        let (sender, receiver) = Types::<Failing>::oneshot();
        let entry = entry(1, index);
        let entry = openraft::entry::RaftEntry::new(entry.log_id, entry.payload);
        log.append([entry], IOFlushed::signal(sender)).await.unwrap();
        waits.push(receiver);
    }
    for wait in waits {
        wait.await.unwrap().unwrap();
    }
    let syncs = disk.plan.syncs.load(Ordering::Relaxed);
    assert!(syncs < 500, "{syncs} syncs for 1000 appends");
}
