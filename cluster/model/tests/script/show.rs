//! What the model says, in the words of a script.

use holdfast_model::{
    Amount, Cause, Config, DeadLetterId, DeadLetterView, Direction, HoldId, HoldLineView, HoldStatus,
    HoldView, LetterStatus, Movement, MovementKind, OrderEvent, OrderEventKind, OrderId, OrderStatus,
    OrderView, Outcome, Payment, PaymentState, Record, Refusal, Reply, RowKey, RowView, Seq, Setting,
    ShortLine, Stats, SubscriptionId, SubscriptionView, TransferId, TransferStatus, TransferView,
};

/// A text that a script can be read by.
pub trait Show {
    fn show(&self) -> String;
}

/// Milliseconds in the largest unit that they are a whole number of.
pub fn time(millis: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let unit = units.into_iter().find(|(unit, _)| millis > 0 && millis.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{millis}ms"), |(unit, name)| format!("{}{name}", millis / unit))
}

/// The texts that are not empty, with `between`.
fn joined<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, between: &str) -> String {
    let texts: Vec<T> = texts.into_iter().filter(|text| !text.as_ref().is_empty()).collect();
    texts.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(between)
}

/// `name value`, or nothing for 0.
fn unless_zero(name: &str, value: impl Into<i128>) -> String {
    let value = value.into();
    if value == 0 { String::new() } else { format!("{name} {value}") }
}

/// `name value`, or nothing when there is none.
fn if_some(name: &str, value: Option<impl std::fmt::Display>) -> String {
    value.map_or_else(String::new, |value| format!("{name} {value}"))
}

impl Show for Seq {
    fn show(&self) -> String {
        format!("#{}", self.0)
    }
}

impl Show for HoldId {
    fn show(&self) -> String {
        format!("hold {}", self.uuid().as_u128())
    }
}

impl Show for TransferId {
    fn show(&self) -> String {
        format!("transfer {}", self.uuid().as_u128())
    }
}

impl Show for OrderId {
    fn show(&self) -> String {
        format!("order {}", self.uuid().as_u128())
    }
}

impl Show for SubscriptionId {
    fn show(&self) -> String {
        format!("subscription {}", self.uuid().as_u128())
    }
}

impl Show for DeadLetterId {
    fn show(&self) -> String {
        format!("letter {}", self.uuid().as_u128())
    }
}

impl Show for SubscriptionView {
    fn show(&self) -> String {
        // A secret of a script consists of the letter that it is called by.
        let secrets = self.secrets.iter().map(|secret| secret.reveal()["whsec_".len()..][..1].to_owned());
        let head = format!("{} of {} to {}", self.subscription.show(), self.store, self.url);
        let description = if_some("called", self.description.as_ref());
        joined([head, description, format!("with {}", joined(secrets, ", "))], " ")
    }
}

impl Show for DeadLetterView {
    fn show(&self) -> String {
        let way = match self.direction {
            Direction::ToStore => "to",
            Direction::FromStore => "from",
        };
        let status = match self.status {
            LetterStatus::Dead => "DEAD",
            LetterStatus::Requeued => "REQUEUED",
        };
        let body = match str::from_utf8(self.body.as_bytes()) {
            Ok(text) if text.len() < 40 => format!("{text:?}"),
            _ => format!("{:?}", self.body),
        };
        let (at, reason) = (time(self.at.0), &self.reason);
        format!("{} {status} {way} {} at {at} reason {reason}: {body}", self.letter.show(), self.store)
    }
}

impl Show for Amount {
    fn show(&self) -> String {
        format!("{}{}", self.minor_units(), self.currency())
    }
}

impl Show for RowKey {
    fn show(&self) -> String {
        format!("{}/{}", self.store, self.item)
    }
}

impl Show for Reply {
    fn show(&self) -> String {
        let seq = if self.seq == Seq(0) { String::new() } else { format!(" {}", self.seq.show()) };
        let again = if self.replayed { " again" } else { "" };
        match &self.result {
            Ok(outcome) => format!("ok{seq}{again}: {}", outcome.show()),
            Err(refusal) => format!("refused{seq}{again}: {}", refusal.show()),
        }
    }
}

