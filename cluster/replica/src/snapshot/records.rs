//! The records of a snapshot file, read one at a time: no more of the file is in memory than a piece of it.

use std::io;

use holdfast_model::codec;

use super::{MAGIC, SnapshotHead, broken};
use crate::disk::{Disk, DiskFile};
use crate::window::Window;

/// How much is read at a time, in bytes.
const READ_BYTES: usize = 1 << 20;

/// A record's length and checksum, in bytes.
const HEADER: usize = 8;

/// Appends a record to `out`.
pub fn put(record: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(record.len()).expect("a chunk is far smaller than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// A snapshot file behind its head: an iterator over the chunks of the state, which ends early where the file is not as
/// it was written. [`Self::finish`] says whether it did.
pub struct Chunks<F> {
    name: String,
    window: Window<F>,
    offset: u64,
    count: u64,
    is_whole: bool,
    failure: Option<io::Error>,
}

impl<F: DiskFile> Chunks<F> {
    /// Opens a snapshot and reads its head.
    ///
    /// # Errors
    /// When it is damaged, or cannot be read.
    pub fn open<D: Disk<File = F>>(disk: &D, name: &str) -> io::Result<(SnapshotHead, Self)> {
        let window = Window::new(disk.open(name)?, READ_BYTES)?;
        let mut chunks =
            Self { name: name.to_owned(), window, offset: 0, count: 0, is_whole: false, failure: None };
        let (magic, head): (String, SnapshotHead) =
            codec::decode(chunks.record()?).map_err(|error| broken(name, error))?;
        if magic == MAGIC { Ok((head, chunks)) } else { Err(broken(name, "it is no snapshot")) }
    }

    /// Reads what was not asked for.
    ///
    /// # Errors
    /// When something in the file is damaged or missing, or could not be read.
    pub fn finish(mut self) -> io::Result<()> {
        self.by_ref().for_each(drop);
        self.failure.map_or(Ok(()), Err)
    }

    fn record(&mut self) -> io::Result<&[u8]> {
        let name = &self.name;
        let short = || broken(name, "it ends too early");
        let left = self.window.size() - self.offset;
        let body_left = left.checked_sub(HEADER as u64).ok_or_else(short)?;
        let header = self.window.fetch(self.offset, HEADER)?;
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        if u64::from(length) > body_left {
            return Err(short());
        }
        let record = self.window.fetch(self.offset + HEADER as u64, length as usize)?;
        if crc32fast::hash(record) != crc {
            return Err(broken(name, "a record's checksum is wrong"));
        }
        self.offset += HEADER as u64 + u64::from(length);
        Ok(record)
    }

    /// The next chunk; none when the last record came in its place, and says that all were there.
    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let record = self.record()?.to_vec();
        if self.offset < self.window.size() {
            self.count += 1;
            return Ok(Some(record));
        }
        let told = codec::decode::<u64>(&record).map_err(|error| broken(&self.name, error))?;
        self.is_whole = told == self.count;
        if self.is_whole { Ok(None) } else { Err(broken(&self.name, "records are missing")) }
    }
}

impl<F: DiskFile> Iterator for Chunks<F> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.failure.is_some() || self.is_whole {
            return None;
        }
        self.chunk().unwrap_or_else(|error| {
            self.failure = Some(error);
            None
        })
    }
}
