//! What readers see of the state. Nothing here changes it.

use xxhash_rust::xxh3::xxh3_128;

use super::holds::Hold;
use super::orders::Order;
use super::registry::{DeadLetter, OfStore, Subscription};
use super::rows::{self, Number, Row};
use super::transfers::Transfer;
use super::{Clock, Inventory};
use crate::{
    ClusterTime, Config, DeadLetterId, DeadLetterView, Digest, HoldId, HoldLineView, HoldView, ItemId,
    OrderId, OrderStatus, OrderView, Outcome, RowKey, RowView, Seq, StoreId, SubscriptionId,
    SubscriptionView, TransferId, TransferView, codec,
};

/// Some rows, orders or other things, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// They, in the order in which they came to be.
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
    /// Orders that may be paid.
    pub orders_placed: u64,
    /// Orders that have ended and are still remembered.
    pub orders_ended: u64,
    /// Orders for which money is owed to the buyer.
    pub refunds_due: u64,
    /// Webhook subscriptions.
    pub subscriptions: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Idempotency keys that are remembered.
    pub keys: u64,
    /// Store events that are remembered.
    pub events: u64,
}

impl Inventory {
    /// Cluster time of the last entry.
    #[must_use]
    pub fn now(&self) -> ClusterTime {
        self.clock.now
    }

    /// What to add to cluster time to get UTC, in milliseconds; none before the first offset came.
    #[must_use]
    pub fn utc_offset_ms(&self) -> Option<i64> {
        self.clock.utc_offset_ms
    }

