//! The ledger on real files: what it gives, what it lacks, and what becomes of one that is damaged.

use bytes::Bytes;
use holdfast_model::{Record, Seq, codec};
use tempfile::TempDir;

use super::inventory;
use crate::LedgerError;
use crate::ledger::Ledger;

fn filled(dir: &TempDir, count: u64) -> Ledger {
    let (ledger, aside) = Ledger::open(&dir.path().join("ledger")).unwrap();
    assert_eq!(aside, None);
    for movements in inventory(count).1 {
        ledger.append(&movements).unwrap();
    }
    ledger
}

fn seqs(records: &[Record]) -> Vec<u64> {
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
fn what_is_missing_is_told_and_filled() {
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
    let mut steps = 0;
    while let Some((after, upto)) = ledger.gap() {
        ledger.fill(&whole.blocks(after, upto, 300).unwrap()).unwrap();
        assert!(ledger.gap().is_none_or(|(next, _)| next > after));
        steps += 1;
    }
    assert!(steps > 1);
    assert_eq!(ledger.movements(Seq(0), 100).unwrap(), whole.movements(Seq(0), 100).unwrap());
}

#[test]
fn what_does_not_follow_is_refused_and_what_does_is_taken() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = filled(&other, 30);
    let ledger = filled(&dir, 10);
    ledger.note_snapshot(Seq(30), Seq(1)).unwrap();
    let block = |seq: u64| whole.blocks(Seq(seq - 1), Seq(seq), 1).unwrap().remove(0);
    let empty = (Seq(11), Bytes::from(codec::encode(&Vec::<Record>::new())));
    let nonsense = (Seq(11), Bytes::from_static(b"nonsense"));
    let under_another_name = (Seq(11), block(12).1);
    for blocks in [
        vec![],
        vec![block(12)],
        vec![block(10)],
        vec![empty],
        vec![nonsense.clone()],
        vec![under_another_name],
    ] {
        assert!(ledger.fill(&blocks).is_err(), "{blocks:?}");
        assert_eq!(ledger.gap(), Some((Seq(10), Seq(30))));
    }
    // A hole in what is sent, and damage, cost nothing of what comes before.
    ledger.fill(&[block(11), block(12), block(14)]).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(12), Seq(30))));
    ledger.fill(&[block(13), (Seq(14), nonsense.1)]).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(13), Seq(30))));
    assert_eq!(seqs(&ledger.movements(Seq(10), 3).unwrap()), [11, 12, 13]);
}

#[test]
fn a_trim_into_a_gap_leaves_one_that_can_be_filled() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = filled(&other, 30);
    let ledger = filled(&dir, 10);
    ledger.note_snapshot(Seq(30), Seq(1)).unwrap();
    for ledger in [&whole, &ledger] {
        ledger.trim(Seq(20)).unwrap();
    }
    assert_eq!((ledger.gap(), ledger.start()), (Some((Seq(19), Seq(30))), Seq(20)));
    assert!(matches!(ledger.movements(Seq(5), 1), Err(LedgerError::Compacted { oldest: Seq(20) })));
    assert!(matches!(ledger.at(Seq(5), Seq(5)), Err(LedgerError::Compacted { oldest: Seq(20) })));
    ledger.fill(&whole.blocks(Seq(19), Seq(30), 1 << 20).unwrap()).unwrap();
    assert_eq!(ledger.gap(), None);
    assert_eq!(seqs(&ledger.movements(Seq(19), 2).unwrap()), [20, 21]);

    // Beyond its end nothing of it needs to be fetched.
    let dir = TempDir::new().unwrap();
    let ledger = filled(&dir, 10);
    ledger.note_snapshot(Seq(30), Seq(1)).unwrap();
    ledger.trim(Seq(31)).unwrap();
    assert_eq!((ledger.gap(), ledger.start(), ledger.last_seq().unwrap()), (None, Seq(31), Seq(0)));
}

#[test]
fn a_snapshot_from_behind_a_trim_drops_what_came_before() {
    let dir = TempDir::new().unwrap();
    let ledger = filled(&dir, 10);
    ledger.note_snapshot(Seq(30), Seq(20)).unwrap();
    assert_eq!(
        (ledger.gap(), ledger.start(), ledger.last_seq().unwrap()),
        (Some((Seq(19), Seq(30))), Seq(20), Seq(0))
    );
    drop(ledger);
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    assert_eq!((ledger.gap(), ledger.start()), (Some((Seq(19), Seq(30))), Seq(20)));
}

