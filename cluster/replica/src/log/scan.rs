//! Reads records out of a file, a piece at a time, so that memory stays bounded by the largest record. Tells a torn
//! tail from damage; what follows from either is not decided here.

use std::io;

use super::record::{Flaw, HEADER, Header, Kind};
use crate::disk::DiskFile;
use crate::window::Window;

/// What stands at a place of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole record, where it starts, and its length in bytes.
    Record {
        /// What it says.
        kind: Kind,
        /// What it carries.
        payload: &'a [u8],
        /// Where it starts.
        offset: u64,
        /// Bytes that it takes.
        length: u64,
    },
    /// The end of the file.
    End,
    /// A record that was being written when the machine stopped: its rest is missing, or reads as zeros to the end of
    /// the file.
    Torn,
    /// Something that was written whole and is not as it was written, or not known.
    Flawed(Flaw),
}

/// The records of a file, one after another.
pub struct Records<F> {
    window: Window<F>,
    offset: u64,
}

impl<F: DiskFile> Records<F> {
    /// The records that `window` shows, from the start of the file.
    pub fn new(window: Window<F>) -> Self {
        Self { window, offset: 0 }
    }

    /// Where the next record starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What comes next. Only a whole record moves on: anything else is found again.
    ///
    /// # Errors
    /// What the file system says.
    pub fn next(&mut self) -> io::Result<Found<'_>> {
        let offset = self.offset;
        let left = self.window.size() - offset;
        if left == 0 {
            return Ok(Found::End);
        }
        if left < HEADER as u64 {
            return Ok(Found::Torn);
        }
        let Some(header) = self.window.fetch(offset, HEADER)?.first_chunk().and_then(Header::read) else {
            return self.torn_or("a record's header", offset + HEADER as u64);
        };
        let bytes = header.record_bytes();
        if left < bytes {
            return Ok(Found::Torn);
        }
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        if header.payload(self.window.fetch(offset, length)?).is_none() {
            // A record that was written whole ends in its mark, which is not zero.
            return self.torn_or("a record's content", offset + bytes - 1);
        }
        let kind = match header.kind() {
            Ok(kind) => kind,
            Err(flaw) => return Ok(Found::Flawed(flaw)),
        };
        self.offset += bytes;
        let payload = &self.window.fetch(offset, length)?[HEADER..length - 1];
        Ok(Found::Record { kind, payload, offset, length: bytes })
    }

    /// A record whose bytes are wrong: torn when nothing was written from `unwritten` on.
    fn torn_or(&mut self, what: &'static str, unwritten: u64) -> io::Result<Found<'static>> {
        let is_torn = self.window.is_zero_from(unwritten)?;
        Ok(if is_torn { Found::Torn } else { Found::Flawed(Flaw::Damaged(what)) })
    }
}
