//! Every call of the contract, typed.

use holdfast_api::{
    AddMember, Adjust, Audit, Cancel, Close, ConfirmHold, Count, Extend, Hold, NewHold, NewSku, NewTransfer,
    Policy, Receive, ReceiveTransfer, ReleaseHold, Reserve, Retire, Row, Sale, Settings, Status, Transfer,
    TransferLeadership, TrimLedger, WireRequest,
};
use holdfast_model::{HoldId, ItemId, Reply, StoreId, TransferId, codec};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::Payload;
use crate::{Client, Error};

/// A key for a change that names no id of its own.
fn new_key() -> String {
    Uuid::new_v4().to_string()
}

fn row_path(store: &StoreId, item: &ItemId, action: &str) -> String {
    format!("/inventory/{store}/items/{item}{action}")
}

impl Client {
    /// Makes a row. A repeat within one call has one effect.
    ///
    /// # Errors
    /// See [`Error`]; so for every call here.
    pub async fn create_sku(&self, body: &NewSku) -> Result<Row, Error> {
        self.change(Method::POST, "/admin/newSKU", Some(&new_key()), body).await
    }

    /// A row.
    pub async fn row(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.get(&row_path(store, item, "")).await
    }

    /// A row as it was right after a movement: its balances, version and sequence.
    pub async fn row_at(&self, store: &StoreId, item: &ItemId, seq: u64) -> Result<Value, Error> {
        self.get(&row_path(store, item, &format!("?atSeq={seq}"))).await
    }

