//! `holdfast bench`: throughput and latency of one kind of work.

mod pace;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use comfy_table::Table;
use holdfast_sdk::api::{Problem, Reserve, WireRequest};
use holdfast_sdk::model::{Command, HoldId, ItemId, Line, Quantity, Refusal, StoreId};
use holdfast_sdk::{Client, Error};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use self::pace::{Pace, Requests, Seen};
use self::wire::Wire;
use crate::Done;
use crate::failure::Failure;
use crate::import::{BATCH, create};
use crate::output::Output;
use crate::status::of_any;
use crate::tables::{latency, millis, one_row};

/// Opening stock of each row: more than any run takes.
const PLENTY: u64 = 1 << 50;
/// How long a hold of the bench lasts, in seconds: longer than a run, so that no expiry is measured.
const TTL_SECONDS: u64 = 3600;
/// The store whose rows the bench makes and uses; they stay.
pub(crate) const STORE: &str = "BENCH";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Work {
    /// One reservation a request
    Reserve,
    /// Many reservations a request
    Batch,
    /// An up-to-date look at a row
    Read,
}

/// Throughput and latency.
#[derive(Debug, Args)]
pub struct Bench {
    /// What to measure
    #[arg(value_enum, default_value = "reserve")]
    work: Work,
    /// Requests under way at the same time, at most
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Rows that the work spreads over evenly
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    rows: u64,
    /// All work on one row
    #[arg(long, conflicts_with = "rows")]
    hot: bool,
    /// Commands in a batch
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    size: u32,
    /// Open loop: so many requests a second, at fixed times, and latency counted from the time at which a request should
    /// have started. Without it, a closed loop: each connection sends its next request when the last one is answered
    #[arg(long, value_name = "PER_SECOND", value_parser = rate)]
    rate: Option<f64>,
    /// Through the sdk, as programs have it, with its retries; batches always go through it
    #[arg(long)]
    sdk: bool,
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "must be above 0".to_owned())
}

/// A run, as its connections share it.
struct Run {
    client: Client,
    /// Where requests go that do not go through the sdk: the leader first.
    nodes: Arc<[String]>,
    bench: Bench,
    rows: u64,
    store: StoreId,
    body: String,
}

impl Bench {
    /// Whether one thread is enough: a thread that hands nothing over takes least of the processor. Batches are encoded,
    /// which takes more than one when there are several.
    pub fn runs_on_one_thread(&self) -> bool {
        self.work != Work::Batch
    }

    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let store = StoreId::new(STORE).expect("letters");
        let rows = if self.hot { 1 } else { self.rows };
        make_rows(client, &store, rows).await?;
        let (seconds, connections) = (self.seconds, self.connections);
        let bar = out.progress(seconds, "seconds");
        let body = serde_json::to_string(&reservation()).expect("a reservation has plain keys");
        let (client, nodes) = (client.clone(), leader_first(client).await?);
        let pace = Arc::new(Pace::new(self.rate, Duration::from_secs(seconds)));
        let run = Arc::new(Run { client, nodes, bench: self, rows, store, body });
        let mut tasks = JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(pace.clone().connection(run.clone().sender()));
        }
        let mut seen = Seen::default();
        let mut each_second = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                done = tasks.join_next() => match done {
                    Some(done) => seen.add(done.map_err(|error| Failure::Check(format!("a task ended early: {error}")))?),
                    None => break,
                },
                _ = each_second.tick() => bar.set_position(pace.elapsed().as_secs().min(seconds)),
            }
        }
        let elapsed = pace.elapsed();
        bar.finish_and_clear();
        out.print(&run.value(&seen, elapsed), |_| run.table(&seen, elapsed))?;
        check(&seen)
    }
}

fn check(seen: &Seen) -> Done {
    if seen.failed.is_empty() {
        return Ok(());
    }
    let told: Vec<String> =
        seen.failed.iter().map(|(why, count)| format!("\n  {count} times: {why}")).collect();
    Err(Failure::Check(format!("requests failed:{}", told.concat())))
}

/// All nodes, the one that leads before the others.
async fn leader_first(client: &Client) -> Result<Arc<[String]>, Failure> {
    let leader = of_any(client).await?.leader.map(|leader| leader.http);
    let others = client.endpoints().iter().filter(|node| Some(*node) != leader.as_ref()).cloned();
    Ok(leader.clone().into_iter().chain(others).collect())
}

/// One connection's requests: by the sdk, or on a connection of their own.
struct Sender {
    run: Arc<Run>,
    wire: Option<Wire>,
}

impl Requests for Sender {
    async fn send(&mut self) -> Result<(), String> {
        match &mut self.wire {
            Some(wire) => self.run.on_wire(wire).await,
            None => self.run.through_sdk().await,
        }
    }
}

impl Run {
    fn sender(self: Arc<Self>) -> Sender {
        let is_plain = !self.bench.sdk && self.bench.work != Work::Batch;
        Sender { wire: is_plain.then(|| Wire::new(self.nodes.clone())), run: self }
    }

