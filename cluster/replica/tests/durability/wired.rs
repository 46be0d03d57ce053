//! Members that are wired together: they share a runtime, whose time passes as fast as nothing is left to do, and a network
//! that carries out what a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeFrom;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use holdfast_model::{Command, ItemId, Request, StoreId, UtcMillis};
use holdfast_replica::ledger::SledPlace;
use holdfast_replica::log::Limits;
use holdfast_replica::{Member, Options, Parts, Replica, Timing};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{Bytes, Channel, Duration, Host, MemoryDisk, Network, TokioRuntime, io};

/// Short elections.
pub const TIMING: Timing = Timing { heartbeat_ms: 50, election_min_ms: 200, election_max_ms: 400 };

/// Longer than anything takes that is waited for here, even when calls for the last part are given up before.
pub const PATIENCE: Duration = Duration::from_secs(3600);

/// Items have names of so many characters.
const NAME: usize = 60;

/// Members on disks in memory, wired together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wired;

impl Host for Wired {
    type Runtime = TokioRuntime;
    type Disk = MemoryDisk;
    type Network = Wires;
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// It does not arrive, and its sender is told so.
    Request,
    /// It arrives, and its answer does not.
    Answer,
    /// It does not arrive, and nobody is told.
    Silence,
    /// Its sender is cut off from everybody.
    Sender,
}

/// What lies between the members.
#[derive(Default)]
pub struct Exchange {
    /// Who is there, by address.
    pub members: BTreeMap<String, Replica<Wired>>,
    /// Addresses that nobody reaches, and from which nobody is reached.
    pub away: BTreeSet<String>,
    /// Log entries do not arrive anywhere; all else does.
    pub holds_entries_back: bool,
    /// Large messages since the last cut was made,
    pub large: u64,
    /// from which of them on it is made, and how often.
    pub cut: Option<(RangeFrom<u64>, Cut, u64)>,
}

impl Exchange {
    /// The cut that is meant for the next large message.
    fn next_cut(&mut self) -> Option<Cut> {
        self.large += 1;
        let (from, cut, times) = self.cut.as_mut()?;
        if !from.contains(&self.large) || *times == 0 {
            return None;
        }
        *times -= 1;
        Some(*cut)
    }
}

/// A member's end of the wires.
#[derive(Clone)]
pub struct Wires {
    me: String,
    exchange: Arc<Mutex<Exchange>>,
}

impl Network for Wires {
    async fn call(
        &self,
        address: &str,
        channel: Channel,
        request: Bytes,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let gone = || io::Error::from(io::ErrorKind::ConnectionReset);
        let (peer, cut) = {
            let mut exchange = self.exchange.lock().unwrap();
            let is_held_back = exchange.holds_entries_back && channel == Channel::Entries;
            if is_held_back || exchange.away.contains(address) || exchange.away.contains(&self.me) {
                return Err(gone());
            }
            let peer = exchange.members.get(address).cloned().ok_or_else(gone)?;
            let cut = if channel == Channel::Bulk { exchange.next_cut() } else { None };
            if matches!(cut, Some(Cut::Sender)) {
                exchange.away.insert(self.me.clone());
            }
            (peer, cut)
        };
        match cut {
            Some(Cut::Request | Cut::Sender) => return Err(gone()),
            Some(Cut::Silence) => sleep(patience).await,
            None | Some(Cut::Answer) => {
                if let Ok(answer) = timeout(patience, peer.answer_peer(request)).await {
                    return if cut.is_none() { Ok(answer) } else { Err(gone()) };
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// Three members.
pub struct Three {
    exchange: Arc<Mutex<Exchange>>,
    pub members: Vec<Replica<Wired>>,
    pub disks: Vec<MemoryDisk>,
    /// Rows that were made.
    pub rows: u64,
    _dir: TempDir,
}

/// Member `id` as the others know it.
pub fn member(id: u64) -> Member {
    Member { id, peer: format!("member-{id}:1"), http: format!("member-{id}:2") }
}

async fn start(id: u64, disk: &MemoryDisk, dir: &Path, exchange: &Arc<Mutex<Exchange>>) -> Replica<Wired> {
    let me = member(id);
    let last = AtomicU64::new(0);
    let parts = Parts {
        disk: disk.clone(),
        ledger: Arc::new(SledPlace::new(&dir.join(id.to_string()))),
        log_limits: Limits::default(),
        network: Wires { me: me.peer.clone(), exchange: exchange.clone() },
        wall: Arc::new(|| UtcMillis(0)),
        random: Arc::new(move || u128::from(last.fetch_add(1, Ordering::Relaxed) * 10 + id)),
        witness: None,
    };
    let options = Options {
        cluster: (1..=3).map(member).collect(),
        me: me.clone(),
        dir: "/nonexistent".into(),
        join: Vec::new(),
        timing: TIMING,
        max_queue: 10_000,
        max_entry_commands: 10_000,
        // Snapshots are taken when the test asks for one.
        snapshot_min_log_bytes: u64::MAX,
    };
    let replica = Replica::start_on(options, parts).await.unwrap();
    exchange.lock().unwrap().members.insert(me.peer, replica.clone());
    replica
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

impl Drop for Three {
    /// The wires and the members hold each other.
    fn drop(&mut self) {
        self.exchange().members.clear();
    }
}

impl Three {
    /// Starts them on disks that have `rows` rows already.
    pub async fn start(disks: &[MemoryDisk; 3], rows: u64, exchange: Exchange) -> Self {
        let (dir, exchange) = (TempDir::new().unwrap(), Arc::new(Mutex::new(exchange)));
        let mut members = Vec::new();
        for (id, disk) in (1..).zip(disks) {
            members.push(start(id, disk, dir.path(), &exchange).await);
        }
        Self { exchange, members, disks: disks.to_vec(), rows, _dir: dir }
    }

    /// What lies between them.
    pub fn exchange(&self) -> std::sync::MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap()
    }

    /// Whether one is cut off.
    pub fn is_away(&self, index: usize) -> bool {
        self.exchange().away.contains(&member(index as u64 + 1).peer)
    }

    /// The one who leads those that are there.
    pub async fn leader(&self) -> usize {
        let find = || (0..3).find(|&index| !self.is_away(index) && self.members[index].leads());
        until("somebody leads", || find().is_some()).await;
        find().unwrap()
    }

    /// Makes so many rows.
    pub async fn write(&mut self, count: u64) {
        let leader = self.members[self.leader().await].clone();
        let requests: Vec<Request> = (self.rows..self.rows + count).map(long_named).collect();
        for some in requests.chunks(5000) {
            let submitted = leader.submit(some, PATIENCE).await.unwrap();
            assert!(submitted.replies.iter().all(|reply| reply.result.is_ok()));
        }
        self.rows += count;
    }
}

fn long_named(number: u64) -> Request {
    let item = ItemId::new(format!("{number:0>NAME$}")).unwrap();
    let command = Command::CreateSku { store: StoreId::new("S1").unwrap(), item, opening: number };
    Request { command, key: None, actor: None }
}

/// One life of members.
pub fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(life)
}
