//! What the feed needs to know of a record. Only this file looks into one.

use holdfast_api::{kind_name, order_event_name, record_kind_name};
use holdfast_model::{ItemId, MovementKind, OrderEventKind, Seq, StoreId};

pub use holdfast_model::Record;

/// Its number.
pub fn seq(record: &Record) -> Seq {
    record.seq()
}

/// What it tells of.
pub fn kind(record: &Record) -> &'static str {
    record_kind_name(record)
}

/// The store that it is about; none for an order, which may be over several.
pub fn store(record: &Record) -> Option<&StoreId> {
    record.store()
}

/// The item that it is about.
pub fn item(record: &Record) -> Option<&ItemId> {
    record.item()
}

/// Its JSON, as `/movements` gives it.
pub fn json(record: &Record, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &holdfast_api::Record::from(record))
        .expect("a record has plain keys, and memory takes it");
}

/// The names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    MovementKind::ALL.into_iter().map(kind_name).chain(OrderEventKind::ALL.into_iter().map(order_event_name))
}
