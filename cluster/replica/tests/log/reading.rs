//! Entries are read from memory while they are recent and from their segments afterwards, and read the same.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt;
use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::Limits;
use holdfast_replica::types::{Peer, Proposal, Types};
use holdfast_replica::{Member, types::LogIdRecord};
use openraft::alias::EntryOf;
use openraft::entry::RaftEntry;
use openraft::storage::RaftLogStorage;
use openraft::{EntryPayload, Membership, RaftLogReader};
use tempfile::TempDir;

use super::{
    InMemory, MemoryDisk, OnFiles, SMALL, append, content, entries, entry, entry_of, expected, log_id, opened,
};

#[tokio::test]
async fn every_kind_of_payload_reads_the_same_from_disk() {
    let peer = |id: u64| {
        let member = Member { id, peer: format!("h{id}:1"), http: format!("h{id}:2") };
        (id, Peer { member, incarnation: u128::MAX - u128::from(id) })
    };
    let nodes: BTreeMap<u64, Peer> = (1..=4).map(peer).collect();
    let joint = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([2, 3, 4])];
    let payloads = [
        EntryPayload::Blank,
        EntryPayload::Membership(Membership::new(joint, nodes).unwrap()),
        EntryPayload::Normal(Proposal { bytes: (0..=255).collect::<Vec<u8>>().into(), entry: None }),
        EntryPayload::Normal(Proposal { bytes: Vec::new().into(), entry: None }),
        EntryPayload::Normal(Proposal { bytes: vec![0; 1000].into(), entry: None }),
    ];
    let written: Vec<EntryOf<Types<InMemory>>> = (0..)
        .zip(payloads)
        .map(|(index, payload)| RaftEntry::new(log_id::<InMemory>(1, index), payload))
        .collect();
    for cache_bytes in [0, 1 << 20] {
        let disk = MemoryDisk::default();
        let limits = Limits { cache_bytes, ..Limits::default() };
        let mut log = opened::<InMemory>(&disk, limits).await;
        append(&mut log, written.clone()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(log.try_get_log_entries(..).await.unwrap(), written);
            log = opened::<InMemory>(&disk, limits).await;
        }
    }
}

#[tokio::test]
async fn every_range_gives_what_is_there_of_it() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    // About half of the entries are in memory.
    let limits = Limits { cache_bytes: 2500, ..SMALL };
    let mut log = opened::<OnFiles>(&disk, limits).await;
    append(&mut log, entries::<OnFiles>(1, 0..30)).await.unwrap();
    log.purge(log_id::<OnFiles>(1, 9)).await.unwrap();
    for start in 0..33 {
        for end in start..33 {
            let read = log.try_get_log_entries(start..end).await.unwrap();
            let wanted = entries::<OnFiles>(1, start.clamp(10, 30)..end.clamp(10, 30));
            assert_eq!(read, wanted, "{start}..{end}");
            let streamed: Vec<_> = log.entries_stream(start..end).await.try_collect().await.unwrap();
            assert_eq!(streamed, wanted, "{start}..{end}");
        }
    }
    assert_eq!(log.try_get_log_entries(12..=13).await.unwrap(), entries::<OnFiles>(1, 12..14));
    assert_eq!(log.try_get_log_entries(..).await.unwrap(), entries::<OnFiles>(1, 10..30));
}

#[tokio::test]
async fn one_reading_is_bounded_but_never_empty() {
    let large = |index| entry_of::<InMemory>(1, index, vec![index as u8; 900 << 10]);
    for cache_bytes in [0, 64 << 20] {
        let disk = MemoryDisk::default();
        let mut log = opened::<InMemory>(&disk, Limits { cache_bytes, ..Limits::default() }).await;
        append(&mut log, (0..5).map(large).collect()).await.unwrap();
        append(&mut log, vec![entry_of::<InMemory>(1, 5, vec![5; 7 << 20])]).await.unwrap();
        append(&mut log, entries::<InMemory>(1, 6..200)).await.unwrap();
        let mut counts = Vec::new();
        let mut next = 0;
        while next < 200 {
            let read = log.limited_get_log_entries(next, 200).await.unwrap();
            assert_eq!(read.first().map(|entry| entry.log_id.index()), Some(next));
            counts.push(read.len());
            next += read.len() as u64;
        }
        assert_eq!(counts, [2, 2, 1, 1, 194]);
        // Whoever asks for all gets all.
        assert_eq!(log.try_get_log_entries(0..200).await.unwrap().len(), 200);
        let streamed: Vec<_> = log.entries_stream(0..).await.try_collect().await.unwrap();
        assert_eq!(streamed, log.try_get_log_entries(0..).await.unwrap());
        let mut blocking = Vec::new();
        while blocking.len() < 200 {
            blocking.extend(log.read_blocking(blocking.len() as u64).unwrap());
        }
        assert_eq!(blocking, streamed);
        assert_eq!(log.read_blocking(200).unwrap(), []);
    }
}

#[tokio::test]
async fn what_is_damaged_while_the_log_is_open_is_not_read() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, Limits { cache_bytes: 0, ..Limits::default() }).await;
    append(&mut log, entries::<InMemory>(1, 0..3)).await.unwrap();
    let name = "log-00000000000000000001";
    let mut bytes = disk.get(name);
    let at = bytes.len() - 5;
    bytes[at] ^= 1;
    disk.put(name, &bytes);
    assert_eq!(log.try_get_log_entries(0..2).await.unwrap(), entries::<InMemory>(1, 0..2));
    let error = log.try_get_log_entries(0..3).await.unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("damaged"), "{error}");
    disk.put(name, &bytes[..at]);
    let error = log.try_get_log_entries(0..3).await.unwrap_err().to_string();
    assert!(error.contains(name) && error.contains("ends too early"), "{error}");
}

#[tokio::test]
async fn entries_that_replace_others_are_the_ones_that_are_read() {
    for cache_bytes in [0, 500, 1 << 20] {
        let disk = MemoryDisk::default();
        let mut log = opened::<InMemory>(&disk, Limits { cache_bytes, ..SMALL }).await;
        append(&mut log, entries::<InMemory>(1, 0..20)).await.unwrap();
        log.truncate_after(Some(log_id::<InMemory>(1, 9))).await.unwrap();
        assert_eq!(content(&mut log).await, expected(1, 0..10));
        super::vote(&mut log, 2).await.unwrap();
        append(&mut log, entries::<InMemory>(2, 10..15)).await.unwrap();
        let both = [expected(1, 0..10), expected(2, 10..15)].concat();
        assert_eq!(content(&mut log).await, both);
        assert_eq!(content(&mut opened::<InMemory>(&disk, SMALL).await).await, both);
    }
}

#[tokio::test]
async fn readers_see_what_another_handle_appended() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    let mut reader = log.get_log_reader().await;
    append(&mut log, vec![entry::<InMemory>(1, 0)]).await.unwrap();
    let read = reader.try_get_log_entries(0..).await.unwrap();
    assert_eq!(LogIdRecord::of::<InMemory>(&read[0].log_id), super::id(1, 0));
}
