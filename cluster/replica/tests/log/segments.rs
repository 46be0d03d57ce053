//! Segments are started, left behind and removed, and what was cut or purged stays so.

use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::{Limits, Log};
use openraft::storage::RaftLogStorage;
use tempfile::TempDir;

use super::{
    InMemory, MemoryDisk, OnFiles, SMALL, append, content, entries, expected, id, log_id, names, opened, vote,
};
use crate::memory_disk::Crash;

fn size_on_disk(disk: &MemoryDisk) -> u64 {
    names(disk, "log-").iter().map(|name| disk.get(name).len() as u64).sum()
}

#[tokio::test]
async fn a_segment_that_is_full_is_left_and_the_size_is_that_of_all() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    for index in 0..60 {
        append(&mut log, entries::<InMemory>(1, index..index + 1)).await.unwrap();
        assert_eq!(log.size_bytes(), size_on_disk(&disk));
    }
    let segments = names(&disk, "log-");
    assert!(segments.len() > 5, "{segments:?}");
    let record = 80;
    let most = SMALL.segment_bytes as usize + record;
    assert!(segments.iter().all(|name| disk.get(name).len() < most));
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(log.size_bytes(), size_on_disk(&disk));
    assert_eq!(content(&mut log).await, expected(1, 0..60));
}

#[tokio::test]
async fn purging_removes_the_segments_that_nothing_needs() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..120)).await.unwrap();
    let before = names(&disk, "log-");
    log.purge(log_id::<InMemory>(1, 99)).await.unwrap();
    let after = names(&disk, "log-");
    assert!(after.len() < before.len() / 2, "{after:?} of {before:?}");
    assert_eq!(log.size_bytes(), size_on_disk(&disk));
    assert_eq!(log.last_purged(), Some(id(1, 99)));
    // To purge less than that is nothing.
    log.purge(log_id::<InMemory>(1, 50)).await.unwrap();
    assert_eq!(log.last_purged(), Some(id(1, 99)));
    assert_eq!(content(&mut log).await, expected(1, 100..120));
    disk.crash(Crash { kept: 0, zeros: false });
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(log.last_purged(), Some(id(1, 99)));
    assert_eq!(content(&mut log).await, expected(1, 100..120));
    assert_eq!(names(&disk, "log-"), after);
}

#[tokio::test]
async fn purging_beyond_the_end_moves_the_end() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..20)).await.unwrap();
    log.purge(log_id::<InMemory>(3, 500)).await.unwrap();
    for _ in 0..2 {
        let state = log.get_log_state().await.unwrap();
        assert_eq!(state.last_purged_log_id, Some(log_id::<InMemory>(3, 500)));
        assert_eq!(state.last_log_id, Some(log_id::<InMemory>(3, 500)));
        log = opened::<InMemory>(&disk, SMALL).await;
    }
    append(&mut log, entries::<InMemory>(3, 500..501)).await.unwrap_err();
    append(&mut log, entries::<InMemory>(3, 501..530)).await.unwrap();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(log.damage(), None);
    assert_eq!(content(&mut log).await, expected(3, 501..530));
}

/// Entries that were cut away may lie in segments that are removed before the record that cut them.
#[tokio::test]
async fn a_log_that_was_cut_over_segments_and_then_purged_is_whole() {
    for cut_to in 1..18 {
        for purge_to in 19..30 {
            let disk = MemoryDisk::default();
            let mut log = opened::<InMemory>(&disk, SMALL).await;
            append(&mut log, entries::<InMemory>(1, 0..20)).await.unwrap();
            log.truncate_after(Some(log_id::<InMemory>(1, cut_to))).await.unwrap();
            vote(&mut log, 2).await.unwrap();
            append(&mut log, entries::<InMemory>(2, cut_to + 1..40)).await.unwrap();
            log.purge(log_id::<InMemory>(2, purge_to)).await.unwrap();
            assert!(!names(&disk, "log-").contains(&"log-00000000000000000001".to_owned()));
            let mut log = opened::<InMemory>(&disk, SMALL).await;
            assert_eq!(log.damage(), None, "cut to {cut_to}, purged to {purge_to}");
            assert_eq!(log.last_purged(), Some(id(2, purge_to)));
            assert_eq!(content(&mut log).await, expected(2, purge_to + 1..40));
        }
    }
}

#[tokio::test]
async fn a_crash_while_segments_are_removed_leaves_no_hole() {
    for kept in [0, 128, 255] {
        let mut deaths = 0;
        loop {
            let disk = MemoryDisk::default();
            let mut log = opened::<InMemory>(&disk, SMALL).await;
            append(&mut log, entries::<InMemory>(1, 0..60)).await.unwrap();
            disk.die_after(deaths);
            let is_purged = log.purge(log_id::<InMemory>(1, 50)).await.is_ok();
            let is_done = disk.is_alive();
            disk.crash(Crash { kept, zeros: false });
            let mut log = opened::<InMemory>(&disk, SMALL).await;
            assert_eq!(log.damage(), None, "after {deaths} changes");
            assert_eq!(
                content(&mut log).await,
                expected(1, if log.last_purged().is_some() { 51 } else { 0 }..60)
            );
            assert!(log.last_purged().is_some() || !is_purged);
            assert_eq!(size_on_disk(&disk), log.size_bytes(), "what nothing needs is removed in the end");
            if is_done {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 10, "{deaths}");
    }
}

#[tokio::test]
async fn only_what_follows_can_be_appended() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(2, 0..3)).await.unwrap();
    for (term, index) in [(2, 2), (2, 4), (1, 3)] {
        let error = append(&mut log, entries::<InMemory>(term, index..index + 1)).await.unwrap_err();
        assert!(error.to_string().contains("does not follow"), "{error}");
    }
    append(&mut log, entries::<InMemory>(2, 3..4)).await.unwrap();
    assert_eq!(content(&mut opened::<InMemory>(&disk, SMALL).await).await, expected(2, 0..4));
}

#[tokio::test]
async fn forgetting_the_entries_keeps_the_vote() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let mut log = opened::<OnFiles>(&disk, SMALL).await;
    append(&mut log, entries::<OnFiles>(1, 0..20)).await.unwrap();
    vote(&mut log, 4).await.unwrap();
    log.forget_entries().unwrap();
    drop(log);
    assert_eq!(names(&disk, ""), ["vote-a", "vote-b"]);
    let mut log = opened::<OnFiles>(&disk, SMALL).await;
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, None);
    append(&mut log, entries::<OnFiles>(4, 30..33)).await.unwrap();
    assert_eq!(content(&mut opened::<OnFiles>(&disk, SMALL).await).await, expected(4, 30..33));
}

#[tokio::test]
async fn an_empty_log_is_empty_again() {
    let disk = MemoryDisk::default();
    for _ in 0..2 {
        let mut log = Log::<InMemory>::open_with(disk.clone(), Limits::default()).unwrap();
        assert_eq!(content(&mut log).await, []);
        assert_eq!((log.size_bytes(), log.last_purged(), log.damage()), (0, None, None));
        assert_eq!(log.read_committed().await.unwrap(), None);
    }
}