/// A ledger with movements 1 to 10 and 31 to 40; those in between are missing.
fn with_a_gap(dir: &TempDir) -> Ledger {
    let ledger = filled(dir, 10);
    ledger.note_snapshot(Seq(30), Seq(1)).unwrap();
    for movements in inventory(40).1.into_iter().skip(30) {
        ledger.append(&movements).unwrap();
    }
    ledger
}

#[test]
fn a_snapshot_of_what_came_after_a_gap_does_not_widen_it() {
    let dir = TempDir::new().unwrap();
    let ledger = with_a_gap(&dir);
    for seq in [35, 40] {
        ledger.note_snapshot(Seq(seq), Seq(1)).unwrap();
        assert_eq!(ledger.gap(), Some((Seq(10), Seq(30))));
    }
    // What is missing behind it as well is fetched along with it.
    ledger.note_snapshot(Seq(45), Seq(1)).unwrap();
    assert_eq!(ledger.gap(), Some((Seq(10), Seq(45))));
}

#[test]
fn what_no_member_has_is_given_up_and_the_ledger_starts_after_it() {
    let dir = TempDir::new().unwrap();
    let ledger = with_a_gap(&dir);
    assert_eq!(ledger.give_up(None).unwrap(), Some((Seq(11), Seq(30))));
    assert_eq!((ledger.gap(), ledger.start()), (None, Seq(31)));
    assert_eq!(ledger.give_up(None).unwrap(), None);
    drop(ledger);
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    ledger.note_snapshot(Seq(40), Seq(1)).unwrap();
    assert_eq!((ledger.gap(), ledger.start()), (None, Seq(31)));
    for after in [0, 10, 29] {
        let error = ledger.movements(Seq(after), 1);
        assert!(matches!(error, Err(LedgerError::Compacted { oldest: Seq(31) })), "{error:?}");
    }
    assert_eq!(seqs(&ledger.movements(Seq(30), 100).unwrap()), (31..=40).collect::<Vec<_>>());
}

#[test]
fn only_what_no_member_has_is_given_up() {
    let (dir, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let whole = filled(&other, 40);
    let ledger = with_a_gap(&dir);
    assert_eq!(ledger.give_up(Some(Seq(21))).unwrap(), Some((Seq(11), Seq(20))));
    assert_eq!((ledger.gap(), ledger.start()), (Some((Seq(20), Seq(30))), Seq(21)));
    ledger.fill(&whole.blocks(Seq(20), Seq(30), 1 << 20).unwrap()).unwrap();
    assert_eq!(ledger.movements(Seq(20), 100).unwrap(), whole.movements(Seq(20), 100).unwrap());

    // A gap that covers what is here loses nothing of that.
    let dir = TempDir::new().unwrap();
    let ledger = with_a_gap(&dir);
    ledger.note_snapshot(Seq(45), Seq(1)).unwrap();
    assert_eq!(ledger.give_up(None).unwrap(), Some((Seq(11), Seq(30))));
    assert_eq!((ledger.gap(), ledger.start()), (Some((Seq(40), Seq(45))), Seq(31)));
    assert_eq!(ledger.give_up(None).unwrap(), Some((Seq(41), Seq(45))));
    assert_eq!((ledger.gap(), ledger.start(), ledger.last_seq().unwrap()), (None, Seq(46), Seq(0)));
}

#[test]
fn a_member_that_lacks_what_it_is_asked_for_says_what_it_has_after_it() {
    let dir = TempDir::new().unwrap();
    let ledger = with_a_gap(&dir);
    let firsts = |after, upto| {
        let blocks = ledger.blocks(Seq(after), Seq(upto), 1 << 20).unwrap();
        blocks.into_iter().map(|(first, _)| first.0).collect::<Vec<_>>()
    };
    assert_eq!(firsts(7, 40), [8, 9, 10], "not beyond the gap");
    assert_eq!(firsts(10, 32), [31, 32]);
    assert_eq!(firsts(15, 32), [31, 32]);
    assert_eq!(firsts(15, 30), [0; 0]);
    assert_eq!(firsts(40, 50), [0; 0]);
    ledger.give_up(None).unwrap();
    assert_eq!(firsts(0, 32), [31, 32]);
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
fn a_ledger_that_is_let_go_of_a_moment_later_is_waited_for() {
    let dir = TempDir::new().unwrap();
    let held = filled(&dir, 10);
    let path = dir.path().join("ledger");
    let opening = std::thread::spawn(move || Ledger::open(&path).map(|(ledger, _)| ledger.last_seq()));
    // What is tested is that it is still held by then; the other order would pass as well.
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(held);
    assert_eq!(opening.join().unwrap().unwrap().unwrap(), Seq(10));
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
