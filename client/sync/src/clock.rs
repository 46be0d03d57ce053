//! The wall clock, for people: it decides nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_sdk::model::UtcMillis;

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Now, as text.
pub fn now_text() -> String {
    holdfast_api::time::rfc3339(UtcMillis(now_ms()))
}