impl Show for Outcome {
    fn show(&self) -> String {
        match self {
            Self::Ticked => "ticked".to_owned(),
            Self::Row(row) => row.show(),
            Self::Removed(row) => format!("removed {}", row.show()),
            Self::Hold(hold) => hold.show(),
            Self::Transfer(transfer) => transfer.show(),
            Self::Order(order) => order.show(),
            Self::Subscribed(id) => format!("subscribed {}", id.show()),
            Self::Unsubscribed(id) => format!("unsubscribed {}", id.show()),
            Self::DeadLetter(id) => format!("keeps {}", id.show()),
            Self::DeadLetterRemoved(id) => format!("dropped {}", id.show()),
            Self::Configured(config) => config.show(),
            Self::Trimmed(seq) => format!("the ledger starts at {}", seq.show()),
            Self::ModelVersion(version) => format!("rules of version {version}"),
        }
    }
}

impl Show for RowView {
    fn show(&self) -> String {
        let policy = joined(
            [
                unless_zero("safety stock", self.policy.safety_stock),
                unless_zero("backorder limit", self.policy.backorder_limit),
            ],
            ", ",
        );
        let flags =
            [if self.retired { "retired" } else { "" }, if self.oversold() { "oversold" } else { "" }];
        let start = format!(
            "{} available {}, reserved {}, version {}, last {}",
            self.row.show(),
            self.available,
            self.reserved,
            self.version,
            self.last_seq.show()
        );
        joined([start, policy, joined(flags, ", ")], ", ")
    }
}

/// A row with what it came from.
pub fn full_row(row: &RowView) -> String {
    let sums = [
        unless_zero("opening", row.opening),
        unless_zero("received", row.received),
        unless_zero("adjusted", row.adjusted),
        unless_zero("counted", row.counted),
        unless_zero("transferred in", row.transferred_in),
        unless_zero("transferred out", row.transferred_out),
        unless_zero("sold", row.sold),
    ];
    let (on_hand, sellable) = (row.on_hand(), row.sellable());
    let balances = format!("  on hand {on_hand}, sellable {sellable}");
    format!("{}\n{}", row.show(), joined([balances, joined(sums, ", ")], ": "))
}

impl Show for HoldView {
    fn show(&self) -> String {
        let status = match self.status {
            HoldStatus::Held => "HELD",
            HoldStatus::Confirmed => "CONFIRMED",
            HoldStatus::Released => "RELEASED",
            HoldStatus::Expired => "EXPIRED",
        };
        let left = match (self.expires_at, self.expires_in_ms, self.status) {
            (Some(at), Some(left), HoldStatus::Held) => {
                format!("until {} ({} left)", time(at.0), time(left))
            }
            (Some(at), Some(0), _) => format!("until {}", time(at.0)),
            (None, None, _) => String::new(),
            other => format!("with deadlines that do not agree: {other:?}"),
        };
        let utc =
            if_some("utc", self.expires_at_utc.filter(|utc| Some(utc.0) != at_epoch(self)).map(|utc| utc.0));
        let owner = if_some("for", self.owner.as_ref());
        let order = self.order.map_or_else(String::new, |order| format!("of {}", order.show()));
        let head = joined([self.hold.show(), status.to_owned(), left, utc, owner, order], " ");
        format!("{head}: {}", joined(self.lines.iter().map(Show::show), "; "))
    }
}

/// The deadline as UTC while no offset is known.
fn at_epoch(hold: &HoldView) -> Option<i64> {
    hold.expires_at.and_then(|at| i64::try_from(at.0).ok())
}

impl Show for OrderView {
    fn show(&self) -> String {
        let reference = if_some("ref", self.reference.as_ref());
        let due = if self.is_refund_due() { "refund due" } else { "" };
        let head = [self.order.show(), show_order_status(self.status).to_owned(), due.to_owned(), reference];
        let payments = self.payments.iter().map(Show::show);
        joined([joined(head, " "), joined(payments, ", "), self.hold.show()], "; ")
    }
}

impl Show for Payment {
    fn show(&self) -> String {
        let amount = self.amount.map_or_else(String::new, |amount| amount.show());
        let state = show_payment_state(self.state).to_owned();
        joined(["payment".to_owned(), self.id.to_string(), amount, state], " ")
    }
}

