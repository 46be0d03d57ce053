//! A record that was being written when the machine stopped is cut, and nothing else is lost with it.

use std::fs;

use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::{Limits, Log};
use tempfile::TempDir;

use super::{
    InMemory, MemoryDisk, OnFiles, SMALL, append, content, entries, expected, id, names, opened, vote,
};
use crate::memory_disk::Crash;

const SEGMENT: &str = "log-00000000000000000001";

#[tokio::test]
async fn the_last_record_is_cut_wherever_it_was_torn() {
    let (before, whole) = one_record_more().await;
    for kept in before.len() + 1..whole.len() {
        for rest in [0, whole.len() - kept, 5000] {
            let torn = [&whole[..kept], &vec![0; rest]].concat();
            assert_is_cut(&torn, &before).await;
        }
    }
}

#[tokio::test]
async fn zeros_in_place_of_the_last_bytes_are_cut() {
    let (before, whole) = one_record_more().await;
    for zeros in 1..=whole.len() - before.len() {
        let mut torn = whole.clone();
        torn[whole.len() - zeros..].fill(0);
        assert_is_cut(&torn, &before).await;
    }
}

#[tokio::test]
async fn a_file_that_grew_before_anything_was_written_is_cut() {
    let (before, _) = one_record_more().await;
    for zeros in [1, 14, 4096, 3 << 20] {
        assert_is_cut(&[&before[..], &vec![0; zeros]].concat(), &before).await;
    }
}

/// A segment with two entries, and the same with a third.
async fn one_record_more() -> (Vec<u8>, Vec<u8>) {
    let dir = TempDir::new().unwrap();
    let mut log = opened::<OnFiles>(&FileDisk::open(dir.path()).unwrap(), Limits::default()).await;
    append(&mut log, entries::<OnFiles>(1, 0..2)).await.unwrap();
    let before = fs::read(dir.path().join(SEGMENT)).unwrap();
    append(&mut log, entries::<OnFiles>(1, 2..3)).await.unwrap();
    (before, fs::read(dir.path().join(SEGMENT)).unwrap())
}

/// A log whose only segment is `torn` is the one whose segment is `before`.
async fn assert_is_cut(torn: &[u8], before: &[u8]) {
    let disk = MemoryDisk::default();
    drop(opened::<InMemory>(&disk, SMALL).await);
    disk.put(SEGMENT, torn);
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..2), "{} bytes of {}", torn.len(), before.len());
    assert_eq!(log.damage(), None);
    assert!(!log.is_suspect().unwrap());
    assert_eq!(disk.get(SEGMENT), before);
    append(&mut log, entries::<InMemory>(1, 2..4)).await.unwrap();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..4));
}

#[tokio::test]
async fn a_torn_tail_is_cut_on_real_files() {
    let (before, whole) = one_record_more().await;
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    drop(opened::<OnFiles>(&disk, SMALL).await);
    for kept in [before.len() + 1, before.len() + 20, whole.len() - 1] {
        for zeros in [0, 4096] {
            let torn = [&whole[..kept], &vec![0; zeros]].concat();
            fs::write(dir.path().join(SEGMENT), torn).unwrap();
            let mut log = opened::<OnFiles>(&disk, SMALL).await;
            assert_eq!(content(&mut log).await, expected(1, 0..2));
            assert_eq!(fs::read(dir.path().join(SEGMENT)).unwrap(), before);
        }
    }
    assert_eq!(names(&disk, "damaged-"), [""; 0]);
}

#[tokio::test]
async fn a_new_segment_without_a_whole_head_is_removed() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..30)).await.unwrap();
    let last = names(&disk, "log-").pop().unwrap();
    let head = disk.get(&last);
    // Entries of the last segment go with it here: what is left ends where the one before does.
    for kept in [0, 1, 13, 14, 20] {
        for zeros in [0, 100] {
            disk.put(&last, &[&head[..kept], &vec![0; zeros]].concat());
            let mut log = opened::<InMemory>(&disk, SMALL).await;
            let left = content(&mut log).await;
            assert!((1..30).contains(&left.len()), "{}", left.len());
            assert_eq!(left, expected(1, 0..left.len() as u64));
            assert_eq!(log.damage(), None);
            assert!(!names(&disk, "log-").contains(&last));
        }
    }
}

#[tokio::test]
async fn what_a_process_left_unsynced_is_durable_once_it_was_read_back() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..2)).await.unwrap();
    // The write reaches the cache of the operating system, and the process ends before it can sync.
    disk.die_after(1);
    append(&mut log, entries::<InMemory>(1, 2..3)).await.unwrap_err();
    disk.revive();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..3));
    disk.crash(Crash { kept: 0, zeros: false });
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..3));
}

#[tokio::test]
async fn what_was_being_written_beside_the_log_is_removed() {
    let disk = MemoryDisk::default();
    drop(opened::<InMemory>(&disk, SMALL).await);
    let ours = ["log-00000000000000000001.partial", "vote-a.partial", "vote-b.partial", "suspect.partial"];
    let others = ["snapshot-7.partial", "identity.partial", "log-1.partial"];
    for name in ours.iter().chain(&others) {
        disk.put(name, b"half");
    }
    disk.put("damaged-log-00000000000000000001.partial", b"half");
    Log::<InMemory>::open(disk.clone()).unwrap();
    let mut left: Vec<String> =
        names(&disk, "").into_iter().filter(|name| name.ends_with(".partial")).collect();
    left.sort();
    let mut expected = others.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(left, expected);
}

#[tokio::test]
async fn an_entry_may_be_larger_than_what_is_read_at_once() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    let large = super::entry_of::<InMemory>(1, 0, vec![7; 5 << 20]);
    append(&mut log, vec![large]).await.unwrap();
    vote(&mut log, 2).await.unwrap();
    append(&mut log, entries::<InMemory>(2, 1..2)).await.unwrap();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    let read = content(&mut log).await;
    assert_eq!(read[0].1.len(), 5 << 20);
    assert_eq!(read[1].0, id(2, 1));
}
