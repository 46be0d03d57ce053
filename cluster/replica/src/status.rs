//! How a replica stands, for operators.

use holdfast_model::{Digest, Seq};

use crate::Member;

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
    /// Everything up to this index was cut from the log: a member that is further behind is sent a snapshot.
    pub purged_index: u64,
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
