//! Records of the ledger as JSON.

use holdfast_model as model;
use serde::{Deserialize, Serialize};

use crate::body::{Movement, kind_name};
use crate::order::{order_event_name, order_status_name};
use crate::time::rfc3339;

/// One change of one order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderEvent {
    /// Its number.
    pub seq: u64,
    /// When, RFC 3339; order is told by `seq`.
    pub at: String,
    /// `ORDER_PLACED`, `ORDER_LINES_REPLACED`, `ORDER_PAID`, `ORDER_PAYMENT_FAILED`, `ORDER_CANCELLED`, `ORDER_EXPIRED`,
    /// `ORDER_REFUND_DUE` or `ORDER_REFUNDED`.
    pub kind: String,
    /// The order.
    pub order_id: String,
    /// Where the order stands after it: `PLACED`, `PAID`, `CANCELLED` or `EXPIRED`.
    pub status: String,
    /// The hold that the order has after it.
    pub hold_id: String,
    /// The payment, where one is concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// How much the payment was, in the currency's minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<u64>,
    /// The currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the order belongs to, told when it is placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// One record of the ledger. Only a movement has a store and an item; only `kind` need be looked at to tell them apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Record {
    /// A change of a stock row.
    Movement(Movement),
    /// A change of an order.
    Order(OrderEvent),
}

impl Record {
    /// Its number.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        match self {
            Self::Movement(movement) => movement.seq,
            Self::Order(event) => event.seq,
        }
    }

    /// What it tells, such as `RESERVED` or `ORDER_PAID`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Movement(movement) => &movement.kind,
            Self::Order(event) => &event.kind,
        }
    }

    /// The store whose stock it changed; none for a change of an order.
    #[must_use]
    pub fn store_id(&self) -> Option<&str> {
        match self {
            Self::Movement(movement) => Some(&movement.store_id),
            Self::Order(_) => None,
        }
    }

    /// The item whose stock it changed; none for a change of an order.
    #[must_use]
    pub fn item_id(&self) -> Option<&str> {
        match self {
            Self::Movement(movement) => Some(&movement.item_id),
            Self::Order(_) => None,
        }
    }
}

impl From<&model::OrderEvent> for OrderEvent {
    fn from(event: &model::OrderEvent) -> Self {
        Self {
            seq: event.seq.0,
            at: rfc3339(event.at_utc),
            kind: order_event_name(event.kind).to_owned(),
            order_id: event.order.to_string(),
            status: order_status_name(event.status).to_owned(),
            hold_id: event.hold.to_string(),
            payment_id: event.payment.as_ref().map(ToString::to_string),
            amount_minor: event.amount.map(model::Amount::minor_units),
            currency: event.amount.map(|amount| amount.currency().to_string()),
            actor: event.actor.as_ref().map(ToString::to_string),
            reason: event.reason.as_ref().map(ToString::to_string),
            reference: event.reference.as_ref().map(ToString::to_string),
        }
    }
}

impl From<&model::Record> for Record {
    fn from(record: &model::Record) -> Self {
        match record {
            model::Record::Movement(movement) => Self::Movement(Movement::from(movement)),
            model::Record::Order(event) => Self::Order(OrderEvent::from(event)),
        }
    }
}

/// The name of a record's kind.
#[must_use]
pub const fn record_kind_name(record: &model::Record) -> &'static str {
    match record {
        model::Record::Movement(movement) => kind_name(movement.kind),
        model::Record::Order(event) => order_event_name(event.kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> OrderEvent {
        OrderEvent::from(&model::OrderEvent {
            seq: model::Seq(7),
            at: model::ClusterTime(0),
            at_utc: model::UtcMillis(0),
            kind: model::OrderEventKind::RefundDue,
            order: model::OrderId::from_uuid(uuid::Uuid::nil()),
            status: model::OrderStatus::Expired,
            hold: model::HoldId::from_uuid(uuid::Uuid::nil()),
            payment: model::PaymentId::new("p1").ok(),
            amount: model::Amount::new(5, "EUR".parse().unwrap()).ok(),
            actor: None,
            reason: None,
            reference: None,
        })
    }

    #[test]
    fn a_record_is_read_as_what_it_was_written() {
        let record = Record::Order(event());
        let text = serde_json::to_string(&record).unwrap();
        assert!(
            text.contains(r#""kind":"ORDER_REFUND_DUE""#) && text.contains(r#""amountMinor":5"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
        assert_eq!((record.seq(), record.kind(), record.store_id()), (7, "ORDER_REFUND_DUE", None));
    }
}
