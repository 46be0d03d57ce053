//! Who a data directory belongs to: cluster, member, and the directory's own incarnation. And the lock that keeps two
//! processes from using it at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use holdfast_model::codec;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::disk::{Disk, read_whole, replace};
use crate::types::ClusterId;

const FILE: &str = "identity";
const LOCK_FILE: &str = "lock";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    cluster: Option<ClusterId>,
    node: NodeId,
    incarnation: u128,
}

/// The identity of one data directory.
pub struct Identity<D: Disk> {
    disk: D,
    content: Mutex<Content>,
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl<D: Disk> Identity<D> {
    /// The identity of a directory that has one.
    ///
    /// # Errors
    /// When it has none, is another member's, or is damaged: one line.
    pub fn open(disk: D, node: NodeId) -> io::Result<Self> {
        let names = disk.list()?;
        if !names.iter().any(|name| name == FILE) {
            return Err(wrong("this directory is no member's: it has no identity file".to_owned()));
        }
        let content = decode(&read_whole(&disk, FILE)?).ok_or_else(|| {
            wrong(
                "the identity file is damaged: it is not known whose directory this is; start with an empty directory, a \
                 new id and --join"
                    .to_owned(),
            )
        })?;
        if content.node != node {
            let owner = content.node;
            return Err(wrong(format!(
                "this directory is member {owner}'s, but this node was started as {node}"
            )));
        }
        Ok(Self { disk, content: Mutex::new(content) })
    }

    /// The identity of a directory; a new one, with `incarnation`, when the directory is empty.
    ///
    /// # Errors
    /// As [`Self::open`], and when there is data without an identity.
    pub fn open_or_create(disk: D, node: NodeId, incarnation: u128) -> io::Result<Self> {
        let names = disk.list()?;
        if names.iter().any(|name| name == FILE) {
            return Self::open(disk, node);
        }
        let is_data =
            |name: &&String| ["log-", "vote-", "snapshot-"].iter().any(|prefix| name.starts_with(prefix));
        if let Some(name) = names.iter().find(is_data) {
            return Err(wrong(format!(
                "the directory has data ({name}) but no identity file, so it is not known whose it is; start with an empty \
                 directory, a new id and --join"
            )));
        }
        let content = Content { cluster: None, node, incarnation };
        replace(&disk, FILE, &encode(content))?;
        Ok(Self { disk, content: Mutex::new(content) })
    }

    /// The cluster; none while there is none.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.content.lock().cluster
    }

    /// The directory's own number.
    pub fn incarnation(&self) -> u128 {
        self.content.lock().incarnation
    }

    /// Writes down the cluster that this member belongs to from now on. Blocks.
    ///
    /// # Errors
    /// When it belongs to another, or the file cannot be written.
    pub fn found(&self, cluster: ClusterId) -> io::Result<()> {
        match self.cluster() {
            Some(known) if known == cluster => Ok(()),
            Some(known) => Err(wrong(format!("this directory belongs to cluster {known}, not {cluster}"))),
            None => self.write(cluster),
        }
    }

    /// Writes down another cluster in place of the one that was lost. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn refound(&self, cluster: ClusterId) -> io::Result<()> {
        self.write(cluster)
    }

    fn write(&self, cluster: ClusterId) -> io::Result<()> {
        let content = Content { cluster: Some(cluster), ..*self.content.lock() };
        replace(&self.disk, FILE, &encode(content))?;
        *self.content.lock() = content;
        Ok(())
    }
}

fn encode(content: Content) -> Vec<u8> {
    let body = codec::encode(&content);
    [&crc32fast::hash(&body).to_le_bytes()[..], &body].concat()
}

fn decode(bytes: &[u8]) -> Option<Content> {
    let (crc, body) = bytes.split_at_checked(4)?;
    (crc == crc32fast::hash(body).to_le_bytes()).then(|| codec::decode(body).ok()).flatten()
}

/// Holds a data directory for this process.
#[derive(Debug)]
pub struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the directory, which must exist.
    ///
    /// # Errors
    /// When another process has it: one line.
    pub fn acquire(dir: &Path) -> io::Result<Self> {
        let path = dir.join(LOCK_FILE);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| wrong(format!("cannot open {}: {error}", path.display())))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(wrong(format!("the data directory {} is in use by another process", dir.display())))
            }
            Err(TryLockError::Error(error)) => Err(wrong(format!("cannot lock {}: {error}", path.display()))),
        }
    }
}
