//! How far the view is behind the cluster, in milliseconds.
//!
//! What is known of it is an upper bound: the age of the last record in the view by the wall clocks of two machines, or
//! the time since the view was known to have everything, whichever is less.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::clock;

/// A view whose last record was younger than this when it was taken in has everything that had happened till then.
const CURRENT_MS: u64 = 1000;
/// A stream is silent when nothing has come for so long: a node says something every 3 seconds.
const SILENT: Duration = Duration::from_secs(5);

/// What is known of the lag.
#[derive(Debug)]
pub struct Progress(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// When the stream said something last; none while there is no stream.
    heard: Option<Instant>,
    /// When the view was known to have everything.
    current: Option<Instant>,
    /// How old the last record was when it was taken in, while the view has everything.
    delay_ms: Option<u64>,
    /// When the last record in the view was made.
    at_ms: i64,
}

impl Progress {
    /// Nothing is known but the last record of the view.
    pub const fn new(at_ms: i64) -> Self {
        Self(Mutex::new(Known { heard: None, current: None, delay_ms: None, at_ms }))
    }

    /// Another view is in use, whose last record was made then.
    pub fn restart(&self, at_ms: i64) {
        *self.0.lock() = Known { heard: None, current: None, delay_ms: None, at_ms };
    }

    /// Records were taken into the view.
    pub fn took(&self, at_ms: i64) {
        let age_ms = age_ms(at_ms);
        let (mut known, now) = (self.0.lock(), Instant::now());
        known.at_ms = at_ms;
        known.heard = Some(now);
        known.delay_ms = (age_ms <= CURRENT_MS).then_some(age_ms);
        if known.delay_ms.is_some() {
            known.current = Some(now);
        }
    }

    /// The stream said something.
    pub fn heard(&self) {
        let mut known = self.0.lock();
        known.heard = Some(Instant::now());
    }

    /// The cluster said that there is nothing beyond what is in the view.
    pub fn has_everything(&self) {
        let (mut known, now) = (self.0.lock(), Instant::now());
        (known.heard, known.current, known.delay_ms) = (Some(now), Some(now), Some(0));
    }

    /// The stream has ended.
    pub fn lost(&self) {
        let mut known = self.0.lock();
        if known.delay_ms.take().is_some() {
            // It had everything until it was last heard of.
            known.current = known.heard;
        }
        known.heard = None;
    }

    /// The lag in milliseconds.
    pub fn lag_ms(&self) -> u64 {
        let known = self.0.lock();
        match (known.heard, known.delay_ms) {
            (Some(heard), Some(delay_ms)) if heard.elapsed() < SILENT => delay_ms,
            (Some(heard), Some(_)) => millis(heard.elapsed()),
            _ => {
                let by_record = age_ms(known.at_ms);
                known.current.map_or(by_record, |current| by_record.min(millis(current.elapsed())))
            }
        }
    }
}

fn age_ms(at_ms: i64) -> u64 {
    u64::try_from(clock::now_ms().saturating_sub(at_ms)).unwrap_or(0)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_lags_by_the_age_of_its_last_record_until_it_is_known_to_have_everything() {
        let hour_ago = clock::now_ms() - 3_600_000;
        let progress = Progress::new(hour_ago);
        assert!(progress.lag_ms() >= 3_600_000);
        progress.took(hour_ago + 60_000);
        assert!((3_500_000..3_600_000).contains(&progress.lag_ms()), "{}", progress.lag_ms());
        progress.has_everything();
        assert_eq!(progress.lag_ms(), 0);
        progress.took(clock::now_ms() - 7);
        assert!((7..1000).contains(&progress.lag_ms()));
    }

    #[test]
    fn without_a_stream_the_lag_grows_from_when_it_was_last_heard_of() {
        let progress = Progress::new(clock::now_ms() - 3_600_000);
        progress.has_everything();
        progress.lost();
        assert!(progress.lag_ms() < 60_000, "it had everything a moment ago");
        progress.restart(clock::now_ms() - 3_600_000);
        assert!(progress.lag_ms() >= 3_600_000, "nothing is known of another view");
    }
}
