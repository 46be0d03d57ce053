//! What this member does when a peer asks: checks who asks, and hands it to the consensus library.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use holdfast_model::{Seq, codec};
use openraft::alias::{EntryOf, InstantOf};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use openraft::{ChangeMembers, EntryPayload, Instant, Raft};
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::identity::Identity;
use crate::machine::{Machine, snapshot_of};
use crate::reads::leader_read_index;
use crate::snapshot::{Incoming, Snapshots};
use crate::state::State;
use crate::stop::Stop;
use crate::types::{Host, LogIdRecord, PayloadRecord, Peer, Proposal, Types, VoteRecord};
use crate::wire::{
    Answer, Append, AppendAnswer, Ask, Blob, EntryRecord, Envelope, ProbeAnswer, Refused, VoteAsk,
};
use crate::{Member, NodeId};

/// How much of the ledger travels in one answer, in bytes.
const LEDGER_ANSWER_BYTES: usize = 4 << 20;

/// A learner that is at most this many entries behind the leader may become a voter.
const CAUGHT_UP_ENTRIES: u64 = 100;

/// Answers peers. Cheap to clone: a handle.
pub struct Service<H: Host>(Arc<Inner<H>>);

impl<H: Host> Clone for Service<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What the service works with.
pub struct Inner<H: Host> {
    /// The consensus library's handle.
    pub raft: Raft<Types<H>, Machine<H>>,
    /// This member.
    pub me: Peer,
    /// Its identity file.
    pub identity: Arc<Identity<H::Disk>>,
    /// The members that it was told to found a cluster with.
    pub founders: Vec<Member>,
    /// What was applied.
    pub state: Arc<State>,
    /// Snapshot files.
    pub snapshots: Arc<Snapshots<H::Disk>>,
    /// The data directory.
    pub disk: H::Disk,
    /// Set while a part of the log is lost and not yet made good: no vote is given then.
    pub suspect: Arc<AtomicBool>,
    /// Whether, and why, this member has stopped.
    pub stop: Arc<Stop>,
    /// How long the next part of a snapshot is waited for.
    pub part_patience: Duration,
    /// The snapshot that is being received.
    pub incoming: Mutex<Option<Received<H>>>,
}

/// A snapshot that is being received, and when its last part came.
type Received<H> = (Incoming<<H as Host>::Disk>, InstantOf<Types<H>>);

impl<H: Host> Service<H> {
    /// The service of a member.
    pub fn new(inner: Inner<H>) -> Self {
        Self(Arc::new(inner))
    }

    /// The answer to one message.
    pub async fn answer(self, message: Bytes) -> Bytes {
        let answer = match codec::decode::<Envelope>(&message) {
            Ok(envelope) => self.handle(envelope).await.unwrap_or_else(Answer::Refused),
            Err(error) => Answer::Refused(Refused::Invalid(error.to_string())),
        };
        Bytes::from(codec::encode(&answer))
    }

    async fn handle(&self, envelope: Envelope) -> Result<Answer, Refused> {
        if self.0.stop.reason().is_some() {
            return Err(Refused::Stopped);
        }
        if let Ask::Probe { .. } = envelope.ask {
            return Ok(Answer::Probe(self.placement()));
        }
        self.check(&envelope).await?;
        match envelope.ask {
            Ask::Probe { .. } => Ok(Answer::Probe(self.placement())),
            Ask::Join => self.admit(envelope.from, true).await,
            Ask::Append(append) => self.append(append).await,
            Ask::PreVote(ask) => self.vote(ask, false).await,
            Ask::Vote(ask) => self.vote(ask, true).await,
            Ask::TransferLeader { from_leader, last } => self.take_over(from_leader, last).await,
            Ask::ReadIndex => Ok(match leader_read_index(&self.0.raft).await {
                Some(index) => Answer::ReadIndex(index),
                None => Answer::NotLeader(self.leader()),
            }),
            Ask::SnapshotPart { name, offset, bytes, install } => {
                self.take_part(name, offset, bytes.0, install).await
            }
            Ask::LedgerBlocks { after, upto } => self.ledger_blocks(after, upto).await,
        }
    }

    async fn ledger_blocks(&self, after: Seq, upto: Seq) -> Result<Answer, Refused> {
        // Looked at first: what is not in the ledger then will not come from the log any more.
        let applied = self.0.state.applied_seq();
        let ledger = self.0.state.ledger.clone();
        let read = move || ledger.blocks(after, upto, LEDGER_ANSWER_BYTES);
        let blocks = self.0.disk.run(read).await.map_err(invalid)?;
        let has_next = blocks.first().is_some_and(|(first, _)| *first <= after.next());
        if !has_next && applied < upto {
            return Err(Refused::Invalid(format!("it has applied movements up to {applied} only")));
        }
        Ok(Answer::LedgerBlocks(blocks.into_iter().map(|(seq, bytes)| (seq, Blob(bytes))).collect()))
    }

