//! The stock-and-hold state machine that every member of a Holdfast cluster agrees on.
//!
//! State changes in one way: [`Inventory::apply`] takes an [`Entry`] and returns what happened. It has no
//! clock, no randomness, no I/O, no floats and no configuration of its own node: whatever decides an outcome
//! is in the state or in the entry, so that every member computes the same.
//!
//! A *refusal* is a value that every replica computes alike; an impossibility is a panic.

// Floating point may differ between processors; whole numbers do not.
#![deny(clippy::float_arithmetic)]

pub mod codec;
mod command;
mod config;
mod entry;
mod ids;
mod inventory;
mod key;
mod movement;
mod order;
mod outcome;
#[cfg(feature = "planted-bugs")]
pub mod planted;
mod quantity;
mod record;
mod refusal;
mod registry;
#[cfg(feature = "schema")]
mod schema;
mod time;
mod view;

pub use command::{Command, CountBasis, Event, Line, OrderAction, ReceiptKind};
pub use config::{Config, ConfigChange, Setting};
pub use entry::{Applied, Entry, Request};
pub use ids::{
    Actor, DeadLetterId, Description, EventId, HoldId, IdError, ItemId, OrderId, Owner, PaymentId, Reason,
    Reference, StoreId, SubscriptionId, TransferId,
};
pub use inventory::{Audit, Frozen, Inventory, Page, Replay, RestoreError, Stats, Violation};
pub use key::{Key, fingerprint};
pub use movement::{Cause, Movement, MovementKind, Policy, Seq};
pub use order::{
    Amount, AmountError, Currency, CurrencyError, OrderStatus, Payment, PaymentOutcome, PaymentState,
};
pub use outcome::{Outcome, Reply};
pub use quantity::{MAX_TOTAL, Quantity, QuantityError};
pub use record::{OrderEvent, OrderEventKind, Record};
pub use refusal::{Refusal, ShortLine};
pub use registry::{
    DeadLetterView, Direction, LetterAction, LetterBody, LetterStatus, Secret, SecretError,
    SubscriptionAction, SubscriptionView, UrlError, WebhookUrl,
};
pub use time::{ClusterTime, UtcMillis};
pub use view::{
    Digest, HoldLineView, HoldStatus, HoldView, OrderView, RowKey, RowView, TransferStatus, TransferView,
};
