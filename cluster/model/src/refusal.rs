//! Every deterministic "no". A refusal is a value: all members compute the same one.

use serde::{Deserialize, Serialize};

use crate::{
    DeadLetterId, HoldId, HoldStatus, OrderId, OrderStatus, PaymentId, PaymentState, RowKey, Seq, Setting,
    SubscriptionId, TransferId, TransferStatus,
};

/// A line that cannot be had, and what there is of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    /// The row.
    pub row: RowKey,
    /// How many were asked for.
    pub requested: u64,
    /// How many could be had: what is sellable for a hold, what is reserved for a part of one.
    pub available: i64,
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such rows; names every one.
    UnknownItem {
        /// The rows that do not exist.
        rows: Vec<RowKey>,
        /// How many more rows; only a stored refusal leaves any out.
        omitted: u32,
    },
    /// The rows take no new holds; names every one.
    ItemRetired {
        /// The rows that are retired.
        rows: Vec<RowKey>,
        /// How many more rows; only a stored refusal leaves any out.
        omitted: u32,
    },
    /// The row exists already.
    SkuExists {
        /// The row.
        row: RowKey,
        /// Its change counter.
        current_version: u64,
    },
    /// Not enough; names every short line.
    InsufficientStock {
        /// Every line that is short.
        lines: Vec<ShortLine>,
        /// How many more lines were short; only a stored refusal leaves any out.
        omitted: u32,
    },
    /// No such hold, or it ended too long ago to be remembered.
    UnknownHold {
        /// The hold.
        hold: HoldId,
    },
    /// The hold id was used for something else.
    HoldExists {
        /// The hold.
        hold: HoldId,
        /// The state that it is in.
        state: HoldStatus,
    },
    /// The hold is over.
    HoldExpired {
        /// The hold.
        hold: HoldId,
    },
    /// The hold was given back.
    HoldReleased {
        /// The hold.
        hold: HoldId,
    },
    /// The hold was sold.
    HoldConfirmed {
        /// The hold.
        hold: HoldId,
    },
    /// More than the hold still has reserved; names every such line.
    ExceedsHold {
        /// The hold.
        hold: HoldId,
        /// Every line that asks too much; `available` is what is reserved.
        lines: Vec<ShortLine>,
        /// How many more lines; only a stored refusal leaves any out.
        omitted: u32,
    },
    /// The hold is an order's, and ends with it alone.
    HoldOfOrder {
        /// The hold.
        hold: HoldId,
        /// The order.
        order: OrderId,
    },
    /// No such order, or it ended too long ago to be remembered.
    UnknownOrder {
        /// The order.
        order: OrderId,
    },
    /// The order id was used for something else.
    OrderExists {
        /// The order.
        order: OrderId,
        /// The state that it is in.
        state: OrderStatus,
    },
    /// The order is past that.
    OrderConflict {
        /// The order.
        order: OrderId,
        /// The state that it is in.
        state: OrderStatus,
    },
    /// The order has no such payment.
    UnknownPayment {
        /// The order.
        order: OrderId,
        /// The payment.
        payment: PaymentId,
    },
    /// The payment came before with another amount, or it succeeded and is now said to have failed.
    PaymentExists {
        /// The payment.
        payment: PaymentId,
        /// What became of it.
        state: PaymentState,
    },
    /// Nothing is owed for the payment.
    RefundNotDue {
        /// The payment.
        payment: PaymentId,
        /// What became of it.
        state: PaymentState,
    },
    /// The order keeps as many payments as it may, and one more that failed has no place.
    TooManyPayments {
        /// The limit.
        limit: u64,
    },
    /// A hold with no lines, or a part with none.
    NoLines,
    /// More lines than the limit allows.
    TooManyLines {
        /// The lines that came, after merging.
        got: u64,
        /// The limit.
        limit: u64,
    },
    /// A time to live outside 1 ms to the limit.
    TtlOutOfRange {
        /// The limit in milliseconds.
        max_ms: u64,
    },
    /// A total would pass 2^53 − 1, or a quantity is out of range.
    QuantityOutOfRange {
        /// The row, where one is concerned.
        row: Option<RowKey>,
    },
    /// The correction would take available below zero.
    BelowZero {
        /// What is available.
        available: i64,
        /// The correction that was asked for.
        delta: i64,
    },
    /// The row has changed since the caller saw it.
    VersionConflict {
        /// The row's change counter now.
        current_version: u64,
    },
    /// The ledger no longer reaches back that far.
    CursorCompacted {
        /// The oldest sequence that is kept.
        oldest: Seq,
    },
    /// A sequence that has not happened yet.
    SeqAhead {
        /// The last sequence.
        last: Seq,
    },
    /// No such transfer, or it ended too long ago to be remembered.
    UnknownTransfer {
        /// The transfer.
        transfer: TransferId,
    },
    /// The transfer id was used for something else.
    TransferExists {
        /// The transfer.
        transfer: TransferId,
        /// The state that it is in.
        state: TransferStatus,
    },
    /// More than is still under way.
    OverReceipt {
        /// The transfer.
        transfer: TransferId,
        /// What is still under way.
        remaining: u64,
    },
    /// The transfer has ended, or part of it has arrived, and the action is not possible any more.
    TransferConflict {
        /// The transfer.
        transfer: TransferId,
        /// The state that it is in.
        state: TransferStatus,
        /// What has arrived.
        received: u64,
    },
    /// A transfer from a store to itself.
    SameStore,
    /// The row still has stock, holds, or goods under way.
    NotEmpty {
        /// The row.
        row: RowKey,
        /// Its on hand.
        on_hand: i64,
        /// What is reserved of it.
        reserved: u64,
        /// What is under way to or from it.
        in_transit: u64,
    },
    /// A part of a hold or transfer without an idempotency key: repeating it would count twice.
    KeyRequired,
    /// The key came before with another body.
    KeyReused,
    /// The key table has reached its cap.
    KeyTableFull {
        /// The cap in bytes.
        cap_bytes: u64,
    },
    /// The store used this event id for something else.
    EventExists,
    /// The event happened before the window in which repeats are known.
    EventTooOld {
        /// The window in milliseconds.
        window_ms: u64,
    },
    /// The table of events has reached its cap.
    EventTableFull {
        /// The cap in bytes.
        cap_bytes: u64,
    },
    /// No such subscription.
    UnknownSubscription {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// The subscription id was used for something else.
    SubscriptionExists {
        /// The subscription.
        subscription: SubscriptionId,
    },
    /// There are as many subscriptions as there may be.
    SubscriptionsFull {
        /// The limit.
        limit: u64,
    },
    /// No such dead letter.
    UnknownDeadLetter {
        /// The letter.
        letter: DeadLetterId,
    },
    /// The letter's id was used for something else.
    DeadLetterExists {
        /// The letter.
        letter: DeadLetterId,
    },
    /// The letter is longer than one may be.
    DeadLetterTooLarge {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// There are as many dead letters as there may be, or they take as much room.
    DeadLettersFull {
        /// How many there may be.
        limit: u64,
        /// How many bytes they may take.
        cap_bytes: u64,
    },
    /// A setting outside its range.
    SettingOutOfRange {
        /// The setting.
        setting: Setting,
        /// The least value.
        min: u64,
        /// The greatest value.
        max: u64,
    },
    /// This release, or the cluster, does not know that version of the rules, or it is not a raise.
    ModelVersion {
        /// The version in force.
        current: u32,
        /// The highest version that this release knows.
        supported: u32,
    },
}
