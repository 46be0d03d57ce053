//! The simulator is proven: each planted bug is found, by a check that is meant for it, within so many seeds.
#![cfg(feature = "planted-bugs")]

use std::sync::atomic::{AtomicUsize, Ordering};

use holdfast_model::planted::{Bug, plant};
use holdfast_simulation::{Outcome, run};
use parking_lot::Mutex;

/// A bug that is not found within so many seeds counts as not found.
const SEEDS: u64 = 150;

/// Bugs that are looked for at the same time.
const JOBS: usize = 2;

/// The checks that may find a bug.
fn expected(bug: Bug) -> &'static [&'static str] {
    match bug {
        Bug::AcknowledgedBeforeSync | Bug::DamageTakenForTorn | Bug::LeaderRestored => {
            &["agreement", "acknowledged", "votes", "real_time", "feed"]
        }
        Bug::DuplicateKeyApplied => &["replies", "invariants"],
        Bug::ConfirmedAfterExpiry | Bug::LostLine | Bug::RefusedForAHoldThatIsOver => &["replies"],
        Bug::ReadWithoutIndex => &["real_time"],
        Bug::SkippedSequence => &["sequence", "replies"],
        Bug::PurgedBeyondOlderSnapshot => &["recovery"],
        Bug::VoteNotDurable => &["votes", "agreement"],
        Bug::SnapshotForgetsKeys | Bug::WallClockInApply => &["agreement"],
        Bug::FeedBeyondCommitted => &["feed"],
    }
}

/// The first seed that finds a bug, and how many it took.
fn find(bug: Bug) -> Option<(u64, Outcome)> {
    plant(Some(bug));
    let found =
        (1..=SEEDS).map(|seed| (seed, run(seed, false))).find(|(_, outcome)| outcome.finding.is_some());
    plant(None);
    found
}

#[test]
fn every_planted_bug_is_found_by_a_check_that_is_meant_for_it() {
    let (next, lines) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(&bug) = Bug::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = find(bug);
            let line = match &found {
                Some((seeds, Outcome { finding: Some(finding), .. })) => {
                    let is_meant = expected(bug).contains(&finding.check);
                    (is_meant, format!("{bug:?} | {} | {seeds} | {}", finding.check, finding.what))
                }
                _ => (false, format!("{bug:?} | not found | {SEEDS} |")),
            };
            lines.lock().push(line);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..JOBS {
            scope.spawn(work);
        }
    });
    let lines = lines.into_inner();
    for (_, line) in &lines {
        println!("{}", line.chars().take(220).collect::<String>());
    }
    let missed: Vec<&String> = lines.iter().filter(|(is_meant, _)| !is_meant).map(|(_, line)| line).collect();
    assert!(missed.is_empty(), "not found, or not by what is meant for it: {missed:#?}");
}
