//! One vote a term, kept over every crash; and none from a member that has lost what it may have acknowledged.

use std::collections::BTreeMap;

use holdfast_replica::NodeId;
use holdfast_replica::wire::{Answer, AppendAnswer, Ask, Envelope};

/// What members have promised.
#[derive(Default)]
pub struct Votes {
    /// Whom a member voted for in a term.
    given: BTreeMap<(NodeId, u64), NodeId>,
    /// The highest term in which a member voted or followed.
    promised: BTreeMap<NodeId, u64>,
    /// Who has lost something, and the entry that must be applied before it may vote.
    damaged: BTreeMap<NodeId, u64>,
    /// Who led in a term, as followers were told.
    leaders: BTreeMap<u64, NodeId>,
}

impl Votes {
    /// A member has lost a part of its log.
    pub fn damaged(&mut self, member: NodeId, floor: u64) {
        let known = self.damaged.entry(member).or_default();
        *known = (*known).max(floor);
    }

    /// A member has applied an entry.
    pub fn caught_up(&mut self, member: NodeId, index: u64) {
        if self.damaged.get(&member).is_some_and(|floor| index >= *floor) {
            self.damaged.remove(&member);
        }
    }

    /// A member has answered a message.
    pub fn heard(&mut self, to: NodeId, envelope: &Envelope, answer: &Answer) -> Result<(), String> {
        match (&envelope.ask, answer) {
            (Ask::Vote(ask), Answer::Vote { granted: true, .. }) => {
                self.voted(to, ask.vote.term, ask.vote.node)
            }
            (Ask::Append(append), Answer::Append(AppendAnswer::Success | AppendAnswer::Partial(_))) => {
                let leader = *self.leaders.entry(append.vote.term).or_insert(append.vote.node);
                if leader != append.vote.node {
                    let (other, term) = (append.vote.node, append.vote.term);
                    return Err(format!("members {leader} and {other} both lead in term {term}"));
                }
                self.promise(to, append.vote.term)
            }
            _ => Ok(()),
        }
    }

    fn voted(&mut self, voter: NodeId, term: u64, candidate: NodeId) -> Result<(), String> {
        self.may_vote(voter)?;
        let given = *self.given.entry((voter, term)).or_insert(candidate);
        if given != candidate {
            return Err(format!("member {voter} voted for {given} and for {candidate} in term {term}"));
        }
        self.promise(voter, term)
    }

    fn may_vote(&self, member: NodeId) -> Result<(), String> {
        match self.damaged.get(&member) {
            None => Ok(()),
            Some(floor) => Err(format!(
                "member {member} takes part in a vote, and has not made good its loss up to {floor}"
            )),
        }
    }

    fn promise(&mut self, member: NodeId, term: u64) -> Result<(), String> {
        let promised = self.promised.entry(member).or_default();
        if term < *promised {
            return Err(format!("member {member} follows term {term} after it had promised {promised}"));
        }
        *promised = term;
        Ok(())
    }
}
