//! Readers of the feed that move from node to node and go on at the cursor that they have reached.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::history::{Event, History};
use crate::web::Web;

/// Nothing for so long means that the node is gone: a bookmark comes sooner.
const SILENCE: Duration = Duration::from_secs(7);

/// A record, as short as a history can hold it.
#[must_use]
pub fn hash(record: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    record.to_string().hash(&mut hasher);
    hasher.finish()
}

/// One reader.
pub struct Consumer {
    name: String,
    filter: &'static str,
    web: Arc<Web>,
    history: Arc<History>,
    cursor: String,
    reached: Arc<AtomicU64>,
}

/// Why a stream is left.
enum Left {
    /// It ended, or somebody else is to be asked.
    Ended,
    /// The node would not go on from the cursor.
    Refused(String),
}

impl Consumer {
    /// A reader from the beginning; `filter` goes into the query. What it has reached can be asked for.
    #[must_use]
    pub fn new(
        name: &str,
        filter: &'static str,
        web: &Arc<Web>,
        history: &Arc<History>,
    ) -> (Self, Arc<AtomicU64>) {
        let reached = Arc::new(AtomicU64::new(0));
        let (name, web, history) = (name.to_owned(), web.clone(), history.clone());
        (Self { name, filter, web, history, cursor: "0".to_owned(), reached: reached.clone() }, reached)
    }

    /// Reads until it is dropped.
    pub async fn run(mut self) {
        loop {
            let node = fastrand::usize(..self.web.count());
            // Now and then long enough for a bookmark, without which a reader of few records never learns how far it is.
            let most_ms = if fastrand::u32(..4) == 0 { 10_000 } else { 3000 };
            let stay = Duration::from_millis(fastrand::u64(200..most_ms));
            if let Ok(Left::Refused(code)) = tokio::time::timeout(stay, self.read(node)).await {
                let consumer = self.name.clone();
                self.history.write(&Event::FeedRefused { consumer, node, code });
            }
            // A node that is down refuses at once.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn read(&mut self, node: usize) -> Left {
        let path = format!("/feed?after={}{}", self.cursor, self.filter);
        let Ok(mut response) = self.web.open(node, &path).await else { return Left::Ended };
        let is_stream = response.status() == 200;
        let mut buffer = Vec::new();
        while let Ok(Ok(Some(bytes))) = tokio::time::timeout(SILENCE, response.chunk()).await {
            buffer.extend_from_slice(&bytes);
            if is_stream {
                let whole = buffer.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
                let lines: Vec<u8> = buffer.drain(..whole).collect();
                if let Some(code) = self.take(node, &lines) {
                    return Left::Refused(code);
                }
            }
        }
        if is_stream {
            return Left::Ended;
        }
        let problem: Value = serde_json::from_slice(&buffer).unwrap_or_default();
        Left::Refused(problem["code"].as_str().unwrap_or("no code").to_owned())
    }

    /// Takes whole lines, without waiting for anything in between: what is written down and the cursor go together.
    /// Returns the code when the stream ends with a problem.
    fn take(&mut self, node: usize, lines: &[u8]) -> Option<String> {
        let (mut records, mut refused) = (Vec::new(), None);
        for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(line) = serde_json::from_slice::<Value>(line) else {
                refused = Some("a line that is no JSON".to_owned());
                break;
            };
            if let Some(code) = line["error"]["code"].as_str() {
                refused = Some(code.to_owned());
                break;
            }
            if let Some(cursor) = line["cursor"].as_str() {
                self.cursor = cursor.to_owned();
            }
            if line["record"].is_object() {
                records.push((line["record"]["seq"].as_u64().unwrap_or_default(), hash(&line["record"])));
            }
        }
        if !records.is_empty() {
            self.history.write(&Event::Feed { consumer: self.name.clone(), node, records });
        }
        let at = self.cursor.rsplit('.').next().and_then(|seq| seq.parse().ok()).unwrap_or_default();
        self.reached.store(at, Ordering::Relaxed);
        refused
    }
}
