//! Snapshot files: written under another name first, checked when they are read, the last two kept.
//!
//! ```text
//! record { magic, head } | record of each chunk of the state | record { count }
//! ```
//! Each record is its length, its CRC-32 and its bytes, which start with the codec's format byte. They are written and
//! read one after another: beside the state itself a snapshot takes no memory to speak of.

mod incoming;
mod partial;
mod records;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_model::{Digest, Frozen, Inventory, Seq, codec};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

pub use self::incoming::Incoming;
use self::partial::Partial;
use self::records::{Chunks, put};
use crate::disk::{Disk, DiskFile};
use crate::types::{LogIdRecord, MembershipRecord};

const PREFIX: &str = "snapshot-";
const MAGIC: &str = "holdfast snapshot";

/// How many snapshots are kept: the log reaches back to the older one, so that a damaged newest one costs nothing.
const KEPT: usize = 2;

/// Writes to the file are gathered to about this size, in bytes.
const WRITE_BYTES: usize = 1 << 20;

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotHead {
    /// The last entry in it.
    pub last: Option<LogIdRecord>,
    /// The last membership in it.
    pub membership: MembershipRecord,
    /// The last movement in it.
    pub seq: Seq,
    /// The digest of its state.
    pub digest: Digest,
}

/// A snapshot on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// The file.
    pub name: String,
    /// What it says of itself.
    pub head: SnapshotHead,
    /// Bytes of the file.
    pub size_bytes: u64,
}

/// The snapshots of one data directory. All but the look-ups block.
pub struct Snapshots<D: Disk> {
    disk: D,
    /// Oldest first.
    files: Mutex<Vec<SnapshotFile>>,
    /// The state of the snapshot that was received last, until it is installed.
    loaded: Mutex<Option<(SnapshotFile, Inventory)>>,
    /// How many were begun to be received: each is written under a name of its own.
    received: AtomicU64,
}

fn broken(name: &str, what: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("snapshot {name} is damaged: {what}"))
}

