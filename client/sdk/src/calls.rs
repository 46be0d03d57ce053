//! Every call of the contract, typed. The path of each is the contract's; what makes a repeat of it safe is said here.

use holdfast_api::{
    AddMember, Adjust, Audit, BatchBody, BatchCommand, BatchResult, Cancel, Close, Confirm, ConfirmHold,
    Count, DeadLetter, Extend, Hold, NewDeadLetter, NewHold, NewSku, NewSubscription, NewTransfer, Order,
    PayOrder, PlaceOrder, Policy, Receive, ReceiveTransfer, RefundOrder, Release, ReleaseHold,
    ReplaceOrderLines, Reserve, Retire, Row, Sale, Settings, Status, Subscription, Transfer,
    TransferLeadership, TrimLedger,
};
use holdfast_model::{DeadLetterId, HoldId, ItemId, OrderId, StoreId, SubscriptionId, TransferId};
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attempt::Call;
use crate::batch::is_named;
use crate::client::{parse, payload};
use crate::{Client, Error};

/// What makes a repeat of a change safe.
enum Repeat {
    /// It names a hold, a transfer, an order or a store's event, or sets what it sets however often it comes.
    Named,
    /// A key, made here.
    Keyed,
    /// Nothing: it is not repeated once it may have been carried out.
    Never,
}

impl Repeat {
    /// A change of a whole thing is known by the thing's id; one of a part of it needs a key.
    const fn whole(is_whole: bool) -> Self {
        if is_whole { Self::Named } else { Self::Keyed }
    }
}

fn row_path(store: &StoreId, item: &ItemId, action: &str) -> String {
    format!("/inventory/{store}/items/{item}{action}")
}

/// The calls that change or look up stock.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// Makes a row.
    pub async fn create_sku(&self, body: &NewSku) -> Result<Row, Error> {
        self.change(Method::POST, "/admin/newSKU", Repeat::Keyed, body).await
    }

    /// A row.
    pub async fn row(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.get(&row_path(store, item, "")).await
    }

    /// A row as it was right after a movement: its balances, version and sequence.
    pub async fn row_at(&self, store: &StoreId, item: &ItemId, seq: u64) -> Result<Value, Error> {
        self.get(&row_path(store, item, &format!("?atSeq={seq}"))).await
    }

    /// Corrects what is available.
    pub async fn adjust(&self, store: &StoreId, item: &ItemId, body: &Adjust) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/adjust"), Repeat::Keyed, body).await
    }

    /// Books a stocktake.
    pub async fn count(&self, store: &StoreId, item: &ItemId, body: &Count) -> Result<Row, Error> {
        let repeat = Repeat::whole(body.event_id.is_some());
        self.change(Method::POST, &row_path(store, item, "/count"), repeat, body).await
    }

    /// Books a sale that has happened.
    pub async fn sale(&self, store: &StoreId, item: &ItemId, body: &Sale) -> Result<Row, Error> {
        let repeat = Repeat::whole(body.event_id.is_some());
        self.change(Method::POST, &row_path(store, item, "/sale"), repeat, body).await
    }

    /// Books goods that have arrived.
    pub async fn receive(&self, store: &StoreId, item: &ItemId, body: &Receive) -> Result<Row, Error> {
        let repeat = Repeat::whole(body.event_id.is_some());
        self.change(Method::POST, &row_path(store, item, "/receive"), repeat, body).await
    }

    /// Sets what may be sold of a row.
    pub async fn set_policy(&self, store: &StoreId, item: &ItemId, body: &Policy) -> Result<Row, Error> {
        self.change(Method::PUT, &row_path(store, item, "/policy"), Repeat::Keyed, body).await
    }

    /// Stops new holds on a row.
    pub async fn retire(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.change(Method::POST, &row_path(store, item, "/retire"), Repeat::Keyed, &Retire {}).await
    }

    /// Takes an empty row away.
    pub async fn remove_sku(&self, store: &StoreId, item: &ItemId) -> Result<Row, Error> {
        self.change(Method::DELETE, &row_path(store, item, ""), Repeat::Keyed, &Retire {}).await
    }
}

