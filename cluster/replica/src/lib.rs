//! Raft around the model: log, vote, snapshots, ledger, cluster clock and peers.
//!
//! No other crate names a type of the consensus library. `node` calls [`Replica`]; nothing here knows HTTP.

#![allow(unused)]

use std::path::PathBuf;
use std::time::Duration;

use holdfast_model::{Digest, Movement, Reply, Request, Seq};

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

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Decides the order of commands.
    Leader,
    /// Votes and follows.
    Follower,
    /// Follows without a vote.
    Learner,
    /// Seeks votes.
    Candidate,
    /// Has no cluster yet: waits for its peers.
    Waiting,
    /// Does not take part any more; see the reason in [`Status::stopped`].
    Stopped,
}

/// One member as another sees it.
#[derive(Debug, Clone)]
pub struct MemberStatus {
    /// Which.
    pub member: Member,
    /// Counts towards a majority.
    pub voter: bool,
    /// The last log index known to be durable there; only the leader knows, and only while it leads.
    pub matched_index: Option<u64>,
}

/// How a replica stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// The cluster's id, once there is one.
    pub cluster_id: Option<String>,
    /// The feed's epoch: names the cluster's history and changes when it does.
    pub epoch: String,
    /// This member.
    pub me: Member,
    /// What it does.
    pub role: Role,
    /// Raft term.
    pub term: u64,
    /// Who leads, as far as is known.
    pub leader: Option<Member>,
    /// Last index in the log.
    pub last_log_index: u64,
    /// Last index applied.
    pub applied_index: u64,
    /// Last movement applied.
    pub applied_seq: Seq,
    /// Index of the newest durable snapshot.
    pub snapshot_index: u64,
    /// Bytes of the log on disk.
    pub log_size_bytes: u64,
    /// Bytes of the newest snapshot.
    pub snapshot_size_bytes: u64,
    /// Bytes of the ledger on disk.
    pub ledger_size_bytes: u64,
    /// Digest of the state at `applied_index`.
    pub digest: Digest,
    /// Everyone in the cluster.
    pub members: Vec<MemberStatus>,
    /// Commands waiting to be proposed.
    pub queued: usize,
    /// Why it has stopped, when it has.
    pub stopped: Option<String>,
}

/// Commands that were applied.
#[derive(Debug, Clone)]
pub struct Submitted {
    /// One for each request, in order.
    pub replies: Vec<Reply>,
    /// The last movement applied when they were answered.
    pub applied_seq: Seq,
}

/// Why commands were not applied, or not known to be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// Another member leads; nothing was done.
    #[error("this member does not lead")]
    NotLeader {
        /// Who does.
        leader: Member,
    },
    /// Nobody leads, and nobody did before the deadline; nothing was done.
    #[error("no leader: a majority of the members is needed")]
    NoLeader,
    /// Too many commands wait already; nothing was done.
    #[error("overloaded: {queued} commands wait")]
    Overloaded {
        /// How many wait.
        queued: usize,
    },
    /// The commands were handed to the log and their fate is not known: repeat with the same id or key.
    #[error("the outcome is not known: repeat with the same id or idempotency key")]
    OutcomeUnknown,
    /// This member has stopped; nothing was done.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

/// Why an up-to-date read could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// Nobody leads, and nobody did before the deadline.
    #[error("no leader: a majority of the members is needed")]
    NoLeader,
    /// This member has stopped.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

/// Why a change of the cluster was not made, or not known to be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AdminError {
    /// Another member leads; nothing was done.
    #[error("this member does not lead")]
    NotLeader {
        /// Who does.
        leader: Member,
    },
    /// Nobody leads.
    #[error("no leader: a majority of the members is needed")]
    NoLeader,
    /// It makes no sense, in words.
    #[error("{0}")]
    Invalid(String),
    /// Another change of members is under way.
    #[error("another change of members is under way")]
    InProgress,
    /// It was handed on, and its fate is not known.
    #[error("the outcome is not known")]
    OutcomeUnknown,
    /// This member has stopped.
    #[error("this member has stopped: {0}")]
    Stopped(String),
}

/// Why a replica did not start. Each is one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// Why the ledger did not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// It no longer reaches back that far.
    #[error("the ledger starts at {oldest}")]
    Compacted {
        /// The oldest sequence that is kept.
        oldest: Seq,
    },
    /// It could not be read.
    #[error("the ledger cannot be read: {0}")]
    Damaged(String),
}

/// One member's share of the replicated store. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Replica {}

impl Replica {
    /// Opens the directory, recovers, listens, and takes part.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        todo!()
    }
    /// Proposes `requests` in one go and waits until they are applied. Only on the leader.
    pub async fn submit(&self, requests: Vec<Request>, timeout: Duration) -> Result<Submitted, SubmitError> {
        todo!()
    }
    /// Waits until this member's state includes all that was acknowledged anywhere before the call.
    pub async fn read_barrier(&self, timeout: Duration) -> Result<(), ReadError> {
        todo!()
    }
    /// Looks at the state as this member has it.
    pub fn read<T>(&self, look: impl FnOnce(&holdfast_model::Inventory) -> T) -> T {
        todo!()
    }
    /// Movements after `after`, at most `limit`, oldest first.
    pub fn movements(&self, after: Seq, limit: usize) -> Result<Vec<Movement>, LedgerError> {
        todo!()
    }
    /// The movement `seq`, when it has happened.
    pub fn movement(&self, seq: Seq) -> Result<Option<Movement>, LedgerError> {
        todo!()
    }
    /// Changes whenever something was applied: the last sequence.
    pub fn applied(&self) -> tokio::sync::watch::Receiver<Seq> {
        todo!()
    }
    /// How it stands.
    pub fn status(&self) -> Status {
        todo!()
    }
    /// Resolves when this replica has stopped by itself, with the reason.
    pub async fn stopped(&self) -> String {
        todo!()
    }
    /// Adds a learner and, once it has caught up, makes it a voter when `voter`.
    pub async fn add_member(&self, member: Member, voter: bool, timeout: Duration) -> Result<(), AdminError> {
        todo!()
    }
    /// Makes a learner a voter.
    pub async fn promote(&self, id: NodeId, timeout: Duration) -> Result<(), AdminError> {
        todo!()
    }
    /// Takes a member out for good.
    pub async fn remove_member(&self, id: NodeId, timeout: Duration) -> Result<(), AdminError> {
        todo!()
    }
    /// Hands leadership to `to`, or to the most up-to-date voter.
    pub async fn transfer_leadership(&self, to: Option<NodeId>, timeout: Duration) -> Result<(), AdminError> {
        todo!()
    }
    /// Takes a snapshot now; returns its index.
    pub async fn snapshot(&self, timeout: Duration) -> Result<u64, AdminError> {
        todo!()
    }
    /// Hands over leadership, stops, and makes everything durable.
    pub async fn shutdown(&self, timeout: Duration) {
        todo!()
    }
}

/// Makes the only survivor of a lost majority a cluster of its own: new cluster id, new epoch. For a person to
/// decide, on a stopped member. Returns what was done, in words.
pub fn recover_alone(dir: &std::path::Path, me: Member) -> Result<String, StartError> {
    todo!()
}
