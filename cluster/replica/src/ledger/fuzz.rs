//! Blocks and notes that are not as they were written, or not what another member should have sent: refused, or read
//! without a panic.

use bytes::Bytes;
use holdfast_fuzz::{anything, cases, damaged, edits, within};
use holdfast_model::Seq;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Ledger, block, missing::Missing};
use crate::tests::inventory;

/// Memory for each byte of a block.
const FACTOR: u64 = 64;

/// A ledger with movements 1 to 20, in blocks of one.
fn filled() -> (TempDir, Ledger) {
    let dir = TempDir::new().unwrap();
    let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
    for movements in inventory(20).1 {
        ledger.append(&movements).unwrap();
    }
    (dir, ledger)
}

fn bytes_of(ledger: &Ledger, seq: u64) -> Vec<u8> {
    ledger.store.upto(Seq(seq)).unwrap().unwrap().1.to_vec()
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_damaged_block_takes_little_memory_to_read(edits in edits(), bytes in anything()) {
        let whole = holdfast_model::codec::encode(&inventory(3).1.concat());
        for bytes in [damaged(&whole, &edits), bytes] {
            drop(within(FACTOR, &bytes, block));
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn whatever_a_block_holds_the_ledger_answers(edits in edits(), place in 1..=20_u64) {
        let (_dir, ledger) = filled();
        let bytes = damaged(&bytes_of(&ledger, place), &edits);
        ledger.store.insert(Seq(place), &bytes).unwrap();
        let _ = ledger.last_seq();
        for seq in [1, place, 20].map(Seq) {
            let _ = (ledger.movement(seq), ledger.movements(Seq(seq.0 - 1), 30), ledger.history(seq, 10));
            let _ = (ledger.at(Seq(20), seq), ledger.blocks(Seq(seq.0 - 1), Seq(20), 1 << 20));
        }
        let _ = ledger.trim(Seq(place));
        let _ = ledger.give_up(None);
    }

    #[test]
    fn what_another_member_sends_fills_the_gap_or_is_refused(edits in edits(), place in 1..=5_u64, first in 0..30_u64) {
        let (_other, whole) = filled();
        let dir = TempDir::new().unwrap();
        let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
        ledger.note_snapshot(Seq(20), Seq(1)).unwrap();
        let mut blocks = whole.blocks(Seq(0), Seq(20), 1 << 20).unwrap();
        let at = usize::try_from(place).unwrap();
        blocks[at] = (Seq(first), Bytes::from(damaged(&blocks[at].1, &edits)));
        let before = ledger.gap();
        if ledger.fill(&blocks).is_ok() {
            prop_assert!(ledger.gap() != before, "it was taken, so less is missing");
            let (after, _) = ledger.gap().unwrap_or((Seq(20), Seq(20)));
            let seqs = ledger.movements(Seq(0), 100).map(|found| found.iter().map(|record| record.seq().0).collect::<Vec<_>>());
            if let Ok(seqs) = seqs {
                prop_assert_eq!(seqs, (1..=after.0).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn damaged_notes_are_refused_or_read(edits in edits()) {
        let (_dir, ledger) = filled();
        ledger.note_snapshot(Seq(30), Seq(2)).unwrap();
        for name in ["gap", "start"] {
            let bytes = damaged(&ledger.store.note(name).unwrap().unwrap(), &edits);
            ledger.store.put_notes(&[(name, bytes)]).unwrap();
        }
        let _ = Missing::read(&*ledger.store);
    }
}
