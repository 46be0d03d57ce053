//! `holdfast replay`: sells real baskets and accounts for every unit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::TryStreamExt;
use hdrhistogram::Histogram;
use holdfast_sdk::api::{ConfirmHold, ErrorCode, LineBody, NewHold, Problem, ReleaseHold, Row};
use holdfast_sdk::model::{ItemId, StoreId};
use holdfast_sdk::{Client, Error};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::baskets::{Baskets, write_rejects};
use crate::import::{BATCH, create};
use crate::output::{Output, histogram, numbers, table};
use crate::{Done, Failure};

/// How long a basket's hold lasts, in seconds: longer than any outage that the replay is to live through.
const TTL_SECONDS: u64 = 600;
/// How many of the most missed items are told.
const MOST_MISSED: usize = 10;

/// Sells real baskets. The cluster must not have their rows yet.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// CSV with the columns basket_id,store_id,product_id,quantity, in order of sale; plain or gzipped
    file: PathBuf,
    /// Opening stock as a share of what the baskets ask for, rounded up
    #[arg(long, default_value_t = 0.9)]
    share: f64,
    /// Buyers at the same time
    #[arg(long, default_value_t = 16)]
    buyers: usize,
    /// Percent of the holds that are released instead of confirmed
    #[arg(long, default_value_t = 5.0)]
    release_percent: f64,
    /// Decides which holds are released
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Sell only this many baskets
    #[arg(long)]
    baskets: Option<usize>,
    /// Where lines that cannot be sold are told, with the reason
    #[arg(long)]
    reject_file: Option<PathBuf>,
    /// Program to run once half of the baskets have been played
    #[arg(long)]
    at_half: Option<PathBuf>,
}

type RowName = (StoreId, ItemId);

/// What buyers have seen.
struct Tally {
    confirmed: u64,
    refused: u64,
    released: u64,
    units: u64,
    requests: u64,
    sold: BTreeMap<RowName, u64>,
    missed: BTreeMap<ItemId, u64>,
    micros: Histogram<u64>,
}

impl Tally {
    fn new() -> Self {
        Self {
            confirmed: 0,
            refused: 0,
            released: 0,
            units: 0,
            requests: 0,
            sold: BTreeMap::new(),
            missed: BTreeMap::new(),
            micros: histogram(),
        }
    }

    fn add(&mut self, other: Self) {
        self.confirmed += other.confirmed;
        self.refused += other.refused;
        self.released += other.released;
        self.units += other.units;
        self.requests += other.requests;
        for (row, units) in other.sold {
            *self.sold.entry(row).or_default() += units;
        }
        for (item, units) in other.missed {
            *self.missed.entry(item).or_default() += units;
        }
        self.micros.add(other.micros).expect("histograms of one kind add up");
    }

    fn note(&mut self, since: Instant) {
        self.requests += 1;
        let micros = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.micros.record(micros.max(1)).expect("the histogram grows");
    }

    fn note_refusal(&mut self, problem: &Problem) {
        self.refused += 1;
        let lines = problem.more.get("lines").and_then(Value::as_array);
        for line in lines.into_iter().flatten() {
            let units = |name: &str| line[name].as_u64().unwrap_or_default();
            if let Some(item) = line["itemId"].as_str().and_then(|item| ItemId::new(item).ok()) {
                *self.missed.entry(item).or_default() +=
                    units("requested").saturating_sub(units("available"));
            }
        }
    }
}

/// What all buyers share.
struct Market {
    client: Client,
    baskets: Vec<Vec<LineBody>>,
    next: AtomicUsize,
    args: ReplayArgs,
    bar: ProgressBar,
}

