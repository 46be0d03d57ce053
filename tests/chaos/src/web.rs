//! HTTP to the nodes, with what the checks need to know of a failure: whether the request can have been taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::history::End;
use crate::op::Op;
use crate::wire;

/// How long a node may work on a request, in milliseconds.
const WORK_MS: u64 = 2000;

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(4000);

/// The nodes' addresses for clients, and how often each was started.
pub struct Web {
    client: reqwest::Client,
    addresses: Vec<String>,
    lives: Vec<AtomicU64>,
}

/// An answer.
pub struct Got {
    /// Its status.
    pub status: u16,
    /// It repeats what was done before.
    pub repeated: bool,
    /// The last movement that the node had applied.
    pub applied_seq: u64,
    /// Its body; null when it is no JSON.
    pub body: Value,
}

/// Why there is no answer.
pub enum Lost {
    /// No connection came to be, so nothing was sent.
    NotSent,
    /// It may have been taken.
    Sent,
}

impl Web {
    /// A client of these nodes.
    ///
    /// # Panics
    /// When no client can be made.
    #[must_use]
    pub fn new(addresses: Vec<String>) -> Self {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .expect("a plain client");
        let lives = addresses.iter().map(|_| AtomicU64::new(0)).collect();
        Self { client, addresses, lives }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.addresses.len()
    }

    /// How often a node was started.
    #[must_use]
    pub fn life(&self, node: usize) -> u64 {
        self.lives[node].load(Ordering::SeqCst)
    }

    /// A node is about to be started.
    pub fn begin_life(&self, node: usize) {
        self.lives[node].fetch_add(1, Ordering::SeqCst);
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn open(&self, node: usize, path: &str) -> reqwest::Result<reqwest::Response> {
        let url = format!("http://{}{path}", self.addresses[node]);
        self.client.get(url).header("accept", "application/x-ndjson").send().await
    }

    /// Asks a node and reads its answer.
    ///
    /// # Errors
    /// When there is none within `patience`.
    pub async fn ask(&self, node: usize, request: wire::Request, patience: Duration) -> Result<Got, Lost> {
        let url = format!("http://{}{}", self.addresses[node], request.path);
        let mut asked = self.client.request(request.method, url).timeout(patience);
        asked = asked.header("holdfast-timeout-ms", WORK_MS);
        if let Some(key) = request.key {
            asked = asked.header("idempotency-key", key);
        }
        if let Some(body) = request.body {
            asked = asked.json(&body);
        }
        let lost = |error: reqwest::Error| if error.is_connect() { Lost::NotSent } else { Lost::Sent };
        let response = asked.send().await.map_err(lost)?;
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let repeated = header("idempotency-replayed") == Some("true");
        let applied_seq =
            header("holdfast-applied-seq").and_then(|text| text.parse().ok()).unwrap_or_default();
        let bytes = response.bytes().await.map_err(|_| Lost::Sent)?;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Got { status, repeated, applied_seq, body })
    }

    /// Asks for an operation.
    pub async fn perform(&self, node: usize, shelf: u64, op: &Op) -> End {
        match self.ask(node, wire::request(shelf, op), PATIENCE).await {
            Ok(got) => wire::end(op, got.status, got.repeated, got.applied_seq, &got.body),
            Err(Lost::NotSent) => End::NotDone("not sent".to_owned()),
            Err(Lost::Sent) if op.is_read() => End::NotDone("no answer".to_owned()),
            Err(Lost::Sent) => End::Unknown,
        }
    }

    /// The body of a page, when it is answered with 200.
    pub async fn get(&self, node: usize, path: &str, patience: Duration) -> Option<Value> {
        let request = wire::Request { method: Method::GET, path: path.to_owned(), key: None, body: None };
        let got = self.ask(node, request, patience).await.ok()?;
        (got.status == 200).then_some(got.body)
    }
}
