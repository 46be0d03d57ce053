//! Snapshots, ledger and identity on real files.

use std::sync::Arc;

use bytes::Bytes;
use holdfast_model::{Seq, codec};
use tempfile::TempDir;

use super::inventory;
use crate::LedgerError;
use crate::file_disk::FileDisk;
use crate::identity::{DirLock, Identity};
use crate::ledger::Ledger;
use crate::snapshot::{SnapshotHead, Snapshots};
use crate::types::{ClusterId, LogIdRecord, MembershipRecord};

fn snapshots(dir: &TempDir) -> Arc<Snapshots<FileDisk>> {
    Arc::new(Snapshots::open(FileDisk::open(dir.path()).unwrap()).unwrap())
}

fn write(snapshots: &Snapshots<FileDisk>, rows: u64) -> String {
    let frozen = inventory(rows).0.freeze();
    let last = Some(LogIdRecord { term: 1, index: rows });
    let membership = MembershipRecord::default();
    let head = SnapshotHead { last, membership, seq: frozen.last_seq(), digest: frozen.digest() };
    snapshots.write(head, &frozen).unwrap().name
}

#[test]
fn a_snapshot_is_read_back_and_the_last_two_are_kept() {
    let dir = TempDir::new().unwrap();
    let kept = snapshots(&dir);
    assert_eq!(kept.purge_floor(), None);
    for rows in [10, 20, 3000] {
        write(&kept, rows);
    }
    assert_eq!(kept.purge_floor(), Some(LogIdRecord { term: 1, index: 20 }));
    let again = snapshots(&dir);
    let (head, found) = again.load_newest().unwrap().unwrap();
    assert_eq!(found.digest(), inventory(3000).0.digest());
    assert_eq!(head.seq, Seq(3000));
    assert_eq!(again.purge_floor(), Some(LogIdRecord { term: 1, index: 20 }));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_damaged_newest_snapshot_is_set_aside_and_the_older_one_is_used() {
    let dir = TempDir::new().unwrap();
    let kept = snapshots(&dir);
    write(&kept, 10);
    let name = write(&kept, 20);
    let bytes = std::fs::read(dir.path().join(&name)).unwrap();
    let places = (0..bytes.len()).step_by((bytes.len() / 50).max(1));
    let mut broken: Vec<Vec<u8>> = Vec::new();
    for at in places {
        broken.push(bytes[..at].to_vec());
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        broken.push(flipped);
    }
    for content in broken {
        std::fs::write(dir.path().join(&name), content).unwrap();
        let (head, _) = snapshots(&dir).load_newest().unwrap().unwrap();
        assert_eq!(head.seq, Seq(10));
        std::fs::rename(dir.path().join(format!("damaged-{name}")), dir.path().join("aside")).unwrap();
    }
}

#[test]
fn a_snapshot_is_received_in_parts_and_checked() {
    let (from, to) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (source, target) = (snapshots(&from), snapshots(&to));
    let name = write(&source, 500);
    let bytes = source.read_part(&name, 0, usize::MAX >> 40).unwrap();
    let mut incoming = target.receive(&name).unwrap();
    incoming.append(&name, 0, &bytes[..1000]).unwrap();
    assert!(incoming.append(&name, 999, &bytes[999..]).is_err(), "a part that does not follow");
    incoming.append(&name, 1000, &bytes[1000..]).unwrap();
    let file = incoming.finish().unwrap();
    assert_eq!(target.load(&file.name).unwrap().1.digest(), inventory(500).0.digest());
    // Cut off half-way it leaves nothing that counts.
    let mut incoming = target.receive(&name).unwrap();
    incoming.append(&name, 0, &bytes[..1000]).unwrap();
    assert!(incoming.finish().is_err());
    assert!(target.receive("../identity").is_err());
    drop(snapshots(&to));
    let left: Vec<_> = std::fs::read_dir(to.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [std::ffi::OsString::from(&name)]);
}

fn filled(dir: &TempDir, count: u64) -> Ledger {
    let (ledger, aside) = Ledger::open(&dir.path().join("ledger")).unwrap();
    assert_eq!(aside, None);
    for movements in inventory(count).1 {
        ledger.append(&movements).unwrap();
    }
    ledger
}

fn seqs(records: &[holdfast_model::Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq().0).collect()
}

#[test]
fn the_ledger_gives_ranges_and_survives_a_reopening_and_a_replay() {
    let dir = TempDir::new().unwrap();
    let ledger = filled(&dir, 20);
    assert_eq!(seqs(&ledger.movements(Seq(5), 4).unwrap()), [6, 7, 8, 9]);
    assert_eq!(seqs(&ledger.movements(Seq(18), 9).unwrap()), [19, 20]);
    assert_eq!(ledger.movement(Seq(7)).unwrap().unwrap().seq(), Seq(7));
    assert_eq!(ledger.movement(Seq(21)).unwrap(), None);
    ledger.flush().unwrap();
    drop(ledger);
    let ledger = filled(&dir, 25);
    assert_eq!(ledger.last_seq().unwrap(), Seq(25));
    assert_eq!(ledger.movements(Seq(0), 100).unwrap().len(), 25);
    ledger.trim(Seq(10)).unwrap();
    assert!(matches!(ledger.movements(Seq(3), 1), Err(LedgerError::Compacted { oldest: Seq(10) })));
    assert_eq!(seqs(&ledger.movements(Seq(9), 2).unwrap()), [10, 11]);
}

#[test]
fn a_large_entry_leaves_nothing_where_a_flush_does_not_reach() {
    let dir = TempDir::new().unwrap();
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    let movements: Vec<_> = inventory(10_000).1.into_iter().flatten().collect();
    ledger.append(&movements).unwrap();
    ledger.flush().unwrap();
    // sled keeps large pages in files of their own, and syncs none of them.
    let apart = std::fs::read_dir(dir.path().join("ledger").join("blobs")).map_or(0, Iterator::count);
    assert_eq!(apart, 0);
    assert_eq!(ledger.movements(Seq(0), 20_000).unwrap(), movements);
    assert_eq!(ledger.history(Seq(9_999), 3).unwrap().len(), 1);
    assert_eq!(ledger.last_seq().unwrap(), Seq(10_000));
}

#[test]
fn what_is_missing_in_the_ledger_is_told_and_filled() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = filled(&other, 30);
    let ledger = filled(&dir, 10);
    ledger.note_snapshot(Seq(30), Seq(1)).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(10), Seq(30))));
    assert!(matches!(ledger.movements(Seq(5), 10), Err(LedgerError::Rebuilding { .. })));
    assert_eq!(seqs(&ledger.movements(Seq(5), 5).unwrap()), [6, 7, 8, 9, 10]);
    drop(ledger);
    // It knows after a restart, and goes on block by block.
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    while let Some((after, upto)) = ledger.gap() {
        let blocks = whole.blocks(after, upto, 300).unwrap();
        assert!(!blocks.is_empty() && blocks.len() < 20);
        ledger.fill(&blocks).unwrap();
    }
    assert_eq!(ledger.movements(Seq(0), 100).unwrap(), whole.movements(Seq(0), 100).unwrap());
    ledger.note_snapshot(Seq(40), Seq(1)).unwrap();
    let foreign = Bytes::from(codec::encode(&Vec::<holdfast_model::Record>::new()));
    assert!(ledger.fill(&[(Seq(31), foreign)]).is_err());
}

