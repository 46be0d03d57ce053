//! What random sequences are too short for: sums beyond 64 bits, states of many pages, snapshots of many chunks.

use holdfast_model::{
    Applied, ClusterTime, Command, ConfigChange, DeadLetterId, Direction, Entry, HoldId, HoldStatus,
    Inventory, ItemId, Key, LetterAction, LetterBody, Line, MAX_TOTAL, OrderAction, OrderId, Outcome,
    PaymentOutcome, Quantity, Refusal, Reply, Request, Setting, StoreId, TransferId, fingerprint,
};
use uuid::Uuid;

/// Full rows whose sum is 2,048 less than 2^64.
const FULL_ROWS: u64 = 2048;

/// The longest chunk of a snapshot that is accepted here, in bytes.
const MAX_CHUNK_BYTES: usize = 256 << 10;

fn store(number: u64) -> StoreId {
    StoreId::new(format!("S{number}")).expect("a store")
}

fn item(number: u64) -> ItemId {
    ItemId::new(format!("item-{number}")).expect("an item")
}

fn hold(number: u64) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn transfer(number: u64) -> TransferId {
    TransferId::from_uuid(Uuid::from_u128(u128::from(number)))
}

fn line(store_number: u64, item_number: u64, units: u64) -> Line {
    let qty = Quantity::new(units).expect("a quantity");
    Line { store: store(store_number), item: item(item_number), qty }
}

fn create(store_number: u64, item_number: u64, opening: u64) -> Command {
    Command::CreateSku { store: store(store_number), item: item(item_number), opening }
}

fn reserve(id: u64, lines: Vec<Line>, ttl_ms: Option<u64>) -> Command {
    Command::Reserve { hold: hold(id), lines, ttl_ms, allow_partial: false, owner: None }
}

fn configure(setting: Setting, value: u64) -> Command {
    Command::Configure { changes: vec![ConfigChange { setting, value }] }
}

/// Applies commands as one entry, each under a key of its own.
fn apply(inventory: &mut Inventory, stamp: u64, commands: impl IntoIterator<Item = Command>) -> Applied {
    let requests = commands.into_iter().zip(1_u64..).map(|(command, number)| {
        let key = Key::new("limits", None, &format!("{stamp}-{number}"), fingerprint(&command));
        Request { command, key: Some(key), actor: None }
    });
    let entry = Entry { stamp: ClusterTime(stamp), utc_offset_ms: None, requests: requests.collect() };
    let applied = inventory.apply(&entry);
    assert_eq!(inventory.freeze().audit().violations, vec![]);
    applied
}

fn only(applied: &Applied) -> &Reply {
    match &applied.replies[..] {
        [reply] => reply,
        other => panic!("one reply, got {other:?}"),
    }
}

fn status_of(inventory: &Inventory, id: u64) -> HoldStatus {
    inventory.hold(hold(id)).expect("the hold is remembered").status
}

#[test]
fn a_hold_ends_when_nothing_is_reserved_whatever_its_units_add_up_to() {
    let mut inventory = Inventory::new();
    let rows = FULL_ROWS + 1;
    let last = FULL_ROWS;
    let limit = configure(Setting::MaxHoldLines, 10_000);
    let rows = [limit].into_iter().chain((0..rows).map(|number| create(1, number, MAX_TOTAL)));
    apply(&mut inventory, 1, rows);
    // One unit more than a multiple of 2^64.
    let full = (0..FULL_ROWS).map(|number| line(1, number, MAX_TOTAL));
    let lines: Vec<Line> = full.chain([line(1, last, FULL_ROWS + 1)]).collect();
    assert!(only(&apply(&mut inventory, 2, [reserve(1, lines, None)])).result.is_ok());

    // What stays reserved comes to exactly 2^64.
    let one = Some(vec![line(1, last, 1)]);
    apply(&mut inventory, 3, [Command::Confirm { hold: hold(1), lines: one, reacquire: false }]);
    assert_eq!(status_of(&inventory, 1), HoldStatus::Held);
    apply(&mut inventory, 4, [Command::Release { hold: hold(1), lines: None, reason: None }]);
    assert_eq!(status_of(&inventory, 1), HoldStatus::Confirmed);
}