/// The calls that hold stock.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// Holds one line; an id is made when there is none.
    pub async fn reserve(&self, store: &StoreId, item: &ItemId, mut body: Reserve) -> Result<Hold, Error> {
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::POST, &row_path(store, item, "/reserve"), Repeat::Named, &body).await
    }

    /// Sells a hold of one line, or a part of it.
    pub async fn confirm_line(&self, store: &StoreId, item: &ItemId, body: &Confirm) -> Result<Hold, Error> {
        let repeat = Repeat::whole(body.qty.is_none());
        self.change(Method::POST, &row_path(store, item, "/confirm"), repeat, body).await
    }

    /// Gives back a hold of one line, or a part of it.
    pub async fn release_line(&self, store: &StoreId, item: &ItemId, body: &Release) -> Result<Hold, Error> {
        let repeat = Repeat::whole(body.qty.is_none());
        self.change(Method::POST, &row_path(store, item, "/release"), repeat, body).await
    }

    /// Holds many lines; an id is made when there is none.
    pub async fn hold(&self, mut body: NewHold) -> Result<Hold, Error> {
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::POST, "/holds", Repeat::Named, &body).await
    }

    /// A hold.
    pub async fn get_hold(&self, hold: HoldId) -> Result<Hold, Error> {
        self.get(&format!("/holds/{hold}")).await
    }

    /// Sells a hold, or lines of it.
    pub async fn confirm(&self, hold: HoldId, body: &ConfirmHold) -> Result<Hold, Error> {
        let repeat = Repeat::whole(body.lines.is_none());
        self.change(Method::POST, &format!("/holds/{hold}/confirm"), repeat, body).await
    }

    /// Gives back a hold, or lines of it.
    pub async fn release(&self, hold: HoldId, body: &ReleaseHold) -> Result<Hold, Error> {
        let repeat = Repeat::whole(body.lines.is_none());
        self.change(Method::POST, &format!("/holds/{hold}/release"), repeat, body).await
    }

    /// Lets a hold last `ttl_seconds` from now.
    pub async fn extend(&self, hold: HoldId, ttl_seconds: u64) -> Result<Hold, Error> {
        let path = format!("/holds/{hold}/extend");
        self.change(Method::POST, &path, Repeat::Keyed, &Extend { ttl_seconds }).await
    }
}

/// The calls about goods between stores.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// Sends goods to another store; an id is made when there is none.
    pub async fn transfer(&self, mut body: NewTransfer) -> Result<Transfer, Error> {
        body.transfer_id.get_or_insert_with(new_transfer_id);
        self.change(Method::POST, "/transfers", Repeat::Named, &body).await
    }

    /// A transfer.
    pub async fn get_transfer(&self, transfer: TransferId) -> Result<Transfer, Error> {
        self.get(&format!("/transfers/{transfer}")).await
    }

    /// Books an arrival, of all that is under way or of a part.
    pub async fn receive_transfer(
        &self,
        transfer: TransferId,
        body: &ReceiveTransfer,
    ) -> Result<Transfer, Error> {
        let repeat = Repeat::whole(body.qty.is_none());
        self.change(Method::POST, &format!("/transfers/{transfer}/receive"), repeat, body).await
    }

    /// Ends a transfer whose rest will not arrive.
    pub async fn close_transfer(&self, transfer: TransferId, body: &Close) -> Result<Transfer, Error> {
        self.change(Method::POST, &format!("/transfers/{transfer}/close"), Repeat::Named, body).await
    }

    /// Takes a transfer back.
    pub async fn cancel_transfer(&self, transfer: TransferId, body: &Cancel) -> Result<Transfer, Error> {
        self.change(Method::POST, &format!("/transfers/{transfer}/cancel"), Repeat::Named, body).await
    }
}