fn show_order_status(status: OrderStatus) -> &'static str {
    match status {
        OrderStatus::Placed => "PLACED",
        OrderStatus::Paid => "PAID",
        OrderStatus::Cancelled => "CANCELLED",
        OrderStatus::Expired => "EXPIRED",
    }
}

fn show_payment_state(state: PaymentState) -> &'static str {
    match state {
        PaymentState::Failed => "FAILED",
        PaymentState::Accepted => "ACCEPTED",
        PaymentState::RefundDue => "REFUND_DUE",
        PaymentState::Refunded => "REFUNDED",
    }
}

impl Show for HoldLineView {
    fn show(&self) -> String {
        let asked = if self.requested == self.granted {
            format!("{} {}", self.row.show(), self.granted)
        } else {
            format!("{} {} of {}", self.row.show(), self.granted, self.requested)
        };
        let ends = [
            unless_zero("reserved", self.reserved),
            unless_zero("confirmed", self.confirmed),
            unless_zero("released", self.released),
            unless_zero("expired", self.expired),
        ];
        joined([asked, joined(ends, ", ")], " = ")
    }
}

impl Show for TransferView {
    fn show(&self) -> String {
        let status = show_status(self.status);
        let parts = [
            unless_zero("under way", self.in_transit()),
            unless_zero("received", self.received),
            unless_zero("short", self.shortfall),
            unless_zero("returned", self.returned),
        ];
        let (item, from, to, qty) = (&self.item, &self.from, &self.to, self.qty);
        format!("{} {status} {qty} {item} {from} to {to}: {}", self.transfer.show(), joined(parts, ", "))
    }
}

fn show_status(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Shipped => "SHIPPED",
        TransferStatus::Received => "RECEIVED",
        TransferStatus::Cancelled => "CANCELLED",
    }
}

impl Show for Config {
    fn show(&self) -> String {
        let setting = |setting: Setting| {
            let value = self.get(setting);
            let is_time = setting.name().ends_with("Ms");
            format!("{} {}", setting.name(), if is_time { time(value) } else { value.to_string() })
        };
        joined(Setting::ALL.map(setting), ", ")
    }
}

pub fn stats(stats: &Stats) -> String {
    let holds =
        format!("holds open {}, due {}, ended {}", stats.holds_open, stats.holds_due, stats.holds_ended);
    let orders = [
        unless_zero("orders placed", stats.orders_placed),
        unless_zero("orders ended", stats.orders_ended),
        unless_zero("refunds due", stats.refunds_due),
    ];
    let parts = [
        format!("rows {}", stats.rows),
        holds,
        format!("transfers open {}", stats.transfers_open),
        joined(orders, ", "),
        unless_zero("subscriptions", stats.subscriptions),
        unless_zero("dead letters", stats.dead_letters),
        format!("keys {}, events {}", stats.keys, stats.events),
    ];
    joined(parts, "; ")
}

impl Show for Record {
    fn show(&self) -> String {
        match self {
            Self::Movement(movement) => movement.show(),
            Self::Order(event) => event.show(),
        }
    }
}

impl Show for OrderEvent {
    fn show(&self) -> String {
        let kind = match self.kind {
            OrderEventKind::Placed => "ORDER_PLACED",
            OrderEventKind::LinesReplaced => "ORDER_LINES_REPLACED",
            OrderEventKind::Paid => "ORDER_PAID",
            OrderEventKind::PaymentFailed => "ORDER_PAYMENT_FAILED",
            OrderEventKind::Cancelled => "ORDER_CANCELLED",
            OrderEventKind::Expired => "ORDER_EXPIRED",
            OrderEventKind::RefundDue => "ORDER_REFUND_DUE",
            OrderEventKind::Refunded => "ORDER_REFUNDED",
        };
        let utc = self.at_utc.0.wrapping_sub_unsigned(self.at.0);
        let status = show_order_status(self.status);
        let parts = [
            format!("{} {kind} {} {status}", self.seq.show(), self.order.show()),
            self.hold.show(),
            if_some("payment", self.payment.as_ref()),
            self.amount.map_or_else(String::new, |amount| amount.show()),
            format!("at {}", time(self.at.0)),
            if_some("utc", Some(self.at_utc.0).filter(|_| utc != 0)),
            if_some("by", self.actor.as_ref()),
            if_some("reason", self.reason.as_ref()),
            if_some("ref", self.reference.as_ref()),
        ];
        joined(parts, " ")
    }
}

