//! The order service: leads an order through its life by requests to the cluster, and sees to the refunds that are due.
//!
//! It keeps nothing. An order and its hold are one piece of replicated state, so a process that dies between two steps
//! leaves no half of one behind, and two at once decide nothing that the cluster does not decide.

mod app;
mod config;
mod metrics;
mod refunds;
mod relay;
mod routes;
mod run;

pub use config::{Config, LatePayments, RefundSettings};
pub use run::run;
