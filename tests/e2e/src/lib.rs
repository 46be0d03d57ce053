//! Real clusters for tests: processes of `holdfast-node` on loopback addresses and directories of their own.
//!
//! Each node gets an address of 127.0.0.0/8 that no other node of this machine's test runs has, so that tests run side
//! by side without asking for ports. Nothing outlives a test: a node ends when its standard input closes.

mod caller;
mod cluster;
mod http;
mod lazy;
mod mirror;
mod node;
mod order;
mod receiver;
mod refunder;
mod service;
mod small_disk;
mod stream;
mod sync;

pub use caller::Caller;
pub use cluster::Cluster;
pub use http::{Answer, Http};
pub use lazy::LazyReader;
pub use mirror::{Mirror, balances};
pub use node::{Node, binary};
pub use order::OrderService;
pub use receiver::{Behaviour, Receiver};
pub use refunder::Refunder;
pub use service::Service;
pub use small_disk::SmallDisk;
pub use stream::{Stream, seqs};
pub use sync::Sync;

use std::future::Future;
use std::time::Duration;

/// How long a test waits for something that must come about: a bound on liveness, not a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` gives a value.
///
/// # Panics
/// When it has given none within [`PATIENCE`]; `what` tells what was waited for.
pub async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            // Between two looks at the condition; no test counts on how long it is.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"))
}