    /// Holds one line; an id is made when there is none.
    pub async fn reserve(&self, store: &StoreId, item: &ItemId, mut body: Reserve) -> Result<Hold, Error> {
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::POST, &row_path(store, item, "/reserve"), None, &body).await
    }

    /// Holds many lines; an id is made when there is none.
    pub async fn hold(&self, mut body: NewHold) -> Result<Hold, Error> {
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::POST, "/holds", None, &body).await
    }

    /// A hold.
    pub async fn get_hold(&self, hold: HoldId) -> Result<Hold, Error> {
        self.get(&format!("/holds/{hold}")).await
    }

    /// Sells a hold, or lines of it.
    pub async fn confirm(&self, hold: HoldId, body: &ConfirmHold) -> Result<Hold, Error> {
        self.change(Method::POST, &format!("/holds/{hold}/confirm"), Some(&new_key()), body).await
    }

    /// Gives back a hold, or lines of it.
    pub async fn release(&self, hold: HoldId, body: &ReleaseHold) -> Result<Hold, Error> {
        self.change(Method::POST, &format!("/holds/{hold}/release"), Some(&new_key()), body).await
    }

    /// Lets a hold last longer.
    pub async fn extend(&self, hold: HoldId, ttl_seconds: u64) -> Result<Hold, Error> {
        let body = Extend { ttl_seconds };
        self.change(Method::POST, &format!("/holds/{hold}/extend"), Some(&new_key()), &body).await
    }

    /// Corrects what is available.
    pub async fn adjust(&self, store: &StoreId, item: &ItemId, body: &Adjust) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/adjust"), Some(&new_key()), body).await
    }

    /// Books a stocktake.
    pub async fn count(&self, store: &StoreId, item: &ItemId, body: &Count) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/count"), Some(&new_key()), body).await
    }

    /// Books a sale that has happened.
    pub async fn sale(&self, store: &StoreId, item: &ItemId, body: &Sale) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/sale"), Some(&new_key()), body).await
    }

    /// Books goods that have arrived.
    pub async fn receive(&self, store: &StoreId, item: &ItemId, body: &Receive) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/receive"), Some(&new_key()), body).await
    }

    /// Sets what may be sold of a row.
    pub async fn set_policy(&self, store: &StoreId, item: &ItemId, body: &Policy) -> Result<Row, Error> {
        self.change(Method::PUT, &row_path(store, item, "/policy"), Some(&new_key()), body).await
    }

    /// Stops new holds on a row.
    pub async fn retire(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/retire"), Some(&new_key()), &Retire {}).await
    }

    /// Takes an empty row away.
    pub async fn remove_sku(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.change(Method::DELETE, &row_path(store, item, ""), Some(&new_key()), &Retire {}).await
    }

    /// Sends goods to another store; an id is made when there is none.
    pub async fn transfer(&self, mut body: NewTransfer) -> Result<Transfer, Error> {
        body.transfer_id.get_or_insert_with(|| TransferId::from_uuid(Uuid::now_v7()));
        self.change(Method::POST, "/transfers", None, &body).await
    }

    /// A transfer.
    pub async fn get_transfer(&self, transfer: TransferId) -> Result<Transfer, Error> {
        self.get(&format!("/transfers/{transfer}")).await
    }

    /// Books an arrival.
    pub async fn receive_transfer(
        &self,
        transfer: TransferId,
        body: &ReceiveTransfer,
    ) -> Result<Transfer, Error> {
        self.change(Method::POST, &format!("/transfers/{transfer}/receive"), Some(&new_key()), body).await
    }

    /// Ends a transfer whose rest will not arrive.
    pub async fn close_transfer(&self, transfer: TransferId, body: &Close) -> Result<Transfer, Error> {
        self.change(Method::POST, &format!("/transfers/{transfer}/close"), Some(&new_key()), body).await
    }

    /// Takes a transfer back.
    pub async fn cancel_transfer(&self, transfer: TransferId, body: &Cancel) -> Result<Transfer, Error> {
        self.change(Method::POST, &format!("/transfers/{transfer}/cancel"), Some(&new_key()), body).await
    }

    /// Carries out many commands in one go, each decided by itself. Commands that make something get an id, and the
    /// others a key, before anything is sent, so that a repeat within this call has one effect.
    pub async fn batch(&self, mut commands: Vec<WireRequest>) -> Result<Vec<Reply>, Error> {
        for request in &mut commands {
            give_id(request);
        }
        let payload = Payload::Octets(codec::encode(&commands));
        let body = self.call(Method::POST, "/batch", None, &payload).await?;
        codec::decode(&body).map_err(|error| Error::Protocol(error.to_string()))
    }

    /// The replicated settings.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.get("/config").await
    }

    /// Changes replicated settings.
    pub async fn configure(&self, settings: &Settings) -> Result<Settings, Error> {
        self.change(Method::PUT, "/config", None, settings).await
    }

    /// Drops the beginning of the ledger; returns the oldest sequence that is left.
    pub async fn trim_ledger(&self, before: u64) -> Result<Value, Error> {
        self.change(Method::POST, "/ledger/trim", None, &TrimLedger { before }).await
    }

    /// How one node stands.
    pub async fn status_of(&self, endpoint: &str) -> Result<Status, Error> {
        self.get_from(endpoint, "/cluster").await
    }

    /// The invariants on one node.
    pub async fn audit_of(&self, endpoint: &str) -> Result<Audit, Error> {
        self.get_from(endpoint, "/audit").await
    }

    /// Admits a member that waits.
    pub async fn add_member(&self, body: &AddMember) -> Result<Status, Error> {
        self.change(Method::POST, "/cluster/members", None, body).await
    }

    /// Makes a learner a voter.
    pub async fn promote(&self, id: u64) -> Result<Status, Error> {
        self.change(Method::POST, &format!("/cluster/members/{id}/promote"), None, &json!({})).await
    }

    /// Takes a member out for good.
    pub async fn remove_member(&self, id: u64) -> Result<Status, Error> {
        self.change(Method::DELETE, &format!("/cluster/members/{id}"), None, &json!({})).await
    }

    /// Hands leadership over.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<Status, Error> {
        self.change(Method::POST, "/cluster/leader", None, &TransferLeadership { to }).await
    }
}

/// An id for a new hold.
fn new_hold_id() -> HoldId {
    HoldId::from_uuid(Uuid::now_v7())
}

fn give_id(request: &mut WireRequest) {
    use holdfast_model::Command;
    match &mut request.command {
        Command::Reserve { hold, .. } => {
            if hold.uuid().is_nil() {
                *hold = new_hold_id();
            }
        }
        Command::Transfer { transfer, .. } => {
            if transfer.uuid().is_nil() {
                *transfer = TransferId::from_uuid(Uuid::now_v7());
            }
        }
        _ => {
            request.idempotency_key.get_or_insert_with(new_key);
        }
    }
}
