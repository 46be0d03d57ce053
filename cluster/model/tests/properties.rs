//! Long random sequences of commands, held against a naive model and the six invariants after every entry.
//!
//! How long a property takes is set by its number of cases: `PROPTEST_CASES` raises all of them together.

mod invariants;
mod naive;
mod sequence;

use std::collections::BTreeSet;

use holdfast_model::{
    Applied, DeadLetterId, Entry, Inventory, OrderStatus, OrderView, Page, Record, Reply, RowKey, StoreId,
    SubscriptionId, codec,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use invariants::Witness;
use naive::Naive;
use sequence::{Scale, Step, Writer, rows, steps};

/// Steps of the longest sequences.
const LONG: usize = 100;

/// Sequences of each scale that are looked through for what they reach.
const SEQUENCES: usize = 400;

/// Cases of a property: so many times the usual number, or what `PROPTEST_CASES` says.
fn cases(times: u32) -> Config {
    let usual = Config::default();
    Config {
        cases: usual.cases.saturating_mul(times),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..usual
    }
}

/// The entries of steps, written against a state that applies them, with what they did.
fn play(steps: &[Step]) -> Vec<(Entry, Applied)> {
    let (mut inventory, mut writer, mut ledger) = (Inventory::new(), Writer::default(), Vec::new());
    let mut played = Vec::new();
    for step in steps {
        let entry = writer.entry(step, &inventory, &ledger);
        let applied = inventory.apply(&entry);
        ledger.extend(applied.movements().cloned());
        played.push((entry, applied));
    }
    played
}

/// Plays steps on the model and on the naive one; all that can be seen of them must be the same after every entry.
fn compare(steps: &[Step]) {
    let (mut real, mut naive) = (Inventory::new(), Naive::new());
    let (mut writer, mut witness) = (Writer::default(), Witness::default());
    for step in steps {
        let entry = writer.entry(step, &real, witness.ledger());
        let applied = real.apply(&entry);
        let expected = naive.apply(&entry);
        assert_eq!(applied.replies, expected.replies, "replies to {entry:#?}");
        assert_eq!(applied.records, expected.records, "records of {entry:#?}");
        assert_eq!(applied.trim_before, expected.trim_before, "what is dropped by {entry:#?}");
        compare_views(&real, &naive, &writer);
        compare_pages(&real, &naive);
        witness.look(&real, &entry, &applied);
    }
}

fn compare_views(real: &Inventory, naive: &Naive, writer: &Writer) {
    for row in rows() {
        assert_eq!(real.row(&row.store, &row.item), naive.row_view(&row), "row {row:?}");
    }
    for hold in writer.holds() {
        assert_eq!(real.hold(hold), naive.hold_view(hold), "hold {hold}");
    }
    for transfer in writer.transfers() {
        assert_eq!(real.transfer(transfer), naive.transfer_view(transfer), "transfer {transfer}");
    }
    for order in writer.orders() {
        assert_eq!(real.order(order), naive.order_view(order), "order {order}");
    }
    for number in 0..=5_u128 {
        let uuid = uuid::Uuid::from_u128(number);
        let (subscription, letter) = (SubscriptionId::from_uuid(uuid), DeadLetterId::from_uuid(uuid));
        assert_eq!(real.subscription(subscription), naive.subscription_view(subscription), "{subscription}");
        assert_eq!(real.dead_letter(letter), naive.letter_view(letter), "{letter}");
    }
    assert_eq!(real.stats(), naive.stats());
    assert_eq!(real.config(), naive.config());
    assert_eq!(real.now(), naive.now());
    assert_eq!(real.utc_offset_ms(), naive.utc_offset_ms());
    assert_eq!(real.next_deadline(), naive.next_deadline());
    assert_eq!(real.last_seq(), naive.last_seq());
    assert_eq!(real.ledger_start(), naive.ledger_start());
    assert_eq!(real.model_version(), naive.model_version());
}

/// Lists read two at a time hold rows and orders in the order in which they came.
fn compare_pages(real: &Inventory, naive: &Naive) {
    let names = rows();
    for RowKey { store, .. } in &names {
        let listed = in_pages(|after| real.rows_of_store(store, after, 2));
        assert_eq!(listed, naive.row_views(|row| row.store == *store), "rows of {store}");
    }
    for RowKey { item, .. } in &names {
        let listed = in_pages(|after| real.rows_of_item(item, after, 2));
        assert_eq!(listed, naive.row_views(|row| row.item == *item), "rows of {item}");
    }
    for status in [None].into_iter().chain(OrderStatus::ALL.map(Some)) {
        let listed: Vec<OrderView> = in_pages(|after| real.orders(status, after, 2));
        let is_wanted = |one: OrderStatus| status.is_none_or(|status| status == one);
        assert_eq!(listed, naive.order_views(|order| is_wanted(order.status)), "orders {status:?}");
    }
    let stores: Vec<StoreId> = names.into_iter().map(|row| row.store).collect();
    for store in [None].into_iter().chain(stores.iter().map(Some)) {
        let listed = in_pages(|after| real.subscriptions(store, after, 2));
        assert_eq!(listed, naive.subscription_views(store), "subscriptions of {store:?}");
        let listed = in_pages(|after| real.dead_letters(store, after, 2));
        assert_eq!(listed, naive.letter_views(store), "dead letters of {store:?}");
    }
    let owed = in_pages(|after| real.orders_with_refund_due(after, 2));
    assert_eq!(owed, naive.order_views(naive::Order::is_refund_due), "orders with a refund due");
}

fn in_pages<T>(page: impl Fn(Option<u64>) -> Page<T>) -> Vec<T> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let next = page(after);
        rows.extend(next.items);
        after = next.next;
        if after.is_none() {
            return rows;
        }
    }
}

