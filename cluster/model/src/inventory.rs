//! The state and its one way in.

#![allow(unused, clippy::unused_self)]

use crate::{
    Applied, ClusterTime, Config, Digest, Entry, HoldId, HoldView, ItemId, Movement, RowView, Seq, StoreId,
    TransferId, TransferView,
};

/// Everything that the members agree on.
pub struct Inventory {}

/// Some rows, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, in the order in which they came to be.
    pub items: Vec<T>,
    /// Give this as `after` for the next page; none when this was the last.
    pub next: Option<u64>,
}

/// How much there is of everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Stock rows.
    pub rows: u64,
    /// Holds that still reserve something.
    pub holds_open: u64,
    /// Holds that have ended and are still remembered.
    pub holds_ended: u64,
    /// Open holds whose deadline has passed and which no entry has swept yet.
    pub holds_due: u64,
    /// Transfers with goods under way.
    pub transfers_open: u64,
    /// Idempotency keys that are remembered.
    pub keys: u64,
    /// Store events that are remembered.
    pub events: u64,
}

/// A state that does not change any more, cheap to take: shares all it can with the live one.
#[derive(Clone)]
pub struct Frozen {}

/// One invariant that does not hold somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the five invariants of the design, 1 to 5.
    pub invariant: u8,
    /// Where and how, in words.
    pub detail: String,
}

/// What an audit looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rows that were checked.
    pub rows: u64,
    /// Holds that were checked.
    pub holds: u64,
    /// Movements that were replayed, 0 when the ledger was not part of it.
    pub movements: u64,
    /// Everything that does not hold.
    pub violations: Vec<Violation>,
}

/// A snapshot that cannot be made a state of.
#[derive(Debug, thiserror::Error)]
#[error("snapshot cannot be restored: {0}")]
pub struct RestoreError(pub String);

/// The stock part of the state, rebuilt from the ledger alone.
#[derive(Default)]
pub struct Replay {}

impl Replay {
    /// Takes the next movement.
    ///
    /// # Errors
    /// A movement that does not follow from those before it, in words.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), Violation> {
        todo!()
    }
    /// The digest of the rebuilt rows: equal to [`Digest::stock`] of the state at the same sequence.
    #[must_use]
    pub fn stock_digest(&self) -> u128 {
        todo!()
    }
}

impl Default for Inventory {
    fn default() -> Self {
        Self::new()
    }
}

impl Inventory {
    /// The state before the first entry.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }
    /// Decides one entry.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        todo!()
    }
    /// Cluster time of the last entry.
    #[must_use]
    pub fn now(&self) -> ClusterTime {
        todo!()
    }
    /// What to add to cluster time to get UTC, in milliseconds; none before the first offset came.
    #[must_use]
    pub fn utc_offset_ms(&self) -> Option<i64> {
        todo!()
    }
    /// The last movement.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        todo!()
    }
    /// The oldest movement that the ledger keeps.
    #[must_use]
    pub fn ledger_start(&self) -> Seq {
        todo!()
    }
    /// The version of the rules in force.
    #[must_use]
    pub fn model_version(&self) -> u32 {
        todo!()
    }
    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        todo!()
    }
    /// The digest of the state, kept up to date by every change.
    #[must_use]
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// One row.
    #[must_use]
    pub fn row(&self, store: &StoreId, item: &ItemId) -> Option<RowView> {
        todo!()
    }
    /// A store's rows, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn rows_of_store(&self, store: &StoreId, after: Option<u64>, limit: usize) -> Page<RowView> {
        todo!()
    }
    /// An item's rows in all stores.
    #[must_use]
    pub fn rows_of_item(&self, item: &ItemId, after: Option<u64>, limit: usize) -> Page<RowView> {
        todo!()
    }
    /// One hold, open or ended within the window.
    #[must_use]
    pub fn hold(&self, hold: HoldId) -> Option<HoldView> {
        todo!()
    }
    /// One transfer, open or ended within the window.
    #[must_use]
    pub fn transfer(&self, transfer: TransferId) -> Option<TransferView> {
        todo!()
    }
    /// When the next open hold is due; none when no open hold has a deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<ClusterTime> {
        todo!()
    }
    /// How much there is of everything.
    #[must_use]
    pub fn stats(&self) -> Stats {
        todo!()
    }
    /// A copy of the state as it is now, without stopping the live one.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        todo!()
    }
    /// A state from the chunks of [`Frozen::chunks`], in order.
    ///
    /// # Errors
    /// When a chunk is damaged, missing, or does not give the digest that was frozen.
    pub fn restore(chunks: impl Iterator<Item = Vec<u8>>) -> Result<Self, RestoreError> {
        todo!()
    }
}

impl Frozen {
    /// The state as records of bounded size, each with its format byte.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + Send + '_ {
        std::iter::empty()
    }
    /// The digest of the frozen state.
    #[must_use]
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// The last movement of the frozen state.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        todo!()
    }
    /// Checks invariants 1 to 3 on every row and hold, and that the digest is the sum of its records.
    #[must_use]
    pub fn audit(&self) -> Audit {
        todo!()
    }
    /// As [`Self::audit`], and invariant 4 against a ledger that was replayed up to [`Self::last_seq`].
    #[must_use]
    pub fn audit_with(&self, replay: &Replay) -> Audit {
        todo!()
    }
}
