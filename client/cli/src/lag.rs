//! `holdfast lag`: how long it takes until those who follow have what was acknowledged.
//!
//! Consumers and producer share one clock, that of this process. Readers look for cursors in the bytes that come and parse
//! nothing else, so that they cost the machine little.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use hdrhistogram::Histogram;
use holdfast_sdk::Client;
use holdfast_sdk::model::{StoreId, SubscriptionId};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::Done;
use crate::bench::{STORE, item, make_rows, reserve_command, why};
use crate::failure::Failure;
use crate::output::Output;
use crate::tables::{histogram, latency, millis, numbers, record, table};

/// Batches a second: small enough that one does not wait for its own commands.
const BATCHES_PER_SECOND: u32 = 100;
/// Rows that the work spreads over.
const ROWS: u64 = 1000;
/// How long consumers may take at the start and at the end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reserves at a fixed rate, and measures for each consumer the time from the acknowledgement of a movement until it has it
/// (0 when it has it sooner): the feed of the leader and of a follower, and with --sync the store's feed and a webhook.
#[derive(Debug, Args)]
pub struct Lag {
    /// Movements a second
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    rate: u32,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The sync service
    #[arg(long, value_name = "HOST:PORT")]
    sync: Option<String>,
}

/// When a consumer had everything up to a sequence.
type Seen = Arc<Mutex<BTreeMap<u64, Instant>>>;

/// Movements that were acknowledged together.
struct Acknowledged {
    seqs: Vec<u64>,
    at: Instant,
}

impl Lag {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let store = StoreId::new(STORE).expect("letters");
        make_rows(client, &store, ROWS).await?;
        let (mut readers, mut hook) = (JoinSet::new(), None);
        let measured = self.measure(client, &store, &mut readers, &mut hook).await;
        // Nobody receives there any more.
        if let Some(subscription) = hook {
            client.remove_subscription(subscription).await?;
        }
        readers.shutdown().await;
        let (lags, failed) = measured?;
        self.print(out, &lags, &failed)?;
        match failed.first() {
            None => Ok(()),
            Some(why) => Err(Failure::Check(format!("{} batches failed, the first: {why}", failed.len()))),
        }
    }

    async fn measure(
        &self,
        client: &Client,
        store: &StoreId,
        readers: &mut JoinSet<()>,
        hook: &mut Option<SubscriptionId>,
    ) -> Result<(Vec<(&'static str, Histogram<u64>)>, Vec<String>), Failure> {
        let consumers = self.consumers(client, readers, hook).await?;
        let (seqs, failed) = self.produce(client, store).await;
        let last = seqs.iter().flat_map(|some| &some.seqs).max().copied().unwrap_or_default();
        for (name, seen) in &consumers {
            until(|| seen.lock().keys().next_back() >= Some(&last))
                .await
                .map_err(|()| Failure::Check(format!("{name} did not get everything in a minute")))?;
        }
        let lags = consumers.iter().map(|(name, seen)| (*name, lag(&seqs, &seen.lock())));
        Ok((lags.collect(), failed))
    }

    fn print(&self, out: &Output, lags: &[(&str, Histogram<u64>)], failed: &[String]) -> Done {
        let consumers = lags.iter().map(
            |(name, micros)| json!({"consumer": name, "movements": micros.len(), "lagMs": latency(micros)}),
        );
        let value = json!({
            "ratePerSecond": self.rate, "failed": failed, "consumers": consumers.collect::<Vec<_>>(),
        });
        out.print(&value, |_| {
            let mut lines = table(&["consumer", "movements", "p50 ms", "p99 ms", "max ms"]);
            for (name, micros) in lags {
                let mut cells = vec![(*name).to_owned(), micros.len().to_string()];
                cells.extend([0.5, 0.99, 1.0].map(|quantile| format!("{:.2}", millis(micros, quantile))));
                lines.add_row(cells);
            }
            numbers(lines, 1)
        })
    }

    /// Starts them all, and waits until each has been heard from.
    async fn consumers(
        &self,
        client: &Client,
        readers: &mut JoinSet<()>,
        hook: &mut Option<SubscriptionId>,
    ) -> Result<Vec<(&'static str, Seen)>, Failure> {
        let status = client.status_of(&client.endpoints()[0]).await?;
        let leader = status.leader.map(|leader| leader.http);
        let leader = leader.ok_or_else(|| Failure::Check("nobody leads".to_owned()))?;
        let follower = status.members.into_iter().map(|member| member.http).find(|http| *http != leader);
        let mut consumers = vec![("feed, leader", reader(&leader, "/feed", readers).await?)];
        if let Some(follower) = follower {
            consumers.push(("feed, follower", reader(&follower, "/feed", readers).await?));
        }
        if let Some(sync) = &self.sync {
            let path = format!("/stores/{STORE}/feed");
            consumers.push(("sync view, store's feed", reader(sync, &path, readers).await?));
            let (seen, subscription) = webhook(sync, readers).await?;
            *hook = Some(subscription);
            consumers.push(("sync, webhook", seen));
        }
        for (name, seen) in &consumers {
            until(|| !seen.lock().is_empty())
                .await
                .map_err(|()| Failure::Check(format!("{name}: nothing came in a minute")))?;
        }
        Ok(consumers)
    }

    /// Sends the batches, each at its time, and returns what was acknowledged when, and what failed.
    async fn produce(&self, client: &Client, store: &StoreId) -> (Vec<Acknowledged>, Vec<String>) {
        let size = self.rate / BATCHES_PER_SECOND;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / BATCHES_PER_SECOND);
        let mut batches = JoinSet::new();
        for _ in 0..self.seconds * u64::from(BATCHES_PER_SECOND) {
            ticks.tick().await;
            let commands = (0..size).map(|_| reserve_command(store, item(fastrand::u64(0..ROWS)))).collect();
            let client = client.clone();
            batches.spawn(async move {
                let replies = client.batch(commands).await.map_err(why)?;
                let at = Instant::now();
                let done = replies.iter().filter(|reply| reply.result.is_ok());
                Ok::<_, String>(Acknowledged { seqs: done.map(|reply| reply.seq.0).collect(), at })
            });
        }
        let (mut acknowledged, mut failed) = (Vec::new(), Vec::new());
        for batch in batches.join_all().await {
            match batch {
                Ok(some) => acknowledged.push(some),
                Err(why) => failed.push(why),
            }
        }
        (acknowledged, failed)
    }
}

