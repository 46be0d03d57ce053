//! How a replica comes up: opens the directory, recovers, joins the others, and sets its tasks going.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_model::{ClusterTime, Inventory};
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::{AsyncRuntime, Raft, SnapshotPolicy};
use parking_lot::Mutex;

use crate::clock::Clock;
use crate::disk::Disk;
use crate::founding;
use crate::identity::Identity;
use crate::ledger::{Ledger, Place};
use crate::log::{Limits, Log};
use crate::machine::Machine;
use crate::peers::{self, Peers};
use crate::proposer::{Proposer, WallClock};
use crate::queue::Queue;
use crate::reads::ReadRounds;
use crate::rebuild;
use crate::replica::{Inner, Replica};
use crate::service::{self, Service};
use crate::snapshot::Snapshots;
use crate::state::{At, State, Witness};
use crate::stop::Stop;
use crate::types::{ClusterId, Host, Peer};
use crate::{Options, StartError};

/// Between two looks at whether the log has outgrown the last snapshot, and at what else runs in the background.
const HOUSEKEEPING: Duration = Duration::from_millis(200);

/// Makes random 128-bit numbers, for the ids of clusters and directories.
pub type Random = Arc<dyn Fn() -> u128 + Send + Sync>;

/// What a host gives to a replica.
pub struct Parts<H: Host> {
    /// The data directory.
    pub disk: H::Disk,
    /// Where the ledger's database is kept.
    pub ledger: Arc<dyn Place>,
    /// Sizes that the log keeps to.
    pub log_limits: Limits,
    /// Calls to peers.
    pub network: H::Network,
    /// The wall clock.
    pub wall: WallClock,
    /// Randomness for ids.
    pub random: Random,
    /// Sees what is applied; nobody does in production.
    pub witness: Option<Arc<dyn Witness>>,
}

/// What a replica keeps on disk.
pub(crate) struct Files<H: Host> {
    pub disk: H::Disk,
    pub identity: Arc<Identity<H::Disk>>,
    pub snapshots: Arc<Snapshots<H::Disk>>,
    pub log: Log<H>,
}

impl<H: Host> Replica<H> {
    /// Recovers from the files of `parts` and takes part. The caller answers peers' messages with
    /// [`Replica::answer_peer`].
    ///
    /// # Errors
    /// When the files do not allow it: one line that says what to do.
    pub async fn start_on(options: Options, parts: Parts<H>) -> Result<Self, StartError> {
        let disk = parts.disk.clone();
        let identity = Identity::open_or_create(disk.clone(), options.me.id, (parts.random)())
            .map_err(|error| StartError(error.to_string()))?;
        let me = Peer { member: options.me.clone(), incarnation: identity.incarnation() };
        let recovered = recover::<H>(&disk, &*parts.ledger, parts.log_limits, parts.witness)?;
        let identity = Arc::new(identity);
        let stop = Arc::new(Stop::default());
        let queue = Arc::new(Queue::new(options.max_queue));
        let clock = Arc::new(Clock::starting_at(recovered.now));
        let state = recovered.state;
        let snapshots = recovered.snapshots;
        let log = recovered.log;
        let peers = Peers::new(peers::Inner {
            network: parts.network.clone(),
            disk: disk.clone(),
            identity: identity.clone(),
            me: me.clone(),
            state: state.clone(),
            snapshots: snapshots.clone(),
            stop: stop.clone(),
            bulk_timeout: options.timing.bulk_timeout(),
            refusals: Mutex::default(),
        });
        let machine = Machine {
            state: state.clone(),
            clock: clock.clone(),
            snapshots: snapshots.clone(),
            disk: disk.clone(),
            #[cfg(feature = "planted-bugs")]
            wall: parts.wall.clone(),
        };
        let config = config(&options)?;
        let raft = Raft::build(options.me.id, config, peers.clone(), log.clone(), machine)
            .await
            .map_err(|error| StartError(format!("the replica cannot start: {error}")))?;
        let suspect = Arc::new(AtomicBool::new(recovered.suspect));
        if recovered.suspect {
            raft.runtime_config().elect(false);
        }
        raft.run();
        let service = Service::new(service::Inner {
            raft: raft.clone(),
            me,
            identity: identity.clone(),
            founders: options.cluster.clone(),
            state: state.clone(),
            snapshots: snapshots.clone(),
            disk: disk.clone(),
            suspect: suspect.clone(),
            stop: stop.clone(),
            part_patience: options.timing.part_patience(),
            incoming: Mutex::default(),
        });
        let proposer = Proposer {
            raft: raft.clone(),
            queue: queue.clone(),
            state: state.clone(),
            clock: clock.clone(),
            wall: parts.wall,
            max_entry_commands: options.max_entry_commands,
        };
        let reads = Arc::new(ReadRounds::default());
        let files = Files { disk, identity, snapshots, log };
        let replica = Self(Arc::new(Inner { raft, peers, service, state, queue, clock, reads, stop, files }));
        replica.set_going(options, proposer, suspect, parts.random);
        Ok(replica)
    }

