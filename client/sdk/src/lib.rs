//! Client of a Holdfast cluster.
//!
//! It learns who leads from the first answer and then talks to the leader; it finds the next one when that dies, and
//! tries again only what is safe to repeat. Every change carries an id of its own or an idempotency key, made once and
//! kept over all attempts, so a change that was sent twice has one effect.
//!
//! Where a change names a hold, a transfer, an order or a store's event, that name makes a repeat safe and no key is sent: the
//! cluster remembers keys in bounded room, which is for changes that have nothing else. A *part* of a hold or transfer
//! is such a change.

mod attempt;
mod batch;
mod calls;
mod client;
mod error;
mod feed;
mod lines;
mod nodes;
mod pages;
mod relay;
mod snapshot;
mod view;

pub use attempt::Answer;
pub use client::{Client, Options};
pub use error::Error;
pub use feed::{FeedError, FeedEvent, FeedFilter};
pub use holdfast_api as api;
pub use holdfast_model as model;
pub use relay::Relay;
pub use snapshot::Snapshot;
pub use view::{SyncService, ViewPage, ViewRow};
