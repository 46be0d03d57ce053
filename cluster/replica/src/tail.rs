//! What whoever follows the ledger needs: a wait for more of it, and its end without a hole. It starts nothing and
//! remembers nothing.

use holdfast_model::{Record, Seq};

use crate::types::{ClusterId, Host};
use crate::{LedgerError, Replica};

impl<H: Host> Replica<H> {
    /// The epoch of the feed: names the cluster's history. None while this member has no cluster.
    pub fn epoch(&self) -> Option<String> {
        self.0.files.identity.cluster().map(ClusterId::epoch)
    }

    /// Waits until more than `after` can be had here: it is applied, and no part of the ledger up to it is missing.
    pub async fn wait_for_more(&self, after: Seq) {
        let state = &self.0.state;
        let is_whole = || state.ledger.gap().is_none_or(|(_, upto)| after >= upto);
        #[cfg(feature = "planted-bugs")]
        if self.not_committed(after).is_some() {
            return;
        }
        state.wait_until(|state| state.applied_seq() > after && is_whole()).await;
    }

    /// What was applied after `after`, at most `limit` records, oldest first and dense. Without a limit that cuts it, it
    /// ends where an entry ends. Blocks as far as it is not in memory.
    ///
    /// # Errors
    /// When the ledger no longer, or not yet again, has them.
    pub fn tail(&self, after: Seq, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let applied = self.applied_seq();
        #[cfg(feature = "planted-bugs")]
        if let Some(ahead) = self.not_committed(after) {
            return Ok(ahead);
        }
        let found = self.dense(after, applied, limit)?;
        if !found.is_empty() || applied <= after {
            return Ok(found);
        }
        // A snapshot that was installed, or a trim, came in between: now the ledger says so.
        let found = self.dense(after, applied, limit)?;
        if found.is_empty() {
            return Err(LedgerError::Damaged(format!("what follows {after} is missing")));
        }
        Ok(found)
    }

    fn dense(&self, after: Seq, upto: Seq, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let mut found = self.movements(after, limit)?;
        let count = dense_len(found.iter().map(Record::seq), after, upto);
        found.truncate(count);
        Ok(found)
    }
}

#[cfg(feature = "planted-bugs")]
impl<H: Host> Replica<H> {
    /// What follows `after`, the last that is applied, in entries that are only in the log.
    fn not_committed(&self, after: Seq) -> Option<Vec<Record>> {
        use holdfast_model::{Inventory, codec, planted};
        if after != self.applied_seq() || !planted::is(planted::Bug::FeedBeyondCommitted) {
            return None;
        }
        let look = |at: &crate::state::At| (at.inventory.freeze(), at.last.map_or(0, |last| last.index + 1));
        let (frozen, next) = self.0.state.look(look);
        let mut inventory = Inventory::restore(frozen.chunks()).ok()?;
        let mut found = Vec::new();
        for entry in self.0.files.log.read_blocking(next).ok()? {
            if let openraft::EntryPayload::Normal(proposal) = entry.payload {
                found.extend(inventory.apply(&codec::decode(&proposal.bytes).ok()?).records);
            }
        }
        (!found.is_empty()).then_some(found)
    }
}

/// How many of `found` follow `after` and each other without a hole, up to `upto`.
fn dense_len(found: impl Iterator<Item = Seq>, after: Seq, upto: Seq) -> usize {
    (after.0 + 1..=upto.0).zip(found).take_while(|(next, seq)| *next == seq.0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_after_a_hole_does_not_follow() {
        for (found, after, upto, expected) in [
            (&[5, 6, 7][..], 4, 9, 3),
            (&[5, 6, 7], 4, 6, 2),
            (&[5, 7, 8], 4, 9, 1),
            (&[6, 7], 4, 9, 0),
            (&[5], 4, 4, 0),
            (&[], 4, 9, 0),
        ] {
            let seqs = found.iter().copied().map(Seq);
            assert_eq!(
                dense_len(seqs, Seq(after), Seq(upto)),
                expected,
                "{found:?} after {after} up to {upto}"
            );
        }
    }
}
