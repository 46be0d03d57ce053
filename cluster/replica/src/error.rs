//! What a replica answers when it does not do what it is asked.

use holdfast_model::{Reply, Seq};

use crate::Member;

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
    #[error("no leader took it in time: a majority of the members is needed")]
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
    /// Movements are missing here and are being fetched from other members.
    #[error("movements after {after} and up to {upto} are being fetched from other members")]
    Rebuilding {
        /// The last one before those that are missing.
        after: Seq,
        /// The last one that is missing.
        upto: Seq,
    },
    /// It could not be read or written.
    #[error("the ledger cannot be read or written: {0}")]
    Damaged(String),
}
