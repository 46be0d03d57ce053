//! What goes wrong: one thing after another and often several at once, as the seed says. It keeps to what a cluster must
//! survive: no more members than a minority have lost something at the same time.

mod kind;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_replica::{NodeId, Replica};
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::SimRuntime;

use crate::cluster::{Cluster, Standing};
use crate::coverage::Fault;
use crate::disk::Ills;
use crate::host::SimHost;
use crate::memory_disk::Crash;
use crate::network::{Net, Weather};
use crate::oracle::Oracle;
use crate::world::World;
use kind::{KINDS, Kind};

/// How long a change of the cluster may take before it is left.
const CHANGE: Duration = Duration::from_secs(10);

/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

/// What may go wrong in one simulation.
pub struct Nemesis {
    world: World,
    cluster: Cluster,
    net: Net,
    oracle: Oracle,
    /// Machines that have lost something, and the entry that makes it good once it is applied there.
    hurt: Vec<(usize, u64)>,
    /// Machines whose member must be replaced by another.
    lost: BTreeSet<usize>,
    /// Machines whose damage costs nothing: their members must come up by themselves.
    must_start: BTreeSet<usize>,
    /// Machines whose log was damaged, and the newest snapshot that was there then: the log may begin after that one, so
    /// that one from before it is of no use alone.
    shortened: BTreeMap<usize, String>,
    /// Kinds of faults of this seed.
    kinds: Vec<Kind>,
}

impl Nemesis {
    /// The trouble of a simulation: a few kinds of it, or any.
    pub fn new(world: World, cluster: Cluster, net: Net, oracle: Oracle) -> Self {
        let mut kinds = KINDS.to_vec();
        if world.chance(60) {
            let count = world.draw(|rng| {
                rng.shuffle(&mut kinds);
                rng.usize(3..9)
            });
            kinds.truncate(count);
        }
        Self {
            world,
            cluster,
            net,
            oracle,
            hurt: Vec::new(),
            lost: BTreeSet::new(),
            must_start: BTreeSet::new(),
            shortened: BTreeMap::new(),
            kinds,
        }
    }

    /// Makes trouble until it is stopped.
    pub async fn run(&mut self, until_nanos: u64) {
        for place in 0..self.cluster.len() {
            if self.world.chance(40) {
                self.drift(place);
            }
        }
        while crate::process::sim_nanos() < until_nanos {
            World::sleep(self.world.micros(100_000, 2_500_000)).await;
            self.look_after();
            let Some(kind) = self.world.pick(&self.kinds) else { return };
            self.world.trace(&[kind as u64], || format!("trouble: {kind:?}"));
            self.make(kind).await;
        }
    }

    async fn make(&mut self, kind: Kind) {
        match kind {
            Kind::Storm => self.storm(),
            Kind::Partition => self.partition(),
            Kind::OneWay => self.one_way(),
            Kind::SlowLink => self.slow_link(),
            Kind::Kill => self.kill(),
            Kind::PowerLoss => self.power_loss(),
            Kind::PowerLossAtStep => self.power_loss_at_step(),
            Kind::AllDown => self.all_down().await,
            Kind::Pause => self.pause(),
            Kind::DamageLog => self.damage_log(),
            Kind::DamageVote => self.damage_vote(),
            Kind::DamageSnapshot => self.damage_snapshot(),
            Kind::DamageLedger => self.damage_ledger(),
            Kind::FullDisk => self.full_disk(),
            Kind::Errors => self.errors(),
            Kind::FailedSync => self.failed_sync(),
            Kind::StalledSync => self.stalled_sync(),
            Kind::Clocks => self.clocks(),
            Kind::Transfer => self.transfer(),
            Kind::Replace => self.replace(false).await,
            Kind::WipeOld => self.replace(true).await,
            Kind::Lag => self.lag().await,
        }
    }

    /// A machine, the leader's in a third of the cases.
    fn any(&self) -> usize {
        match self.cluster.leader().filter(|_| self.world.chance(33)) {
            Some(leader) => leader,
            None => self.world.draw(|rng| rng.usize(0..self.cluster.len())),
        }
    }