impl ReplayArgs {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        if !(self.share.is_finite() && self.share >= 0.0) || self.buyers == 0 {
            return Err(Failure::Usage("--share must be 0 or more, and --buyers 1 or more".to_owned()));
        }
        let mut found = Baskets::read(&self.file)?;
        if let Some(path) = &self.reject_file {
            write_rejects(path, &found.rejects)?;
        }
        if let Some(count) = self.baskets {
            found.baskets.truncate(count);
        }
        let opening = found.opening(self.share);
        open_rows(client, out, &opening).await?;
        let count = found.baskets.len();
        let bar = out.progress(count as u64, "baskets");
        let (next, buyers) = (AtomicUsize::new(0), self.buyers);
        let market =
            Arc::new(Market { client: client.clone(), baskets: found.baskets, next, args: self, bar });
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..buyers {
            tasks.spawn(buy(market.clone()));
        }
        let mut tally = Tally::new();
        while let Some(done) = tasks.join_next().await {
            tally.add(done.map_err(|error| Failure::Check(format!("a buyer ended early: {error}")))??);
        }
        let elapsed = started.elapsed();
        market.bar.finish_and_clear();
        report(out, &tally, count, found.lines, found.rejects.len(), elapsed);
        account(client, out, &opening, &tally).await
    }
}

