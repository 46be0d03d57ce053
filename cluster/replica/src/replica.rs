//! One member's share of the replicated store: what `node` holds and calls.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use holdfast_model::{ClusterTime, Inventory, Movement, Record, Request, Seq};
use openraft::alias::InstantOf;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{AsyncRuntime, Raft, ServerState};

use crate::clock::Clock;
use crate::disk::Disk as _;
use crate::machine::Machine;
use crate::members;
use crate::peers::Peers;
use crate::queue::{Fate, Queue};
use crate::reads::ReadRounds;
use crate::service::Service;
use crate::state::State;
use crate::stop::Stop;
use crate::types::{Host, Types};
use crate::{
    AdminError, LedgerError, Live, Member, MemberStatus, NodeId, ReadError, Role, Status, SubmitError,
    Submitted,
};

/// Between two looks at whether a leader is there, or fit to take commands.
const LEADER_POLL: Duration = Duration::from_millis(10);

/// One member's share of the replicated store. Cheap to clone: a handle.
pub struct Replica<H: Host = Live>(pub(crate) Arc<Inner<H>>);

impl<H: Host> Clone for Replica<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

pub(crate) struct Inner<H: Host> {
    pub raft: Raft<Types<H>, Machine<H>>,
    pub peers: Peers<H>,
    pub service: Service<H>,
    pub state: Arc<State>,
    pub queue: Arc<Queue>,
    pub clock: Arc<Clock<InstantOf<Types<H>>>>,
    pub reads: Arc<ReadRounds>,
    pub stop: Arc<Stop>,
    pub files: crate::start::Files<H>,
}

/// Who leads, as far as this member knows.
enum Leader {
    Me,
    Other(Member),
    Nobody,
}

impl<H: Host> Replica<H> {
    /// Proposes `requests` in one go and waits until they are applied. Only on the leader.
    ///
    /// Commands that this member could not hand to the log yet are tried again until `timeout`: a new leader needs a
    /// moment before it may decide.
    ///
    /// # Errors
    /// See [`SubmitError`]: each says whether anything may have been done.
    pub async fn submit(&self, requests: &[Request], timeout: Duration) -> Result<Submitted, SubmitError> {
        let mut ticket = None;
        let attempt = self.submit_until_handed(requests, &mut ticket);
        match H::Runtime::timeout(timeout, attempt).await {
            Ok(done) => done,
            Err(_) => match ticket.as_ref().map(crate::queue::Ticket::cancel) {
                Some(false) => Err(SubmitError::OutcomeUnknown),
                Some(true) | None => Err(SubmitError::NoLeader),
            },
        }
    }

    async fn submit_until_handed(
        &self,
        requests: &[Request],
        ticket: &mut Option<crate::queue::Ticket>,
    ) -> Result<Submitted, SubmitError> {
        loop {
            self.check_running().map_err(SubmitError::Stopped)?;
            match self.leader() {
                Leader::Other(leader) => return Err(SubmitError::NotLeader { leader }),
                Leader::Nobody => H::Runtime::sleep(LEADER_POLL).await,
                Leader::Me => {
                    let queued = self.0.queue.push(requests.to_vec());
                    let mine =
                        ticket.insert(queued.map_err(|(queued, _)| SubmitError::Overloaded { queued })?);
                    match mine.fate().await {
                        Fate::Applied(replies) => {
                            return Ok(Submitted { replies, applied_seq: self.0.state.applied_seq() });
                        }
                        Fate::Unknown => return Err(SubmitError::OutcomeUnknown),
                        Fate::NotHanded => {
                            *ticket = None;
                            H::Runtime::sleep(LEADER_POLL).await;
                        }
                    }
                }
            }
        }
    }

    /// Waits until this member's state includes all that was acknowledged anywhere before the call.
    ///
    /// # Errors
    /// When that cannot be had before `timeout`.
    pub async fn read_barrier(&self, timeout: Duration) -> Result<(), ReadError> {
        let wait = async {
            loop {
                self.check_running().map_err(ReadError::Stopped)?;
                if let Some(index) = self.0.reads.next_index().await {
                    self.0.state.wait_until(|state| state.applied_index() >= index).await;
                    return Ok(());
                }
                H::Runtime::sleep(LEADER_POLL).await;
            }
        };
        H::Runtime::timeout(timeout, wait).await.unwrap_or(Err(ReadError::NoLeader))
    }