impl Show for Movement {
    fn show(&self) -> String {
        let kind = show_kind(self.kind);
        let start = format!("{} {kind} {}/{} {}", self.seq.show(), self.store, self.item, self.qty);
        let after = format!(
            "(available {}, reserved {}, version {}, after {})",
            self.available,
            self.reserved,
            self.version,
            self.prev_seq.show()
        );
        let utc = self.at_utc.0.wrapping_sub_unsigned(self.at.0);
        let utc = if_some("utc", Some(self.at_utc.0).filter(|_| utc != 0));
        let who = [
            if_some("by", self.actor.as_ref()),
            if_some("reason", self.reason.as_ref()),
            if_some("ref", self.reference.as_ref()),
        ];
        let at = format!("at {}", time(self.at.0));
        joined([start, after, at, utc, self.cause.show(), joined(who, " ")], " ")
    }
}

fn show_kind(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Created => "CREATED",
        MovementKind::Reserved => "RESERVED",
        MovementKind::Confirmed => "CONFIRMED",
        MovementKind::Released => "RELEASED",
        MovementKind::Expired => "EXPIRED",
        MovementKind::Extended => "EXTENDED",
        MovementKind::Sold => "SOLD",
        MovementKind::Received => "RECEIVED",
        MovementKind::Adjusted => "ADJUSTED",
        MovementKind::Counted => "COUNTED",
        MovementKind::TransferOut => "TRANSFER_OUT",
        MovementKind::TransferIn => "TRANSFER_IN",
        MovementKind::Shortfall => "SHORTFALL",
        MovementKind::Policy => "POLICY",
        MovementKind::Retired => "RETIRED",
    }
}

impl Show for Cause {
    fn show(&self) -> String {
        match self {
            Self::Row => String::new(),
            Self::Hold { hold, expires_at, order } => {
                let order = order.map_or_else(String::new, |order| order.show());
                joined([hold.show(), if_some("until", expires_at.map(|at| time(at.0))), order], " ")
            }
            Self::Transfer { transfer } => transfer.show(),
            Self::Event { event } => format!("event {event}"),
            Self::Policy(policy) => {
                format!("safety stock {}, backorder limit {}", policy.safety_stock, policy.backorder_limit)
            }
        }
    }
}

impl Show for ShortLine {
    fn show(&self) -> String {
        format!("{} wants {}, has {}", self.row.show(), self.requested, self.available)
    }
}

/// Rows or lines that a refusal names, and how many it does not.
fn named<T: Show>(things: &[T], omitted: u32) -> String {
    let more = if omitted == 0 { String::new() } else { format!("{omitted} more") };
    joined(things.iter().map(Show::show).chain([more]), "; ")
}

impl Show for Refusal {
    fn show(&self) -> String {
        match self {
            Self::UnknownItem { rows, omitted } => format!("unknown item {}", named(rows, *omitted)),
            Self::ItemRetired { rows, omitted } => format!("item retired {}", named(rows, *omitted)),
            Self::SkuExists { row, current_version } => {
                format!("sku exists {} at version {current_version}", row.show())
            }
            Self::InsufficientStock { lines, omitted } => {
                format!("insufficient stock {}", named(lines, *omitted))
            }
            Self::BelowZero { available, delta } => {
                format!("below zero: available {available}, delta {delta}")
            }
            Self::VersionConflict { current_version } => format!("version conflict: now {current_version}"),
            Self::NotEmpty { row, on_hand, reserved, in_transit } => format!(
                "not empty {}: on hand {on_hand}, reserved {reserved}, in transit {in_transit}",
                row.show()
            ),
            Self::QuantityOutOfRange { row } => joined(
                ["quantity out of range".to_owned(), row.as_ref().map_or_else(String::new, Show::show)],
                " ",
            ),
            Self::CursorCompacted { oldest } => format!("cursor compacted: oldest {}", oldest.show()),
            Self::SeqAhead { last } => format!("seq ahead: last {}", last.show()),
            Self::NoLines => "no lines".to_owned(),
            Self::TooManyLines { got, limit } => format!("too many lines: got {got}, limit {limit}"),
            Self::TtlOutOfRange { max_ms } => format!("ttl out of range: at most {}", time(*max_ms)),
            Self::SameStore => "same store".to_owned(),
            Self::UnknownOrder { .. }
            | Self::OrderExists { .. }
            | Self::OrderConflict { .. }
            | Self::HoldOfOrder { .. }
            | Self::UnknownPayment { .. }
            | Self::PaymentExists { .. }
            | Self::RefundNotDue { .. }
            | Self::TooManyPayments { .. } => show_about_orders(self),
            other => show_about_ids(other),
        }
    }
}

