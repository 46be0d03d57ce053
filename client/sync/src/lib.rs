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
mod logs;
mod metrics;
mod progress;
mod push;
mod read;
mod registry;
mod reply;
mod routes;
mod run;
mod source;
mod view;
mod wakers;

pub use config::{Config, ConfigError, Outbox, Webhooks};
pub use logs::init as init_logs;
pub use run::{Outcome, run};
