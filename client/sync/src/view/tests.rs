//! What a view does with records, crashes, damage and old age.

use holdfast_api::{Epoch, Movement};
use holdfast_sdk::model::{ItemId, StoreId, SubscriptionId};
use tempfile::TempDir;

use super::*;
use crate::config::Outbox;

const OUTBOX: Outbox = Outbox { keep: 1000, max: 1000 };

fn store() -> StoreId {
    StoreId::new("S1").unwrap()
}

fn subscription(number: u128) -> SubscriptionId {
    SubscriptionId::from_uuid(uuid::Uuid::from_u128(number))
}

fn epoch() -> Epoch {
    "e".parse().unwrap()
}

/// A view in a new directory that stands at `seq` and has one row, A with 10 available, which movement 1 made.
fn view_at(seq: u64) -> (TempDir, Views) {
    let dir = tempfile::tempdir().unwrap();
    let (views, notes) = Views::open(dir.path()).unwrap();
    assert!(notes.is_empty() && views.current().is_none());
    build(&views, seq);
    (dir, views)
}

fn build(views: &Views, seq: u64) {
    let view = views.begin(epoch(), seq, 0).unwrap();
    let row = Row {
        available: 10,
        reserved: 0,
        version: 1,
        last_seq: 1,
        safety_stock: 0,
        backorder_limit: 0,
        retired: false,
    };
    view.load(&[(store(), ItemId::new("A").unwrap(), row)]).unwrap();
    view.finish().unwrap();
    views.switch(view);
}

fn movement(seq: u64, prev_seq: u64, kind: &str, available: i64) -> Fed {
    let movement = Movement {
        seq,
        at: "2026-11-24T13:05:00.250Z".to_owned(),
        kind: kind.to_owned(),
        store_id: "S1".to_owned(),
        item_id: "A".to_owned(),
        qty: 1,
        available,
        reserved: 0,
        on_hand: available,
        version: seq,
        prev_seq,
        hold_id: None,
        order_id: None,
        transfer_id: None,
        event_id: None,
        safety_stock: None,
        backorder_limit: None,
        actor: None,
        reason: None,
        reference: None,
    };
    Fed { seq, at_ms: 7, movement: Some(Box::new(movement)) }
}

/// Movements 2 to `last`, each of one unit sold.
fn sales(last: u64) -> Vec<Fed> {
    (2..=last).map(|seq| movement(seq, seq - 1, "SOLD", 11 - i64::try_from(seq).unwrap())).collect()
}

fn all(_: &StoreId) -> u64 {
    u64::MAX
}

fn entries(view: &Generation, after: u64) -> Option<Vec<u64>> {
    match view.entries(&store(), after, 10_000, usize::MAX).unwrap() {
        Entries::Next(entries) => Some(entries.iter().map(|entry| entry.seq).collect()),
        Entries::Missed => None,
    }
}

fn row(view: &Generation) -> Option<Row> {
    view.row(&store(), &ItemId::new("A").unwrap()).unwrap().0
}

#[test]
fn records_change_rows_and_wait_to_be_delivered() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    let written = view.write(&sales(4), OUTBOX, all).unwrap();
    assert_eq!(written.stores, [(store(), 4)]);
    assert_eq!(row(&view).map(|row| (row.available, row.last_seq)), Some((7, 4)));
    assert_eq!(
        (entries(&view, 1), entries(&view, 3), entries(&view, 4)),
        (Some(vec![2, 3, 4]), Some(vec![4]), Some(vec![]))
    );
    assert_eq!(entries(&view, 0), None, "movements before the snapshot are not kept");
    assert_eq!((view.mark().seq, view.mark().at_ms), (4, 7));
}

#[test]
fn what_is_in_the_view_already_is_passed_over() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    view.write(&sales(4), OUTBOX, all).unwrap();
    view.write(&sales(6), OUTBOX, all).unwrap();
    assert_eq!((row(&view).map(|row| row.available), entries(&view, 4)), (Some(5), Some(vec![5, 6])));
}

#[test]
fn a_record_that_does_not_follow_changes_nothing() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    for unfit in [
        vec![movement(3, 1, "SOLD", 9)],
        vec![movement(2, 0, "SOLD", 9)],
        vec![movement(2, 1, "SOLD", 9), movement(3, 1, "SOLD", 8)],
    ] {
        assert!(matches!(view.write(&unfit, OUTBOX, all), Err(ViewError::Unfit(_))), "{unfit:?}");
        assert_eq!((view.seq(), row(&view).unwrap().available, entries(&view, 1)), (1, 10, Some(vec![])));
    }
}

