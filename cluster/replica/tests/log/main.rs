//! The Raft log and the vote, as the consensus library and recovery see them.

mod damage;
mod failing;
mod file_disk;
mod group_commit;
mod memory_disk;
mod model;
mod reading;
mod segments;
mod torn;
mod votes;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use holdfast_replica::disk::Disk;
use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::{Limits, Log};
use holdfast_replica::network::{Channel, Network};
use holdfast_replica::types::{Host, LogIdRecord, Proposal, Types, VoteRecord};
use openraft::alias::{EntryOf, LogIdOf, OneshotReceiverOf};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, RaftLogReader};
use openraft_rt_tokio::TokioRuntime;

use memory_disk::MemoryDisk;

/// Logs on real files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct OnFiles;

impl Host for OnFiles {
    type Runtime = TokioRuntime;
    type Disk = FileDisk;
    type Network = NoNetwork;
}

/// Logs on a disk that can fail, and lose what was not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct InMemory;

impl Host for InMemory {
    type Runtime = TokioRuntime;
    type Disk = MemoryDisk;
    type Network = NoNetwork;
}

/// A log calls nobody.
#[derive(Clone)]
struct NoNetwork;

impl Network for NoNetwork {
    async fn call(&self, address: &str, _: Channel, _: Bytes, _: Duration) -> io::Result<Bytes> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{address} cannot be called")))
    }
}

/// A few entries fill a segment, and none stays in memory.
const SMALL: Limits = Limits { segment_bytes: 400, cache_bytes: 0 };

fn id(term: u64, index: u64) -> LogIdRecord {
    LogIdRecord { term, index }
}

fn log_id<H: Host>(term: u64, index: u64) -> LogIdOf<Types<H>> {
    id(term, index).log_id::<H>()
}

/// An entry whose content tells its place.
fn entry<H: Host>(term: u64, index: u64) -> EntryOf<Types<H>> {
    entry_of::<H>(term, index, format!("entry {index} of term {term}").into_bytes())
}

fn entry_of<H: Host>(term: u64, index: u64, bytes: Vec<u8>) -> EntryOf<Types<H>> {
    let proposal = Proposal { bytes: bytes.into(), entry: None };
    RaftEntry::new(log_id::<H>(term, index), EntryPayload::Normal(proposal))
}

fn entries<H: Host>(term: u64, indexes: std::ops::Range<u64>) -> Vec<EntryOf<Types<H>>> {
    indexes.map(|index| entry::<H>(term, index)).collect()
}

/// Appends, and returns what tells how that went.
async fn begin_append<H: Host>(
    log: &mut Log<H>,
    entries: Vec<EntryOf<Types<H>>>,
) -> io::Result<OneshotReceiverOf<Types<H>, io::Result<()>>> {
    let (sender, receiver) = Types::<H>::oneshot();
    log.append(entries, IOFlushed::signal(sender)).await?;
    Ok(receiver)
}

/// Appends, and waits until it is durable.
async fn append<H: Host>(log: &mut Log<H>, entries: Vec<EntryOf<Types<H>>>) -> io::Result<()> {
    let done = begin_append(log, entries).await?;
    done.await.unwrap_or_else(|_| Err(io::Error::other("nobody told how it went")))
}

async fn vote<H: Host>(log: &mut Log<H>, term: u64) -> io::Result<()> {
    log.save_vote(&VoteRecord { term, node: 1, committed: true }.vote::<H>()).await
}

/// A log in `disk` that voted in term 1.
async fn opened<H: Host>(disk: &H::Disk, limits: Limits) -> Log<H> {
    let mut log = Log::open_with(disk.clone(), limits).unwrap();
    if log.read_vote().await.unwrap().is_none() {
        vote(&mut log, 1).await.unwrap();
    }
    log
}

/// The places and contents of all entries.
async fn content<H: Host>(log: &mut Log<H>) -> Vec<(LogIdRecord, Bytes)> {
    let entries = log.try_get_log_entries(0..).await.unwrap();
    entries.into_iter().map(|entry| (LogIdRecord::of::<H>(&entry.log_id), proposal::<H>(entry))).collect()
}

fn proposal<H: Host>(entry: EntryOf<Types<H>>) -> Bytes {
    match entry.payload {
        EntryPayload::Normal(proposal) => proposal.bytes,
        EntryPayload::Blank | EntryPayload::Membership(_) => Bytes::new(),
    }
}

/// What the entries that [`entries`] makes read as.
fn expected(term: u64, indexes: std::ops::Range<u64>) -> Vec<(LogIdRecord, Bytes)> {
    let read = |index| (id(term, index), proposal::<OnFiles>(entry::<OnFiles>(term, index)));
    indexes.map(read).collect()
}

async fn last_index<H: Host>(log: &mut Log<H>) -> Option<u64> {
    log.get_log_state().await.unwrap().last_log_id.map(|id| id.index())
}

/// The names on a disk that start with `prefix`.
fn names<D: Disk>(disk: &D, prefix: &str) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.starts_with(prefix)).collect()
}
