//! Cluster time as one member reads it: the last stamp that it saw, and its own steady clock since then.
//!
//! Members see a stamp at different times, so their clocks differ by that. Each follows the stamps of whoever leads, also
//! back: if it kept its own reading where that is ahead, time would leap by the difference once it leads, and end holds
//! that are not over. Only its own stamps change nothing, since they come back later than they were made.

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
    /// The last stamp that this clock gave.
    given: Option<ClusterTime>,
}

impl<I: Instant> Clock<I> {
    /// A clock that stands at `stamp` now. Time in which this process did not run does not count.
    pub fn starting_at(stamp: ClusterTime) -> Self {
        Self { seen: Mutex::new(Seen { stamp, at: I::now(), given: None }) }
    }

    /// Cluster time now.
    pub fn now(&self) -> ClusterTime {
        let seen = self.seen.lock();
        reading(&seen)
    }

    /// Cluster time now, as the stamp of an entry.
    pub fn stamp(&self) -> ClusterTime {
        let mut seen = self.seen.lock();
        let stamp = reading(&seen);
        seen.given = Some(stamp);
        stamp
    }

    /// Takes note of a stamp of the log. One that is older than another seen before changes nothing.
    pub fn observe(&self, stamp: ClusterTime) {
        let mut seen = self.seen.lock();
        let is_of_another = stamp > seen.stamp && Some(stamp) != seen.given;
        if is_of_another || stamp > reading(&seen) {
            (seen.stamp, seen.at) = (stamp, I::now());
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

#[cfg(test)]
mod tests {
    use openraft::alias::InstantOf;
    use tokio::time::advance;

    use super::*;
    use crate::live::Live;
    use crate::types::Types;

    type TestClock = Clock<InstantOf<Types<Live>>>;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_leader_goes_on_from_the_last_stamp_of_the_old_one() {
        let early = TestClock::starting_at(ClusterTime(0));
        // The other was started later, so that it is behind; and it leads.
        advance(ms(5000)).await;
        let leader = TestClock::starting_at(ClusterTime(0));
        advance(ms(1000)).await;
        let stamp = leader.stamp();
        assert_eq!(stamp, ClusterTime(1000));
        assert_eq!(early.now(), ClusterTime(6000));
        advance(ms(3)).await;
        early.observe(stamp);
        leader.observe(stamp);
        advance(ms(700)).await;
        assert_eq!(early.stamp(), ClusterTime(1700), "no leap, but for what the entry took to come");
        assert_eq!(leader.stamp(), ClusterTime(1703), "its own stamp does not hold it up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_stamp_sets_the_clock_and_an_earlier_one_does_not() {
        let clock = TestClock::starting_at(ClusterTime(0));
        clock.observe(ClusterTime(500));
        assert_eq!(clock.now(), ClusterTime(500));
        advance(ms(10)).await;
        clock.observe(ClusterTime(400));
        assert_eq!(clock.now(), ClusterTime(510));
    }
}