fn lag(acknowledged: &[Acknowledged], seen: &BTreeMap<u64, Instant>) -> Histogram<u64> {
    let mut micros = histogram();
    for some in acknowledged {
        for &seq in &some.seqs {
            if let Some((_, at)) = seen.range(seq..).next() {
                record(&mut micros, at.saturating_duration_since(some.at));
            }
        }
    }
    micros
}

async fn until(condition: impl Fn() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return Err(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn unreachable(address: &str) -> impl Fn(std::io::Error) -> Failure {
    move |error| Failure::Check(format!("{address}: {error}"))
}

/// Reads server-sent events, whose ids are cursors.
async fn reader(address: &str, path: &str, readers: &mut JoinSet<()>) -> Result<Seen, Failure> {
    let mut stream = TcpStream::connect(address).await.map_err(unreachable(address))?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(unreachable(address))?;
    let seen = Seen::default();
    let mine = seen.clone();
    readers.spawn(async move {
        let mut lines = BufReader::with_capacity(256 << 10, stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(seq) = line.strip_prefix("id: ").or_else(|| line.strip_prefix("id:")).and_then(seq_of)
            {
                mine.lock().insert(seq, Instant::now());
            }
        }
    });
    Ok(seen)
}

/// Subscribes to the store's messages, and receives them.
async fn webhook(sync: &str, readers: &mut JoinSet<()>) -> Result<(Seen, SubscriptionId), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(unreachable("127.0.0.1"))?;
    let url = format!("http://{}/", listener.local_addr().map_err(unreachable("127.0.0.1"))?);
    let body = json!({"url": url}).to_string();
    let mut stream = TcpStream::connect(sync).await.map_err(unreachable(sync))?;
    let request = format!(
        "POST /stores/{STORE}/subscriptions HTTP/1.1\r\nhost: {sync}\r\nconnection: close\r\ncontent-type: \
         application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.map_err(unreachable(sync))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(unreachable(sync))?;
    let body = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
    let subscription = body.and_then(|body| body["subscriptionId"].as_str()?.parse().ok());
    let subscription = subscription.ok_or_else(|| Failure::Check(format!("{sync}: {answer}")))?;
    let seen = Seen::default();
    let mine = seen.clone();
    readers.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // The service sends one message at a time; a closed connection means a new one.
            let _ = receive(stream, &mine).await;
        }
    });
    Ok((seen, subscription))
}

async fn receive(stream: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut stream = BufReader::with_capacity(256 << 10, stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or_default();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let at = Instant::now();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(seq) = body["data"]["cursor"].as_str().and_then(seq_of) {
            seen.lock().insert(seq, at);
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
}

/// The sequence of a cursor.
fn seq_of(cursor: &str) -> Option<u64> {
    cursor.trim().rsplit_once('.')?.1.parse().ok()
}
