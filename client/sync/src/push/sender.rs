//! One attempt to give a message to a receiver. It repeats nothing; the worker does.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};

use super::message::Message;
use super::signature::{Secret, signatures};
use crate::clock;

/// So much of an answer is read, in bytes: what it says does not matter, but that it comes to its end does.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// How long a connection to a receiver may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Sends messages. Cheap to clone: a handle.
#[derive(Debug, Clone)]
pub struct Sender(reqwest::Client);

/// Why a receiver did not take a message.
#[derive(Debug)]
pub struct Failure {
    /// What happened.
    pub detail: String,
    /// How long it asked to be left alone.
    pub wait: Option<Duration>,
}

impl Sender {
    /// A sender whose attempts take up to `timeout` each.
    ///
    /// # Errors
    /// When the HTTP client cannot be made, in words.
    pub fn new(timeout: Duration) -> Result<Self, String> {
        reqwest::Client::builder()
            // A receiver that moved is to be subscribed anew: the signature was meant for the address that was given.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .build()
            .map(Self)
            .map_err(|error| format!("no HTTP client: {error}"))
    }

    /// Sends a message. It was taken when the answer is 2xx and comes whole.
    ///
    /// # Errors
    /// When it was not taken, as far as can be told: it may have been.
    pub async fn send(&self, url: &str, secrets: &[Secret], message: &Message) -> Result<(), Failure> {
        let timestamp = u64::try_from(clock::now_ms() / 1000).unwrap_or_default();
        let body = message.body.clone().into_bytes();
        let request = self
            .0
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("holdfast-sync/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", &message.id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures(secrets, &message.id, timestamp, &body))
            .body(body);
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status();
        if !status.is_success() {
            let wait =
                response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            let detail = format!("it answered {}", status.as_u16());
            return Err(Failure { detail, wait: wait.map(Duration::from_secs) });
        }
        let mut read = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
            read += chunk.len();
            if read > MAX_ANSWER_BYTES {
                break;
            }
        }
        Ok(())
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    let innermost =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).last();
    let detail = if error.is_timeout() {
        "no answer in time".to_owned()
    } else if error.is_connect() {
        format!("no connection: {}", innermost.map_or_else(String::new, ToString::to_string))
    } else {
        format!("it broke off: {}", innermost.map_or_else(String::new, ToString::to_string))
    };
    Failure { detail, wait: None }
}
