//! One simulation from its seed: trouble first, then a healed cluster that must do its work within a bound.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use holdfast_model::{Command, Request, Seq};
use holdfast_replica::log::Limits;
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::SimRuntime;

use crate::client::{self, Shop};
use crate::cluster::{Cluster, Sizes};
use crate::consumer;
use crate::coverage::Coverage;
use crate::nemesis::{Nemesis, operate};
use crate::network::Net;
use crate::oracle::Oracle;
use crate::process::sim_nanos;
use crate::workload::{Workload, asked_by};
use crate::world::{Finding, World};

/// A cluster must be founded, and a healed one must be whole and at work, within this.
const LIVENESS: Duration = Duration::from_secs(120);

/// What a simulation came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What was wrong first.
    pub finding: Option<Finding>,
    /// A hash of everything that happened.
    pub trace: u64,
    /// How long it took by its own clock.
    pub virtual_time: Duration,
    /// How long it took.
    pub took: Duration,
    /// What happened how often.
    pub coverage: Coverage,
}

impl Outcome {
    /// What was found and how to see it again, in a few lines.
    #[must_use]
    pub fn summary(&self) -> String {
        let Self { seed, finding, trace, virtual_time, took, .. } = self;
        let times =
            format!("{:.1} virtual seconds in {:.2} s", virtual_time.as_secs_f64(), took.as_secs_f64());
        match finding {
            None => format!("seed {seed}: nothing was found; trace {trace:016x}, {times}"),
            Some(Finding { check, what }) => format!(
                "seed {seed}: {check}: {what}\n  trace {trace:016x}, {times}; to see it again: ./scripts/soak simulation --trace {seed}"
            ),
        }
    }
}

/// Runs a seed; its trace is printed when `is_shown`.
#[must_use]
pub fn run(seed: u64, is_shown: bool) -> Outcome {
    let began = Instant::now();
    let world = World::new(seed, is_shown);
    let mut runtime = SimRuntime::with_seed(seed);
    let virtual_time = runtime.block_on(simulate(seed, world.clone()));
    drop(runtime);
    Outcome {
        seed,
        finding: world.finding(),
        trace: world.trace_hash(),
        virtual_time,
        took: began.elapsed(),
        coverage: world.coverage(),
    }
}

fn sizes(world: &World) -> Sizes {
    world.draw(|rng| Sizes {
        members: if rng.u8(0..5) == 0 { 5 } else { 3 },
        snapshot_min_log_bytes: rng.u64(1_000..12_000),
        log: Limits { segment_bytes: rng.u64(1_500..12_000), cache_bytes: rng.usize(500..20_000) },
        max_queue: rng.usize(3..20),
    })
}

async fn simulate(seed: u64, world: World) -> Duration {
    let oracle = Oracle::new(world.clone());
    let net = Net::new(world.clone(), oracle.clone());
    let cluster = Cluster::new(world.clone(), oracle.clone(), net.clone(), sizes(&world));
    for place in 0..cluster.len() {
        cluster.start(place);
    }
    drop(SimRuntime::spawn(cluster.clone().watch_roles()));
    drop(SimRuntime::spawn(operate(cluster.clone())));
    let shop = Shop {
        world: world.clone(),
        cluster: cluster.clone(),
        oracle: oracle.clone(),
        workload: Arc::new(Workload::new(seed)),
        answers_lost: world.draw(|rng| rng.u8(0..10)),
        is_closing: Arc::default(),
    };
    if await_work(&shop, "founded").await {
        let (callers, think_micros) = world.draw(|rng| (rng.u64(2..6), rng.u64(60_000..600_000)));
        for number in 0..callers {
            drop(SimRuntime::spawn(client::run(shop.clone(), number, think_micros)));
        }
        for store in [None, Some("S1"), Some("S3")] {
            drop(SimRuntime::spawn(consumer::run(shop.clone(), store)));
        }
        let mut nemesis = Nemesis::new(world.clone(), cluster, net, oracle);
        let trouble = world.draw(|rng| rng.u64(8..30)) * 1_000_000_000;
        let until = sim_nanos() + trouble;
        nemesis.run(until).await;
        if world.finding().is_none() {
            nemesis.heal().await;
            end(&shop, &mut nemesis).await;
        }
    }
    Duration::from_nanos(sim_nanos())
}