    /// One request, or why it failed, in words that are the same for like failures.
    async fn on_wire(&self, wire: &mut Wire) -> Result<(), String> {
        let path = format!("/inventory/{STORE}/items/{}", item(fastrand::u64(0..self.rows)));
        match self.bench.work {
            Work::Read => wire.get(&path).await,
            Work::Reserve | Work::Batch => wire.post(&format!("{path}/reserve"), &self.body).await,
        }
    }

    /// The same by the sdk.
    async fn through_sdk(&self) -> Result<(), String> {
        let row = item(fastrand::u64(0..self.rows));
        match self.bench.work {
            Work::Read => self.client.row(&self.store, &row).await.map(drop).map_err(why),
            Work::Reserve => {
                self.client.reserve(&self.store, &row, reservation()).await.map(drop).map_err(why)
            }
            Work::Batch => {
                let command = |_| reserve_command(&self.store, item(fastrand::u64(0..self.rows)));
                let replies =
                    self.client.batch((0..self.bench.size).map(command).collect()).await.map_err(why)?;
                let refusal = replies.iter().find_map(|reply| reply.result.as_ref().err());
                refusal.map_or(Ok(()), |refusal| Err(Problem::from(refusal).code.as_str().to_owned()))
            }
        }
    }

    fn commands_each(&self) -> f64 {
        if self.bench.work == Work::Batch { f64::from(self.bench.size) } else { 1.0 }
    }

    fn value(&self, seen: &Seen, elapsed: Duration) -> Value {
        let rate = seen.micros.len() as f64 / elapsed.as_secs_f64();
        json!({
            "work": format!("{:?}", self.bench.work).to_lowercase(), "connections": self.bench.connections,
            "rows": self.rows, "targetPerSecond": self.bench.rate, "requests": seen.micros.len(),
            "seconds": elapsed.as_secs_f64(), "requestsPerSecond": rate,
            "commandsPerSecond": rate * self.commands_each(), "latencyMs": latency(&seen.micros), "failed": seen.failed,
        })
    }

    fn table(&self, seen: &Seen, elapsed: Duration) -> Table {
        let rate = seen.micros.len() as f64 / elapsed.as_secs_f64();
        let mut cells = vec![
            seen.micros.len().to_string(),
            seen.failed.values().sum::<u64>().to_string(),
            format!("{rate:.0}"),
            format!("{:.0}", rate * self.commands_each()),
        ];
        cells
            .extend([0.5, 0.99, 0.999, 1.0].map(|quantile| format!("{:.2}", millis(&seen.micros, quantile))));
        let header =
            ["requests", "failed", "requests/s", "commands/s", "p50 ms", "p99 ms", "p99.9 ms", "max ms"];
        one_row(&header, cells)
    }
}

pub(crate) fn why(error: Error) -> String {
    match error {
        Error::Refused(problem) => problem.code.as_str().to_owned(),
        Error::Unavailable { problem: Some(problem), .. } => {
            format!("unavailable: {}", problem.code.as_str())
        }
        Error::Unavailable { .. } => "unavailable".to_owned(),
        Error::OutcomeUnknown(_) => "outcome unknown".to_owned(),
        error @ (Error::Invalid(_) | Error::Protocol(_)) => error.to_string(),
    }
}

pub(crate) async fn make_rows(client: &Client, store: &StoreId, rows: u64) -> Done {
    let names: Vec<u64> = (0..rows).collect();
    for part in names.chunks(BATCH) {
        let commands = part.iter().map(|&name| create(store, &item(name), PLENTY)).collect();
        for reply in client.batch(commands).await? {
            match reply.result {
                Ok(_) | Err(Refusal::SkuExists { .. }) => {}
                Err(refusal) => {
                    return Err(Failure::Check(format!(
                        "a row was refused: {}",
                        Problem::from(&refusal).detail
                    )));
                }
            }
        }
    }
    Ok(())
}

pub(crate) fn item(number: u64) -> ItemId {
    ItemId::new(format!("ITEM-{number}")).expect("letters, digits and a hyphen")
}

fn one_unit() -> Quantity {
    Quantity::new(1).expect("1 is a quantity")
}

fn reservation() -> Reserve {
    let ttl_seconds = Some(TTL_SECONDS);
    Reserve { qty: one_unit(), ttl_seconds, hold_id: None, owner: None, allow_partial: false }
}

pub(crate) fn reserve_command(store: &StoreId, item: ItemId) -> WireRequest {
    let command = Command::Reserve {
        hold: HoldId::from_uuid(Uuid::now_v7()),
        lines: vec![Line { store: store.clone(), item, qty: one_unit() }],
        ttl_ms: Some(TTL_SECONDS * 1000),
        allow_partial: false,
        owner: None,
    };
    WireRequest { command, idempotency_key: None }
}
