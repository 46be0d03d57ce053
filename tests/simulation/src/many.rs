//! Many seeds, several at the same time, and what they came to together.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::coverage::Coverage;
use crate::run::{Outcome, run};

/// Every so many seeds one is run twice, and must be the same run.
const RERUN_EVERY: u64 = 20;

/// Which seeds to run, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many at the same time.
    pub jobs: usize,
    /// Whether a kind of fault that never happened is a failure.
    pub must_cover: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { from: 1, seeds: 200, jobs: 2, must_cover: true }
    }
}

/// What many seeds came to.
#[derive(Debug, Default)]
pub struct Summary {
    /// Those in which something was found.
    pub failures: Vec<Outcome>,
    /// All counts together.
    pub coverage: Coverage,
    /// How long they took together by their own clocks.
    pub virtual_time: Duration,
    /// How long the run took.
    pub took: Duration,
    /// How many there were.
    pub seeds: u64,
    /// Seeds that were run twice, with the same trace.
    pub reruns: u64,
    /// Seeds whose second run was another than the first.
    pub unlike: Vec<u64>,
    /// What never happened, though it had to.
    pub missing: Vec<String>,
}

/// Runs the seeds of a plan.
#[must_use]
pub fn run_many(plan: &Plan) -> Summary {
    let began = Instant::now();
    let (next, summary) = (AtomicU64::new(plan.from), Mutex::new(Summary::default()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= plan.from + plan.seeds {
            return;
        }
        let outcome = run(seed, false);
        let again = seed.is_multiple_of(RERUN_EVERY).then(|| run(seed, false));
        if outcome.finding.is_some() {
            println!("{}", outcome.summary());
        }
        summary.lock().add(outcome, again);
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let mut summary = summary.into_inner();
    summary.took = began.elapsed();
    if plan.must_cover {
        summary.missing = summary.coverage.missing();
    }
    summary
}

impl Summary {
    fn add(&mut self, outcome: Outcome, again: Option<Outcome>) {
        self.seeds += 1;
        self.virtual_time += outcome.virtual_time;
        self.coverage.add(&outcome.coverage);
        match again {
            Some(again) if again.trace != outcome.trace => self.unlike.push(outcome.seed),
            Some(_) => self.reruns += 1,
            None => {}
        }
        if outcome.finding.is_some() {
            self.failures.push(outcome);
        }
    }

    /// Whether nothing was found, everything happened, and the same seed was the same run.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.unlike.is_empty() && self.missing.is_empty()
    }

    /// All of it, for people.
    #[must_use]
    pub fn report(&self) -> String {
        let mut text = self.coverage.report();
        let seconds = self.took.as_secs_f64();
        let rate = f64::from(u32::try_from(self.seeds).unwrap_or(u32::MAX)) / seconds.max(0.001);
        let hours = self.virtual_time.as_secs_f64() / 3600.0;
        let failed = self.failures.len();
        let lines = [
            format!("{} seeds, {failed} of them with a finding", self.seeds),
            format!("{hours:.2} virtual hours in {seconds:.1} s: {rate:.2} seeds a second"),
            format!(
                "{} seeds were run twice and were the same, {} were not: {:?}",
                self.reruns,
                self.unlike.len(),
                self.unlike
            ),
            format!("never happened: {:?}", self.missing),
        ];
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        for failure in &self.failures {
            let _ = writeln!(text, "{}", failure.summary());
        }
        text
    }
}
