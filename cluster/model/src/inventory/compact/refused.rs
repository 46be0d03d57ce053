//! Why a command did nothing, as it is stored.

use serde::{Deserialize, Serialize};

use super::parts::{Id, Int, Lines, Place, Rest, Rows};
use crate::inventory::Inventory;
use crate::{
    Command, HoldStatus, OrderAction, OrderStatus, PaymentId, PaymentState, Refusal, RowKey, Setting,
    ShortLine, TransferStatus,
};

/// Why a command did nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refused {
    UnknownItem(Rows),
    ItemRetired(Rows),
    SkuExists {
        current_version: Int,
    },
    InsufficientStock(Lines),
    /// The same, to a command that does not say how many it asks for.
    WholeInsufficientStock {
        row: Place,
        requested: Int,
        available: Int,
        rest: Rest,
    },
    UnknownHold {
        hold: Id,
    },
    HoldExists {
        hold: Id,
        state: HoldStatus,
    },
    HoldExpired {
        hold: Id,
    },
    HoldReleased {
        hold: Id,
    },
    HoldConfirmed {
        hold: Id,
    },
    ExceedsHold(Lines),
    HoldOfOrder {
        order: Id,
    },
    UnknownOrder {
        order: Id,
    },
    OrderExists {
        order: Id,
        state: OrderStatus,
    },
    OrderConflict {
        order: Id,
        state: OrderStatus,
    },
    UnknownPayment,
    PaymentExists {
        state: PaymentState,
    },
    RefundNotDue {
        state: PaymentState,
    },
    TooManyPayments {
        limit: Int,
    },
    NoLines,
    TooManyLines {
        got: Int,
        limit: Int,
    },
    TtlOutOfRange {
        max_ms: Int,
    },
    QuantityOutOfRange {
        row: Option<Place>,
    },
    BelowZero {
        available: Int,
    },
    VersionConflict {
        current_version: Int,
    },
    CursorCompacted {
        oldest: Int,
    },
    SeqAhead {
        last: Int,
    },
    UnknownTransfer {
        transfer: Id,
    },
    TransferExists {
        transfer: Id,
        state: TransferStatus,
    },
    OverReceipt {
        transfer: Id,
        remaining: Int,
    },
    TransferConflict {
        transfer: Id,
        state: TransferStatus,
        received: Int,
    },
    SameStore,
    NotEmpty {
        on_hand: Int,
        reserved: Int,
        in_transit: Int,
    },
    EventExists,
    EventTooOld {
        window_ms: Int,
    },
    UnknownSubscription {
        subscription: Id,
    },
    SubscriptionExists {
        subscription: Id,
    },
    UnknownDeadLetter {
        letter: Id,
    },
    DeadLetterExists {
        letter: Id,
    },
    DeadLetterTooLarge {
        limit_bytes: Int,
    },
    SettingOutOfRange {
        setting: Setting,
        min: Int,
        max: Int,
    },
    ModelVersion {
        current: Int,
        supported: Int,
    },
}

