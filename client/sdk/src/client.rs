//! One call, however many attempts it takes.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_api::{OCTET_STREAM, Problem, header};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::Error;

/// The first wait between two attempts is random up to this, the next up to twice as much, and so on.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// No wait between two attempts is longer.
const MAX_BACKOFF: Duration = Duration::from_millis(400);

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a call may take with all its attempts.
    pub call_timeout: Duration,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(15),
            attempt_timeout: Duration::from_secs(6),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// A client of one cluster. Cheap to clone: a handle.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    endpoints: Vec<String>,
    /// Who leads, as far as is known.
    leader: Mutex<Option<String>>,
    /// Which endpoint is asked next when nobody is known to lead.
    turn: AtomicUsize,
    options: Options,
}

/// What a call sends.
pub(crate) enum Payload {
    None,
    Json(Vec<u8>),
    Octets(Vec<u8>),
}

/// What came of one attempt.
enum Attempt {
    Done(Vec<u8>),
    Refused(Box<Problem>),
    /// Ask that one.
    Elsewhere(String),
    /// Nothing was done.
    NotTaken(String),
    /// Sent, and no telling.
    Unknown(String),
    Senseless(String),
}

impl Client {
    /// A client of the cluster whose nodes are at `endpoints`, each `host:port`.
    ///
    /// # Errors
    /// When there is no endpoint, or the HTTP client cannot be made.
    pub fn new(
        endpoints: impl IntoIterator<Item = impl Into<String>>,
        options: Options,
    ) -> Result<Self, Error> {
        let endpoints: Vec<String> = endpoints.into_iter().map(Into::into).collect();
        if endpoints.is_empty() {
            return Err(Error::Unavailable("no endpoint was given".to_owned()));
        }
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .timeout(options.attempt_timeout)
            .build()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let (leader, turn) = (Mutex::default(), AtomicUsize::default());
        Ok(Self(Arc::new(Inner { http, endpoints, leader, turn, options })))
    }

    /// The nodes that this client knows.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        &self.0.endpoints
    }

    /// Looks something up on whichever node answers.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(&self.call(Method::GET, path, None, &Payload::None).await?)
    }

    /// Looks something up on one node.
    pub(crate) async fn get_from<T: DeserializeOwned>(&self, endpoint: &str, path: &str) -> Result<T, Error> {
        match self.attempt(endpoint, &Method::GET, path, None, &Payload::None).await {
            Attempt::Done(body) => parse(&body),
            Attempt::Refused(problem) => Err(Error::Refused(problem)),
            Attempt::Elsewhere(why) | Attempt::NotTaken(why) | Attempt::Unknown(why) => {
                Err(Error::Unavailable(why))
            }
            Attempt::Senseless(why) => Err(Error::Protocol(why)),
        }
    }

    /// Changes something. `key` is kept over all attempts.
    pub(crate) async fn change<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: &B,
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).map_err(|error| Error::Protocol(error.to_string()))?;
        parse(&self.call(method, path, key, &Payload::Json(body)).await?)
    }

    /// Makes attempts until one succeeds, the cluster says no, or the time is over.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        payload: &Payload,
    ) -> Result<Vec<u8>, Error> {
        let deadline = Instant::now() + self.0.options.call_timeout;
        let mut backoff = FIRST_BACKOFF;
        // Once an attempt may have been carried out, that stays so, whatever later ones say.
        let mut unknown = None;
        loop {
            let endpoint = self.target();
            let attempt = self.attempt(&endpoint, &method, path, key, payload).await;
            let why = match attempt {
                Attempt::Done(body) => return Ok(body),
                Attempt::Refused(problem) => return Err(Error::Refused(problem)),
                Attempt::Senseless(why) => return Err(Error::Protocol(why)),
                Attempt::Elsewhere(leader) => {
                    let is_new = self.lead(Some(leader), &endpoint);
                    if is_new && Instant::now() < deadline {
                        continue;
                    }
                    "leadership is changing".to_owned()
                }
                Attempt::NotTaken(why) => {
                    self.lead(None, &endpoint);
                    why
                }
                Attempt::Unknown(why) => {
                    self.lead(None, &endpoint);
                    unknown = Some(why.clone());
                    why
                }
            };
            let wait =
                Duration::from_micros(fastrand::u64(..=backoff.as_micros().try_into().unwrap_or(u64::MAX)));
            if Instant::now() + wait >= deadline {
                return Err(match unknown {
                    Some(why) if method != Method::GET => Error::OutcomeUnknown(why),
                    _ => Error::Unavailable(why),
                });
            }
            sleep(wait).await;
            backoff = (backoff * 2).min(MAX_BACKOFF);
        }
    }

    /// The leader, or the next endpoint in turn when nobody is known to lead.
    fn target(&self) -> String {
        let leader = self.0.leader.lock().ok().and_then(|leader| leader.clone());
        leader.unwrap_or_else(|| {
            let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
            self.0.endpoints[turn % self.0.endpoints.len()].clone()
        })
    }

    /// Takes note of who leads, as `from` tells. False when that is nothing new.
    fn lead(&self, leader: Option<String>, from: &str) -> bool {
        let Ok(mut known) = self.0.leader.lock() else { return false };
        // What a node other than the present leader failed at says nothing about the leader.
        if leader.is_none() && known.as_deref().is_some_and(|known| known != from) {
            return false;
        }
        let is_new = leader.as_deref() != Some(from);
        *known = leader;
        is_new
    }

    async fn attempt(
        &self,
        endpoint: &str,
        method: &Method,
        path: &str,
        key: Option<&str>,
        payload: &Payload,
    ) -> Attempt {
        let mut request = self.0.http.request(method.clone(), format!("http://{endpoint}{path}"));
        if method != Method::GET {
            request = request.header(header::REDIRECT, "1");
        }
        if let Some(key) = key {
            request = request.header(header::IDEMPOTENCY_KEY, key);
        }
        request = match payload {
            Payload::None => request,
            Payload::Json(body) => request.header("content-type", "application/json").body(body.clone()),
            Payload::Octets(body) => request.header("content-type", OCTET_STREAM).body(body.clone()),
        };
        match request.send().await {
            Ok(response) => read(response).await,
            Err(error) if error.is_connect() => Attempt::NotTaken(format!("{endpoint}: {error}")),
            Err(error) => Attempt::Unknown(format!("{endpoint}: {error}")),
        }
    }
}

async fn read(response: reqwest::Response) -> Attempt {
    let status = response.status().as_u16();
    if status == 307 {
        let location = response.headers().get("location").and_then(|value| value.to_str().ok());
        let leader =
            location.and_then(|url| url.strip_prefix("http://")).and_then(|rest| rest.split('/').next());
        return match leader {
            Some(leader) => Attempt::Elsewhere(leader.to_owned()),
            None => Attempt::Senseless("a redirect without a target".to_owned()),
        };
    }
    let body = match response.bytes().await {
        Ok(body) => body.to_vec(),
        Err(error) => return Attempt::Unknown(error.to_string()),
    };
    if (200..300).contains(&status) {
        return Attempt::Done(body);
    }
    match serde_json::from_slice::<Problem>(&body) {
        Ok(problem) if problem.code.may_have_effect() => Attempt::Unknown(problem.detail),
        Ok(problem) if problem.retryable => Attempt::NotTaken(problem.detail),
        Ok(problem) => Attempt::Refused(Box::new(problem)),
        Err(_) => Attempt::Senseless(format!("status {status} without a problem")),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Protocol(error.to_string()))
}
