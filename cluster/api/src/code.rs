//! Every error that the contract knows.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $title:literal;)*) => {
        /// A stable name of what went wrong. It knows its own status, whether a repeat may succeed, and whether the
        /// request may have had an effect.
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum ErrorCode {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it comes with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// What it means, in a few words.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    /// The request cannot be read.
    Malformed = "malformed", 400, "The request cannot be read";
    /// A part of a hold or transfer without a key.
    IdempotencyKeyRequired = "idempotency_key_required", 400, "A part needs an Idempotency-Key";
    /// No such path.
    UnknownRoute = "unknown_route", 404, "There is nothing at this path";
    /// No such row.
    UnknownItem = "unknown_item", 404, "The store does not have this item";
    /// No such hold.
    UnknownHold = "unknown_hold", 404, "There is no such hold";
    /// No such transfer.
    UnknownTransfer = "unknown_transfer", 404, "There is no such transfer";
    /// No such member.
    UnknownMember = "unknown_member", 404, "There is no such member";
    /// No such order.
    UnknownOrder = "unknown_order", 404, "There is no such order";
    /// No such payment.
    UnknownPayment = "unknown_payment", 404, "The order has no such payment";
    /// No such subscription.
    UnknownSubscription = "unknown_subscription", 404, "There is no such subscription";
    /// No such dead letter.
    UnknownDeadLetter = "unknown_dead_letter", 404, "There is no such dead letter";
    /// No form of the answer that the caller accepts.
    NotAcceptable = "not_acceptable", 406, "There is no form of the answer that is accepted";
    /// The path does not take this method.
    MethodNotAllowed = "method_not_allowed", 405, "The path does not take this method";
    /// The body did not come in time.
    RequestTimeout = "request_timeout", 408, "The body did not come in time";
    /// The row exists.
    SkuExists = "sku_exists", 409, "The store has this item already";
    /// The row takes no new holds.
    ItemRetired = "item_retired", 409, "The item is retired in this store";
    /// Not enough.
    InsufficientStock = "insufficient_stock", 409, "There is not enough stock";
    /// The hold id was used for something else.
    HoldExists = "hold_exists", 409, "The hold id was used for something else";
    /// The hold is over.
    HoldExpired = "hold_expired", 409, "The hold has expired";
    /// The hold was given back.
    HoldReleased = "hold_released", 409, "The hold was released";
    /// The hold was sold.
    HoldConfirmed = "hold_confirmed", 409, "The hold was confirmed";
    /// More than the hold has.
    ExceedsHold = "exceeds_hold", 409, "The hold has less than that";
    /// The hold is an order's.
    HoldOfOrder = "hold_of_order", 409, "The hold is an order's and ends with it alone";
    /// The order id was used for something else.
    OrderExists = "order_exists", 409, "The order id was used for something else";
    /// The order is past that.
    OrderConflict = "order_conflict", 409, "The order's state does not allow it";
    /// The payment was told otherwise before.
    PaymentExists = "payment_exists", 409, "The payment was told otherwise before";
    /// Nothing is owed for the payment.
    RefundNotDue = "refund_not_due", 409, "Nothing is owed for the payment";
    /// The order keeps as many payments as it may.
    TooManyPayments = "too_many_payments", 409, "The order has too many payments";
    /// The subscription id was used for something else.
    SubscriptionExists = "subscription_exists", 409, "The subscription id was used for something else";
    /// The letter's id was used for something else.
    DeadLetterExists = "dead_letter_exists", 409, "The letter's id was used for something else";
    /// The correction would go below zero.
    BelowZero = "below_zero", 409, "Available would go below zero";
    /// The row has changed.
    VersionConflict = "version_conflict", 409, "The row has changed since";
    /// The transfer id was used for something else.
    TransferExists = "transfer_exists", 409, "The transfer id was used for something else";
    /// More than is under way.
    OverReceipt = "over_receipt", 409, "Less than that is under way";
    /// The transfer is past that.
    TransferConflict = "transfer_conflict", 409, "The transfer's state does not allow it";
    /// The row is not empty.
    NotEmpty = "not_empty", 409, "The row is not empty";
    /// The event id was used for something else.
    EventExists = "event_exists", 409, "The event id was used for something else";
    /// The event is too old to be told from a repeat.
    EventTooOld = "event_too_old", 409, "The event is older than repeats are remembered";
    /// Another change of members is under way.
    MembershipBusy = "membership_busy", 409, "Another change of members is under way";
    /// A cursor ahead of all that was committed.
    CursorAhead = "cursor_ahead", 409, "The cursor is ahead of all that has happened";
    /// A cursor of another epoch.
    CursorOtherEpoch = "cursor_other_epoch", 409, "The cursor is of another epoch";
    /// The ledger no longer reaches back that far.
    CursorCompacted = "cursor_compacted", 410, "The ledger no longer reaches back that far";
    /// The body is too large.
    TooLarge = "too_large", 413, "The body is too large";
    /// The dead letter is too large.
    DeadLetterTooLarge = "dead_letter_too_large", 413, "The dead letter is too large";
    /// The content type is not taken.
    UnsupportedMediaType = "unsupported_media_type", 415, "The content type is not taken";
    /// The key came with another body before.
    IdempotencyKeyReused = "idempotency_key_reused", 422, "The key came with another body before";
    /// A hold without lines.
    NoLines = "no_lines", 422, "There are no lines";
    /// A hold with too many lines.
    TooManyLines = "too_many_lines", 422, "There are too many lines";
    /// A time to live out of range.
    TtlOutOfRange = "ttl_out_of_range", 422, "The time to live is out of range";
    /// A quantity or total out of range.
    QuantityOutOfRange = "quantity_out_of_range", 422, "A quantity or total is out of range";
    /// A sequence that has not happened.
    SeqAhead = "seq_ahead", 422, "The sequence has not happened yet";
    /// A transfer to itself.
    SameStore = "same_store", 422, "A transfer needs two stores";
    /// A setting out of range.
    SettingOutOfRange = "setting_out_of_range", 422, "A setting is out of range";
    /// A version of the rules that is not to be had.
    ModelVersion = "model_version", 422, "That version of the rules is not to be had";
    /// A change of members that makes no sense.
    InvalidMembership = "invalid_membership", 422, "The change of members makes no sense";
    /// The ledger cannot be read.
    LedgerDamaged = "ledger_damaged", 500, "The ledger cannot be read";
    /// Too much waits.
    Overloaded = "overloaded", 503, "The node has too much to do";
    /// A stream whose reader took nothing for too long.
    SlowReader = "slow_reader", 503, "The reader of the stream was too slow";
    /// Nobody leads.
    NoLeader = "no_leader", 503, "There is no leader";
    /// Done or not: unknown.
    OutcomeUnknown = "outcome_unknown", 503, "It is not known whether it was done";
    /// The member has stopped.
    Stopped = "stopped", 503, "This node has stopped";
    /// The key table is full.
    KeyTableFull = "key_table_full", 503, "The table of idempotency keys is full";
    /// The event table is full.
    EventTableFull = "event_table_full", 503, "The table of events is full";
    /// A receiver did not take a message.
    DeliveryFailed = "delivery_failed", 502, "The receiver did not take the message";
    /// The sync service's view is being built.
    ViewRebuilding = "view_rebuilding", 503, "The view is being built";
    /// There are as many subscriptions as there may be.
    SubscriptionsFull = "subscriptions_full", 503, "There are as many subscriptions as there may be";
    /// There are as many dead letters as there may be.
    DeadLettersFull = "dead_letters_full", 503, "There is no room for another dead letter";
    /// The ledger is being fetched from other members.
    LedgerRebuilding = "ledger_rebuilding", 503, "The ledger is being rebuilt";
}

