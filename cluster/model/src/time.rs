//! Cluster time: what decides; and UTC: what people are shown.

use serde::{Deserialize, Serialize};

/// Milliseconds that the cluster has spent since it was founded, measured by steady clocks of its leaders.
///
/// It never goes back, no wall clock moves it, and it stands still while the whole cluster is down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterTime(pub u64);

impl ClusterTime {
    /// This time and `millis` more; stays at the largest time instead of overflowing.
    #[must_use]
    pub const fn plus(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time, 0 when it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same moment as UTC, given the offset between the two in milliseconds.
    #[must_use]
    pub const fn to_utc(self, offset_ms: i64) -> UtcMillis {
        UtcMillis(offset_ms.saturating_add_unsigned(self.0))
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, for people. It decides nothing but the age of a store's event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UtcMillis(pub i64);
