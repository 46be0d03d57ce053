//! One round: a new cluster, clients and readers, faults, then everything healed, life demanded, and all that was seen
//! checked. A round that passes leaves nothing; one that fails leaves its directory.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::check::{Report, check};
use crate::clients::Clients;
use crate::consumer::Consumer;
use crate::faults::{Fault, Nemesis, last_lines};
use crate::history::{self, History};
use crate::kills;
use crate::site::{Ground, MEMBERS, Site};
use crate::web::Web;

/// How long the healed cluster may take to be whole again: a bound on liveness.
const RECOVERY: Duration = Duration::from_secs(90);

/// How long one page of the ledger, or an audit, may take.
const PAGE: Duration = Duration::from_secs(60);

/// Records on one page.
const PAGE_RECORDS: u64 = 5000;

/// The file of the history.
pub const HISTORY: &str = "history.jsonl";

/// The file of the ledger.
pub const LEDGER: &str = "ledger.jsonl";

/// What a round is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The faults to choose from.
    pub faults: Vec<Fault>,
    /// What is between the nodes.
    pub ground: Ground,
    /// How long there are faults.
    pub length: Duration,
    /// Where the schedule of faults comes from.
    pub seed: u64,
    /// Clients.
    pub clients: u32,
    /// Operations a second that they ask for altogether.
    pub rate: u32,
    /// In place of a length: kill the leader so often, and measure.
    pub kills: Option<u32>,
}

/// What came of a round.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the checks say.
    pub report: Report,
    /// How long clients worked.
    pub worked: Duration,
    /// How often each fault was made.
    pub made: BTreeMap<String, u32>,
    /// How long no write was answered after each kill of a leader.
    pub outages: Vec<Duration>,
}

/// Runs a round in a directory. None when its ground cannot be had here.
///
/// # Errors
/// When the cluster does not behave as it must; the checks' own findings are in the report.
pub async fn run(dir: &Path, plan: &Plan) -> Result<Option<Outcome>, String> {
    let Some(site) = Site::start(dir, plan.ground).await? else { return Ok(None) };
    let history = History::create(&dir.join(HISTORY), plan.seed).map_err(|error| error.to_string())?;
    let history = Arc::new(history);
    let web = site.web.clone();
    await_all(&web, "the new cluster", "/readyz").await?;
    let readers = Readers::start(&web, &history);
    let mut nemesis = Nemesis::new(site, &history, &plan.faults, plan.seed);
    let mut outcome = Outcome::default();
    let survived = live_through(&mut nemesis, plan, &history, &mut outcome).await;
    let site = nemesis.into_site();
    let settled = match survived {
        Ok(()) => settle(&web, readers, &history, dir).await,
        Err(why) => Err(why),
    };
    history.flush();
    let outputs: Vec<String> = (0..MEMBERS).map(|node| site.output(node)).collect();
    site.end().await;
    settled?;
    outcome.report = recheck(dir)?;
    for (node, output) in outputs.iter().enumerate() {
        if let Some(line) = output.lines().find(|line| line.contains("panicked")) {
            outcome.report.violation("panic", format_args!("node {}: {line}", node + 1));
        }
    }
    Ok(Some(outcome))
}

/// Clients work, faults are made and healed, and life is demanded under load.
async fn live_through(
    nemesis: &mut Nemesis,
    plan: &Plan,
    history: &Arc<History>,
    outcome: &mut Outcome,
) -> Result<(), String> {
    let begun = Instant::now();
    let clients = Clients::start(&nemesis.site().web.clone(), history, plan.clients, plan.rate);
    let raged = match plan.kills {
        Some(count) => {
            let outages = kills::kill_leaders(nemesis.site(), history, count).await;
            outages.map(|outages| outcome.outages = outages)
        }
        None => nemesis.rage(begun + plan.length).await,
    };
    let lives = match raged {
        Ok(()) => demand_life(nemesis.site()).await,
        Err(why) => Err(why),
    };
    let panicked = clients.stop().await;
    outcome.worked = begun.elapsed();
    outcome.made = std::mem::take(&mut nemesis.made);
    lives?;
    if panicked > 0 { Err(format!("{panicked} clients panicked")) } else { Ok(()) }
}

/// Those who read the feed, and how far each has come.
struct Readers {
    tasks: JoinSet<()>,
    reached: Vec<Arc<AtomicU64>>,
}

impl Readers {
    /// Two who want all, and two who want one kind of records.
    fn start(web: &Arc<Web>, history: &Arc<History>) -> Self {
        let mut readers = Self { tasks: JoinSet::new(), reached: Vec::new() };
        for (name, filter) in [
            ("first", ""),
            ("second", ""),
            ("only RESERVED", "&kind=RESERVED"),
            ("only EXPIRED", "&kind=EXPIRED"),
        ] {
            let (consumer, at) = Consumer::new(name, filter, web, history);
            readers.tasks.spawn(consumer.run());
            readers.reached.push(at);
        }
        readers
    }
}

