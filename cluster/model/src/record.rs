//! What the ledger holds: movements of stock, and what happened to orders, numbered together.

use serde::{Deserialize, Serialize};

use crate::{
    Actor, Amount, ClusterTime, HoldId, ItemId, Movement, OrderId, OrderStatus, PaymentId, Reason, Reference,
    Seq, StoreId, UtcMillis,
};

/// What happened to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum OrderEventKind {
    /// It came to be, and its hold with it.
    Placed,
    /// It has other lines, and another hold for them.
    LinesReplaced,
    /// A payment was accepted, and the goods are sold.
    Paid,
    /// A payment failed; the order stays as it is.
    PaymentFailed,
    /// It was taken back.
    Cancelled,
    /// Its hold was over before it was paid.
    Expired,
    /// A payment came in for which there was nothing to sell.
    RefundDue,
    /// Such a payment was given back.
    Refunded,
}

impl OrderEventKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Placed,
        Self::LinesReplaced,
        Self::Paid,
        Self::PaymentFailed,
        Self::Cancelled,
        Self::Expired,
        Self::RefundDue,
        Self::Refunded,
    ];
}

/// One immutable change of one order. It comes right after the movements that the same change made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// Its number.
    pub seq: Seq,
    /// When, in cluster time.
    pub at: ClusterTime,
    /// When, for people.
    pub at_utc: UtcMillis,
    /// What happened.
    pub kind: OrderEventKind,
    /// The order.
    pub order: OrderId,
    /// Where it stands after it.
    pub status: OrderStatus,
    /// The hold that it has after it.
    pub hold: HoldId,
    /// The payment, where one is concerned.
    pub payment: Option<PaymentId>,
    /// How much the payment was, where that was said.
    pub amount: Option<Amount>,
    /// Who asked.
    pub actor: Option<Actor>,
    /// Why.
    pub reason: Option<Reason>,
    /// What the order belongs to, told when it is placed.
    pub reference: Option<Reference>,
}

/// One record of the ledger. Each takes one sequence number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// A change of a stock row.
    Movement(Movement),
    /// A change of an order.
    Order(OrderEvent),
}

impl Record {
    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::Movement(movement) => movement.seq,
            Self::Order(event) => event.seq,
        }
    }

    /// When, in cluster time.
    #[must_use]
    pub const fn at(&self) -> ClusterTime {
        match self {
            Self::Movement(movement) => movement.at,
            Self::Order(event) => event.at,
        }
    }

    /// The store whose stock it changed; none for a change of an order, which may be over several.
    #[must_use]
    pub const fn store(&self) -> Option<&StoreId> {
        match self {
            Self::Movement(movement) => Some(&movement.store),
            Self::Order(_) => None,
        }
    }

    /// The item whose stock it changed; none for a change of an order.
    #[must_use]
    pub const fn item(&self) -> Option<&ItemId> {
        match self {
            Self::Movement(movement) => Some(&movement.item),
            Self::Order(_) => None,
        }
    }

    /// The movement, when it is one.
    #[must_use]
    pub const fn movement(&self) -> Option<&Movement> {
        match self {
            Self::Movement(movement) => Some(movement),
            Self::Order(_) => None,
        }
    }

    /// The movement, when it is one.
    #[must_use]
    pub fn into_movement(self) -> Option<Movement> {
        match self {
            Self::Movement(movement) => Some(movement),
            Self::Order(_) => None,
        }
    }
}
