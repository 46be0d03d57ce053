//! A disk that fails: whoever waits is told, and nothing is written or acknowledged afterwards.

use std::io;

use futures_util::FutureExt;
use holdfast_replica::log::Log;
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use super::{
    InMemory, MemoryDisk, SMALL, append, begin_append, content, entries, expected, log_id, names, opened,
    vote,
};
use crate::memory_disk::Crash;

/// A log with entries 0 and 1.
async fn written() -> (MemoryDisk, Log<InMemory>) {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..2)).await.unwrap();
    (disk, log)
}

fn text<T>(result: io::Result<T>) -> String {
    result.err().map(|error| error.to_string()).unwrap_or_default()
}

/// Everything that a log can be asked says `what`.
async fn assert_every_call_says(log: &mut Log<InMemory>, what: &str) {
    assert_eq!(text(append(log, entries::<InMemory>(1, 2..3)).await), what);
    assert_eq!(text(vote(log, 7).await), what);
    assert_eq!(text(log.truncate_after(Some(log_id::<InMemory>(1, 0))).await), what);
    assert_eq!(text(log.purge(log_id::<InMemory>(1, 0)).await), what);
    assert_eq!(text(log.save_committed(None).await), what);
    assert_eq!(text(log.read_committed().await), what);
    assert_eq!(text(log.read_vote().await), what);
    assert_eq!(text(log.get_log_state().await), what);
    assert_eq!(text(log.try_get_log_entries(0..1).await), what);
    assert_eq!(text(log.limited_get_log_entries(0, 1).await), what);
    assert_eq!(text(log.read_blocking(0)), what);
}

#[tokio::test]
async fn a_sync_that_failed_is_told_once_and_never_tried_again() {
    let (disk, mut log) = written().await;
    disk.fail_sync_after(0);
    let error = append(&mut log, entries::<InMemory>(1, 2..3)).await;
    assert_eq!(text(error), "the disk did not take it");
    let (syncs, appends) = (disk.syncs(), disk.appends());
    // The disk works again, and would say that all is well.
    assert_every_call_says(&mut log, "the disk did not take it").await;
    assert_eq!((disk.syncs(), disk.appends()), (syncs, appends));
}

#[tokio::test]
async fn all_who_wait_for_a_failed_sync_are_told() {
    let (disk, mut log) = written().await;
    disk.hold_lanes();
    let mut waiting = Vec::new();
    for index in 2..12 {
        let entries = entries::<InMemory>(1, index..index + 1);
        waiting.push(begin_append(&mut log, entries).await.unwrap());
    }
    disk.fail_sync_after(0);
    disk.release_lanes();
    for told in waiting {
        assert_eq!(text(told.await.unwrap()), "the disk did not take it");
    }
}

#[tokio::test]
async fn what_was_queued_while_a_sync_failed_is_not_written() {
    let (disk, mut log) = written().await;
    let (sender, queued) = std::sync::mpsc::channel();
    let mut other = log.clone();
    disk.during_next_sync(move || {
        let begun = begin_append(&mut other, entries::<InMemory>(1, 3..4)).now_or_never();
        sender.send(begun.unwrap().unwrap()).unwrap();
    });
    disk.fail_sync_after(0);
    let (syncs, appends) = (disk.syncs(), disk.appends());
    assert_eq!(text(append(&mut log, entries::<InMemory>(1, 2..3)).await), "the disk did not take it");
    assert_eq!(text(queued.recv().unwrap().await.unwrap()), "the disk did not take it");
    assert_eq!((disk.syncs() - syncs, disk.appends() - appends), (1, 1));
}

#[tokio::test]
async fn after_a_failed_sync_the_cache_is_not_trusted() {
    let (disk, mut log) = written().await;
    disk.fail_sync_after(0);
    append(&mut log, entries::<InMemory>(1, 2..3)).await.unwrap_err();
    drop(log);
    // A new process finds the entry in the cache of the operating system, which believes that it is on the disk.
    disk.revive();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..3));
    append(&mut log, entries::<InMemory>(1, 3..4)).await.unwrap();
    drop(log);
    disk.crash(Crash { kept: 0, zeros: false });
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(log.damage(), None);
    assert_eq!(content(&mut log).await, expected(1, 0..4));
}

#[tokio::test]
async fn a_full_disk_is_told_as_such_and_what_was_acknowledged_is_there_afterwards() {
    for room in 0..40 {
        let (disk, mut log) = written().await;
        disk.limit_room(Some(room));
        let error = append(&mut log, entries::<InMemory>(1, 2..3)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let error = append(&mut log, entries::<InMemory>(1, 3..4)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        drop(log);
        disk.revive();
        let mut log = opened::<InMemory>(&disk, SMALL).await;
        assert_eq!(log.damage(), None, "half a record is torn, not damaged");
        assert_eq!(content(&mut log).await, expected(1, 0..2));
        append(&mut log, entries::<InMemory>(1, 2..3)).await.unwrap();
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_made_fit_does_not_open() {
    let (disk, log) = written().await;
    drop(log);
    disk.limit_room(Some(10));
    let error = Log::<InMemory>::open_with(disk.clone(), SMALL).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    disk.revive();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..2));
    assert!(names(&disk, "").iter().all(|name| !name.ends_with(".partial")));
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_stops_the_log() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..40)).await.unwrap();
    disk.refuse_removals();
    log.purge(log_id::<InMemory>(1, 30)).await.unwrap();
    assert_eq!(text(append(&mut log, entries::<InMemory>(1, 40..41)).await), "it cannot be removed");
}
