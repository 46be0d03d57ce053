//! `holdfast transfer`: goods between stores.

use clap::Subcommand;
use holdfast_sdk::Client;
use holdfast_sdk::api::{Cancel, Close, NewTransfer, ReceiveTransfer};
use holdfast_sdk::model::{ItemId, Quantity, Reason, Reference, StoreId, TransferId};
use uuid::Uuid;

use crate::output::Output;
use crate::sku::quantity;
use crate::{Done, tables};

/// Goods between stores.
#[derive(Debug, Subcommand)]
pub enum TransferCommand {
    /// Send goods
    Ship {
        /// The item
        item: ItemId,
        /// The store that gives
        from: StoreId,
        /// The store that gets
        to: StoreId,
        /// How many
        #[arg(value_parser = quantity)]
        qty: Quantity,
        /// Book the arrival in the same step
        #[arg(long)]
        at_once: bool,
        /// The transfer's id; made when absent
        #[arg(long)]
        id: Option<TransferId>,
        /// Why
        #[arg(long)]
        reason: Option<Reason>,
        /// What it belongs to
        #[arg(long)]
        reference: Option<Reference>,
    },
    /// Look at a transfer
    Get {
        /// The transfer
        transfer: TransferId,
    },
    /// Book an arrival, of all that is under way or of a part
    Receive {
        /// The transfer
        transfer: TransferId,
        /// How many
        #[arg(value_parser = quantity)]
        qty: Option<Quantity>,
    },
    /// End a transfer whose rest will not arrive
    Close {
        /// The transfer
        transfer: TransferId,
        /// Why it fell short
        #[arg(long)]
        reason: Reason,
    },
    /// Take back a transfer of which nothing has arrived
    Cancel {
        /// The transfer
        transfer: TransferId,
        /// Why
        #[arg(long)]
        reason: Option<Reason>,
    },
}

impl TransferCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let transfer = match self {
            Self::Ship { item, from, to, qty, at_once, id, reason, reference } => {
                let id = id.unwrap_or_else(|| TransferId::from_uuid(Uuid::now_v7()));
                let body = NewTransfer {
                    item_id: item,
                    from_store_id: from,
                    to_store_id: to,
                    qty,
                    at_once,
                    transfer_id: Some(id),
                    reason,
                    reference,
                };
                client
                    .transfer(body)
                    .await
                    .map_err(|error| error.about(&format!("repeat it with --id {id}")))?
            }
            Self::Get { transfer } => client.get_transfer(transfer).await?,
            Self::Receive { transfer, qty } => {
                client.receive_transfer(transfer, &ReceiveTransfer { qty }).await?
            }
            Self::Close { transfer, reason } => client.close_transfer(transfer, &Close { reason }).await?,
            Self::Cancel { transfer, reason } => client.cancel_transfer(transfer, &Cancel { reason }).await?,
        };
        out.print(&transfer, tables::transfer)
    }
}
