//! What peers say to each other: an envelope that says who speaks to whom, and one request or answer in it.
//!
//! Every message is one record of the model's codec, so that it starts with its format byte.

use std::fmt;

use bytes::Bytes;
use holdfast_model::{Seq, codec};
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use crate::types::{ClusterId, LogIdRecord, MAX_MEMBERS, MembershipRecord, PayloadRecord, Peer, VoteRecord};
use crate::{Member, NodeId};

/// The most entries in one message: a leader sends 64 at most.
const MAX_ENTRIES: usize = 1024;

/// The most ledger blocks in one message: the smallest take a hundred bytes each, and 4 MiB of them are sent at most.
const MAX_BLOCKS: usize = 64 << 10;

/// A request and who sends it.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Envelope {
    /// The sender's cluster; none while it has none.
    pub cluster: Option<ClusterId>,
    /// The sender.
    pub from: Peer,
    /// The member that is meant; 0 when any may answer.
    pub to: NodeId,
    /// The incarnation that is meant; 0 when it is not known yet.
    pub to_incarnation: u128,
    /// What is asked.
    pub ask: Ask,
}

/// What a peer can be asked.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub enum Ask {
    /// Who are you, and is there a cluster?
    Probe {
        /// The members that the sender was told to found a cluster with; empty when it was told none.
        #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
        founders: Vec<Member>,
    },
    /// Let me in.
    Join,
    /// Take these entries, or, without any, know that I lead.
    Append(Append),
    /// Would you vote for me? Nothing is written.
    PreVote(VoteAsk),
    /// Vote for me.
    Vote(VoteAsk),
    /// Lead instead of me.
    TransferLeader {
        /// The vote of the leader that hands over.
        from_leader: VoteRecord,
        /// Its last entry, which the new leader must have.
        last: Option<LogIdRecord>,
    },
    /// Up to which index must a read see the state?
    ReadIndex,
    /// A part of a snapshot file.
    SnapshotPart {
        /// The file.
        name: String,
        /// Where the part belongs.
        offset: u64,
        /// The part.
        bytes: Blob,
        /// Set on the last part: install it, on behalf of the leader with this vote.
        install: Option<VoteRecord>,
    },
    /// Ledger blocks that I lack. An answer that begins later, or with nothing, says that the peer lacks them too and has
    /// applied all of them.
    LedgerBlocks {
        /// Those after this sequence.
        after: Seq,
        /// And up to this one.
        upto: Seq,
    },
}

/// Entries for a follower.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct Append {
    /// The leader's vote.
    pub vote: VoteRecord,
    /// The entry before the first.
    pub prev: Option<LogIdRecord>,
    /// The entries.
    #[serde(deserialize_with = "codec::at_most::<MAX_ENTRIES, _, _>")]
    pub entries: Vec<EntryRecord>,
    /// What is committed.
    pub commit: Option<LogIdRecord>,
}

/// One entry of the log.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct EntryRecord {
    /// Its place.
    pub log_id: LogIdRecord,
    /// What it carries.
    pub payload: PayloadRecord,
    /// The proposal's bytes, as they were encoded once; empty for the other payloads.
    pub bytes: Blob,
}

/// A call for votes.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct VoteAsk {
    /// The candidate's vote for itself.
    pub vote: VoteRecord,
    /// Its last entry.
    pub last: Option<LogIdRecord>,
    /// The old leader asked it to lead, so that its lease need not run out.
    pub leadership_transfer: bool,
}

/// What a peer answers.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub enum Answer {
    /// To [`Ask::Probe`].
    Probe(ProbeAnswer),
    /// To [`Ask::Join`]: you are in, as a learner for now.
    Admitted,
    /// To [`Ask::Join`] and [`Ask::ReadIndex`]: ask that one; none when nobody is known to lead.
    NotLeader(Option<Member>),
    /// To [`Ask::Append`].
    Append(AppendAnswer),
    /// To [`Ask::PreVote`] and [`Ask::Vote`].
    Vote {
        /// The vote that the peer holds.
        vote: VoteRecord,
        /// Given.
        granted: bool,
        /// Its last entry.
        last: Option<LogIdRecord>,
    },
    /// To [`Ask::TransferLeader`]: it stands for election.
    TransferTaken,
    /// To [`Ask::TransferLeader`]: it does not, and why.
    TransferRefused(String),
    /// To [`Ask::ReadIndex`].
    ReadIndex(u64),
    /// To [`Ask::SnapshotPart`]: written up to here.
    PartTaken(u64),
    /// To the last [`Ask::SnapshotPart`]: installed; the vote that the peer holds.
    Installed(VoteRecord),
    /// To [`Ask::LedgerBlocks`]: blocks with their first sequence, in order and without a hole, maybe not all.
    LedgerBlocks(#[serde(deserialize_with = "codec::at_most::<MAX_BLOCKS, _, _>")] Vec<(Seq, Blob)>),
    /// No: the peer will not do this for the sender.
    Refused(Refused),
}

/// How a peer is placed.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub struct ProbeAnswer {
    /// The peer itself.
    pub me: Peer,
    /// Its cluster; none while it has none.
    pub cluster: Option<ClusterId>,
    /// Who is in that cluster.
    pub membership: Option<MembershipRecord>,
    /// The members that it was told to found a cluster with.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub founders: Vec<Member>,
}

/// How entries were taken.
#[derive(Debug, Clone, Serialize, serde::Deserialize)]
pub enum AppendAnswer {
    /// All are durable.
    Success,
    /// Those up to here are durable.
    Partial(Option<LogIdRecord>),
    /// The entry before the first is not there.
    Conflict,
    /// Another leader has a higher vote.
    HigherVote(VoteRecord),
}

/// Why a peer will not do what is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize, thiserror::Error)]
pub enum Refused {
    /// The sender belongs to another cluster.
    #[error("it belongs to cluster {0}")]
    OtherCluster(ClusterId),
    /// The address leads to another member than the one that was meant.
    #[error("it is member {0}")]
    OtherMember(NodeId),
    /// The cluster knows the sender by another directory: the sender's was wiped or replaced.
    #[error("the cluster knows member {0} by another data directory")]
    Wiped(NodeId),
    /// The peer has another directory than the one that was meant: the peer's was wiped or replaced.
    #[error("its data directory is not the one that the cluster knows")]
    WipedHere,
    /// The peer lost a part of its log and does not vote until it has caught up.
    #[error("it has lost a part of its log and does not vote until it has caught up")]
    CatchingUp,
    /// The peer has stopped.
    #[error("it has stopped")]
    Stopped,
    /// The request makes no sense, in words.
    #[error("{0}")]
    Invalid(String),
}

/// Bytes inside a record, copied in one go.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Blob(pub Bytes);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;
        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(Bytes::copy_from_slice(bytes)))
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Blob, E> {
                Ok(Blob(bytes.into()))
            }
        }
        deserializer.deserialize_byte_buf(BlobVisitor)
    }
}
