//! What the records of a log, read in order, come to. Reads segments and changes no file.

use std::io;

use super::memory::{Limits, Memory, Place, Segment, Slot};
use super::record::{self, Flaw, Head, Kind};
use super::scan::{Found, Records};
use crate::disk::DiskFile;
use crate::types::{Host, LogIdRecord};
use crate::window::Window;

/// How far a segment could be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Reached {
    /// To its end.
    End,
    /// To a record that was being written when the machine stopped.
    Torn,
    /// To something that is not as it was written, in words.
    Damaged(String),
}

/// The log as far as it has been read.
pub struct Replay<H: Host> {
    memory: Memory<H>,
    /// The last entry before the first one that is there. Segments are removed once what they hold is purged, and the
    /// record that says so may stand further on.
    before: Option<LogIdRecord>,
    read_bytes: u64,
}

/// Why a record does not follow those before it.
enum Trouble {
    Damaged(String),
    Unknown(Flaw),
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Damaged(_) => Self::Damaged(flaw.to_string()),
            Flaw::Unknown(_) => Self::Unknown(flaw),
        }
    }
}

fn damaged<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Damaged(what.into()))
}

impl<H: Host> Replay<H> {
    /// Nothing was read yet.
    pub fn new(limits: Limits) -> Self {
        Self { memory: Memory::new(limits), before: None, read_bytes: 0 }
    }

    /// Bytes of the segment read last that make sense.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The index after the last entry that was read.
    pub fn next_index(&self) -> u64 {
        self.last().map_or(0, |last| last.index + 1)
    }

    /// Reads the next segment.
    ///
    /// # Errors
    /// What the file system says; also when another release wrote the segment.
    pub fn read_segment<F: DiskFile>(
        &mut self,
        number: u64,
        segment: Window<F>,
        is_last: bool,
    ) -> io::Result<Reached> {
        let mut records = Records::new(segment);
        self.read_bytes = 0;
        loop {
            let taken = match records.next()? {
                Found::End if self.read_bytes > 0 => return Ok(Reached::End),
                Found::End | Found::Torn if is_last => return Ok(Reached::Torn),
                Found::End | Found::Torn => damaged("the file ends too early"),
                Found::Flawed(flaw) => Err(flaw.into()),
                Found::Record { kind, payload, offset, length } => {
                    self.take(kind, payload, Place { segment: number, offset, length })
                }
            };
            match taken {
                Ok(()) => self.read_bytes = records.offset(),
                Err(Trouble::Damaged(what)) => return Ok(Reached::Damaged(what)),
                Err(Trouble::Unknown(flaw)) => {
                    let text =
                        format!("{} holds, at byte {}, {flaw}", super::segment_name(number), self.read_bytes);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
            }
            if let Some(segment) = self.memory.segments.back_mut() {
                segment.size = self.read_bytes;
            }
        }
    }

    /// The log that was read.
    pub fn finish(mut self, is_damaged: bool) -> Memory<H> {
        if self.before > self.memory.purged {
            // With damage, the record that said so may be what was lost.
            if !is_damaged {
                let first_index = self.before.map_or(0, |before| before.index + 1);
                tracing::warn!(first_index, "the files of the log before first_index are missing");
            }
            self.memory.purged = self.before;
        }
        self.memory.committed = self.memory.committed.min(self.memory.last());
        self.memory.all_is_durable();
        self.memory
    }

    fn last(&self) -> Option<LogIdRecord> {
        self.memory.slots.back().map_or(self.before, |slot| Some(slot.id))
    }

    fn take(&mut self, kind: Kind, payload: &[u8], place: Place) -> Result<(), Trouble> {
        if (place.offset == 0) != (kind == Kind::Head) {
            return damaged("the head of the segment is not where it should be");
        }
        match kind {
            Kind::Head => self.take_head(record::value(payload)?, place.segment),
            Kind::Entry => self.take_entry(record::entry_id(payload)?, place),
            Kind::Committed => {
                self.memory.committed = record::value(payload)?;
                Ok(())
            }
            Kind::Truncated => self.truncate_after(record::value(payload)?),
            Kind::Purged => {
                if let Some(upto) = record::value(payload)? {
                    self.purge(upto);
                }
                Ok(())
            }
            Kind::Vote => damaged("a vote stands in the log"),
        }
    }

    fn take_head(&mut self, head: Head, number: u64) -> Result<(), Trouble> {
        if head.segment != number {
            return damaged(format!("the file holds segment {}", head.segment));
        }
        match self.memory.segments.back() {
            None => self.before = head.last,
            Some(before) if before.number + 1 != number => {
                return damaged(format!("segment {} is missing before it", number - 1));
            }
            Some(_) if self.last() != head.last => {
                return damaged("the segment does not follow the one before it");
            }
            Some(_) => {}
        }
        self.memory.segments.push_back(Segment { number, size: 0, highest: None });
        if let Some(purged) = head.purged {
            self.purge(purged);
        }
        self.memory.committed = head.committed;
        Ok(())
    }

    fn take_entry(&mut self, id: LogIdRecord, place: Place) -> Result<(), Trouble> {
        match self.last() {
            Some(last) if last.index + 1 != id.index || last.term > id.term => damaged(format!(
                "entry {} of term {} stands after entry {} of term {}",
                id.index, id.term, last.index, last.term
            )),
            _ => {
                self.memory.note(Slot { id, place });
                Ok(())
            }
        }
    }

    fn truncate_after(&mut self, last: Option<LogIdRecord>) -> Result<(), Trouble> {
        let index = |id: Option<LogIdRecord>| id.map(|id| id.index);
        self.memory.forget_after(index(last));
        if self.memory.slots.is_empty() && index(self.before) > index(last) {
            // What it goes back to was in a segment that is not there any more.
            self.before = last;
        }
        if index(self.last()) == index(last) {
            return Ok(());
        }
        damaged("the log is cut after an entry that it does not have")
    }

    fn purge(&mut self, upto: LogIdRecord) {
        self.memory.forget_upto(upto);
        self.before = self.before.max(Some(upto));
    }
}
