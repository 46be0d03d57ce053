//! Strategies for commands, one for each kind of thing.

use holdfast_model::{
    Amount, Command, ConfigChange, CountBasis, DeadLetterId, Description, Direction, Event, EventId, ItemId,
    LetterAction, LetterBody, Line, MAX_TOTAL, OrderAction, Owner, PaymentId, PaymentOutcome, Quantity,
    Reason, ReceiptKind, Reference, Secret, Seq, Setting, StoreId, SubscriptionAction, SubscriptionId,
    UtcMillis,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{AHEAD, ITEMS, STORES, Scale, hold, order, transfer};

/// Any command of the model. Its parts are boxed: drawn commands of every kind at once would not fit a test's stack.
pub fn command(scale: Scale) -> BoxedStrategy<Command> {
    prop_oneof![
        9 => reserve(scale),
        9 => hold_action(scale),
        4 => place(scale),
        8 => order_action(scale),
        12 => row_command(scale),
        6 => transfer_command(scale),
        5 => life(scale),
        2 => subscription(),
        3 => dead_letter(),
        3 => admin(scale),
    ]
    .boxed()
}

/// The first store more often than the last, so that much happens to the same rows.
fn store() -> impl Strategy<Value = StoreId> {
    let place = prop_oneof![3 => Just(0_usize), 2 => Just(1), 1 => Just(2)];
    place.prop_map(|place| StoreId::new(STORES[place]).expect("a store"))
}

fn item() -> impl Strategy<Value = ItemId> {
    let place = prop_oneof![2 => Just(0_usize), 1 => Just(1)];
    place.prop_map(|place| ItemId::new(ITEMS[place]).expect("an item"))
}

fn reason() -> impl Strategy<Value = Reason> {
    select(&["broken", "found"][..]).prop_map(|text| Reason::new(text).expect("a reason"))
}

fn reference() -> impl Strategy<Value = Option<Reference>> {
    option::weighted(0.2, Just(Reference::new("note 7").expect("a reference")))
}

/// Small numbers mostly; at the other scale also those around the largest total, and any other.
fn units(scale: Scale, least: u64, most: u64) -> BoxedStrategy<u64> {
    match scale {
        Scale::Small => (least..=most).boxed(),
        Scale::Extreme => prop_oneof![
            4 => least..=most,
            2 => MAX_TOTAL - 3..=MAX_TOTAL,
            1 => MAX_TOTAL / 2..=MAX_TOTAL,
            1 => any::<u64>(),
        ]
        .boxed(),
    }
}

fn quantity(scale: Scale) -> impl Strategy<Value = Quantity> {
    let units = units(scale, 1, 4);
    units.prop_map(|units| Quantity::new(units.clamp(1, MAX_TOTAL)).expect("within the range"))
}

fn ttl(scale: Scale) -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => select(&[5_000_u64, 10_000, 20_000][..]),
        8 => (1..=30_u64).prop_map(|seconds| seconds * 1000),
        1 => Just(0),
        1 => units(scale, 1, 5_000_000_000),
    ]
}

fn line(scale: Scale) -> impl Strategy<Value = Line> {
    (store(), item(), quantity(scale)).prop_map(|(store, item, qty)| Line { store, item, qty })
}

fn lines(scale: Scale) -> impl Strategy<Value = Vec<Line>> {
    prop_oneof![20 => vec(line(scale), 1..=3), 1 => vec(line(scale), 0..=8)]
}

fn owner() -> impl Strategy<Value = Option<Owner>> {
    option::weighted(0.2, Just(Owner::new("cart").expect("an owner")))
}

fn reserve(scale: Scale) -> BoxedStrategy<Command> {
    let id = prop_oneof![5 => Just(0_u128), 1 => 1..=4_u128];
    let ttl = option::weighted(0.8, ttl(scale));
    (id, lines(scale), ttl, any::<bool>(), owner())
        .prop_map(|(id, lines, ttl_ms, allow_partial, owner)| Command::Reserve {
            hold: hold(id),
            lines,
            ttl_ms,
            allow_partial,
            owner,
        })
        .boxed()
}

