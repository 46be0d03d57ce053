//! Bodies about orders: what is asked, and what is answered.

use holdfast_model::{
    Amount, Command, Currency, HoldId, OrderAction, OrderEventKind, OrderId, OrderStatus, OrderView, Owner,
    Payment as PaymentView, PaymentId, PaymentOutcome, PaymentState, Reference,
};
use serde::{Deserialize, Serialize};

use crate::body::{Hold, HoldLine};
use crate::request::{LineBody, lines_of, ttl_ms};

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }
        )*
    };
}

requests! {
    /// A new order, and the hold of its goods.
    PlaceOrder {
        /// What is ordered; lines of the same row are added up.
        #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
        lines: Vec<LineBody>,
        /// How long the buyer has to pay, in seconds; no end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::openapi::MAX_TTL_SECONDS)))]
        ttl_seconds: Option<u64>,
        /// The order's id; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<OrderId>,
        /// The id of its hold; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_id: Option<HoldId>,
        /// Whom it is for, such as a cart.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
        /// What it belongs to, such as a customer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
    }
    /// Other lines for an order.
    ReplaceOrderLines {
        /// What is ordered instead; lines of the same row are added up.
        #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
        lines: Vec<LineBody>,
        /// The id of its new hold; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_id: Option<HoldId>,
    }
    /// How a payment of an order went.
    PayOrder {
        /// The provider's id of the payment.
        payment_id: PaymentId,
        /// `SUCCEEDED` or `FAILED`.
        #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["SUCCEEDED", "FAILED"])))]
        outcome: String,
        /// How much it was, in the currency's minor units; goes with `currency`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 0, max = crate::openapi::MAX_TOTAL)))]
        amount_minor: Option<u64>,
        /// The currency, such as `EUR` (ISO 4217).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        currency: Option<Currency>,
        /// When the order has expired, take the stock again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reacquire: bool,
    }
    /// A payment that was given back.
    RefundOrder {
        /// The provider's id of the payment.
        payment_id: PaymentId,
    }
}

impl PlaceOrder {
    /// The command; nil ids stand for ones that are still to be made.
    #[must_use]
    pub fn into_command(self) -> Command {
        let nil = uuid::Uuid::nil();
        Command::Order {
            order: self.order_id.unwrap_or(OrderId::from_uuid(nil)),
            action: OrderAction::Place {
                hold: self.hold_id.unwrap_or(HoldId::from_uuid(nil)),
                lines: lines_of(self.lines),
                ttl_ms: ttl_ms(self.ttl_seconds),
                owner: self.owner,
                reference: self.reference,
            },
        }
    }
}

impl ReplaceOrderLines {
    /// The command for an order; a nil id stands for one that is still to be made.
    #[must_use]
    pub fn into_command(self, order: OrderId) -> Command {
        let hold = self.hold_id.unwrap_or(HoldId::from_uuid(uuid::Uuid::nil()));
        Command::Order { order, action: OrderAction::ReplaceLines { hold, lines: lines_of(self.lines) } }
    }
}

impl PayOrder {
    /// The command for an order.
    ///
    /// # Errors
    /// When the outcome or the amount is not one, in words.
    pub fn into_command(self, order: OrderId) -> Result<Command, String> {
        let outcome = match self.outcome.as_str() {
            "SUCCEEDED" => PaymentOutcome::Succeeded,
            "FAILED" => PaymentOutcome::Failed,
            other => return Err(format!("outcome must be SUCCEEDED or FAILED, got {other:?}")),
        };
        let amount = match (self.amount_minor, self.currency) {
            (None, None) => None,
            (Some(units), Some(currency)) => {
                Some(Amount::new(units, currency).map_err(|error| error.to_string())?)
            }
            _ => return Err("amountMinor and currency go together".to_owned()),
        };
        let (payment, reacquire) = (self.payment_id, self.reacquire);
        Ok(Command::Order { order, action: OrderAction::Pay { payment, outcome, amount, reacquire } })
    }
}

impl RefundOrder {
    /// The command for an order.
    #[must_use]
    pub fn into_command(self, order: OrderId) -> Command {
        Command::Order { order, action: OrderAction::Refund { payment: self.payment_id } }
    }
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order.
    pub order_id: String,
    /// `PLACED`, `PAID`, `CANCELLED` or `EXPIRED`.
    pub status: String,
    /// The hold of its goods.
    pub hold_id: String,
    /// Until when it may be paid, RFC 3339; null when there is no end.
    pub expires_at: Option<String>,
    /// Milliseconds that are left; exact, which `expiresAt` is not.
    pub expires_in_ms: Option<u64>,
    /// Whom it is for.
    pub owner: Option<String>,
    /// What it belongs to.
    pub reference: Option<String>,
    /// Money is owed to the buyer: one of the payments is `REFUND_DUE`.
    pub refund_due: bool,
    /// Its lines.
    pub lines: Vec<HoldLine>,
    /// Its payments, in the order in which they first came.
    pub payments: Vec<Payment>,
}

