//! The vote, in two files of its own: damage to one of them, or to the log, never makes a member forget whom it voted
//! for.

use std::io;

use holdfast_model::codec;

use crate::disk::{Disk, read_whole, replace};
use crate::types::VoteRecord;

/// Written in this order; a vote is given only when both are durable.
const FILES: [&str; 2] = ["vote-a", "vote-b"];

/// Makes a vote durable.
///
/// # Errors
/// What the file system says.
pub fn save<D: Disk>(disk: &D, vote: VoteRecord) -> io::Result<()> {
    let bytes = encode(vote);
    FILES.iter().try_for_each(|name| replace(disk, name, &bytes))
}

/// The vote that was saved last; none before the first. One damaged copy is made good from the other.
///
/// # Errors
/// When no copy is whole, in one line that says what to do.
pub fn load<D: Disk>(disk: &D) -> io::Result<Option<VoteRecord>> {
    let names = disk.list()?;
    let mut votes = Vec::new();
    let mut damaged = Vec::new();
    for name in FILES.iter().filter(|name| names.iter().any(|other| other == *name)) {
        match decode(&read_whole(disk, name)?) {
            Some(vote) => votes.push(vote),
            None => damaged.push(*name),
        }
    }
    let newest = votes.into_iter().max_by_key(|vote| (vote.term, vote.committed));
    match newest {
        None if damaged.is_empty() => Ok(None),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the vote is damaged ({}): this member does not know whom it voted for and must not take part; start it \
                 with an empty directory, a new id and --join",
                damaged.join(" and ")
            ),
        )),
        Some(vote) => {
            for name in damaged {
                tracing::warn!(file = name, "a copy of the vote is damaged; it is made good from the other");
                replace(disk, name, &encode(vote))?;
            }
            Ok(Some(vote))
        }
    }
}

fn encode(vote: VoteRecord) -> Vec<u8> {
    let body = codec::encode(&vote);
    [&crc32fast::hash(&body).to_le_bytes()[..], &body].concat()
}

fn decode(bytes: &[u8]) -> Option<VoteRecord> {
    let (crc, body) = bytes.split_at_checked(4)?;
    (crc == crc32fast::hash(body).to_le_bytes()).then(|| codec::decode(body).ok()).flatten()
}
