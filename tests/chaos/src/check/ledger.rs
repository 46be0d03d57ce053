//! The ledger is the committed order. Replayed through the sequential model it must give the balances that it tells,
//! and hold what was acknowledged, once each, in an order that agrees with real time, and nothing else.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{Call, Report};
use crate::history::End;
use crate::op::{ITEMS, Op, Reply};
use crate::shelf::Shelf;
use crate::wire;

/// A row at one of its versions.
#[derive(Debug, Clone)]
pub struct Version {
    /// The movement that made it.
    pub seq: u64,
    /// Not held.
    pub available: i64,
    /// Held.
    pub reserved: u64,
}

/// What the ledger says was done.
#[derive(Debug, Default)]
pub struct Effects {
    /// The last record of each operation.
    pub done: HashMap<(u64, Op), u64>,
    /// Each row's versions, from 1.
    pub rows: HashMap<(u64, usize), Vec<Version>>,
    /// Shelves as they ended.
    pub shelves: BTreeMap<u64, Shelf>,
}

/// The records that one operation made.
struct Group<'a> {
    op: Op,
    shelf: u64,
    movements: Vec<&'a Value>,
    seq: u64,
}

/// What was asked, by the number that names it.
#[derive(Default)]
struct Asked<'a> {
    by_number: HashMap<u64, (u64, &'a Op)>,
}

/// Checks calls and ledger against each other; returns what was done.
pub fn check(calls: &[Call], ledger: &[Value], report: &mut Report) -> Effects {
    report.records = ledger.len();
    for (index, record) in ledger.iter().enumerate() {
        if record["seq"].as_u64() != Some(index as u64 + 1) {
            report.violation("ledger", format_args!("record {} has sequence {}", index + 1, record["seq"]));
            return Effects::default();
        }
    }
    let asked = Asked::of(calls);
    let mut effects = Effects::default();
    let mut rest = ledger;
    while let Some(first) = rest.first() {
        let length = group_length(rest);
        let (records, after) = rest.split_at(length);
        rest = after;
        match asked.group(records) {
            Ok(group) => effects.take(&group, report),
            Err(why) => report.violation("ledger", format_args!("{why}: {first}")),
        }
    }
    check_acknowledged(calls, &effects, report);
    check_real_time(calls, &effects, report);
    effects
}

/// Whether two records belong to the same act on the same hold.
fn go_together(one: &Value, next: &Value) -> bool {
    let is_hold = one["holdId"].is_string() && one["itemId"].is_string();
    let is_same = next["itemId"].is_string() && next["itemId"] != one["itemId"];
    is_hold && is_same && one["holdId"] == next["holdId"] && one["kind"] == next["kind"]
}

/// How many records the first operation made.
fn group_length(records: &[Value]) -> usize {
    let mut length = 1;
    while length < records.len() && length < 2 && go_together(&records[length - 1], &records[length]) {
        length += 1;
    }
    // What happened to an order comes right after its movements.
    let is_orders = records[0]["orderId"].is_string() && records[0]["itemId"].is_string();
    length + usize::from(is_orders && length < records.len())
}

impl<'a> Asked<'a> {
    fn of(calls: &'a [Call]) -> Self {
        let mut asked = Self::default();
        for call in calls {
            let (Op::Reserve { hold: number, .. }
            | Op::Place { order: number, .. }
            | Op::Adjust { key: number, .. }
            | Op::Sale { event: number, .. }
            | Op::Receive { event: number, .. }) = call.op
            else {
                continue;
            };
            asked.by_number.insert(number, (call.shelf, &call.op));
        }
        asked
    }

