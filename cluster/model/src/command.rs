//! What can be asked of the inventory. See the rules of each under [`crate::Inventory::apply`].

use serde::{Deserialize, Serialize};

use crate::{
    Amount, ConfigChange, DeadLetterId, EventId, HoldId, ItemId, LetterAction, OrderId, Owner, PaymentId,
    PaymentOutcome, Quantity, Reason, Reference, Seq, StoreId, SubscriptionAction, SubscriptionId,
    TransferId, UtcMillis,
};

/// One line of a hold: so many of an item in a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    /// The store that the goods are in.
    pub store: StoreId,
    /// The item.
    pub item: ItemId,
    /// How many.
    pub qty: Quantity,
}

/// Where received goods came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReceiptKind {
    /// From a supplier.
    Delivery,
    /// Back from a customer.
    Return,
}

/// One change that is asked for. Every member applies the same commands in the same order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Advances the clock and nothing else: proposed when a hold is due and nothing else is going on.
    Tick,
    /// A new stock row.
    CreateSku {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// What is on hand at the start, 0 or more.
        opening: u64,
    },
    /// Claims stock for somebody: all lines, or none unless `allow_partial`.
    Reserve {
        /// The new hold.
        hold: HoldId,
        /// What to hold; lines of the same row are merged before anything is checked.
        lines: Vec<Line>,
        /// How long the hold lasts, in milliseconds of cluster time; no end when absent.
        ttl_ms: Option<u64>,
        /// Take what there is of each line instead of refusing.
        allow_partial: bool,
        /// Whom it is for.
        owner: Option<Owner>,
    },
    /// Sells what a hold has reserved.
    Confirm {
        /// The hold.
        hold: HoldId,
        /// What to sell of it; everything that is still reserved when absent.
        lines: Option<Vec<Line>>,
        /// When the hold has expired, take the stock again and sell it in one step.
        reacquire: bool,
    },
    /// Gives back what a hold has reserved.
    Release {
        /// The hold.
        hold: HoldId,
        /// What to give back; everything that is still reserved when absent.
        lines: Option<Vec<Line>>,
        /// Why.
        reason: Option<Reason>,
    },
    /// Moves a hold's end to `ttl_ms` from now; never to an earlier time.
    Extend {
        /// The hold.
        hold: HoldId,
        /// Milliseconds of cluster time from now.
        ttl_ms: u64,
    },
    /// Corrects what is available, up or down.
    Adjust {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// By how much; not 0.
        delta: i64,
        /// Why.
        reason: Reason,
        /// What it belongs to.
        reference: Option<Reference>,
        /// Refuse unless the row is at this version.
        expected_version: Option<u64>,
    },
    /// Sets on hand to what a stocktake saw.
    Count {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// What was physically there.
        counted: u64,
        /// When it was counted, and what the ledger said then; now when absent.
        as_of: Option<CountBasis>,
        /// Why.
        reason: Option<Reason>,
        /// What it belongs to.
        reference: Option<Reference>,
        /// The store's own id of this event.
        event: Option<Event>,
    },
    /// A sale that has already happened in a store.
    RecordSale {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// How many were sold.
        qty: Quantity,
        /// Why, or where.
        reason: Option<Reason>,
        /// What it belongs to, such as a receipt.
        reference: Option<Reference>,
        /// The store's own id of this event.
        event: Option<Event>,
    },
    /// Goods that have already arrived in a store.
    Receive {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// How many arrived.
        qty: Quantity,
        /// From where.
        kind: ReceiptKind,
        /// Why.
        reason: Option<Reason>,
        /// What it belongs to, such as a delivery note.
        reference: Option<Reference>,
        /// The store's own id of this event.
        event: Option<Event>,
    },
    /// Sends goods from one store to another.
    Transfer {
        /// The new transfer.
        transfer: TransferId,
        /// The item.
        item: ItemId,
        /// The store that gives.
        from: StoreId,
        /// The store that gets.
        to: StoreId,
        /// How many.
        qty: Quantity,
        /// Book the arrival in the same step.
        at_once: bool,
        /// Why.
        reason: Option<Reason>,
        /// What it belongs to.
        reference: Option<Reference>,
    },
    /// Books the arrival of what was sent, or of a part of it.
    ReceiveTransfer {
        /// The transfer.
        transfer: TransferId,
        /// How many arrived; all that is still under way when absent.
        qty: Option<Quantity>,
    },
    /// Ends a transfer whose rest will never arrive: the rest becomes a shortfall.
    CloseTransfer {
        /// The transfer.
        transfer: TransferId,
        /// Why it fell short.
        reason: Reason,
    },
    /// Takes back a transfer of which nothing has arrived: the goods return to the store that gave.
    CancelTransfer {
        /// The transfer.
        transfer: TransferId,
        /// Why.
        reason: Option<Reason>,
    },
    /// Makes an order, or changes one. An order and its hold change in one step.
    Order {
        /// The order.
        order: OrderId,
        /// What to do.
        action: OrderAction,
    },
    /// Changes what may be sold of a row.
    SetPolicy {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// Units that are never sold to holds; unchanged when absent.
        safety_stock: Option<u64>,
        /// Units that may be sold before they are there; unchanged when absent.
        backorder_limit: Option<u64>,
        /// Refuse unless the row is at this version.
        expected_version: Option<u64>,
    },
    /// Stops new holds on a row, or takes away a retired row that is empty.
    RetireSku {
        /// The store.
        store: StoreId,
        /// The item.
        item: ItemId,
        /// Take the row away; it must be retired already, or be empty now.
        remove: bool,
    },
    /// Makes a webhook subscription, changes its secret, or takes it away.
    Subscription {
        /// The subscription.
        subscription: SubscriptionId,
        /// What to do.
        action: SubscriptionAction,
    },
    /// Keeps a dead letter, marks it to be tried again, or takes it away.
    DeadLetter {
        /// The letter.
        letter: DeadLetterId,
        /// What to do.
        action: LetterAction,
    },
    /// Changes limits and windows that decide outcomes.
    Configure {
        /// The settings to change, applied together or not at all.
        changes: Vec<ConfigChange>,
    },
    /// Drops ledger records before `before`, on every member alike.
    TrimLedger {
        /// The oldest sequence to keep.
        before: Seq,
    },
    /// Raises the version of the rules, once every member supports it.
    RaiseModelVersion {
        /// The new version.
        to: u32,
    },
}

