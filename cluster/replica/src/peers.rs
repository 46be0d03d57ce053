//! The other members: what this one asks of them, on behalf of the consensus library and of itself.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use holdfast_model::{Seq, codec};
use openraft::alias::{SnapshotOf, VoteOf};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend};
use parking_lot::Mutex;

use crate::commits;
use crate::disk::Disk;
use crate::identity::Identity;
use crate::network::{Channel, Network};
use crate::snapshot::{SnapshotFile, Snapshots};
use crate::state::State;
use crate::stop::Stop;
use crate::types::{Host, LogIdRecord, MembershipRecord, PayloadRecord, Peer, Types, VoteRecord};
use crate::wire::{
    Answer, Append, AppendAnswer, Ask, Blob, EntryRecord, Envelope, ProbeAnswer, Refused, VoteAsk,
};
use crate::{Member, NodeId};

/// How much of a snapshot travels in one message, in bytes.
const SNAPSHOT_PART_BYTES: usize = 1 << 20;

/// Entries travel in messages of about this size, in bytes; a single larger entry travels alone.
const APPEND_BYTES: usize = 4 << 20;

/// How long the last part of a snapshot may take: the peer reads and installs the whole of it.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(600);

/// The other members, as this one reaches them. Cheap to clone: a handle.
pub struct Peers<H: Host>(Arc<Inner<H>>);

impl<H: Host> Clone for Peers<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What peers are reached with.
pub struct Inner<H: Host> {
    /// Calls to peers.
    pub network: H::Network,
    /// The data directory.
    pub disk: H::Disk,
    /// The identity file of this member.
    pub identity: Arc<Identity<H::Disk>>,
    /// This member.
    pub me: Peer,
    /// What was applied.
    pub state: Arc<State>,
    /// Snapshot files.
    pub snapshots: Arc<Snapshots<H::Disk>>,
    /// Whether, and why, this member has stopped.
    pub stop: Arc<Stop>,
    /// How long a part of a snapshot, or an answer with ledger blocks, may take.
    pub bulk_timeout: Duration,
    /// Who will have nothing to do with this member, and why.
    pub refusals: Mutex<BTreeMap<NodeId, Refused>>,
}

/// Why a peer did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It cannot be reached, or did not answer in time.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It said no.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Its answer does not belong to the question.
    #[error("its answer makes no sense")]
    Senseless,
}

impl<H: Host> Peers<H> {
    /// The peers of a member.
    pub fn new(inner: Inner<H>) -> Self {
        Self(Arc::new(inner))
    }

    /// This member.
    pub fn me(&self) -> &Peer {
        &self.0.me
    }

    /// Asks whoever answers at `address` who it is.
    pub async fn probe(
        &self,
        address: &str,
        founders: Vec<Member>,
        patience: Duration,
    ) -> Result<ProbeAnswer, CallError> {
        match self.call(address, 0, 0, Channel::Control, Ask::Probe { founders }, patience).await? {
            Answer::Probe(answer) => Ok(answer),
            _ => Err(CallError::Senseless),
        }
    }

    /// Asks whoever answers at `address` to admit this member.
    pub async fn ask_to_join(&self, address: &str, patience: Duration) -> Result<Answer, CallError> {
        self.call(address, 0, 0, Channel::Control, Ask::Join, patience).await
    }

    /// Asks `leader` for a read index; none when it does not lead, or cannot be reached.
    pub async fn read_index(&self, leader: NodeId, patience: Duration) -> Option<u64> {
        let peer = self.peer(leader)?;
        match self.call_peer(&peer, Channel::Control, Ask::ReadIndex, patience).await {
            Ok(Answer::ReadIndex(index)) => Some(index),
            _ => None,
        }
    }

    /// Asks a member for ledger blocks after `after` and up to `upto`: see [`Ask::LedgerBlocks`].
    pub async fn ledger_blocks(
        &self,
        peer: &Peer,
        after: Seq,
        upto: Seq,
    ) -> Result<Vec<(Seq, Bytes)>, CallError> {
        let ask = Ask::LedgerBlocks { after, upto };
        match self.call_peer(peer, Channel::Bulk, ask, self.0.bulk_timeout).await? {
            Answer::LedgerBlocks(blocks) => {
                Ok(blocks.into_iter().map(|(seq, Blob(bytes))| (seq, bytes)).collect())
            }
            _ => Err(CallError::Senseless),
        }
    }

    /// All other members of the cluster.
    pub fn others(&self) -> Vec<Peer> {
        let me = self.0.me.member.id;
        self.0
            .state
            .look(|at| at.membership.peers.values().filter(|peer| peer.member.id != me).cloned().collect())
    }

    /// A member of the cluster.
    pub fn peer(&self, id: NodeId) -> Option<Peer> {
        self.0.state.look(|at| at.membership.peers.get(&id).cloned())
    }

    async fn call_peer(
        &self,
        peer: &Peer,
        channel: Channel,
        ask: Ask,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let id = peer.member.id;
        let answer = self.call(&peer.member.peer, id, peer.incarnation, channel, ask, patience).await;
        self.note_refusal(id, &answer);
        answer
    }