    /// Starts what is down, most times, and takes note of who is whole again and of who never will be.
    fn look_after(&mut self) {
        for place in 0..self.cluster.len() {
            self.cluster.reap(place);
            match self.cluster.standing(place) {
                Standing::Up if self.cluster.replica(place).is_some() => {
                    self.must_start.remove(&place);
                }
                Standing::Up => {}
                Standing::Down if self.world.chance(60) => self.cluster.start(place),
                Standing::Stopped(said) if is_final(&said) => {
                    self.check_may_stop(place, &said);
                    self.lost.insert(place);
                    self.hurt.retain(|(hurt, _)| *hurt != place);
                }
                Standing::Stopped(_) if self.world.chance(60) => self.cluster.start(place),
                Standing::Down | Standing::Stopped(_) => {}
            }
        }
        let cluster = &self.cluster;
        self.hurt.retain(|(place, floor)| !is_whole(cluster, *place, *floor));
    }

    /// A damage that must cost nothing has cost a member.
    fn check_may_stop(&self, place: usize, said: &str) {
        if self.must_start.contains(&place) {
            self.world
                .report("recovery", format!("one of two copies was damaged, and the member is lost: {said}"));
        }
    }

    /// Whether a machine may lose something now.
    fn may_hurt(&self, place: usize) -> bool {
        let mut hurt: BTreeSet<usize> = self.hurt.iter().map(|(place, _)| *place).collect();
        if hurt.contains(&place) {
            return false;
        }
        hurt.extend(&self.lost);
        hurt.insert(place);
        hurt.len() * 2 < self.cluster.len()
    }

    fn hurt(&mut self, place: usize) {
        self.hurt.push((place, self.oracle.last().0));
    }

    fn storm(&self) {
        let world = &self.world;
        let percent = |most: u8| world.draw(|rng| rng.u8(0..=most));
        let weather = Weather {
            loss: percent(30),
            replay: percent(15),
            late: percent(30),
            delay_micros: (50, world.draw(|rng| rng.u64(500..20_000))),
        };
        self.net.set_weather(weather);
        let net = self.net.clone();
        self.later(world.micros(500_000, 8_000_000), move || net.set_weather(Weather::CALM));
    }

    /// Does something after a while.
    fn later(&self, after: Duration, what: impl FnOnce() + Send + 'static) {
        drop(SimRuntime::spawn(async move {
            World::sleep(after).await;
            what();
        }));
    }

    fn mend_later(&self) {
        let net = self.net.clone();
        self.later(self.world.micros(300_000, 6_000_000), move || net.mend());
    }

    fn partition(&self) {
        self.world.fault(Fault::Partition);
        let ids = self.cluster.ids();
        let one = self.cluster.id(self.any());
        let with: Vec<NodeId> =
            ids.iter().copied().filter(|id| *id == one || (ids.len() > 3 && self.world.chance(30))).collect();
        for a in &ids {
            for b in ids.iter().filter(|b| with.contains(a) != with.contains(b)) {
                self.net.cut(*a, *b);
            }
        }
        self.mend_later();
    }

    fn one_way(&self) {
        self.world.fault(Fault::OneWayPartition);
        let one = self.cluster.id(self.any());
        let is_deaf = self.world.chance(50);
        for other in self.cluster.ids().into_iter().filter(|other| *other != one) {
            if self.world.chance(80) {
                if is_deaf { self.net.cut(other, one) } else { self.net.cut(one, other) }
            }
        }
        self.mend_later();
    }

    fn slow_link(&self) {
        let one = self.cluster.id(self.any());
        for other in self.cluster.ids().into_iter().filter(|other| *other != one) {
            self.net.slow(one, other);
            if self.world.chance(50) {
                self.net.slow(other, one);
            }
        }
        self.mend_later();
    }

    fn kill(&self) {
        self.world.fault(Fault::ProcessKilled);
        self.cluster.kill(self.any());
    }

    fn crash(&self) -> Crash {
        let kept = self.world.pick(&[0, 0, 90, 170, 255]).unwrap_or(0);
        Crash { kept, zeros: self.world.chance(30) }
    }

    fn power_loss(&self) {
        self.world.fault(Fault::PowerLoss);
        self.cluster.power_loss(self.any(), self.crash());
    }

