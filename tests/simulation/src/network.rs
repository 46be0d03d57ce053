//! The network between members: messages are late, lost, repeated and overtaken, and links are cut in one direction or
//! both.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_model::codec;
use holdfast_replica::network::{Channel, Network};
use holdfast_replica::wire::{Answer, Ask, Envelope};
use holdfast_replica::{NodeId, Replica};
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::coverage::Fault;
use crate::host::SimHost;
use crate::oracle::Oracle;
use crate::process::Process;
use crate::runtime::Simulated;
use crate::world::{World, hash};

/// A lost message is noticed after this at the latest: the connection breaks.
const NOTICED_AFTER: Duration = Duration::from_secs(4);

/// How messages travel.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// Messages lost, in percent.
    pub loss: u8,
    /// Messages that come twice, in percent.
    pub replay: u8,
    /// Messages that take much longer than others, in percent.
    pub late: u8,
    /// The usual delay, in microseconds, from and to.
    pub delay_micros: (u64, u64),
}

impl Weather {
    /// A good network.
    pub const CALM: Self = Self { loss: 0, replay: 0, late: 0, delay_micros: (50, 800) };
}

/// The network. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Net(Arc<Inner>);

struct Inner {
    world: World,
    oracle: Oracle,
    state: Mutex<State>,
}

struct State {
    weather: Weather,
    doors: BTreeMap<String, Door>,
    cut: BTreeSet<(NodeId, NodeId)>,
    slow: BTreeSet<(NodeId, NodeId)>,
    /// Parts of snapshots are lost more often than other messages.
    are_snapshots_cut: bool,
}

/// A member that listens.
#[derive(Clone)]
struct Door {
    id: NodeId,
    process: Arc<Process>,
    replica: Replica<SimHost>,
}

impl Net {
    /// A good network with nobody in it.
    pub fn new(world: World, oracle: Oracle) -> Self {
        let state = State {
            weather: Weather::CALM,
            doors: BTreeMap::new(),
            cut: BTreeSet::new(),
            slow: BTreeSet::new(),
            are_snapshots_cut: false,
        };
        Self(Arc::new(Inner { world, oracle, state: Mutex::new(state) }))
    }

    /// A member listens at `address` from now on.
    pub fn open(&self, address: &str, id: NodeId, process: Arc<Process>, replica: Replica<SimHost>) {
        self.0.state.lock().doors.insert(address.to_owned(), Door { id, process, replica });
    }

    /// Nobody listens there any more.
    pub fn close(&self, address: &str) {
        let door = self.0.state.lock().doors.remove(address);
        drop(door);
    }

    /// Changes how messages travel.
    pub fn set_weather(&self, weather: Weather) {
        self.0.state.lock().weather = weather;
    }