/// Refusals about an order.
fn show_about_orders(refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownOrder { order } => format!("unknown {}", order.show()),
        Refusal::OrderExists { order, state } => {
            format!("{} exists, {}", order.show(), show_order_status(*state))
        }
        Refusal::OrderConflict { order, state } => {
            format!("{} is {}", order.show(), show_order_status(*state))
        }
        Refusal::HoldOfOrder { hold, order } => format!("{} is of {}", hold.show(), order.show()),
        Refusal::UnknownPayment { order, payment } => {
            format!("unknown payment {payment} of {}", order.show())
        }
        Refusal::PaymentExists { payment, state } => {
            format!("payment {payment} exists, {}", show_payment_state(*state))
        }
        Refusal::RefundNotDue { payment, state } => {
            format!("no refund due for payment {payment}, {}", show_payment_state(*state))
        }
        Refusal::TooManyPayments { limit } => format!("too many payments: limit {limit}"),
        other => format!("{other:?}"),
    }
}

/// Refusals about a hold, a transfer, a key, an event or a setting.
fn show_about_ids(refusal: &Refusal) -> String {
    match refusal {
        Refusal::UnknownHold { hold } => format!("unknown {}", hold.show()),
        Refusal::HoldExists { hold, state } => format!("{} exists, {state:?}", hold.show()),
        Refusal::HoldExpired { hold } => format!("{} expired", hold.show()),
        Refusal::HoldReleased { hold } => format!("{} released", hold.show()),
        Refusal::HoldConfirmed { hold } => format!("{} confirmed", hold.show()),
        Refusal::ExceedsHold { hold, lines, omitted } => {
            format!("exceeds {}: {}", hold.show(), named(lines, *omitted))
        }
        Refusal::UnknownTransfer { transfer } => format!("unknown {}", transfer.show()),
        Refusal::TransferExists { transfer, state } => {
            format!("{} exists, {}", transfer.show(), show_status(*state))
        }
        Refusal::OverReceipt { transfer, remaining } => {
            format!("over receipt of {}: remaining {remaining}", transfer.show())
        }
        Refusal::TransferConflict { transfer, state, received } => {
            format!("{} is {}, received {received}", transfer.show(), show_status(*state))
        }
        Refusal::KeyRequired => "key required".to_owned(),
        Refusal::KeyReused => "key reused".to_owned(),
        Refusal::KeyTableFull { cap_bytes } => format!("key table full: cap {cap_bytes} bytes"),
        Refusal::EventExists => "event exists".to_owned(),
        Refusal::EventTooOld { window_ms } => format!("event too old: window {}", time(*window_ms)),
        Refusal::EventTableFull { cap_bytes } => format!("event table full: cap {cap_bytes} bytes"),
        Refusal::UnknownSubscription { subscription } => format!("unknown {}", subscription.show()),
        Refusal::SubscriptionExists { subscription } => format!("{} exists", subscription.show()),
        Refusal::SubscriptionsFull { limit } => format!("subscriptions full: limit {limit}"),
        Refusal::UnknownDeadLetter { letter } => format!("unknown {}", letter.show()),
        Refusal::DeadLetterExists { letter } => format!("{} exists", letter.show()),
        Refusal::DeadLetterTooLarge { limit_bytes } => format!("letter too large: limit {limit_bytes} bytes"),
        Refusal::DeadLettersFull { limit, cap_bytes } => {
            format!("dead letters full: limit {limit}, cap {cap_bytes} bytes")
        }
        Refusal::SettingOutOfRange { setting, min, max } => {
            format!("setting {} out of range: {min} to {max}", setting.name())
        }
        Refusal::ModelVersion { current, supported } => {
            format!("model version: now {current}, supported {supported}")
        }
        other => format!("{other:?}"),
    }
}