/// The calls about orders.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// Places an order; ids are made where there are none.
    pub async fn place_order(&self, mut body: PlaceOrder) -> Result<Order, Error> {
        body.order_id.get_or_insert_with(new_order_id);
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::POST, "/orders", Repeat::Named, &body).await
    }

    /// An order.
    pub async fn get_order(&self, order: OrderId) -> Result<Order, Error> {
        self.get(&format!("/orders/{order}")).await
    }

    /// Gives an order other lines; the id of its new hold is made when there is none.
    pub async fn replace_order_lines(
        &self,
        order: OrderId,
        mut body: ReplaceOrderLines,
    ) -> Result<Order, Error> {
        body.hold_id.get_or_insert_with(new_hold_id);
        self.change(Method::PUT, &format!("/orders/{order}/lines"), Repeat::Named, &body).await
    }

    /// Says how a payment of an order went.
    pub async fn pay_order(&self, order: OrderId, body: &PayOrder) -> Result<Order, Error> {
        self.change(Method::POST, &format!("/orders/{order}/payment"), Repeat::Named, body).await
    }

    /// Takes an order back before it is paid.
    pub async fn cancel_order(&self, order: OrderId, body: &Cancel) -> Result<Order, Error> {
        self.change(Method::POST, &format!("/orders/{order}/cancel"), Repeat::Named, body).await
    }

    /// Says that a payment which was owed was given back.
    pub async fn refund_order(&self, order: OrderId, body: &RefundOrder) -> Result<Order, Error> {
        self.change(Method::POST, &format!("/orders/{order}/refund"), Repeat::Named, body).await
    }
}

/// The calls about what is kept for stores. Taking something away carries a key, since a repeat would be told that it is
/// not there.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// Makes a webhook subscription, or gives the one that is there another secret; an id is made when there is none.
    /// Returns the id.
    pub async fn add_subscription(&self, mut body: NewSubscription) -> Result<SubscriptionId, Error> {
        let id = *body.subscription_id.get_or_insert_with(new_subscription_id);
        let _: Value = self.change(Method::POST, "/subscriptions", Repeat::Named, &body).await?;
        Ok(id)
    }

    /// A subscription; with its secrets for whoever is to sign with them.
    pub async fn get_subscription(
        &self,
        subscription: SubscriptionId,
        with_secrets: bool,
    ) -> Result<Subscription, Error> {
        let secrets = if with_secrets { "?secrets=1" } else { "" };
        self.get(&format!("/subscriptions/{subscription}{secrets}")).await
    }

    /// Takes a subscription away, secrets and all.
    pub async fn remove_subscription(&self, subscription: SubscriptionId) -> Result<Value, Error> {
        let path = format!("/subscriptions/{subscription}");
        self.change(Method::DELETE, &path, Repeat::Keyed, &Retire {}).await
    }

    /// Keeps a dead letter; an id is made when there is none. Returns the id.
    pub async fn keep_dead_letter(&self, mut body: NewDeadLetter) -> Result<DeadLetterId, Error> {
        let id = *body.dead_letter_id.get_or_insert_with(new_dead_letter_id);
        let _: Value = self.change(Method::POST, "/dead-letters", Repeat::Named, &body).await?;
        Ok(id)
    }

    /// A dead letter.
    pub async fn get_dead_letter(&self, letter: DeadLetterId) -> Result<DeadLetter, Error> {
        self.get(&format!("/dead-letters/{letter}")).await
    }

    /// Marks a dead letter to be tried again.
    pub async fn requeue_dead_letter(&self, letter: DeadLetterId) -> Result<Value, Error> {
        let path = format!("/dead-letters/{letter}/requeue");
        self.change(Method::POST, &path, Repeat::Named, &Retire {}).await
    }

    /// Takes a dead letter away.
    pub async fn remove_dead_letter(&self, letter: DeadLetterId) -> Result<Value, Error> {
        self.change(Method::DELETE, &format!("/dead-letters/{letter}"), Repeat::Keyed, &Retire {}).await
    }
}

