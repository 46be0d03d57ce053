//! How a record of the log looks on disk, and what a torn one looks like.
//!
//! ```text
//! format u8 | kind u8 | payload length u32 | payload CRC-32 | header CRC-32 | payload | end mark u8
//! ```
//! The header has a checksum of its own, so that a flipped bit in a length is not taken for a file that ends too
//! early. The end mark is not zero, so that a record that was written whole never ends in a zero.

use bytes::Bytes;
use holdfast_model::codec;
use openraft::EntryPayload;
use openraft::alias::EntryOf;
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
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Head, Self::Entry, Self::Committed, Self::Truncated, Self::Purged]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
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

/// Appends a record to `out`.
///
/// # Panics
/// When the payload is 4 GiB or longer: no message that carries one is.
pub fn write(kind: Kind, parts: &[&[u8]], out: &mut Vec<u8>) {
    let mut crc = crc32fast::Hasher::new();
    parts.iter().for_each(|part| crc.update(part));
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let length = u32::try_from(length).expect("an entry is far smaller than 4 GiB");
    let start = out.len();
    out.extend_from_slice(&[FORMAT, kind as u8]);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    let header_crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&header_crc.to_le_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.push(END_MARK);
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
    let meta = codec::encode(&EntryMeta { log_id, payload });
    let length = u32::try_from(meta.len()).expect("a membership is far smaller than 4 GiB").to_le_bytes();
    write(Kind::Entry, &[&length, &meta, bytes], out);
}

/// The entry of a payload.
///
/// # Errors
/// When the payload is not one, in words.
pub fn entry<H: Host>(payload: &[u8]) -> Result<EntryOf<Types<H>>, String> {
    let (length, rest) = payload.split_at_checked(4).ok_or("an entry is too short")?;
    let length = u32::from_le_bytes(length.try_into().map_err(|_| "an entry is too short")?) as usize;
    let (meta, bytes) = rest.split_at_checked(length).ok_or("an entry is too short")?;
    let meta: EntryMeta = codec::decode(meta).map_err(|error| error.to_string())?;
    let payload = match meta.payload {
        PayloadRecord::Blank => EntryPayload::Blank,
        PayloadRecord::Normal => {
            EntryPayload::Normal(Proposal { bytes: Bytes::copy_from_slice(bytes), entry: None })
        }
        PayloadRecord::Membership(membership) => {
            EntryPayload::Membership(membership.membership().map_err(|error| error.to_string())?)
        }
    };
    Ok(openraft::entry::RaftEntry::new(meta.log_id.log_id::<H>(), payload))
}

/// What stands at a place of a segment.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole record, and its length in bytes.
    Record(Kind, &'a [u8], usize),
    /// Nothing more.
    End,
    /// A record that was being written when the machine stopped: its rest is missing, or reads as zeros.
    Torn,
    /// Something that was written and is not as it was written, in words.
    Damaged(&'static str),
}

/// What stands at the start of `rest`, which goes on to the end of the file.
pub fn read(rest: &[u8]) -> Found<'_> {
    if rest.is_empty() {
        return Found::End;
    }
    let Some((header, body)) = rest.split_at_checked(HEADER) else { return Found::Torn };
    let field = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if crc32fast::hash(&header[..HEADER - 4]) != field(HEADER - 4) {
        return if written(rest) <= HEADER { Found::Torn } else { Found::Damaged("a record's header") };
    }
    let length = field(2) as usize;
    if body.len() <= length {
        return Found::Torn;
    }
    if crc32fast::hash(&body[..length]) != field(6) || body[length] != END_MARK {
        let is_torn = written(rest) < HEADER + length + 1;
        return if is_torn { Found::Torn } else { Found::Damaged("a record's content") };
    }
    match Kind::of(header[1]) {
        Some(kind) if header[0] == FORMAT => Found::Record(kind, &body[..length], HEADER + length + 1),
        Some(_) => Found::Damaged("a record of a format that this release does not know"),
        None => Found::Damaged("a record of a kind that this release does not know"),
    }
}

/// Bytes up to the last one that is not zero.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(Kind::Purged, &[b"some", b"payload\0\0"], &mut bytes);
        bytes
    }

    #[test]
    fn a_whole_record_is_read_back() {
        let bytes = record();
        assert_eq!(read(&bytes), Found::Record(Kind::Purged, b"somepayload\0\0", bytes.len()));
    }

    #[test]
    fn a_cut_record_is_torn_and_so_is_one_whose_rest_is_zero() {
        let bytes = record();
        for kept in 1..bytes.len() {
            assert_eq!(read(&bytes[..kept]), Found::Torn, "cut after {kept}");
            for zeros in [0, 1, 100] {
                let mut torn = bytes[..kept].to_vec();
                torn.resize(bytes.len() + zeros, 0);
                assert_eq!(read(&torn), Found::Torn, "zeros from {kept}");
            }
        }
    }

    #[test]
    fn any_flipped_bit_is_damage() {
        let bytes = record();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(read(&flipped), Found::Damaged(_)), "bit {bit}");
        }
    }
}