fn hold_action(scale: Scale) -> BoxedStrategy<Command> {
    let id = || prop_oneof![6 => 1..=4_u128, 2 => Just(0), 2 => 1..=60_u128].prop_map(hold);
    let part = || option::weighted(0.4, prop_oneof![15 => vec(line(scale), 1..=2), 1 => Just(vec![])]);
    prop_oneof![
        3 => (id(), part(), any::<bool>())
            .prop_map(|(hold, lines, reacquire)| Command::Confirm { hold, lines, reacquire }),
        2 => (id(), part(), option::of(reason()))
            .prop_map(|(hold, lines, reason)| Command::Release { hold, lines, reason }),
        1 => (id(), ttl(scale)).prop_map(|(hold, ttl_ms)| Command::Extend { hold, ttl_ms }),
    ]
    .boxed()
}

fn place(scale: Scale) -> BoxedStrategy<Command> {
    let id = prop_oneof![6 => Just(0_u128), 1 => 1..=4_u128].prop_map(order);
    let terms = (option::weighted(0.8, ttl(scale)), owner(), reference());
    (id, new_hold(), lines(scale), terms)
        .prop_map(|(order, hold, lines, (ttl_ms, owner, reference))| Command::Order {
            order,
            action: OrderAction::Place { hold, lines, ttl_ms, owner, reference },
        })
        .boxed()
}

/// A new hold mostly, or one that is there already.
fn new_hold() -> impl Strategy<Value = holdfast_model::HoldId> {
    prop_oneof![9 => Just(0_u128), 1 => 1..=4_u128].prop_map(hold)
}

fn order_action(scale: Scale) -> BoxedStrategy<Command> {
    let id = prop_oneof![8 => 1..=4_u128, 1 => Just(0), 1 => 1..=40_u128].prop_map(order);
    let payment = || (0..3_u8).prop_map(|number| PaymentId::new(format!("p{number}")).expect("a payment"));
    let outcome = prop_oneof![3 => Just(PaymentOutcome::Succeeded), 2 => Just(PaymentOutcome::Failed)];
    let euros = (1..=2_u64).prop_map(|cents| Amount::new(cents, "EUR".parse().expect("a currency")).ok());
    let amount = prop_oneof![4 => Just(None), 1 => euros];
    let action = prop_oneof![
        5 => (payment(), outcome, amount, any::<bool>()).prop_map(|(payment, outcome, amount, reacquire)| {
            OrderAction::Pay { payment, outcome, amount, reacquire }
        }),
        3 => (new_hold(), lines(scale)).prop_map(|(hold, lines)| OrderAction::ReplaceLines { hold, lines }),
        1 => option::of(reason()).prop_map(|reason| OrderAction::Cancel { reason }),
        2 => payment().prop_map(|payment| OrderAction::Refund { payment }),
    ];
    (id, action).prop_map(|(order, action)| Command::Order { order, action }).boxed()
}

fn subscription() -> BoxedStrategy<Command> {
    let id = (1..=4_u128).prop_map(|id| SubscriptionId::from_uuid(uuid::Uuid::from_u128(id)));
    let url = select(&["http://a/hook", "https://b"][..]).prop_map(|url| url.parse().expect("a URL"));
    let secret = select(&["AAAA", "BBBB", "CCCC"][..])
        .prop_map(|text| format!("whsec_{}", text.repeat(8)).parse::<Secret>().expect("a secret"));
    let url = prop_oneof![9 => Just("http://a/hook".parse().expect("a URL")), 1 => url];
    let description = option::weighted(0.1, Just(Description::new("till").expect("a description")));
    let subscribe = (store(), url, secret, description).prop_map(|(store, url, secret, description)| {
        SubscriptionAction::Subscribe { store, url, secret, description }
    });
    let action = prop_oneof![4 => subscribe, 1 => Just(SubscriptionAction::Unsubscribe)];
    (id, action).prop_map(|(subscription, action)| Command::Subscription { subscription, action }).boxed()
}

