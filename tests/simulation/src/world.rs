//! What all parts of one simulation share: the seed's randomness, the trace, the counts, and the first thing that was
//! found wrong.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::{SimRuntime, SimSleep};
use parking_lot::Mutex;

use crate::coverage::{Coverage, Fault};
use crate::process::sim_nanos;

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The check, as its file is called.
    pub check: &'static str,
    /// What it saw.
    pub what: String,
}

/// One simulation. Cheap to clone: a handle.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    rng: Mutex<Rng>,
    trace: Mutex<Trace>,
    coverage: Mutex<Coverage>,
    finding: Mutex<Option<Finding>>,
}

/// What happened, as a hash, and line by line when somebody wants to read it.
struct Trace {
    hasher: DefaultHasher,
    is_shown: bool,
}

impl World {
    /// A simulation; its trace is printed when `is_shown`.
    pub fn new(seed: u64, is_shown: bool) -> Self {
        let trace = Trace { hasher: DefaultHasher::new(), is_shown };
        Self(Arc::new(Inner {
            rng: Mutex::new(Rng::with_seed(seed)),
            trace: Mutex::new(trace),
            coverage: Mutex::default(),
            finding: Mutex::default(),
        }))
    }

    /// Something random.
    pub fn draw<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.0.rng.lock())
    }

    /// True in `percent` of all cases.
    pub fn chance(&self, percent: u8) -> bool {
        self.draw(|rng| rng.u8(0..100)) < percent
    }

    /// One of some.
    pub fn pick<T: Clone>(&self, of: &[T]) -> Option<T> {
        if of.is_empty() { None } else { Some(of[self.draw(|rng| rng.usize(0..of.len()))].clone()) }
    }

    /// A time between two, in microseconds.
    pub fn micros(&self, from: u64, to: u64) -> Duration {
        Duration::from_micros(self.draw(|rng| rng.u64(from..=to)))
    }

    /// Waits by the simulation's own clock.
    pub fn sleep(duration: Duration) -> SimSleep {
        SimRuntime::sleep(duration)
    }

    /// Takes note of something that happened: `what` it was, in words that are made only for readers, and numbers that
    /// tell it from others.
    pub fn trace(&self, numbers: &[u64], what: impl FnOnce() -> String) {
        let mut trace = self.0.trace.lock();
        trace.hasher.write_u64(sim_nanos());
        for number in numbers {
            trace.hasher.write_u64(*number);
        }
        if trace.is_shown {
            let nanos = sim_nanos();
            println!("{:>6}.{:06} {}", nanos / 1_000_000_000, nanos / 1000 % 1_000_000, what());
        }
    }

    /// The hash of everything so far.
    pub fn trace_hash(&self) -> u64 {
        self.0.trace.lock().hasher.finish()
    }

    /// A fault happened.
    pub fn fault(&self, fault: Fault) {
        self.0.coverage.lock().fault(fault);
    }

    /// Counts something.
    pub fn cover(&self, count: impl FnOnce(&mut Coverage)) {
        count(&mut self.0.coverage.lock());
    }

    /// All counts.
    pub fn coverage(&self) -> Coverage {
        self.0.coverage.lock().clone()
    }

    /// A check failed; the first one stays.
    pub fn report(&self, check: &'static str, what: impl Into<String>) {
        let mut finding = self.0.finding.lock();
        if finding.is_none() {
            let what = what.into();
            let shown = what.clone();
            *finding = Some(Finding { check, what });
            drop(finding);
            self.trace(&[u64::MAX], || format!("FOUND {check}: {shown}"));
        }
    }

    /// The first check that failed.
    pub fn finding(&self) -> Option<Finding> {
        self.0.finding.lock().clone()
    }
}

/// A number for some bytes.
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
