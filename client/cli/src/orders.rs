//! `holdfast order`: placed, changed, paid, taken back, given their money back.

use clap::{Subcommand, ValueEnum};
use comfy_table::Table;
use futures_util::{StreamExt, TryStreamExt};
use holdfast_sdk::Client;
use holdfast_sdk::api::{
    Cancel, HoldLine, LineBody, Order, PayOrder, PlaceOrder, RefundOrder, ReplaceOrderLines,
};
use holdfast_sdk::model::{Currency, HoldId, OrderId, Owner, PaymentId, Reason, Reference};
use uuid::Uuid;

use crate::Done;
use crate::holds::line;
use crate::output::Output;
use crate::tables::{hold_lines, numbers, table};

/// Orders.
#[derive(Debug, Subcommand)]
pub enum OrderCommand {
    /// Place an order: all of it or nothing
    Place {
        /// STORE/ITEM=QTY
        #[arg(required = true, value_parser = line)]
        lines: Vec<LineBody>,
        /// Seconds that the buyer has to pay; no end when absent
        #[arg(long)]
        ttl: Option<u64>,
        /// Whom it is for
        #[arg(long)]
        owner: Option<Owner>,
        /// What it belongs to, such as a customer
        #[arg(long)]
        reference: Option<Reference>,
        /// The order's id; made when absent
        #[arg(long)]
        id: Option<OrderId>,
    },
    /// Look at an order
    Get {
        /// The order
        order: OrderId,
    },
    /// List orders as they were placed
    List {
        /// Only those that stand there; refund-due: those for which money is owed
        #[arg(long, value_enum)]
        status: Option<Status>,
        /// How many at most
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Give a placed order other lines, all of them or none
    Lines {
        /// The order
        order: OrderId,
        /// STORE/ITEM=QTY
        #[arg(required = true, value_parser = line)]
        lines: Vec<LineBody>,
        /// The id of its new hold; made when absent
        #[arg(long)]
        hold: Option<HoldId>,
    },
    /// Say how a payment of an order went
    Pay {
        /// The order
        order: OrderId,
        /// The provider's id of the payment
        payment: PaymentId,
        /// It failed; the buyer may try again
        #[arg(long)]
        failed: bool,
        /// How much it was, in the currency's minor units
        #[arg(long, requires = "currency")]
        amount_minor: Option<u64>,
        /// The currency, such as EUR
        #[arg(long, requires = "amount_minor")]
        currency: Option<Currency>,
        /// When the order has expired, take the stock again
        #[arg(long)]
        reacquire: bool,
    },
    /// Take an order back before it is paid
    Cancel {
        /// The order
        order: OrderId,
        /// Why
        #[arg(long)]
        reason: Option<Reason>,
    },
    /// Say that a payment which was owed to the buyer was given back
    Refund {
        /// The order
        order: OrderId,
        /// The provider's id of the payment
        payment: PaymentId,
    },
}

/// Where orders stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Status {
    /// To be paid.
    Placed,
    /// Paid.
    Paid,
    /// Taken back.
    Cancelled,
    /// Not paid in time.
    Expired,
    /// Money is owed.
    RefundDue,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Placed => "PLACED",
            Self::Paid => "PAID",
            Self::Cancelled => "CANCELLED",
            Self::Expired => "EXPIRED",
            Self::RefundDue => "REFUND_DUE",
        }
    }
}

impl OrderCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let order = match self {
            Self::List { status, limit } => {
                let orders = client.orders(status.map(Status::name)).take(limit);
                let found: Vec<Order> = orders.try_collect().await?;
                return out.print(&found, |found: &Vec<Order>| list(found));
            }
            Self::Place { lines, ttl, owner, reference, id } => {
                let id = id.unwrap_or_else(|| OrderId::from_uuid(Uuid::now_v7()));
                let body = PlaceOrder {
                    lines,
                    ttl_seconds: ttl,
                    order_id: Some(id),
                    hold_id: None,
                    owner,
                    reference,
                };
                let placed = client.place_order(body).await;
                placed.map_err(|error| error.about(&format!("repeat it with --id {id}")))?
            }
            Self::Get { order } => client.get_order(order).await?,
            Self::Lines { order, lines, hold } => {
                let hold = hold.unwrap_or_else(|| HoldId::from_uuid(Uuid::now_v7()));
                let body = ReplaceOrderLines { lines, hold_id: Some(hold) };
                let replaced = client.replace_order_lines(order, body).await;
                replaced.map_err(|error| error.about(&format!("repeat it with --hold {hold}")))?
            }
            Self::Pay { order, payment, failed, amount_minor, currency, reacquire } => {
                let outcome = if failed { "FAILED" } else { "SUCCEEDED" }.to_owned();
                let body = PayOrder { payment_id: payment, outcome, amount_minor, currency, reacquire };
                client.pay_order(order, &body).await?
            }
            Self::Cancel { order, reason } => client.cancel_order(order, &Cancel { reason }).await?,
            Self::Refund { order, payment } => {
                client.refund_order(order, &RefundOrder { payment_id: payment }).await?
            }
        };
        print(out, &order)
    }
}

fn print(out: &Output, order: &Order) -> Done {
    out.print(order, |order| hold_lines(&order.lines))?;
    let left = match (order.status.as_str(), order.expires_in_ms) {
        ("PLACED", Some(ms)) => format!(", {ms} ms left"),
        ("PLACED", None) => ", without end".to_owned(),
        _ => String::new(),
    };
    let payments = order.payments.iter().map(|payment| {
        let amount = payment.amount_minor.map(|units| format!(" {units}"));
        let currency = payment.currency.as_ref().map(|currency| format!(" {currency}"));
        let amount = amount.unwrap_or_default() + &currency.unwrap_or_default();
        format!(", payment {}{amount} {}", payment.payment_id, payment.status)
    });
    let payments: String = payments.collect();
    out.line(&format!("{} {}{left}{payments}", order.order_id, order.status))
}

fn list(orders: &[Order]) -> Table {
    let mut table = table(&["order", "status", "refund due", "owner", "reference", "units", "payments"]);
    let units = |line: &HoldLine| u128::from(line.granted);
    for order in orders {
        table.add_row(vec![
            order.order_id.clone(),
            order.status.clone(),
            if order.refund_due { "yes".to_owned() } else { String::new() },
            order.owner.clone().unwrap_or_default(),
            order.reference.clone().unwrap_or_default(),
            order.lines.iter().map(units).sum::<u128>().to_string(),
            order.payments.len().to_string(),
        ]);
    }
    numbers(table, 5)
}
