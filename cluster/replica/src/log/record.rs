//! How a record looks on disk. The log's segments and the copies of the vote are made of records, and nothing else.
//!
//! ```text
//! format u8 | kind u8 | payload length u32 | payload CRC-32 | header CRC-32 | payload | end mark u8
//! ```
//! The header has a checksum of its own, so that a flipped bit in a length is not taken for a file that ends too
//! early. The end mark is not zero, so that a record that was written whole never ends in a zero.
//!
//! Nothing here reads or writes a file.

use bytes::Bytes;
use holdfast_model::codec;
use openraft::EntryPayload;
use openraft::alias::EntryOf;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::types::{Host, LogIdRecord, MembershipRecord, PayloadRecord, Proposal, Types};

/// The format that this release writes.
const FORMAT: u8 = 1;
/// Bytes before the payload.
pub const HEADER: usize = 14;
/// The last byte of every record.
const END_MARK: u8 = 0xA5;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The first record of a segment: what the segments before it said.
    Head = 1,
    /// An entry.
    Entry = 2,
    /// What is known to be committed.
    Committed = 3,
    /// Entries after this one are gone.
    Truncated = 4,
    /// Entries up to this one are gone.
    Purged = 5,
    /// A vote, in a file of its own.
    Vote = 6,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Head, Self::Entry, Self::Committed, Self::Truncated, Self::Purged, Self::Vote];
}

/// What the segments before one said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The segment's number.
    pub segment: u64,
    /// Entries up to here are gone.
    pub purged: Option<LogIdRecord>,
    /// What is known to be committed.
    pub committed: Option<LogIdRecord>,
    /// The last entry before the segment.
    pub last: Option<LogIdRecord>,
}

/// The place and payload of an entry; a proposal's bytes follow it as they are.
#[derive(Serialize, Deserialize)]
struct EntryMeta {
    log_id: LogIdRecord,
    payload: PayloadRecord,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// They are not as they were written.
    #[error("{0} is damaged")]
    Damaged(&'static str),
    /// They are as they were written, and this release does not know what they mean.
    #[error("{0}, which this release does not know: start the release that wrote it, or a later one")]
    Unknown(String),
}

/// The first bytes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    format: u8,
    kind: u8,
    length: u32,
    crc: u32,
}

impl Header {
    /// The header of a record; none when its checksum is wrong.
    pub fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let field = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let is_whole = crc32fast::hash(&bytes[..HEADER - 4]) == field(HEADER - 4);
        is_whole.then(|| Self { format: bytes[0], kind: bytes[1], length: field(2), crc: field(6) })
    }

    fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..2].copy_from_slice(&[self.format, self.kind]);
        bytes[2..6].copy_from_slice(&self.length.to_le_bytes());
        bytes[6..10].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..HEADER - 4]);
        bytes[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Bytes of the whole record.
    pub fn record_bytes(self) -> u64 {
        HEADER as u64 + u64::from(self.length) + 1
    }

    /// The payload of `record`, the whole record with this header; none when it is not as it was written.
    pub fn payload(self, record: &[u8]) -> Option<&[u8]> {
        let (&mark, payload) = record.get(HEADER..)?.split_last()?;
        let is_whole =
            payload.len() == self.length as usize && mark == END_MARK && crc32fast::hash(payload) == self.crc;
        is_whole.then_some(payload)
    }

    /// What the record says.
    ///
    /// # Errors
    /// When another release wrote it.
    pub fn kind(self) -> Result<Kind, Flaw> {
        if self.format != FORMAT {
            return Err(Flaw::Unknown(format!("a record of format {}", self.format)));
        }
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == self.kind);
        kind.ok_or_else(|| Flaw::Unknown(format!("a record of kind {}", self.kind)))
    }
}

/// Appends a record to `out`; `payload` appends what it carries.
///
/// # Panics
/// When the payload is 4 GiB or longer: no message that carries one is.
pub fn write(kind: Kind, out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    payload(out);
    let payload = &out[start + HEADER..];
    let length = u32::try_from(payload.len()).expect("an entry is far smaller than 4 GiB");
    let header = Header { format: FORMAT, kind: kind as u8, length, crc: crc32fast::hash(payload) };
    out[start..start + HEADER].copy_from_slice(&header.bytes());
    out.push(END_MARK);
}

/// Appends a record of a plain value to `out`.
pub fn write_value<T: Serialize>(kind: Kind, value: &T, out: &mut Vec<u8>) {
    write(kind, out, |out| codec::encode_into(value, out));
}

