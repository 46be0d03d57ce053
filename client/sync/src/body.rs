//! Bodies of this service's answers and messages.

use holdfast_api::{Cursor, Epoch, Problem};
use holdfast_sdk::model::StoreId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::push::Standing;
use crate::view::{Page, ResetReason, Row};

/// The cursor of a sequence as it is written.
pub fn cursor(epoch: &Epoch, seq: u64) -> String {
    Cursor::new(epoch.clone(), seq).to_string()
}

/// A stock row of the view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RowBody {
    /// The store.
    pub store_id: String,
    /// The item.
    pub item_id: String,
    /// On hand − reserved.
    pub available: i64,
    /// Held for somebody.
    pub reserved: u64,
    /// Physically present, as far as is known; negative when goods are owed.
    pub on_hand: i64,
    /// What a hold could claim.
    pub sellable: i64,
    /// The row's change counter.
    pub version: u64,
    /// The row's last movement: of two balances the one with the higher sequence counts.
    pub last_seq: u64,
    /// Units that are never sold to holds.
    pub safety_stock: u64,
    /// Units that may be sold before they are there.
    pub backorder_limit: u64,
    /// More is promised or gone than stock and backorder limit bear.
    pub oversold: bool,
    /// The row takes no new holds.
    pub retired: bool,
}

impl RowBody {
    /// The body of a row.
    pub fn new(store: &StoreId, item: &str, row: &Row) -> Self {
        let backed = row.available.saturating_add_unsigned(row.backorder_limit);
        Self {
            store_id: store.to_string(),
            item_id: item.to_owned(),
            available: row.available,
            reserved: row.reserved,
            on_hand: row.available.saturating_add_unsigned(row.reserved),
            sellable: backed.saturating_sub_unsigned(row.safety_stock),
            version: row.version,
            last_seq: row.last_seq,
            safety_stock: row.safety_stock,
            backorder_limit: row.backorder_limit,
            oversold: backed < 0,
            retired: row.retired,
        }
    }
}

/// A row, and how far the view that it is from stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StateBody {
    /// The row.
    #[serde(flatten)]
    pub row: RowBody,
    /// The last record of the feed in the view.
    pub seq: u64,
    /// The same with its epoch.
    pub cursor: String,
    /// How far the view is behind the cluster, in milliseconds.
    pub lag_ms: u64,
}

/// Some of a store's rows, as they stood together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StatePage {
    /// The store.
    pub store_id: String,
    /// The last record of the feed in the view.
    pub seq: u64,
    /// The same with its epoch.
    pub cursor: String,
    /// How far the view is behind the cluster, in milliseconds.
    pub lag_ms: u64,
    /// The rows, in the order of the items' names.
    pub rows: Vec<RowBody>,
    /// Give this as `after` for the next page; null when this was the last.
    pub next: Option<String>,
}

/// A part of a reset: what a store that missed something gets, in place of all that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetBody {
    /// The store.
    pub store_id: String,
    /// Movements go on from here; those that are not newer than their row's `lastSeq` are to be passed over.
    pub cursor: String,
    /// `START`, `DEAD_LETTER`, `BEHIND` or `OTHER_EPOCH`.
    pub reason: &'static str,
    /// 1, 2 and so on. With the first one the store forgets what it has.
    pub part: u32,
    /// No part follows.
    pub is_last: bool,
    /// The rows, in the order of the items' names.
    pub rows: Vec<RowBody>,
}

impl ResetBody {
    /// The part of a reset from `seq` that a page makes.
    pub fn new(
        store: &StoreId,
        epoch: &Epoch,
        seq: u64,
        reason: ResetReason,
        part: u32,
        page: &Page,
    ) -> Self {
        Self {
            store_id: store.to_string(),
            cursor: cursor(epoch, seq),
            reason: reason.as_str(),
            part,
            is_last: page.next.is_none(),
            rows: page.rows.iter().map(|(item, row)| RowBody::new(store, item, row)).collect(),
        }
    }
}

/// A subscription as it is shown; its secrets are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionBody {
    /// The subscription.
    pub subscription_id: String,
    /// The store.
    pub store_id: String,
    /// Where its messages go.
    pub url: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The secret, in the answer to the request that made or changed it and in no other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// `CLOSED` while the receiver takes messages, `OPEN` while it does not.
    pub circuit: &'static str,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What came of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventResult {
    /// The event, as far as its id could be read.
    pub event_id: Option<String>,
    /// What was done with it.
    pub status: EventStatus,
    /// The movement that it made; none when it made none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The dead letter that keeps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_id: Option<String>,
    /// Why it was not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// What was done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventStatus {
    /// It was applied now.
    Applied,
    /// It had been applied before.
    Repeated,
    /// It cannot be applied, and lies among the dead letters.
    DeadLettered,
    /// Nothing was done: it is to be sent again.
    Retry,
}

/// What came of a request with events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EventResults {
    /// One result for each event, in order.
    pub results: Vec<EventResult>,
}

/// A dead letter as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// The letter.
    pub letter_id: String,
    /// The store.
    pub store_id: String,
    /// `TO_STORE` or `FROM_STORE`.
    pub direction: String,
    /// `DEAD` or `REQUEUED`.
    pub status: String,
    /// When it first came, RFC 3339.
    pub at: String,
    /// Why it is dead.
    pub reason: String,
    /// What it says: JSON where it is JSON, otherwise text.
    pub body: Value,
}

/// Some dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LetterPage {
    /// The letters, in the order in which they came.
    pub letters: Vec<Letter>,
    /// Give this as `after` for the next page; null when this was the last.
    pub next: Option<u64>,
}

/// A letter that was tried again with success, and is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// The letter.
    pub letter_id: String,
    /// What came of it.
    pub result: ReplayResult,
}

/// What came of trying a letter again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ReplayResult {
    /// The event of a store was applied.
    Event(EventResult),
    /// The message was taken.
    Message {
        /// `DELIVERED`.
        status: &'static str,
    },
}

/// A store's subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Subscriptions {
    /// All of them.
    pub subscriptions: Vec<SubscriptionBody>,
}
