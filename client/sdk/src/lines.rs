//! A stream of JSON lines from one node: opened once, read line by line. It repeats nothing.

use std::time::Duration;

use bytes::BytesMut;
use holdfast_api::{NDJSON, Problem};
use reqwest::Response;
use reqwest::header::ACCEPT;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::attempt::cause;

/// No line is longer, in bytes: a record has a few short texts.
const MAX_LINE_BYTES: usize = 1 << 20;

/// A node gives a bookmark when it has nothing else for three seconds. One that is silent for so long is gone.
const SILENCE: Duration = Duration::from_secs(15);

/// What came of opening a stream.
pub enum Opened {
    /// It is open.
    Open(Lines),
    /// The node said no.
    Refused(Box<Problem>),
    /// No stream, in words.
    Failed(String),
}

/// A stream that is open.
pub struct Lines {
    node: String,
    response: Response,
    buffer: BytesMut,
    /// Of `buffer`, so much has no end of a line.
    searched: usize,
}

impl Lines {
    /// Asks `node` for a stream; it must begin within `patience`.
    pub async fn open(http: &reqwest::Client, node: &str, path: &str, patience: Duration) -> Opened {
        let request = http.get(format!("http://{node}{path}")).header(ACCEPT, NDJSON).send();
        let response = match timeout(patience, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Opened::Failed(format!("{node}: {}", cause(&error))),
            Err(_) => return Opened::Failed(format!("{node}: no answer in time")),
        };
        let status = response.status();
        if status.is_success() {
            let node = node.to_owned();
            return Opened::Open(Self { node, response, buffer: BytesMut::new(), searched: 0 });
        }
        match timeout(patience, response.bytes()).await {
            Ok(Ok(body)) => match serde_json::from_slice(&body) {
                Ok(problem) => Opened::Refused(Box::new(problem)),
                Err(_) => Opened::Failed(format!("{node}: status {status} without a problem")),
            },
            Ok(Err(_)) | Err(_) => Opened::Failed(format!("{node}: the answer broke off")),
        }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// When the stream breaks off, falls silent, or has a line that is none; in words.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, String> {
        loop {
            if let Some(found) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.searched + found + 1);
                self.searched = 0;
                return serde_json::from_slice(&line)
                    .map(Some)
                    .map_err(|error| self.failed(&format!("a line cannot be read: {error}")));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_LINE_BYTES {
                return Err(self.failed("a line has no end"));
            }
            match timeout(SILENCE, self.response.chunk()).await {
                Ok(Ok(Some(bytes))) => self.buffer.extend_from_slice(&bytes),
                Ok(Ok(None)) if self.buffer.is_empty() => return Ok(None),
                Ok(Ok(None)) => return Err(self.failed("the stream ended within a line")),
                Ok(Err(error)) => return Err(self.failed(&cause(&error))),
                Err(_) => return Err(self.failed("the stream has fallen silent")),
            }
        }
    }

    /// What went wrong, with the node that it went wrong at.
    pub fn failed(&self, what: &str) -> String {
        format!("{}: {what}", self.node)
    }
}
