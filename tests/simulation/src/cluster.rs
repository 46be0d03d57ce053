//! The machines of a simulated cluster, and the processes on them: started, killed, and looked at.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use holdfast_model::{Request, UtcMillis};
use holdfast_node::FeedOptions;
use holdfast_node::feed::Feed;
use holdfast_replica::disk::Disk as _;
use holdfast_replica::log::Limits;
use holdfast_replica::{Member, NodeId, Options, Parts, Replica, StartError, SubmitError, Submitted, Timing};
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;

use crate::coverage::Fault;
use crate::disk::{Ills, Machine, SimDisk};
use crate::host::SimHost;
use crate::ledger::{LedgerDisk, LedgerPlace};
use crate::memory_disk::Crash;
use crate::network::{Net, SimNetwork};
use crate::oracle::Oracle;
use crate::process::{Process, sim_nanos};
use crate::world::World;

/// The time by the wall when a simulation begins, in milliseconds.
const BEGINNING: i64 = 1_700_000_000_000;

/// Limits of a member's feed.
const FEED: FeedOptions = FeedOptions { max_readers: 100, stall: Duration::from_secs(30) };

/// Sizes that decide how often snapshots are taken and segments change.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Members at the beginning.
    pub members: u64,
    /// See [`Options::snapshot_min_log_bytes`].
    pub snapshot_min_log_bytes: u64,
    /// See [`Limits`].
    pub log: Limits,
    /// See [`Options::max_queue`].
    pub max_queue: usize,
}

/// A machine and what runs on it.
struct Slot {
    id: NodeId,
    /// It was given its number by the list that founded the cluster.
    is_founder: bool,
    machine: Machine,
    ledger: LedgerDisk,
    wall_offset_ms: Arc<AtomicI64>,
    drift_ppm: i64,
    life: Option<Life>,
    /// Why the last process did not start, or stopped by itself.
    said: Option<String>,
    role: String,
}

struct Life {
    process: Arc<Process>,
    replica: Option<Replica<SimHost>>,
    feed: Option<Feed<SimHost>>,
}

/// How a machine stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing runs there.
    Down,
    /// Nothing runs there, since a member said so.
    Stopped(String),
    /// A member runs there, or begins to.
    Up,
}

/// A cluster. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    world: World,
    oracle: Oracle,
    net: Net,
    sizes: Sizes,
    slots: Mutex<Vec<Slot>>,
    processes: AtomicU64,
    ids: AtomicU64,
}

/// How members are reached.
fn member(id: NodeId) -> Member {
    Member { id, peer: format!("n{id}:peer"), http: format!("n{id}:http") }
}

impl Cluster {
    /// Machines on which nothing runs yet.
    pub fn new(world: World, oracle: Oracle, net: Net, sizes: Sizes) -> Self {
        let slot = |id| Slot {
            id,
            is_founder: true,
            machine: Machine::default(),
            ledger: LedgerDisk::default(),
            wall_offset_ms: Arc::default(),
            drift_ppm: 0,
            life: None,
            said: None,
            role: "Waiting".to_owned(),
        };
        let slots = Mutex::new((1..=sizes.members).map(slot).collect());
        let (processes, ids) = (AtomicU64::new(1), AtomicU64::new(sizes.members + 1));
        Self(Arc::new(Inner { world, oracle, net, sizes, slots, processes, ids }))
    }

    /// How many machines there are.
    pub fn len(&self) -> usize {
        self.0.slots.lock().len()
    }

    /// The number of the member on a machine.
    pub fn id(&self, place: usize) -> NodeId {
        self.0.slots.lock()[place].id
    }

    /// The numbers of the members on all machines.
    pub fn ids(&self) -> Vec<NodeId> {
        self.0.slots.lock().iter().map(|slot| slot.id).collect()
    }

    /// How a machine stands.
    pub fn standing(&self, place: usize) -> Standing {
        let slots = self.0.slots.lock();
        let slot = &slots[place];
        match (&slot.life, &slot.said) {
            (Some(life), _) if life.process.is_alive() => Standing::Up,
            (_, Some(said)) => Standing::Stopped(said.clone()),
            _ => Standing::Down,
        }
    }

    /// The member that runs on a machine, once it is up.
    pub fn replica(&self, place: usize) -> Option<(Arc<Process>, Replica<SimHost>)> {
        let slots = self.0.slots.lock();
        let life = slots[place].life.as_ref().filter(|life| life.process.is_alive())?;
        Some((life.process.clone(), life.replica.clone()?))
    }

    /// The feed of the member that runs on a machine, once it is up.
    pub fn feed(&self, place: usize) -> Option<(Arc<Process>, Feed<SimHost>)> {
        let slots = self.0.slots.lock();
        let life = slots[place].life.as_ref().filter(|life| life.process.is_alive())?;
        Some((life.process.clone(), life.feed.clone()?))
    }