/// How long a healed cluster, or one that is being founded, may take.
fn liveness_bound() -> u64 {
    sim_nanos() + u64::try_from(LIVENESS.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits until a write succeeds.
async fn await_work(shop: &Shop, what: &str) -> bool {
    let until = liveness_bound();
    for attempt in 0.. {
        if shop.world.finding().is_some() {
            return false;
        }
        if works(shop, &format!("{what}-{attempt}")).await {
            return true;
        }
        if sim_nanos() > until {
            break;
        }
        World::sleep(Duration::from_millis(50)).await;
    }
    shop.world.report("liveness", format!("no write succeeds: {what}"));
    false
}

/// Whether a write succeeds.
async fn works(shop: &Shop, actor: &str) -> bool {
    let tick = Request { command: Command::Tick, key: None, actor: None };
    let place = shop.cluster.leader().unwrap_or(0);
    shop.oracle.invoked(actor);
    let patience = Duration::from_secs(2);
    let submitted = shop.cluster.submit(place, asked_by(&[tick], actor), patience).await;
    if let Ok(submitted) = &submitted {
        shop.oracle.acknowledged(actor, &submitted.replies, submitted.applied_seq);
    }
    submitted.is_ok()
}

/// Everything works again: all members must come to the same, and the cluster must take writes.
async fn end(shop: &Shop, nemesis: &mut Nemesis) {
    shop.world.trace(&[0], || "everything is healed".to_owned());
    let until = liveness_bound();
    let mut rounds = 0;
    loop {
        nemesis.raise().await;
        World::sleep(Duration::from_millis(500)).await;
        if shop.world.finding().is_some() {
            return;
        }
        rounds += 1;
        // Callers go on for a while, and what they began before they stop comes to an end.
        shop.is_closing.store(rounds >= 4, Ordering::Relaxed);
        if rounds >= 6 && works(shop, &format!("healed-{rounds}")).await {
            World::sleep(Duration::from_millis(300)).await;
            if are_all_alike(shop) {
                return;
            }
        }
        if sim_nanos() > until {
            shop.world.report("liveness", standing(shop));
            return;
        }
    }
}

fn standing(shop: &Shop) -> String {
    let of = |place: usize| match shop.cluster.replica(place) {
        Some((_, replica)) => {
            let status = replica.status();
            let lacks = replica.movements(Seq(replica.ledger_start().0.saturating_sub(1)), 1).err();
            let members: Vec<String> = status
                .members
                .iter()
                .map(|it| format!("{}{}", it.member.id, if it.voter { "" } else { "(learner)" }))
                .collect();
            format!(
                "n{} {:?} at {} of term {} in {members:?} ledger {lacks:?}",
                status.me.id, status.role, status.applied_index, status.term
            )
        }
        None => format!("machine {place} {:?}", shop.cluster.standing(place)),
    };
    let all: Vec<String> = (0..shop.cluster.len()).map(of).collect();
    format!(
        "the healed cluster does not come together: {}; the last entry is {}",
        all.join("; "),
        shop.oracle.last().0
    )
}

/// Whether every member has applied everything and has the whole ledger.
fn are_all_alike(shop: &Shop) -> bool {
    let (index, _) = shop.oracle.last();
    let mut found = Vec::new();
    for place in 0..shop.cluster.len() {
        let Some((_, replica)) = shop.cluster.replica(place) else { return false };
        let status = replica.status();
        let is_voter = status.members.iter().any(|it| it.member.id == status.me.id && it.voter);
        let is_alone = status.members.len() == shop.cluster.len();
        let after = Seq(replica.ledger_start().0.saturating_sub(1));
        let Ok(records) = replica.movements(after, usize::MAX) else { return false };
        if !is_voter || !is_alone || status.applied_index < index || status.stopped.is_some() {
            return false;
        }
        found.push((status.me.id, status.digest, records));
    }
    for (id, digest, records) in found {
        shop.oracle.at_end(id, digest, &records);
    }
    true
}