    /// The last movement.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.clock.last_seq
    }

    /// The oldest movement that the ledger keeps.
    #[must_use]
    pub fn ledger_start(&self) -> Seq {
        self.clock.ledger_start
    }

    /// The version of the rules in force.
    #[must_use]
    pub fn model_version(&self) -> u32 {
        self.clock.model_version
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The digest of the state, kept up to date by every change.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest {
            stock: self.sums.stock,
            holds: self.sums.holds,
            transfers: self.sums.transfers,
            orders: self.sums.orders,
            registry: self.sums.registry,
            keys: self.sums.keys,
            config: config_digest(&self.clock, &self.config),
        }
    }

    /// One row.
    #[must_use]
    pub fn row(&self, store: &StoreId, item: &ItemId) -> Option<RowView> {
        self.find_row(store, item).map(|ix| self.row_view(ix))
    }

    /// A store's rows, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn rows_of_store(&self, store: &StoreId, after: Option<u64>, limit: usize) -> Page<RowView> {
        let rows = self.stores.find(store.as_str()).map_or(&[][..], |store| self.rows.of_store(store));
        self.page(rows, after, limit)
    }

    /// An item's rows in all stores, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn rows_of_item(&self, item: &ItemId, after: Option<u64>, limit: usize) -> Page<RowView> {
        let rows = self.items.find(item.as_str()).map_or(&[][..], |item| self.rows.of_item(item));
        self.page(rows, after, limit)
    }

    fn page(&self, rows: &[u32], after: Option<u64>, limit: usize) -> Page<RowView> {
        let number = |ix: u32| self.rows.get(ix).number.get();
        let start = after.map_or(0, |after| rows.partition_point(|&ix| number(ix) <= after));
        let end = rows.len().min(start.saturating_add(limit));
        let items: Vec<RowView> = rows[start..end].iter().map(|&ix| self.row_view(ix)).collect();
        let next = if end < rows.len() { rows[..end].last().map(|&ix| number(ix)) } else { None };
        Page { items, next }
    }

    /// One hold, open or ended within the window.
    #[must_use]
    pub fn hold(&self, hold: HoldId) -> Option<HoldView> {
        self.holds.find(hold).map(|ix| self.hold_view(self.holds.get(ix)))
    }

    /// One transfer, open or ended within the window.
    #[must_use]
    pub fn transfer(&self, transfer: TransferId) -> Option<TransferView> {
        self.transfers.find(transfer).map(|ix| self.transfer_view(self.transfers.get(ix)))
    }

    /// One order, open or ended within the window.
    #[must_use]
    pub fn order(&self, order: OrderId) -> Option<OrderView> {
        self.orders.find(order).map(|ix| self.order_view(self.orders.get(ix)))
    }

    /// Orders, or those of a status, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn orders(&self, status: Option<OrderStatus>, after: Option<u64>, limit: usize) -> Page<OrderView> {
        let found = self.orders.page(status, after.unwrap_or(0), limit.saturating_add(1));
        self.page_of_orders(found, limit)
    }

    /// Orders for which money is owed to the buyer, likewise.
    #[must_use]
    pub fn orders_with_refund_due(&self, after: Option<u64>, limit: usize) -> Page<OrderView> {
        let found = self.orders.page_of_refunds(after.unwrap_or(0), limit.saturating_add(1));
        self.page_of_orders(found, limit)
    }

    /// The page of what was found, which is one more than fits when there is another page.
    fn page_of_orders(&self, mut found: Vec<u32>, limit: usize) -> Page<OrderView> {
        let is_last = found.len() <= limit;
        found.truncate(limit);
        let orders = || found.iter().map(|&ix| self.orders.get(ix));
        let next = if is_last { None } else { orders().next_back().map(|order| order.made_seq) };
        Page { items: orders().map(|order| self.order_view(order)).collect(), next }
    }

    /// One subscription, with its secrets.
    #[must_use]
    pub fn subscription(&self, id: SubscriptionId) -> Option<SubscriptionView> {
        self.subscriptions.find(id.uuid()).map(|ix| subscription_view(self.subscriptions.get(ix)))
    }

    /// A store's subscriptions, or all of them, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn subscriptions(
        &self,
        store: Option<&StoreId>,
        after: Option<u64>,
        limit: usize,
    ) -> Page<SubscriptionView> {
        let found = self.subscriptions.page(store, after.unwrap_or(0), limit.saturating_add(1));
        numbered_page(&found, limit, subscription_view)
    }

    /// One dead letter.
    #[must_use]
    pub fn dead_letter(&self, id: DeadLetterId) -> Option<DeadLetterView> {
        self.letters.find(id.uuid()).map(|ix| self.letter_view(self.letters.get(ix)))
    }

    /// A store's dead letters, or all of them, at most `limit`, after the place that an earlier page named.
    #[must_use]
    pub fn dead_letters(
        &self,
        store: Option<&StoreId>,
        after: Option<u64>,
        limit: usize,
    ) -> Page<DeadLetterView> {
        let found = self.letters.page(store, after.unwrap_or(0), limit.saturating_add(1));
        numbered_page(&found, limit, |letter| self.letter_view(letter))
    }

    fn letter_view(&self, letter: &DeadLetter) -> DeadLetterView {
        DeadLetterView {
            letter: letter.id,
            store: letter.store.clone(),
            direction: letter.direction,
            status: letter.status,
            reason: letter.reason.clone(),
            body: letter.body.clone(),
            at: letter.at,
            at_utc: letter.at.to_utc(self.clock.utc_offset_ms.unwrap_or_default()),
        }
    }

    /// When the next open hold is due; none when no open hold has a deadline.
    #[must_use]
    pub fn next_deadline(&self) -> Option<ClusterTime> {
        self.holds.next_due().map(|(deadline, _)| deadline)
    }

    /// How much there is of everything.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            rows: self.rows.count(),
            holds_open: self.holds.open_count(),
            holds_ended: self.holds.ended_count(),
            holds_due: self.holds.due_count(self.clock.now),
            transfers_open: self.transfers.open_count(),
            orders_placed: self.orders.count(OrderStatus::Placed),
            orders_ended: self.orders.len() - self.orders.count(OrderStatus::Placed),
            refunds_due: self.orders.refund_due_count(),
            subscriptions: self.subscriptions.len(),
            dead_letters: self.letters.len(),
            keys: self.keys.len(),
            events: self.events.len(),
        }
    }

    pub(super) fn row_view(&self, ix: u32) -> RowView {
        rows::view(self.rows.get(ix), self.row_key(ix))
    }

    pub(super) fn row_key(&self, ix: u32) -> RowKey {
        rows::key(self.rows.get(ix), &self.stores, &self.items)
    }

    /// A row as it is, or, when it is gone, nothing but its key.
    pub(super) fn row_or_blank(&self, key: RowKey) -> RowView {
        match self.find_row(&key.store, &key.item) {
            Some(ix) => rows::view(self.rows.get(ix), key),
            None => rows::view(&Row::new((0, 0), Number::default(), 0), key),
        }
    }

    pub(super) fn hold_outcome(&self, ix: u32) -> Outcome {
        Outcome::Hold(self.hold_view(self.holds.get(ix)))
    }

    pub(super) fn hold_view(&self, hold: &Hold) -> HoldView {
        let lines = hold.lines().iter().map(|line| HoldLineView {
            row: self.row_key(line.row),
            requested: line.requested,
            granted: line.granted,
            reserved: line.reserved,
            confirmed: line.confirmed,
            released: line.released,
            expired: line.expired(),
        });
        let left = |deadline: ClusterTime| {
            if hold.ended_by.is_some() { 0 } else { deadline.since(self.clock.now) }
        };
        HoldView {
            hold: hold.id,
            status: hold.status(),
            expires_at: hold.deadline,
            expires_at_utc: hold.deadline.map(|at| at.to_utc(self.clock.utc_offset_ms.unwrap_or_default())),
            expires_in_ms: hold.deadline.map(left),
            owner: hold.owner.clone(),
            order: hold.order,
            lines: lines.collect(),
        }
    }

    pub(super) fn order_view(&self, order: &Order) -> OrderView {
        let hold = self.holds.find(order.hold).expect("an order keeps its hold");
        OrderView {
            order: order.id,
            status: order.status,
            reference: order.reference.clone(),
            hold: self.hold_view(self.holds.get(hold)),
            payments: order.payments.iter().map(|known| known.payment.clone()).collect(),
        }
    }

    pub(super) fn transfer_view(&self, transfer: &Transfer) -> TransferView {
        let (from, to) = (self.row_key(transfer.from), self.row_key(transfer.to));
        TransferView {
            transfer: transfer.id,
            status: transfer.status,
            item: from.item,
            from: from.store,
            to: to.store,
            qty: transfer.qty,
            received: transfer.received,
            shortfall: transfer.shortfall,
            returned: transfer.returned,
        }
    }
}

fn subscription_view(subscription: &Subscription) -> SubscriptionView {
    SubscriptionView {
        subscription: subscription.id,
        store: subscription.store.clone(),
        url: subscription.url.clone(),
        secrets: subscription.secrets.clone(),
        description: subscription.description.clone(),
    }
}

/// The page of what was found, which is one more than fits when there is another page.
fn numbered_page<T: OfStore, V>(found: &[&T], limit: usize, view: impl Fn(&T) -> V) -> Page<V> {
    let shown = &found[..found.len().min(limit)];
    let next = if found.len() > limit { shown.last().map(|last| last.number()) } else { None };
    Page { items: shown.iter().map(|record| view(record)).collect(), next }
}

/// The part of the digest that is small enough to be made when it is asked for.
pub(super) fn config_digest(clock: &Clock, config: &Config) -> u128 {
    xxh3_128(&codec::encode(&(clock, config)))
}
