//! What a member has applied, shared between the one task that changes it and the many that look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_model::{Applied, Entry, Inventory, Seq};
use parking_lot::RwLock;
use tokio::sync::Notify;

use crate::LedgerError;
use crate::ledger::Ledger;
use crate::types::{LogIdRecord, MembershipRecord};

/// Sees what a member applies, as it happens: a seam for the simulator, which checks every step.
pub trait Witness: Send + Sync {
    /// An entry of commands was applied; `state` is what came of it.
    fn applied(&self, at: LogIdRecord, entry: &Entry, applied: &Applied, state: &Inventory);

    /// A state was put in place as a whole: the one that was recovered, or a snapshot of the leader.
    fn replaced(&self, at: Option<LogIdRecord>, state: &Inventory);
}

/// The state of one member and how far it is.
pub struct State {
    at: RwLock<At>,
    progress: Notify,
    applied_index: AtomicU64,
    log_bytes: AtomicU64,
    witness: Option<Arc<dyn Witness>>,
    /// Every record that was applied.
    pub ledger: Ledger,
}

/// The state at one position of the log.
pub struct At {
    /// What the model made of the log so far.
    pub inventory: Inventory,
    /// The last entry applied; none before the first.
    pub last: Option<LogIdRecord>,
    /// The last membership applied.
    pub membership: MembershipRecord,
}

impl State {
    /// The state as it was recovered.
    pub fn new(at: At, ledger: Ledger, witness: Option<Arc<dyn Witness>>) -> Self {
        let index = at.last.map_or(0, |last| last.index);
        if let Some(witness) = &witness {
            witness.replaced(at.last, &at.inventory);
        }
        Self {
            at: RwLock::new(at),
            progress: Notify::new(),
            applied_index: AtomicU64::new(index),
            log_bytes: AtomicU64::new(0),
            witness,
            ledger,
        }
    }

    /// Looks at the state, which does not change meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&At) -> T) -> T {
        look(&self.at.read())
    }

    /// Applies one entry of commands. A movement can be found in the ledger as soon as the state shows it.
    ///
    /// # Errors
    /// When the ledger cannot be written: the member must stop.
    pub fn apply(&self, last: LogIdRecord, entry: &Entry, bytes: usize) -> Result<Applied, LedgerError> {
        let mut at = self.at.write();
        let applied = at.inventory.apply(entry);
        if !applied.records.is_empty() {
            self.ledger.append(&applied.records)?;
        }
        at.last = Some(last);
        if let Some(witness) = &self.witness {
            witness.applied(last, entry, &applied, &at.inventory);
        }
        drop(at);
        self.log_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.advance(last.index);
        Ok(applied)
    }

    /// Takes note of an entry that carries no commands.
    pub fn pass(&self, last: LogIdRecord, membership: Option<MembershipRecord>) {
        let mut at = self.at.write();
        at.last = Some(last);
        if let Some(membership) = membership {
            at.membership = membership;
        }
        drop(at);
        self.advance(last.index);
    }

    /// Puts another state in place of this one.
    pub fn replace(&self, with: At) {
        let index = with.last.map_or(0, |last| last.index);
        if let Some(witness) = &self.witness {
            witness.replaced(with.last, &with.inventory);
        }
        *self.at.write() = with;
        self.log_bytes.store(0, Ordering::Relaxed);
        self.advance(index);
    }

    fn advance(&self, index: u64) {
        self.applied_index.store(index, Ordering::Release);
        self.progress.notify_waiters();
    }

    /// Missing parts of the ledger have come: who waits for them looks again.
    pub fn ledger_filled(&self) {
        self.progress.notify_waiters();
    }

    /// The last index applied.
    pub fn applied_index(&self) -> u64 {
        self.applied_index.load(Ordering::Acquire)
    }

    /// The last movement applied.
    pub fn applied_seq(&self) -> Seq {
        self.look(|at| at.inventory.last_seq())
    }

    /// Bytes of commands that were applied since the last snapshot.
    pub fn log_bytes_since_snapshot(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    /// A snapshot of the state was begun after which `log_bytes` more had been applied.
    pub fn snapshot_begun(&self) {
        self.log_bytes.store(0, Ordering::Relaxed);
    }

    /// Waits until `ready` says so; it is asked now and after every step.
    pub async fn wait_until(&self, ready: impl Fn(&Self) -> bool) {
        loop {
            let step = self.progress.notified();
            tokio::pin!(step);
            step.as_mut().enable();
            if ready(self) {
                return;
            }
            step.await;
        }
    }
}
