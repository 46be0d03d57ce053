//! The log: what was written is read back, whatever happened in between.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::RaftLogReader;
use openraft::storage::{IOFlushed, RaftLogStorage, RaftLogStorageExt};
use openraft::type_config::TypeConfigExt;
use tempfile::TempDir;

use super::entry;
use crate::file_disk::FileDisk;
use crate::live::Live;
use crate::log::{Limits, Log};
use crate::types::{LogIdRecord, Types, VoteRecord};

/// Small sizes, so that a few entries fill a segment and leave memory.
const SMALL: Limits = Limits { segment_bytes: 600, cache_bytes: 200 };

fn open(dir: &Path) -> Log<Live> {
    Log::open_with(FileDisk::open(dir).unwrap(), SMALL).unwrap()
}

async fn indexes(log: &mut Log<Live>) -> Vec<(u64, u64)> {
    let entries = log.try_get_log_entries(0..).await.unwrap();
    entries.iter().map(|entry| (LogIdRecord::of::<Live>(&entry.log_id).term, entry.log_id.index())).collect()
}

#[tokio::test]
async fn a_log_is_the_same_after_every_kind_of_step_and_a_reopening() {
    for seed in 0..6 {
        walk(seed).await;
    }
}

/// A log takes no entry from a leader before the vote for it is durable.
async fn save_vote(log: &mut Log<Live>, term: u64) -> VoteRecord {
    let vote = VoteRecord { term, node: 2, committed: term.is_multiple_of(2) };
    log.save_vote(&vote.vote::<Live>()).await.unwrap();
    vote
}

async fn walk(seed: u64) {
    let dir = TempDir::new().unwrap();
    let mut expected: Vec<(u64, u64)> = Vec::new();
    let mut purged = 0;
    let mut random = fastrand::Rng::with_seed(seed);
    save_vote(&mut open(dir.path()), 0).await;
    for step in 0..60_u64 {
        let mut log = open(dir.path());
        let next =
            expected.last().map_or(purged, |last| last.1) + u64::from(purged + expected.len() as u64 > 0);
        match random.u8(0..10) {
            0..6 => {
                let count = random.u64(1..8);
                let entries: Vec<_> = (next..next + count).map(|index| entry(step, index)).collect();
                expected.extend((next..next + count).map(|index| (step, index)));
                log.blocking_append(entries).await.unwrap();
            }
            6..8 if !expected.is_empty() => {
                let kept = random.usize(0..expected.len());
                expected.truncate(kept);
                let last = expected.last().map(|&(term, index)| LogIdRecord { term, index });
                let last = last.or((purged > 0).then_some(LogIdRecord { term: 0, index: purged }));
                log.truncate_after(last.map(LogIdRecord::log_id::<Live>)).await.unwrap();
            }
            8 if expected.len() > 2 => {
                let gone = random.usize(1..expected.len());
                let (term, index) = expected[gone - 1];
                expected.drain(..gone);
                purged = index;
                log.purge(LogIdRecord { term, index }.log_id::<Live>()).await.unwrap();
            }
            _ => {
                let vote = save_vote(&mut log, step).await;
                assert_eq!(
                    log.read_vote().await.unwrap().map(|vote| VoteRecord::of::<Live>(&vote)),
                    Some(vote)
                );
            }
        }
        assert_eq!(indexes(&mut log).await, expected, "seed {seed}, step {step}");
        drop(log);
        assert_eq!(indexes(&mut open(dir.path())).await, expected, "seed {seed}, reopened after step {step}");
    }
}

#[tokio::test]
async fn purging_removes_the_segments_that_nobody_needs() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path());
    save_vote(&mut log, 1).await;
    log.blocking_append((0..100).map(|index| entry(1, index)).collect::<Vec<_>>()).await.unwrap();
    let before = log.size_bytes();
    log.purge(LogIdRecord { term: 1, index: 89 }.log_id::<Live>()).await.unwrap();
    assert!(log.size_bytes() < before / 4, "{} of {before}", log.size_bytes());
    let size = log.size_bytes();
    // They go one at a time, after the caller was told.
    drop(log);
    let on_disk: u64 = std::fs::read_dir(dir.path())
        .unwrap()
        .filter_map(Result::ok)
        .filter(|file| file.file_name().to_string_lossy().starts_with("log-"))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!(on_disk, size);
    assert_eq!(indexes(&mut open(dir.path())).await.first(), Some(&(1, 90)));
}

#[tokio::test]
async fn what_is_known_to_be_committed_is_kept_with_the_next_entry() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path());
    save_vote(&mut log, 1).await;
    log.blocking_append([entry(1, 0)]).await.unwrap();
    let committed = Some(LogIdRecord { term: 1, index: 0 }.log_id::<Live>());
    log.save_committed(committed).await.unwrap();
    log.blocking_append([entry(1, 1)]).await.unwrap();
    drop(log);
    assert_eq!(open(dir.path()).read_committed().await.unwrap(), committed);
}

#[tokio::test]
async fn a_hole_is_refused() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path());
    log.blocking_append([entry(1, 0)]).await.unwrap();
    let error = log.append([entry(1, 2)], IOFlushed::noop()).await.unwrap_err();
    assert!(error.to_string().contains("does not follow"), "{error}");
}

#[tokio::test]
async fn callbacks_come_in_order_once_everything_before_is_durable() {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path());
    let told = Arc::new(AtomicU64::new(0));
    let mut waits = Vec::new();
    for index in 0..200 {
        let (sender, receiver) = Types::<Live>::oneshot();
        log.append([entry(1, index)], IOFlushed::signal(sender)).await.unwrap();
        let told = told.clone();
        waits.push(async move {
            receiver.await.unwrap().unwrap();
            told.fetch_add(1, Ordering::Relaxed)
        });
    }
    for (place, wait) in waits.into_iter().enumerate() {
        assert_eq!(wait.await, place as u64);
    }
}
