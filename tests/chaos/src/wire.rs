//! Operations as HTTP requests, and answers as what came of them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::history::End;
use crate::op::{
    Answer, HoldSeen, HoldStatus, ITEMS, Lines, Op, OrderSeen, OrderStatus, PaymentStatus, Reply, RowSeen,
};

/// When the stores' events are said to have happened: never before what is remembered.
const OCCURRED_AT: &str = "2999-01-01T00:00:00Z";

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its idempotency key.
    pub key: Option<String>,
    /// Its body.
    pub body: Option<Value>,
}

/// The store of a shelf.
#[must_use]
pub fn store(shelf: u64) -> String {
    format!("S{shelf}")
}

/// A hold's id.
#[must_use]
pub fn hold_id(hold: u64) -> String {
    format!("H-01981c50-0000-7000-8000-{hold:012x}")
}

/// An order's id.
#[must_use]
pub fn order_id(order: u64) -> String {
    format!("O-01981c50-0000-7000-8000-{order:012x}")
}

/// The number in the id of a hold or order.
#[must_use]
pub fn number(id: &str) -> Option<u64> {
    u64::from_str_radix(id.rsplit('-').next()?, 16).ok()
}

fn put(path: String, key: Option<String>, body: Value) -> Request {
    Request { method: Method::POST, path, key, body: Some(body) }
}

fn get(path: String) -> Request {
    Request { method: Method::GET, path, key: None, body: None }
}

fn lines_body(shelf: u64, lines: Lines) -> Value {
    let asked = ITEMS.iter().zip(lines).filter(|(_, qty)| *qty > 0);
    let lines = asked.map(|(item, qty)| json!({"storeId": store(shelf), "itemId": item, "qty": qty}));
    lines.collect()
}

/// The request that asks for an operation.
///
/// # Panics
/// For what nobody asks for.
#[must_use]
pub fn request(shelf: u64, op: &Op) -> Request {
    let item = |item: usize| format!("/inventory/{}/items/{}", store(shelf), ITEMS[item]);
    match *op {
        Op::Create { item, opening } => {
            let body = json!({"storeId": store(shelf), "itemId": ITEMS[item], "available": opening});
            put("/admin/newSKU".to_owned(), None, body)
        }
        Op::Reserve { hold, lines, ttl_seconds } => {
            let body = json!({"holdId": hold_id(hold), "lines": lines_body(shelf, lines), "ttlSeconds": ttl_seconds});
            put("/holds".to_owned(), None, body)
        }
        Op::Confirm { hold } => put(format!("/holds/{}/confirm", hold_id(hold)), None, json!({})),
        Op::Release { hold } => put(format!("/holds/{}/release", hold_id(hold)), None, json!({})),
        Op::Adjust { key, item: at, delta } => {
            let body = json!({"delta": delta, "reason": "chaos", "reference": key.to_string()});
            put(item(at) + "/adjust", Some(format!("key-{key}")), body)
        }
        Op::Sale { event, item: at, qty } => put(item(at) + "/sale", None, event_body(event, qty)),
        Op::Receive { event, item: at, qty } => put(item(at) + "/receive", None, event_body(event, qty)),
        Op::Place { order, lines, ttl_seconds } => {
            let lines = lines_body(shelf, lines);
            let (order, hold) = (order_id(order), hold_id(order));
            let body = json!({"orderId": order, "holdId": hold, "lines": lines, "ttlSeconds": ttl_seconds});
            put("/orders".to_owned(), None, body)
        }
        Op::Pay { order, payment } => {
            let body = json!({"paymentId": format!("p{payment}"), "outcome": "SUCCEEDED"});
            put(format!("/orders/{}/payment", order_id(order)), None, body)
        }
        Op::Cancel { order } => put(format!("/orders/{}/cancel", order_id(order)), None, json!({})),
        Op::ReadRow { item: at, local: true } => get(item(at) + "?consistency=local"),
        Op::ReadRow { item: at, local: false } => get(item(at)),
        Op::ReadHold { hold } => get(format!("/holds/{}", hold_id(hold))),
        Op::ReadOrder { order } => get(format!("/orders/{}", order_id(order))),
        Op::Expire { .. } => panic!("a hold's end is not asked for"),
    }
}