    fn power_loss_at_step(&self) {
        let (steps, crash) = (self.world.draw(|rng| rng.u64(0..60)), self.crash());
        self.cluster.ail(self.any(), |ills| ills.die_after = Some((steps, crash)));
    }

    async fn all_down(&self) {
        self.world.fault(Fault::AllDown);
        let is_power = self.world.chance(70);
        for place in 0..self.cluster.len() {
            if is_power {
                self.cluster.power_loss(place, self.crash());
            } else {
                self.cluster.kill(place);
            }
        }
        World::sleep(self.world.micros(10_000, 2_000_000)).await;
        for place in 0..self.cluster.len() {
            if self.cluster.standing(place) == Standing::Down {
                self.cluster.start(place);
            }
        }
    }

    fn pause(&self) {
        let Some((process, _)) = self.cluster.replica(self.any()) else { return };
        self.world.fault(Fault::ProcessPaused);
        process.pause(true);
        self.later(self.world.micros(100_000, 5_000_000), move || process.pause(false));
    }

    /// Takes the power of a machine, so that all in its files is durable, when it may lose something.
    fn take_down_to_hurt(&mut self) -> Option<usize> {
        let place = self.any();
        if self.lost.contains(&place) || !self.may_hurt(place) {
            return None;
        }
        self.cluster.power_loss(place, Crash { kept: 0, zeros: false });
        self.must_start.remove(&place);
        Some(place)
    }

    fn damage_log(&mut self) {
        let Some(place) = self.take_down_to_hurt() else { return };
        let (machine, _) = self.cluster.disks(place);
        let segments = self.files(place, "log-");
        let Some(last) = segments.last() else { return };
        if segments.len() > 1 && self.world.chance(40) {
            // Where the last file ends was never told by anything else: what is cut there cannot be noticed.
            let Some(name) = self.world.pick(&segments[..segments.len() - 1]) else { return };
            let mut bytes = machine.files.get(&name);
            let length = self.world.draw(|rng| rng.usize(0..bytes.len()));
            bytes.truncate(length);
            machine.files.put(&name, &bytes);
            self.world.fault(Fault::LogTruncated);
            self.world.trace(&[length as u64], || format!("{name} is cut to {length}"));
        } else {
            let is_tail = self.world.chance(50);
            let name = if is_tail { last.clone() } else { self.world.pick(&segments).unwrap_or_default() };
            self.flip(place, &name, is_tail);
            self.world.fault(if is_tail { Fault::LogTailDamaged } else { Fault::LogMiddleDamaged });
        }
        self.oracle.damaged(self.cluster.id(place));
        if let Some(newest) = self.files(place, "snapshot-").pop() {
            self.shortened.insert(place, newest);
        }
        self.hurt(place);
        // Whoever comes back with damage is wanted for a vote.
        if let Some(leader) = self.cluster.leader().filter(|_| self.world.chance(50)) {
            self.cluster.start(place);
            self.cluster.kill(leader);
        }
    }

    /// Flips a bit of a file, near its end or anywhere.
    fn flip(&self, place: usize, name: &str, is_tail: bool) {
        let (machine, _) = self.cluster.disks(place);
        let mut bytes = machine.files.get(name);
        if bytes.is_empty() {
            return;
        }
        let least = if is_tail { bytes.len().saturating_sub(40) } else { 0 };
        let (at, bit) = self.world.draw(|rng| (rng.usize(least..bytes.len()), rng.u8(0..8)));
        bytes[at] ^= 1 << bit;
        machine.files.put(name, &bytes);
        self.world.trace(&[at as u64], || format!("bit {bit} of byte {at} of {name} is flipped"));
    }

    fn files(&self, place: usize, prefix: &str) -> Vec<String> {
        use holdfast_replica::disk::Disk as _;
        let (machine, _) = self.cluster.disks(place);
        let names = machine.files.list().unwrap_or_default();
        names.into_iter().filter(|name| name.starts_with(prefix) && !name.ends_with(".partial")).collect()
    }