    fn placement(&self) -> ProbeAnswer {
        let membership = self.0.state.look(|at| at.membership.clone());
        ProbeAnswer {
            me: self.0.me.clone(),
            cluster: self.0.identity.cluster(),
            membership: (!membership.peers.is_empty()).then_some(membership),
            founders: self.0.founders.clone(),
        }
    }

    /// Whether the sender may ask this of this member. A member without a cluster takes on that of the first peer
    /// that knows it by its number and its directory.
    async fn check(&self, envelope: &Envelope) -> Result<(), Refused> {
        let inner = &self.0;
        let me = &inner.me;
        if envelope.to != 0 && envelope.to != me.member.id {
            return Err(Refused::OtherMember(me.member.id));
        }
        if envelope.to_incarnation != 0 && envelope.to_incarnation != me.incarnation {
            return Err(Refused::WipedHere);
        }
        let from = envelope.from.member.id;
        let known = inner.state.look(|at| at.membership.peers.get(&from).map(|peer| peer.incarnation));
        if known.is_some_and(|incarnation| incarnation != envelope.from.incarnation) {
            return Err(Refused::Wiped(from));
        }
        match (envelope.cluster, inner.identity.cluster()) {
            (Some(theirs), Some(mine)) if theirs != mine => Err(Refused::OtherCluster(mine)),
            (None, Some(mine)) if !matches!(envelope.ask, Ask::Join) => Err(Refused::OtherCluster(mine)),
            (Some(theirs), None)
                if envelope.to == me.member.id && envelope.to_incarnation == me.incarnation =>
            {
                let identity = inner.identity.clone();
                inner.disk.run(move || identity.found(theirs)).await.map_err(invalid)
            }
            (_, None) => Err(Refused::Invalid("it has no cluster".to_owned())),
            _ => Ok(()),
        }
    }

    async fn append(&self, append: Append) -> Result<Answer, Refused> {
        let request = AppendEntriesRequest {
            vote: append.vote.vote::<H>(),
            prev_log_id: append.prev.map(LogIdRecord::log_id::<H>),
            entries: append.entries.into_iter().map(entry::<H>).collect::<Result<_, _>>()?,
            leader_commit: append.commit.map(LogIdRecord::log_id::<H>),
        };
        let response = self.0.raft.append_entries(request).await.map_err(|_| Refused::Stopped)?;
        Ok(Answer::Append(match response {
            AppendEntriesResponse::Success => AppendAnswer::Success,
            AppendEntriesResponse::PartialSuccess(upto) => {
                AppendAnswer::Partial(upto.as_ref().map(LogIdRecord::of::<H>))
            }
            AppendEntriesResponse::Conflict => AppendAnswer::Conflict,
            AppendEntriesResponse::HigherVote(vote) => AppendAnswer::HigherVote(VoteRecord::of::<H>(&vote)),
        }))
    }

