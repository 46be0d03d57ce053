//! The host that production runs on: tokio, files, TCP, the machine's clocks.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use holdfast_model::UtcMillis;
use openraft_rt_tokio::TokioRuntime;
use tokio::net::TcpListener;

use crate::file_disk::FileDisk;
use crate::identity::DirLock;
use crate::ledger::SledPlace;
use crate::log::Limits;
use crate::replica::Replica;
use crate::start::Parts;
use crate::tcp::{self, Detours, TcpNetwork};
use crate::types::Host;
use crate::{Member, Options, StartError};

/// Tokio, files and TCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Live;

impl Host for Live {
    type Runtime = TokioRuntime;
    type Disk = FileDisk;
    type Network = TcpNetwork;
}

/// The ledger's database, inside the data directory.
const LEDGER_DIR: &str = "ledger";

impl Replica<Live> {
    /// Opens the directory, recovers, listens for peers, and takes part.
    ///
    /// # Errors
    /// When the directory, the address or the files do not allow it: one line that says what to do.
    pub async fn start(options: Options, detours: Detours) -> Result<Self, StartError> {
        let lock = lock_dir(&options.dir)?;
        let listener = TcpListener::bind(&options.me.peer).await.map_err(|error| {
            StartError(format!("cannot listen for peers on {}: {error}", options.me.peer))
        })?;
        let parts = Parts {
            disk: FileDisk::open(&options.dir).map_err(|error| StartError(error.to_string()))?,
            ledger: Arc::new(SledPlace::new(&options.dir.join(LEDGER_DIR))),
            log_limits: Limits::default(),
            network: TcpNetwork::new(detours),
            wall: Arc::new(wall_clock),
            random: Arc::new(|| uuid::Uuid::new_v4().as_u128()),
            witness: None,
        };
        let replica = Self::start_on(options, parts).await?;
        let (service, stop) = (replica.clone(), replica.clone());
        tokio::spawn(async move {
            let answer = move |message| {
                let service = service.clone();
                async move { service.answer_peer(message).await }
            };
            tcp::serve(listener, answer, async move { drop(stop.stopped().await) }).await;
            drop(lock);
        });
        Ok(replica)
    }
}

fn lock_dir(dir: &std::path::Path) -> Result<DirLock, StartError> {
    std::fs::create_dir_all(dir)
        .map_err(|error| StartError(format!("cannot make the data directory {}: {error}", dir.display())))?;
    DirLock::acquire(dir).map_err(|error| StartError(error.to_string()))
}

fn wall_clock() -> UtcMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Makes the only survivor of a lost majority a cluster of its own: new cluster id, new epoch. For a person to
/// decide, on a stopped member. Returns what was done, in words.
///
/// # Errors
/// When the directory is in use, or not a member's, in one line.
pub fn recover_alone(dir: &std::path::Path, me: &Member) -> Result<String, StartError> {
    let _lock = lock_dir(dir)?;
    let disk = FileDisk::open(dir).map_err(|error| StartError(error.to_string()))?;
    crate::recover::alone::<Live>(&disk, &dir.join(LEDGER_DIR), me, uuid::Uuid::new_v4().as_u128())
}
