//! A snapshot on its way from one real member to another is cut off at any part: it is begun again, the member catches up
//! by it, and nothing is left of what had come.
//!
//! The members share a runtime, whose time passes as fast as nothing is left to do, and a network that carries out what a
//! test says.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeFrom;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use holdfast_model::{Seq, UtcMillis};
use holdfast_replica::ledger::SledPlace;
use holdfast_replica::log::Limits;
use holdfast_replica::{Member, Options, Parts, Replica, Timing};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::*;

const TIMING: Timing = Timing { heartbeat_ms: 50, election_min_ms: 200, election_max_ms: 400 };

/// Longer than anything takes that is waited for here, even when calls for the last part are given up before.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Rows of a state that travels in several parts,
const ROWS: u64 = 30_000;
/// whose items have names of so many characters.
const NAME: usize = 60;

/// Members on disks in memory, wired together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Wired;

impl Host for Wired {
    type Runtime = TokioRuntime;
    type Disk = MemoryDisk;
    type Network = Wires;
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy)]
enum Cut {
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
struct Exchange {
    members: BTreeMap<String, Replica<Wired>>,
    /// Addresses that nobody reaches, and from which nobody is reached.
    away: BTreeSet<String>,
    /// Large messages since the last cut was made, and which of them it is for.
    large: u64,
    cut: Option<(RangeFrom<u64>, Cut, u64)>,
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
struct Wires {
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
            if exchange.away.contains(address) || exchange.away.contains(&self.me) {
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
struct Three {
    exchange: Arc<Mutex<Exchange>>,
    members: Vec<Replica<Wired>>,
    disks: Vec<MemoryDisk>,
    rows: u64,
    _dir: TempDir,
}

fn member(id: u64) -> Member {
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
async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

impl Three {
    async fn start() -> Self {
        let (dir, exchange) = (TempDir::new().unwrap(), Arc::<Mutex<Exchange>>::default());
        let disks: Vec<MemoryDisk> = (0..3).map(|_| MemoryDisk::default()).collect();
        let mut members = Vec::new();
        for (id, disk) in (1..).zip(&disks) {
            members.push(start(id, disk, dir.path(), &exchange).await);
        }
        let mut three = Self { exchange, members, disks, rows: 0, _dir: dir };
        three.write(ROWS).await;
        three
    }

    fn exchange(&self) -> std::sync::MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap()
    }

    fn is_away(&self, index: usize) -> bool {
        self.exchange().away.contains(&member(index as u64 + 1).peer)
    }

    /// The one who leads those that are there.
    async fn leader(&self) -> usize {
        let find = || (0..3).find(|&index| !self.is_away(index) && self.members[index].leads());
        until("somebody leads", || find().is_some()).await;
        find().unwrap()
    }

    /// Makes so many rows.
    async fn write(&mut self, count: u64) {
        let leader = self.members[self.leader().await].clone();
        let requests: Vec<Request> = (self.rows..self.rows + count).map(long_named).collect();
        for some in requests.chunks(5000) {
            let submitted = leader.submit(some, PATIENCE).await.unwrap();
            assert!(submitted.replies.iter().all(|reply| reply.result.is_ok()));
        }
        self.rows += count;
    }

    /// A follower misses so much that the others have cut it from their logs.
    async fn leave_one_behind(&mut self) -> usize {
        let leader = self.leader().await;
        let behind = (leader + 1) % 3;
        self.exchange().away.insert(member(behind as u64 + 1).peer);
        let others: Vec<Replica<Wired>> =
            (0..3).filter(|&index| index != behind).map(|index| self.members[index].clone()).collect();
        for _ in 0..2 {
            self.write(1).await;
            for other in &others {
                until("the others have it", || other.applied_seq().0 == self.rows).await;
                other.snapshot(PATIENCE).await.unwrap();
            }
        }
        let last = self.members[behind].status().last_log_index;
        until("their logs are cut", || others.iter().all(|other| other.status().purged_index > last)).await;
        behind
    }

    /// Lets it come back, to be sent a snapshot of which the messages from `from` on are cut, so many times.
    fn come_back(&self, behind: usize, from: u64, cut: Cut, times: u64) {
        let mut exchange = self.exchange();
        exchange.large = 0;
        exchange.cut = Some((from.., cut, times));
        exchange.away.remove(&member(behind as u64 + 1).peer);
    }

    /// It has everything, by a snapshot, and nothing is left of what was cut off.
    async fn has_caught_up(&self, behind: usize) {
        let member = &self.members[behind];
        until("it has caught up", || member.applied_seq().0 == self.rows).await;
        let leader = &self.members[self.leader().await];
        assert!(member.status().snapshot_index >= leader.status().purged_index, "it was sent no snapshot");
        assert_eq!(member.status().digest, leader.status().digest);
        assert_eq!(partial(&self.disks[behind]), [""; 0]);
        until("its ledger is whole", || {
            member.movements(Seq(0), usize::MAX).is_ok_and(|records| records.len() as u64 == self.rows)
        })
        .await;
    }
}

fn long_named(number: u64) -> Request {
    let item = ItemId::new(format!("{number:0>NAME$}")).unwrap();
    let command = Command::CreateSku { store: StoreId::new("S1").unwrap(), item, opening: number };
    Request { command, key: None, actor: None }
}

fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(life)
}

/// How many parts the last snapshot has.
fn parts(three: &Three, of: usize) -> u64 {
    three.members[of].status().snapshot_size_bytes.div_ceil(1 << 20)
}

/// Each part of a snapshot is cut off once, and then the first one of the next attempt as well.
fn cut_off_everywhere(cut: Cut) {
    live(async {
        let mut three = Three::start().await;
        let mut at = 1;
        loop {
            let behind = three.leave_one_behind().await;
            let parts = parts(&three, three.leader().await);
            assert!(parts > 2, "{parts} parts");
            three.come_back(behind, at, cut, 2);
            three.has_caught_up(behind).await;
            // Once it has all, its answer does not matter any more.
            let is_enough = matches!(cut, Cut::Answer) && at == parts;
            let is_again = three.exchange().large >= at + parts;
            assert!(is_again || is_enough, "{cut:?} at {at} of {parts}: nothing was sent again");
            if at == parts {
                break;
            }
            at += 1;
        }
    });
}

#[test]
fn one_of_which_any_part_does_not_arrive_is_begun_again() {
    cut_off_everywhere(Cut::Request);
}

#[test]
fn one_of_which_any_answer_does_not_arrive_is_begun_again() {
    cut_off_everywhere(Cut::Answer);
}

#[test]
fn one_of_which_any_part_is_lost_in_silence_is_begun_again() {
    cut_off_everywhere(Cut::Silence);
}

#[test]
fn one_whose_sender_is_gone_comes_from_the_next_leader() {
    live(async {
        let mut three = Three::start().await;
        for at in 1..=3 {
            let behind = three.leave_one_behind().await;
            let sender = three.leader().await;
            three.come_back(behind, at, Cut::Sender, 1);
            until("the sender is cut off", || three.is_away(sender)).await;
            three.write(1).await;
            assert_ne!(three.leader().await, sender);
            three.has_caught_up(behind).await;
            three.exchange().away.clear();
            let sender = three.members[sender].clone();
            until("all have everything", || sender.applied_seq().0 == three.rows).await;
        }
    });
}

#[test]
fn one_that_stops_coming_is_given_up_and_takes_no_room() {
    live(async {
        let mut three = Three::start().await;
        let behind = three.leave_one_behind().await;
        three.come_back(behind, 2, Cut::Silence, u64::MAX);
        let disk = three.disks[behind].clone();
        until("a part has come", || !partial(&disk).is_empty()).await;
        sleep(TIMING.bulk_timeout()).await;
        assert_eq!(partial(&disk).len(), 1, "its sender may still wait for an answer");
        sleep(TIMING.part_patience() - TIMING.bulk_timeout() + Duration::from_secs(1)).await;
        assert_eq!(partial(&disk), [""; 0]);
        three.come_back(behind, 1, Cut::Silence, 0);
        three.has_caught_up(behind).await;
    });
}