#[test]
fn a_row_goes_with_its_second_retirement_and_can_come_again() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    view.write(&[movement(2, 1, "RETIRED", 10)], OUTBOX, all).unwrap();
    assert!(row(&view).unwrap().retired);
    view.write(&[movement(3, 2, "RETIRED", 0)], OUTBOX, all).unwrap();
    assert_eq!((row(&view), view.mark().rows), (None, 0));
    view.write(&[movement(4, 0, "CREATED", 5)], OUTBOX, all).unwrap();
    assert!(row(&view).is_some_and(|row| !row.retired && row.available == 5));
}

#[test]
fn a_policy_stays_until_the_next_one() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    let mut policy = movement(2, 1, "POLICY", 10);
    let said = policy.movement.as_mut().unwrap();
    (said.safety_stock, said.backorder_limit) = (Some(3), Some(4));
    view.write(&[policy, movement(3, 2, "SOLD", 9)], OUTBOX, all).unwrap();
    assert_eq!(row(&view).map(|row| (row.safety_stock, row.backorder_limit)), Some((3, 4)));
}

#[test]
fn delivered_movements_are_cut_and_those_that_wait_only_beyond_the_limit() {
    let outbox = Outbox { keep: 10, max: 400 };
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    let mut upto = 1;
    let mut write = |count: u64, delivered: u64| {
        let next: Vec<Fed> = (upto + 1..=upto + count).map(|seq| movement(seq, seq - 1, "SOLD", 0)).collect();
        upto += count;
        view.write(&next, outbox, |_| delivered).unwrap();
    };
    write(300, 0);
    write(1, 0);
    assert_eq!(entries(&view, 1).map(|found| found.len()), Some(301), "all of them wait");
    write(1, 101);
    assert_eq!((entries(&view, 100), entries(&view, 101).map(|found| found[0])), (None, Some(102)));
    write(300, 101);
    assert_eq!(entries(&view, 101), None, "there is a limit to waiting");
    let kept = entries(&view, 203).unwrap();
    assert_eq!((kept.len(), kept[0]), (400, 204));
}

#[test]
fn a_view_that_is_opened_again_stands_where_it_stood() {
    let (dir, views) = view_at(1);
    let view = views.current().unwrap();
    view.write(&sales(5), OUTBOX, all).unwrap();
    view.set_position(subscription(1), Position::At(3)).unwrap();
    let mark = view.mark();
    drop((view, views));
    let (views, notes) = Views::open(dir.path()).unwrap();
    let view = views.current().unwrap();
    assert_eq!((notes, view.mark()), (vec![], mark));
    assert_eq!(view.position(subscription(1)).unwrap(), Some(Position::At(3)));
    assert_eq!(view.position(subscription(2)).unwrap(), None);
    view.write(&sales(7), OUTBOX, all).unwrap();
    assert_eq!(entries(&view, 3), Some(vec![4, 5, 6, 7]));
}

#[test]
fn a_view_whose_building_was_interrupted_is_removed_and_the_one_before_it_used() {
    let (dir, views) = view_at(1);
    let unfinished = views.begin(epoch(), 9, 0).unwrap();
    drop((unfinished, views));
    let (views, notes) = Views::open(dir.path()).unwrap();
    assert_eq!(views.current().unwrap().seq(), 1);
    assert!(notes.len() == 1 && notes[0].contains("interrupted"), "{notes:?}");
    assert!(!dir.path().join("view-2").exists());
}

#[test]
fn a_view_that_was_replaced_goes_with_its_last_reader() {
    let (dir, views) = view_at(1);
    let reader = views.current().unwrap();
    build(&views, 5);
    assert_eq!((views.current().unwrap().seq(), row(&reader).unwrap().available), (5, 10));
    assert!(dir.path().join("view-1").exists());
    drop(reader);
    assert!(!dir.path().join("view-1").exists());
}