    /// The operation that made records.
    fn group(&self, records: &'a [Value]) -> Result<Group<'a>, String> {
        let (first, last) = (&records[0], &records[records.len() - 1]);
        let kind = first["kind"].as_str().unwrap_or_default();
        let movements: Vec<&Value> = records.iter().filter(|record| record["itemId"].is_string()).collect();
        let hold = first["holdId"].as_str().and_then(wire::number);
        let order = first["orderId"].as_str().and_then(wire::number);
        if order.is_some() && (last["itemId"].is_string() || last["orderId"] != first["orderId"]) {
            return Err("an order's movements are not followed by what happened to it".to_owned());
        }
        let payment = || last["paymentId"].as_str()?.strip_prefix('p')?.parse().ok();
        let op = match (kind, order, hold) {
            ("CREATED", ..) => Op::Create {
                item: item_of(first).ok_or("no such item")?,
                opening: first["qty"].as_u64().ok_or("no quantity")?,
            },
            ("RESERVED", Some(number), _) | ("RESERVED", None, Some(number)) => self.asked(number)?.clone(),
            ("CONFIRMED", None, Some(hold)) => Op::Confirm { hold },
            ("RELEASED", None, Some(hold)) => Op::Release { hold },
            ("EXPIRED", _, Some(hold)) => Op::Expire { hold },
            ("CONFIRMED" | "ORDER_REFUND_DUE", Some(order), _) => {
                Op::Pay { order, payment: payment().ok_or("no payment")? }
            }
            ("RELEASED", Some(order), _) => Op::Cancel { order },
            ("ADJUSTED" | "SOLD" | "RECEIVED", ..) => {
                let number = first["reference"].as_str().and_then(|text| text.parse().ok());
                self.asked(number.ok_or("no reference")?)?.clone()
            }
            _ => return Err("nobody asks for that".to_owned()),
        };
        let store = first["storeId"].as_str().and_then(|store| store.strip_prefix('S')?.parse().ok());
        let shelf = store.or_else(|| Some(self.by_number.get(&order?)?.0)).ok_or("no such shelf")?;
        Ok(Group { op, shelf, movements, seq: last["seq"].as_u64().unwrap_or_default() })
    }

    fn asked(&self, number: u64) -> Result<&'a Op, String> {
        let known = self.by_number.get(&number).map(|(_, op)| *op);
        known.ok_or_else(|| format!("{number} was never asked for"))
    }
}

fn item_of(record: &Value) -> Option<usize> {
    ITEMS.iter().position(|item| record["itemId"] == *item)
}

impl Effects {
    /// Carries out what the ledger says was done, and compares.
    fn take(&mut self, group: &Group<'_>, report: &mut Report) {
        let shelf = self.shelves.entry(group.shelf).or_default();
        let answer = shelf.apply(&group.op);
        if answer.repeated || matches!(answer.reply, Reply::Refused(_) | Reply::Short(_)) {
            let what =
                format_args!("at {} the model answers {:?} to {:?}", group.seq, answer.reply, group.op);
            report.violation("replay", what);
            return;
        }
        let (mut told, mut changed) = (Vec::new(), Vec::new());
        for movement in &group.movements {
            let Some(item) = item_of(movement) else { continue };
            let (available, reserved) = (movement["available"].as_i64(), movement["reserved"].as_u64());
            let version = Version {
                seq: movement["seq"].as_u64().unwrap_or_default(),
                available: available.unwrap_or_default(),
                reserved: reserved.unwrap_or_default(),
            };
            let versions = self.rows.entry((group.shelf, item)).or_default();
            let row = shelf.row(item).expect("the model carried it out");
            let is_told = (available, reserved) == (Some(row.available), Some(row.reserved))
                && movement["version"].as_u64() == Some(row.version)
                && movement["prevSeq"].as_u64() == Some(versions.last().map_or(0, |last| last.seq))
                && row.version == versions.len() as u64 + 1;
            if !is_told {
                report.violation("replay", format_args!("the model has {row:?} after {movement}"));
            }
            versions.push(version);
            told.push(item);
        }
        for item in 0..2 {
            let known = self.rows.get(&(group.shelf, item)).map_or(0, Vec::len) as u64;
            if shelf.row(item).is_some_and(|row| row.version > known) {
                changed.push(item);
            }
        }
        if !changed.is_empty() {
            let what =
                format_args!("{:?} at {} tells of rows {told:?} and not of {changed:?}", group.op, group.seq);
            report.violation("replay", what);
        }
        if self.done.insert((group.shelf, group.op.clone()), group.seq).is_some() {
            report.violation("replay", format_args!("{:?} was done again at {}", group.op, group.seq));
        }
    }
}

