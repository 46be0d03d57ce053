//! The state machine that the consensus library drives: feeds committed entries to the model, one after another,
//! and takes and installs snapshots. It decides nothing itself.

use std::io;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use holdfast_model::{Entry, Frozen, codec};
use openraft::alias::{LogIdOf, SnapshotMetaOf, SnapshotOf, StoredMembershipOf};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};

use crate::clock::Clock;
use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::snapshot::{SnapshotFile, SnapshotHead, Snapshots};
use crate::state::{At, State};
use crate::types::{Host, LogIdRecord, MembershipRecord, Proposal, Types};
use openraft::alias::InstantOf;

/// The applied state of one member, as the consensus library drives it.
pub struct Machine<H: Host> {
    /// What was applied.
    pub state: Arc<State>,
    /// Reads cluster time from the stamps that pass by.
    pub clock: Arc<Clock<InstantOf<Types<H>>>>,
    /// Snapshot files.
    pub snapshots: Arc<Snapshots<H::Disk>>,
    /// Where they are.
    pub disk: H::Disk,
    /// What a planted bug takes for cluster time.
    #[cfg(feature = "planted-bugs")]
    pub wall: crate::proposer::WallClock,
}

impl<H: Host> Machine<H> {
    fn apply_one(
        &self,
        entry: openraft::alias::EntryOf<Types<H>>,
    ) -> io::Result<<Types<H> as openraft::RaftTypeConfig>::R> {
        let last = LogIdRecord::of::<H>(&entry.log_id);
        match entry.payload {
            EntryPayload::Blank => self.state.pass(last, None),
            EntryPayload::Membership(membership) => {
                let record =
                    MembershipRecord { log_id: Some(last), ..MembershipRecord::of_plain(&membership) };
                self.state.pass(last, Some(record));
            }
            EntryPayload::Normal(proposal) => {
                let entry = decoded(&proposal).map_err(io::Error::other)?;
                #[cfg(feature = "planted-bugs")]
                let entry = self.stamped_anew(entry);
                let applied =
                    self.state.apply(last, &entry, proposal.bytes.len()).map_err(io::Error::other)?;
                self.clock.observe(entry.stamp);
                if let Some(before) = applied.trim_before {
                    self.state.ledger.trim(before).map_err(io::Error::other)?;
                }
                return Ok(Some(Box::new(applied)));
            }
        }
        Ok(None)
    }
}

#[cfg(feature = "planted-bugs")]
impl<H: Host> Machine<H> {
    fn stamped_anew(&self, entry: Arc<Entry>) -> Arc<Entry> {
        if !holdfast_model::planted::is(holdfast_model::planted::Bug::WallClockInApply) {
            return entry;
        }
        let stamp = holdfast_model::ClusterTime((self.wall)().0.unsigned_abs());
        Arc::new(Entry { stamp, ..(*entry).clone() })
    }
}

/// The model's entry of a proposal: the one that it was made from, or its bytes decoded.
fn decoded(proposal: &Proposal) -> Result<Arc<Entry>, codec::CodecError> {
    match &proposal.entry {
        Some(entry) => Ok(entry.clone()),
        None => codec::decode(&proposal.bytes).map(Arc::new),
    }
}

impl<H: Host> RaftStateMachine<Types<H>> for Machine<H> {
    type SnapshotData = SnapshotFile;
    type SnapshotBuilder = Builder<H>;

    async fn applied_state(
        &mut self,
    ) -> Result<(Option<LogIdOf<Types<H>>>, StoredMembershipOf<Types<H>>), io::Error> {
        let (last, membership) = self.state.look(|at| (at.last, at.membership.clone()));
        Ok((last.map(LogIdRecord::log_id::<H>), membership.stored::<H>()?))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types<H>>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(next) = entries.next().await {
            let (entry, responder) = next?;
            let reply = self.apply_one(entry)?;
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, _force: bool) -> Option<Self::SnapshotBuilder> {
        Some(self.get_snapshot_builder().await)
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        let (frozen, last, membership) =
            self.state.look(|at| (at.inventory.freeze(), at.last, at.membership.clone()));
        self.state.snapshot_begun();
        let head = SnapshotHead { last, membership, seq: frozen.last_seq(), digest: frozen.digest() };
        Builder {
            frozen,
            head,
            ledger: self.state.ledger.clone(),
            snapshots: self.snapshots.clone(),
            disk: self.disk.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        _meta: &SnapshotMetaOf<Types<H>>,
        snapshot: SnapshotFile,
    ) -> Result<(), io::Error> {
        let snapshots = self.snapshots.clone();
        let file = snapshot.clone();
        let ledger = self.state.ledger.clone();
        let load = move || {
            let (head, inventory) = snapshots.take_loaded(&file)?;
            ledger.note_snapshot(inventory.last_seq(), inventory.ledger_start()).map_err(io::Error::other)?;
            Ok::<_, io::Error>((head, inventory))
        };
        let (head, inventory) = self.disk.run(load).await?;
        self.snapshots.note(snapshot);
        self.clock.observe(inventory.now());
        self.state.replace(At { inventory, last: head.last, membership: head.membership });
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types<H>, SnapshotFile>>, io::Error> {
        self.snapshots.newest().map(snapshot_of::<H>).transpose()
    }
}

/// Writes one snapshot while apply goes on.
pub struct Builder<H: Host> {
    frozen: Frozen,
    head: SnapshotHead,
    ledger: Ledger,
    snapshots: Arc<Snapshots<H::Disk>>,
    disk: H::Disk,
}

impl<H: Host> RaftSnapshotBuilder<Types<H>> for Builder<H> {
    type SnapshotData = SnapshotFile;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types<H>, SnapshotFile>, io::Error> {
        let (ledger, snapshots) = (self.ledger.clone(), self.snapshots.clone());
        let (head, frozen) = (self.head.clone(), self.frozen.clone());
        // The order of durability: the ledger through this index first, then the snapshot; the log is cut last.
        let file = self
            .disk
            .run(move || {
                ledger.flush().map_err(io::Error::other)?;
                snapshots.write(head, &frozen)
            })
            .await?;
        snapshot_of::<H>(file)
    }
}

/// A snapshot file as the consensus library sees it.
///
/// # Errors
/// When its membership makes no sense.
pub fn snapshot_of<H: Host>(file: SnapshotFile) -> io::Result<SnapshotOf<Types<H>, SnapshotFile>> {
    let meta = SnapshotMetaOf::<Types<H>> {
        last_log_id: file.head.last.map(LogIdRecord::log_id::<H>),
        last_membership: file.head.membership.clone().stored::<H>()?,
    };
    Ok(SnapshotOf::<Types<H>, SnapshotFile> { meta, snapshot: file })
}