    async fn call(
        &self,
        address: &str,
        to: NodeId,
        to_incarnation: u128,
        channel: Channel,
        ask: Ask,
        patience: Duration,
    ) -> Result<Answer, CallError> {
        let cluster = self.0.identity.cluster();
        let envelope = Envelope { cluster, from: self.0.me.clone(), to, to_incarnation, ask };
        let request = Bytes::from(codec::encode(&envelope));
        let answer = self.0.network.call(address, channel, request, patience).await?;
        match codec::decode(&answer) {
            Ok(Answer::Refused(refused)) => Err(refused.into()),
            Ok(answer) => Ok(answer),
            Err(_) => Err(CallError::Senseless),
        }
    }

    /// A member that a majority will have nothing to do with must not wait for ever in silence.
    fn note_refusal(&self, from: NodeId, answer: &Result<Answer, CallError>) {
        let mut refusals = self.0.refusals.lock();
        match answer {
            Err(CallError::Refused(refused @ (Refused::OtherCluster(_) | Refused::Wiped(_)))) => {
                refusals.insert(from, refused.clone());
            }
            Ok(_) => {
                refusals.remove(&from);
                return;
            }
            Err(_) => return,
        }
        let (voters, refusing) = self.0.state.look(|at| {
            let voters: Vec<NodeId> = at.membership.voters.iter().flatten().copied().collect();
            let refusing = voters.iter().filter(|id| refusals.contains_key(id)).count();
            (voters.len(), refusing)
        });
        if refusing * 2 > voters
            && let Some(refused) = refusals.values().next()
        {
            let id = self.0.me.member.id;
            self.0.stop.halt(match refused {
                Refused::OtherCluster(other) => format!(
                    "the data directory of member {id} belongs to another cluster than its peers, which are cluster \
                     {other}: start it with its own directory, or with an empty one and a new id and --join"
                ),
                _ => format!(
                    "the cluster knows member {id} by another data directory than this one: a member that lost its log \
                     must join again with an empty directory, a new id and --join"
                ),
            });
        }
    }
}

/// A way to one member, on one channel, as the consensus library uses it.
pub struct Link<H: Host> {
    peers: Peers<H>,
    to: Peer,
    channel: Channel,
}

impl<H: Host> Link<H> {
    async fn ask(&self, ask: Ask, option: &RPCOption) -> Result<Answer, RPCError<Types<H>>> {
        let answer = self.peers.call_peer(&self.to, self.channel, ask, option.soft_ttl()).await;
        answer.map_err(|error| unreachable(&error).into())
    }
}

fn unreachable<H: Host>(error: &CallError) -> Unreachable<Types<H>> {
    Unreachable::new(error)
}

impl<H: Host> RaftNetworkFactory<Types<H>> for Peers<H> {
    type Network = Link<H>;

    async fn new_client(&mut self, _id: NodeId, to: &Peer) -> Link<H> {
        Link { peers: self.clone(), to: to.clone(), channel: Channel::Entries }
    }

    async fn new_heartbeat_client(&mut self, _id: NodeId, to: &Peer) -> Link<H> {
        Link { peers: self.clone(), to: to.clone(), channel: Channel::Control }
    }

    async fn new_snapshot_client(&mut self, _id: NodeId, to: &Peer) -> Link<H> {
        Link { peers: self.clone(), to: to.clone(), channel: Channel::Bulk }
    }
}

/// Answers to requests with entries, in order.
type Appended<'s, H> = BoxStream<'s, Result<StreamAppendResult<Types<H>>, RPCError<Types<H>>>>;

