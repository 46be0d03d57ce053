//! What recovery makes of files that are not as they were written, one kind of damage after another.

use std::path::{Path, PathBuf};

use openraft::RaftLogReader;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use tempfile::TempDir;

use super::entry;
use crate::file_disk::FileDisk;
use crate::live::Live;
use crate::log::{Limits, Log};
use crate::types::VoteRecord;

const SMALL: Limits = Limits { segment_bytes: 600, cache_bytes: 200 };

async fn written(count: u64) -> (TempDir, Vec<PathBuf>) {
    let dir = TempDir::new().unwrap();
    let mut log = open(dir.path()).unwrap();
    log.blocking_append((0..count).map(|index| entry(1, index)).collect::<Vec<_>>()).await.unwrap();
    log.save_vote(&VoteRecord { term: 3, node: 2, committed: true }.vote::<Live>()).await.unwrap();
    drop(log);
    let segments = segments(dir.path());
    (dir, segments)
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-"))
        .collect();
    found.sort();
    found
}

fn open(dir: &Path) -> std::io::Result<Log<Live>> {
    Log::open_with(FileDisk::open(dir).unwrap(), SMALL)
}

async fn last(log: &mut Log<Live>) -> Option<u64> {
    log.get_log_state().await.unwrap().last_log_id.map(|id| id.index())
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).unwrap();
}

/// Where the last record of a segment starts, found by writing one entry less.
async fn last_record(count: u64) -> (TempDir, PathBuf, usize, Vec<u8>) {
    let (shorter, segments) = written(count - 1).await;
    let start = std::fs::metadata(segments.last().unwrap()).unwrap().len();
    drop(shorter);
    let (dir, segments) = written(count).await;
    let path = segments.last().unwrap().clone();
    let bytes = std::fs::read(&path).unwrap();
    (dir, path, usize::try_from(start).unwrap(), bytes)
}

#[tokio::test]
async fn a_torn_tail_is_cut_wherever_it_was_torn() {
    let (dir, path, start, bytes) = last_record(3).await;
    for kept in start..bytes.len() {
        for rest in [Vec::new(), vec![0; bytes.len() - kept], vec![0; 500]] {
            std::fs::write(&path, [&bytes[..kept], &rest].concat()).unwrap();
            let mut log = open(dir.path()).unwrap();
            assert_eq!(last(&mut log).await, Some(1), "cut after {kept} of {}", bytes.len());
            assert!(!log.is_suspect().unwrap());
            // What is appended afterwards stays.
            log.blocking_append([entry(2, 2)]).await.unwrap();
            drop(log);
            assert_eq!(last(&mut open(dir.path()).unwrap()).await, Some(2));
        }
    }
}

#[tokio::test]
async fn a_damaged_last_record_is_not_taken_for_a_torn_one() {
    let (dir, path, start, bytes) = last_record(3).await;
    for at in start..bytes.len() {
        std::fs::write(&path, &bytes).unwrap();
        flip(&path, at);
        let mut log = open(dir.path()).unwrap();
        assert_eq!(last(&mut log).await, Some(1), "byte {at}");
        assert!(log.is_suspect().unwrap(), "byte {at}");
        drop(log);
        // A restart does not make it forget that it has forgotten.
        let log = open(dir.path()).unwrap();
        assert!(log.is_suspect().unwrap(), "byte {at}, reopened");
        log.clear_suspect().unwrap();
        assert!(!log.is_suspect().unwrap());
        drop(log);
        for aside in std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
            if aside.file_name().unwrap().to_string_lossy().starts_with("damaged-") {
                std::fs::remove_file(aside).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn damage_in_an_earlier_segment_sets_everything_after_it_aside() {
    let (dir, segments) = written(60).await;
    assert!(segments.len() > 4, "{}", segments.len());
    let middle = &segments[2];
    flip(middle, usize::try_from(std::fs::metadata(middle).unwrap().len()).unwrap() / 2);
    let mut log = open(dir.path()).unwrap();
    let kept = last(&mut log).await.unwrap();
    assert!(log.is_suspect().unwrap());
    assert!((5..50).contains(&kept), "{kept}");
    assert_eq!(log.try_get_log_entries(0..).await.unwrap().len() as u64, kept + 1);
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|file| file.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    let aside = names.iter().filter(|name| name.starts_with("damaged-")).count();
    assert_eq!(aside, segments.len() - 2, "{names:?}");
    log.blocking_append([entry(9, kept + 1)]).await.unwrap();
    drop(log);
    assert_eq!(last(&mut open(dir.path()).unwrap()).await, Some(kept + 1));
}

#[tokio::test]
async fn a_missing_and_a_cut_segment_are_damage() {
    for cut in [false, true] {
        let (dir, segments) = written(60).await;
        if cut {
            let bytes = std::fs::read(&segments[1]).unwrap();
            std::fs::write(&segments[1], &bytes[..bytes.len() - 1]).unwrap();
        } else {
            std::fs::remove_file(&segments[1]).unwrap();
        }
        let mut log = open(dir.path()).unwrap();
        assert!(log.is_suspect().unwrap());
        assert!(last(&mut log).await.unwrap() < 40);
    }
}

#[tokio::test]
async fn a_segment_that_was_just_begun_is_torn_not_damaged() {
    let (dir, segments) = written(60).await;
    let last_segment = segments.last().unwrap();
    let bytes = std::fs::read(last_segment).unwrap();
    for kept in [0, 1, 10] {
        std::fs::write(last_segment, &bytes[..kept]).unwrap();
        let log = open(dir.path()).unwrap();
        assert!(!log.is_suspect().unwrap());
        assert!(!last_segment.exists());
    }
}

#[tokio::test]
async fn one_damaged_vote_is_made_good_and_two_stop_the_member() {
    let (dir, _) = written(1).await;
    let vote = Some(VoteRecord { term: 3, node: 2, committed: true }.vote::<Live>());
    for name in ["vote-a", "vote-b"] {
        flip(&dir.path().join(name), 5);
        assert_eq!(open(dir.path()).unwrap().read_vote().await.unwrap(), vote);
    }
    flip(&dir.path().join("vote-a"), 5);
    flip(&dir.path().join("vote-b"), 5);
    let error = open(dir.path()).err().unwrap().to_string();
    assert!(error.contains("the vote is damaged (vote-a and vote-b)") && error.contains("--join"), "{error}");
}
