//! `holdfast sku`: stock rows.

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;
use holdfast_sdk::Client;
use holdfast_sdk::api::{Adjust, Count, NewSku, Policy, Receive, Row, Sale};
use holdfast_sdk::model::{EventId, ItemId, Quantity, Reason, Reference, StoreId};

use crate::output::Output;
use crate::{Done, tables};

/// Stock rows.
#[derive(Debug, Subcommand)]
pub enum Sku {
    /// Make a row
    Create {
        #[command(flatten)]
        row: RowArgs,
        /// On hand at the start
        available: u64,
    },
    /// Look at a row
    Get(RowArgs),
    /// List a store's rows, or an item's in all stores
    List {
        /// The store
        #[arg(long, required_unless_present = "item", conflicts_with = "item")]
        store: Option<StoreId>,
        /// The item
        #[arg(long)]
        item: Option<ItemId>,
    },
    /// Correct what is available
    Adjust {
        #[command(flatten)]
        row: RowArgs,
        /// By how much, up or down
        #[arg(allow_negative_numbers = true)]
        delta: i64,
        /// Why
        #[arg(long)]
        reason: Reason,
        /// What it belongs to
        #[arg(long)]
        reference: Option<Reference>,
        /// Refuse unless the row is at this version
        #[arg(long)]
        expected_version: Option<u64>,
    },
    /// Book a stocktake
    Count {
        #[command(flatten)]
        row: RowArgs,
        /// What was physically there
        counted: u64,
        /// The last movement that the counter could have seen; now when absent
        #[arg(long)]
        as_of_seq: Option<u64>,
        #[command(flatten)]
        about: About,
    },
    /// Book a sale that has happened
    Sale {
        #[command(flatten)]
        row: RowArgs,
        /// How many
        #[arg(value_parser = quantity)]
        qty: Quantity,
        #[command(flatten)]
        about: About,
    },
    /// Book goods that have arrived
    Receive {
        #[command(flatten)]
        row: RowArgs,
        /// How many
        #[arg(value_parser = quantity)]
        qty: Quantity,
        /// They came back from a customer
        #[arg(long)]
        r#return: bool,
        #[command(flatten)]
        about: About,
    },
    /// Set safety stock and backorder limit
    Policy {
        #[command(flatten)]
        row: RowArgs,
        /// Units that are never sold to holds; unchanged when absent
        #[arg(long, required_unless_present = "backorder_limit")]
        safety_stock: Option<u64>,
        /// Units that may be sold before they are there; unchanged when absent
        #[arg(long)]
        backorder_limit: Option<u64>,
        /// Refuse unless the row is at this version
        #[arg(long)]
        expected_version: Option<u64>,
    },
    /// Stop new holds on a row, or take an empty row away
    Retire {
        #[command(flatten)]
        row: RowArgs,
        /// Take the row away
        #[arg(long)]
        remove: bool,
    },
}

/// Which row.
#[derive(Debug, Args)]
pub struct RowArgs {
    /// The store
    pub store: StoreId,
    /// The item
    pub item: ItemId,
}

/// What a booking is about.
#[derive(Debug, Args)]
pub struct About {
    /// Why
    #[arg(long)]
    reason: Option<Reason>,
    /// What it belongs to
    #[arg(long)]
    reference: Option<Reference>,
    /// The store's own id of the event, so that repeating it has one effect
    #[arg(long, requires = "occurred_at")]
    event_id: Option<EventId>,
    /// When it happened, such as 2026-11-24T13:05:00Z
    #[arg(long, requires = "event_id")]
    occurred_at: Option<String>,
}

/// A quantity of the command line.
pub fn quantity(text: &str) -> Result<Quantity, String> {
    let units = text.parse::<u64>().map_err(|error| error.to_string())?;
    Quantity::new(units).map_err(|error| error.to_string())
}

impl Sku {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let row = match self {
            Self::List { store, item } => return list(client, out, store, item).await,
            Self::Create { row: RowArgs { store, item }, available } => {
                client.create_sku(&NewSku { store_id: store, item_id: item, available }).await?
            }
            Self::Get(RowArgs { store, item }) => client.row(&store, &item).await?,
            Self::Adjust { row, delta, reason, reference, expected_version } => {
                client
                    .adjust(&row.store, &row.item, &Adjust { delta, reason, reference, expected_version })
                    .await?
            }
            Self::Count { row, counted, as_of_seq, about } => {
                let About { reason, reference, event_id, occurred_at } = about;
                let body = Count { counted, as_of_seq, reason, reference, event_id, occurred_at };
                client.count(&row.store, &row.item, &body).await?
            }
            Self::Sale { row, qty, about } => {
                let About { reason, reference, event_id, occurred_at } = about;
                let body = Sale { qty, reason, reference, event_id, occurred_at };
                client.sale(&row.store, &row.item, &body).await?
            }
            Self::Receive { row, qty, r#return, about } => {
                let About { reason, reference, event_id, occurred_at } = about;
                let kind = if r#return { "RETURN" } else { "DELIVERY" }.to_owned();
                let body = Receive { qty, kind, reason, reference, event_id, occurred_at };
                client.receive(&row.store, &row.item, &body).await?
            }
            Self::Policy { row, safety_stock, backorder_limit, expected_version } => {
                let body = Policy { safety_stock, backorder_limit, expected_version };
                client.set_policy(&row.store, &row.item, &body).await?
            }
            Self::Retire { row, remove: false } => client.retire(&row.store, &row.item).await?,
            Self::Retire { row, remove: true } => client.remove_sku(&row.store, &row.item).await?,
        };
        out.print(&row, |row| tables::rows(std::slice::from_ref(row)))
    }
}

async fn list(client: &Client, out: &Output, store: Option<StoreId>, item: Option<ItemId>) -> Done {
    let rows = match (store, item) {
        (Some(store), _) => client.rows_of_store(&store).try_collect().await?,
        (None, Some(item)) => client.rows_of_item(&item).try_collect().await?,
        (None, None) => Vec::new(),
    };
    out.print(&rows, |rows: &Vec<Row>| tables::rows(rows))
}
