//! Segments and votes that are not as they were written: what is read of them is what was written, or nothing.

use holdfast_fuzz::{anything, cases, damaged, edits, peak_bytes};
use openraft::EntryPayload;
use openraft::alias::EntryOf;
use openraft::entry::RaftEntry;
use openraft::storage::{RaftLogReader, RaftLogStorage};
use proptest::prelude::*;
use tempfile::TempDir;

use super::record::{self, Head, Kind};
use super::{Log, segment_name, vote};
use crate::disk::Disk;
use crate::file_disk::FileDisk;
use crate::live::Live;
use crate::types::{LogIdRecord, Proposal, Types, VoteRecord};

/// Entries in the segment.
const ENTRIES: u64 = 12;

/// Reading takes a window on a file, copies of the last segment, and little else, in bytes.
const MEMORY_BYTES: u64 = 8 << 20;

const VOTE: VoteRecord = VoteRecord { term: 3, node: 1, committed: true };

fn entry(index: u64) -> EntryOf<Types<Live>> {
    let bytes = format!("entry {index}, and some zeros\0\0\0").into_bytes().into();
    RaftEntry::new(
        LogIdRecord { term: 3, index }.log_id::<Live>(),
        EntryPayload::Normal(Proposal { bytes, entry: None }),
    )
}

fn segment() -> Vec<u8> {
    let mut bytes = Vec::new();
    let head = Head { segment: 1, purged: None, committed: None, last: None };
    record::write_value(Kind::Head, &head, &mut bytes);
    for index in 0..ENTRIES {
        record::write_entry::<Live>(&entry(index), &mut bytes);
        if index == ENTRIES / 2 {
            record::write_value(Kind::Committed, &Some(LogIdRecord { term: 3, index }), &mut bytes);
        }
    }
    bytes
}

/// Opens a log whose only segment is `bytes`, and checks that what it holds are the first of the entries that were
/// written. Returns how many.
fn kept(bytes: &[u8]) -> Option<usize> {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    vote::save(&disk, VOTE).unwrap();
    std::fs::write(dir.path().join(segment_name(1)), bytes).unwrap();
    let (opened, taken) = peak_bytes(|| Log::<Live>::open(disk.clone()));
    assert!(taken < MEMORY_BYTES, "{taken} bytes of memory");
    // Another release may have written it; then nothing is touched.
    let mut log = opened.ok()?;
    let reading = async {
        let state = log.get_log_state().await.unwrap();
        let end = state.last_log_id.map_or(0, |last| last.index() + 1);
        let found = log.get_log_reader().await.try_get_log_entries(0..end).await.unwrap();
        assert_eq!(
            log.get_log_reader().await.read_vote().await.unwrap().map(|vote| VoteRecord::of::<Live>(&vote)),
            Some(VOTE)
        );
        found
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let found = runtime.block_on(reading);
    let written: Vec<_> = (0..found.len() as u64).map(entry).collect();
    assert_eq!(found, written);
    Some(found.len())
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn a_damaged_segment_gives_what_was_written_before_the_damage(edits in edits()) {
        kept(&damaged(&segment(), &edits));
    }

    #[test]
    fn any_bytes_are_no_segment(bytes in anything()) {
        prop_assert!(kept(&bytes).is_none_or(|kept| kept == 0));
    }

    #[test]
    fn a_damaged_record_is_none(edits in edits()) {
        let mut whole = Vec::new();
        record::write_value(Kind::Vote, &VOTE, &mut whole);
        let bytes = damaged(&whole, &edits);
        prop_assert!(bytes == whole || record::read(&bytes).is_err());
    }

    #[test]
    fn a_damaged_vote_is_made_good_or_refused(first in edits(), second in edits(), both in any::<bool>()) {
        let dir = TempDir::new().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        vote::save(&disk, VOTE).unwrap();
        let [a, b] = vote::FILES.map(|name| dir.path().join(name));
        let whole = std::fs::read(&a).unwrap();
        std::fs::write(&a, damaged(&whole, &first)).unwrap();
        if both {
            std::fs::write(&b, damaged(&whole, &second)).unwrap();
        }
        match vote::load(&disk) {
            Ok(found) => prop_assert_eq!(found, Some(VOTE)),
            Err(error) => prop_assert!(both || error.to_string().contains("release"), "{}", error),
        }
        prop_assert!(disk.list().unwrap().iter().all(|name| vote::FILES.contains(&name.as_str())));
    }
}

#[test]
fn the_segment_is_whole_before_it_is_damaged() {
    assert_eq!(kept(&segment()), Some(usize::try_from(ENTRIES).unwrap()));
}
