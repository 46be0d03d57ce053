//! A stream of a node, read line by line.

use serde_json::Value;

use crate::PATIENCE;

/// The content type of lines.
const NDJSON: &str = "application/x-ndjson";

/// An open stream.
pub struct Stream {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

impl Stream {
    /// Opens a stream of lines at the node at `address`; none when it does not answer with 200.
    pub async fn try_open(address: &str, path: &str) -> Option<Self> {
        Self::try_open_with(address, path, &[("accept", NDJSON)]).await
    }

    /// Opens a stream with these headers; none when it does not answer with 200.
    ///
    /// # Panics
    /// When a client cannot be made, or the node neither answers nor hangs up.
    pub async fn try_open_with(address: &str, path: &str, headers: &[(&str, &str)]) -> Option<Self> {
        let client = reqwest::Client::builder().no_proxy().build().expect("a plain client");
        let mut request = client.get(format!("http://{address}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = tokio::time::timeout(PATIENCE, request.send()).await;
        let response = answer.expect("the node answers or hangs up").ok()?;
        (response.status() == 200).then_some(Self { response, buffer: Vec::new() })
    }

    /// Opens a stream of lines.
    ///
    /// # Panics
    /// When the node does not give one.
    pub async fn open(address: &str, path: &str) -> Self {
        Self::try_open(address, path).await.expect("a stream")
    }

    /// A header of the answer, empty when it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The next line, with its end; none when the stream has ended or broken off.
    ///
    /// # Panics
    /// When nothing comes.
    pub async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.drain(..=end).collect();
                return Some(String::from_utf8(line).expect("a line is UTF-8"));
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            self.buffer.extend_from_slice(&chunk.expect("something comes").ok()??);
        }
    }

    /// The next line as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub async fn json(&mut self) -> Option<Value> {
        self.line().await.map(|line| serde_json::from_str(&line).expect("a line is JSON"))
    }

    /// The next `count` records, whatever bookmarks come in between.
    ///
    /// # Panics
    /// When the stream ends before.
    pub async fn records(&mut self, count: usize) -> Vec<Value> {
        let mut records = Vec::new();
        while records.len() < count {
            let line = self.json().await.expect("the stream goes on");
            if line["record"].is_object() {
                records.push(line);
            }
        }
        records
    }

    /// The problem that it ends with.
    ///
    /// # Panics
    /// When it ends with none.
    pub async fn last_words(&mut self) -> Value {
        let mut last = Value::Null;
        while let Some(line) = self.json().await {
            last = line;
        }
        assert!(last["error"].is_object(), "{last}");
        last["error"].clone()
    }
}

/// The sequences of lines with records.
#[must_use]
pub fn seqs(lines: &[Value]) -> Vec<u64> {
    lines.iter().filter_map(|line| line["record"]["seq"].as_u64()).collect()
}
