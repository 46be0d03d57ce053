//! The HTTP contract: paths, bodies, headers and error codes. Node and clients compile against it; nothing here does
//! I/O.

mod batch;
mod body;
mod code;
mod cursor;
mod feed;
#[cfg(test)]
mod fuzz;
#[cfg(feature = "openapi")]
pub mod openapi;
mod order;
mod post_url;
mod problem;
mod record;
mod registry;
mod request;
pub mod time;

use std::time::Duration;

pub use batch::{
    BatchBody, BatchCommand, BatchOutcome, BatchResult, MAX_BATCH_COMMANDS, MAX_COMMAND_BYTES, WireBatch,
    WireRequest,
};
pub use body::{
    Audit, Digest, Hold, HoldLine, MemberState, Movement, MovementPage, Row, RowPage, Settings, Status,
    Transfer, Violation, kind_name, settings, status_name, transfer_status_name,
};
pub use code::ErrorCode;
pub use cursor::{Cursor, CursorError, Epoch};
pub use feed::{FeedLine, SnapshotEnd, SnapshotHead, SnapshotLine};
pub use order::{
    Order, OrderFilter, OrderPage, PayOrder, Payment, PlaceOrder, RefundOrder, ReplaceOrderLines,
    order_event_name, order_status_name, payment_state_name,
};
pub use post_url::{PostUrlError, check_post_url, check_post_url_in, read_post_url};
pub use problem::{PROBLEM_JSON, Problem};
pub use record::{OrderEvent, Record, record_kind_name};
pub use registry::{
    DeadLetter, DeadLetterPage, NewDeadLetter, NewSubscription, Subscription, SubscriptionPage,
    direction_name, letter_status_name,
};
pub use request::{
    AddMember, Adjust, Cancel, Close, Confirm, ConfirmHold, Count, Extend, LineBody, NewHold, NewSku,
    NewTransfer, Policy, Receive, ReceiveTransfer, Release, ReleaseHold, Reserve, Retire, Sale,
    TransferLeadership, TrimLedger, event, lines_of, ttl_ms,
};

/// Names of headers.
pub mod header {
    /// A caller's key: repeating a request with the same key has one effect.
    pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
    /// `true` on the answer to a repeat: nothing changed now.
    pub const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";
    /// The last movement that the answering member had applied.
    pub const APPLIED_SEQ: &str = "holdfast-applied-seq";
    /// `host:port` of the leader, as far as the answering member knows.
    pub const LEADER: &str = "holdfast-leader";
    /// `1` asks for 307 to the leader instead of forwarding, as `0` does not.
    pub const REDIRECT: &str = "holdfast-redirect";
    /// How long the caller waits for an answer, in milliseconds: a node does not work on a change for longer.
    pub const TIMEOUT_MS: &str = "holdfast-timeout-ms";
    /// Set on a forwarded request: it is not forwarded again.
    pub const FORWARDED: &str = "holdfast-forwarded";
    /// The cursor of the last event that a reader of a feed has seen.
    pub const LAST_EVENT_ID: &str = "last-event-id";
}

/// A service closes a connection on which nothing is asked after as long; the line and the headers of a request may take
/// no longer either.
pub const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// A client gives up a connection that it does not use before the other end closes it, so that it sends no request on one
/// that is being closed.
pub const CLIENT_IDLE_LIMIT: Duration = Duration::from_secs(10);

/// The content type of batches in the compact encoding.
pub const OCTET_STREAM: &str = "application/octet-stream";
/// The content type of a stream of JSON lines.
pub const NDJSON: &str = "application/x-ndjson";
/// The content type of a stream of server-sent events.
pub const EVENT_STREAM: &str = "text/event-stream";
