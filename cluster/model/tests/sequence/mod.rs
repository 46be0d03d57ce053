//! Long random sequences of commands that hit each other: few rows, few ids, small limits, time that jumps.
//!
//! A strategy draws drafts, which shrink well since they say "the latest hold" or "the version that the row has now";
//! [`Writer`] turns them into entries with the state at hand, as a caller and a leader would.

mod commands;
mod steps;
mod writer;

use holdfast_model::{Actor, Command, HoldId, ItemId, OrderId, RowKey, StoreId, TransferId};
use uuid::Uuid;

pub use steps::{Scale, steps};
pub use writer::Writer;

/// One entry to be.
#[derive(Debug, Clone)]
pub struct Step {
    /// How much later than the last entry it is stamped; may be earlier.
    pub passes_ms: i64,
    pub utc_offset_ms: Option<i64>,
    pub drafts: Vec<Draft>,
}

/// One request to be.
#[derive(Debug, Clone)]
pub enum Draft {
    /// A new one. In its command a hold, transfer or order `n` is the nth latest that was made, and 0 the one that was
    /// named last, or where the command makes one a new one. A version is counted from the row's present one, a sequence
    /// backwards from the last one, and the time of an event from now.
    New { command: Command, key: Option<KeyDraft>, is_generated: bool, actor: Option<Actor> },
    /// The same as the one so many requests ago. Where its id was generated, another one is generated now.
    Again { back: usize },
    /// One small thing other than the one so many requests ago, under the same id.
    Almost { back: usize, twist: Twist },
}

/// The small thing that is other.
#[derive(Debug, Clone, Copy)]
pub enum Twist {
    Owner,
    Time,
    Flag,
}

/// Which idempotency key.
#[derive(Debug, Clone, Copy)]
pub enum KeyDraft {
    /// One that was not used before.
    New,
    /// One of a few, which most probably was.
    Number(u8),
}

/// The names of the stores that sequences use.
pub const STORES: [&str; 3] = ["S1", "S2", "S3"];
/// The names of the items that sequences use.
pub const ITEMS: [&str; 2] = ["A", "B"];

/// Says "one after the last" where a sequence is counted backwards.
pub const AHEAD: u64 = u64::MAX;

/// Every row that a sequence can name.
pub fn rows() -> Vec<RowKey> {
    let store = |text| StoreId::new(text).expect("a store");
    let item = |text| ItemId::new(text).expect("an item");
    let row = |store: &StoreId, item: ItemId| RowKey { store: store.clone(), item };
    STORES.map(store).iter().flat_map(|store| ITEMS.map(item).map(|item| row(store, item))).collect()
}

pub fn hold(number: u128) -> HoldId {
    HoldId::from_uuid(Uuid::from_u128(number))
}

pub fn transfer(number: u128) -> TransferId {
    TransferId::from_uuid(Uuid::from_u128(number))
}

pub fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number))
}
