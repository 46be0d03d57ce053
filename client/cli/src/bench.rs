//! `holdfast bench`: throughput and latency of one kind of work.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use holdfast_sdk::Client;
use holdfast_sdk::api::{Reserve, WireRequest};
use holdfast_sdk::model::{Command, HoldId, ItemId, Line, Quantity, Refusal, StoreId};
use serde_json::json;
use uuid::Uuid;

use crate::import::{BATCH, create};
use crate::output::{Output, histogram, numbers, table};
use crate::{Done, Failure};

/// Opening stock of each row: more than any run takes.
const PLENTY: u64 = 1 << 50;

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
    /// Requests under way at the same time
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long to measure
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rows that the work spreads over; 1 is one hot row
    #[arg(long, default_value_t = 10_000)]
    rows: u64,
    /// Commands in a batch
    #[arg(long, default_value_t = 1000)]
    size: usize,
    /// Requests a second, at fixed times; latency counts from the time at which a request should have started. As many
    /// as the connections bear when absent.
    #[arg(long)]
    rate: Option<f64>,
}

struct Run {
    client: Client,
    bench: Bench,
    store: StoreId,
    started: Instant,
    next: AtomicU64,
}

impl Bench {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        if self.connections == 0
            || self.rows == 0
            || self.size == 0
            || self.rate.is_some_and(|rate| rate <= 0.0)
        {
            return Err(Failure::Usage("connections, rows, size and rate must be above 0".to_owned()));
        }
        let store = StoreId::new("BENCH").map_err(|error| Failure::Usage(error.to_string()))?;
        make_rows(client, &store, self.rows).await?;
        let (seconds, connections) = (self.seconds, self.connections);
        let bar = out.progress(seconds, "seconds");
        let next = AtomicU64::new(0);
        let run = Arc::new(Run { client: client.clone(), bench: self, store, started: Instant::now(), next });
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            tasks.spawn(work(run.clone()));
        }
        let ticks = tokio::spawn({
            let bar = bar.clone();
            async move {
                for _ in 0..seconds {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    bar.inc(1);
                }
            }
        });
        let mut micros = histogram();
        while let Some(done) = tasks.join_next().await {
            let seen = done.map_err(|error| Failure::Check(format!("a task ended early: {error}")))??;
            micros.add(seen).expect("histograms of one kind add up");
        }
        let elapsed = run.started.elapsed().as_secs_f64();
        ticks.abort();
        bar.finish_and_clear();
        report(out, &run.bench, &micros, elapsed);
        Ok(())
    }
}

async fn make_rows(client: &Client, store: &StoreId, rows: u64) -> Done {
    let names: Vec<u64> = (0..rows).collect();
    for part in names.chunks(BATCH) {
        let commands = part.iter().map(|&name| create(&(store.clone(), item(name), PLENTY))).collect();
        for reply in client.batch(commands).await? {
            match reply.result {
                Ok(_) | Err(Refusal::SkuExists { .. }) => {}
                Err(refusal) => return Err(Failure::Check(format!("a row was refused: {refusal:?}"))),
            }
        }
    }
    Ok(())
}

fn item(number: u64) -> ItemId {
    ItemId::new(format!("ITEM-{number}")).expect("letters, digits and a hyphen")
}

async fn work(run: Arc<Run>) -> Result<Histogram<u64>, Failure> {
    let mut micros = histogram();
    let end = run.started + Duration::from_secs(run.bench.seconds);
    loop {
        let number = run.next.fetch_add(1, Ordering::Relaxed);
        let due = match run.bench.rate {
            None => Instant::now(),
            Some(rate) => run.started + Duration::from_secs_f64(number as f64 / rate),
        };
        if due >= end || Instant::now() >= end {
            return Ok(micros);
        }
        tokio::time::sleep_until(due.into()).await;
        one(&run, number).await?;
        let taken = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
        micros.record(taken.max(1)).expect("the histogram grows");
    }
}

async fn one(run: &Run, number: u64) -> Done {
    let row = || item(fastrand::u64(0..run.bench.rows));
    match run.bench.work {
        Work::Read => drop(run.client.row(&run.store, &row()).await?),
        Work::Reserve => {
            let body = Reserve {
                qty: Quantity::new(1).expect("1 is a quantity"),
                ttl_seconds: Some(3600),
                hold_id: None,
                owner: None,
                allow_partial: false,
            };
            drop(run.client.reserve(&run.store, &row(), body).await?);
        }
        Work::Batch => {
            let commands = (0..run.bench.size).map(|_| reserve_command(&run.store, row())).collect();
            for reply in run.client.batch(commands).await? {
                if let Err(refusal) = reply.result {
                    return Err(Failure::Check(format!("request {number} was refused: {refusal:?}")));
                }
            }
        }
    }
    Ok(())
}

fn reserve_command(store: &StoreId, item: ItemId) -> WireRequest {
    let qty = Quantity::new(1).expect("1 is a quantity");
    let command = Command::Reserve {
        hold: HoldId::from_uuid(Uuid::now_v7()),
        lines: vec![Line { store: store.clone(), item, qty }],
        ttl_ms: Some(3_600_000),
        allow_partial: false,
        owner: None,
    };
    WireRequest { command, idempotency_key: None }
}

fn report(out: &Output, bench: &Bench, micros: &Histogram<u64>, elapsed: f64) {
    let requests = micros.len();
    let each = if bench.work == Work::Batch { bench.size as f64 } else { 1.0 };
    let rate = requests as f64 / elapsed;
    let millis = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
    let value = json!({
        "work": format!("{:?}", bench.work).to_lowercase(), "connections": bench.connections, "rows": bench.rows,
        "requests": requests, "seconds": elapsed, "requestsPerSecond": rate, "commandsPerSecond": rate * each,
        "latencyMs": {"p50": millis(0.5), "p99": millis(0.99), "max": millis(1.0)},
    });
    out.print(&value, |_| {
        let mut table = table(&["requests", "requests/s", "commands/s", "p50 ms", "p99 ms", "max ms"]);
        table.add_row(vec![
            requests.to_string(),
            format!("{rate:.0}"),
            format!("{:.0}", rate * each),
            format!("{:.2}", millis(0.5)),
            format!("{:.2}", millis(0.99)),
            format!("{:.2}", millis(1.0)),
        ]);
        numbers(table, 0)
    });
}
