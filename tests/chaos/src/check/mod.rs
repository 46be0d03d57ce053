//! Whether a history is one that a correct cluster can have: against its ledger, by a search for an order, by what its
//! reads saw, and by what its feed delivered. Each file checks one thing, and none knows how the load was made.

mod feed;
mod ledger;
mod linear;
mod reads;

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

use crate::history::{End, Event};
use crate::op::Op;

pub use ledger::Effects;

/// Violations of one kind that are told one by one; the rest is counted.
const MOST_TOLD: usize = 20;

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it was about to be sent, in nanoseconds of the history.
    pub called: u64,
    /// When its answer had been read, or it was given up; none while it is under way.
    pub ended: Option<u64>,
    /// The shelf.
    pub shelf: u64,
    /// The node.
    pub node: usize,
    /// The node's life at the call, when it was the same at the end.
    pub life: Option<u64>,
    /// What was asked.
    pub op: Op,
    /// What became of it; unknown while it is under way.
    pub end: End,
}

impl AsRef<Self> for Call {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// What a check has found.
#[derive(Debug, Default)]
pub struct Report {
    /// What cannot be, in words.
    pub violations: Vec<String>,
    told: BTreeMap<&'static str, usize>,
    /// Calls that were answered.
    pub answered: usize,
    /// Calls of which it is not known whether they were carried out.
    pub unknown: usize,
    /// Calls that were certainly not carried out.
    pub not_done: usize,
    /// Records of the ledger.
    pub records: usize,
    /// Shelves for whose calls an order was found.
    pub linearizable: usize,
    /// Shelves for which the search was given up.
    pub undecided: usize,
    /// Reads that were compared with the ledger.
    pub reads: usize,
    /// Records that the feed delivered.
    pub delivered: usize,
}

impl Report {
    /// Notes something that cannot be.
    pub fn violation(&mut self, kind: &'static str, detail: impl fmt::Display) {
        let told = self.told.entry(kind).or_default();
        *told += 1;
        if *told <= MOST_TOLD {
            self.violations.push(format!("{kind}: {detail}"));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} answered, {} unknown, {} not done; {} records, {} shelves linearizable, {} undecided; {} reads, {} delivered",
            self.answered,
            self.unknown,
            self.not_done,
            self.records,
            self.linearizable,
            self.undecided,
            self.reads,
            self.delivered
        )
    }
}

/// Checks a history against the ledger that the cluster ended with.
#[must_use]
pub fn check(events: &[Event], ledger: &[Value]) -> Report {
    let mut report = Report::default();
    let calls = calls(events, &mut report);
    let effects = ledger::check(&calls, ledger, &mut report);
    reads::check(&calls, &effects, &mut report);
    linear::check(&calls, &mut report);
    feed::check(events, ledger, &mut report);
    for (kind, told) in &report.told {
        if *told > MOST_TOLD {
            report.violations.push(format!("{kind}: {} more", told - MOST_TOLD));
        }
    }
    report
}

/// The calls of a history, in the order in which they began.
fn calls(events: &[Event], report: &mut Report) -> Vec<Call> {
    let mut calls = BTreeMap::new();
    for event in events {
        match event {
            Event::Call { at, call, shelf, node, life, op } => {
                let begun = Call {
                    called: *at,
                    ended: None,
                    shelf: *shelf,
                    node: *node,
                    life: Some(*life),
                    op: op.clone(),
                    end: End::Unknown,
                };
                if calls.insert(*call, begun).is_some() {
                    report.violation("history", format_args!("call {call} begins twice"));
                }
            }
            Event::End { at, call, life, end } => match calls.get_mut(call) {
                Some(begun) if begun.ended.is_none() => {
                    begun.ended = Some(*at);
                    begun.life = begun.life.filter(|at_call| at_call == life);
                    begun.end = end.clone();
                }
                _ => report.violation("history", format_args!("call {call} ends, but is not under way")),
            },
            Event::History { .. } | Event::Fault { .. } | Event::Feed { .. } | Event::FeedRefused { .. } => {}
        }
    }
    for (number, call) in &calls {
        match &call.end {
            End::Answered { .. } => report.answered += 1,
            End::Unknown => report.unknown += 1,
            End::NotDone(_) => report.not_done += 1,
            End::Senseless(answer) => {
                report.violation("answer", format_args!("call {number}, {:?}: {answer}", call.op));
            }
        }
    }
    let mut calls: Vec<Call> = calls.into_values().collect();
    calls.sort_by_key(|call| call.called);
    calls
}
