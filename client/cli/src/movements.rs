//! `holdfast movements`: the ledger.

use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt};
use holdfast_sdk::Client;
use holdfast_sdk::api::Record;
use holdfast_sdk::model::{ItemId, StoreId};

use crate::Done;
use crate::output::Output;
use crate::tables::{self, numbers, table};

/// The ledger.
#[derive(Debug, Args)]
pub struct Movements {
    /// Only this store's
    #[arg(long)]
    store: Option<StoreId>,
    /// Only this item's
    #[arg(long)]
    item: Option<ItemId>,
    /// Only records after this sequence; not for a row's history
    #[arg(long)]
    after: Option<u64>,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// With --store and --item: the row as it was right after this sequence, instead of records
    #[arg(long, requires = "store", requires = "item", conflicts_with = "after")]
    at_seq: Option<u64>,
}

impl Movements {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let found: Vec<Record> = match (&self.store, &self.item, self.at_seq, self.after) {
            (Some(store), Some(item), Some(seq), _) => {
                let then = client.row_at(store, item, seq).await?;
                return out.print(&then, as_it_was);
            }
            (Some(store), Some(item), None, None) => {
                client.history(store, item).take(self.limit).try_collect().await?
            }
            (store, item, _, after) => {
                let after = after.unwrap_or_default();
                client.movements(after, store.as_ref(), item.as_ref()).take(self.limit).try_collect().await?
            }
        };
        out.print(&found, |found: &Vec<Record>| tables::records(found))
    }
}

fn as_it_was(then: &serde_json::Value) -> Table {
    let names = ["storeId", "itemId", "atSeq", "lastSeq", "available", "reserved", "onHand", "version"];
    let mut table =
        table(&["store", "item", "at seq", "last seq", "available", "reserved", "on hand", "version"]);
    let text = |name: &&str| then[*name].as_str().map_or_else(|| then[*name].to_string(), str::to_owned);
    table.add_row(names.iter().map(text).collect::<Vec<_>>());
    numbers(table, 2)
}