    /// Cuts a link in one direction.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.0.state.lock().cut.insert((from, to));
    }

    /// Makes a link slow in one direction.
    pub fn slow(&self, from: NodeId, to: NodeId) {
        self.0.state.lock().slow.insert((from, to));
    }

    /// Loses parts of snapshots, or not any more.
    pub fn cut_snapshots(&self, are_cut: bool) {
        self.0.state.lock().are_snapshots_cut = are_cut;
    }

    /// Whether any link is cut.
    pub fn is_cut(&self) -> bool {
        !self.0.state.lock().cut.is_empty()
    }

    /// All links are whole and fast.
    pub fn mend(&self) {
        let mut state = self.0.state.lock();
        state.cut.clear();
        state.slow.clear();
        state.are_snapshots_cut = false;
    }

    fn door(&self, address: &str) -> Option<Door> {
        let door = self.0.state.lock().doors.get(address).cloned();
        door.filter(|door| door.process.is_alive())
    }

    /// Carries a message one way; false when it is lost.
    async fn carry(&self, from: NodeId, to: NodeId, is_answer: bool) -> bool {
        let world = &self.0.world;
        let (weather, is_slow, is_cut) = {
            let state = self.0.state.lock();
            (state.weather, state.slow.contains(&(from, to)), state.cut.contains(&(from, to)))
        };
        let (least, most) = weather.delay_micros;
        let mut delay = world.micros(least, most);
        if world.chance(weather.late) {
            world.fault(Fault::MessageReordered);
            delay += world.micros(2_000, 150_000);
        }
        if is_slow {
            world.fault(Fault::LinkSlow);
            delay += world.micros(50_000, 600_000);
        }
        if is_cut {
            return false;
        }
        if world.chance(weather.loss) {
            world.fault(if is_answer { Fault::AnswerLost } else { Fault::MessageLost });
            return false;
        }
        World::sleep(delay).await;
        !self.0.state.lock().cut.contains(&(from, to))
    }

    /// Gives a message to a member; what it answers comes back.
    fn deliver(&self, from: NodeId, door: Door, request: Bytes) -> oneshot::Receiver<Bytes> {
        let (sender, receiver) = oneshot::channel();
        let net = self.clone();
        let process = door.process.clone();
        let task = async move {
            let answer = door.replica.answer_peer(request.clone()).await;
            net.note(from, door.id, &request, &answer);
            // Who asked may have gone.
            let _ = sender.send(answer);
        };
        drop(process.spawn(task));
        receiver
    }

    fn note(&self, from: NodeId, to: NodeId, request: &[u8], answer: &[u8]) {
        let numbers = [from, to, hash(request), hash(answer)];
        let asked = codec::decode::<Envelope>(request).ok();
        let answered = codec::decode::<Answer>(answer).ok();
        let (Some(envelope), Some(answer)) = (asked, answered) else {
            self.0.world.report("network", "a message could not be read");
            return;
        };
        self.0.world.trace(&numbers, || {
            format!("{from}->{to} {} : {}", asked_in_words(&envelope.ask), answered_in_words(&answer))
        });
        if matches!(answer, Answer::Installed(_)) {
            self.0.world.fault(Fault::SnapshotInstalled);
        }
        self.0.oracle.heard(to, &envelope, &answer);
    }

    /// The connection breaks at some time.
    async fn broken(&self, patience: Duration) -> io::Error {
        let after = self.0.world.micros(1_000, 1_000_000).min(NOTICED_AFTER);
        let wait = if self.0.world.chance(50) { after } else { patience.min(NOTICED_AFTER) };
        World::sleep(wait).await;
        io::ErrorKind::TimedOut.into()
    }
}

/// The network as one member uses it.
#[derive(Clone)]
pub struct SimNetwork {
    /// The network.
    pub net: Net,
    /// Who uses it.
    pub me: NodeId,
}

impl SimNetwork {
    async fn exchange(
        &self,
        address: &str,
        channel: Channel,
        request: Bytes,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let (net, world) = (&self.net, &self.net.0.world);
        let to = net.0.state.lock().doors.get(address).map(|door| door.id);
        let to = to.unwrap_or_default();
        if channel == Channel::Bulk && net.0.state.lock().are_snapshots_cut && world.chance(40) {
            world.fault(Fault::SnapshotCutOff);
            return Err(net.broken(patience).await);
        }
        if !net.carry(self.me, to, false).await {
            return Err(net.broken(patience).await);
        }
        let Some(door) = net.door(address) else { return Err(io::ErrorKind::ConnectionRefused.into()) };
        let answer = net.deliver(self.me, door.clone(), request.clone());
        let replay = net.0.state.lock().weather.replay;
        if world.chance(replay) {
            world.fault(Fault::MessageReplayed);
            let (net, me, delay) = (net.clone(), self.me, world.micros(100, 400_000));
            let again = async move {
                World::sleep(delay).await;
                if door.process.is_alive() {
                    // Nobody waits for the second answer.
                    drop(net.deliver(me, door, request));
                }
            };
            drop(SimRuntime::spawn(again));
        }
        let answer = answer.await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))?;
        if net.carry(to, self.me, true).await { Ok(answer) } else { Err(net.broken(patience).await) }
    }
}

impl Network for SimNetwork {
    async fn call(
        &self,
        address: &str,
        channel: Channel,
        request: Bytes,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let exchange = self.exchange(address, channel, request, patience);
        Simulated::timeout(patience, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

fn asked_in_words(ask: &Ask) -> String {
    match ask {
        Ask::Append(append) => {
            let upto = append.entries.last().map(|entry| entry.log_id);
            format!(
                "append term {} {} entries up to {upto:?} after {:?} commit {:?}",
                append.vote.term,
                append.entries.len(),
                append.prev.map(|prev| prev.index),
                append.commit.map(|commit| commit.index)
            )
        }
        Ask::SnapshotPart { name, offset, bytes, install } => {
            format!("{name} {offset}+{} install {install:?}", bytes.0.len())
        }
        other => format!("{other:?}"),
    }
}

fn answered_in_words(answer: &Answer) -> String {
    match answer {
        Answer::LedgerBlocks(blocks) => format!("{} blocks", blocks.len()),
        Answer::Probe(probe) => format!("member {} of {:?}", probe.me.member.id, probe.cluster),
        other => format!("{other:?}"),
    }
}
