//! A snapshot that another member sends, part by part.

use std::io;
use std::sync::Arc;

use super::partial::Partial;
use super::{SnapshotFile, Snapshots, broken, name_of};
use crate::disk::Disk;

/// A snapshot that is being received. Dropped half-way it leaves nothing.
pub struct Incoming<D: Disk> {
    snapshots: Arc<Snapshots<D>>,
    name: String,
    partial: Partial<D>,
    size_bytes: u64,
}

impl<D: Disk> Incoming<D> {
    /// Begins with nothing of snapshot `name`.
    pub(super) fn new(snapshots: Arc<Snapshots<D>>, name: &str, partial: Partial<D>) -> Self {
        Self { snapshots, name: name.to_owned(), partial, size_bytes: 0 }
    }

    /// Bytes that were received.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether the part of `name` at `offset` is the next one.
    pub fn expects(&self, name: &str, offset: u64) -> bool {
        name == self.name && offset == self.size_bytes
    }

    /// Takes the next part.
    ///
    /// # Errors
    /// When it is not the next part of this snapshot, or cannot be written.
    pub fn append(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if !self.expects(name, offset) {
            let text =
                format!("part {offset} of {name} does not follow part {} of {}", self.size_bytes, self.name);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        self.partial.append(bytes)?;
        self.size_bytes += bytes.len() as u64;
        Ok(())
    }

    /// Makes durable what was received, and checks it by loading it. The state that came of it is kept for the one who
    /// installs it: see [`Snapshots::take_loaded`].
    ///
    /// # Errors
    /// When it is damaged, or cannot be written.
    pub fn finish(mut self) -> io::Result<SnapshotFile> {
        let size_bytes = self.partial.sync()?;
        let (head, inventory) = self.snapshots.load(self.partial.name())?;
        let file = SnapshotFile { name: self.name, head, size_bytes };
        if file.name != name_of(&file.head) {
            return Err(broken(&file.name, "it is another one by its head"));
        }
        let file = self.snapshots.keep(file, self.partial)?;
        *self.snapshots.loaded.lock() = Some((file.clone(), inventory));
        Ok(file)
    }
}