#[test]
fn a_row_may_be_sent_more_than_any_number_can_say() {
    let mut inventory = Inventory::new();
    apply(&mut inventory, 1, (0..=FULL_ROWS).map(|number| create(number, 7, MAX_TOTAL)));
    apply(&mut inventory, 2, [create(9999, 7, 0)]);
    let send = |number: u64| Command::Transfer {
        transfer: transfer(number),
        item: item(7),
        from: store(number),
        to: store(9999),
        qty: Quantity::new(MAX_TOTAL).expect("the largest"),
        at_once: false,
        reason: None,
        reference: None,
    };
    let applied = apply(&mut inventory, 3, (0..=FULL_ROWS).map(send));
    assert!(applied.replies.iter().all(|reply| reply.result.is_ok()));

    let remove = Command::RetireSku { store: store(9999), item: item(7), remove: true };
    for again in [false, true] {
        let applied = apply(&mut inventory, 4, [remove.clone()]);
        let reply = only(&applied);
        assert_eq!(reply.replayed, again);
        let Err(Refusal::NotEmpty { in_transit, .. }) = reply.result else {
            panic!("refused, got {reply:?}")
        };
        assert!(in_transit >= MAX_TOTAL, "as much as a number can say, got {in_transit}");
    }
    // The first arrival fills the row, and the second finds no room.
    let arrive = |number| Command::ReceiveTransfer { transfer: transfer(number), qty: None };
    let replies = apply(&mut inventory, 5, [arrive(0), arrive(1)]).replies;
    assert!(replies[0].result.is_ok());
    assert!(matches!(replies[1].result, Err(Refusal::QuantityOutOfRange { .. })), "{:?}", replies[1]);
}

#[test]
fn an_item_may_lose_no_more_than_the_largest_total() {
    let mut inventory = Inventory::new();
    apply(&mut inventory, 1, [create(1, 7, MAX_TOTAL), create(2, 7, 0), create(3, 7, 1)]);
    let send = |number, from, units| Command::Transfer {
        transfer: transfer(number),
        item: item(7),
        from: store(from),
        to: store(2),
        qty: Quantity::new(units).expect("a quantity"),
        at_once: false,
        reason: None,
        reference: None,
    };
    let close = |number| Command::CloseTransfer {
        transfer: transfer(number),
        reason: "lost".parse().expect("a reason"),
    };
    let applied = apply(&mut inventory, 2, [send(1, 1, MAX_TOTAL), close(1), send(2, 3, 1), close(2)]);
    let is_ok: Vec<bool> = applied.replies.iter().map(|reply| reply.result.is_ok()).collect();
    assert_eq!(is_ok, [true, true, true, false]);
}

/// A state of several pages and chunks: rows, open and ended holds, transfers, keys.
fn large() -> Inventory {
    let mut inventory = Inventory::new();
    let rows = 3000;
    apply(&mut inventory, 1, (0..rows).map(|number| create(number % 3, number / 3, 100)));
    let one_line =
        (0..rows).map(|number| reserve(number, vec![line(number % 3, number / 3, 2)], Some(60_000)));
    apply(&mut inventory, 2, one_line);
    let many_lines = (0..20).map(|number| {
        let lines = (0..300).map(|item| line(number % 3, item, 1));
        reserve(rows + number, lines.collect(), None)
    });
    apply(&mut inventory, 3, many_lines);
    let confirm = |number| Command::Confirm { hold: hold(number), lines: None, reacquire: false };
    apply(&mut inventory, 4, (0..rows / 2).map(confirm));
    let send = (0..600).map(|number| Command::Transfer {
        transfer: transfer(number),
        item: item(number),
        from: store(0),
        to: store(1),
        qty: Quantity::new(3).expect("a quantity"),
        at_once: number % 2 == 0,
        reason: None,
        reference: None,
    });
    apply(&mut inventory, 5, send);
    apply(&mut inventory, 6, (0..900).flat_map(order_commands));
    let letters = (1..20_u64).map(|number| Command::DeadLetter {
        letter: DeadLetterId::from_uuid(Uuid::from_u128(u128::from(number))),
        action: LetterAction::Keep {
            store: store(1),
            direction: Direction::ToStore,
            reason: "lost".parse().expect("a reason"),
            body: LetterBody::new(vec![7; usize::try_from(number).expect("a few") * 11_000]),
        },
    });
    let applied = apply(&mut inventory, 7, letters);
    assert!(applied.replies.iter().all(|reply| reply.result.is_ok()));
    inventory
}

