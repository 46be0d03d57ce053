//! Changes of who is in the cluster, and of who leads it. Only the leader makes them.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{AsyncRuntime, ChangeMembers};

use crate::replica::Replica;
use crate::types::{Host, Peer, Types};
use crate::wire::{Answer, Refused};
use crate::{AdminError, Member, NodeId};

/// Between two looks at whether a change has come about.
const POLL: Duration = Duration::from_millis(50);

/// How long an empty member may take to say who it is.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Admits an empty member that waits at `member.peer`.
pub async fn add<H: Host>(replica: &Replica<H>, member: Member, voter: bool) -> Result<(), AdminError> {
    check_leading(replica)?;
    let inner = &replica.0;
    let answer = inner
        .peers
        .probe(&member.peer, Vec::new(), PROBE_TIMEOUT)
        .await
        .map_err(|error| AdminError::Invalid(format!("no member answers at {}: {error}", member.peer)))?;
    if answer.me.member.id != member.id {
        let found = answer.me.member.id;
        return Err(AdminError::Invalid(format!("{} is member {found}, not {}", member.peer, member.id)));
    }
    let known = inner.peers.peer(member.id);
    if known.is_some_and(|known| known.incarnation != answer.me.incarnation) {
        return Err(AdminError::Invalid(format!(
            "number {} is another member's: choose a new one",
            member.id
        )));
    }
    let cluster = inner.files.identity.cluster();
    if answer.cluster.is_some() && answer.cluster != cluster {
        return Err(AdminError::Invalid(format!("member {} belongs to another cluster", member.id)));
    }
    let id = member.id;
    let peer = Peer { member, incarnation: answer.me.incarnation };
    loop {
        match inner.service.admit(peer.clone(), voter).await {
            Ok(Answer::Admitted) if !voter || is_voter(replica, id) => return Ok(()),
            Ok(Answer::NotLeader(_)) => return Err(not_leading(replica)),
            Ok(_) | Err(Refused::Stopped) => {}
            Err(refused) => return Err(AdminError::Invalid(refused.to_string())),
        }
        H::Runtime::sleep(POLL).await;
    }
}

/// Makes a learner a voter.
pub async fn promote<H: Host>(replica: &Replica<H>, id: NodeId) -> Result<(), AdminError> {
    check_leading(replica)?;
    if replica.0.peers.peer(id).is_none() {
        return Err(AdminError::Invalid(format!("there is no member {id}")));
    }
    if is_voter(replica, id) {
        return Ok(());
    }
    change(replica, ChangeMembers::AddVoterIds(BTreeSet::from([id]))).await
}

/// Takes a member out: its vote first, then the rest of it.
pub async fn remove<H: Host>(replica: &Replica<H>, id: NodeId) -> Result<(), AdminError> {
    check_leading(replica)?;
    if replica.0.peers.peer(id).is_none() {
        return Err(AdminError::Invalid(format!("there is no member {id}")));
    }
    if is_voter(replica, id) {
        let voters = replica.0.state.look(|at| at.membership.voters.iter().flatten().count());
        if voters == 1 {
            return Err(AdminError::Invalid("the last voter cannot be removed".to_owned()));
        }
        // A leader that goes hands over first: its place is filled before it is empty.
        if replica.0.peers.me().member.id == id {
            transfer(replica, None).await?;
            return Err(not_leading(replica));
        }
        return change(replica, ChangeMembers::RemoveVoters(BTreeSet::from([id]))).await;
    }
    change(replica, ChangeMembers::RemoveNodes(BTreeSet::from([id]))).await
}

/// Hands leadership on and waits until another member leads.
pub async fn transfer<H: Host>(replica: &Replica<H>, to: Option<NodeId>) -> Result<(), AdminError> {
    check_leading(replica)?;
    let me = replica.0.peers.me().member.id;
    let wanted = to;
    let to = match to {
        Some(to) if to == me => return Ok(()),
        Some(to) if !is_voter(replica, to) => {
            return Err(AdminError::Invalid(format!("member {to} has no vote")));
        }
        Some(to) => to,
        None => most_up_to_date(replica, me)
            .ok_or_else(|| AdminError::Invalid("there is no other voter to hand over to".to_owned()))?,
    };
    loop {
        replica
            .0
            .raft
            .trigger()
            .transfer_leader(to)
            .await
            .map_err(|error| AdminError::Stopped(error.to_string()))?;
        for _ in 0..10 {
            let leader = replica.0.raft.metrics().borrow_watched().current_leader;
            match leader.filter(|&leader| leader != me) {
                // Somebody else may have come first: then the one who leads now hands over.
                Some(leader) if wanted.is_some_and(|wanted| wanted != leader) => {
                    return Err(not_leading(replica));
                }
                Some(_) => return Ok(()),
                None => {}
            }
            H::Runtime::sleep(POLL).await;
        }
    }
}

fn most_up_to_date<H: Host>(replica: &Replica<H>, me: NodeId) -> Option<NodeId> {
    let voters: BTreeSet<NodeId> =
        replica.0.state.look(|at| at.membership.voters.iter().flatten().copied().collect());
    let metrics = replica.0.raft.metrics();
    let metrics = metrics.borrow_watched();
    let progress = metrics.replication.as_ref()?;
    let candidates = progress.iter().filter(|(id, _)| **id != me && voters.contains(id));
    candidates.max_by_key(|(_, matched)| matched.as_ref().map(openraft::LogId::index)).map(|(id, _)| *id)
}

fn is_voter<H: Host>(replica: &Replica<H>, id: NodeId) -> bool {
    replica.0.state.look(|at| at.membership.voters.iter().any(|set| set.contains(&id)))
}

async fn change<H: Host>(
    replica: &Replica<H>,
    change: ChangeMembers<NodeId, Peer>,
) -> Result<(), AdminError> {
    match replica.0.raft.change_membership(change, false).await {
        Ok(_) => Ok(()),
        Err(RaftError::Fatal(error)) => Err(AdminError::Stopped(error.to_string())),
        Err(RaftError::APIError(error)) => Err(write_error(replica, error)),
    }
}

fn write_error<H: Host>(replica: &Replica<H>, error: ClientWriteError<Types<H>>) -> AdminError {
    match error {
        ClientWriteError::ForwardToLeader(_) => not_leading(replica),
        ClientWriteError::LogEntryDiscarded(_) => AdminError::OutcomeUnknown,
        ClientWriteError::ChangeMembershipError(ChangeMembershipError::InProgress(_)) => {
            AdminError::InProgress
        }
        error => AdminError::Invalid(error.to_string()),
    }
}

fn check_leading<H: Host>(replica: &Replica<H>) -> Result<(), AdminError> {
    if replica.0.raft.is_leader() { Ok(()) } else { Err(not_leading(replica)) }
}

fn not_leading<H: Host>(replica: &Replica<H>) -> AdminError {
    let leader = replica.0.raft.metrics().borrow_watched().current_leader;
    let other = leader.filter(|&id| id != replica.0.peers.me().member.id);
    match other.and_then(|id| replica.0.peers.peer(id)) {
        Some(peer) => AdminError::NotLeader { leader: peer.member },
        None => AdminError::NoLeader,
    }
}
