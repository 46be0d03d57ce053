//! The inventory service of one member: HTTP in front of a replica.
//!
//! It decides nothing about stock: it turns requests into commands, hands them to the replica or to the leader, and
//! turns what comes back into answers.

mod app;
mod config;
pub mod feed;
mod forward;
#[cfg(test)]
mod fuzz;
mod logs;
mod mutate;
mod read;
mod reply;
mod routes;
mod run;

pub use app::{App, app};
pub use config::{Command, Config, ConfigError, Parsed};
pub use feed::FeedOptions;
pub use logs::init as init_logs;
pub use run::{Outcome, run};

/// Inner parts of the feed, for benchmarks alone: no promise.
#[doc(hidden)]
pub mod feed_parts {
    pub use crate::feed::{Block, Filter, Format, Ring, Taken};
}
