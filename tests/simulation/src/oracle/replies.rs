//! Replies are those of a single-threaded model that replays the committed order: not the real one, but the naive one that
//! shares no code with it.

use holdfast_model::{Applied, Entry};

use crate::naive::Naive;

/// The naive model.
pub struct Replies(Naive);

impl Default for Replies {
    fn default() -> Self {
        Self(Naive::new())
    }
}

impl Replies {
    /// The next entry of the committed order.
    pub fn check(&mut self, entry: &Entry, applied: &Applied) -> Result<(), String> {
        let expected = self.0.apply(entry);
        let replies = applied.replies.iter().zip(&expected.replies).zip(&entry.requests);
        for ((reply, expected), request) in replies {
            if reply != expected {
                return Err(format!("{request:?} was answered with {reply:?} instead of {expected:?}"));
            }
        }
        if applied.records != expected.records || applied.trim_before != expected.trim_before {
            return Err(format!("records {:?} instead of {:?}", applied.records, expected.records));
        }
        Ok(())
    }
}
