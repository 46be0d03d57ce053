//! Single requests in JSON, for what is asked beside the measurements.

use std::time::Duration;

use serde_json::Value;

use crate::failure::{During, Result, fail};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    /// A client of whoever listens on loopback.
    ///
    /// # Errors
    /// When there can be none.
    pub fn new() -> Result<Self> {
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build();
        client.during("a client").map(Self)
    }

    /// What a GET answers.
    ///
    /// # Errors
    /// When the answer is no success, or there is none.
    pub async fn get(&self, url: &str) -> Result<Value> {
        Self::answer(url, self.0.get(url)).await
    }

    /// What a POST answers.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(&self, url: &str, body: &Value) -> Result<Value> {
        Self::answer(url, self.0.post(url).json(body)).await
    }

    async fn answer(url: &str, request: reqwest::RequestBuilder) -> Result<Value> {
        let response = request.send().await.during(url)?;
        let status = response.status();
        let text = response.text().await.during(url)?;
        if !status.is_success() {
            return fail(format!("{url}: {status} {text}"));
        }
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).during(url) }
    }
}

/// Waits until `look` gives a value, at most half a minute.
///
/// # Errors
/// When it has given none: what it said last.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        match look().await {
            Ok(value) => return Ok(value),
            Err(failure) if tokio::time::Instant::now() > deadline => {
                return fail(format!("{what}: waited in vain: {failure}"));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
