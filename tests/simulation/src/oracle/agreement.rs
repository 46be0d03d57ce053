//! Equal index, equal entry, equal outcome, equal digest: on every member, in every life of it.

use holdfast_model::{Applied, Digest, Entry, Inventory};
use holdfast_replica::NodeId;
use holdfast_replica::types::LogIdRecord;

use super::committed::Committed;

/// The member that applied an entry first.
pub fn first(
    committed: &Committed,
    member: NodeId,
    own: &Applied,
    applied: &Applied,
    state: &Inventory,
) -> Result<(), String> {
    let (index, digest) = committed.last();
    if own != applied {
        return Err(format!("member {member} at {index} did {applied:?}, a replay does {own:?}"));
    }
    same_digest(member, index, digest, state)
}

/// A member that applied what another had applied before.
pub fn again(
    committed: &Committed,
    member: NodeId,
    at: LogIdRecord,
    entry: &Entry,
    applied: &Applied,
    state: &Inventory,
) -> Result<(), String> {
    let Some(step) = committed.steps.get(&at.index) else {
        return Err(format!("member {member} applied commands at {}, where another had none", at.index));
    };
    if step.at != at || step.entry != *entry {
        return Err(format!(
            "member {member} applied {at:?} with {} commands, another {:?} with {}",
            entry.requests.len(),
            step.at,
            step.entry.requests.len()
        ));
    }
    if step.applied != *applied {
        return Err(format!("member {member} at {} did {applied:?}, another {:?}", at.index, step.applied));
    }
    same_digest(member, at.index, step.digest, state)
}

/// A state that was put in place as a whole.
pub fn replaced(committed: &Committed, member: NodeId, index: u64, state: &Inventory) -> Result<(), String> {
    let (last, digest) = committed.upto(index);
    same_digest(member, last, digest, state)
}

/// A member after everything was healed.
pub fn at_end(committed: &Committed, member: NodeId, digest: Digest) -> Result<(), String> {
    let (index, expected) = committed.last();
    if digest == expected { Ok(()) } else { Err(format!("member {member} is not as all others at {index}")) }
}

fn same_digest(member: NodeId, index: u64, expected: Digest, state: &Inventory) -> Result<(), String> {
    if state.digest() == expected {
        return Ok(());
    }
    let digest = state.digest();
    Err(format!("the digest of member {member} at {index} is {digest:?}, and should be {expected:?}"))
}
