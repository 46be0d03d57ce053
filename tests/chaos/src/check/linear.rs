//! Per shelf, an order of all calls that a single thread could have carried out, and that agrees with real time: the
//! search of `todc-utils` (Wing and Gong, with Lowe's memory of states), which sees no ledger.
//!
//! A call of unknown outcome stays open for ever: ordered last, it is as if it had not been done. So does the end of a
//! hold, which begins when its time is over at the earliest. An answer that says that it repeats may repeat what the same
//! call did: a node that passes it on asks again when a connection breaks.

use std::cell::Cell;
use std::collections::BTreeMap;

use todc_utils::linearizability::WGLChecker;
use todc_utils::specifications::Specification;
use todc_utils::{Action, History};

use super::{Call, Report};
use crate::history::End;
use crate::op::{Answer, Op};
use crate::shelf::Shelf;

/// Steps after which a search is given up, so that no history takes for ever.
const MOST_STEPS: u32 = 100_000;

/// Cluster time is whole milliseconds: a hold may end by one of them early. In nanoseconds.
const TIME_STEP: u64 = 1_000_000;

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

/// A shelf for the search.
struct Sequential;

/// An operation, with its answer where one came.
type Told = (Op, Option<Answer>);

impl Specification for Sequential {
    type State = Shelf;
    type Operation = Told;

    fn init() -> Shelf {
        Shelf::default()
    }

    fn apply((op, answer): &Told, shelf: &Shelf) -> (bool, Shelf) {
        let steps = STEPS.get().saturating_add(1);
        STEPS.set(steps);
        let mut next = shelf.clone();
        let expected = next.apply(op);
        let agrees = answer.as_ref().is_none_or(|answer| answer.agrees(&expected, shelf));
        (agrees && steps <= MOST_STEPS, next)
    }
}

/// Checks every shelf.
pub fn check(calls: &[Call], report: &mut Report) {
    let mut shelves: BTreeMap<u64, Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| !call.op.is_local()) {
        shelves.entry(call.shelf).or_default().push(call);
    }
    for (shelf, calls) in shelves {
        match search(&calls) {
            Some(true) => report.linearizable += 1,
            None => report.undecided += 1,
            Some(false) => {
                let answered = answered(&calls);
                let fault = answered.partition_point(|&upto| search(&as_of(&calls, upto)) != Some(false));
                let culprit =
                    answered.get(fault).and_then(|&at| calls.iter().find(|call| call.ended == Some(at)));
                let what = format_args!("shelf {shelf}, no order explains the answer to {culprit:?}");
                report.violation("not linearizable", what);
            }
        }
    }
}

/// Whether there is an order; none when the search was given up.
fn search(calls: &[impl AsRef<Call>]) -> Option<bool> {
    let actions = actions(calls);
    STEPS.set(0);
    let is_found =
        actions.is_empty() || WGLChecker::<Sequential>::is_linearizable(History::from_actions(actions));
    if is_found || STEPS.get() <= MOST_STEPS { Some(is_found) } else { None }
}

/// When answers came.
fn answered(calls: &[&Call]) -> Vec<u64> {
    let is_answered = |call: &&&Call| matches!(call.end, End::Answered { .. });
    let mut answered: Vec<u64> = calls.iter().filter(is_answered).filter_map(|call| call.ended).collect();
    answered.sort_unstable();
    answered
}

/// The calls as they were known at a time.
fn as_of(calls: &[&Call], at: u64) -> Vec<Call> {
    let begun = calls.iter().filter(|call| call.called <= at);
    let known = begun.map(|&call| {
        let is_over = call.ended.is_some_and(|ended| ended <= at);
        let end = if is_over { call.end.clone() } else { End::Unknown };
        Call { end, ..call.clone() }
    });
    known.collect()
}

/// Calls and answers in the order of time. Each call is a process of its own: an unknown one never ends.
fn actions(calls: &[impl AsRef<Call>]) -> Vec<(usize, Action<Told>)> {
    let mut timed: Vec<(u64, usize, Action<Told>)> = Vec::new();
    let mut add = |process: usize, called: u64, ended: Option<u64>, told: Told| {
        timed.push((called, process, Action::Call((told.0.clone(), None))));
        timed.push((ended.unwrap_or(u64::MAX), process, Action::Response(told)));
    };
    let mut ends = BTreeMap::new();
    let mut processes = 0..;
    let mut next = || processes.next().expect("there is always another number");
    for call in calls.iter().map(AsRef::as_ref) {
        match &call.end {
            End::Answered { answer, .. } => {
                if answer.repeated {
                    add(next(), call.called, call.ended, (call.op.clone(), None));
                }
                add(next(), call.called, call.ended, (call.op.clone(), Some(answer.clone())));
            }
            End::Unknown if !call.op.is_read() => add(next(), call.called, None, (call.op.clone(), None)),
            End::Unknown | End::NotDone(_) | End::Senseless(_) => continue,
        }
        if let Some((hold, seconds)) = call.op.makes_ending_hold() {
            let over = call.called + (seconds * 1_000_000_000 - TIME_STEP);
            let end = ends.entry(hold).or_insert(over);
            *end = over.min(*end);
        }
    }
    for (hold, over) in ends {
        add(next(), over, None, (Op::Expire { hold }, None));
    }
    timed.sort_by_key(|(at, ..)| *at);
    timed.into_iter().map(|(_, process, action)| (process, action)).collect()
}
