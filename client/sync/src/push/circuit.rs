//! When a receiver is asked again: one circuit for each subscription, so that a dead store delays no other.

use std::time::Duration;

use crate::config::Webhooks;

/// The circuit of one receiver.
#[derive(Debug, Default)]
pub struct Circuit {
    failures: u32,
}

impl Circuit {
    /// How often it has failed in a row: the circuit is closed at 0. While it is open the receiver is left alone until the
    /// wait is over; then one message tries it.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// It took a message.
    pub const fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It did not take a message: how long it is left alone. The wait doubles up to the longest one; half of it is random,
    /// so that receivers which failed together are not asked together. `asked` is what the receiver asked for.
    pub fn failed(&mut self, settings: &Webhooks, asked: Option<Duration>) -> Duration {
        let doublings = self.failures.min(31);
        self.failures = self.failures.saturating_add(1);
        let full = settings.first_backoff.saturating_mul(1 << doublings).min(settings.max_backoff);
        let wait = full.mul_f64(0.5 + fastrand::f64() / 2.0);
        wait.max(asked.unwrap_or_default()).min(settings.max_backoff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Webhooks {
        Webhooks {
            timeout: Duration::from_secs(1),
            attempts: 3,
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            batch: 1,
        }
    }

    #[test]
    fn the_wait_doubles_with_jitter_up_to_the_longest_one() {
        let mut circuit = Circuit::default();
        for full_ms in [100, 200, 400, 800, 1000, 1000] {
            let wait = circuit.failed(&settings(), None);
            let full = Duration::from_millis(full_ms);
            assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
        }
        assert_eq!(circuit.failures(), 6);
        circuit.succeeded();
        assert_eq!(circuit.failures(), 0);
        assert!(circuit.failed(&settings(), None) <= Duration::from_millis(100));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_wait_but_not_for_any() {
        let mut circuit = Circuit::default();
        let asked = Duration::from_millis(700);
        assert!(circuit.failed(&settings(), Some(asked)) >= asked);
        assert_eq!(circuit.failed(&settings(), Some(Duration::from_secs(3600))), Duration::from_secs(1));
        for _ in 0..100 {
            circuit.failed(&settings(), None);
        }
    }
}