/// Appends an entry's record to `out`. A proposal's bytes are copied, not encoded again.
pub fn write_entry<H: Host>(entry: &EntryOf<Types<H>>, out: &mut Vec<u8>) {
    let log_id = LogIdRecord::of::<H>(&entry.log_id);
    let (payload, bytes) = match &entry.payload {
        EntryPayload::Blank => (PayloadRecord::Blank, &[][..]),
        EntryPayload::Normal(proposal) => (PayloadRecord::Normal, &proposal.bytes[..]),
        EntryPayload::Membership(membership) => {
            (PayloadRecord::Membership(MembershipRecord::of_plain(membership)), &[][..])
        }
    };
    write(Kind::Entry, out, |out| {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        codec::encode_into(&EntryMeta { log_id, payload }, out);
        let length = u32::try_from(out.len() - start - 4).expect("a membership is far smaller than 4 GiB");
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out.extend_from_slice(bytes);
    });
}

/// The one record that `bytes` hold.
///
/// # Errors
/// When they hold something else, or more than it.
pub fn read(bytes: &[u8]) -> Result<(Kind, &[u8]), Flaw> {
    let header = bytes.first_chunk().and_then(Header::read).ok_or(Flaw::Damaged("a record's header"))?;
    let payload = header.payload(bytes).ok_or(Flaw::Damaged("a record's content"))?;
    Ok((header.kind()?, payload))
}

/// The value of a payload.
///
/// # Errors
/// When the payload is not one: its checksum was right, so another release wrote it.
pub fn value<T: DeserializeOwned>(payload: &[u8]) -> Result<T, Flaw> {
    codec::decode(payload).map_err(|error| Flaw::Unknown(format!("a record's content ({error})")))
}

fn entry_parts(payload: &[u8]) -> Result<(EntryMeta, &[u8]), Flaw> {
    let too_short = || Flaw::Unknown("an entry that is too short".to_owned());
    let (length, rest) = payload.split_first_chunk().ok_or_else(too_short)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (meta, bytes) = rest.split_at_checked(length).ok_or_else(too_short)?;
    Ok((value(meta)?, bytes))
}

/// The place in the log of the entry of a payload.
///
/// # Errors
/// When the payload is not an entry.
pub fn entry_id(payload: &[u8]) -> Result<LogIdRecord, Flaw> {
    entry_parts(payload).map(|(meta, _)| meta.log_id)
}

/// The entry of a payload.
///
/// # Errors
/// When the payload is not an entry.
pub fn entry<H: Host>(payload: &[u8]) -> Result<EntryOf<Types<H>>, Flaw> {
    let (meta, bytes) = entry_parts(payload)?;
    let payload = match meta.payload {
        PayloadRecord::Blank => EntryPayload::Blank,
        PayloadRecord::Normal => {
            EntryPayload::Normal(Proposal { bytes: Bytes::copy_from_slice(bytes), entry: None })
        }
        PayloadRecord::Membership(membership) => {
            let membership = membership.membership();
            EntryPayload::Membership(membership.map_err(|error| Flaw::Unknown(error.to_string()))?)
        }
    };
    Ok(openraft::entry::RaftEntry::new(meta.log_id.log_id::<H>(), payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(Kind::Purged, &mut bytes, |out| out.extend_from_slice(b"payload\0\0"));
        bytes
    }

    #[test]
    fn a_whole_record_is_read_back() {
        assert_eq!(read(&record()), Ok((Kind::Purged, &b"payload\0\0"[..])));
    }

    #[test]
    fn a_cut_record_or_a_longer_one_is_none() {
        let bytes = record();
        for kept in 0..bytes.len() {
            assert!(matches!(read(&bytes[..kept]), Err(Flaw::Damaged(_))), "cut after {kept}");
        }
        assert!(matches!(read(&[&bytes[..], &[0]].concat()), Err(Flaw::Damaged(_))));
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let bytes = record();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&flipped), Err(Flaw::Damaged(_))), "bit {bit}");
        }
    }

    #[test]
    fn what_another_release_wrote_is_not_damage() {
        for (format, kind) in [(FORMAT + 1, Kind::Head as u8), (FORMAT, 200)] {
            let header = Header { format, kind, length: 0, crc: crc32fast::hash(b"") };
            let bytes = [&header.bytes()[..], &[END_MARK]].concat();
            assert!(matches!(read(&bytes), Err(Flaw::Unknown(_))), "format {format}, kind {kind}");
        }
    }
}