/// The calls about the cluster and its settings.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Client {
    /// The replicated settings.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.get("/config").await
    }

    /// Changes the replicated settings that are named, together or not at all; returns all of them.
    pub async fn configure(&self, settings: &Settings) -> Result<Settings, Error> {
        self.change(Method::PUT, "/config", Repeat::Keyed, settings).await
    }

    /// Drops the beginning of the ledger; returns the oldest sequence that is left.
    pub async fn trim_ledger(&self, before: u64) -> Result<Value, Error> {
        self.change(Method::POST, "/ledger/trim", Repeat::Keyed, &TrimLedger { before }).await
    }

    /// How one node stands, asked once.
    pub async fn status_of(&self, endpoint: &str) -> Result<Status, Error> {
        self.ask(endpoint, &Call::get("/cluster")).await
    }

    /// Whether the invariants hold on one node, asked once.
    pub async fn audit_of(&self, endpoint: &str) -> Result<Audit, Error> {
        self.ask(endpoint, &Call::get("/audit")).await
    }

    /// Takes a snapshot on one node; returns its index.
    pub async fn snapshot_of(&self, endpoint: &str) -> Result<Value, Error> {
        let payload = payload(&json!({}))?;
        let call =
            Call { method: Method::POST, path: "/cluster/snapshot", key: None, payload, is_repeatable: true };
        self.ask(endpoint, &call).await
    }

    /// Admits a member that waits.
    pub async fn add_member(&self, body: &AddMember) -> Result<Status, Error> {
        self.change(Method::POST, "/cluster/members", Repeat::Named, body).await
    }

    /// Makes a learner a voter.
    pub async fn promote(&self, id: u64) -> Result<Status, Error> {
        self.change(Method::POST, &format!("/cluster/members/{id}/promote"), Repeat::Named, &json!({})).await
    }

    /// Takes a member out for good. A repeat would be told that there is no such member.
    pub async fn remove_member(&self, id: u64) -> Result<Status, Error> {
        self.change(Method::DELETE, &format!("/cluster/members/{id}"), Repeat::Never, &json!({})).await
    }

    /// Hands leadership over. A repeat would hand it on once more.
    pub async fn transfer_leadership(&self, to: Option<u64>) -> Result<Status, Error> {
        self.change(Method::POST, "/cluster/leader", Repeat::Never, &TransferLeadership { to }).await
    }
}

impl Client {
    /// Carries out a batch that is written as JSON, as [`BatchBody`] reads it; each command is decided by itself. A call
    /// that may have been carried out is repeated only when every command has an id or key of its own.
    /// [`Client::batch`] gives them one, and is faster.
    ///
    /// # Errors
    /// See [`Error`]; it is [`Error::Invalid`] when the JSON is no batch.
    pub async fn batch_json(&self, batch: &Value) -> Result<BatchResult, Error> {
        let body =
            BatchBody::deserialize(batch).map_err(|error| Error::Invalid(format!("no batch: {error}")))?;
        let is_safe = |one: &BatchCommand| one.idempotency_key.is_some() || is_named(&one.command);
        let repeat = if body.commands.iter().all(is_safe) { Repeat::Named } else { Repeat::Never };
        self.change(Method::POST, "/batch", repeat, batch).await
    }

    async fn change<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        repeat: Repeat,
        body: &B,
    ) -> Result<T, Error> {
        let made = (matches!(repeat, Repeat::Keyed) && self.key().is_none()).then(new_key);
        let key = self.key().or(made.as_deref());
        let is_repeatable = !matches!(repeat, Repeat::Never);
        let call = Call { method, path, key, payload: payload(body)?, is_repeatable };
        parse(&self.call(&call).await?)
    }
}

/// A key for a change that names nothing of its own.
pub(crate) fn new_key() -> String {
    Uuid::new_v4().to_string()
}

/// An id for a new hold.
pub(crate) fn new_hold_id() -> HoldId {
    HoldId::from_uuid(Uuid::now_v7())
}

/// An id for a new transfer.
pub(crate) fn new_transfer_id() -> TransferId {
    TransferId::from_uuid(Uuid::now_v7())
}

/// An id for a new order.
pub(crate) fn new_order_id() -> OrderId {
    OrderId::from_uuid(Uuid::now_v7())
}

/// An id for a new subscription.
pub(crate) fn new_subscription_id() -> SubscriptionId {
    SubscriptionId::from_uuid(Uuid::now_v7())
}

/// An id for a new dead letter.
pub(crate) fn new_dead_letter_id() -> DeadLetterId {
    DeadLetterId::from_uuid(Uuid::now_v7())
}
