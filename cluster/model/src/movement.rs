//! Changes of stock, as the ledger tells them.

use serde::{Deserialize, Serialize};

use crate::{
    Actor, ClusterTime, EventId, HoldId, ItemId, OrderId, Reason, Reference, StoreId, TransferId, UtcMillis,
};

/// The number of a record of the ledger: dense from 1, the same on every member. 0 stands for "before the first".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Seq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a movement did to its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MovementKind {
    /// A row came to be, with `qty` on hand.
    Created,
    /// `qty` went from available to reserved.
    Reserved,
    /// `qty` that was reserved was sold.
    Confirmed,
    /// `qty` went back from reserved to available.
    Released,
    /// `qty` went back from reserved to available since the hold was over.
    Expired,
    /// The hold of `qty` ends later; no balance changed.
    Extended,
    /// `qty` was sold in a store.
    Sold,
    /// `qty` arrived from outside the chain.
    Received,
    /// Available was corrected by `qty`, which may be negative.
    Adjusted,
    /// On hand was corrected by `qty` after a stocktake; may be negative or 0.
    Counted,
    /// `qty` left for another store.
    TransferOut,
    /// `qty` arrived from another store, or came back from a cancelled transfer.
    TransferIn,
    /// `qty` that was under way to this store will never arrive; no balance changed.
    Shortfall,
    /// What may be sold changed; no balance changed.
    Policy,
    /// The row takes no new holds; a second one says that the row is gone.
    Retired,
}

impl MovementKind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Created,
        Self::Reserved,
        Self::Confirmed,
        Self::Released,
        Self::Expired,
        Self::Extended,
        Self::Sold,
        Self::Received,
        Self::Adjusted,
        Self::Counted,
        Self::TransferOut,
        Self::TransferIn,
        Self::Shortfall,
        Self::Policy,
        Self::Retired,
    ];
}

/// What may be sold of a row beyond, or short of, what is available.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Units that holds and transfers leave untouched.
    pub safety_stock: u64,
    /// Units that holds may claim before they are there.
    pub backorder_limit: u64,
}

/// What made a movement happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A command on the row alone.
    Row,
    /// A hold; `expires_at` as it stands after the movement.
    Hold {
        /// The hold.
        hold: HoldId,
        /// When it ends, none when it does not.
        expires_at: Option<ClusterTime>,
        /// The order whose goods it holds.
        order: Option<OrderId>,
    },
    /// A transfer.
    Transfer {
        /// The transfer.
        transfer: TransferId,
    },
    /// An event that a store named.
    Event {
        /// The store's id of it.
        event: EventId,
    },
    /// A change of policy, with the new one.
    Policy(Policy),
}

/// One immutable change of one stock row, with the balances after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    /// Its number.
    pub seq: Seq,
    /// When, in cluster time.
    pub at: ClusterTime,
    /// When, for people.
    pub at_utc: UtcMillis,
    /// What it did.
    pub kind: MovementKind,
    /// The store.
    pub store: StoreId,
    /// The item.
    pub item: ItemId,
    /// How many; negative only where [`MovementKind`] says so.
    pub qty: i64,
    /// Available after it.
    pub available: i64,
    /// Reserved after it.
    pub reserved: u64,
    /// The row's change counter after it.
    pub version: u64,
    /// The row's movement before this one, 0 when it is the first.
    pub prev_seq: Seq,
    /// What made it happen.
    pub cause: Cause,
    /// Who asked.
    pub actor: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// What it belongs to.
    pub reference: Option<Reference>,
}

impl Movement {
    /// On hand after it.
    #[must_use]
    pub const fn on_hand(&self) -> i64 {
        self.available.saturating_add_unsigned(self.reserved)
    }
}
