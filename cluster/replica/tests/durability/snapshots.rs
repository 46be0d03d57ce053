//! Snapshots are read and written a piece at a time, and one that could not be finished leaves nothing.

use std::io;
use std::sync::Arc;

use holdfast_replica::disk::Disk;
use holdfast_replica::snapshot::{SnapshotFile, SnapshotHead, Snapshots};
use holdfast_replica::types::{LogIdRecord, MembershipRecord};

use super::{CRASHES, MemoryDisk, inventory, partial};

/// What may be in memory of a file that is read, in bytes: a piece, or a record that is larger.
const PIECE_BYTES: usize = 1 << 20;

fn open(disk: &MemoryDisk) -> Arc<Snapshots<MemoryDisk>> {
    Arc::new(Snapshots::open(disk.clone()).unwrap())
}

fn write(snapshots: &Snapshots<MemoryDisk>, rows: u64) -> io::Result<SnapshotFile> {
    let frozen = inventory(rows).freeze();
    let last = Some(LogIdRecord { term: 1, index: rows });
    let membership = MembershipRecord::default();
    let head = SnapshotHead { last, membership, seq: frozen.last_seq(), digest: frozen.digest() };
    snapshots.write(head, &frozen)
}

/// The index of the newest snapshot that is whole.
fn newest(disk: &MemoryDisk) -> Option<u64> {
    let (head, inventory) = open(disk).load_newest().unwrap()?;
    assert_eq!(inventory.digest(), head.digest);
    head.last.map(|last| last.index)
}

/// The whole of a snapshot, as it is sent.
fn whole(snapshots: &Snapshots<MemoryDisk>, file: &SnapshotFile) -> Vec<u8> {
    let size = usize::try_from(file.size_bytes).unwrap();
    snapshots.open_to_send(&file.name).unwrap().part(0, size).unwrap()
}

/// A disk with a snapshot of 900 rows, and its bytes.
fn source() -> (SnapshotFile, Vec<u8>) {
    let snapshots = open(&MemoryDisk::default());
    let file = write(&snapshots, 900).unwrap();
    let bytes = whole(&snapshots, &file);
    (file, bytes)
}

#[test]
fn a_large_one_is_loaded_and_sent_a_piece_at_a_time() {
    let disk = MemoryDisk::default();
    let snapshots = open(&disk);
    let file = write(&snapshots, 60_000).unwrap();
    assert!(file.size_bytes > 2 * PIECE_BYTES as u64, "{}", file.size_bytes);
    let (_, loaded) = snapshots.load(&file.name).unwrap();
    assert_eq!(loaded.digest(), file.head.digest);

    let target = open(&disk);
    let outgoing = snapshots.open_to_send(&file.name).unwrap();
    let mut incoming = target.receive(&file.name).unwrap();
    while incoming.size_bytes() < file.size_bytes {
        let offset = incoming.size_bytes();
        incoming.append(&file.name, offset, &outgoing.part(offset, PIECE_BYTES).unwrap()).unwrap();
    }
    assert_eq!(incoming.finish().unwrap(), file);
    assert_eq!(newest(&disk), Some(60_000));
    assert!(disk.largest_read() <= PIECE_BYTES, "{} bytes at once", disk.largest_read());
}

#[test]
fn one_that_is_being_sent_is_read_to_its_end_when_newer_ones_take_its_place() {
    let snapshots = open(&MemoryDisk::default());
    let file = write(&snapshots, 900).unwrap();
    let bytes = whole(&snapshots, &file);
    let outgoing = snapshots.open_to_send(&file.name).unwrap();
    for rows in [901, 902] {
        write(&snapshots, rows).unwrap();
    }
    assert!(snapshots.open_to_send(&file.name).is_err(), "only two are kept");
    assert_eq!(outgoing.part(0, bytes.len()).unwrap(), bytes);
}