fn dead_letter() -> BoxedStrategy<Command> {
    let id = (1..=4_u128).prop_map(|id| DeadLetterId::from_uuid(uuid::Uuid::from_u128(id)));
    let length = prop_oneof![6 => Just(3_usize), 1 => Just(0), 1 => 20..=70_usize];
    let direction = prop_oneof![4 => Just(Direction::ToStore), 1 => Just(Direction::FromStore)];
    let keep = (store(), direction, reason(), length).prop_map(|(store, direction, reason, length)| {
        LetterAction::Keep { store, direction, reason, body: LetterBody::new(vec![7; length]) }
    });
    let action = prop_oneof![4 => keep, 2 => Just(LetterAction::Requeue), 2 => Just(LetterAction::Remove)];
    (id, action).prop_map(|(letter, action)| Command::DeadLetter { letter, action }).boxed()
}

fn event() -> impl Strategy<Value = Option<Event>> {
    let id = (0..8_u8).prop_map(|number| EventId::new(format!("e{number}")).expect("an event"));
    let event = (id, prop_oneof![6 => -2_000..0_i64, 1 => -200_000..200_000_i64]);
    option::weighted(
        0.4,
        event.prop_map(|(id, occurred_at)| Event { id, occurred_at: UtcMillis(occurred_at) }),
    )
}

fn version(scale: Scale) -> impl Strategy<Value = Option<u64>> {
    let ahead = match scale {
        Scale::Small => prop_oneof![4 => Just(0_u64), 1 => 1..=2_u64].boxed(),
        Scale::Extreme => prop_oneof![4 => Just(0_u64), 1 => any::<u64>()].boxed(),
    };
    option::weighted(0.3, ahead)
}

fn delta(scale: Scale) -> BoxedStrategy<i64> {
    match scale {
        Scale::Small => (-4..=5_i64).boxed(),
        Scale::Extreme => prop_oneof![
            4 => -4..=5_i64,
            2 => units(scale, 1, 4).prop_map(u64::cast_signed),
            1 => Just(i64::MIN),
            1 => any::<i64>(),
        ]
        .boxed(),
    }
}

fn basis(scale: Scale) -> impl Strategy<Value = Option<CountBasis>> {
    let seq = prop_oneof![8 => 0..=30_u64, 2 => Just(AHEAD), 1 => 0..=500_u64].prop_map(Seq);
    let on_hand = match scale {
        Scale::Small => Just(None).boxed(),
        Scale::Extreme => option::weighted(0.3, any::<i64>()).boxed(),
    };
    option::weighted(0.5, (seq, on_hand).prop_map(|(seq, on_hand)| CountBasis { seq, on_hand }))
}

/// Corrections and facts.
fn row_command(scale: Scale) -> BoxedStrategy<Command> {
    let adjust = (store(), item(), delta(scale), reason(), reference(), version(scale)).prop_map(
        |(store, item, delta, reason, reference, expected_version)| Command::Adjust {
            store,
            item,
            delta,
            reason,
            reference,
            expected_version,
        },
    );
    let counted = prop_oneof![1 => Just(0), 3 => units(scale, 0, 8)];
    let count = (store(), item(), counted, basis(scale), option::of(reason()), reference(), event())
        .prop_map(|(store, item, counted, as_of, reason, reference, event)| Command::Count {
            store,
            item,
            counted,
            as_of,
            reason,
            reference,
            event,
        });
    let fact = (store(), item(), quantity(scale), option::of(reason()), reference(), event());
    let sale = fact.prop_map(|(store, item, qty, reason, reference, event)| Command::RecordSale {
        store,
        item,
        qty,
        reason,
        reference,
        event,
    });
    let fact = (store(), item(), quantity(scale), option::of(reason()), reference(), event(), any::<bool>());
    let receive = fact.prop_map(|(store, item, qty, reason, reference, event, is_return)| {
        let kind = if is_return { ReceiptKind::Return } else { ReceiptKind::Delivery };
        Command::Receive { store, item, qty, kind, reason, reference, event }
    });
    prop_oneof![2 => adjust, 2 => count, 1 => sale, 3 => receive].boxed()
}