async fn open_rows(client: &Client, out: &Output, opening: &[(RowName, u64)]) -> Done {
    let bar = out.progress(opening.len() as u64, "opening");
    for part in opening.chunks(BATCH) {
        let commands = part
            .iter()
            .map(|((store, item), units)| create(&(store.clone(), item.clone(), *units)))
            .collect();
        for reply in client.batch(commands).await? {
            if let Err(refusal) = reply.result {
                return Err(Failure::Usage(format!(
                    "opening stock was refused ({refusal:?}): replay needs a cluster without these rows"
                )));
            }
        }
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// One buyer: takes the next basket, holds it, and sells it or gives it back, until none is left.
async fn buy(market: Arc<Market>) -> Result<Tally, Failure> {
    let mut tally = Tally::new();
    let half = market.baskets.len() / 2;
    loop {
        let place = market.next.fetch_add(1, Ordering::Relaxed);
        let Some(lines) = market.baskets.get(place) else { return Ok(tally) };
        if place == half
            && let Some(program) = &market.args.at_half
        {
            let status = tokio::process::Command::new(program).status().await;
            if !status.is_ok_and(|status| status.success()) {
                return Err(Failure::Usage(format!("{} failed", program.display())));
            }
        }
        buy_one(&market, place, lines, &mut tally).await?;
        market.bar.inc(1);
    }
}

async fn buy_one(
    market: &Market,
    place: usize,
    lines: &[LineBody],
    tally: &mut Tally,
) -> Result<(), Failure> {
    let body = NewHold {
        lines: lines.to_vec(),
        ttl_seconds: Some(TTL_SECONDS),
        hold_id: None,
        owner: None,
        allow_partial: false,
    };
    let started = Instant::now();
    let held = market.client.hold(body).await;
    tally.note(started);
    let hold = match held {
        Ok(hold) => hold.hold_id.parse().map_err(|_| Failure::Check("a hold without an id".to_owned()))?,
        Err(Error::Refused(problem)) if problem.code == ErrorCode::InsufficientStock => {
            tally.note_refusal(&problem);
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let started = Instant::now();
    if is_released(&market.args, place) {
        market.client.release(hold, &ReleaseHold { lines: None, reason: None }).await?;
        tally.released += 1;
    } else {
        market.client.confirm(hold, &ConfirmHold { lines: None, reacquire: false }).await?;
        tally.confirmed += 1;
        for line in lines {
            tally.units += line.qty.get();
            *tally.sold.entry((line.store_id.clone(), line.item_id.clone())).or_default() += line.qty.get();
        }
    }
    tally.note(started);
    Ok(())
}

/// Whether a basket is given back: the same ones for the same seed, whichever buyer takes them.
fn is_released(args: &ReplayArgs, place: usize) -> bool {
    let seed = args.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(place as u64);
    fastrand::Rng::with_seed(seed).f64() * 100.0 < args.release_percent
}

fn report(out: &Output, tally: &Tally, baskets: usize, lines: u64, rejects: usize, elapsed: Duration) {
    let millis = |quantile| tally.micros.value_at_quantile(quantile) as f64 / 1000.0;
    let mut missed: Vec<(&ItemId, &u64)> = tally.missed.iter().collect();
    missed.sort_by_key(|(item, units)| (std::cmp::Reverse(**units), (*item).clone()));
    missed.truncate(MOST_MISSED);
    let rate = tally.requests as f64 / elapsed.as_secs_f64();
    let value = json!({
        "baskets": baskets, "lines": lines, "linesRejected": rejects,
        "sold": tally.confirmed, "refusedForStock": tally.refused, "released": tally.released,
        "unitsSold": tally.units, "requests": tally.requests,
        "seconds": elapsed.as_secs_f64(), "requestsPerSecond": rate,
        "latencyMs": {"p50": millis(0.5), "p99": millis(0.99), "max": tally.micros.max() as f64 / 1000.0},
        "mostMissed": missed.iter().map(|(item, units)| json!({"itemId": item, "units": units})).collect::<Vec<_>>(),
    });
    out.print(&value, |_| {
        let mut table = table(&["", "count"]);
        for (name, count) in [
            ("lines", lines),
            ("lines rejected", rejects as u64),
            ("baskets", baskets as u64),
            ("baskets sold", tally.confirmed),
            ("baskets refused for stock", tally.refused),
            ("baskets released", tally.released),
            ("units sold", tally.units),
            ("requests", tally.requests),
        ] {
            table.add_row(vec![name.to_owned(), count.to_string()]);
        }
        table.add_row(vec!["requests per second".to_owned(), format!("{rate:.0}")]);
        for (name, quantile) in [("latency p50", 0.5), ("latency p99", 0.99), ("latency max", 1.0)] {
            table.add_row(vec![name.to_owned(), format!("{:.1} ms", millis(quantile))]);
        }
        for (item, units) in &missed {
            table.add_row(vec![format!("missed: item {item}"), units.to_string()]);
        }
        numbers(table, 1)
    });
}

/// Every unit is accounted for: each row has sold what the buyers confirmed, holds nothing, and has the rest.
async fn account(client: &Client, out: &Output, opening: &[(RowName, u64)], tally: &Tally) -> Done {
    let mut rows: BTreeMap<RowName, Row> = BTreeMap::new();
    let mut stores: Vec<&StoreId> = opening.iter().map(|((store, _), _)| store).collect();
    stores.dedup();
    for store in stores {
        let found: Vec<Row> = client.rows_of_store(store).try_collect().await?;
        for row in found {
            if let Ok(item) = ItemId::new(&row.item_id) {
                rows.insert((store.clone(), item), row);
            }
        }
    }
    let mut wrong = Vec::new();
    for (name, units) in opening {
        let sold = tally.sold.get(name).copied().unwrap_or_default();
        let Some(row) = rows.get(name) else {
            wrong.push(format!("{}/{}: the row is gone", name.0, name.1));
            continue;
        };
        let left = i64::try_from(*units).unwrap_or(i64::MAX) - i64::try_from(sold).unwrap_or(i64::MAX);
        if row.sold != sold || row.reserved != 0 || row.available != left {
            wrong.push(format!(
                "{}/{}: opened {units}, confirmed {sold}; the cluster says sold {}, reserved {}, available {}",
                name.0, name.1, row.sold, row.reserved, row.available
            ));
        }
    }
    let mut violations = 0;
    let mut audited = 0;
    for endpoint in client.endpoints() {
        // A node that was killed on the way cannot be asked; those that answer must agree.
        if let Ok(audit) = client.audit_of(endpoint).await {
            audited += 1;
            violations += audit.violations.len();
        }
    }
    let done = json!({"rowsChecked": opening.len(), "rowsWrong": wrong.len(), "nodesAudited": audited, "violations": violations});
    out.print(&done, |_| {
        let mut table = table(&["rows checked", "rows wrong", "nodes audited", "violations"]);
        table.add_row(
            [opening.len(), wrong.len(), audited, violations].map(|count| count.to_string()).to_vec(),
        );
        table
    });
    for line in wrong.iter().take(20) {
        eprintln!("{line}");
    }
    if wrong.is_empty() && violations == 0 && audited > 0 {
        Ok(())
    } else {
        Err(Failure::Check("the account does not balance".to_owned()))
    }
}