    async fn vote(&self, ask: VoteAsk, is_real: bool) -> Result<Answer, Refused> {
        if self.0.suspect.load(Ordering::Acquire) {
            return Err(Refused::CatchingUp);
        }
        let mut request =
            VoteRequest::<Types<H>>::new(ask.vote.vote::<H>(), ask.last.map(LogIdRecord::log_id::<H>));
        request.leadership_transfer = ask.leadership_transfer;
        let response: Result<VoteResponse<Types<H>>, _> =
            if is_real { self.0.raft.vote(request).await } else { self.0.raft.pre_vote(request).await };
        let response = response.map_err(|_| Refused::Stopped)?;
        Ok(Answer::Vote {
            vote: VoteRecord::of::<H>(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(LogIdRecord::of::<H>),
        })
    }

    async fn take_over(&self, from_leader: VoteRecord, last: Option<LogIdRecord>) -> Result<Answer, Refused> {
        if self.0.suspect.load(Ordering::Acquire) {
            return Err(Refused::CatchingUp);
        }
        let request = TransferLeaderRequest::new(
            from_leader.vote::<H>(),
            self.0.me.member.id,
            last.map(LogIdRecord::log_id::<H>),
        );
        match self.0.raft.handle_transfer_leader(request).await.map_err(|_| Refused::Stopped)? {
            Ok(()) => Ok(Answer::TransferTaken),
            Err(error) => Ok(Answer::TransferRefused(error.to_string())),
        }
    }

    async fn take_part(
        &self,
        name: String,
        offset: u64,
        bytes: Bytes,
        install: Option<VoteRecord>,
    ) -> Result<Answer, Refused> {
        let earlier = self.take_incoming(|(incoming, _)| offset == 0 || incoming.expects(&name, offset));
        if offset > 0 && earlier.is_none() {
            return Err(Refused::Invalid(format!(
                "part {offset} of {name} does not follow what was received"
            )));
        }
        let snapshots = self.0.snapshots.clone();
        let write = move || {
            let mut incoming = match earlier.filter(|_| offset > 0) {
                Some(incoming) => incoming,
                None => snapshots.receive(&name)?,
            };
            incoming.append(&name, offset, &bytes)?;
            Ok::<_, std::io::Error>(incoming)
        };
        let incoming = self.0.disk.run(write).await.map_err(invalid)?;
        let Some(vote) = install else {
            let end = incoming.size_bytes();
            *self.0.incoming.lock() = Some((incoming, InstantOf::<Types<H>>::now()));
            return Ok(Answer::PartTaken(end));
        };
        let file = self.0.disk.run(move || incoming.finish()).await.map_err(invalid)?;
        let snapshot = snapshot_of::<H>(file).map_err(invalid)?;
        let installed = self.0.raft.install_full_snapshot(vote.vote::<H>(), snapshot).await;
        // It may not have been wanted any more.
        let snapshots = self.0.snapshots.clone();
        self.0.disk.run(move || snapshots.forget_loaded()).await;
        let response = installed.map_err(|_| Refused::Stopped)?;
        Ok(Answer::Installed(VoteRecord::of::<H>(&response.vote)))
    }

    /// The snapshot that is being received, when it is the one that is meant.
    fn take_incoming(&self, is_meant: impl FnOnce(&Received<H>) -> bool) -> Option<Incoming<H::Disk>> {
        let mut slot = self.0.incoming.lock();
        let is_meant = slot.as_ref().is_some_and(is_meant);
        slot.take_if(|_| is_meant).map(|(incoming, _)| incoming)
    }

    /// Gives up a snapshot of which no part has come for so long that its sender must have given up too.
    pub async fn drop_stale_incoming(&self) {
        let is_stale = |(_, at): &Received<H>| at.elapsed() > self.0.part_patience;
        if let Some(stale) = self.take_incoming(is_stale) {
            tracing::info!(
                received_bytes = stale.size_bytes(),
                "a snapshot was received in part only; it is dropped"
            );
            self.0.disk.run(move || drop(stale)).await;
        }
    }

    /// Lets a member in: as a learner first, as a voter once it has caught up and `voter` is asked for.
    ///
    /// # Errors
    /// When its number is taken by another directory, or the cluster is busy with another change.
    pub async fn admit(&self, peer: Peer, voter: bool) -> Result<Answer, Refused> {
        let raft = &self.0.raft;
        if !raft.is_leader() {
            return Ok(Answer::NotLeader(self.leader()));
        }
        let id = peer.member.id;
        let (known, is_voter) = self.0.state.look(|at| {
            (at.membership.peers.contains_key(&id), at.membership.voters.iter().any(|set| set.contains(&id)))
        });
        if !known {
            raft.add_learner(id, peer, false).await.map_err(invalid)?;
        } else if voter && !is_voter && self.has_caught_up(id) {
            let change = ChangeMembers::AddVoterIds(BTreeSet::from([id]));
            raft.change_membership(change, false).await.map_err(invalid)?;
        }
        Ok(Answer::Admitted)
    }

    fn has_caught_up(&self, id: NodeId) -> bool {
        use openraft::async_runtime::watch::WatchReceiver as _;
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let matched = metrics.replication.as_ref().and_then(|progress| progress.get(&id).copied().flatten());
        matched.is_some_and(|matched| {
            matched.index() + CAUGHT_UP_ENTRIES >= metrics.last_log_index.unwrap_or_default()
        })
    }

    fn leader(&self) -> Option<Member> {
        use openraft::async_runtime::watch::WatchReceiver as _;
        let leader = self.0.raft.metrics().borrow_watched().current_leader?;
        self.0.state.look(|at| at.membership.peers.get(&leader).map(|peer| peer.member.clone()))
    }
}

fn entry<H: Host>(record: EntryRecord) -> Result<EntryOf<Types<H>>, Refused> {
    let payload = match record.payload {
        PayloadRecord::Blank => EntryPayload::Blank,
        PayloadRecord::Normal => EntryPayload::Normal(Proposal { bytes: record.bytes.0, entry: None }),
        PayloadRecord::Membership(membership) => {
            EntryPayload::Membership(membership.membership().map_err(invalid)?)
        }
    };
    Ok(openraft::entry::RaftEntry::new(record.log_id.log_id::<H>(), payload))
}

fn invalid(error: impl std::fmt::Display) -> Refused {
    Refused::Invalid(error.to_string())
}