/// An order, and what becomes of every third of them: paid twice.
fn order_commands(number: u64) -> Vec<Command> {
    let order = OrderId::from_uuid(Uuid::from_u128(u128::from(number)));
    let (lines, ttl_ms) = (vec![line(number % 3, number, 1)], Some(60_000));
    let (owner, reference) = (None, "customer".parse().ok());
    let place = OrderAction::Place { hold: hold(10_000 + number), lines, ttl_ms, owner, reference };
    let pay = |payment: &str| OrderAction::Pay {
        payment: payment.parse().expect("a payment"),
        outcome: PaymentOutcome::Succeeded,
        amount: None,
        reacquire: false,
    };
    let actions = if number.is_multiple_of(3) { vec![place, pay("p1"), pay("p2")] } else { vec![place] };
    actions.into_iter().map(|action| Command::Order { order, action }).collect()
}

#[test]
fn a_large_state_comes_back_from_chunks_of_bounded_size() {
    let mut live = large();
    let frozen = live.freeze();
    let chunks: Vec<Vec<u8>> = frozen.chunks().collect();
    assert!(chunks.len() > 10, "enough for several chunks, got {}", chunks.len());
    let longest = chunks.iter().map(Vec::len).max().unwrap_or_default();
    assert!(longest <= MAX_CHUNK_BYTES, "the longest chunk has {longest} bytes");
    assert_eq!((live.stats().orders_placed, live.stats().refunds_due), (600, 300));
    let mut restored = Inventory::restore(chunks.iter().cloned()).expect("a whole snapshot is read");
    assert_eq!(restored.digest(), live.digest());

    // Every hold that is due ends, page after page, in both alike; the frozen state stays as it was.
    let settings = [configure(Setting::ExpiriesPerEntry, 5000)];
    assert_eq!(apply(&mut live, 8, settings.clone()), apply(&mut restored, 8, settings));
    assert_eq!(apply(&mut live, 70_000, []), apply(&mut restored, 70_000, []));
    assert_eq!(restored.digest(), live.digest());
    assert_eq!(live.stats().holds_open, 20);
    assert!(frozen.chunks().eq(chunks));
}

#[test]
fn a_ledger_of_a_large_state_replays() {
    let mut inventory = Inventory::new();
    let mut replay = holdfast_model::Replay::default();
    let mut ledger = Vec::new();
    ledger.extend(apply(&mut inventory, 1, (0..2000).map(|number| create(1, number, 5))).records);
    let holds = (0..2000).map(|number| reserve(number, vec![line(1, number, 5)], Some(1000)));
    ledger.extend(apply(&mut inventory, 2, holds).records);
    let settings = configure(Setting::ExpiriesPerEntry, 700);
    ledger.extend(apply(&mut inventory, 3, [settings]).records);
    for _ in 0..3 {
        ledger.extend(apply(&mut inventory, 2000, []).records);
    }
    for record in &ledger {
        replay.apply(record).expect("every record follows from those before it");
    }
    assert_eq!(ledger.len(), 6000);
    assert_eq!(replay.stock_digest(), inventory.digest().stock);
    let audit = inventory.freeze().audit_with(&replay);
    assert_eq!((audit.rows, audit.holds, audit.movements), (2000, 2000, 6000));
    assert_eq!(audit.violations, vec![]);
}

#[test]
fn the_end_of_time_is_a_time() {
    let mut inventory = Inventory::new();
    apply(&mut inventory, 1, [create(1, 1, 5)]);
    let entry = Entry { stamp: ClusterTime(u64::MAX), utc_offset_ms: Some(i64::MAX), requests: Vec::new() };
    inventory.apply(&entry);
    // A hold that is made then is over at once: nothing comes after.
    let replies = apply(&mut inventory, 5, [reserve(1, vec![line(1, 1, 5)], Some(1000))]).replies;
    let Ok(Outcome::Hold(made)) = &replies[0].result else { panic!("a hold, got {replies:?}") };
    assert_eq!(made.expires_at, Some(ClusterTime(u64::MAX)));
    let confirm = Command::Confirm { hold: hold(1), lines: None, reacquire: false };
    let refusal = only(&apply(&mut inventory, 6, [confirm])).result.clone();
    assert_eq!(refusal, Err(Refusal::HoldExpired { hold: hold(1) }));
}
