//! What readers see of the state.

use serde::{Deserialize, Serialize};

use crate::{
    ClusterTime, HoldId, ItemId, OrderId, OrderStatus, Owner, Payment, PaymentState, Policy, Reference, Seq,
    StoreId, TransferId, UtcMillis,
};

/// Which stock row: an item in a store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowKey {
    /// The store.
    pub store: StoreId,
    /// The item.
    pub item: ItemId,
}

/// A stock row as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowView {
    /// Which row.
    pub row: RowKey,
    /// On hand − reserved.
    pub available: i64,
    /// Held for somebody.
    pub reserved: u64,
    /// Its change counter.
    pub version: u64,
    /// Its last movement.
    pub last_seq: Seq,
    /// What may be sold beyond or short of it.
    pub policy: Policy,
    /// Takes no new holds.
    pub retired: bool,
    /// On hand when the row was made.
    pub opening: u64,
    /// Arrived from outside since.
    pub received: u64,
    /// Sum of all corrections.
    pub adjusted: i64,
    /// Sum of what stocktakes corrected.
    pub counted: i64,
    /// Arrived from other stores.
    pub transferred_in: u64,
    /// Left for other stores.
    pub transferred_out: u64,
    /// Sold, by confirmed holds and recorded sales.
    pub sold: u64,
}

impl RowView {
    /// Physically present, as far as is known; negative when goods are owed.
    #[must_use]
    pub const fn on_hand(&self) -> i64 {
        self.available.saturating_add_unsigned(self.reserved)
    }

    /// What a hold could claim now; negative when more than that is already claimed.
    #[must_use]
    pub const fn sellable(&self) -> i64 {
        self.available
            .saturating_sub_unsigned(self.policy.safety_stock)
            .saturating_add_unsigned(self.policy.backorder_limit)
    }

    /// More is promised or gone than stock and backorder limit bear.
    #[must_use]
    pub const fn oversold(&self) -> bool {
        self.available.saturating_add_unsigned(self.policy.backorder_limit) < 0
    }
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum HoldStatus {
    /// Something is still reserved.
    Held,
    /// It has ended, and something of it was sold.
    Confirmed,
    /// It has ended by being given back.
    Released,
    /// It has ended by its deadline.
    Expired,
}

/// One line of a hold. reserved + confirmed + released + expired = granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldLineView {
    /// Which row.
    pub row: RowKey,
    /// What was asked for.
    pub requested: u64,
    /// What was given; less than `requested` only where a part was allowed.
    pub granted: u64,
    /// Still held.
    pub reserved: u64,
    /// Sold.
    pub confirmed: u64,
    /// Given back.
    pub released: u64,
    /// Given back by the deadline.
    pub expired: u64,
}

/// A hold as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// Which hold.
    pub hold: HoldId,
    /// Where it stands.
    pub status: HoldStatus,
    /// When it ends in cluster time; none when it does not by itself.
    pub expires_at: Option<ClusterTime>,
    /// The same for people.
    pub expires_at_utc: Option<UtcMillis>,
    /// Milliseconds that are left, 0 when it is over or has ended.
    pub expires_in_ms: Option<u64>,
    /// Whom it is for.
    pub owner: Option<Owner>,
    /// The order whose goods it holds.
    pub order: Option<OrderId>,
    /// Its lines, in the order in which they were asked for.
    pub lines: Vec<HoldLineView>,
}

/// An order as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderView {
    /// Which order.
    pub order: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// What it belongs to.
    pub reference: Option<Reference>,
    /// The hold of its goods: whom it is for, its lines, until when it may be paid.
    pub hold: HoldView,
    /// Its payments, in the order in which they first came.
    pub payments: Vec<Payment>,
}

impl OrderView {
    /// Whether money is owed to the buyer.
    #[must_use]
    pub fn is_refund_due(&self) -> bool {
        self.payments.iter().any(|payment| payment.state == PaymentState::RefundDue)
    }
}

/// Where a transfer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TransferStatus {
    /// Something is under way.
    Shipped,
    /// Nothing is under way any more: it arrived or fell short.
    Received,
    /// It was taken back.
    Cancelled,
}

/// A transfer as it stands. received + shortfall + returned + under way = qty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferView {
    /// Which transfer.
    pub transfer: TransferId,
    /// Where it stands.
    pub status: TransferStatus,
    /// The item.
    pub item: ItemId,
    /// The store that gave.
    pub from: StoreId,
    /// The store that gets.
    pub to: StoreId,
    /// What was sent.
    pub qty: u64,
    /// What has arrived.
    pub received: u64,
    /// What will never arrive.
    pub shortfall: u64,
    /// What went back when it was cancelled.
    pub returned: u64,
}

impl TransferView {
    /// What is still under way.
    #[must_use]
    pub const fn in_transit(&self) -> u64 {
        self.qty - self.received - self.shortfall - self.returned
    }
}

/// A 128-bit hash of the state in parts, each the sum of its records' hashes.
///
/// Members at the same applied index have the same one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// Stock rows.
    pub stock: u128,
    /// Holds.
    pub holds: u128,
    /// Transfers.
    pub transfers: u128,
    /// Orders.
    pub orders: u128,
    /// Subscriptions and dead letters.
    pub registry: u128,
    /// Idempotency keys and store events.
    pub keys: u128,
    /// Clock, sequence, settings, version of the rules.
    pub config: u128,
}

impl Digest {
    /// One number for all parts.
    #[must_use]
    pub fn total(&self) -> u128 {
        let parts =
            [self.stock, self.holds, self.transfers, self.orders, self.registry, self.keys, self.config];
        xxhash_rust::xxh3::xxh3_128(&parts.map(u128::to_le_bytes).concat())
    }
}
