//! What was written whole and is not as it was written is damage: it is set aside, and the member is suspect from then
//! on, because it may have acknowledged what is lost.

use std::fs;

use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::log::{Damage, Limits, Log};
use tempfile::TempDir;

use super::{
    InMemory, MemoryDisk, OnFiles, SMALL, append, content, entries, expected, id, last_index, log_id, names,
    opened, vote,
};
use crate::memory_disk::Crash;
use openraft::storage::RaftLogStorage;

const FIRST: &str = "log-00000000000000000001";

/// A disk with a log of `count` entries of term 1 in small segments.
async fn written(count: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..count)).await.unwrap();
    disk
}

/// A disk with a log of `count` entries in one segment, and where each record of it ends.
async fn in_one_segment(count: u64) -> (MemoryDisk, Vec<usize>) {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, Limits::default()).await;
    let mut ends = Vec::new();
    for index in 0..count {
        append(&mut log, entries::<InMemory>(1, index..index + 1)).await.unwrap();
        ends.push(disk.get(FIRST).len());
    }
    (disk, ends)
}

fn flip(disk: &MemoryDisk, name: &str, at: usize, bit: u8) {
    let mut bytes = disk.get(name);
    bytes[at] ^= 1 << bit;
    disk.put(name, &bytes);
}

/// Opens a log with damage that is to be found in `file`, of which the entries before `kept` are left.
async fn assert_damaged(disk: &MemoryDisk, file: &str, kept: u64) -> Damage {
    let whole: Vec<(String, Vec<u8>)> =
        names(disk, "log-").into_iter().map(|name| (name.clone(), disk.get(&name))).collect();
    let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
    let damage = log.damage().expect("there is damage").clone();
    assert_eq!((damage.file.as_str(), damage.lost_from_index), (file, kept));
    assert_eq!(content(&mut log).await, expected(1, 0..kept));
    assert!(log.is_suspect().unwrap());
    for (name, bytes) in whole.iter().filter(|(name, _)| name.as_str() >= file) {
        let asides = names(disk, &format!("damaged-{name}"));
        assert!(asides.iter().any(|aside| disk.get(aside) == *bytes), "{name} is not kept as it was");
    }
    assert!(names(disk, "log-").last().is_none_or(|last| last.as_str() <= file));
    assert_goes_on(disk, log, kept).await;
    damage
}

