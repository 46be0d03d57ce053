//! A disk in memory that fails when it is told to, and whose crash loses what was not synced.

#![allow(dead_code, reason = "the tests of the log and those of the rest use a part of it each")]

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;

use holdfast_replica::disk::{Disk, DiskFile, Job, Lane};
use parking_lot::Mutex;

/// The disk. Clones are handles on the same one.
#[derive(Clone, Default)]
pub struct MemoryDisk(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    names: BTreeMap<String, Arc<Mutex<Content>>>,
    /// What a crash leaves of `names`, when nothing more than that gets through.
    durable_names: BTreeMap<String, Arc<Mutex<Content>>>,
    /// Changes of `names` since the directory was synced.
    unsynced: Vec<Renaming>,
    /// How many more changes go well; after that, all fail.
    changes_left: Option<u64>,
    /// How many more syncs of files go well; then one fails.
    syncs_left: Option<u64>,
    are_removals_refused: bool,
    during_sync: Option<Job>,
    before_create: Option<Watcher>,
    /// Bytes that still fit.
    room: Option<usize>,
    syncs: u64,
    appends: u64,
    largest_read: usize,
    /// Jobs wait here while the lanes are held.
    held: Option<VecDeque<Job>>,
}

/// Is told the names of files.
type Watcher = Arc<dyn Fn(&str) + Send + Sync>;

#[derive(Clone)]
enum Renaming {
    Made(String, Arc<Mutex<Content>>),
    Renamed(String, String),
    Removed(String),
}

/// The bytes of a file.
#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    synced: usize,
    /// Ranges that a failed sync left in the cache, clean and not on disk: no later sync writes them.
    lost: Vec<Range<usize>>,
}

/// What a crash makes of the part of a file that was not synced.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    /// Of each unsynced part, and of the unsynced changes of names, this share gets through, in 256ths.
    pub kept: u8,
    /// The file has its full length, and what did not get through reads as zeros.
    pub zeros: bool,
}

impl MemoryDisk {
    /// Everything fails after `changes` more changes of the disk.
    pub fn die_after(&self, changes: u64) {
        self.0.lock().changes_left = Some(changes);
    }

    /// A sync fails after `syncs` more; those after it go well, and write nothing of what that one should have.
    pub fn fail_sync_after(&self, syncs: u64) {
        self.0.lock().syncs_left = Some(syncs);
    }

    /// Only `bytes` more fit; `None` is as many as there are.
    pub fn limit_room(&self, bytes: Option<usize>) {
        self.0.lock().room = bytes;
    }

    /// How many syncs of files there were, failed ones included.
    pub fn syncs(&self) -> u64 {
        self.0.lock().syncs
    }

    /// How many times something was written.
    pub fn appends(&self) -> u64 {
        self.0.lock().appends
    }

    /// Does `what` while the next sync is under way.
    pub fn during_next_sync(&self, what: impl FnOnce() + Send + 'static) {
        self.0.lock().during_sync = Some(Box::new(what));
    }

    /// Tells `watcher` the name of each file right before it is made.
    pub fn before_create(&self, watcher: impl Fn(&str) + Send + Sync + 'static) {
        self.0.lock().before_create = Some(Arc::new(watcher));
    }

    /// Bytes of the largest piece that was read at once.
    pub fn largest_read(&self) -> usize {
        self.0.lock().largest_read
    }

    /// No file can be removed from now on.
    pub fn refuse_removals(&self) {
        self.0.lock().are_removals_refused = true;
    }

    /// Whether changes go well.
    pub fn is_alive(&self) -> bool {
        self.0.lock().changes_left != Some(0)
    }

    /// Lanes do nothing from now on.
    pub fn hold_lanes(&self) {
        self.0.lock().held = Some(VecDeque::new());
    }

    /// Lanes do what waits, and work as usual again.
    pub fn release_lanes(&self) {
        let held = self.0.lock().held.take();
        held.into_iter().flatten().for_each(|job| job());
    }

    /// The bytes of a file.
    pub fn get(&self, name: &str) -> Vec<u8> {
        self.0.lock().content(name).unwrap().lock().bytes.clone()
    }

    /// Puts a file there, durably.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let content = Content { bytes: bytes.to_vec(), synced: bytes.len(), lost: Vec::new() };
        let content = Arc::new(Mutex::new(content));
        let mut inner = self.0.lock();
        inner.names.insert(name.to_owned(), Arc::clone(&content));
        inner.durable_names.insert(name.to_owned(), content);
    }

    /// Takes all files away whose names start with `prefix`, durably.
    pub fn remove_all(&self, prefix: &str) {
        let mut inner = self.0.lock();
        inner.names.retain(|name, _| !name.starts_with(prefix));
        inner.durable_names.retain(|name, _| !name.starts_with(prefix));
    }

    /// The process that used the disk is gone, and nothing fails any more. What was written is still in the cache.
    pub fn revive(&self) {
        let mut inner = self.0.lock();
        (inner.changes_left, inner.syncs_left, inner.room) = (None, None, None);
    }

    /// The power goes, and comes back.
    pub fn crash(&self, crash: Crash) {
        let mut inner = self.0.lock();
        let mut names = inner.durable_names.clone();
        let through = share(inner.unsynced.len(), crash.kept);
        inner.unsynced.iter().take(through).for_each(|change| change.clone().make(&mut names));
        for content in names.values_mut() {
            let crashed = content.lock().crashed(crash);
            *content = Arc::new(Mutex::new(crashed));
        }
        *inner = Inner { durable_names: names.clone(), names, ..Inner::default() };
    }
}

