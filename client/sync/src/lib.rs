//! The sync service: keeps a view of the stock by the cluster's feed, pushes each store's movements to it, and takes the
//! events of the stores to the cluster.
//!
//! It decides nothing about stock, and holds nothing that exists nowhere else: its view can be deleted at any time.

mod app;
mod body;
mod clock;
mod config;
mod events;
mod follow;
mod metrics;
mod progress;
mod push;
mod registry;
mod routes;
mod run;
mod source;
mod view;
mod wakers;

use holdfast_service::{read, reply};

pub use config::{Config, Outbox, Webhooks};
pub use run::run;