impl<H: Host> RaftNetworkV2<Types<H>> for Link<H> {
    type SnapshotData = SnapshotFile;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types<H>>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Types<H>>, RPCError<Types<H>>> {
        let (append, left_out) = append_record::<H>(request);
        let sent = append.entries.last().map(|entry| entry.log_id);
        match self.ask(Ask::Append(append), &option).await? {
            Answer::Append(AppendAnswer::Success) if left_out => {
                Ok(AppendEntriesResponse::PartialSuccess(sent.map(LogIdRecord::log_id::<H>)))
            }
            Answer::Append(answer) => Ok(append_response::<H>(answer)),
            _ => Err(unreachable(&CallError::Senseless).into()),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<Appended<'s, H>, RPCError<Types<H>>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types<H>>> + OptionalSend + Unpin + 'static,
    {
        stream_append_sequential(self, commits::joined::<H, S>(input), option)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Types<H>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<H>>, RPCError<Types<H>>> {
        vote_response(self.ask(Ask::Vote(vote_ask::<H>(&request)), &option).await?)
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Types<H>>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types<H>>, RPCError<Types<H>>> {
        vote_response(self.ask(Ask::PreVote(vote_ask::<H>(&request)), &option).await?)
    }

    async fn full_snapshot(
        &mut self,
        vote: VoteOf<Types<H>>,
        snapshot: SnapshotOf<Types<H>, SnapshotFile>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types<H>>, StreamingError<Types<H>>> {
        let send = send_snapshot(self, VoteRecord::of::<H>(&vote), &snapshot.snapshot);
        match H::Runtime::select2(cancel, send).await {
            openraft::async_runtime::Select2::First(closed) => Err(closed.into()),
            openraft::async_runtime::Select2::Second(sent) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote.vote::<H>())),
                Err(error) => Err(unreachable(&error).into()),
            },
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Types<H>>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types<H>>, RPCError<Types<H>>> {
        let ask = Ask::TransferLeader {
            from_leader: VoteRecord::of::<H>(request.from_leader()),
            last: request.last_log_id().map(LogIdRecord::of::<H>),
        };
        match self.ask(ask, &option).await? {
            Answer::TransferTaken => Ok(Ok(())),
            Answer::TransferRefused(why) => Err(Unreachable::from_string(why).into()),
            _ => Err(unreachable(&CallError::Senseless).into()),
        }
    }

    fn backoff(&self) -> Option<openraft::network::Backoff> {
        let steps = [20, 50, 100, 200].into_iter().chain(std::iter::repeat(300));
        Some(openraft::network::Backoff::new(steps.map(Duration::from_millis)))
    }
}

/// Sends a snapshot part by part; returns the vote that the peer holds after it has installed it.
async fn send_snapshot<H: Host>(
    link: &Link<H>,
    vote: VoteRecord,
    file: &SnapshotFile,
) -> Result<VoteRecord, CallError> {
    let inner = &link.peers.0;
    let (snapshots, name) = (inner.snapshots.clone(), file.name.clone());
    let outgoing = Arc::new(inner.disk.run(move || snapshots.open_to_send(&name)).await?);
    let mut offset = 0;
    loop {
        let reading = outgoing.clone();
        let part = inner.disk.run(move || reading.part(offset, SNAPSHOT_PART_BYTES)).await?;
        let end = offset + part.len() as u64;
        let is_last = end >= file.size_bytes;
        let ask = Ask::SnapshotPart {
            name: file.name.clone(),
            offset,
            bytes: Blob(part.into()),
            install: is_last.then_some(vote),
        };
        let patience = if is_last { INSTALL_TIMEOUT } else { inner.bulk_timeout };
        match link.peers.call_peer(&link.to, link.channel, ask, patience).await? {
            Answer::Installed(vote) => return Ok(vote),
            Answer::PartTaken(taken) if taken == end && !is_last => offset = end,
            _ => return Err(CallError::Senseless),
        }
    }
}

/// The request as it is written, cut to a size that fits a message; and whether entries were left out.
fn append_record<H: Host>(request: AppendEntriesRequest<Types<H>>) -> (Append, bool) {
    let count = request.entries.len();
    let (mut entries, mut size) = (Vec::with_capacity(count), 0);
    for entry in request.entries {
        let record = entry_record::<H>(entry);
        size += record.bytes.0.len();
        if size > APPEND_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(record);
    }
    let left_out = entries.len() < count;
    let append = Append {
        vote: VoteRecord::of::<H>(&request.vote),
        prev: request.prev_log_id.as_ref().map(LogIdRecord::of::<H>),
        entries,
        commit: request.leader_commit.as_ref().map(LogIdRecord::of::<H>),
    };
    (append, left_out)
}

fn entry_record<H: Host>(entry: openraft::alias::EntryOf<Types<H>>) -> EntryRecord {
    let log_id = LogIdRecord::of::<H>(&entry.log_id);
    let (payload, bytes) = match entry.payload {
        EntryPayload::Blank => (PayloadRecord::Blank, Bytes::new()),
        EntryPayload::Normal(proposal) => (PayloadRecord::Normal, proposal.bytes),
        EntryPayload::Membership(membership) => {
            (PayloadRecord::Membership(MembershipRecord::of_plain(&membership)), Bytes::new())
        }
    };
    EntryRecord { log_id, payload, bytes: Blob(bytes) }
}

fn append_response<H: Host>(answer: AppendAnswer) -> AppendEntriesResponse<Types<H>> {
    match answer {
        AppendAnswer::Success => AppendEntriesResponse::Success,
        AppendAnswer::Partial(upto) => {
            AppendEntriesResponse::PartialSuccess(upto.map(LogIdRecord::log_id::<H>))
        }
        AppendAnswer::Conflict => AppendEntriesResponse::Conflict,
        AppendAnswer::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote.vote::<H>()),
    }
}

fn vote_ask<H: Host>(request: &VoteRequest<Types<H>>) -> VoteAsk {
    VoteAsk {
        vote: VoteRecord::of::<H>(&request.vote),
        last: request.last_log_id.as_ref().map(LogIdRecord::of::<H>),
        leadership_transfer: request.leadership_transfer,
    }
}

fn vote_response<H: Host>(answer: Answer) -> Result<VoteResponse<Types<H>>, RPCError<Types<H>>> {
    match answer {
        Answer::Vote { vote, granted, last } => {
            Ok(VoteResponse::new(vote.vote::<H>(), last.map(LogIdRecord::log_id::<H>), granted))
        }
        _ => Err(unreachable(&CallError::Senseless).into()),
    }
}
