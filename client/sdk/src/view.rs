//! What the sync service has of the stock.

use holdfast_model::{ItemId, StoreId};
use serde::Deserialize;

use crate::pages::parameter;
use crate::{Client, Error, Options};

/// A stock row as the sync service has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewRow {
    /// The item.
    pub item_id: String,
    /// On hand − reserved.
    pub available: i64,
    /// Held for somebody.
    pub reserved: u64,
    /// The row's change counter.
    pub version: u64,
    /// The row's last movement.
    pub last_seq: u64,
    /// Units that are never sold to holds.
    pub safety_stock: u64,
    /// Units that may be sold before they are there.
    pub backorder_limit: u64,
    /// The row takes no new holds.
    pub retired: bool,
}

/// Some of a store's rows, as they stood together.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewPage {
    /// The last record of the feed in the view.
    pub seq: u64,
    /// How far the view is behind the cluster, in milliseconds.
    pub lag_ms: u64,
    /// The rows, in the order of the items' names.
    pub rows: Vec<ViewRow>,
    /// Give this as `after` for the next page; none when this was the last.
    pub next: Option<ItemId>,
}

/// A client of the sync service.
#[derive(Debug, Clone)]
pub struct SyncService(Client);

impl SyncService {
    /// A client of the service at `address`, `host:port`. Nothing is sent yet.
    ///
    /// # Errors
    /// When it is not an address, or the HTTP client cannot be made.
    pub fn new(address: &str, options: Options) -> Result<Self, Error> {
        Client::new([address], options).map(Self)
    }

    /// Some of a store's rows, those after `after`; an unknown store has none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rows(&self, store: &StoreId, after: Option<&ItemId>) -> Result<ViewPage, Error> {
        let after = after.map(|after| parameter("after", after.as_str())).unwrap_or_default();
        self.0.get(&format!("/state/{store}?limit=1000{after}")).await
    }
}