#[test]
fn a_row_that_is_not_as_it_was_written_is_noticed() {
    let (dir, views) = view_at(1);
    let view = views.current().unwrap();
    let key = record::row_key(&store(), &ItemId::new("A").unwrap());
    let mut other = row(&view).unwrap();
    other.available += 1;
    view.tree().insert(key, record::encode(&other)).unwrap();
    drop((view, views));
    let (views, notes) = Views::open(dir.path()).unwrap();
    assert!(views.current().is_none());
    assert!(notes.len() == 1 && notes[0].contains("checksum"), "{notes:?}");
    assert!(dir.path().join("view-1.damaged-1").exists());
}

#[test]
fn a_movement_that_is_missing_is_noticed() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    view.write(&sales(6), OUTBOX, all).unwrap();
    view.tree().remove(record::entry_key(&store(), 4)).unwrap();
    assert_eq!((entries(&view, 2), entries(&view, 4)), (None, Some(vec![5, 6])));
    view.tree().remove(record::entry_key(&store(), 6)).unwrap();
    assert_eq!(entries(&view, 5), None);
}

/// What is left of a damaged view is a state that it was in, or nothing.
fn assert_whole_or_gone(dir: &TempDir, what: &str) {
    let (views, notes) = Views::open(dir.path()).unwrap();
    match views.current() {
        Some(view) => {
            let seq = view.seq();
            let row = row(&view).unwrap();
            assert_eq!((row.last_seq, row.available), (seq, 11 - i64::try_from(seq).unwrap()), "{what}");
            let kept = entries(&view, 1);
            assert!(kept.is_none_or(|kept| kept == (2..=seq).collect::<Vec<_>>()), "{what}");
        }
        None => {
            assert!(!notes.is_empty(), "{what}");
            build(&views, 3);
            assert_eq!(views.current().unwrap().seq(), 3);
        }
    }
}

#[test]
fn a_database_that_was_cut_or_overwritten_is_whole_or_gone() {
    for round in 0..40_u64 {
        let random = &mut fastrand::Rng::with_seed(round);
        let (dir, views) = view_at(1);
        let view = views.current().unwrap();
        for upto in 2..40 {
            view.write(&sales(upto), OUTBOX, all).unwrap();
            if upto % 8 == 0 {
                view.flush().unwrap();
            }
        }
        drop((view, views));
        let file = dir.path().join("view-1").join("db");
        let mut bytes = std::fs::read(&file).unwrap();
        let used = bytes.iter().rposition(|&byte| byte != 0).unwrap();
        let place = random.usize(..used);
        match round % 4 {
            0 => bytes.truncate(place),
            1 => bytes[place] ^= 1 << random.u8(..8),
            2 => bytes[place..used].fill(0),
            _ => bytes[place..used].fill_with(|| random.u8(..)),
        }
        std::fs::write(&file, bytes).unwrap();
        assert_whole_or_gone(&dir, &format!("round {round}, byte {place} of {used}"));
    }
}

#[test]
fn a_database_that_is_none_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("view-4"), b"a file").unwrap();
    let (views, notes) = Views::open(dir.path()).unwrap();
    assert!(views.current().is_none());
    assert!(notes.len() == 1 && notes[0].contains("view-4.damaged-1"), "{notes:?}");
    build(&views, 3);
    drop(views);
    assert_eq!(Views::open(dir.path()).unwrap().0.current().unwrap().seq(), 3);
}

#[test]
fn a_view_that_another_process_uses_is_left_alone() {
    let (dir, views) = view_at(1);
    let error = Views::open(dir.path()).map(|_| ()).unwrap_err();
    assert!(error.contains("cannot be opened"), "{error}");
    assert_eq!(row(&views.current().unwrap()).unwrap().available, 10);
}

#[test]
fn pages_of_rows_follow_each_other() {
    let (_dir, views) = view_at(1);
    let view = views.current().unwrap();
    let row = row(&view).unwrap();
    let items = ["B", "C", "C+", "D"].map(|name| (store(), ItemId::new(name).unwrap(), row.clone()));
    view.load(&items).unwrap();
    let other = (StoreId::new("S10").unwrap(), ItemId::new("A").unwrap(), row);
    view.load(&[other]).unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = view.rows(&store(), after.as_ref(), 2).unwrap();
        found.extend(page.rows.into_iter().map(|(item, _)| item));
        match page.next {
            Some(next) => after = Some(ItemId::new(next).unwrap()),
            None => break,
        }
    }
    assert_eq!(found, ["A", "B", "C", "C+", "D"]);
}