    /// The machine of the member that leads, as far as it knows itself.
    pub fn leader(&self) -> Option<usize> {
        let leads = |place: &usize| {
            self.replica(*place).is_some_and(|(process, replica)| !process.is_paused() && replica.leads())
        };
        (0..self.len()).find(leads)
    }

    /// Starts a process on a machine where none runs.
    pub fn start(&self, place: usize) {
        if self.standing(place) == Standing::Up {
            return;
        }
        let number = self.0.processes.fetch_add(1, Ordering::Relaxed);
        let world = self.0.world.clone();
        let (options, parts, process) = {
            let mut slots = self.0.slots.lock();
            let ids: Vec<NodeId> = slots.iter().map(|slot| slot.id).collect();
            let slot = &mut slots[place];
            slot.said = None;
            let process = Process::new(number, slot.drift_ppm);
            slot.life = Some(Life { process: process.clone(), replica: None, feed: None });
            let parts = self.parts(slot, &process);
            (self.options(slot, &ids), parts, process)
        };
        let id = options.me.id;
        world.trace(&[id, number], || format!("n{id} starts as p{number}"));
        let started = process.spawn(Replica::<SimHost>::start_on(options, parts));
        let (cluster, of) = (self.clone(), process);
        drop(SimRuntime::spawn(async move {
            match started.await {
                Ok(Some(started)) => cluster.started(place, &of, started).await,
                Ok(None) => {}
                Err(error) => cluster.0.world.report("panic", error.to_string()),
            }
        }));
    }

    fn options(&self, slot: &Slot, ids: &[NodeId]) -> Options {
        let founders =
            if slot.is_founder { (1..=self.0.sizes.members).map(member).collect() } else { Vec::new() };
        let others = ids.iter().filter(|id| **id != slot.id).map(|id| member(*id).peer);
        Options {
            me: member(slot.id),
            dir: "/nonexistent".into(),
            cluster: founders,
            join: if slot.is_founder { Vec::new() } else { others.collect() },
            timing: Timing { heartbeat_ms: 50, election_min_ms: 200, election_max_ms: 400 },
            max_queue: self.0.sizes.max_queue,
            max_entry_commands: 8,
            snapshot_min_log_bytes: self.0.sizes.snapshot_min_log_bytes,
        }
    }

    fn parts(&self, slot: &Slot, process: &Arc<Process>) -> Parts<SimHost> {
        let (world, offset) = (self.0.world.clone(), slot.wall_offset_ms.clone());
        let wall = move || {
            let millis = i64::try_from(sim_nanos() / 1_000_000).unwrap_or(i64::MAX);
            UtcMillis(BEGINNING + millis + offset.load(Ordering::Relaxed))
        };
        Parts {
            disk: SimDisk::new(slot.machine.clone(), process.clone(), world.clone()),
            ledger: Arc::new(LedgerPlace { disk: slot.ledger.clone(), process: process.clone() }),
            log_limits: self.0.sizes.log,
            network: SimNetwork { net: self.0.net.clone(), me: slot.id },
            wall: Arc::new(wall),
            random: Arc::new(move || world.draw(|rng| rng.u128(1..))),
            witness: Some(self.0.oracle.eyes(slot.id)),
        }
    }

    /// A process has come up, or has said why not. Then it is watched until it ends.
    async fn started(
        &self,
        place: usize,
        process: &Arc<Process>,
        started: Result<Replica<SimHost>, StartError>,
    ) {
        let id = self.id(place);
        let said = match started {
            Ok(replica) => {
                if let Some(life) = self.0.slots.lock()[place]
                    .life
                    .as_mut()
                    .filter(|life| life.process.number == process.number)
                {
                    life.replica = Some(replica.clone());
                    life.feed = Some(Feed::new(replica.clone(), FEED));
                }
                self.0.net.open(&member(id).peer, id, process.clone(), replica.clone());
                let stopped = process.spawn(async move { replica.stopped().await }).await;
                match stopped {
                    Ok(Some(said)) => said,
                    _ => return,
                }
            }
            Err(error) => error.to_string(),
        };
        self.0.world.trace(&[id], || format!("n{id} stops: {said}"));
        let mut slots = self.0.slots.lock();
        let slot = &mut slots[place];
        if slot.life.as_ref().is_some_and(|life| life.process.number == process.number) {
            slot.said = Some(said);
            drop(slots);
            self.kill(place);
        }
    }

