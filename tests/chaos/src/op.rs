//! What clients ask for and what they are told, in the few words that the checks need.
//!
//! Stock lies on *shelves*: two rows of one store, which only operations of that shelf touch. So the history falls into
//! parts that are checked by themselves, and a hold over both rows is still a hold of two lines.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The rows of a shelf.
pub const ITEMS: [&str; 2] = ["A", "B"];

/// A number for each line of a shelf.
pub type Lines = [u64; 2];

/// Something that is asked of one shelf. Numbers that name a thing are never used for another within a run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Op {
    /// A new row.
    Create {
        /// Its place on the shelf.
        item: usize,
        /// What is on hand.
        opening: u64,
    },
    /// A hold; a line of 0 is none.
    Reserve {
        /// Its number.
        hold: u64,
        /// How much of each row.
        lines: Lines,
        /// When it ends, in seconds.
        ttl_seconds: Option<u64>,
    },
    /// The hold is sold.
    Confirm {
        /// Its number.
        hold: u64,
    },
    /// The hold is given back.
    Release {
        /// Its number.
        hold: u64,
    },
    /// A correction, under an idempotency key.
    Adjust {
        /// Number of the key.
        key: u64,
        /// The row.
        item: usize,
        /// By how much.
        delta: i64,
    },
    /// A store's sale, as an event.
    Sale {
        /// Number of the event.
        event: u64,
        /// The row.
        item: usize,
        /// How much.
        qty: u64,
    },
    /// A delivery, as an event.
    Receive {
        /// Number of the event.
        event: u64,
        /// The row.
        item: usize,
        /// How much.
        qty: u64,
    },
    /// An order and its hold.
    Place {
        /// Number of the order and of its hold.
        order: u64,
        /// How much of each row.
        lines: Lines,
        /// When the hold ends, in seconds.
        ttl_seconds: Option<u64>,
    },
    /// A payment that succeeded.
    Pay {
        /// The order.
        order: u64,
        /// Number of the payment.
        payment: u64,
    },
    /// The order is taken back.
    Cancel {
        /// The order.
        order: u64,
    },
    /// A look at a row.
    ReadRow {
        /// The row.
        item: usize,
        /// Whether any past state will do.
        local: bool,
    },
    /// A look at a hold.
    ReadHold {
        /// Its number.
        hold: u64,
    },
    /// A look at an order.
    ReadOrder {
        /// Its number.
        order: u64,
    },
    /// What nobody asks for: the hold's time is over.
    Expire {
        /// Its number.
        hold: u64,
    },
}

impl Op {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::ReadRow { .. } | Self::ReadHold { .. } | Self::ReadOrder { .. })
    }

    /// Whether it is a look that may show the past.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(self, Self::ReadRow { local: true, .. })
    }

    /// The hold that it makes, and how many seconds that has, when it has an end.
    #[must_use]
    pub const fn makes_ending_hold(&self) -> Option<(u64, u64)> {
        match self {
            Self::Reserve { hold, ttl_seconds: Some(seconds), .. } => Some((*hold, *seconds)),
            Self::Place { order, ttl_seconds: Some(seconds), .. } => Some((*order, *seconds)),
            _ => None,
        }
    }
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum HoldStatus {
    /// Open.
    Held,
    /// Sold.
    Confirmed,
    /// Given back.
    Released,
    /// Over.
    Expired,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// Its hold is open.
    Placed,
    /// Sold.
    Paid,
    /// Taken back.
    Cancelled,
    /// Not paid in time.
    Expired,
}

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// The goods were sold for it.
    Accepted,
    /// It is owed to the buyer.
    RefundDue,
}

/// A row as somebody was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowSeen {
    /// Not held.
    pub available: i64,
    /// Held.
    pub reserved: u64,
    /// The row's change counter.
    pub version: u64,
    /// Its last movement.
    pub last_seq: u64,
    /// Arrived since it was made.
    pub received: u64,
    /// Sum of its corrections.
    pub adjusted: i64,
    /// Sold.
    pub sold: u64,
}

/// A hold as somebody was told of it: status, and of each line what is reserved, confirmed, released and expired.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HoldSeen {
    /// Where it stands.
    pub status: HoldStatus,
    /// What became of its lines.
    pub lines: [[u64; 4]; 2],
}

/// An order as somebody was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OrderSeen {
    /// Where it stands.
    pub status: OrderStatus,
    /// What became of its hold's lines.
    pub lines: [[u64; 4]; 2],
    /// Its payments.
    pub payments: BTreeMap<u64, PaymentStatus>,
}

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reply {
    /// The row after it.
    Row(RowSeen),
    /// The hold after it.
    Hold(HoldSeen),
    /// The order after it.
    Order(OrderSeen),
    /// A deterministic no, by its code.
    Refused(String),
    /// A no for lack of stock: what was available of each line that was short.
    Short([Option<i64>; 2]),
}

/// An answer: what came of the operation, and whether it had been done before.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Answer {
    /// What came of it.
    pub reply: Reply,
    /// It repeats what was done before, and changed nothing.
    pub repeated: bool,
}
