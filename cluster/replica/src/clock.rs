//! Cluster time as one member reads it: the last stamp that it saw, and its own steady clock since then.

use std::time::Duration;

use holdfast_model::ClusterTime;
use openraft::Instant;
use parking_lot::Mutex;

/// Reads cluster time. No wall clock takes part, so no jump of one moves it.
pub struct Clock<I> {
    seen: Mutex<Seen<I>>,
}

struct Seen<I> {
    stamp: ClusterTime,
    at: I,
}

impl<I: Instant> Clock<I> {
    /// A clock that stands at `stamp` now. Time in which this process did not run does not count.
    pub fn starting_at(stamp: ClusterTime) -> Self {
        Self { seen: Mutex::new(Seen { stamp, at: I::now() }) }
    }

    /// Cluster time now.
    pub fn now(&self) -> ClusterTime {
        let seen = self.seen.lock();
        reading(&seen)
    }

    /// Takes note of a stamp of the log. The clock never goes back: an older stamp than its own changes nothing.
    pub fn observe(&self, stamp: ClusterTime) {
        let mut seen = self.seen.lock();
        if stamp > reading(&seen) {
            *seen = Seen { stamp, at: I::now() };
        }
    }

    /// How long it is until `deadline`; zero when it has come.
    pub fn until(&self, deadline: ClusterTime) -> Duration {
        Duration::from_millis(deadline.since(self.now()))
    }
}

fn reading<I: Instant>(seen: &Seen<I>) -> ClusterTime {
    let elapsed = I::now().saturating_duration_since(seen.at);
    seen.stamp.plus(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
