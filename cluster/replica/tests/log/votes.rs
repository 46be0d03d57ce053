//! A vote is never forgotten: it is in two files, and a member that has lost both does not take part.

use holdfast_replica::log::Log;
use holdfast_replica::types::VoteRecord;
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;

use super::{InMemory, MemoryDisk, SMALL, append, entries, names, opened, vote};
use crate::memory_disk::Crash;

const FILES: [&str; 2] = ["vote-a", "vote-b"];

fn record(term: u64, committed: bool) -> VoteRecord {
    VoteRecord { term, node: 2, committed }
}

async fn save(disk: &MemoryDisk, record: VoteRecord) {
    let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
    log.save_vote(&record.vote::<InMemory>()).await.unwrap();
}

async fn read(disk: &MemoryDisk) -> Option<VoteRecord> {
    let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
    log.read_vote().await.unwrap().map(|vote| VoteRecord::of::<InMemory>(&vote))
}

fn flip(disk: &MemoryDisk, name: &str, at: usize) {
    let mut bytes = disk.get(name);
    bytes[at] ^= 4;
    disk.put(name, &bytes);
}

#[tokio::test]
async fn a_vote_is_durable_once_it_was_saved() {
    let disk = MemoryDisk::default();
    assert_eq!(read(&disk).await, None);
    for saved in [record(1, false), record(1, true), record(7, false)] {
        save(&disk, saved).await;
        disk.crash(Crash { kept: 0, zeros: false });
        assert_eq!(read(&disk).await, Some(saved));
    }
}

#[tokio::test]
async fn one_damaged_or_missing_copy_is_made_good_from_the_other() {
    let disk = MemoryDisk::default();
    save(&disk, record(3, true)).await;
    let whole = disk.get(FILES[0]);
    for name in FILES {
        for at in 0..whole.len() {
            flip(&disk, name, at);
            assert_eq!(read(&disk).await, Some(record(3, true)), "byte {at} of {name}");
            assert_eq!(disk.get(name), whole);
        }
        for bytes in [&[][..], &whole[..whole.len() - 1], b"nonsense"] {
            disk.put(name, bytes);
            assert_eq!(read(&disk).await, Some(record(3, true)));
            assert_eq!(disk.get(name), whole);
        }
        disk.remove_all(name);
        assert_eq!(read(&disk).await, Some(record(3, true)));
        assert_eq!(disk.get(name), whole);
    }
}

#[tokio::test]
async fn of_two_different_copies_the_later_vote_counts() {
    let (earlier, later) = (MemoryDisk::default(), MemoryDisk::default());
    for (one, other) in [(record(3, true), record(4, false)), (record(4, false), record(4, true))] {
        save(&earlier, one).await;
        save(&later, other).await;
        for (a, b) in [(&earlier, &later), (&later, &earlier)] {
            let disk = MemoryDisk::default();
            disk.put(FILES[0], &a.get(FILES[0]));
            disk.put(FILES[1], &b.get(FILES[1]));
            assert_eq!(read(&disk).await, Some(other));
            // Now damage to either copy does not bring the earlier vote back.
            flip(&disk, FILES[0], 3);
            assert_eq!(read(&disk).await, Some(other));
        }
    }
}

#[tokio::test]
async fn without_a_whole_copy_the_member_does_not_take_part() {
    let disk = MemoryDisk::default();
    save(&disk, record(3, true)).await;
    flip(&disk, FILES[0], 15);
    flip(&disk, FILES[1], 2);
    let error = Log::<InMemory>::open(disk.clone()).err().unwrap().to_string();
    assert!(error.contains("damaged (vote-a and vote-b)") && error.contains("--join"), "{error}");
    disk.remove_all(FILES[0]);
    let error = Log::<InMemory>::open(disk.clone()).err().unwrap().to_string();
    assert!(error.contains("damaged (vote-b)"), "{error}");
}

#[tokio::test]
async fn a_log_whose_vote_is_gone_does_not_take_part() {
    let disk = MemoryDisk::default();
    let mut log = opened::<InMemory>(&disk, SMALL).await;
    append(&mut log, entries::<InMemory>(1, 0..1)).await.unwrap();
    drop(log);
    disk.remove_all("vote-");
    let error = Log::<InMemory>::open(disk.clone()).err().unwrap().to_string();
    assert!(error.contains("missing (vote-a and vote-b)") && error.contains("--join"), "{error}");
}

#[tokio::test]
async fn the_entry_that_founds_a_cluster_needs_no_vote() {
    let disk = MemoryDisk::default();
    let mut log = Log::<InMemory>::open(disk.clone()).unwrap();
    append(&mut log, entries::<InMemory>(0, 0..1)).await.unwrap();
    assert_eq!(read(&disk).await, None);
}

#[tokio::test]
async fn a_crash_while_a_vote_is_saved_leaves_the_old_one_or_the_new_one() {
    for kept in [0, 100, 255] {
        for zeros in [false, true] {
            let mut deaths = 0;
            loop {
                let disk = MemoryDisk::default();
                save(&disk, record(3, true)).await;
                let mut log = Log::<InMemory>::open_with(disk.clone(), SMALL).unwrap();
                disk.die_after(deaths);
                let saved = vote(&mut log, 9).await;
                disk.crash(Crash { kept, zeros });
                let found = read(&disk).await.unwrap();
                assert!([3, 9].contains(&found.term), "{found:?}");
                assert_eq!(names(&disk, "vote-"), FILES);
                if saved.is_ok() {
                    assert_eq!(found.term, 9);
                    break;
                }
                deaths += 1;
            }
            assert!(deaths > 5, "{deaths}");
        }
    }
}
