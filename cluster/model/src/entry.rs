//! What one step of the state machine takes and gives.

use serde::{Deserialize, Serialize};

use crate::{Actor, ClusterTime, Command, Key, Movement, Record, Reply, Seq};

/// One committed log entry: a stamp of cluster time and the commands that travel together.
///
/// Each command is decided by itself, in order; an entry is not a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Cluster time when the leader proposed it.
    pub stamp: ClusterTime,
    /// A new offset from cluster time to UTC in milliseconds, when the leader saw the old one off.
    pub utc_offset_ms: Option<i64>,
    /// The commands, in the order in which they are decided.
    pub requests: Vec<Request>,
}

/// One command, who asked for it, and the key that makes repeating it safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// Set when the caller gave an `Idempotency-Key`.
    pub key: Option<Key>,
    /// Who asked.
    pub actor: Option<Actor>,
}

/// What an entry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// One reply for each command, in order.
    pub replies: Vec<Reply>,
    /// Every movement and order event, in order; their sequence numbers are dense.
    pub records: Vec<Record>,
    /// Set when the ledger is to be dropped before this sequence.
    pub trim_before: Option<Seq>,
}

impl Applied {
    /// The movements among the records, in order.
    pub fn movements(&self) -> impl Iterator<Item = &Movement> {
        self.records.iter().filter_map(Record::movement)
    }
}