    /// Ends the process on a machine; what it wrote is still in the machine's cache.
    pub fn kill(&self, place: usize) {
        let mut slots = self.0.slots.lock();
        let slot = &mut slots[place];
        let life = slot.life.take();
        let (id, kept) = (slot.id, self.0.world.draw(|rng| rng.u8(..)));
        if let Some(life) = &life {
            slot.ledger.crash(kept);
            slot.machine.files.revive();
            *slot.machine.ills.lock() = Ills::default();
            life.process.kill();
            if let Some(panic) = life.process.panic() {
                self.0.world.report("panic", panic);
            }
        }
        drop(slots);
        self.0.net.close(&member(id).peer);
        drop(life);
    }

    /// The power of a machine goes.
    pub fn power_loss(&self, place: usize, crash: Crash) {
        self.kill(place);
        let world = &self.0.world;
        world.fault(Fault::UnsyncedLost);
        if crash.kept > 0 {
            world.fault(Fault::TornTail);
        }
        if crash.zeros {
            world.fault(Fault::ZeroedTail);
        }
        self.0.slots.lock()[place].machine.files.crash(crash);
    }

    /// Takes note of a process that the power has left by itself, in the middle of a step.
    pub fn reap(&self, place: usize) {
        let is_dead = {
            let slots = self.0.slots.lock();
            slots[place].life.as_ref().is_some_and(|life| !life.process.is_alive())
        };
        if is_dead {
            self.kill(place);
        }
    }

    /// Changes what is wrong with a machine's disk.
    pub fn ail(&self, place: usize, change: impl FnOnce(&mut Ills)) {
        change(&mut self.0.slots.lock()[place].machine.ills.lock());
    }

    /// A machine's disk and ledger.
    pub fn disks(&self, place: usize) -> (Machine, LedgerDisk) {
        let slots = self.0.slots.lock();
        (slots[place].machine.clone(), slots[place].ledger.clone())
    }

    /// Sets how fast a machine's steady clock goes, from the next process on.
    pub fn set_drift(&self, place: usize, ppm: i64) {
        self.0.slots.lock()[place].drift_ppm = ppm;
    }

    /// Moves a machine's wall clock.
    pub fn set_wall_offset(&self, place: usize, offset_ms: i64) {
        self.0.slots.lock()[place].wall_offset_ms.store(offset_ms, Ordering::Relaxed);
    }

    /// Empties a machine on which nothing runs; a new member is on it afterwards when `is_renamed`.
    pub fn wipe(&self, place: usize, is_renamed: bool) -> NodeId {
        let mut slots = self.0.slots.lock();
        let slot = &mut slots[place];
        slot.machine = Machine::default();
        slot.ledger.wipe();
        slot.said = None;
        slot.role = "Waiting".to_owned();
        if is_renamed {
            slot.id = self.0.ids.fetch_add(1, Ordering::Relaxed);
            slot.is_founder = false;
        }
        slot.id
    }

    /// Has the member on a machine propose requests, as a caller who is beside it.
    pub async fn submit(
        &self,
        place: usize,
        requests: Vec<Request>,
        patience: Duration,
    ) -> Result<Submitted, SubmitError> {
        let Some((process, replica)) = self.replica(place) else {
            return Err(SubmitError::Stopped("nothing runs there".to_owned()));
        };
        let submitted = process.spawn(async move { replica.submit(&requests, patience).await });
        match SimRuntime::timeout(patience + Duration::from_secs(1), submitted).await {
            Ok(Ok(Some(submitted))) => submitted,
            _ => Err(SubmitError::OutcomeUnknown),
        }
    }

    /// Does something with the member on a machine; none when it does not run, or ends meanwhile, or takes too long.
    pub async fn with<T, F>(
        &self,
        place: usize,
        patience: Duration,
        work: impl FnOnce(Replica<SimHost>) -> F,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let (process, replica) = self.replica(place)?;
        let task = process.spawn(work(replica));
        SimRuntime::timeout(patience, task).await.ok()?.ok()?
    }

    /// Looks what every member does, for as long as the simulation runs.
    pub async fn watch_roles(self) {
        loop {
            World::sleep(Duration::from_millis(20)).await;
            for place in 0..self.len() {
                self.reap(place);
                let role = match self.replica(place) {
                    Some((process, replica)) if !process.is_paused() => {
                        format!("{:?}", replica.status().role)
                    }
                    Some(_) => continue,
                    None => "Stopped".to_owned(),
                };
                let mut slots = self.0.slots.lock();
                let before = std::mem::replace(&mut slots[place].role, role.clone());
                drop(slots);
                if before != role {
                    let change = format!("{before}>{role}");
                    self.0.world.trace(&[place as u64], || format!("machine {place} {change}"));
                    self.0.world.cover(|coverage| *coverage.roles.entry(change).or_default() += 1);
                }
            }
        }
    }

    /// Whether a machine has a file whose name begins so.
    pub fn has_file(&self, place: usize, prefix: &str) -> bool {
        let (machine, _) = self.disks(place);
        machine.files.list().is_ok_and(|names| names.iter().any(|name| name.starts_with(prefix)))
    }
}
