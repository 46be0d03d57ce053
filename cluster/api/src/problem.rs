//! Errors as `application/problem+json` (RFC 9457).

use holdfast_model::{Refusal, RowKey, ShortLine};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::ErrorCode;
use crate::body::{status_name, transfer_status_name};
use crate::order::{order_status_name, payment_state_name};

/// The content type of errors.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, and what is needed to act on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[error("{code:?}: {detail}")]
pub struct Problem {
    /// A name of the problem's kind: `urn:holdfast:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the code means.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// The stable name.
    pub code: ErrorCode,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What is needed to act: `lines`, `state`, `currentVersion`, `leader` and so on, by code.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Problem {
    /// A problem with nothing more to tell.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:holdfast:problem:{}", code.as_str()),
            title: code.title().to_owned(),
            status: code.status(),
            detail: detail.into(),
            code,
            retryable: code.retryable(),
            more: Map::new(),
        }
    }

    /// The same with one thing more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

fn row(key: &RowKey) -> Value {
    json!({"storeId": key.store, "itemId": key.item})
}

fn named(rows: &[RowKey]) -> String {
    let names: Vec<String> = rows.iter().take(3).map(|row| format!("{}/{}", row.store, row.item)).collect();
    let more = rows.len().saturating_sub(3);
    if more == 0 { names.join(", ") } else { format!("{} and {more} more", names.join(", ")) }
}

fn with_rows(code: ErrorCode, what: &str, rows: &[RowKey], omitted: u32) -> Problem {
    let listed: Vec<Value> = rows.iter().map(row).collect();
    with_omitted(Problem::new(code, format!("{what}: {}", named(rows))).with("rows", listed), omitted)
}

fn with_lines(code: ErrorCode, what: &str, lines: &[ShortLine], omitted: u32) -> Problem {
    let rows: Vec<RowKey> = lines.iter().map(|line| line.row.clone()).collect();
    let listed: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({
                "storeId": line.row.store, "itemId": line.row.item,
                "requested": line.requested, "available": line.available
            })
        })
        .collect();
    with_omitted(Problem::new(code, format!("{what}: {}", named(&rows))).with("lines", listed), omitted)
}

