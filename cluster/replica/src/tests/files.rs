//! Snapshots and identity on real files.

use std::sync::Arc;

use holdfast_model::Seq;
use tempfile::TempDir;

use super::inventory;
use crate::file_disk::FileDisk;
use crate::identity::{DirLock, Identity};
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
    let bytes = source.open_to_send(&name).unwrap().part(0, 16 << 20).unwrap();
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
    let left: Vec<_> = std::fs::read_dir(to.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, [std::ffi::OsString::from(&name)]);
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
