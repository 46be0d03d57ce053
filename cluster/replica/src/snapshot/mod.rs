//! Snapshot files: written under another name first, checked when they are read, the last two kept.
//!
//! ```text
//! record { magic, head } | record of each chunk of the state | record { count }
//! ```
//! Each record is its length, its CRC-32 and its bytes, which start with the codec's format byte.

use std::io;

use holdfast_model::{Digest, Frozen, Inventory, Seq, codec};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::disk::{Disk, DiskFile, read_whole};
use crate::types::{LogIdRecord, MembershipRecord};

const PREFIX: &str = "snapshot-";
const PARTIAL: &str = ".partial";
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
        for name in disk.list()?.iter().filter(|name| name.starts_with(PREFIX) && name.ends_with(PARTIAL)) {
            disk.remove(name)?;
        }
        Ok(Self { disk, files: Mutex::default() })
    }

    /// The newest snapshot that is whole, and its state; none when there is none. Damaged ones are set aside.
    ///
    /// # Errors
    /// What the file system says.
    pub fn load_newest(&self) -> io::Result<Option<(SnapshotHead, Inventory)>> {
        let mut names: Vec<String> =
            self.disk.list()?.into_iter().filter(|name| name.starts_with(PREFIX)).collect();
        // Names sort by index; each is read whole, so that the older one is known to be good as well.
        let mut newest = None;
        while let Some(name) = names.pop() {
            match self.load(&name) {
                Ok((head, inventory)) => {
                    let size_bytes = self.disk.open(&name)?.size()?;
                    self.files.lock().insert(0, SnapshotFile { name, head: head.clone(), size_bytes });
                    newest = newest.or(Some((head, inventory)));
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
        let bytes = read_whole(&self.disk, name)?;
        let mut records = Records { name, rest: &bytes };
        let head = records.head()?;
        let mut chunks = Vec::new();
        let mut count = 0_u64;
        let end = loop {
            let record = records.next()?;
            if records.rest.is_empty() {
                break record;
            }
            count += 1;
            chunks.push(record.to_vec());
        };
        if codec::decode::<u64>(end).map_err(|error| broken(name, error))? != count {
            return Err(broken(name, "records are missing"));
        }
        let inventory = Inventory::restore(chunks.into_iter()).map_err(|error| broken(name, error))?;
        if inventory.digest() != head.digest || inventory.last_seq() != head.seq {
            return Err(broken(name, "the state is not the one that its head tells of"));
        }
        Ok((head, inventory))
    }

    /// The newest snapshot.
    pub fn newest(&self) -> Option<SnapshotFile> {
        self.files.lock().last().cloned()
    }

    /// The log may be cut up to here: the last entry of the older of the two snapshots that are kept.
    pub fn purge_floor(&self) -> Option<LogIdRecord> {
        let files = self.files.lock();
        if files.len() < KEPT { None } else { files[files.len() - KEPT].head.last }
    }

    /// Writes a snapshot and makes it durable; older ones than the last two are removed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, head: SnapshotHead, state: &Frozen) -> io::Result<SnapshotFile> {
        let name = name_of(&head);
        let partial = format!("{name}{PARTIAL}");
        let mut file = self.disk.create(&partial)?;
        let mut buffer = Vec::with_capacity(2 * WRITE_BYTES);
        put(&codec::encode(&(MAGIC, &head)), &mut buffer);
        let mut count = 0_u64;
        for chunk in state.chunks() {
            put(&chunk, &mut buffer);
            count += 1;
            if buffer.len() >= WRITE_BYTES {
                file.append(&buffer)?;
                buffer.clear();
            }
        }
        put(&codec::encode(&count), &mut buffer);
        file.append(&buffer)?;
        file.sync()?;
        let size_bytes = file.size()?;
        self.keep(SnapshotFile { name, head, size_bytes }, &partial)
    }

    /// Puts a finished file in its place.
    fn keep(&self, file: SnapshotFile, partial: &str) -> io::Result<SnapshotFile> {
        self.disk.rename(partial, &file.name)?;
        self.disk.sync_dir()?;
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

    /// A part of a snapshot file, to be sent.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read_part(&self, name: &str, offset: u64, max_bytes: usize) -> io::Result<Vec<u8>> {
        let file = self.disk.open(name)?;
        let mut bytes = vec![0; max_bytes];
        let read = file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Begins to receive a snapshot.
    ///
    /// # Errors
    /// When the name is not a snapshot's, or the file cannot be made.
    pub fn receive(self: &std::sync::Arc<Self>, name: &str) -> io::Result<Incoming<D>> {
        let is_plain = name.starts_with(PREFIX)
            && name[PREFIX.len()..].bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        if !is_plain {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a snapshot"));
        }
        let partial = format!("{name}-received{PARTIAL}");
        let file = self.disk.create(&partial)?;
        Ok(Incoming { snapshots: self.clone(), name: name.to_owned(), partial, file, size_bytes: 0 })
    }
}

/// A snapshot that is being received. Dropped half-way it leaves a file that the next start removes.
pub struct Incoming<D: Disk> {
    snapshots: std::sync::Arc<Snapshots<D>>,
    name: String,
    partial: String,
    file: D::File,
    size_bytes: u64,
}

impl<D: Disk> Incoming<D> {
    /// Takes the next part.
    ///
    /// # Errors
    /// When it is not the next part of this snapshot, or cannot be written.
    pub fn append(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if name != self.name || offset != self.size_bytes {
            let text =
                format!("part {offset} of {name} does not follow part {} of {}", self.size_bytes, self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.file.append(bytes)?;
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Checks what was received, and makes it durable.
    ///
    /// # Errors
    /// When it is damaged, or cannot be written.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        self.file.sync()?;
        let (head, _) = self.snapshots.load(&self.partial)?;
        let file = SnapshotFile { name: self.name, head, size_bytes: self.size_bytes };
        if file.name != name_of(&file.head) {
            return Err(broken(&file.name, "it is another one by its head"));
        }
        self.snapshots.keep(file, &self.partial)
    }
}

fn name_of(head: &SnapshotHead) -> String {
    let (index, term) = head.last.map_or((0, 0), |last| (last.index, last.term));
    format!("{PREFIX}{index:020}-{term:020}")
}

fn put(record: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).expect("a chunk is far smaller than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// The records of a file that was read.
struct Records<'a> {
    name: &'a str,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn next(&mut self) -> io::Result<&'a [u8]> {
        let short = || broken(self.name, "it ends too early");
        let (header, rest) = self.rest.split_at_checked(8).ok_or_else(short)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let (record, rest) = rest.split_at_checked(length).ok_or_else(short)?;
        if crc32fast::hash(record).to_le_bytes() != header[4..] {
            return Err(broken(self.name, "a record's checksum is wrong"));
        }
        self.rest = rest;
        Ok(record)
    }

    fn head(&mut self) -> io::Result<SnapshotHead> {
        let (magic, head): (String, SnapshotHead) =
            codec::decode(self.next()?).map_err(|error| broken(self.name, error))?;
        if magic == MAGIC { Ok(head) } else { Err(broken(self.name, "it is no snapshot")) }
    }
}
