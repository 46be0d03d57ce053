//! What readers of the feed were given, from whichever nodes: the ledger, in order, each record once.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Report;
use crate::consumer::hash;
use crate::history::Event;

/// Consumers whose names begin with this want records of one kind alone: the rest of the name.
pub const ONLY: &str = "only ";

/// What a node may say to a reader whose cursor it cannot serve now.
const EXCUSES: [&str; 5] = ["no_leader", "ledger_rebuilding", "stopped", "overloaded", "slow_reader"];

/// Checks every consumer.
pub fn check(events: &[Event], ledger: &[Value], report: &mut Report) {
    let hashes: Vec<u64> = ledger.iter().map(hash).collect();
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for event in events {
        match event {
            Event::Feed { consumer, node, records } => {
                let at = last.entry(consumer).or_default();
                for (seq, hash) in records {
                    report.delivered += 1;
                    let expected = next(ledger, *at, consumer.strip_prefix(ONLY));
                    if expected != Some(*seq) && broken.insert((consumer, *seq)) {
                        let what = format_args!(
                            "{consumer} was given {seq} after {at} by node {}, and not {expected:?}",
                            node + 1
                        );
                        report.violation("feed order", what);
                    }
                    let place = usize::try_from(*seq).ok().and_then(|seq| seq.checked_sub(1));
                    if place.and_then(|place| hashes.get(place)) != Some(hash) {
                        let what = format_args!("{consumer} was given another {seq} by node {}", node + 1);
                        report.violation("feed content", what);
                    }
                    *at = *seq;
                }
            }
            Event::FeedRefused { consumer, node, code } if !EXCUSES.contains(&code.as_str()) => {
                let what = format_args!("node {} told {consumer} {code} at its own cursor", node + 1);
                report.violation("feed refused", what);
            }
            Event::FeedRefused { .. }
            | Event::History { .. }
            | Event::Call { .. }
            | Event::End { .. }
            | Event::Fault { .. } => {}
        }
    }
}

/// The record that must come after `at`.
fn next(ledger: &[Value], at: u64, kind: Option<&str>) -> Option<u64> {
    let from = usize::try_from(at).ok()?;
    let wanted = |record: &&Value| kind.is_none_or(|kind| record["kind"] == kind);
    ledger.get(from..)?.iter().find(wanted)?["seq"].as_u64()
}