/// The state after a snapshot was written and read.
fn through_snapshot(inventory: &Inventory) -> Inventory {
    Inventory::restore(inventory.freeze().chunks()).expect("a whole snapshot is read")
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn the_naive_model_and_the_invariants_agree(steps in steps(Scale::Small, LONG)) {
        compare(&steps);
    }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn the_naive_model_and_the_invariants_agree_at_the_largest_numbers(steps in steps(Scale::Extreme, LONG)) {
        compare(&steps);
    }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn two_runs_of_a_sequence_are_alike(steps in steps(Scale::Small, 60)) {
        let (mut one, mut other) = (Inventory::new(), Inventory::new());
        for (entry, applied) in play(&steps) {
            let sent: Entry = codec::decode(&codec::encode(&entry)).expect("an entry is read back");
            prop_assert_eq!(&sent, &entry);
            prop_assert_eq!(&one.apply(&entry), &applied);
            prop_assert_eq!(&other.apply(&sent), &applied);
            prop_assert_eq!(one.digest(), other.digest());
        }
    }

    #[test]
    fn a_state_that_went_through_a_snapshot_goes_on_alike(
        steps in steps(Scale::Small, 60),
        cuts in proptest::collection::vec(prop::bool::weighted(0.2), 61),
    ) {
        let (mut live, mut restored) = (Inventory::new(), Inventory::new());
        for ((entry, applied), cut) in play(&steps).into_iter().zip(cuts) {
            if cut {
                restored = through_snapshot(&restored);
            }
            prop_assert_eq!(&live.apply(&entry), &applied);
            prop_assert_eq!(&restored.apply(&entry), &applied);
            prop_assert_eq!(live.digest(), restored.digest());
        }
        prop_assert_eq!(through_snapshot(&live).digest(), live.digest());
    }

    #[test]
    fn a_frozen_state_does_not_see_what_comes_after(
        steps in steps(Scale::Small, 60),
        at in any::<prop::sample::Index>(),
    ) {
        let played = play(&steps);
        let (before, after) = played.split_at(at.index(played.len()));
        let mut live = Inventory::new();
        before.iter().for_each(|(entry, _)| {
            live.apply(entry);
        });
        let (frozen, digest) = (live.freeze(), live.digest());
        let chunks: Vec<Vec<u8>> = frozen.chunks().collect();
        after.iter().for_each(|(entry, _)| {
            live.apply(entry);
        });
        prop_assert_eq!(frozen.digest(), digest);
        prop_assert!(frozen.chunks().eq(chunks.iter().cloned()));
        prop_assert_eq!(frozen.audit().violations, vec![]);
        let mut restored = Inventory::restore(chunks.into_iter()).expect("a whole snapshot is read");
        for (entry, applied) in after {
            prop_assert_eq!(&restored.apply(entry), applied);
        }
        prop_assert_eq!(restored.digest(), live.digest());
    }

    #[test]
    fn a_damaged_snapshot_is_never_taken_for_another_state(
        steps in steps(Scale::Small, 30),
        chunk in any::<prop::sample::Index>(),
        byte in any::<prop::sample::Index>(),
        flip in 1..=u8::MAX,
    ) {
        let mut live = Inventory::new();
        play(&steps).iter().for_each(|(entry, _)| {
            live.apply(entry);
        });
        let mut chunks: Vec<Vec<u8>> = live.freeze().chunks().collect();
        let chunk = chunk.index(chunks.len());
        let missing = chunks.iter().enumerate().filter(|(place, _)| *place != chunk);
        prop_assert!(Inventory::restore(missing.map(|(_, bytes)| bytes.clone())).is_err());
        let byte = byte.index(chunks[chunk].len());
        chunks[chunk][byte] ^= flip;
        if let Ok(restored) = Inventory::restore(chunks.into_iter()) {
            prop_assert_eq!(restored.digest(), live.digest());
        }
    }

    #[test]
    fn damaged_entries_are_refused_or_applied_but_never_panic(
        steps in steps(Scale::Extreme, 20),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut inventory = Inventory::new();
        for (entry, _) in play(&steps) {
            let mut bytes = codec::encode(&entry);
            for (place, flip) in &flips {
                let place = place.index(bytes.len());
                bytes[place] ^= flip;
            }
            let entry = codec::decode::<Entry>(&bytes).unwrap_or(entry);
            let applied = inventory.apply(&entry);
            prop_assert_eq!(applied.replies.len(), entry.requests.len());
            prop_assert_eq!(inventory.freeze().audit().violations, vec![]);
        }
    }

    #[test]
    fn no_bytes_make_the_codec_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut record = vec![codec::FORMAT];
        record.extend(bytes);
        if let Ok(entry) = codec::decode::<Entry>(&record) {
            Inventory::new().apply(&entry);
        }
    }
}