fn transfer_command(scale: Scale) -> BoxedStrategy<Command> {
    let new = prop_oneof![8 => Just(0_u128), 1 => 1..=4_u128].prop_map(transfer);
    // From one store to the next or the one after, seldom to itself.
    let stores = (0..STORES.len(), prop_oneof![8 => 1..=2_usize, 1 => Just(0)]);
    let stores = stores.prop_map(|(from, on)| {
        [from, (from + on) % STORES.len()].map(|place| StoreId::new(STORES[place]).expect("a store"))
    });
    let send = (new, item(), stores, quantity(scale), any::<bool>(), option::of(reason()), reference())
        .prop_map(|(transfer, item, [from, to], qty, at_once, reason, reference)| Command::Transfer {
            transfer,
            item,
            from,
            to,
            qty,
            at_once,
            reason,
            reference,
        });
    let id = || prop_oneof![6 => 1..=3_u128, 2 => Just(0), 1 => 1..=30_u128].prop_map(transfer);
    prop_oneof![
        4 => send,
        3 => (id(), option::of(quantity(scale)))
            .prop_map(|(transfer, qty)| Command::ReceiveTransfer { transfer, qty }),
        1 => (id(), reason()).prop_map(|(transfer, reason)| Command::CloseTransfer { transfer, reason }),
        1 => (id(), option::of(reason()))
            .prop_map(|(transfer, reason)| Command::CancelTransfer { transfer, reason }),
    ]
    .boxed()
}

/// How a row comes, what is set on it, and how it goes.
fn life(scale: Scale) -> BoxedStrategy<Command> {
    let limit = move || option::of(prop_oneof![1 => Just(0), 1 => units(scale, 0, 3)]);
    let policy = (store(), item(), limit(), limit(), version(scale)).prop_map(
        |(store, item, safety_stock, backorder_limit, expected_version)| Command::SetPolicy {
            store,
            item,
            safety_stock,
            backorder_limit,
            expected_version,
        },
    );
    prop_oneof![
        3 => (store(), item(), units(scale, 0, 6))
            .prop_map(|(store, item, opening)| Command::CreateSku { store, item, opening }),
        3 => policy,
        4 => (store(), item(), prop_oneof![1 => Just(false), 4 => Just(true)])
            .prop_map(|(store, item, remove)| Command::RetireSku { store, item, remove }),
    ]
    .boxed()
}

fn admin(scale: Scale) -> BoxedStrategy<Command> {
    let before = prop_oneof![3 => 0..=40_u64, 1 => Just(AHEAD)].prop_map(Seq);
    prop_oneof![
        2 => Just(Command::Tick),
        3 => vec(change(scale), 0..=2).prop_map(|changes| Command::Configure { changes }),
        1 => before.prop_map(|before| Command::TrimLedger { before }),
        1 => (0..=2_u32).prop_map(|to| Command::RaiseModelVersion { to }),
    ]
    .boxed()
}

fn change(scale: Scale) -> impl Strategy<Value = ConfigChange> {
    let within = |setting: Setting| match setting {
        Setting::KeyWindowMs | Setting::EventWindowMs | Setting::EndedWindowMs => 60_000..=90_000_u64,
        Setting::KeyTableCapBytes | Setting::EventTableCapBytes => 64..=2_560_u64,
        Setting::ExpiriesPerEntry => 1..=3_u64,
        Setting::MaxHoldLines => 1..=6_u64,
        Setting::MaxTtlMs => 5_000..=40_000_u64,
        Setting::MaxOrderPayments | Setting::MaxSubscriptions | Setting::MaxDeadLetters => 1..=3_u64,
        Setting::DeadLetterCapBytes => 1_024..=1_700_u64,
        Setting::MaxDeadLetterBytes => 1..=60_u64,
    };
    let outside = units(scale, 0, 59_999);
    let setting = select(&Setting::ALL[..]);
    (setting, any::<proptest::sample::Index>(), outside, prop::bool::weighted(0.1)).prop_map(
        move |(setting, index, outside, is_outside)| {
            let (least, most) = within(setting).into_inner();
            let size = usize::try_from(most - least + 1).expect("a small range");
            let inside = least + index.index(size) as u64;
            let inside = if setting.name().ends_with("Ms") { inside / 1000 * 1000 } else { inside };
            ConfigChange { setting, value: if is_outside { outside } else { inside } }
        },
    )
}