/// What was acknowledged is in the ledger, and what is in the ledger may have been done.
fn check_acknowledged(calls: &[Call], effects: &Effects, report: &mut Report) {
    let mut acknowledged: HashMap<(u64, &Op), u32> = HashMap::new();
    let mut possible: HashMap<(u64, &Op), bool> = HashMap::new();
    for call in calls.iter().filter(|call| !call.op.is_read()) {
        let key = (call.shelf, &call.op);
        let may_have = match &call.end {
            End::Answered { answer, .. } => {
                let is_done = !matches!(answer.reply, Reply::Refused(_) | Reply::Short(_));
                // What gives back or sells may repeat what another operation did.
                let is_own = !matches!(call.op, Op::Confirm { .. } | Op::Release { .. } | Op::Cancel { .. });
                if is_done && (is_own || !answer.repeated) {
                    *acknowledged.entry(key).or_default() += u32::from(!answer.repeated);
                }
                is_done
            }
            End::Unknown | End::Senseless(_) => true,
            End::NotDone(_) => false,
        };
        *possible.entry(key).or_default() |= may_have;
    }
    for ((shelf, op), times) in acknowledged {
        if !effects.done.contains_key(&(shelf, op.clone())) {
            report.violation("lost", format_args!("{op:?} of shelf {shelf} was acknowledged"));
        }
        if times > 1 {
            report.violation(
                "twice",
                format_args!("{op:?} of shelf {shelf} was acknowledged as new {times} times"),
            );
        }
    }
    for ((shelf, op), seq) in &effects.done {
        let is_possible = matches!(op, Op::Expire { .. }) || possible.get(&(*shelf, op)) == Some(&true);
        if !is_possible {
            let what = format_args!(
                "{op:?} of shelf {shelf} at {seq}, but every call was said not to have been done"
            );
            report.violation("uncalled", what);
        }
    }
}

/// What ended before something else began comes before it in the ledger, whatever rows the two are of.
fn check_real_time(calls: &[Call], effects: &Effects, report: &mut Report) {
    let mut spans: HashMap<(u64, &Op), (u64, Option<u64>)> = HashMap::new();
    for call in calls.iter().filter(|call| !call.op.is_read() && !matches!(call.end, End::NotDone(_))) {
        let span = spans.entry((call.shelf, &call.op)).or_insert((call.called, None));
        if let End::Answered { answer, .. } = &call.end
            && !matches!(answer.reply, Reply::Refused(_) | Reply::Short(_))
        {
            // Whoever was told has it behind him, whichever of the calls did it.
            span.1 = span.1.into_iter().chain(call.ended).min();
        }
    }
    let done = spans.iter().filter_map(|(&(shelf, op), span)| {
        effects.done.get(&(shelf, op.clone())).map(|seq| (*seq, *span, op))
    });
    let mut done: Vec<_> = done.collect();
    done.sort_by_key(|(seq, ..)| *seq);
    let mut latest: Option<(u64, u64, &Op)> = None;
    for (seq, (called, ended), op) in done {
        if let Some((late, before, other)) = latest
            && ended.is_some_and(|ended| ended < late)
        {
            let what =
                format_args!("{op:?} at {seq} had been answered before {other:?} at {before} was asked for");
            report.violation("real time", what);
        }
        if latest.is_none_or(|(late, ..)| called > late) {
            latest = Some((called, seq, op));
        }
    }
}
