//! What reads of rows saw: a state that was, no older than what their consistency allows, and none that had not come yet.

use std::collections::HashMap;

use super::{Call, Effects, Report};
use crate::history::End;
use crate::op::{Op, Reply, RowSeen};

/// When a read began and ended, and what its node had applied.
type Seen = (u64, u64, u64);

/// Checks every read of a row.
pub fn check(calls: &[Call], effects: &Effects, report: &mut Report) {
    let acknowledged = Acknowledged::of(calls, effects);
    let mut locals: HashMap<(usize, u64), Vec<Seen>> = HashMap::new();
    for call in calls {
        let (Op::ReadRow { item, local }, End::Answered { answer, applied_seq }) = (&call.op, &call.end)
        else {
            continue;
        };
        report.reads += 1;
        if let Reply::Row(seen) = &answer.reply {
            check_was(call, *item, seen, effects, report);
        }
        let ended = call.ended.unwrap_or(u64::MAX);
        if *local {
            if let Some(life) = call.life {
                locals.entry((call.node, life)).or_default().push((call.called, ended, *applied_seq));
            }
        } else if let Some(missing) = acknowledged.last_before(call.called).filter(|seq| seq > applied_seq) {
            let what =
                format_args!("{call:?} was answered at {applied_seq}, after {missing} had been acknowledged");
            report.violation("stale read", what);
        }
    }
    for ((node, _), reads) in locals {
        check_monotone(node, reads, report);
    }
}

/// The row was like that once, and not after the answer.
fn check_was(call: &Call, item: usize, seen: &RowSeen, effects: &Effects, report: &mut Report) {
    let versions = effects.rows.get(&(call.shelf, item));
    let place = usize::try_from(seen.version).ok().and_then(|version| version.checked_sub(1));
    let was = versions.and_then(|versions| versions.get(place?));
    let is_so = was.is_some_and(|was| {
        (was.seq, was.available, was.reserved) == (seen.last_seq, seen.available, seen.reserved)
    });
    if !is_so {
        report.violation("read", format_args!("the ledger has {was:?} for {call:?}"));
    }
}

/// When movements were acknowledged.
struct Acknowledged {
    /// By time: the highest sequence that was acknowledged up to then.
    highest: Vec<(u64, u64)>,
}

impl Acknowledged {
    fn of(calls: &[Call], effects: &Effects) -> Self {
        let mut ends: Vec<(u64, u64)> = calls
            .iter()
            .filter_map(|call| match &call.end {
                End::Answered { answer, .. }
                    if !matches!(answer.reply, Reply::Refused(_) | Reply::Short(_)) =>
                {
                    Some((call.ended?, *effects.done.get(&(call.shelf, call.op.clone()))?))
                }
                _ => None,
            })
            .collect();
        ends.sort_unstable();
        let mut highest = 0;
        for (_, seq) in &mut ends {
            highest = highest.max(*seq);
            *seq = highest;
        }
        Self { highest: ends }
    }

    fn last_before(&self, at: u64) -> Option<u64> {
        let count = self.highest.partition_point(|(ended, _)| *ended < at);
        count.checked_sub(1).map(|last| self.highest[last].1)
    }
}

/// One node never goes back while it runs.
fn check_monotone(node: usize, mut reads: Vec<Seen>, report: &mut Report) {
    reads.sort_unstable();
    let mut ended: Vec<(u64, u64)> = reads.iter().map(|(_, ended, applied)| (*ended, *applied)).collect();
    ended.sort_unstable();
    let (mut next, mut highest) = (0, 0);
    for (called, _, applied) in reads {
        while next < ended.len() && ended[next].0 < called {
            highest = highest.max(ended[next].1);
            next += 1;
        }
        if applied < highest {
            let what = format_args!("node {} showed {applied} after {highest}, at {called} ns", node + 1);
            report.violation("back in time", what);
        }
    }
}