#[test]
fn the_state_of_one_that_was_received_is_given_once_and_only_for_that_one() {
    let (file, bytes) = source();
    let disk = MemoryDisk::default();
    let snapshots = open(&disk);
    let mut incoming = snapshots.receive(&file.name).unwrap();
    incoming.append(&file.name, 0, &bytes).unwrap();
    let received = incoming.finish().unwrap();
    // The file may be gone or damaged: the state was made of it before.
    disk.put(&file.name, b"nothing of the kind");
    assert_eq!(snapshots.take_loaded(&received).unwrap().1.digest(), file.head.digest);
    assert_eq!(snapshots.take_loaded(&received).err().unwrap().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn on_a_full_disk_nothing_is_left_of_it() {
    let (file, bytes) = source();
    for room in (0..bytes.len()).step_by(bytes.len() / 20) {
        let disk = MemoryDisk::default();
        let snapshots = open(&disk);
        write(&snapshots, 10).unwrap();
        disk.limit_room(Some(room));
        assert_eq!(write(&snapshots, 900).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(partial(&disk), [""; 0]);

        let mut incoming = snapshots.receive(&file.name).unwrap();
        disk.limit_room(Some(room));
        let result = incoming.append(&file.name, 0, &bytes);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        drop(incoming);
        assert_eq!(partial(&disk), [""; 0]);
        disk.limit_room(None);
        write(&snapshots, 901).unwrap();
        assert_eq!(newest(&disk), Some(901));
    }
}

#[test]
fn one_whose_sync_fails_is_not_kept() {
    let (file, bytes) = source();
    let disk = MemoryDisk::default();
    let snapshots = open(&disk);
    disk.fail_sync_after(0);
    assert_eq!(write(&snapshots, 900).unwrap_err().to_string(), "the disk did not take it");
    let mut incoming = snapshots.receive(&file.name).unwrap();
    incoming.append(&file.name, 0, &bytes).unwrap();
    disk.fail_sync_after(0);
    assert!(incoming.finish().is_err());
    assert_eq!(disk.list().unwrap(), [""; 0]);
    assert_eq!(snapshots.newest(), None);
}

#[test]
fn one_that_stops_coming_or_is_not_what_it_says_leaves_nothing() {
    let (file, bytes) = source();
    let disk = MemoryDisk::default();
    let snapshots = open(&disk);
    let mut incoming = snapshots.receive(&file.name).unwrap();
    incoming.append(&file.name, 0, &bytes[..1000]).unwrap();
    drop(incoming);
    assert_eq!(disk.list().unwrap(), [""; 0]);

    let other = file.name.replace('9', "8");
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 4;
    let cases: [(&str, &[u8]); 5] = [
        (&file.name, &[]),
        (&file.name, &bytes[..bytes.len() - 1]),
        (&file.name, &flipped),
        (&file.name, b"something else that is long enough to be one"),
        (&other, &bytes),
    ];
    for (name, bytes) in cases {
        let mut incoming = snapshots.receive(name).unwrap();
        incoming.append(name, 0, bytes).unwrap();
        assert_eq!(incoming.finish().unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(disk.list().unwrap(), [""; 0]);
    }
}

#[test]
fn a_cut_at_the_end_of_any_record_is_seen() {
    let (file, bytes) = source();
    let mut end = 0;
    while end < bytes.len() {
        let disk = MemoryDisk::default();
        disk.put(&file.name, &bytes[..end]);
        assert_eq!(open(&disk).load(&file.name).err().unwrap().kind(), io::ErrorKind::InvalidData);
        // The older one of two is looked through without being loaded.
        disk.put("snapshot-99999999999999999999-00000000000000000001", &bytes);
        let snapshots = open(&disk);
        assert!(snapshots.load_newest().unwrap().is_some());
        assert_eq!(snapshots.purge_floor(), None, "cut to {end} bytes");
        end += 8 + u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    }
}

#[test]
fn two_that_are_received_at_once_do_not_mix() {
    let (file, bytes) = source();
    let disk = MemoryDisk::default();
    let snapshots = open(&disk);
    let mut first = snapshots.receive(&file.name).unwrap();
    first.append(&file.name, 0, &bytes[..1000]).unwrap();
    let mut second = snapshots.receive(&file.name).unwrap();
    first.append(&file.name, 1000, &bytes[1000..]).unwrap();
    second.append(&file.name, 0, &bytes[..500]).unwrap();
    assert_eq!(first.finish().unwrap(), file);
    drop(second);
    assert_eq!(disk.list().unwrap(), [file.name]);
}

#[test]
fn after_a_crash_at_any_step_of_writing_one_the_log_reaches_back_to_what_is_there() {
    for crash in CRASHES {
        let mut deaths = 0;
        loop {
            let disk = MemoryDisk::default();
            let snapshots = open(&disk);
            write(&snapshots, 10).unwrap();
            write(&snapshots, 20).unwrap();
            disk.die_after(deaths);
            let written = write(&snapshots, 30).is_ok();
            let floor = snapshots.purge_floor().unwrap().index;
            let is_done = disk.is_alive();
            drop(snapshots);
            disk.crash(crash);
            let found = newest(&disk).unwrap();
            assert!(found == 30 || (found == 20 && !written), "{found} after {deaths} steps, {crash:?}");
            assert!(floor < found, "the log is cut up to {floor}, and {found} is all there is");
            assert_eq!(partial(&disk), [""; 0]);
            if is_done {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 5, "{deaths}");
    }
}

#[test]
fn after_a_crash_at_any_step_of_receiving_one_the_older_ones_are_there() {
    let (file, bytes) = source();
    for crash in CRASHES {
        let mut deaths = 0;
        loop {
            let disk = MemoryDisk::default();
            let snapshots = open(&disk);
            write(&snapshots, 10).unwrap();
            disk.die_after(deaths);
            let received = snapshots.receive(&file.name).and_then(|mut incoming| {
                incoming.append(&file.name, 0, &bytes[..1000])?;
                incoming.append(&file.name, 1000, &bytes[1000..])?;
                incoming.finish()
            });
            drop(snapshots);
            disk.crash(crash);
            let found = newest(&disk).unwrap();
            assert!(found == 900 || (found == 10 && received.is_err()), "{found} after {deaths} steps");
            assert_eq!(partial(&disk), [""; 0]);
            if received.is_ok() {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 5, "{deaths}");
    }
}
