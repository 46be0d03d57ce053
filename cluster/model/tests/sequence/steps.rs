//! Strategies for steps: how many commands travel together, how time goes, what is sent again.

use holdfast_model::{Actor, Command, ConfigChange, ItemId, Setting, StoreId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::commands::command;
use super::{Draft, ITEMS, KeyDraft, STORES, Step, Twist};

/// How large the numbers of a sequence are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// A few units: rows run empty, holds run out, totals stay small.
    Small,
    /// Up to the largest that each type can say.
    Extreme,
}

/// Up to `most` steps after a beginning that sets small limits and makes all rows but one.
pub fn steps(scale: Scale, most: usize) -> impl Strategy<Value = Vec<Step>> {
    (beginning(), vec(step(scale), 1..=most)).prop_map(|(first, rest)| {
        let mut steps = vec![first];
        steps.extend(rest);
        steps
    })
}

fn beginning() -> impl Strategy<Value = Step> {
    let expiries = prop_oneof![3 => Just(1_u64), 1 => 2..=3_u64];
    let limits = (expiries, 2..=6_u64, 4..=40_u64, 60..=75_u64);
    (limits, vec(0..=12_u64, STORES.len() * ITEMS.len() - 1)).prop_map(|(limits, openings)| {
        let (expiries, lines, records, seconds) = limits;
        let window = seconds * 1000;
        let set = |setting, value| ConfigChange { setting, value };
        let changes = vec![
            set(Setting::ExpiriesPerEntry, expiries),
            set(Setting::MaxHoldLines, lines),
            set(Setting::MaxOrderPayments, lines / 2),
            set(Setting::MaxSubscriptions, lines / 2),
            set(Setting::MaxDeadLetters, lines / 2),
            set(Setting::DeadLetterCapBytes, 1024 + 20 * records),
            set(Setting::MaxDeadLetterBytes, records),
            set(Setting::KeyTableCapBytes, records * 64),
            set(Setting::EventTableCapBytes, records.div_ceil(2) * 64),
            set(Setting::KeyWindowMs, window),
            set(Setting::EndedWindowMs, window),
            set(Setting::EventWindowMs, window),
        ];
        let mut commands = vec![Command::Configure { changes }];
        let rows = STORES.iter().flat_map(|store| ITEMS.iter().map(move |item| (store, item)));
        commands.extend(rows.zip(openings).map(|((store, item), opening)| Command::CreateSku {
            store: StoreId::new(store).expect("a store"),
            item: ItemId::new(item).expect("an item"),
            opening,
        }));
        let draft = |command| Draft::New { command, key: None, is_generated: false, actor: None };
        Step { passes_ms: 0, utc_offset_ms: None, drafts: commands.into_iter().map(draft).collect() }
    })
}

fn step(scale: Scale) -> impl Strategy<Value = Step> {
    let offset = match scale {
        Scale::Small => (-100_000..100_000_i64).boxed(),
        Scale::Extreme => any::<i64>().boxed(),
    };
    let offset = prop_oneof![9 => Just(None), 1 => offset.prop_map(Some)];
    (passes(scale), offset, vec(draft(scale), 0..=4)).prop_map(|(passes_ms, utc_offset_ms, drafts)| Step {
        passes_ms,
        utc_offset_ms,
        drafts,
    })
}

/// Whole seconds at the small scale, so that deadlines and windows are met exactly.
fn passes(scale: Scale) -> BoxedStrategy<i64> {
    let usual = prop_oneof![
        9 => Just(0),
        4 => (1..=4_i64).prop_map(|seconds| seconds * 1000),
        4 => (5..=30_i64).prop_map(|seconds| seconds * 1000),
        2 => (-20..0_i64).prop_map(|seconds| seconds * 1000),
        1 => (60..=200_i64).prop_map(|seconds| seconds * 1000),
    ];
    match scale {
        Scale::Small => usual.boxed(),
        Scale::Extreme => prop_oneof![40 => usual, 2 => 1..5_000_i64, 1 => any::<i64>()].boxed(),
    }
}

fn draft(scale: Scale) -> BoxedStrategy<Draft> {
    let key = prop_oneof![
        6 => Just(None),
        1 => (0..12_u8).prop_map(|number| Some(KeyDraft::Number(number))),
        2 => Just(Some(KeyDraft::New)),
    ];
    let actor = option::of(Just(Actor::new("anna").expect("an actor")));
    let parts_need = prop_oneof![8 => Just(Some(KeyDraft::New)), 1 => Just(None)];
    let new = (command(scale), key, parts_need, any::<bool>(), actor).prop_map(
        |(command, key, part_key, is_generated, actor)| {
            let key = key.or(part_key.filter(|_| is_part(&command)));
            Draft::New { command, key, is_generated, actor }
        },
    );
    let back = prop_oneof![2 => 0..3_usize, 1 => 0..12_usize];
    let twist = select(&[Twist::Owner, Twist::Time, Twist::Flag][..]);
    let almost = (0..4_usize, twist).prop_map(|(back, twist)| Draft::Almost { back, twist });
    prop_oneof![15 => new, 3 => back.prop_map(|back| Draft::Again { back }), 1 => almost].boxed()
}

/// A part of a hold or transfer, which needs a key.
fn is_part(command: &Command) -> bool {
    match command {
        Command::Confirm { lines, .. } | Command::Release { lines, .. } => lines.is_some(),
        Command::ReceiveTransfer { qty, .. } => qty.is_some(),
        _ => false,
    }
}