#[test]
fn a_ledger_that_will_not_open_is_set_aside() {
    let dir = TempDir::new().unwrap();
    let ledger = filled(&dir, 10);
    ledger.flush().unwrap();
    drop(ledger);
    let path = dir.path().join("ledger");
    std::fs::remove_file(path.join("db")).unwrap();
    std::fs::create_dir(path.join("db")).unwrap();
    let (ledger, aside) = Ledger::open(&path).unwrap();
    assert!(aside.unwrap().contains("ledger.damaged-1"));
    assert_eq!(ledger.last_seq().unwrap(), Seq(0));
    ledger.note_snapshot(Seq(10), Seq(1)).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(0), Seq(10))));
}

#[test]
fn a_ledger_that_is_in_use_is_not_set_aside() {
    let dir = TempDir::new().unwrap();
    let held = filled(&dir, 10);
    let path = dir.path().join("ledger");
    assert!(matches!(Ledger::open(&path), Err(LedgerError::Damaged(text)) if text.contains("lock")));
    assert_eq!(held.last_seq().unwrap(), Seq(10));
    assert!(path.exists() && !dir.path().join("ledger.damaged-1").exists());
}

#[test]
fn a_ledger_that_opens_empty_after_damage_is_rebuilt() {
    let dir = TempDir::new().unwrap();
    drop(filled(&dir, 10));
    let db = dir.path().join("ledger").join("db");
    let size = std::fs::metadata(&db).unwrap().len();
    std::fs::write(&db, vec![0x5a; usize::try_from(size).unwrap()]).unwrap();
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    ledger.note_snapshot(Seq(10), Seq(1)).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(0), Seq(10))));
}

#[test]
fn an_identity_stays_and_is_never_guessed() {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    let message = |id| Identity::open_or_create(disk.clone(), id, 9).err().unwrap().to_string();
    let identity = Identity::open_or_create(disk.clone(), 1, 77).unwrap();
    identity.found(ClusterId(5)).unwrap();
    assert!(identity.found(ClusterId(6)).is_err());
    let again = Identity::open_or_create(disk.clone(), 1, 88).unwrap();
    assert_eq!((again.cluster(), again.incarnation()), (Some(ClusterId(5)), 77));
    assert!(message(2).contains("member 1's") && message(2).contains("started as 2"));
    let file = dir.path().join("identity");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[6] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert!(message(1).contains("damaged"));
    std::fs::remove_file(&file).unwrap();
    std::fs::write(dir.path().join("vote-a"), b"x").unwrap();
    assert!(message(1).contains("no identity file"));
}

#[test]
fn a_directory_is_held_by_one_at_a_time() {
    let dir = TempDir::new().unwrap();
    let lock = DirLock::acquire(dir.path()).unwrap();
    assert!(DirLock::acquire(dir.path()).unwrap_err().to_string().contains("in use by another process"));
    drop(lock);
    DirLock::acquire(dir.path()).unwrap();
}
