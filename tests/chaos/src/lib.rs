//! Chaos with real processes: a cluster of `holdfast-node`s under faults, clients that write down all that they ask and
//! are told, and checks of what they wrote.
//!
//! `wire` and `web` speak to the nodes, `clients` and `consumer` are the load, `site`, `proxy` and `namespaces` the
//! cluster and its network, `faults` and `damage` what is done to it. `history` is the only thing that passes from there
//! to `check`, which can be run again on the files of a round that failed.

pub mod check;
mod clients;
pub mod consumer;
mod damage;
mod faults;
pub mod history;
mod kills;
mod namespaces;
pub mod op;
mod proxy;
mod round;
pub mod shelf;
mod site;
mod web;
pub mod wire;

pub use faults::Fault;
pub use round::{HISTORY, LEDGER, Outcome, Plan, recheck, run};
pub use site::Ground;
