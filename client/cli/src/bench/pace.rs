//! When requests start, and from when their latency counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::{Instant, sleep_until};

use crate::tables::{histogram, record};

/// Where a connection's requests come from.
pub trait Requests: Send {
    /// Sends one; when it fails, why.
    fn send(&mut self) -> impl Future<Output = Result<(), String>> + Send;
}

/// The times of a run, which its connections share.
pub struct Pace {
    started: Instant,
    end: Instant,
    /// Requests a second in an open loop; none in a closed one.
    rate: Option<f64>,
    next: AtomicU64,
}

/// What connections have seen.
pub struct Seen {
    /// Latencies in microseconds.
    pub micros: Histogram<u64>,
    /// How often a request failed, by reason.
    pub failed: BTreeMap<String, u64>,
}

impl Pace {
    /// A run that starts now.
    pub fn new(rate: Option<f64>, lasts: Duration) -> Self {
        let started = Instant::now();
        Self { started, end: started + lasts, rate, next: AtomicU64::new(0) }
    }

    /// How long it has lasted.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the next request is to start; none when the run is over. In an open loop that is at its fixed time, whatever
    /// became of those before it.
    fn next(&self) -> Option<Instant> {
        let due = match self.rate {
            None => Instant::now(),
            Some(rate) => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                self.started + Duration::from_secs_f64(number as f64 / rate)
            }
        };
        (due < self.end && Instant::now() < self.end).then_some(due)
    }

    /// Sends requests, one after another, until the run is over. The latency of each counts from when it was to start: one
    /// that waited because those before it took too long has that wait in it.
    pub async fn connection(self: Arc<Self>, mut requests: impl Requests) -> Seen {
        let mut seen = Seen::default();
        while let Some(due) = self.next() {
            sleep_until(due).await;
            match requests.send().await {
                Ok(()) => record(&mut seen.micros, due.elapsed()),
                Err(why) => *seen.failed.entry(why).or_default() += 1,
            }
        }
        seen
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { micros: histogram(), failed: BTreeMap::new() }
    }
}

impl Seen {
    /// Adds what another connection has seen.
    pub fn add(&mut self, other: Self) {
        self.micros.add(other.micros).expect("histograms of one kind add up");
        for (why, count) in other.failed {
            *self.failed.entry(why).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::tables::millis;

    /// A server that answers within a millisecond, but for its tenth request.
    struct Server {
        answered: u32,
        stall: Duration,
    }

    impl Requests for Server {
        async fn send(&mut self) -> Result<(), String> {
            self.answered += 1;
            sleep(if self.answered == 10 { self.stall } else { Duration::from_millis(1) }).await;
            if self.stall.is_zero() { Err("refused".to_owned()) } else { Ok(()) }
        }
    }

    async fn run(rate: Option<f64>, stall: Duration) -> Seen {
        let pace = Arc::new(Pace::new(rate, Duration::from_secs(1)));
        pace.connection(Server { answered: 0, stall }).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_loop_counts_the_wait_behind_a_stall() {
        let seen = run(Some(100.0), Duration::from_millis(500)).await;
        assert_eq!(seen.micros.len(), 100);
        // Half of them were to start while the server stalled, and waited from then on.
        assert!(millis(&seen.micros, 0.8) > 200.0, "{}", millis(&seen.micros, 0.8));
        assert!((millis(&seen.micros, 1.0) - 500.0).abs() < 5.0, "{}", millis(&seen.micros, 1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_sees_one_slow_request() {
        let seen = run(None, Duration::from_millis(500)).await;
        assert!(millis(&seen.micros, 0.99) < 5.0 && millis(&seen.micros, 1.0) >= 499.0);
    }

    #[tokio::test(start_paused = true)]
    async fn connections_share_the_rate() {
        let pace = Arc::new(Pace::new(Some(50.0), Duration::from_secs(1)));
        let server = || Server { answered: 0, stall: Duration::from_millis(1) };
        let (mut one, other) =
            tokio::join!(pace.clone().connection(server()), pace.clone().connection(server()));
        one.add(other);
        assert_eq!(one.micros.len(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_by_reason_and_have_no_latency() {
        let seen = run(Some(10.0), Duration::ZERO).await;
        assert_eq!((seen.failed["refused"], seen.micros.len()), (10, 0));
    }
}
