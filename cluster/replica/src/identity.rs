//! Who a data directory belongs to: cluster, member, and the directory's own incarnation. And the lock that keeps two
//! processes from using it at once.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use holdfast_model::codec;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::NodeId;
use crate::disk::{Disk, DiskFile, read_whole};
use crate::types::ClusterId;

const FILE: &str = "identity";

/// Whoever writes the file makes this one first, which only one can: the other must look again at what was written.
const NEXT_FILE: &str = "identity.partial";

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
    /// Held by whoever writes, so that of two tasks the later one sees what the earlier one wrote.
    writing: Mutex<()>,
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

impl<D: Disk> Identity<D> {
    /// The identity of a directory that has one, and that nobody else uses: what is left of a writing that was cut short
    /// is removed.
    ///
    /// # Errors
    /// When it has none, is another member's, or is damaged: one line.
    pub fn open(disk: D, node: NodeId) -> io::Result<Self> {
        let names = disk.list()?;
        if !names.iter().any(|name| name == FILE) {
            return Err(wrong("this directory is no member's: it has no identity file".to_owned()));
        }
        let content = read(&disk)?;
        if content.node != node {
            let owner = content.node;
            return Err(wrong(format!(
                "this directory is member {owner}'s, but this node was started as {node}"
            )));
        }
        remove_next(&disk, &names)?;
        Ok(Self::with(disk, content))
    }

    fn with(disk: D, content: Content) -> Self {
        Self { disk, content: Mutex::new(content), writing: Mutex::default() }
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
        remove_next(&disk, &names)?;
        let content = Content { cluster: None, node, incarnation };
        write(&disk, |is_there| if is_there { Err(busy()) } else { Ok(content) })?;
        Ok(Self::with(disk, content))
    }

    /// The cluster; none while there is none.
    pub fn cluster(&self) -> Option<ClusterId> {
        self.content.lock().cluster
    }

    /// The directory's own number.
    pub fn incarnation(&self) -> u128 {
        self.content.lock().incarnation
    }

    /// Writes down the cluster that this member belongs to from now on. Of two who do so at once with different clusters,
    /// one is refused. Blocks.
    ///
    /// # Errors
    /// When it belongs to another, or the file cannot be written.
    pub fn found(&self, cluster: ClusterId) -> io::Result<()> {
        self.write(cluster, |known| match known {
            Some(known) if known != cluster => {
                Err(wrong(format!("this directory belongs to cluster {known}, not {cluster}")))
            }
            _ => Ok(()),
        })
    }

    /// Writes down another cluster in place of the one that was lost. Blocks.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn refound(&self, cluster: ClusterId) -> io::Result<()> {
        self.write(cluster, |_| Ok(()))
    }

    fn write(
        &self,
        cluster: ClusterId,
        check: impl Fn(Option<ClusterId>) -> io::Result<()>,
    ) -> io::Result<()> {
        let _turn = self.writing.lock();
        let known = self.cluster();
        check(known)?;
        if known == Some(cluster) {
            return Ok(());
        }
        let content = Content { cluster: Some(cluster), ..*self.content.lock() };
        write(&self.disk, |_| {
            // What another one who opened this directory has written counts, not what is remembered here.
            check(read(&self.disk)?.cluster)?;
            Ok(content)
        })?;
        *self.content.lock() = content;
        Ok(())
    }
}

/// Writes the file anew with what `content` says, which is told whether there is one. Nobody else writes meanwhile.
fn write<D: Disk>(disk: &D, content: impl FnOnce(bool) -> io::Result<Content>) -> io::Result<()> {
    let mut file = disk.create_new(NEXT_FILE).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => busy(),
        _ => error,
    })?;
    let is_there = disk.list().map(|names| names.iter().any(|name| name == FILE));
    let written = is_there.and_then(content).and_then(|content| {
        file.append(&encode(content))?;
        file.sync()?;
        disk.rename(NEXT_FILE, FILE)
    });
    if written.is_err() {
        // When that fails too, the next start removes it; the first error says more.
        let _ = disk.remove(NEXT_FILE);
    }
    written?;
    disk.sync_dir()
}

fn read<D: Disk>(disk: &D) -> io::Result<Content> {
    decode(&read_whole(disk, FILE)?).ok_or_else(|| {
        wrong(
            "the identity file is damaged: it is not known whose directory this is; start with an empty directory, a \
             new id and --join"
                .to_owned(),
        )
    })
}

fn remove_next<D: Disk>(disk: &D, names: &[String]) -> io::Result<()> {
    if names.iter().any(|name| name == NEXT_FILE) { disk.remove(NEXT_FILE) } else { Ok(()) }
}

fn busy() -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, "the identity file is being written by somebody else")
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