impl Refused {
    pub fn of(refusal: &Refusal, command: &Command, named: &[RowKey]) -> Option<Self> {
        Some(match refusal {
            Refusal::UnknownItem { rows, .. } => Self::UnknownItem(Rows::of(rows, named)),
            Refusal::ItemRetired { rows, .. } => Self::ItemRetired(Rows::of(rows, named)),
            Refusal::SkuExists { current_version, .. } => {
                Self::SkuExists { current_version: Int::unsigned(*current_version) }
            }
            Refusal::InsufficientStock { lines, .. } => match (command, lines.first()) {
                (Command::Confirm { lines: None, .. }, Some(line)) => Self::WholeInsufficientStock {
                    row: Place::of(&line.row, named)?,
                    requested: Int::unsigned(line.requested),
                    available: Int::signed(line.available),
                    rest: Rest::of(lines.len(), 1),
                },
                _ => Self::InsufficientStock(Lines::of(lines, named)),
            },
            Refusal::UnknownHold { hold } => Self::UnknownHold { hold: Id::of(hold.uuid()) },
            Refusal::HoldExists { hold, state } => {
                Self::HoldExists { hold: Id::of(hold.uuid()), state: *state }
            }
            Refusal::HoldExpired { hold } => Self::HoldExpired { hold: Id::of(hold.uuid()) },
            Refusal::HoldReleased { hold } => Self::HoldReleased { hold: Id::of(hold.uuid()) },
            Refusal::HoldConfirmed { hold } => Self::HoldConfirmed { hold: Id::of(hold.uuid()) },
            Refusal::ExceedsHold { lines, .. } => Self::ExceedsHold(Lines::of(lines, named)),
            Refusal::HoldOfOrder { hold: _, order } => Self::HoldOfOrder { order: Id::of(order.uuid()) },
            Refusal::UnknownOrder { order } => Self::UnknownOrder { order: Id::of(order.uuid()) },
            Refusal::OrderExists { order, state } => {
                Self::OrderExists { order: Id::of(order.uuid()), state: *state }
            }
            Refusal::OrderConflict { order, state } => {
                Self::OrderConflict { order: Id::of(order.uuid()), state: *state }
            }
            Refusal::UnknownPayment { .. } => Self::UnknownPayment,
            Refusal::PaymentExists { payment: _, state } => Self::PaymentExists { state: *state },
            Refusal::RefundNotDue { payment: _, state } => Self::RefundNotDue { state: *state },
            Refusal::TooManyPayments { limit } => Self::TooManyPayments { limit: Int::unsigned(*limit) },
            Refusal::NoLines => Self::NoLines,
            Refusal::TooManyLines { got, limit } => {
                Self::TooManyLines { got: Int::unsigned(*got), limit: Int::unsigned(*limit) }
            }
            Refusal::TtlOutOfRange { max_ms } => Self::TtlOutOfRange { max_ms: Int::unsigned(*max_ms) },
            Refusal::QuantityOutOfRange { row } => {
                Self::QuantityOutOfRange { row: row.as_ref().and_then(|row| Place::of(row, named)) }
            }
            Refusal::BelowZero { available, .. } => Self::BelowZero { available: Int::signed(*available) },
            Refusal::VersionConflict { current_version } => {
                Self::VersionConflict { current_version: Int::unsigned(*current_version) }
            }
            Refusal::CursorCompacted { oldest } => Self::CursorCompacted { oldest: Int::unsigned(oldest.0) },
            Refusal::SeqAhead { last } => Self::SeqAhead { last: Int::unsigned(last.0) },
            Refusal::UnknownTransfer { transfer } => {
                Self::UnknownTransfer { transfer: Id::of(transfer.uuid()) }
            }
            Refusal::TransferExists { transfer, state } => {
                Self::TransferExists { transfer: Id::of(transfer.uuid()), state: *state }
            }
            Refusal::OverReceipt { transfer, remaining } => {
                Self::OverReceipt { transfer: Id::of(transfer.uuid()), remaining: Int::unsigned(*remaining) }
            }
            Refusal::TransferConflict { transfer, state, received } => Self::TransferConflict {
                transfer: Id::of(transfer.uuid()),
                state: *state,
                received: Int::unsigned(*received),
            },
            Refusal::SameStore => Self::SameStore,
            Refusal::NotEmpty { row: _, on_hand, reserved, in_transit } => Self::NotEmpty {
                on_hand: Int::signed(*on_hand),
                reserved: Int::unsigned(*reserved),
                in_transit: Int::unsigned(*in_transit),
            },
            Refusal::EventExists => Self::EventExists,
            Refusal::EventTooOld { window_ms } => Self::EventTooOld { window_ms: Int::unsigned(*window_ms) },
            Refusal::UnknownSubscription { subscription } => {
                Self::UnknownSubscription { subscription: Id::of(subscription.uuid()) }
            }
            Refusal::SubscriptionExists { subscription } => {
                Self::SubscriptionExists { subscription: Id::of(subscription.uuid()) }
            }
            Refusal::UnknownDeadLetter { letter } => {
                Self::UnknownDeadLetter { letter: Id::of(letter.uuid()) }
            }
            Refusal::DeadLetterExists { letter } => Self::DeadLetterExists { letter: Id::of(letter.uuid()) },
            Refusal::DeadLetterTooLarge { limit_bytes } => {
                Self::DeadLetterTooLarge { limit_bytes: Int::unsigned(*limit_bytes) }
            }
            Refusal::SettingOutOfRange { setting, min, max } => Self::SettingOutOfRange {
                setting: *setting,
                min: Int::unsigned(*min),
                max: Int::unsigned(*max),
            },
            Refusal::ModelVersion { current, supported } => Self::ModelVersion {
                current: Int::unsigned(u64::from(*current)),
                supported: Int::unsigned(u64::from(*supported)),
            },
            Refusal::KeyRequired
            | Refusal::KeyReused
            | Refusal::KeyTableFull { .. }
            | Refusal::EventTableFull { .. }
            | Refusal::SubscriptionsFull { .. }
            | Refusal::DeadLettersFull { .. } => return None,
        })
    }

