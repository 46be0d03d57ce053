//! Raft around the model: log, vote, snapshots, ledger, cluster clock and peers.
//!
//! No other crate names a type of the consensus library. `node` calls [`Replica`]; nothing here knows HTTP. What runs a
//! replica is a [`types::Host`]: a runtime, a disk and a network, so that a simulator can be one.

mod clock;
mod commits;
pub mod disk;
mod error;
pub mod file_disk;
mod founding;
pub mod identity;
pub mod ledger;
mod live;
pub mod log;
mod machine;
mod members;
pub mod network;
mod options;
mod peers;
mod proposer;
mod queue;
mod reads;
mod rebuild;
mod recover;
mod replica;
mod service;
pub mod snapshot;
mod start;
mod state;
mod status;
mod stop;
mod tail;
mod tcp;
#[cfg(test)]
mod tests;
pub mod types;
mod window;
pub mod wire;

pub use error::{AdminError, LedgerError, ReadError, StartError, SubmitError, Submitted};
pub use live::{Live, recover_alone};
pub use options::{Member, NodeId, Options, Timing};
pub use replica::Replica;
pub use start::{Parts, Random};
pub use state::Witness;
pub use status::{MemberStatus, Role, Status};
pub use tcp::Detours;

/// Log directives that quieten the libraries below: what an operator acts on is told by this crate.
pub const LIBRARY_LOG_DIRECTIVES: &str = "openraft=off,sled=warn";
