//! Calls to peers: a seam for the simulator, which delays, loses and repeats them.

use std::future::Future;
use std::io;
use std::time::Duration;

use bytes::Bytes;

/// What a connection is for. Each has its own, so that a snapshot never holds up a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// Log entries, in order.
    Entries = 1,
    /// Heartbeats, votes, read indexes, hand-overs.
    Control = 2,
    /// Snapshots and ledger blocks.
    Bulk = 3,
}

/// Calls to peers.
pub trait Network: Clone + Send + Sync + 'static {
    /// Sends `request` to `address` and waits for the answer. Calls of one channel are answered in order.
    ///
    /// # Errors
    /// When the peer cannot be reached, or did not answer within `timeout`. Nothing is known then about whether
    /// it took the request.
    fn call(
        &self,
        address: &str,
        channel: Channel,
        request: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = io::Result<Bytes>> + Send;
}