fn share(of: usize, kept: u8) -> usize {
    of * usize::from(kept) / usize::from(u8::MAX)
}

impl Renaming {
    fn make(self, names: &mut BTreeMap<String, Arc<Mutex<Content>>>) {
        match self {
            Self::Made(name, content) => drop(names.insert(name, content)),
            Self::Removed(name) => drop(names.remove(&name)),
            Self::Renamed(from, to) => {
                if let Some(content) = names.remove(&from) {
                    names.insert(to, content);
                }
            }
        }
    }
}

impl Content {
    fn crashed(&self, crash: Crash) -> Self {
        let unsynced = self.bytes.len() - self.synced;
        let kept = self.synced + share(unsynced, crash.kept);
        let mut bytes = self.bytes[..kept].to_vec();
        if crash.zeros {
            bytes.resize(self.bytes.len(), 0);
        }
        for range in &self.lost {
            let end = range.end.min(bytes.len());
            bytes[range.start.min(end)..end].fill(0);
        }
        Self { synced: bytes.len(), bytes, lost: Vec::new() }
    }
}

impl Inner {
    fn change(&mut self) -> io::Result<()> {
        match &mut self.changes_left {
            Some(0) => Err(io::Error::other("the disk has gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn rename(&mut self, change: Renaming) {
        change.clone().make(&mut self.names);
        self.unsynced.push(change);
    }

    fn content(&self, name: &str) -> io::Result<Arc<Mutex<Content>>> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} is not there"));
        self.names.get(name).cloned().ok_or_else(missing)
    }
}

/// An open file of a [`MemoryDisk`].
pub struct MemoryFile {
    disk: MemoryDisk,
    content: Arc<Mutex<Content>>,
}

impl Disk for MemoryDisk {
    type File = MemoryFile;
    type Lane = MemoryLane;

    fn create(&self, name: &str) -> io::Result<MemoryFile> {
        let watcher = self.0.lock().before_create.clone();
        watcher.into_iter().for_each(|watcher| watcher(name));
        let mut inner = self.0.lock();
        inner.change()?;
        let content = Arc::default();
        inner.rename(Renaming::Made(name.to_owned(), Arc::clone(&content)));
        Ok(MemoryFile { disk: self.clone(), content })
    }

    fn create_new(&self, name: &str) -> io::Result<MemoryFile> {
        let is_taken = self.0.lock().names.contains_key(name);
        if is_taken {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} is there already")));
        }
        self.create(name)
    }

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        Ok(MemoryFile { disk: self.clone(), content: self.0.lock().content(name)? })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.content(name)?;
        inner.change()?;
        if inner.are_removals_refused {
            return Err(io::Error::other("it cannot be removed"));
        }
        inner.rename(Renaming::Removed(name.to_owned()));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.content(from)?;
        inner.change()?;
        inner.rename(Renaming::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut inner = self.0.lock();
        inner.change()?;
        inner.durable_names = inner.names.clone();
        inner.unsynced.clear();
        Ok(())
    }

    fn lane(&self) -> MemoryLane {
        MemoryLane(self.clone())
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
}

/// Does its jobs at once, on the thread that brings them, unless it is held.
pub struct MemoryLane(MemoryDisk);

impl Lane for MemoryLane {
    fn push(&self, job: Job) {
        let mut inner = self.0.0.lock();
        match &mut inner.held {
            Some(held) => held.push_back(job),
            None => {
                drop(inner);
                job();
            }
        }
    }
}

impl DiskFile for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.disk.0.lock();
        inner.change()?;
        inner.appends += 1;
        let fitting = inner.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        inner.room = inner.room.map(|room| room - fitting);
        self.content.lock().bytes.extend_from_slice(&bytes[..fitting]);
        if fitting < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let during = self.disk.0.lock().during_sync.take();
        during.into_iter().for_each(|what| what());
        let mut inner = self.disk.0.lock();
        inner.change()?;
        inner.syncs += 1;
        let mut content = self.content.lock();
        let unsynced = content.synced..content.bytes.len();
        content.synced = content.bytes.len();
        match &mut inner.syncs_left {
            Some(0) => {
                content.lost.push(unsynced);
                inner.syncs_left = None;
                return Err(io::Error::other("the disk did not take it"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.disk.0.lock();
        inner.largest_read = inner.largest_read.max(buffer.len());
        drop(inner);
        let content = self.content.lock();
        let start = usize::try_from(offset).map_err(io::Error::other)?.min(content.bytes.len());
        let length = buffer.len().min(content.bytes.len() - start);
        buffer[..length].copy_from_slice(&content.bytes[start..start + length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.content.lock().bytes.len() as u64)
    }
}
