//! Notices a reader that takes nothing.
//!
//! A stream is asked for more only when there is room in the connection's buffers. So one that gave something, and is not
//! asked for more for long, has a reader that does not read; the stream itself holds no more than what it gave.

use std::time::Duration;

use holdfast_api::{ErrorCode, Problem};
use tokio::time::Instant;

/// Watches one stream.
pub struct Patience {
    limit: Duration,
    given_at: Option<Instant>,
}

impl Patience {
    /// A stream that has not given anything yet.
    pub const fn new(limit: Duration) -> Self {
        Self { limit, given_at: None }
    }

    /// The stream is asked for more.
    ///
    /// # Errors
    /// When that took too long.
    pub fn check(&self) -> Result<(), Problem> {
        if self.given_at.is_none_or(|given| given.elapsed() <= self.limit) {
            return Ok(());
        }
        let limit_ms = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(limit_ms, "the reader of a stream took nothing for too long: it is cut off");
        let detail = format!("nothing was taken for {limit_ms} ms: go on from the last cursor");
        Err(Problem::new(ErrorCode::SlowReader, detail).with("limitMs", limit_ms))
    }

    /// The stream gives something.
    pub fn give(&mut self) {
        self.given_at = Some(Instant::now());
    }
}