/// The log is used again after the damage, and the suspicion stays until it is cleared.
async fn assert_goes_on(disk: &MemoryDisk, mut log: Log<InMemory>, kept: u64) {
    append(&mut log, entries::<InMemory>(1, kept..kept + 3)).await.unwrap();
    drop(log);
    let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
    assert_eq!(log.damage(), None);
    assert!(log.is_suspect().unwrap(), "a restart makes it forget that it has forgotten");
    assert_eq!(content(&mut log).await, expected(1, 0..kept + 3));
    log.clear_suspect().unwrap();
    log.clear_suspect().unwrap();
    drop(log);
    disk.crash(Crash { kept: 0, zeros: false });
    assert!(!Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap().is_suspect().unwrap());
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_last_record_is_damage() {
    let (disk, ends) = in_one_segment(3).await;
    let bytes = disk.get(FIRST);
    for at in ends[1]..ends[2] {
        disk.put(FIRST, &bytes);
        flip(&disk, FIRST, at, (at % 8) as u8);
        let damage = assert_damaged(&disk, FIRST, 2).await;
        assert_eq!(damage.offset, ends[1] as u64);
        disk.remove_all("damaged-");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_record_before_the_last_is_damage() {
    let (disk, ends) = in_one_segment(6).await;
    let bytes = disk.get(FIRST);
    for at in ends[1]..ends[2] {
        disk.put(FIRST, &bytes);
        flip(&disk, FIRST, at, 3);
        assert_damaged(&disk, FIRST, 2).await;
        disk.remove_all("damaged-");
    }
}

#[tokio::test]
async fn zeros_with_something_after_them_are_damage() {
    let (disk, ends) = in_one_segment(4).await;
    let mut bytes = disk.get(FIRST);
    bytes[ends[1]..ends[2]].fill(0);
    disk.put(FIRST, &bytes);
    assert_damaged(&disk, FIRST, 2).await;
}

#[tokio::test]
async fn damage_in_an_earlier_segment_sets_the_later_ones_aside() {
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    assert!(segments.len() > 5, "{segments:?}");
    let kept = entries_before(&disk, &segments[2]).await + 1;
    // The second record after the head: one entry of the segment is left.
    let bytes = disk.get(&segments[2]);
    let at = bytes.len() / 4;
    flip(&disk, &segments[2], at, 0);
    let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
    let left = content(&mut log).await.len() as u64;
    drop(log);
    assert!((kept - 1..kept + 2).contains(&left), "{left} of about {kept}");
    assert_eq!(names(&disk, "damaged-").len(), segments.len() - 2);
    assert_eq!(names(&disk, "log-"), segments[..3]);
}

/// How many entries the segments before `name` hold.
async fn entries_before(disk: &MemoryDisk, name: &str) -> u64 {
    let copy = MemoryDisk::default();
    for other in
        names(disk, "").into_iter().filter(|other| !other.starts_with("log-") || other.as_str() < name)
    {
        copy.put(&other, &disk.get(&other));
    }
    let mut log = Log::<InMemory>::open_with(copy, SMALL).unwrap();
    assert_eq!(log.damage(), None);
    last_index(&mut log).await.map_or(0, |last| last + 1)
}

#[tokio::test]
async fn a_head_that_is_damaged_is_damage() {
    for place in [0, 1, 2, 5] {
        let disk = written(60).await;
        let name = names(&disk, "log-")[place].clone();
        let kept = entries_before(&disk, &name).await;
        flip(&disk, &name, 16, 5);
        let damage = assert_damaged(&disk, &name, kept).await;
        assert_eq!(damage.offset, 0);
    }
}

#[tokio::test]
async fn an_earlier_segment_that_ends_too_early_is_damage() {
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    let bytes = disk.get(&segments[1]);
    disk.put(&segments[1], &bytes[..bytes.len() - 1]);
    let kept = entries_before(&disk, &segments[2]).await;
    let damage = assert_damaged(&disk, &segments[1], kept).await;
    assert!(damage.offset > 0);
}

#[tokio::test]
async fn an_earlier_segment_that_lost_whole_records_or_all_is_damage() {
    let (first, ends) = in_one_segment(6).await;
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    // The first segment ends after a whole record, but before the second one goes on.
    disk.put(&segments[0], &first.get(FIRST)[..ends[1]]);
    let damage = assert_damaged(&disk, &segments[1], 2).await;
    assert_eq!(damage.offset, 0);

    let disk = written(60).await;
    let kept = entries_before(&disk, &segments[1]).await;
    disk.put(&segments[1], b"");
    assert_damaged(&disk, &segments[1], kept).await;
}

#[tokio::test]
async fn a_segment_that_is_missing_in_the_middle_is_damage() {
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    let kept = entries_before(&disk, &segments[2]).await;
    disk.remove_all(&segments[2]);
    assert_damaged(&disk, &segments[3], kept).await;
}

#[tokio::test]
async fn a_segment_under_the_name_of_another_is_damage() {
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    let kept = entries_before(&disk, &segments[3]).await;
    disk.put(&segments[3], &disk.get(&segments[2]));
    assert_damaged(&disk, &segments[3], kept).await;
}

#[tokio::test]
async fn entries_that_do_not_follow_each_other_are_damage() {
    let (disk, ends) = in_one_segment(5).await;
    let bytes = disk.get(FIRST);
    // Entry 1 is missing.
    disk.put(FIRST, &[&bytes[..ends[0]], &bytes[ends[1]..]].concat());
    assert_damaged(&disk, FIRST, 1).await;
    // Entry 1 is there twice.
    disk.put(FIRST, &[&bytes[..ends[1]], &bytes[ends[0]..]].concat());
    assert_damaged(&disk, FIRST, 2).await;
    // A head stands in the middle.
    disk.put(FIRST, &[&bytes[..ends[1]], &bytes[..]].concat());
    assert_damaged(&disk, FIRST, 2).await;
}

#[tokio::test]
async fn damage_again_keeps_what_was_set_aside_before() {
    let (disk, ends) = in_one_segment(4).await;
    for round in 1..=3 {
        let mut log = Log::<InMemory>::open_with(disk.clone(), Limits::default()).unwrap();
        vote(&mut log, round).await.unwrap();
        let last = last_index(&mut log).await.unwrap();
        append(&mut log, entries::<InMemory>(round, last + 1..last + 2)).await.unwrap();
        drop(log);
        flip(&disk, FIRST, ends[1] + 20, 1);
        let log = Log::<InMemory>::open_with(disk.clone(), Limits::default()).unwrap();
        assert_eq!(log.damage().unwrap().lost_from_index, 2);
        assert_eq!(names(&disk, "damaged-").len() as u64, round);
    }
}

#[tokio::test]
async fn a_crash_while_damage_is_set_aside_never_makes_the_member_trusted() {
    for kept in [0, 128, 255] {
        let mut deaths = 0;
        loop {
            let disk = written(40).await;
            let segments = names(&disk, "log-");
            let lost_from = entries_before(&disk, &segments[1]).await;
            flip(&disk, &segments[1], 40, 2);
            disk.die_after(deaths);
            let opened = Log::<InMemory>::open_with(disk.clone(), SMALL);
            let is_done = opened.is_ok();
            drop(opened);
            disk.crash(Crash { kept, zeros: false });
            let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
            assert!(log.is_suspect().unwrap(), "after {deaths} changes");
            let left = content(&mut log).await;
            assert_eq!(left, expected(1, 0..left.len() as u64));
            assert!(left.len() as u64 >= lost_from);
            if is_done {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 10, "{deaths}");
    }
}

#[tokio::test]
async fn what_a_later_release_wrote_is_refused_and_left_alone() {
    let (disk, ends) = in_one_segment(3).await;
    let mut bytes = disk.get(FIRST);
    let header = ends[1]..ends[1] + 10;
    bytes[header.start] = 2;
    let crc = crc32fast::hash(&bytes[header.clone()]);
    bytes[header.end..header.end + 4].copy_from_slice(&crc.to_le_bytes());
    disk.put(FIRST, &bytes);
    let error = Log::<InMemory>::open(disk.clone()).err().unwrap().to_string();
    assert!(error.contains(FIRST) && error.contains("format 2"), "{error}");
    assert_eq!(disk.get(FIRST), bytes);
    assert_eq!(names(&disk, "suspect"), [""; 0]);
}

#[tokio::test]
async fn files_of_other_names_are_not_the_log() {
    let disk = written(5).await;
    let others = [
        "log-",
        "log-7",
        "log-0000000000000000000x",
        "log-99999999999999999999",
        "blog-00000000000000000001",
    ];
    for name in others {
        disk.put(name, b"not a segment");
    }
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    assert_eq!(content(&mut log).await, expected(1, 0..5));
    assert_eq!(log.damage(), None);
    assert!(others.iter().all(|name| disk.get(name) == b"not a segment"));
}

#[tokio::test]
async fn when_the_oldest_segments_are_gone_the_log_begins_after_them() {
    let disk = written(60).await;
    let segments = names(&disk, "log-");
    let first = entries_before(&disk, &segments[2]).await;
    disk.remove_all(&segments[0]);
    disk.remove_all(&segments[1]);
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    // Whoever has no snapshot that reaches so far sees from this that entries are missing.
    assert_eq!(log.last_purged(), Some(id(1, first - 1)));
    assert_eq!(content(&mut log).await, expected(1, first..60));
    assert_eq!(log.get_log_state().await.unwrap().last_purged_log_id, Some(log_id::<InMemory>(1, first - 1)));
}

#[tokio::test]
async fn damage_is_set_aside_on_real_files() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let mut log = opened::<OnFiles>(&disk, SMALL).await;
    append(&mut log, entries::<OnFiles>(1, 0..40)).await.unwrap();
    drop(log);
    let segments = names(&disk, "log-");
    let path = dir.path().join(&segments[1]);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() - 2;
    bytes[at] ^= 0x40;
    fs::write(&path, &bytes).unwrap();
    let mut log = opened::<OnFiles>(&disk, SMALL).await;
    let damage = log.damage().unwrap().clone();
    assert_eq!(damage.file, segments[1]);
    assert_eq!(content(&mut log).await, expected(1, 0..damage.lost_from_index));
    assert_eq!(fs::read(dir.path().join(format!("damaged-{}", segments[1]))).unwrap(), bytes);
    assert_eq!(names(&disk, "damaged-").len(), segments.len() - 1);
    append(&mut log, entries::<OnFiles>(1, damage.lost_from_index..60)).await.unwrap();
    drop(log);
    let mut log = opened::<OnFiles>(&disk, SMALL).await;
    assert!(log.is_suspect().unwrap());
    assert_eq!(content(&mut log).await, expected(1, 0..60));
}
