//! A file that is being written under another name than the one that it will have.

use std::io;

use crate::disk::{Disk, DiskFile};

/// Files that are being written end in this. What is left of them when a process ends is removed at the next start.
pub const SUFFIX: &str = ".partial";

/// A file that is being written. It is removed when it is dropped before it was put in its place: whatever failed must
/// not take room from what comes next.
pub struct Partial<D: Disk> {
    disk: D,
    name: String,
    file: D::File,
    is_placed: bool,
}

impl<D: Disk> Partial<D> {
    /// Makes the file.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(disk: &D, stem: &str) -> io::Result<Self> {
        let name = format!("{stem}{SUFFIX}");
        let file = disk.create(&name)?;
        Ok(Self { disk: disk.clone(), name, file, is_placed: false })
    }

    /// The name that it has until it is put in its place.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    /// Makes what was written durable; returns how many bytes that are.
    ///
    /// # Errors
    /// What the file system says.
    pub fn sync(&mut self) -> io::Result<u64> {
        self.file.sync()?;
        self.file.size()
    }

    /// Gives it the name that it was written for, durably.
    ///
    /// # Errors
    /// What the file system says.
    pub fn place(mut self, name: &str) -> io::Result<()> {
        self.disk.rename(&self.name, name)?;
        self.is_placed = true;
        self.disk.sync_dir()
    }
}

impl<D: Disk> Drop for Partial<D> {
    fn drop(&mut self) {
        if !self.is_placed
            && let Err(error) = self.disk.remove(&self.name)
        {
            tracing::warn!(file = %self.name, %error, "a file that was not finished stays until the next start");
        }
    }
}