    /// The answer to a peer's message.
    pub async fn answer_peer(&self, message: bytes::Bytes) -> bytes::Bytes {
        self.0.service.clone().answer(message).await
    }

    fn set_going(&self, options: Options, proposer: Proposer<H>, suspect: Arc<AtomicBool>, random: Random) {
        let inner = &self.0;
        detach::<H>(proposer.run());
        detach::<H>(inner.reads.clone().run::<H>(inner.raft.clone(), inner.peers.clone()));
        detach::<H>(watch_for_end(self.clone()));
        detach::<H>(keep_house(self.clone(), options.snapshot_min_log_bytes));
        detach::<H>(rebuild::run(self.clone()));
        if suspect.load(Ordering::Acquire) {
            detach::<H>(clear_suspicion(self.clone(), suspect));
        }
        detach::<H>(find_cluster(self.clone(), options, random));
    }
}

/// Sets a task going that ends by itself.
fn detach<H: Host>(task: impl Future<Output = ()> + Send + 'static) {
    drop(H::Runtime::spawn(task));
}

struct Recovered<H: Host> {
    state: Arc<State>,
    snapshots: Arc<Snapshots<H::Disk>>,
    log: Log<H>,
    now: ClusterTime,
    suspect: bool,
}

/// Loads the newest snapshot that is whole, and opens what comes after it.
fn recover<H: Host>(
    disk: &H::Disk,
    ledger: &dyn Place,
    limits: Limits,
    witness: Option<Arc<dyn Witness>>,
) -> Result<Recovered<H>, StartError> {
    let fail = |error: std::io::Error| StartError(error.to_string());
    let snapshots = Snapshots::open(disk.clone()).map_err(fail)?;
    let loaded = snapshots.load_newest().map_err(fail)?;
    let log = Log::<H>::open_with(disk.clone(), limits).map_err(fail)?;
    let (inventory, last, membership) = match loaded {
        Some((head, inventory)) => (inventory, head.last, head.membership),
        None => (Inventory::new(), None, crate::types::MembershipRecord::default()),
    };
    let purged = log.last_purged();
    if purged > last {
        return Err(StartError(format!(
            "the log starts after entry {}, and no whole snapshot reaches that far: this member cannot recover by itself; \
             start it with an empty directory, a new id and --join",
            purged.map_or(0, |id| id.index)
        )));
    }
    let (seq, start) = (inventory.last_seq(), inventory.ledger_start());
    let (ledger, set_aside) = Ledger::open_at(ledger).map_err(|error| StartError(error.to_string()))?;
    if let Some(aside) = set_aside {
        tracing::warn!(%aside, "the ledger would not open; it is set aside and rebuilt from the other members");
    }
    ledger.note_snapshot(seq, start).map_err(|error| StartError(error.to_string()))?;
    let now = inventory.now();
    let suspect = log.is_suspect().map_err(fail)?;
    if suspect {
        tracing::error!(
            "a part of the log is damaged and may have been acknowledged: this member does not vote until it has caught up"
        );
    }
    let state = Arc::new(State::new(At { inventory, last, membership }, ledger, witness));
    Ok(Recovered { state, snapshots: Arc::new(snapshots), log, now, suspect })
}

fn config(options: &Options) -> Result<Arc<openraft::Config>, StartError> {
    let timing = &options.timing;
    let config = openraft::Config {
        cluster_name: "holdfast".to_owned(),
        heartbeat_interval: timing.heartbeat_ms,
        election_timeout_min: timing.election_min_ms,
        election_timeout_max: timing.election_max_ms,
        enable_pre_vote: Some(true),
        // Snapshots are taken by the size of the log, and the log is cut to the older of the two that are kept.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        // A follower that is behind gets entries for as long as the log has them.
        replication_lag_threshold: u64::MAX,
        max_payload_entries: 64,
        // A member that lost a part of its log says so, and does not vote until it has caught up; one that was wiped
        // is refused. So a follower's log that is shorter than it was is no reason to stop.
        allow_log_reversion: Some(true),
        // A leader sends entries before they are durable here. When it comes back with a shorter log, after damage or a
        // loss of power, and led on in the same term, it would write other entries under indices that its followers have
        // in that term already, and nobody would ever notice that they differ. Nor does it know how far its term was
        // committed: it would answer reads from before what it acknowledged. So it stands for election, in a new term.
        #[cfg(not(feature = "planted-bugs"))]
        enable_leader_restore: Some(false),
        #[cfg(feature = "planted-bugs")]
        enable_leader_restore: Some(holdfast_model::planted::is(
            holdfast_model::planted::Bug::LeaderRestored,
        )),
        ..openraft::Config::default()
    };
    config
        .validate()
        .map(Arc::new)
        .map_err(|error| StartError(format!("the protocol durations do not fit: {error}")))
}

