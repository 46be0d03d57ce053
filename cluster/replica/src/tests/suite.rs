//! The consensus library's own tests of a store.

use std::sync::Arc;

use holdfast_model::{ClusterTime, Inventory};
use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use crate::clock::Clock;
use crate::file_disk::FileDisk;
use crate::ledger::Ledger;
use crate::live::Live;
use crate::log::Log;
use crate::machine::Machine;
use crate::snapshot::Snapshots;
use crate::state::{At, State};
use crate::types::{MembershipRecord, Types};

/// Stores share one directory for snapshots: the suite hands a snapshot of one store to another, as a network would.
struct Builder {
    shared: TempDir,
}

impl StoreBuilder<Types<Live>, Log<Live>, Machine<Live>, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, Log<Live>, Machine<Live>), StorageError<Types<Live>>> {
        let dir = TempDir::with_prefix("holdfast-suite-").unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let (ledger, _) = Ledger::open(&dir.path().join("ledger")).unwrap();
        let at = At { inventory: Inventory::new(), last: None, membership: MembershipRecord::default() };
        let machine = Machine {
            state: Arc::new(State::new(at, ledger, None)),
            clock: Arc::new(Clock::starting_at(ClusterTime(0))),
            snapshots: Arc::new(Snapshots::open(FileDisk::open(self.shared.path()).unwrap()).unwrap()),
            disk: disk.clone(),
            #[cfg(feature = "planted-bugs")]
            wall: Arc::new(|| holdfast_model::UtcMillis(0)),
        };
        let log = Log::open(disk).unwrap();
        Ok((dir, log, machine))
    }
}

#[tokio::test]
async fn log_and_state_machine_pass_the_library_s_own_suite() {
    Suite::test_all(Builder { shared: TempDir::new().unwrap() }).await.unwrap();
}
