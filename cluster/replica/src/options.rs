//! What a replica starts from.

use std::path::PathBuf;
use std::time::Duration;

/// Number of a member within its cluster: 1 or more, never used again for another member.
pub type NodeId = u64;

/// How others reach a member.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// `host:port` that peers speak to.
    pub peer: String,
    /// `host:port` that clients speak to.
    pub http: String,
}

/// Durations of the consensus protocol, in milliseconds.
#[derive(Debug, Clone)]
pub struct Timing {
    /// Between heartbeats of the leader.
    pub heartbeat_ms: u64,
    /// Least random wait before an election.
    pub election_min_ms: u64,
    /// Greatest random wait before an election, and the length of the leader's lease.
    pub election_max_ms: u64,
}

impl Timing {
    /// How long a peer may take over a part of a snapshot, or over an answer with pieces of the ledger: as long as a
    /// hundred elections, since both go by how slow network and machines are.
    #[must_use]
    pub const fn bulk_timeout(&self) -> Duration {
        Duration::from_millis(self.election_max_ms.saturating_mul(100))
    }

    /// How long the next part of a snapshot is waited for: longer than its sender waits for an answer.
    #[must_use]
    pub const fn part_patience(&self) -> Duration {
        self.bulk_timeout().saturating_mul(2)
    }
}

/// What a replica starts from.
#[derive(Debug, Clone)]
pub struct Options {
    /// This member; `peer` is the address to listen on.
    pub me: Member,
    /// Where its files are; made when absent.
    pub dir: PathBuf,
    /// The members of a new cluster, this one included; empty when joining or when the directory has a cluster.
    pub cluster: Vec<Member>,
    /// `host:port` (peer) of members to ask for admission when the directory is empty.
    pub join: Vec<String>,
    /// Protocol durations.
    pub timing: Timing,
    /// How many commands may wait to be proposed before new ones are refused.
    pub max_queue: usize,
    /// The most commands in one entry.
    pub max_entry_commands: usize,
    /// The log is cut by a snapshot when it has outgrown the last snapshot and this many bytes.
    pub snapshot_min_log_bytes: u64,
}