impl<D: Disk> Snapshots<D> {
    /// The snapshots of a directory; what was being written when the member stopped is removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(disk: D) -> io::Result<Self> {
        let is_left = |name: &&String| name.starts_with(PREFIX) && name.ends_with(partial::SUFFIX);
        for name in disk.list()?.iter().filter(is_left) {
            disk.remove(name)?;
        }
        let (files, loaded) = (Mutex::default(), Mutex::default());
        Ok(Self { disk, files, loaded, received: AtomicU64::new(0) })
    }

    /// The newest snapshot that is whole, and its state; none when there is none. Damaged ones are set aside.
    ///
    /// # Errors
    /// What the file system says.
    pub fn load_newest(&self) -> io::Result<Option<(SnapshotHead, Inventory)>> {
        let mut names: Vec<String> =
            self.disk.list()?.into_iter().filter(|name| name.starts_with(PREFIX)).collect();
        // Names sort by index. The older ones are looked through as well, so that they are known to be good.
        let mut newest = None;
        while let Some(name) = names.pop() {
            let read = match &newest {
                None => self.load(&name).map(|(head, inventory)| (head, Some(inventory))),
                Some(_) => self.check(&name).map(|head| (head, None)),
            };
            match read {
                Ok((head, inventory)) => {
                    let size_bytes = self.disk.open(&name)?.size()?;
                    self.files.lock().insert(0, SnapshotFile { name, head: head.clone(), size_bytes });
                    newest = newest.or(inventory.map(|inventory| (head, inventory)));
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let aside = format!("damaged-{name}");
                    tracing::warn!(file = %name, %aside, %error, "a snapshot is damaged; an older one or the log is used");
                    self.disk.rename(&name, &aside)?;
                    self.disk.sync_dir()?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(newest)
    }

    /// The state of a snapshot.
    ///
    /// # Errors
    /// When it is damaged, or cannot be read.
    pub fn load(&self, name: &str) -> io::Result<(SnapshotHead, Inventory)> {
        let (head, mut chunks) = Chunks::open(&self.disk, name)?;
        let restored = Inventory::restore(chunks.by_ref());
        // What is wrong with the file says more than what could not be made of it.
        chunks.finish()?;
        let inventory = restored.map_err(|error| broken(name, error))?;
        if inventory.digest() != head.digest || inventory.last_seq() != head.seq {
            return Err(broken(name, "the state is not the one that its head tells of"));
        }
        Ok((head, inventory))
    }

    /// Whether every record of a snapshot is as it was written.
    fn check(&self, name: &str) -> io::Result<SnapshotHead> {
        let (head, chunks) = Chunks::open(&self.disk, name)?;
        chunks.finish()?;
        Ok(head)
    }

    /// The state of a snapshot: the one that was made of it when it was received, or read again.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn take_loaded(&self, file: &SnapshotFile) -> io::Result<(SnapshotHead, Inventory)> {
        let loaded = self.loaded.lock().take();
        match loaded.filter(|(loaded, _)| loaded == file) {
            Some((file, inventory)) => Ok((file.head, inventory)),
            None => self.load(&file.name),
        }
    }

    /// Drops the state of a snapshot that was received and not installed.
    pub fn forget_loaded(&self) {
        let loaded = self.loaded.lock().take();
        drop(loaded);
    }

    /// The newest snapshot.
    pub fn newest(&self) -> Option<SnapshotFile> {
        self.files.lock().last().cloned()
    }

    /// The log may be cut up to here: the last entry of the older of the two snapshots that are kept.
    pub fn purge_floor(&self) -> Option<LogIdRecord> {
        let files = self.files.lock();
        #[cfg(feature = "planted-bugs")]
        if holdfast_model::planted::is(holdfast_model::planted::Bug::PurgedBeyondOlderSnapshot) {
            return files.last()?.head.last;
        }
        if files.len() < KEPT { None } else { files[files.len() - KEPT].head.last }
    }

    /// Writes a snapshot and makes it durable; older ones than the last two are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, head: SnapshotHead, state: &Frozen) -> io::Result<SnapshotFile> {
        let name = name_of(&head);
        let mut partial = Partial::create(&self.disk, &name)?;
        let mut buffer = Vec::with_capacity(2 * WRITE_BYTES);
        put(&codec::encode(&(MAGIC, &head)), &mut buffer);
        let mut count = 0_u64;
        for chunk in state.chunks() {
            put(&chunk, &mut buffer);
            count += 1;
            if buffer.len() >= WRITE_BYTES {
                partial.append(&buffer)?;
                buffer.clear();
            }
        }
        put(&codec::encode(&count), &mut buffer);
        partial.append(&buffer)?;
        let size_bytes = partial.sync()?;
        self.keep(SnapshotFile { name, head, size_bytes }, partial)
    }

    /// Puts a finished file in its place.
    fn keep(&self, file: SnapshotFile, partial: Partial<D>) -> io::Result<SnapshotFile> {
        partial.place(&file.name)?;
        self.note(file.clone());
        let mut files = self.files.lock();
        while files.len() > KEPT {
            let old = files.remove(0);
            self.disk.remove(&old.name)?;
        }
        Ok(file)
    }

    /// Takes note of a snapshot that is on disk.
    pub fn note(&self, file: SnapshotFile) {
        let mut files = self.files.lock();
        files.retain(|other| other.name != file.name);
        files.push(file);
        files.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Opens a snapshot file to be sent. It can be read to its end when a newer one takes its place meanwhile.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open_to_send(&self, name: &str) -> io::Result<Outgoing<D>> {
        self.disk.open(name).map(Outgoing)
    }

    /// Begins to receive a snapshot.
    ///
    /// # Errors
    /// When the name is not a snapshot's, or the file cannot be made.
    pub fn receive(self: &Arc<Self>, name: &str) -> io::Result<Incoming<D>> {
        let is_plain = name.starts_with(PREFIX)
            && name[PREFIX.len()..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !is_plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a snapshot"));
        }
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let partial = Partial::create(&self.disk, &format!("{name}-received-{number}"))?;
        Ok(Incoming::new(self.clone(), name, partial))
    }
}

/// A snapshot file that is being sent. Its calls block.
pub struct Outgoing<D: Disk>(D::File);

impl<D: Disk> Outgoing<D> {
    /// Up to `max_bytes` of the file from `offset`; fewer only at its end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn part(&self, offset: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; max_bytes];
        let read = self.0.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

fn name_of(head: &SnapshotHead) -> String {
    let (index, term) = head.last.map_or((0, 0), |last| (last.index, last.term));
    format!("{PREFIX}{index:020}-{term:020}")
}
