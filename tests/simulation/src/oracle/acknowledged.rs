//! What was acknowledged is in the committed order, once, and does there what the caller was told.

use std::collections::BTreeMap;

use holdfast_model::{Entry, Reply, Seq};

use super::committed::Committed;
use holdfast_model::Applied;

/// An attempt of a caller.
struct Attempt {
    /// The last entry that was known to be complete when it began.
    floor: u64,
    /// The entry that it is in, and what was answered there.
    place: Option<(u64, Vec<Reply>)>,
}

/// All attempts, by the name that their requests carry.
#[derive(Default)]
pub struct Attempts {
    all: BTreeMap<String, Attempt>,
    /// The last entry that anybody has seen the effect of.
    pub floor: u64,
}

impl Attempts {
    /// An attempt begins.
    pub fn invoked(&mut self, actor: &str) {
        self.all.insert(actor.to_owned(), Attempt { floor: self.floor, place: None });
    }

    /// An entry was committed: each attempt in it must have begun, and been answered for nothing later.
    pub fn committed(&mut self, index: u64, entry: &Entry, applied: &Applied) -> Result<(), String> {
        let mut replies = applied.replies.iter();
        for request in &entry.requests {
            let reply = replies.next().ok_or("a request has no reply")?.clone();
            let Some(actor) = &request.actor else { continue };
            let Some(attempt) = self.all.get_mut(actor.as_str()) else {
                return Err(format!("{actor} is committed and was never sent"));
            };
            if index <= attempt.floor {
                let floor = attempt.floor;
                return Err(format!("{actor} is at {index}, and {floor} was complete before it began"));
            }
            let (at, told) = attempt.place.get_or_insert((index, Vec::new()));
            if *at != index {
                return Err(format!("{actor} was sent once, and is at {at} and at {index}"));
            }
            told.push(reply);
        }
        Ok(())
    }

    /// An attempt was answered.
    pub fn acknowledged(
        &mut self,
        committed: &Committed,
        actor: &str,
        replies: &[Reply],
        applied_seq: Seq,
    ) -> Result<(), String> {
        let place = self.all.get(actor).and_then(|attempt| attempt.place.as_ref());
        let Some((index, expected)) = place else {
            return Err(format!("{actor} was acknowledged, and nobody applied it"));
        };
        if expected != replies {
            return Err(format!("{actor} was told {replies:?} instead of {expected:?}"));
        }
        let made = committed.steps.get(index).and_then(|step| step.applied.records.last());
        if made.is_some_and(|last| last.seq() > applied_seq) {
            return Err(format!("{actor} was told that {applied_seq} is applied, and made more than that"));
        }
        self.floor = self.floor.max(*index);
        Ok(())
    }
}