    /// Looks at the state as this member has it.
    pub fn read<T>(&self, look: impl FnOnce(&Inventory) -> T) -> T {
        self.0.state.look(|at| look(&at.inventory))
    }

    /// Records of the ledger after `after`, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When the ledger no longer, or not yet again, has them.
    pub fn movements(&self, after: Seq, limit: usize) -> Result<Vec<Record>, LedgerError> {
        self.check_kept(after.next())?;
        self.0.state.ledger.movements(after, limit)
    }

    /// The record `seq`, when it has happened.
    ///
    /// # Errors
    /// When the ledger no longer, or not yet again, has it.
    pub fn movement(&self, seq: Seq) -> Result<Option<Record>, LedgerError> {
        self.0.state.ledger.movement(seq)
    }

    /// Waits until this member has applied the movement `seq`.
    pub async fn wait_for(&self, seq: Seq) {
        self.0.state.wait_until(|state| state.applied_seq() >= seq).await;
    }

    /// The last `limit` movements of a row at or before `from`, which is one of its movements; newest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn history(&self, from: Seq, limit: usize) -> Result<Vec<Movement>, LedgerError> {
        let start = self.ledger_start();
        let mut found = self.0.state.ledger.history(from, limit)?;
        found.retain(|movement| movement.seq >= start);
        Ok(found)
    }

    /// The newest movement of a row at or before `seq`, given the row's last movement; none when the row came later.
    ///
    /// # Errors
    /// When the ledger no longer, or not yet again, reaches back that far.
    pub fn at(&self, last: Seq, seq: Seq) -> Result<Option<Movement>, LedgerError> {
        self.check_kept(seq.next())?;
        self.0.state.ledger.at(last, seq)
    }

    /// The first movement that is to be had of this member: the same on every member, unless this one has lost a part
    /// of its ledger that no other has either.
    pub fn ledger_start(&self) -> Seq {
        self.read(Inventory::ledger_start).max(self.0.state.ledger.start())
    }

    /// The ledger is trimmed block by block, but what is to be seen of it starts at one sequence.
    fn check_kept(&self, first: Seq) -> Result<(), LedgerError> {
        let oldest = self.ledger_start();
        if first < oldest { Err(LedgerError::Compacted { oldest }) } else { Ok(()) }
    }

    /// This member.
    pub fn me(&self) -> &Member {
        &self.0.peers.me().member
    }

    /// Sets a task going beside the replica, on what that runs on.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(H::Runtime::spawn(task));
    }

    /// Lets time pass, by the clock of what the replica runs on.
    pub async fn pause(&self, duration: Duration) {
        H::Runtime::sleep(duration).await;
    }

    /// Who leads, as far as this member knows.
    pub fn leading(&self) -> Option<Member> {
        match self.leader() {
            Leader::Me => Some(self.0.peers.me().member.clone()),
            Leader::Other(member) => Some(member),
            Leader::Nobody => None,
        }
    }

    /// Whether this member leads.
    pub fn leads(&self) -> bool {
        self.0.raft.is_leader()
    }

    /// The last movement applied.
    pub fn applied_seq(&self) -> Seq {
        self.0.state.applied_seq()
    }

    /// Cluster time, as this member reads it now.
    pub fn cluster_time(&self) -> ClusterTime {
        self.0.clock.now()
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let metrics = self.0.raft.metrics().borrow_watched().clone();
        let (applied, seq, digest, membership) = self
            .0
            .state
            .look(|at| (at.last, at.inventory.last_seq(), at.inventory.digest(), at.membership.clone()));
        let voters: Vec<NodeId> = membership.voters.iter().flatten().copied().collect();
        let members = membership.peers.iter().map(|(id, peer)| MemberStatus {
            member: peer.member.clone(),
            voter: voters.contains(id),
            matched_index: metrics
                .replication
                .as_ref()
                .and_then(|progress| progress.get(id))
                .and_then(|matched| matched.as_ref().map(openraft::LogId::index)),
        });
        let files = &self.0.files;
        let newest = files.snapshots.newest();
        Status {
            cluster_id: files.identity.cluster().map(|id| id.to_string()),
            epoch: files.identity.cluster().map(crate::types::ClusterId::epoch).unwrap_or_default(),
            me: self.0.peers.me().member.clone(),
            role: self.role(metrics.state),
            term: metrics.current_term,
            leader: metrics
                .current_leader
                .and_then(|id| membership.peers.get(&id))
                .map(|peer| peer.member.clone()),
            purged_index: files.log.last_purged().map_or(0, |last| last.index),
            last_log_index: metrics.last_log_index.unwrap_or_default(),
            applied_index: applied.map_or(0, |last| last.index),
            applied_seq: seq,
            snapshot_index: newest.as_ref().and_then(|file| file.head.last).map_or(0, |last| last.index),
            log_size_bytes: files.log.size_bytes(),
            snapshot_size_bytes: newest.map_or(0, |file| file.size_bytes),
            ledger_size_bytes: self.0.state.ledger.size_bytes(),
            digest,
            members: members.collect(),
            queued: self.0.queue.len(),
            stopped: self.0.stop.reason().map(str::to_owned),
        }
    }

    fn role(&self, state: ServerState) -> Role {
        if self.0.stop.reason().is_some() {
            return Role::Stopped;
        }
        if self.0.files.identity.cluster().is_none() {
            return Role::Waiting;
        }
        match state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        }
    }

    /// Resolves when this replica has stopped by itself, with the reason.
    pub async fn stopped(&self) -> String {
        self.0.stop.stopped().await.to_owned()
    }

    /// Adds an empty member that waits for a cluster: as a learner, and once it has caught up as a voter when `voter`.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn add_member(&self, member: Member, voter: bool, timeout: Duration) -> Result<(), AdminError> {
        self.within(timeout, members::add(self, member, voter)).await
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn promote(&self, id: NodeId, timeout: Duration) -> Result<(), AdminError> {
        self.within(timeout, members::promote(self, id)).await
    }

    /// Takes a member out for good.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn remove_member(&self, id: NodeId, timeout: Duration) -> Result<(), AdminError> {
        self.within(timeout, members::remove(self, id)).await
    }

    /// Hands leadership to `to`, or to the most up-to-date voter.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn transfer_leadership(&self, to: Option<NodeId>, timeout: Duration) -> Result<(), AdminError> {
        self.within(timeout, members::transfer(self, to)).await
    }

    /// Takes a snapshot now; returns its index.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn snapshot(&self, timeout: Duration) -> Result<u64, AdminError> {
        let take = async {
            let upto = self.0.state.applied_index();
            self.0.raft.trigger().snapshot().await.map_err(|error| AdminError::Stopped(error.to_string()))?;
            loop {
                self.check_running().map_err(AdminError::Stopped)?;
                let newest = self.0.files.snapshots.newest().and_then(|file| file.head.last);
                if let Some(last) = newest.filter(|last| last.index >= upto) {
                    return Ok(last.index);
                }
                H::Runtime::sleep(LEADER_POLL).await;
            }
        };
        self.within(timeout, take).await
    }

    /// Hands over leadership, stops, and makes everything durable.
    pub async fn shutdown(&self, timeout: Duration) {
        if self.0.raft.is_leader() {
            // Nobody to hand over to, or no time for it: the others elect a leader when they miss this one.
            let _ = self.transfer_leadership(None, timeout).await;
        }
        // Ends only with the library's own tasks, which do not fail by being asked to stop.
        let _ = self.0.raft.shutdown().await;
        self.0.stop.halt("it was shut down".to_owned());
        let ledger = self.0.state.ledger.clone();
        if let Err(error) = self.0.files.disk.run(move || ledger.flush()).await {
            tracing::error!(%error, "the ledger could not be made durable; the log will replay it");
        }
    }

    async fn within<T>(
        &self,
        timeout: Duration,
        work: impl Future<Output = Result<T, AdminError>> + Send,
    ) -> Result<T, AdminError> {
        H::Runtime::timeout(timeout, work).await.unwrap_or(Err(AdminError::OutcomeUnknown))
    }

    fn check_running(&self) -> Result<(), String> {
        self.0.stop.reason().map_or(Ok(()), |reason| Err(reason.to_owned()))
    }

    fn leader(&self) -> Leader {
        if self.0.raft.is_leader() {
            return Leader::Me;
        }
        let leader = self.0.raft.metrics().borrow_watched().current_leader;
        match leader.and_then(|id| self.0.peers.peer(id)) {
            Some(peer) if peer.member.id != self.0.peers.me().member.id => Leader::Other(peer.member),
            _ => Leader::Nobody,
        }
    }
}
