//! How a member without a cluster comes to one: it founds a new one with the peers that it was told, or asks to be let
//! into one that is there.
//!
//! A new cluster comes to be only when every listed peer has answered that it is empty. So members that were wiped
//! never found a second cluster beside one that survived: the survivor answers that it is not empty.

use std::collections::BTreeMap;
use std::time::Duration;

use openraft::{AsyncRuntime, Raft};

use crate::machine::Machine;
use crate::peers::{CallError, Peers};
use crate::types::{ClusterId, Host, Peer, Types};
use crate::wire::{Answer, ProbeAnswer};
use crate::{Member, NodeId};

/// Between two rounds of asking.
const ROUND: Duration = Duration::from_millis(200);

/// How long one peer may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the listed peers answered.
enum Round {
    /// All are empty: these are they.
    AllEmpty(BTreeMap<NodeId, Peer>),
    /// Some have not answered, or a cluster is there that knows this member: ask again.
    Wait(String),
    /// There will never be a cluster this way; why, in one line.
    Never(String),
}

/// Asks the listed peers until all are empty; returns them. None when this member has been taken into a cluster
/// meanwhile, as `taken` tells.
///
/// # Errors
/// When no cluster can come to be this way, in one line.
pub async fn await_founders<H: Host>(
    peers: &Peers<H>,
    founders: &[Member],
    taken: impl Fn() -> bool,
) -> Result<Option<BTreeMap<NodeId, Peer>>, String> {
    let mut said = String::new();
    let is_founder = founders.first().is_some_and(|first| first.id == peers.me().member.id);
    while !taken() {
        match ask_all(peers, founders).await {
            Round::AllEmpty(members) if is_founder => return Ok(Some(members)),
            // The first of the list will found the cluster, and tell.
            Round::AllEmpty(_) => {}
            Round::Never(why) => return Err(why),
            Round::Wait(why) => {
                if why != said {
                    tracing::info!(reason = %why, "waiting for the peers of a new cluster");
                    said = why;
                }
            }
        }
        H::Runtime::sleep(ROUND).await;
    }
    Ok(None)
}

async fn ask_all<H: Host>(peers: &Peers<H>, founders: &[Member]) -> Round {
    let me = peers.me();
    let mut members = BTreeMap::from([(me.member.id, me.clone())]);
    let mut waiting = Vec::new();
    for member in founders.iter().filter(|member| member.id != me.member.id) {
        match peers.probe(&member.peer, founders.to_vec(), PATIENCE).await {
            Ok(answer) => match judge(&me.member, me.incarnation, member, founders, &answer) {
                Ok(true) => {
                    members.insert(member.id, Peer { member: member.clone(), ..answer.me });
                }
                Ok(false) => waiting.push(format!("member {} has a cluster already", member.id)),
                Err(why) => return Round::Never(why),
            },
            Err(CallError::Io(_)) => {
                waiting.push(format!("member {} does not answer at {}", member.id, member.peer));
            }
            Err(error) => waiting.push(format!("member {} at {}: {error}", member.id, member.peer)),
        }
    }
    if waiting.is_empty() { Round::AllEmpty(members) } else { Round::Wait(waiting.join("; ")) }
}

/// Whether the peer is empty; an error when this member can never be part of a cluster with it.
fn judge(
    me: &Member,
    incarnation: u128,
    expected: &Member,
    founders: &[Member],
    answer: &ProbeAnswer,
) -> Result<bool, String> {
    let found = answer.me.member.id;
    if found != expected.id {
        return Err(format!(
            "{} is member {found}, but the list of the cluster says {}",
            expected.peer, expected.id
        ));
    }
    let Some(cluster) = answer.cluster else {
        if !answer.founders.is_empty() && answer.founders != founders {
            return Err(format!(
                "member {found} was started with another list of members than member {}",
                me.id
            ));
        }
        return Ok(true);
    };
    match answer.membership.as_ref().map(|membership| membership.peers.get(&me.id)) {
        // The founder has written down the new cluster, and this member is about to hear of it.
        None => Ok(false),
        Some(Some(known)) if known.incarnation == incarnation => Ok(false),
        Some(Some(_)) => Err(wiped(me.id, cluster)),
        Some(None) => Err(format!(
            "member {found} belongs to cluster {cluster}, of which member {} is no part: start it with --join",
            me.id
        )),
    }
}

fn wiped(id: NodeId, cluster: ClusterId) -> String {
    format!(
        "cluster {cluster} knows member {id} by another data directory: this one was wiped or replaced, and a member that \
         forgot its log must not vote; start it with a new id and --join"
    )
}

/// Writes the first entry of a new cluster: who is in it.
///
/// # Errors
/// What the consensus library says, in one line.
pub async fn found<H: Host>(
    raft: &Raft<Types<H>, Machine<H>>,
    members: BTreeMap<NodeId, Peer>,
) -> Result<(), String> {
    raft.initialize(members).await.map_err(|error| format!("the cluster could not be founded: {error}"))
}

/// Asks for admission until this member is a voter.
///
/// # Errors
/// When it will never be let in, in one line.
pub async fn join<H: Host>(
    peers: &Peers<H>,
    addresses: &[String],
    is_voter: impl Fn() -> bool,
) -> Result<(), String> {
    let mut candidates = addresses.to_vec();
    let mut said = String::new();
    while !is_voter() {
        let mut why = Vec::new();
        let mut leader = None;
        for address in &candidates {
            match peers.ask_to_join(address, PATIENCE).await {
                Ok(Answer::Admitted) => {
                    leader = Some(address.clone());
                    break;
                }
                Ok(Answer::NotLeader(Some(member))) => {
                    leader = Some(member.peer);
                    break;
                }
                Ok(_) => why.push(format!("{address}: no leader is known there")),
                Err(CallError::Refused(crate::wire::Refused::Wiped(id))) => {
                    return Err(format!(
                        "number {id} is or was another member's in that cluster: start this one with a new id"
                    ));
                }
                Err(error) => why.push(format!("{address}: {error}")),
            }
        }
        let why = why.join("; ");
        if !why.is_empty() && why != said {
            tracing::info!(reason = %why, "asking to join");
            said = why;
        }
        // The leader is asked first next time, and the given addresses stay as a way back when it changes.
        candidates = leader.into_iter().chain(addresses.iter().cloned()).collect();
        H::Runtime::sleep(ROUND).await;
    }
    Ok(())
}
