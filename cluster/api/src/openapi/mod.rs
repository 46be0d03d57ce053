//! The contract as an OpenAPI 3.1 document: schemas come from the types that are sent and read, so they cannot differ
//! from them; what an operation takes and refuses is said here, beside the codes that it is refused with.
//!
//! A service puts its document together from the families of operations that it serves.

mod answers;
mod batch;
mod cluster;
mod document;
mod holds;
mod ledger;
mod orders;
mod registry;
mod routes;
mod schema;
mod stock;

pub use answers::{DeadLetterRef, LedgerStart, Live, Ready, RowAt, SnapshotTaken, SubscriptionRef};
pub use cluster::{describe_cluster, describe_settings};
pub use document::{Document, OperationBuilder};
pub use holds::describe_holds;
pub use ledger::describe_ledger;
pub use orders::describe_orders;
pub use registry::describe_registry;
pub use routes::routes_in;
pub use schema::{MAX_DELTA, MAX_TOTAL, MAX_TTL_SECONDS, base64, optional_utc, utc};
pub use stock::{describe_holds_of_a_row, describe_stock};

use crate::ErrorCode;

/// Where every service has its document.
pub const PATH: &str = "/openapi.json";

/// The document of a node.
#[must_use]
pub fn node() -> Document {
    let about = "One member of a cluster. Any member takes any request.";
    let mut document = Document::of_node("Holdfast inventory service", about);
    describe_stock(&mut document);
    describe_holds_of_a_row(&mut document);
    describe_holds(&mut document);
    holds::describe_transfers(&mut document);
    describe_orders(&mut document);
    describe_registry(&mut document);
    batch::describe_batch(&mut document);
    describe_ledger(&mut document);
    describe_settings(&mut document);
    describe_cluster(&mut document);
    describe_itself(&mut document);
    document
}

/// The document itself.
pub fn describe_itself(document: &mut Document) {
    document.tag("Service");
    document.get(PATH, "document", "This document").answers_any(200, "The document", "application/json");
}

/// What a reservation is refused with.
const RESERVE: &[ErrorCode] = &[
    ErrorCode::UnknownItem,
    ErrorCode::ItemRetired,
    ErrorCode::InsufficientStock,
    ErrorCode::HoldExists,
    ErrorCode::NoLines,
    ErrorCode::TooManyLines,
    ErrorCode::TtlOutOfRange,
    ErrorCode::QuantityOutOfRange,
];

/// What reading the ledger is refused with.
const LEDGER: &[ErrorCode] =
    &[ErrorCode::CursorCompacted, ErrorCode::SeqAhead, ErrorCode::LedgerRebuilding, ErrorCode::LedgerDamaged];
