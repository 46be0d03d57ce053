//! The consensus library's types, filled in once; and the plain records that stand for them on disk and on the
//! wire, since the library's own types may change between releases.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_model::{Applied, Entry, codec};
use openraft::alias::{LogIdOf, StoredMembershipOf, VoteOf};
use openraft::errors::ErrorSource;
use openraft::impls::leader_id_std;
use openraft::vote::RaftLeaderId;
use openraft::{AsyncRuntime, RaftTypeConfig};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Member, NodeId};

/// What the replica runs on: an async runtime, and below it files and a network.
pub trait Host:
    fmt::Debug + Clone + Copy + Default + PartialEq + Eq + PartialOrd + Ord + Send + Sync + 'static
{
    /// Tasks, timers and clocks.
    type Runtime: AsyncRuntime + Send + Sync;
    /// Files of one directory.
    type Disk: crate::disk::Disk;
    /// Calls to peers.
    type Network: crate::network::Network;
}

/// The consensus library's type parameters for a host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types<H>(PhantomData<H>);

impl<H: Host> RaftTypeConfig for Types<H> {
    type D = Proposal;
    type R = Option<Box<Applied>>;
    type NodeId = NodeId;
    type Node = Peer;
    type Term = u64;
    type LeaderId = leader_id_std::LeaderId<u64, NodeId>;
    type Vote = openraft::impls::Vote<Self::LeaderId>;
    type Payload = openraft::EntryPayload<Proposal, NodeId, Peer>;
    type Entry = openraft::Entry<<Self::LeaderId as RaftLeaderId>::Committed, Self::Payload>;
    type AsyncRuntime = H::Runtime;
    type Responder<T>
        = openraft::impls::OneshotResponder<Self, T>
    where
        T: openraft::OptionalSend + 'static;
    type Batch<T>
        = openraft::impls::InlineBatch<T>
    where
        T: openraft::OptionalSend + 'static;
    type ErrorSource = Cause;
}

/// What went wrong, in the words of whoever saw it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Cause(Box<str>);

impl ErrorSource for Cause {
    fn from_error<E: std::error::Error + 'static>(error: &E) -> Self {
        Self::from_string(error)
    }

    fn from_string(text: impl ToString) -> Self {
        Self(text.to_string().into())
    }
}

/// The most members that are named in one record: far more than a cluster has.
pub const MAX_MEMBERS: usize = 256;

/// The name of a cluster: a random number made when it was founded. The feed's epoch is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId(pub u128);

impl ClusterId {
    /// The short name that stands before a sequence in the feed's cursor.
    pub fn epoch(self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_u128(self.0), f)
    }
}

/// A member as the membership of the cluster knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// How to reach it.
    pub member: Member,
    /// The incarnation of its data directory: one that was wiped has another.
    pub incarnation: u128,
}

/// Commands on their way through the log: encoded once, and decoded at most once on each member.
#[derive(Clone)]
pub struct Proposal {
    /// The model's entry, with its format byte.
    pub bytes: Bytes,
    /// The same, where it was made or has already been decoded.
    pub entry: Option<Arc<Entry>>,
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes.len())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl PartialEq for Proposal {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

/// Position in the log, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LogIdRecord {
    /// Term of the leader that proposed the entry.
    pub term: u64,
    /// Index in the log.
    pub index: u64,
}

impl LogIdRecord {
    /// The record of `id`.
    pub fn of<H: Host>(id: &LogIdOf<Types<H>>) -> Self {
        Self { term: **id.committed_leader_id(), index: id.index() }
    }

    /// What the record stands for.
    pub fn log_id<H: Host>(self) -> LogIdOf<Types<H>> {
        LogIdOf::<Types<H>>::new_term_index(self.term, self.index)
    }
}

/// A vote, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteRecord {
    /// The term that was voted in.
    pub term: u64,
    /// Whom it was given to.
    pub node: NodeId,
    /// A majority gave it: the node leads in that term.
    pub committed: bool,
}

impl VoteRecord {
    /// The record of `vote`.
    pub fn of<H: Host>(vote: &VoteOf<Types<H>>) -> Self {
        Self { term: vote.leader_id.term(), node: *vote.leader_id.node_id(), committed: vote.committed }
    }

    /// What the record stands for.
    pub fn vote<H: Host>(self) -> VoteOf<Types<H>> {
        let mut vote = VoteOf::<Types<H>>::new(self.term, self.node);
        vote.committed = self.committed;
        vote
    }
}

/// Who is in the cluster, as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipRecord {
    /// The entry that made it so; none before the first.
    pub log_id: Option<LogIdRecord>,
    /// Sets of voters; two while a change is under way.
    #[serde(deserialize_with = "codec::at_most::<MAX_MEMBERS, _, _>")]
    pub voters: Vec<BTreeSet<NodeId>>,
    /// Voters and learners.
    #[serde(deserialize_with = "some_peers")]
    pub peers: BTreeMap<NodeId, Peer>,
}

/// A map is written as a list of its pairs is.
fn some_peers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<NodeId, Peer>, D::Error> {
    codec::at_most::<MAX_MEMBERS, (NodeId, Peer), D>(deserializer).map(|pairs| pairs.into_iter().collect())
}

impl MembershipRecord {
    /// The record of `stored`.
    pub fn of<H: Host>(stored: &StoredMembershipOf<Types<H>>) -> Self {
        let log_id = stored.log_id().as_ref().map(LogIdRecord::of::<H>);
        Self { log_id, ..Self::of_plain(stored.membership()) }
    }

    /// The record of a membership whose place in the log is kept elsewhere.
    pub fn of_plain(membership: &openraft::Membership<NodeId, Peer>) -> Self {
        Self {
            log_id: None,
            voters: membership.get_joint_config().clone(),
            peers: membership.nodes().map(|(&id, peer)| (id, peer.clone())).collect(),
        }
    }

    /// What the record stands for, without its place in the log.
    ///
    /// # Errors
    /// When a voter is not among the peers, which no record made by [`Self::of`] can be.
    pub fn membership(self) -> io::Result<openraft::Membership<NodeId, Peer>> {
        openraft::Membership::new(self.voters, self.peers)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    /// What the record stands for.
    ///
    /// # Errors
    /// As [`Self::membership`].
    pub fn stored<H: Host>(self) -> io::Result<StoredMembershipOf<Types<H>>> {
        let log_id = self.log_id.map(LogIdRecord::log_id::<H>);
        Ok(StoredMembershipOf::<Types<H>>::new(log_id, self.membership()?))
    }
}

/// What an entry carries, as it is written. A proposal's bytes are kept apart: they were encoded once and are
/// copied as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayloadRecord {
    /// The first entry of a leader.
    Blank,
    /// The model's entry follows as bytes.
    Normal,
    /// Who is in the cluster from here on.
    Membership(MembershipRecord),
}