    fn damage_vote(&mut self) {
        let Some(place) = self.take_down_to_hurt() else { return };
        let votes = self.files(place, "vote-");
        let is_both = self.world.chance(30);
        let Some(one) = self.world.pick(&votes) else { return };
        for name in votes.iter().filter(|name| is_both || **name == one) {
            self.flip(place, name, false);
        }
        if votes.len() == 2 && !is_both {
            self.must_start.insert(place);
        }
        self.world.fault(Fault::VoteDamaged);
        self.hurt(place);
    }

    fn damage_snapshot(&mut self) {
        let Some(place) = self.take_down_to_hurt() else { return };
        let snapshots = self.files(place, "snapshot-");
        let Some(name) = self.world.pick(&snapshots) else { return };
        self.flip(place, &name, false);
        let is_short = self.shortened.get(&place).is_some_and(|newest| snapshots[0] < *newest);
        if snapshots.len() == 2 && !is_short {
            self.must_start.insert(place);
        }
        self.world.fault(Fault::SnapshotDamaged);
        self.hurt(place);
    }

    fn damage_ledger(&mut self) {
        let Some(place) = self.take_down_to_hurt() else { return };
        let (_, ledger) = self.cluster.disks(place);
        if self.world.chance(50) {
            ledger.break_it();
            self.world.fault(Fault::LedgerBroken);
        } else {
            ledger.shorten(self.world.draw(|rng| rng.u8(..)));
            self.world.fault(Fault::LedgerShortened);
        }
        self.hurt(place);
    }

    fn full_disk(&self) {
        let (machine, _) = self.cluster.disks(self.any());
        let room = self.world.draw(|rng| rng.usize(0..20_000));
        machine.files.limit_room(Some(room));
        self.later(self.world.micros(500_000, 6_000_000), move || machine.files.limit_room(None));
    }

    fn errors(&self) {
        let accesses = self.world.draw(|rng| rng.u64(0..80));
        self.cluster.ail(self.any(), |ills| ills.fail_after = Some(accesses));
    }

    fn failed_sync(&self) {
        let (machine, ledger) = self.cluster.disks(self.any());
        machine.files.fail_sync_after(self.world.draw(|rng| rng.u64(0..10)));
        if self.world.chance(30) {
            ledger.fail_flush_after(self.world.draw(|rng| rng.u64(0..3)));
        }
    }

    fn stalled_sync(&self) {
        let place = self.any();
        self.cluster.ail(place, |ills| ills.is_stalled = true);
        let cluster = self.cluster.clone();
        let after = self.world.micros(300_000, 5_000_000);
        self.later(after, move || cluster.ail(place, |ills| ills.is_stalled = false));
    }

    fn clocks(&self) {
        self.world.fault(Fault::ClockJumped);
        let offset = self.world.draw(|rng| rng.i64(-HOUR_MS..=HOUR_MS));
        let place = self.any();
        self.cluster.set_wall_offset(place, offset);
        self.world.trace(&[offset.cast_unsigned()], || {
            format!("the wall clock of machine {place} is off by {offset} ms")
        });
        self.drift(self.any());
    }

    fn drift(&self, place: usize) {
        self.world.fault(Fault::ClockDrifts);
        self.cluster.set_drift(place, self.world.draw(|rng| rng.i64(-40_000..=40_000)));
    }

    fn transfer(&self) {
        let Some(leader) = self.cluster.leader() else { return };
        self.world.fault(Fault::LeadershipTransferred);
        let to = self.world.pick(&self.cluster.ids());
        let cluster = self.cluster.clone();
        drop(SimRuntime::spawn(async move {
            cluster
                .with(
                    leader,
                    CHANGE,
                    move |replica| async move { replica.transfer_leadership(to, CHANGE).await },
                )
                .await
        }));
    }

    /// Makes a member fall behind, so that it gets a snapshot, which is cut off half-way.
    async fn lag(&self) {
        let place = self.any();
        self.cluster.kill(place);
        World::sleep(self.world.micros(2_000_000, 8_000_000)).await;
        self.net.cut_snapshots(true);
        self.cluster.start(place);
        let net = self.net.clone();
        self.later(self.world.micros(500_000, 4_000_000), move || net.cut_snapshots(false));
    }

