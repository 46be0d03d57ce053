//! The vote, in two files of its own: damage to one of them, or to the log, never makes a member forget whom it voted
//! for.

use std::io;

use super::record::{self, Flaw, Kind};
use crate::disk::{Disk, read_whole, replace};
use crate::types::VoteRecord;

/// Written in this order; a vote is given only when both are durable.
pub const FILES: [&str; 2] = ["vote-a", "vote-b"];

/// Makes a vote durable.
///
/// # Errors
/// What the file system says.
pub fn save<D: Disk>(disk: &D, vote: VoteRecord) -> io::Result<()> {
    let bytes = encode(vote);
    FILES.iter().try_for_each(|name| replace(disk, name, &bytes))
}

/// The vote that was saved last; none before the first. Both copies are the same afterwards: a damaged one is made
/// good from the other, and so is one that a crash left behind.
///
/// # Errors
/// When no copy is whole, in one line that says what to do; or what the file system says.
pub fn load<D: Disk>(disk: &D) -> io::Result<Option<VoteRecord>> {
    let names = disk.list()?;
    let (mut votes, mut damaged) = (Vec::new(), Vec::new());
    for name in FILES.into_iter().filter(|name| names.iter().any(|other| other == name)) {
        match decode(&read_whole(disk, name)?) {
            Ok(vote) => votes.push((name, vote)),
            Err(Flaw::Damaged(_)) => damaged.push(name),
            Err(flaw) => return Err(invalid(format!("{name} holds {flaw}"))),
        }
    }
    let Some(newest) = votes.iter().map(|(_, vote)| *vote).max_by_key(|vote| (vote.term, vote.committed))
    else {
        return if damaged.is_empty() { Ok(None) } else { Err(lost("damaged", &damaged)) };
    };
    for name in FILES.into_iter().filter(|name| !votes.contains(&(name, newest))) {
        if damaged.contains(&name) {
            tracing::warn!(file = name, "a copy of the vote is damaged; it is made good from the other");
        }
        replace(disk, name, &encode(newest))?;
    }
    Ok(Some(newest))
}

/// Checks that a log whose last entry is of `last_term` has a vote: no entry is taken from a leader before the vote for
/// it is durable, and only what founds a cluster is of term 0.
///
/// # Errors
/// When there must have been a vote, in one line that says what to do.
pub fn check(vote: Option<VoteRecord>, last_term: u64) -> io::Result<()> {
    if vote.is_some() || last_term == 0 { Ok(()) } else { Err(lost("missing", &FILES)) }
}

fn lost(how: &str, files: &[&str]) -> io::Error {
    invalid(format!(
        "the vote is {how} ({}): this member does not know whom it voted for and must not take part; start it with an \
         empty directory, a new id and --join",
        files.join(" and ")
    ))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

fn encode(vote: VoteRecord) -> Vec<u8> {
    let mut bytes = Vec::new();
    record::write_value(Kind::Vote, &vote, &mut bytes);
    bytes
}

fn decode(bytes: &[u8]) -> Result<VoteRecord, Flaw> {
    match record::read(bytes)? {
        (Kind::Vote, payload) => record::value(payload),
        _ => Err(Flaw::Damaged("a vote")),
    }
}