fn with_omitted(problem: Problem, omitted: u32) -> Problem {
    if omitted == 0 { problem } else { problem.with("omitted", omitted) }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        use ErrorCode as Code;
        match refusal {
            Refusal::UnknownItem { rows, omitted } => {
                with_rows(Code::UnknownItem, "not stocked", rows, *omitted)
            }
            Refusal::ItemRetired { rows, omitted } => with_rows(Code::ItemRetired, "retired", rows, *omitted),
            Refusal::SkuExists { row: key, current_version } => {
                with_rows(Code::SkuExists, "exists already", std::slice::from_ref(key), 0)
                    .with("currentVersion", *current_version)
            }
            Refusal::InsufficientStock { lines, omitted } => {
                with_lines(Code::InsufficientStock, "short of", lines, *omitted)
            }
            Refusal::UnknownHold { hold } => Self::new(Code::UnknownHold, format!("there is no hold {hold}")),
            Refusal::HoldExists { hold, state } => {
                Self::new(Code::HoldExists, format!("{hold} was made with other lines or terms"))
                    .with("state", status_name(*state))
            }
            Refusal::HoldExpired { hold } => {
                Self::new(Code::HoldExpired, format!("{hold} has expired")).with("state", "EXPIRED")
            }
            Refusal::HoldReleased { hold } => {
                Self::new(Code::HoldReleased, format!("{hold} was released")).with("state", "RELEASED")
            }
            Refusal::HoldConfirmed { hold } => {
                Self::new(Code::HoldConfirmed, format!("{hold} was confirmed")).with("state", "CONFIRMED")
            }
            Refusal::ExceedsHold { hold, lines, omitted } => {
                with_lines(Code::ExceedsHold, &format!("{hold} has less reserved"), lines, *omitted)
            }
            Refusal::HoldOfOrder { hold, order } => {
                Self::new(Code::HoldOfOrder, format!("{hold} is of {order}"))
                    .with("orderId", order.to_string())
            }
            Refusal::UnknownOrder { order } => {
                Self::new(Code::UnknownOrder, format!("there is no order {order}"))
            }
            Refusal::OrderExists { order, state } => {
                Self::new(Code::OrderExists, format!("{order} was placed with other lines or terms"))
                    .with("state", order_status_name(*state))
            }
            Refusal::OrderConflict { order, state } => {
                let state = order_status_name(*state);
                Self::new(Code::OrderConflict, format!("{order} is {state}")).with("state", state)
            }
            Refusal::UnknownPayment { order, payment } => {
                Self::new(Code::UnknownPayment, format!("{order} has no payment {payment}"))
            }
            Refusal::PaymentExists { payment, state } => {
                let state = payment_state_name(*state);
                Self::new(Code::PaymentExists, format!("{payment} is {state}, or was of another amount"))
                    .with("state", state)
            }
            Refusal::RefundNotDue { payment, state } => {
                let state = payment_state_name(*state);
                Self::new(Code::RefundNotDue, format!("{payment} is {state}")).with("state", state)
            }
            Refusal::TooManyPayments { limit } => {
                Self::new(Code::TooManyPayments, format!("an order may keep {limit} payments"))
                    .with("limit", *limit)
            }
            Refusal::NoLines => Self::new(Code::NoLines, "at least one line is needed"),
            Refusal::TooManyLines { got, limit } => {
                Self::new(Code::TooManyLines, format!("{got} lines, at most {limit} are allowed"))
                    .with("limit", *limit)
            }
            Refusal::TtlOutOfRange { max_ms } => {
                let max = max_ms / 1000;
                Self::new(Code::TtlOutOfRange, format!("ttlSeconds must be 1 to {max}")).with("max", max)
            }
            Refusal::QuantityOutOfRange { row: key } => {
                let detail = "quantities and totals go up to 9007199254740991, and a correction is not 0";
                let problem = Self::new(Code::QuantityOutOfRange, detail);
                key.as_ref().map_or(problem.clone(), |key| problem.with("row", row(key)))
            }
            Refusal::BelowZero { available, delta } => {
                Self::new(Code::BelowZero, format!("{available} available, {delta} asked"))
                    .with("available", *available)
                    .with("delta", *delta)
            }
            Refusal::VersionConflict { current_version } => {
                Self::new(Code::VersionConflict, format!("the row is at version {current_version}"))
                    .with("currentVersion", *current_version)
            }
            Refusal::CursorCompacted { oldest } => {
                Self::new(Code::CursorCompacted, format!("the oldest sequence that is kept is {oldest}"))
                    .with("oldestSeq", oldest.0)
            }
            Refusal::SeqAhead { last } => {
                Self::new(Code::SeqAhead, format!("the last sequence is {last}")).with("lastSeq", last.0)
            }
            Refusal::UnknownTransfer { transfer } => {
                Self::new(Code::UnknownTransfer, format!("there is no transfer {transfer}"))
            }
            Refusal::TransferExists { transfer, state } => {
                Self::new(Code::TransferExists, format!("{transfer} was made with other terms"))
                    .with("state", transfer_status_name(*state))
            }
            Refusal::OverReceipt { transfer, remaining } => {
                Self::new(Code::OverReceipt, format!("{remaining} of {transfer} are under way"))
                    .with("remaining", *remaining)
            }
            Refusal::TransferConflict { transfer, state, received } => {
                let state = transfer_status_name(*state);
                Self::new(Code::TransferConflict, format!("{transfer} is {state}, {received} have arrived"))
                    .with("state", state)
                    .with("received", *received)
            }
            Refusal::SameStore => Self::new(Code::SameStore, "fromStoreId and toStoreId are the same"),
            Refusal::NotEmpty { row: key, on_hand, reserved, in_transit } => {
                let detail = format!("{on_hand} on hand, {reserved} reserved, {in_transit} under way");
                Self::new(Code::NotEmpty, detail)
                    .with("row", row(key))
                    .with("onHand", *on_hand)
                    .with("reserved", *reserved)
                    .with("inTransit", *in_transit)
            }
            Refusal::KeyRequired => {
                Self::new(Code::IdempotencyKeyRequired, "repeating a part without a key would count twice")
            }
            Refusal::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "the same Idempotency-Key came with another request before",
            ),
            Refusal::KeyTableFull { cap_bytes } => Self::new(
                Code::KeyTableFull,
                format!("{cap_bytes} bytes of keys are remembered; old ones are forgotten in time"),
            )
            .with("capBytes", *cap_bytes),
            Refusal::EventExists => {
                Self::new(Code::EventExists, "the store sent this eventId with other content")
            }
            Refusal::EventTooOld { window_ms } => Self::new(
                Code::EventTooOld,
                format!("events are told apart for {} days", window_ms / 86_400_000),
            )
            .with("windowMs", *window_ms),
            Refusal::EventTableFull { cap_bytes } => {
                Self::new(Code::EventTableFull, format!("{cap_bytes} bytes of events are remembered"))
                    .with("capBytes", *cap_bytes)
            }
            Refusal::UnknownSubscription { subscription } => {
                Self::new(Code::UnknownSubscription, format!("there is no subscription {subscription}"))
            }
            Refusal::SubscriptionExists { subscription } => Self::new(
                Code::SubscriptionExists,
                format!("{subscription} was made for another store, url or description"),
            ),
            Refusal::SubscriptionsFull { limit } => {
                Self::new(Code::SubscriptionsFull, format!("there may be {limit} subscriptions"))
                    .with("limit", *limit)
            }
            Refusal::UnknownDeadLetter { letter } => {
                Self::new(Code::UnknownDeadLetter, format!("there is no dead letter {letter}"))
            }
            Refusal::DeadLetterExists { letter } => {
                Self::new(Code::DeadLetterExists, format!("{letter} came with another store or body"))
            }
            Refusal::DeadLetterTooLarge { limit_bytes } => {
                Self::new(Code::DeadLetterTooLarge, format!("a dead letter may have {limit_bytes} bytes"))
                    .with("limitBytes", *limit_bytes)
            }
            Refusal::DeadLettersFull { limit, cap_bytes } => Self::new(
                Code::DeadLettersFull,
                format!("there may be {limit} dead letters, of {cap_bytes} bytes in all"),
            )
            .with("limit", *limit)
            .with("capBytes", *cap_bytes),
            Refusal::SettingOutOfRange { setting, min, max } => {
                let name = setting.name();
                Self::new(Code::SettingOutOfRange, format!("{name} must be {min} to {max}"))
                    .with("setting", name)
                    .with("min", *min)
                    .with("max", *max)
            }
            Refusal::ModelVersion { current, supported } => Self::new(
                Code::ModelVersion,
                format!("version {current} is in force, {supported} is the highest known"),
            )
            .with("current", *current)
            .with("supported", *supported),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_error_status_and_its_own_name() {
        let mut names = std::collections::BTreeSet::new();
        for code in ErrorCode::ALL {
            assert!((400..=599).contains(&code.status()), "{code:?}");
            assert!(names.insert(code.as_str()), "{code:?}");
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
            assert!(!code.may_have_effect() || code.retryable(), "{code:?}");
        }
    }

    #[test]
    fn a_problem_keeps_what_is_needed_to_act() {
        let refusal = Refusal::VersionConflict { current_version: 7 };
        let text = serde_json::to_string(&Problem::from(&refusal)).unwrap();
        let read: Problem = serde_json::from_str(&text).unwrap();
        assert_eq!(read.more["currentVersion"], 7);
        assert_eq!((read.status, read.code), (409, ErrorCode::VersionConflict));
    }
}