impl ErrorCode {
    /// Whether the same request may succeed later without anything else changing first.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Overloaded
            | Self::SlowReader
            | Self::NoLeader
            | Self::OutcomeUnknown
            | Self::Stopped
            | Self::KeyTableFull
            | Self::EventTableFull
            | Self::SubscriptionsFull
            | Self::DeadLettersFull
            | Self::LedgerRebuilding
            | Self::DeliveryFailed
            | Self::ViewRebuilding
            | Self::RequestTimeout
            | Self::MembershipBusy => true,
            Self::Malformed
            | Self::IdempotencyKeyRequired
            | Self::UnknownRoute
            | Self::UnknownItem
            | Self::UnknownHold
            | Self::UnknownTransfer
            | Self::UnknownMember
            | Self::UnknownOrder
            | Self::UnknownPayment
            | Self::UnknownSubscription
            | Self::UnknownDeadLetter
            | Self::NotAcceptable
            | Self::MethodNotAllowed
            | Self::SkuExists
            | Self::ItemRetired
            | Self::InsufficientStock
            | Self::HoldExists
            | Self::HoldExpired
            | Self::HoldReleased
            | Self::HoldConfirmed
            | Self::ExceedsHold
            | Self::HoldOfOrder
            | Self::OrderExists
            | Self::OrderConflict
            | Self::PaymentExists
            | Self::RefundNotDue
            | Self::TooManyPayments
            | Self::SubscriptionExists
            | Self::DeadLetterExists
            | Self::DeadLetterTooLarge
            | Self::BelowZero
            | Self::VersionConflict
            | Self::TransferExists
            | Self::OverReceipt
            | Self::TransferConflict
            | Self::NotEmpty
            | Self::EventExists
            | Self::EventTooOld
            | Self::CursorAhead
            | Self::CursorOtherEpoch
            | Self::CursorCompacted
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::IdempotencyKeyReused
            | Self::NoLines
            | Self::TooManyLines
            | Self::TtlOutOfRange
            | Self::QuantityOutOfRange
            | Self::SeqAhead
            | Self::SameStore
            | Self::SettingOutOfRange
            | Self::ModelVersion
            | Self::InvalidMembership
            | Self::LedgerDamaged => false,
        }
    }

    /// Whether the request may have been carried out all the same. A repeat then needs the same id or key.
    #[must_use]
    pub fn may_have_effect(self) -> bool {
        self == Self::OutcomeUnknown
    }
}