/// What can be done to an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderAction {
    /// Makes it, and claims all its goods.
    Place {
        /// The new hold of its goods.
        hold: HoldId,
        /// What is ordered; lines of the same row are merged before anything is checked.
        lines: Vec<Line>,
        /// How long the buyer has to pay, in milliseconds of cluster time; no end when absent.
        ttl_ms: Option<u64>,
        /// Whom it is for.
        owner: Option<Owner>,
        /// What it belongs to, such as a customer.
        reference: Option<Reference>,
    },
    /// Gives it other lines, all or none of them. What it has reserved does not count against it.
    ReplaceLines {
        /// The new hold, which ends when the old one would have.
        hold: HoldId,
        /// What is ordered instead.
        lines: Vec<Line>,
    },
    /// Says how a payment of it went.
    Pay {
        /// The payment.
        payment: PaymentId,
        /// How it went.
        outcome: PaymentOutcome,
        /// How much it was.
        amount: Option<Amount>,
        /// When the order has expired, take the stock again and sell it in one step.
        reacquire: bool,
    },
    /// Takes it back before it is paid: the goods are free again.
    Cancel {
        /// Why.
        reason: Option<Reason>,
    },
    /// Says that a payment for which nothing could be sold was given back.
    Refund {
        /// The payment.
        payment: PaymentId,
    },
}

impl Command {
    /// The hold that it names.
    pub(crate) const fn hold(&self) -> Option<HoldId> {
        match self {
            Self::Reserve { hold, .. }
            | Self::Confirm { hold, .. }
            | Self::Release { hold, .. }
            | Self::Extend { hold, .. } => Some(*hold),
            _ => None,
        }
    }

    /// The transfer that it names.
    pub(crate) const fn transfer(&self) -> Option<TransferId> {
        match self {
            Self::Transfer { transfer, .. }
            | Self::ReceiveTransfer { transfer, .. }
            | Self::CloseTransfer { transfer, .. }
            | Self::CancelTransfer { transfer, .. } => Some(*transfer),
            _ => None,
        }
    }

    /// The order that it names.
    pub(crate) const fn order(&self) -> Option<OrderId> {
        match self {
            Self::Order { order, .. } => Some(*order),
            _ => None,
        }
    }
}

/// What the ledger said when a stocktake was made; looked up by the leader before it proposes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountBasis {
    /// The last movement that the counter could have seen.
    pub seq: Seq,
    /// On hand of the row right after that movement; none when the row did not exist then.
    pub on_hand: Option<i64>,
}

/// A store's own name for something that happened there, so that repeating it has one effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Unique within the store.
    pub id: EventId,
    /// When it happened, by the store's clock.
    pub occurred_at: UtcMillis,
}
