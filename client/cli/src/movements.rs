//! `holdfast movements`: the ledger.

use clap::Args;
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt};
use holdfast_sdk::Client;
use holdfast_sdk::model::{ItemId, StoreId};

use crate::output::{Output, numbers, table};
use crate::{Done, Failure};

/// The ledger.
#[derive(Debug, Args)]
pub struct Movements {
    /// Only this store's; with --item, the history of that row, newest first
    #[arg(long)]
    store: Option<StoreId>,
    /// With --store: this row
    #[arg(long, requires = "store")]
    item: Option<ItemId>,
    /// Only movements after this sequence
    #[arg(long, default_value_t = 0, conflicts_with = "item")]
    after: u64,
    /// How many at most
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// The row as it was right after this sequence, instead of movements
    #[arg(long, requires = "item")]
    at_seq: Option<u64>,
}

impl Movements {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let found = match (&self.store, &self.item, self.at_seq) {
            (Some(store), Some(item), Some(seq)) => {
                let then = client.row_at(store, item, seq).await?;
                out.print(&then, as_it_was);
                return Ok(());
            }
            (Some(store), Some(item), None) => {
                client.history(store, item).take(self.limit).try_collect().await
            }
            (store, _, _) => {
                client.movements(self.after, store.as_ref()).take(self.limit).try_collect().await
            }
        };
        out.movements(&found.map_err(Failure::Sdk)?);
        Ok(())
    }
}

fn as_it_was(then: &serde_json::Value) -> Table {
    let names = ["storeId", "itemId", "atSeq", "available", "reserved", "onHand", "version"];
    let mut table = table(&["store", "item", "at seq", "available", "reserved", "on hand", "version"]);
    let text = |name: &&str| then[*name].as_str().map_or_else(|| then[*name].to_string(), str::to_owned);
    table.add_row(names.iter().map(text).collect::<Vec<_>>());
    numbers(table, 2)
}