/// The first word of how a value is written: the name of its kind.
fn kind_of(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// What a record tells, in a word or two.
fn kind_of_record(record: &Record) -> String {
    match record {
        Record::Movement(movement) => kind_of(&movement.kind),
        Record::Order(event) => format!("order {}", kind_of(&event.kind)),
    }
}

/// What a reply is, in two words.
fn name_of(reply: &Reply) -> String {
    let (is, kind) = match &reply.result {
        Ok(outcome) => ("ok", kind_of(outcome)),
        Err(refusal) => ("refused", kind_of(refusal)),
    };
    if reply.replayed { format!("again {is} {kind}") } else { format!("{is} {kind}") }
}

/// What a key can remember.
const REMEMBERED: &str = "
    ok Ticked, ok Row, ok Removed, ok Hold, ok Transfer, ok Order, ok Subscribed, ok Unsubscribed, ok DeadLetter,
    ok DeadLetterRemoved, ok Configured, ok Trimmed,
    refused UnknownItem, refused ItemRetired, refused SkuExists, refused InsufficientStock, refused UnknownHold,
    refused HoldExists, refused HoldExpired, refused HoldReleased, refused HoldConfirmed, refused ExceedsHold,
    refused NoLines, refused TooManyLines, refused TtlOutOfRange, refused QuantityOutOfRange, refused BelowZero,
    refused VersionConflict, refused CursorCompacted, refused SeqAhead, refused UnknownTransfer,
    refused TransferExists, refused OverReceipt, refused TransferConflict, refused SameStore, refused NotEmpty,
    refused HoldOfOrder, refused UnknownOrder, refused OrderExists, refused OrderConflict, refused UnknownPayment,
    refused PaymentExists, refused RefundNotDue, refused TooManyPayments,
    refused UnknownSubscription, refused SubscriptionExists, refused UnknownDeadLetter, refused DeadLetterExists,
    refused DeadLetterTooLarge, refused EventExists, refused EventTooOld, refused SettingOutOfRange, refused ModelVersion";

/// What is always a repeat, while there is one version of the rules.
const ALWAYS_A_REPEAT: &str = "again ok ModelVersion";

/// What only tells that nothing is remembered.
const NOT_REMEMBERED: &str =
    "refused KeyRequired, refused KeyReused, refused KeyTableFull, refused EventTableFull, refused SubscriptionsFull,
    refused DeadLettersFull";

const MOVEMENTS: &str =
    "Created, Reserved, Confirmed, Released, Expired, Extended, Sold, Received, Adjusted, Counted,
    TransferOut, TransferIn, Shortfall, Policy, Retired";

const ORDER_EVENTS: &str =
    "order Placed, order LinesReplaced, order Paid, order PaymentFailed, order Cancelled, order Expired,
    order RefundDue, order Refunded";

/// Sequences that never reach a refusal, a repeat or a movement would prove nothing about it.
#[test]
fn sequences_reach_every_outcome_refusal_and_movement() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeSet::new();
    for scale in [Scale::Small, Scale::Extreme] {
        let strategy = steps(scale, LONG);
        for _ in 0..SEQUENCES {
            let steps = strategy.new_tree(&mut runner).expect("a sequence").current();
            for (_, applied) in play(&steps) {
                reached.extend(applied.records.iter().map(kind_of_record));
                reached.extend(applied.replies.iter().map(name_of));
            }
        }
    }
    let words = |text: &str| text.split(',').map(|word| word.trim().to_owned()).collect::<Vec<_>>();
    let mut wanted =
        [REMEMBERED, ALWAYS_A_REPEAT, NOT_REMEMBERED, MOVEMENTS, ORDER_EVENTS].map(words).concat();
    wanted.extend(words(REMEMBERED).iter().map(|word| format!("again {word}")));
    let never: Vec<&String> = wanted.iter().filter(|word| !reached.contains(*word)).collect();
    assert!(never.is_empty(), "never reached: {never:#?}");
}