/// Checks the history and the ledger that lie in a directory.
///
/// # Errors
/// When they cannot be read.
pub fn recheck(dir: &Path) -> Result<Report, String> {
    let named = |path: PathBuf| move |error: std::io::Error| format!("{}: {error}", path.display());
    let events = history::read(&dir.join(HISTORY)).map_err(named(dir.join(HISTORY)))?;
    let text = fs::read_to_string(dir.join(LEDGER)).map_err(named(dir.join(LEDGER)))?;
    let ledger: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let ledger = ledger.map_err(|error| format!("{}: {error}", dir.join(LEDGER).display()))?;
    Ok(check(&events, &ledger))
}

async fn await_all(web: &Web, what: &str, path: &str) -> Result<(), String> {
    let deadline = Instant::now() + RECOVERY;
    for node in 0..web.count() {
        while web.get(node, path, Duration::from_secs(2)).await.is_none() {
            if Instant::now() > deadline {
                return Err(format!("{what}: node {} does not answer {path} within {RECOVERY:?}", node + 1));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// All nodes give up-to-date answers again.
async fn demand_life(site: &mut Site) -> Result<(), String> {
    let lives = await_all(&site.web.clone(), "after the faults", "/readyz").await;
    match site.fallen().first() {
        Some(node) => Err(format!("node {} has ended: {}", node + 1, last_lines(&site.output(*node)))),
        None => lives,
    }
}

/// Waits until every reader of the feed has come to where the cluster stands.
async fn await_readers(web: &Web, readers: &Readers) -> Result<(), String> {
    let last = agree(web).await?;
    let deadline = Instant::now() + RECOVERY;
    for at in &readers.reached {
        while at.load(Ordering::Relaxed) < last {
            if Instant::now() > deadline {
                return Err(format!("a reader of the feed is at {} of {last}", at.load(Ordering::Relaxed)));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// Reads everything from every node and compares; writes the ledger down, which reaches as far as any reader came.
async fn settle(web: &Web, mut readers: Readers, history: &History, dir: &Path) -> Result<(), String> {
    let arrived = await_readers(web, &readers).await;
    readers.tasks.shutdown().await;
    history.flush();
    arrived?;
    let last = agree(web).await?;
    for node in 0..MEMBERS {
        let audit = web.get(node, "/audit", PAGE).await;
        let Some(audit) = audit else { return Err(format!("node {} gives no audit", node + 1)) };
        if audit["violations"].as_array().is_none_or(|violations| !violations.is_empty()) {
            return Err(format!("the audit of node {}: {}", node + 1, audit["violations"]));
        }
    }
    compare_ledgers(web, last, dir).await
}

/// Waits until all nodes stand at the same index with the same digest, and no hold is due that was not ended; returns the
/// last sequence.
async fn agree(web: &Web) -> Result<u64, String> {
    let deadline = Instant::now() + RECOVERY;
    let mut seen = Vec::new();
    while Instant::now() < deadline {
        seen.clear();
        for node in 0..MEMBERS {
            let status = web.get(node, "/cluster", Duration::from_secs(2)).await.unwrap_or_default();
            seen.push(["appliedIndex", "digest", "appliedSeq", "holdsDue"].map(|part| status[part].clone()));
        }
        let is_over = seen[0][3] == 0 && seen.iter().all(|other| *other == seen[0]);
        if let (true, Some(last)) = (is_over, seen[0][2].as_u64()) {
            return Ok(last);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(format!("the nodes do not come to the same state within {RECOVERY:?}: {seen:?}"))
}

/// Reads the whole ledger of every node; the first one's is written down.
async fn compare_ledgers(web: &Web, last: u64, dir: &Path) -> Result<(), String> {
    let mut first: Vec<Value> = Vec::new();
    for node in 0..MEMBERS {
        let ledger = read_ledger(web, node, last).await?;
        if node == 0 {
            write_ledger(&dir.join(LEDGER), &ledger).map_err(|error| error.to_string())?;
            first = ledger;
        } else if ledger != first {
            let other = dir.join(format!("ledger-of-node-{}.jsonl", node + 1));
            write_ledger(&other, &ledger).map_err(|error| error.to_string())?;
            let place = first.iter().zip(&ledger).position(|(one, two)| one != two);
            let place = place.unwrap_or(first.len().min(ledger.len())) + 1;
            return Err(format!("the ledgers of nodes 1 and {} differ from record {place} on", node + 1));
        }
    }
    Ok(())
}

fn write_ledger(path: &Path, ledger: &[Value]) -> std::io::Result<()> {
    let mut file = std::io::BufWriter::new(fs::File::create(path)?);
    for record in ledger {
        writeln!(file, "{record}")?;
    }
    file.flush()
}

async fn read_ledger(web: &Web, node: usize, last: u64) -> Result<Vec<Value>, String> {
    let mut ledger: Vec<Value> = Vec::new();
    let deadline = Instant::now() + RECOVERY;
    while (ledger.len() as u64) < last {
        let path = format!("/movements?after={}&limit={PAGE_RECORDS}", ledger.len());
        let mut page = web.get(node, &path, PAGE).await.unwrap_or_default();
        match page["movements"].as_array_mut() {
            Some(records) if !records.is_empty() => ledger.append(records),
            // A ledger that is being rebuilt says so, and is asked again.
            _ if Instant::now() > deadline => {
                return Err(format!("node {} gives {} of {last} records", node + 1, ledger.len()));
            }
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
    // Holds may have ended since.
    ledger.truncate(usize::try_from(last).unwrap_or(usize::MAX));
    Ok(ledger)
}