/// A payment of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The provider's id of it.
    pub payment_id: String,
    /// `FAILED`, `ACCEPTED`, `REFUND_DUE` or `REFUNDED`.
    pub status: String,
    /// How much it was, in the currency's minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_minor: Option<u64>,
    /// The currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

/// Some orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct OrderPage {
    /// The orders, in the order in which they were made.
    pub orders: Vec<Order>,
    /// Give this as `after` for the next page; null when this was the last.
    pub next: Option<u64>,
}

impl From<&OrderView> for Order {
    fn from(order: &OrderView) -> Self {
        let hold = Hold::from(&order.hold);
        Self {
            order_id: order.order.to_string(),
            status: order_status_name(order.status).to_owned(),
            hold_id: hold.hold_id,
            expires_at: hold.expires_at,
            expires_in_ms: hold.expires_in_ms,
            owner: hold.owner,
            reference: order.reference.as_ref().map(ToString::to_string),
            refund_due: order.is_refund_due(),
            lines: hold.lines,
            payments: order.payments.iter().map(Payment::from).collect(),
        }
    }
}

impl From<&PaymentView> for Payment {
    fn from(payment: &PaymentView) -> Self {
        Self {
            payment_id: payment.id.to_string(),
            status: payment_state_name(payment.state).to_owned(),
            amount_minor: payment.amount.map(Amount::minor_units),
            currency: payment.amount.map(|amount| amount.currency().to_string()),
        }
    }
}

/// Which orders a list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderFilter {
    /// All of them.
    All,
    /// Those that stand there.
    Status(OrderStatus),
    /// Those for which money is owed.
    RefundDue,
}

impl OrderFilter {
    /// The filter of a name.
    ///
    /// # Errors
    /// When it is not one, in words.
    pub fn of(name: Option<&str>) -> Result<Self, String> {
        let Some(name) = name else { return Ok(Self::All) };
        if name == payment_state_name(PaymentState::RefundDue) {
            return Ok(Self::RefundDue);
        }
        let known = OrderStatus::ALL.into_iter().find(|&status| order_status_name(status) == name);
        known.map(Self::Status).ok_or_else(|| {
            format!("status must be PLACED, PAID, CANCELLED, EXPIRED or REFUND_DUE, got {name:?}")
        })
    }
}

/// The name of an order's status.
#[must_use]
pub const fn order_status_name(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Placed => "PLACED",
        OrderStatus::Paid => "PAID",
        OrderStatus::Cancelled => "CANCELLED",
        OrderStatus::Expired => "EXPIRED",
    }
}

/// The name of a payment's state.
#[must_use]
pub const fn payment_state_name(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Failed => "FAILED",
        PaymentState::Accepted => "ACCEPTED",
        PaymentState::RefundDue => "REFUND_DUE",
        PaymentState::Refunded => "REFUNDED",
    }
}

/// The name of an order event's kind.
#[must_use]
pub const fn order_event_name(kind: OrderEventKind) -> &'static str {
    match kind {
        OrderEventKind::Placed => "ORDER_PLACED",
        OrderEventKind::LinesReplaced => "ORDER_LINES_REPLACED",
        OrderEventKind::Paid => "ORDER_PAID",
        OrderEventKind::PaymentFailed => "ORDER_PAYMENT_FAILED",
        OrderEventKind::Cancelled => "ORDER_CANCELLED",
        OrderEventKind::Expired => "ORDER_EXPIRED",
        OrderEventKind::RefundDue => "ORDER_REFUND_DUE",
        OrderEventKind::Refunded => "ORDER_REFUNDED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pay(outcome: &str, amount_minor: Option<u64>, currency: Option<&str>) -> Result<Command, String> {
        let body = PayOrder {
            payment_id: PaymentId::new("p1").unwrap(),
            outcome: outcome.to_owned(),
            amount_minor,
            currency: currency.map(|code| code.parse().unwrap()),
            reacquire: false,
        };
        body.into_command(OrderId::from_uuid(uuid::Uuid::nil()))
    }

    #[test]
    fn a_payment_that_is_not_whole_is_refused_in_words() {
        assert!(pay("SUCCEEDED", Some(5), Some("EUR")).is_ok());
        assert!(pay("FAILED", None, None).is_ok());
        for (outcome, amount, currency) in
            [("succeeded", None, None), ("FAILED", Some(5), None), ("FAILED", None, Some("EUR"))]
        {
            assert!(pay(outcome, amount, currency).is_err(), "{outcome} {amount:?} {currency:?}");
        }
        assert!(pay("SUCCEEDED", Some(1 << 53), Some("EUR")).unwrap_err().contains("9007199254740991"));
    }

    #[test]
    fn a_list_is_of_a_status_or_of_what_is_owed() {
        assert_eq!(OrderFilter::of(None), Ok(OrderFilter::All));
        assert_eq!(OrderFilter::of(Some("PAID")), Ok(OrderFilter::Status(OrderStatus::Paid)));
        assert_eq!(OrderFilter::of(Some("REFUND_DUE")), Ok(OrderFilter::RefundDue));
        assert!(OrderFilter::of(Some("paid")).is_err());
    }
}
