//! Whole clusters of Holdfast in one thread, in virtual time, on a network and on disks that fail as a seed says.
//!
//! The members are the real ones: consensus, log, snapshots, ledger, model. Below them is what is simulated: tasks and
//! clocks (`process`, `runtime`), files (`disk`), the ledger's database (`ledger`), messages (`network`). `nemesis` makes
//! trouble, `client` and `consumer` do the work, and `oracle` watches; none of these knows of the others' plans. The same
//! seed is the same run, step by step.

mod client;
mod cluster;
mod consumer;
mod coverage;
mod disk;
mod host;
mod ledger;
mod many;
#[path = "../../../cluster/replica/tests/log/memory_disk.rs"]
mod memory_disk;
#[path = "../../../cluster/model/tests/invariants/mod.rs"]
#[allow(dead_code, reason = "the model's own tests look at more of it")]
mod model_invariants;
#[path = "../../../cluster/model/tests/naive/mod.rs"]
#[allow(dead_code, reason = "the model's own tests look at more of it")]
mod naive;
mod nemesis;
mod network;
mod oracle;
mod process;
mod run;
mod runtime;
#[path = "../../../cluster/model/tests/sequence/mod.rs"]
#[allow(dead_code, reason = "the model's own tests draw at other scales, too")]
mod sequence;
mod workload;
mod world;

pub use coverage::{Coverage, Fault};
pub use many::{Plan, Summary, run_many};
pub use run::{Outcome, run};
pub use world::Finding;