    /// A member is lost with its machine; another takes its place under a new number, in a first attempt under the old one
    /// when `is_old_tried`.
    async fn replace(&mut self, is_old_tried: bool) {
        let place = self.lost.first().copied().unwrap_or_else(|| self.any());
        if !self.may_hurt(place) {
            return;
        }
        if self.world.chance(40) {
            self.partition();
        }
        self.cluster.kill(place);
        self.oracle.wiped(self.cluster.id(place));
        if is_old_tried {
            self.world.fault(Fault::WipedUnderOldId);
            self.cluster.wipe(place, false);
            self.cluster.start(place);
            World::sleep(self.world.micros(1_000_000, 4_000_000)).await;
            self.cluster.kill(place);
        }
        self.take_in(place).await;
    }

    /// Puts another member on a machine, and takes the one before it out of the cluster.
    pub async fn take_in(&mut self, place: usize) {
        self.world.fault(Fault::MemberReplaced);
        if self.net.is_cut() {
            self.world.fault(Fault::MembershipUnderPartition);
        }
        let old = self.cluster.id(place);
        let new = self.cluster.wipe(place, true);
        self.lost.remove(&place);
        self.must_start.remove(&place);
        self.shortened.remove(&place);
        self.hurt.retain(|(hurt, _)| *hurt != place);
        self.hurt(place);
        self.world.trace(&[old, new], || format!("member {new} takes the place of {old}"));
        self.cluster.start(place);
    }

    /// Ends all trouble: everything works from now on, and whoever cannot come back is replaced.
    pub async fn heal(&mut self) {
        self.net.mend();
        self.net.set_weather(Weather::CALM);
        for place in 0..self.cluster.len() {
            let (machine, ledger) = self.cluster.disks(place);
            machine.files.revive();
            ledger.revive();
            *machine.ills.lock() = Ills::default();
            self.cluster.set_drift(place, 0);
            if let Some((process, _)) = self.cluster.replica(place) {
                process.pause(false);
            }
        }
    }

    /// Starts whoever is down after everything was healed, and replaces whoever said that it cannot come back.
    pub async fn raise(&mut self) {
        for place in 0..self.cluster.len() {
            self.cluster.reap(place);
            match self.cluster.standing(place) {
                Standing::Up => {}
                Standing::Stopped(said) if is_final(&said) => {
                    self.check_may_stop(place, &said);
                    self.oracle.wiped(self.cluster.id(place));
                    self.take_in(place).await;
                }
                Standing::Down | Standing::Stopped(_) => self.cluster.start(place),
            }
        }
    }
}

/// Whether what a member said means that it never comes back under its number.
fn is_final(said: &str) -> bool {
    said.contains("new id") || said.contains("another release") || said.contains("format")
}

/// Whether a machine's member has made good what it lost.
fn is_whole(cluster: &Cluster, place: usize, floor: u64) -> bool {
    let Some((_, replica)) = cluster.replica(place) else { return false };
    let status = replica.status();
    let is_voter = status.members.iter().any(|it| it.member.id == status.me.id && it.voter);
    let start = replica.ledger_start();
    is_voter
        && status.members.len() == cluster.len()
        && status.applied_index >= floor
        && !cluster.has_file(place, "suspect")
        && replica.movements(holdfast_model::Seq(start.0.saturating_sub(1)), usize::MAX).is_ok()
}

/// Takes members out of the cluster whose machines are others' now, once those are in.
pub async fn operate(cluster: Cluster) {
    loop {
        World::sleep(Duration::from_millis(300)).await;
        let Some(leader) = cluster.leader() else { continue };
        let Some((_, replica)) = cluster.replica(leader) else { continue };
        let (ids, members) = (cluster.ids(), replica.status().members);
        let are_in = ids.iter().all(|id| members.iter().any(|it| it.member.id == *id && it.voter));
        let gone = members.iter().map(|it| it.member.id).find(|id| !ids.contains(id));
        if let Some(gone) = gone.filter(|_| are_in) {
            let remove =
                move |replica: Replica<SimHost>| async move { replica.remove_member(gone, CHANGE).await };
            // What did not come about is tried again.
            drop(cluster.with(leader, CHANGE, remove).await);
        }
    }
}