    pub fn refusal(&self, command: &Command, inventory: &Inventory) -> Option<Refusal> {
        let named = inventory.rows_named(command);
        let row = || named.first().cloned();
        Some(match self {
            Self::UnknownItem(rows) => {
                Refusal::UnknownItem { rows: rows.find(&named)?, omitted: rows.rest.omitted() }
            }
            Self::ItemRetired(rows) => {
                Refusal::ItemRetired { rows: rows.find(&named)?, omitted: rows.rest.omitted() }
            }
            Self::SkuExists { current_version } => {
                Refusal::SkuExists { row: row()?, current_version: current_version.count() }
            }
            Self::InsufficientStock(lines) => Refusal::InsufficientStock {
                lines: lines.find(&named, command)?,
                omitted: lines.rest.omitted(),
            },
            Self::WholeInsufficientStock { row, requested, available, rest } => {
                let (requested, available) = (requested.count(), available.get());
                let line = ShortLine { row: row.find(&named)?, requested, available };
                Refusal::InsufficientStock { lines: vec![line], omitted: rest.omitted() }
            }
            Self::UnknownHold { hold } => Refusal::UnknownHold { hold: hold.hold() },
            Self::HoldExists { hold, state } => Refusal::HoldExists { hold: hold.hold(), state: *state },
            Self::HoldExpired { hold } => Refusal::HoldExpired { hold: hold.hold() },
            Self::HoldReleased { hold } => Refusal::HoldReleased { hold: hold.hold() },
            Self::HoldConfirmed { hold } => Refusal::HoldConfirmed { hold: hold.hold() },
            Self::ExceedsHold(lines) => Refusal::ExceedsHold {
                hold: command.hold()?,
                lines: lines.find(&named, command)?,
                omitted: lines.rest.omitted(),
            },
            Self::HoldOfOrder { order } => {
                Refusal::HoldOfOrder { hold: command.hold()?, order: order.order() }
            }
            Self::UnknownOrder { order } => Refusal::UnknownOrder { order: order.order() },
            Self::OrderExists { order, state } => {
                Refusal::OrderExists { order: order.order(), state: *state }
            }
            Self::OrderConflict { order, state } => {
                Refusal::OrderConflict { order: order.order(), state: *state }
            }
            Self::UnknownPayment => {
                Refusal::UnknownPayment { order: command.order()?, payment: payment_of(command)? }
            }
            Self::PaymentExists { state } => {
                Refusal::PaymentExists { payment: payment_of(command)?, state: *state }
            }
            Self::RefundNotDue { state } => {
                Refusal::RefundNotDue { payment: payment_of(command)?, state: *state }
            }
            Self::TooManyPayments { limit } => Refusal::TooManyPayments { limit: limit.count() },
            Self::NoLines => Refusal::NoLines,
            Self::TooManyLines { got, limit } => {
                Refusal::TooManyLines { got: got.count(), limit: limit.count() }
            }
            Self::TtlOutOfRange { max_ms } => Refusal::TtlOutOfRange { max_ms: max_ms.count() },
            Self::QuantityOutOfRange { row } => {
                Refusal::QuantityOutOfRange { row: row.and_then(|place| place.find(&named)) }
            }
            Self::BelowZero { available } => {
                let Command::Adjust { delta, .. } = command else { return None };
                Refusal::BelowZero { available: available.get(), delta: *delta }
            }
            Self::VersionConflict { current_version } => {
                Refusal::VersionConflict { current_version: current_version.count() }
            }
            Self::CursorCompacted { oldest } => Refusal::CursorCompacted { oldest: oldest.seq() },
            Self::SeqAhead { last } => Refusal::SeqAhead { last: last.seq() },
            Self::UnknownTransfer { transfer } => Refusal::UnknownTransfer { transfer: transfer.transfer() },
            Self::TransferExists { transfer, state } => {
                Refusal::TransferExists { transfer: transfer.transfer(), state: *state }
            }
            Self::OverReceipt { transfer, remaining } => {
                Refusal::OverReceipt { transfer: transfer.transfer(), remaining: remaining.count() }
            }
            Self::TransferConflict { transfer, state, received } => Refusal::TransferConflict {
                transfer: transfer.transfer(),
                state: *state,
                received: received.count(),
            },
            Self::SameStore => Refusal::SameStore,
            Self::NotEmpty { on_hand, reserved, in_transit } => Refusal::NotEmpty {
                row: row()?,
                on_hand: on_hand.get(),
                reserved: reserved.count(),
                in_transit: in_transit.count(),
            },
            Self::EventExists => Refusal::EventExists,
            Self::EventTooOld { window_ms } => Refusal::EventTooOld { window_ms: window_ms.count() },
            Self::UnknownSubscription { subscription } => {
                Refusal::UnknownSubscription { subscription: subscription.subscription() }
            }
            Self::SubscriptionExists { subscription } => {
                Refusal::SubscriptionExists { subscription: subscription.subscription() }
            }
            Self::UnknownDeadLetter { letter } => Refusal::UnknownDeadLetter { letter: letter.letter() },
            Self::DeadLetterExists { letter } => Refusal::DeadLetterExists { letter: letter.letter() },
            Self::DeadLetterTooLarge { limit_bytes } => {
                Refusal::DeadLetterTooLarge { limit_bytes: limit_bytes.count() }
            }
            Self::SettingOutOfRange { setting, min, max } => {
                Refusal::SettingOutOfRange { setting: *setting, min: min.count(), max: max.count() }
            }
            Self::ModelVersion { current, supported } => {
                Refusal::ModelVersion { current: current.version(), supported: supported.version() }
            }
        })
    }
}

/// The payment that a command names.
fn payment_of(command: &Command) -> Option<PaymentId> {
    match command {
        Command::Order {
            action: OrderAction::Pay { payment, .. } | OrderAction::Refund { payment }, ..
        } => Some(payment.clone()),
        _ => None,
    }
}