fn event_body(event: u64, qty: u64) -> Value {
    json!({"qty": qty, "eventId": format!("E-{event}"), "occurredAt": OCCURRED_AT, "reference": event.to_string()})
}

/// How a call ended that was answered with this.
#[must_use]
pub fn end(op: &Op, status: u16, repeated: bool, applied_seq: u64, body: &Value) -> End {
    if (200..300).contains(&status) {
        return match seen(op, body) {
            Some(reply) => End::Answered { answer: Answer { reply, repeated }, applied_seq },
            None => End::Senseless(format!("{status} {body}")),
        };
    }
    let Some(code) = body["code"].as_str() else { return End::Senseless(format!("{status} {body}")) };
    match (status, code) {
        (503, "outcome_unknown") => End::Unknown,
        (503 | 408, _) => End::NotDone(code.to_owned()),
        (409, "insufficient_stock") => {
            let answer = Answer { reply: Reply::Short(short(body)), repeated };
            End::Answered { answer, applied_seq }
        }
        (400..500, _) => {
            let answer = Answer { reply: Reply::Refused(code.to_owned()), repeated };
            End::Answered { answer, applied_seq }
        }
        _ => End::Senseless(format!("{status} {body}")),
    }
}

fn item_of(line: &Value) -> Option<usize> {
    ITEMS.iter().position(|item| line["itemId"] == *item)
}

fn short(body: &Value) -> [Option<i64>; 2] {
    let mut short = [None, None];
    for line in body["lines"].as_array().into_iter().flatten() {
        if let Some(item) = item_of(line) {
            short[item] = line["available"].as_i64();
        }
    }
    short
}

fn seen(op: &Op, body: &Value) -> Option<Reply> {
    Some(match op {
        Op::Create { .. } | Op::Adjust { .. } | Op::Sale { .. } | Op::Receive { .. } | Op::ReadRow { .. } => {
            Reply::Row(row(body)?)
        }
        Op::Reserve { .. } | Op::Confirm { .. } | Op::Release { .. } | Op::ReadHold { .. } => {
            Reply::Hold(HoldSeen { status: hold_status(&body["status"])?, lines: lines(body)? })
        }
        Op::Place { .. } | Op::Pay { .. } | Op::Cancel { .. } | Op::ReadOrder { .. } => {
            Reply::Order(order(body)?)
        }
        Op::Expire { .. } => return None,
    })
}

/// A row as it is shown.
#[must_use]
pub fn row(body: &Value) -> Option<RowSeen> {
    Some(RowSeen {
        available: body["available"].as_i64()?,
        reserved: body["reserved"].as_u64()?,
        version: body["version"].as_u64()?,
        last_seq: body["lastSeq"].as_u64()?,
        received: body["received"].as_u64()?,
        adjusted: body["adjusted"].as_i64()?,
        sold: body["sold"].as_u64()?,
    })
}

fn lines(body: &Value) -> Option<[[u64; 4]; 2]> {
    let mut lines = [[0; 4]; 2];
    for line in body["lines"].as_array()? {
        let parts = ["reserved", "confirmed", "released", "expired"].map(|part| line[part].as_u64());
        let [Some(reserved), Some(confirmed), Some(released), Some(expired)] = parts else { return None };
        lines[item_of(line)?] = [reserved, confirmed, released, expired];
    }
    Some(lines)
}

fn hold_status(status: &Value) -> Option<HoldStatus> {
    serde_json::from_value(status.clone()).ok()
}

fn order(body: &Value) -> Option<OrderSeen> {
    let status: OrderStatus = serde_json::from_value(body["status"].clone()).ok()?;
    let payment = |payment: &Value| {
        let id = payment["paymentId"].as_str()?.strip_prefix('p')?.parse().ok()?;
        let status: PaymentStatus = serde_json::from_value(payment["status"].clone()).ok()?;
        Some((id, status))
    };
    let payments = body["payments"].as_array()?.iter().map(payment).collect::<Option<_>>()?;
    Some(OrderSeen { status, lines: lines(body)?, payments })
}
