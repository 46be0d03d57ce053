//! Reads a file a piece at a time, so that memory stays bounded by the largest record in it. The log and the snapshots
//! are read through it.

use std::io;

use crate::disk::DiskFile;

/// A piece of a file in memory.
pub struct Window<F> {
    file: F,
    size: u64,
    ahead: usize,
    start: u64,
    bytes: Vec<u8>,
}

impl<F: DiskFile> Window<F> {
    /// A window on `file` that reads `ahead` bytes or more at a time.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new(file: F, ahead: usize) -> io::Result<Self> {
        let size = file.size()?;
        Ok(Self { file, size, ahead, start: 0, bytes: Vec::new() })
    }

    /// The `length` bytes at `offset`.
    ///
    /// # Errors
    /// What the file system says; also when the file ends before that.
    pub fn fetch(&mut self, offset: u64, length: usize) -> io::Result<&[u8]> {
        let too_short = || io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends too early");
        let end = self.start + self.bytes.len() as u64;
        if offset < self.start || offset + length as u64 > end {
            let left = self.size.checked_sub(offset).ok_or_else(too_short)?;
            let wanted =
                usize::try_from(left.min(length.max(self.ahead) as u64)).map_err(io::Error::other)?;
            self.bytes.resize(wanted, 0);
            self.start = offset;
            let read = self.file.read_at(offset, &mut self.bytes)?;
            self.bytes.truncate(read);
        }
        let from = usize::try_from(offset - self.start).map_err(io::Error::other)?;
        self.bytes.get(from..from + length).ok_or_else(too_short)
    }

    /// Bytes in the file, as it was when this was made.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether everything from `offset` to the end of the file reads as zeros.
    ///
    /// # Errors
    /// What the file system says.
    pub fn is_zero_from(&mut self, mut offset: u64) -> io::Result<bool> {
        while offset < self.size {
            let length =
                usize::try_from((self.size - offset).min(self.ahead as u64)).map_err(io::Error::other)?;
            if self.fetch(offset, length)?.iter().any(|&byte| byte != 0) {
                return Ok(false);
            }
            offset += length as u64;
        }
        Ok(true)
    }
}
