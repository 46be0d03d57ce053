//! What gathers while the disk is busy is written at once, with one sync for all of it, and told in order.

use futures_util::FutureExt;
use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::{Limits, Log};
use holdfast_replica::types::{LogIdRecord, VoteRecord};
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;
use tempfile::TempDir;

use super::{
    InMemory, MemoryDisk, OnFiles, append, begin_append, content, entries, expected, id, log_id, opened,
};
use crate::memory_disk::Crash;

#[tokio::test]
async fn what_has_gathered_is_one_write_and_one_sync() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    append(&mut log, entries::<InMemory>(1, 0..1)).await.unwrap();
    let (syncs, appends) = (disk.syncs(), disk.appends());
    disk.hold_lanes();
    let mut waiting = Vec::new();
    for index in 1..500 {
        let entries = entries::<InMemory>(1, index..index + 1);
        waiting.push(begin_append(&mut log, entries).await.unwrap());
    }
    assert!(waiting.iter_mut().all(|told| told.try_recv().is_err()), "told before it is durable");
    disk.release_lanes();
    for told in waiting {
        told.await.unwrap().unwrap();
    }
    assert_eq!((disk.syncs() - syncs, disk.appends() - appends), (1, 1));
    disk.crash(Crash { kept: 0, zeros: false });
    assert_eq!(content(&mut opened::<InMemory>(&disk, Limits::default()).await).await, expected(1, 0..500));
}

#[tokio::test]
async fn entries_can_be_read_before_they_are_durable() {
    let disk = MemoryDisk::default();
    // None is kept in memory for longer than it must.
    let mut log = opened::<InMemory>(&disk, Limits { cache_bytes: 0, ..Limits::default() }).await;
    disk.hold_lanes();
    let told = begin_append(&mut log, entries::<InMemory>(1, 0..50)).await.unwrap();
    assert_eq!(content(&mut log).await, expected(1, 0..50));
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, Some(log_id::<InMemory>(1, 49)));
    disk.release_lanes();
    told.await.unwrap().unwrap();
    assert_eq!(content(&mut log).await, expected(1, 0..50));
}

#[tokio::test]
async fn what_is_known_to_be_committed_goes_with_the_next_write() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    append(&mut log, entries::<InMemory>(1, 0..5)).await.unwrap();
    let (syncs, appends) = (disk.syncs(), disk.appends());
    for index in 0..4 {
        log.save_committed(Some(log_id::<InMemory>(1, index))).await.unwrap();
    }
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id::<InMemory>(1, 3)));
    assert_eq!((disk.syncs(), disk.appends()), (syncs, appends), "it costs a write of its own");
    append(&mut log, entries::<InMemory>(1, 5..6)).await.unwrap();
    assert_eq!((disk.syncs(), disk.appends()), (syncs + 1, appends + 1));
    disk.crash(Crash { kept: 0, zeros: false });
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id::<InMemory>(1, 3)));
}

#[tokio::test]
async fn votes_and_entries_keep_their_order() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    let vote = VoteRecord { term: 2, node: 3, committed: true };
    let (before, saved, after) = {
        disk.hold_lanes();
        let before = begin_append(&mut log, entries::<InMemory>(1, 0..1)).await.unwrap();
        let mut other = log.clone();
        let saving = tokio::spawn(async move { other.save_vote(&vote.vote::<InMemory>()).await });
        tokio::task::yield_now().await;
        let after = begin_append(&mut log, entries::<InMemory>(2, 1..2)).await.unwrap();
        (before, saving, after)
    };
    // The vote is written between the two: its first file is made after one write, and before the second.
    disk.die_after(2);
    disk.release_lanes();
    assert!(before.await.unwrap().is_err() && saved.await.unwrap().is_err() && after.await.unwrap().is_err());
    disk.revive();
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    assert_eq!(content(&mut log).await, expected(1, 0..1), "what came after the vote is there without it");
}

#[tokio::test(flavor = "current_thread")]
async fn on_real_files_callers_are_told_in_order_and_share_syncs() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let mut log = opened::<OnFiles>(&disk, Limits::default()).await;
    let mut waiting = Vec::new();
    for index in 0..2000 {
        let entries = entries::<OnFiles>(1, index..index + 1);
        waiting.push(begin_append(&mut log, entries).await.unwrap());
    }
    // The last one is told last: whoever was queued before has been told by then.
    let last = waiting.pop().unwrap();
    last.await.unwrap().unwrap();
    assert!(waiting.iter_mut().all(|told| matches!(told.try_recv(), Ok(Ok(())))));
    drop(log);
    let mut log = opened::<OnFiles>(&disk, Limits::default()).await;
    assert_eq!(content(&mut log).await, expected(1, 0..2000));
}

#[tokio::test]
async fn a_log_that_was_dropped_has_written_what_it_was_given() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let mut log = opened::<OnFiles>(&disk, Limits::default()).await;
    let told = begin_append(&mut log, entries::<OnFiles>(1, 0..10)).await.unwrap();
    // Nothing touches the directory once the last handle is gone.
    drop(log);
    assert!(matches!(told.now_or_never(), Some(Ok(Ok(())))));
    let mut log: Log<OnFiles> = opened(&disk, Limits::default()).await;
    let last = log.try_get_log_entries(9..).await.unwrap();
    assert_eq!(
        last.iter().map(|entry| LogIdRecord::of::<OnFiles>(&entry.log_id)).collect::<Vec<_>>(),
        [id(1, 9)]
    );
}
