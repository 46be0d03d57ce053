//! Damage to the files of a node that is down, as a bad disk does it: bits turn, nothing else.
//!
//! A bit is never turned so that its byte becomes zero: at the end of the log that would look like a record of which the
//! rest was never written, which is no damage.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The middle of the log's last segment.
    LogMiddle,
    /// The last bytes of the log.
    LogTail,
    /// One of the two copies of the vote.
    OneVote,
    /// Both copies of the vote.
    BothVotes,
    /// The newest snapshot.
    Snapshot,
    /// The ledger's database.
    Ledger,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Self; 6] =
        [Self::LogMiddle, Self::LogTail, Self::OneVote, Self::BothVotes, Self::Snapshot, Self::Ledger];

    /// What the node must say of it; nothing where a copy makes good for it.
    #[must_use]
    pub const fn complaint(self) -> Option<&'static str> {
        match self {
            Self::LogMiddle | Self::LogTail => Some("the log is damaged"),
            Self::OneVote => None,
            Self::BothVotes => Some("the vote is damaged"),
            Self::Snapshot => Some("a snapshot is damaged"),
            Self::Ledger => Some("ledger"),
        }
    }
}

/// Where the bits turn in a file.
type Places = fn(&[u8]) -> Vec<usize>;

/// A file as it was.
pub struct Spared {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Spared {
    /// Puts it back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn restore(&self) -> io::Result<()> {
        fs::write(&self.path, &self.bytes)
    }
}

/// Damages a node's files; returns what they were before. Nothing when there is no such file.
///
/// # Errors
/// When a file cannot be read or written.
pub fn inflict(dir: &Path, damage: Damage) -> io::Result<Vec<Spared>> {
    let newest = |prefix: &str| Ok::<_, io::Error>(files(dir, prefix)?.into_iter().next_back());
    let (paths, place): (Vec<PathBuf>, Places) = match damage {
        Damage::LogMiddle => (newest("log-")?.into_iter().collect(), middle),
        Damage::LogTail => (newest("log-")?.into_iter().collect(), tail),
        Damage::OneVote => (vec![dir.join("vote-a")], middle),
        Damage::BothVotes => (vec![dir.join("vote-a"), dir.join("vote-b")], middle),
        Damage::Snapshot => (newest("snapshot-")?.into_iter().collect(), middle),
        Damage::Ledger => (vec![dir.join("ledger/db")], everywhere),
    };
    let mut spared = Vec::new();
    for path in paths {
        let before = fs::read(&path)?;
        let places = place(&before);
        if places.is_empty() {
            continue;
        }
        let mut after = before.clone();
        for place in places {
            // Turns a bit that leaves the byte something.
            after[place] ^= if after[place] == 0x40 { 0x02 } else { 0x40 };
        }
        fs::write(&path, after)?;
        spared.push(Spared { path, bytes: before });
    }
    Ok(spared)
}

/// The files whose names begin so, in the order of their names.
fn files(dir: &Path, prefix: &str) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_whole = name.to_str().is_some_and(|name| name.starts_with(prefix) && !name.contains('.'));
        if is_whole && entry.file_type()?.is_file() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// What is written of a file: a segment may end in zeros that were laid out for later.
fn written(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

fn middle(bytes: &[u8]) -> Vec<usize> {
    let end = written(bytes);
    if end == 0 { Vec::new() } else { vec![end / 2] }
}

fn tail(bytes: &[u8]) -> Vec<usize> {
    written(bytes).checked_sub(12).into_iter().collect()
}

/// A bit in each of some pages.
fn everywhere(bytes: &[u8]) -> Vec<usize> {
    let end = written(bytes);
    (1..8).map(|part| end / 8 * part).filter(|&place| place < end).collect()
}