/// Tells why, when the consensus library ends by itself.
async fn watch_for_end<H: Host>(replica: Replica<H>) {
    let mut metrics = replica.0.raft.metrics();
    loop {
        let state = metrics.borrow_watched().running_state.clone();
        if let Err(fatal) = state {
            // The library says at length what it was doing; what went wrong there is what an operator acts on.
            let cause = fatal.source().map_or_else(|| fatal.to_string(), ToString::to_string);
            replica.0.stop.halt(cause);
            return;
        }
        if metrics.changed().await.is_err() {
            replica.0.stop.halt("the replica has ended".to_owned());
            return;
        }
    }
}

/// Takes a snapshot when the log since the last one has outgrown it, and cuts the log behind the older of the two.
async fn keep_house<H: Host>(replica: Replica<H>, min_log_bytes: u64) {
    let inner = &replica.0;
    while inner.stop.reason().is_none() {
        H::Runtime::sleep(HOUSEKEEPING).await;
        inner.service.drop_stale_incoming().await;
        let newest = inner.files.snapshots.newest();
        let outgrown = newest.map_or(0, |file| file.size_bytes).max(min_log_bytes);
        if inner.state.log_bytes_since_snapshot() > outgrown && inner.raft.trigger().snapshot().await.is_err()
        {
            return;
        }
        let floor = inner.files.snapshots.purge_floor();
        if let Some(floor) = floor.filter(|floor| Some(*floor) > inner.files.log.last_purged())
            && inner.raft.trigger().purge_log(floor.index).await.is_err()
        {
            return;
        }
    }
}

/// Lets a member vote again once it has applied everything that was committed when it came back.
async fn clear_suspicion<H: Host>(replica: Replica<H>, suspect: Arc<AtomicBool>) {
    let inner = &replica.0;
    while inner.stop.reason().is_none() {
        if replica.read_barrier(Duration::from_secs(5)).await.is_err() {
            continue;
        }
        let log = inner.files.log.clone();
        match inner.files.disk.run(move || log.clear_suspect()).await {
            Ok(()) => {
                suspect.store(false, Ordering::Release);
                inner.raft.runtime_config().elect(true);
                tracing::info!("this member has caught up past the damage and votes again");
            }
            Err(error) => inner.stop.halt(error.to_string()),
        }
        return;
    }
}

/// Founds or joins a cluster when this member has none.
async fn find_cluster<H: Host>(replica: Replica<H>, options: Options, random: Random) {
    let outcome = if options.join.is_empty() {
        found_with_peers(&replica, &options, &random).await
    } else {
        let me = options.me.id;
        let is_voter = || replica.0.state.look(|at| at.membership.voters.iter().any(|set| set.contains(&me)));
        founding::join(&replica.0.peers, &options.join, is_voter).await
    };
    if let Err(reason) = outcome {
        replica.0.stop.halt(reason);
        let _ = replica.0.raft.shutdown().await;
    }
}

async fn found_with_peers<H: Host>(
    replica: &Replica<H>,
    options: &Options,
    random: &Random,
) -> Result<(), String> {
    let inner = &replica.0;
    let initialized = inner.raft.is_initialized().await.map_err(|error| error.to_string())?;
    if initialized {
        return Ok(());
    }
    if options.cluster.is_empty() {
        tracing::info!(
            "this member has no cluster and was told of none: it waits to be added by the leader of one"
        );
        return Ok(());
    }
    let is_founder = options.cluster[0].id == options.me.id;
    let taken = || !is_founder && inner.files.identity.cluster().is_some();
    let Some(members) = founding::await_founders(&inner.peers, &options.cluster, taken).await? else {
        return Ok(());
    };
    if inner.files.identity.cluster().is_none() {
        let (identity, cluster) = (inner.files.identity.clone(), ClusterId(random()));
        inner.files.disk.run(move || identity.found(cluster)).await.map_err(|error| error.to_string())?;
        tracing::info!(%cluster, "founded a cluster");
    }
    founding::found(&inner.raft, members).await
}
