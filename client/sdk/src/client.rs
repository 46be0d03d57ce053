//! One call, however many attempts it takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_api::{CLIENT_IDLE_LIMIT, Problem};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep};

use crate::Error;
use crate::attempt::{Answer, Attempt, Call, Payload, attempt};
use crate::nodes::Nodes;

/// The first wait between two attempts is random up to this, the next up to twice as much, and so on.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
/// No wait between two attempts that no node asked for is longer: an election takes less than a second.
const MAX_BACKOFF: Duration = Duration::from_millis(400);
/// How many redirects are followed at once. Nodes that disagree about who leads could send a client around for ever.
const MAX_REDIRECTS: u32 = 3;

/// How a client behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a call may take with all its attempts.
    pub call_timeout: Duration,
    /// How long one attempt may take. Longer than a node gives a request by itself, so that a node which still works
    /// answers before it is given up.
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

/// The longest idempotency key, in bytes of printable ASCII.
const MAX_KEY_BYTES: usize = 255;

/// A client of one cluster. Cheap to clone: a handle.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
    key: Option<Arc<str>>,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    nodes: Nodes,
    options: Options,
}

impl Client {
    /// A client of the cluster whose nodes are at `endpoints`, each `host:port`. Nothing is sent yet.
    ///
    /// # Errors
    /// When there is no endpoint, one is not an address, or the HTTP client cannot be made.
    pub fn new(
        endpoints: impl IntoIterator<Item = impl AsRef<str>>,
        options: Options,
    ) -> Result<Self, Error> {
        let nodes = Nodes::new(endpoints)?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .connect_timeout(options.connect_timeout)
            .pool_idle_timeout(CLIENT_IDLE_LIMIT)
            .build()
            .map_err(|error| Error::Invalid(format!("no HTTP client: {error}")))?;
        Ok(Self { inner: Arc::new(Inner { http, nodes, options }), key: None })
    }

    /// The same client, with a key of the caller's on each change that it makes. It is for one change: a second one on
    /// the same route is answered as a repeat of the first, or refused when it says something else. Batches carry keys
    /// inside, and not this one.
    ///
    /// # Errors
    /// When it is not 1 to 255 printable ASCII characters.
    pub fn with_key(&self, key: &str) -> Result<Self, Error> {
        let is_key =
            (1..=MAX_KEY_BYTES).contains(&key.len()) && key.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if is_key {
            Ok(Self { inner: self.inner.clone(), key: Some(key.into()) })
        } else {
            Err(Error::Invalid("an idempotency key must have 1 to 255 printable ASCII characters".to_owned()))
        }
    }

    /// The key that the caller chose.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The nodes that this client was told of.
    #[must_use]
    pub fn endpoints(&self) -> &[String] {
        self.inner.nodes.all()
    }

    /// What requests are sent with.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.inner.http
    }

    /// How it behaves.
    pub(crate) fn options(&self) -> &Options {
        &self.inner.options
    }

    /// Looks something up, on the leader while one is known and otherwise on whichever node answers.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        parse(&self.call(&Call::get(path)).await?)
    }

    /// Asks one node, once; it may take as long as a call.
    pub(crate) async fn ask<T: DeserializeOwned>(&self, node: &str, call: &Call<'_>) -> Result<T, Error> {
        match attempt(&self.inner.http, node, call, self.inner.options.call_timeout).await {
            Attempt::Done { answer, .. } => parse(&answer.body),
            Attempt::Refused { problem, .. } => Err(Error::Refused(problem)),
            Attempt::NotTaken { detail, problem, .. } => Err(Error::Unavailable { detail, problem }),
            Attempt::Unknown(detail) if call.method == reqwest::Method::GET => {
                Err(Error::Unavailable { detail, problem: None })
            }
            Attempt::Unknown(detail) => Err(Error::OutcomeUnknown(detail)),
            Attempt::Elsewhere(leader) => Err(Error::Protocol(format!("{node} sends on to {leader}"))),
            Attempt::Senseless(detail) => Err(Error::Protocol(detail)),
        }
    }

    /// Makes attempts until one succeeds, the cluster says no, or the time is over. What cannot be repeated safely is
    /// not repeated once it may have been carried out.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Bytes, Error> {
        match self.call_within(call, self.inner.options.call_timeout).await? {
            Answered::Done(answer) => Ok(answer.body),
            Answered::Refused(problem, _) => Err(Error::Refused(problem)),
        }
    }

    /// The same within a time of its own.
    pub(crate) async fn call_within(&self, call: &Call<'_>, time: Duration) -> Result<Answered, Error> {
        let Inner { http, nodes, options } = &*self.inner;
        let deadline = Instant::now() + time;
        let mut pace = Pace::new(deadline);
        let mut seen = Seen::default();
        loop {
            let node = nodes.target();
            let left = deadline.saturating_duration_since(Instant::now());
            let mut asked_wait = None;
            match attempt(http, &node, call, left.min(options.attempt_timeout)).await {
                Attempt::Done { answer, leader } => {
                    if let Some(leader) = leader.and_then(|leader| crate::nodes::address(&leader).ok()) {
                        nodes.heard_of(&leader);
                    }
                    return Ok(Answered::Done(answer));
                }
                Attempt::Refused { problem, answer } => return Ok(Answered::Refused(problem, answer)),
                Attempt::Senseless(detail) => return Err(Error::Protocol(detail)),
                Attempt::Elsewhere(leader) => {
                    seen.detail = format!("{node}: {leader} leads");
                    if leader == node {
                        nodes.failed(&node);
                    } else {
                        nodes.heard_of(&leader);
                        if pace.follow() {
                            continue;
                        }
                    }
                }
                Attempt::NotTaken { detail, problem, wait } => {
                    nodes.failed(&node);
                    seen.detail = detail;
                    seen.problem = problem.or(seen.problem);
                    asked_wait = wait;
                }
                Attempt::Unknown(detail) => {
                    nodes.failed(&node);
                    if !call.is_repeatable {
                        return Err(Error::OutcomeUnknown(detail));
                    }
                    seen.unknown = Some(detail.clone());
                    seen.detail = detail;
                }
            }
            if !pace.wait(asked_wait).await {
                return Err(seen.into_error(call.method == reqwest::Method::GET));
            }
        }
    }
}

/// What the cluster said in the end.
pub(crate) enum Answered {
    /// It did it.
    Done(Answer),
    /// It said no, for good.
    Refused(Box<Problem>, Answer),
}

/// What the attempts of a call have met with.
#[derive(Default)]
struct Seen {
    /// The last of it.
    detail: String,
    problem: Option<Box<Problem>>,
    /// Once an attempt may have been carried out, that stays so, whatever later ones say.
    unknown: Option<String>,
}

impl Seen {
    fn into_error(self, is_look: bool) -> Error {
        match self.unknown {
            Some(detail) if !is_look => Error::OutcomeUnknown(detail),
            _ => Error::Unavailable { detail: self.detail, problem: self.problem },
        }
    }
}

/// How fast attempts follow each other: with full jitter, so that clients which failed together do not come back
/// together.
pub(crate) struct Pace {
    deadline: Instant,
    backoff: Duration,
    redirects: u32,
}

impl Pace {
    /// For what may take so long from now.
    pub(crate) fn within(time: Duration) -> Self {
        Self::new(Instant::now() + time)
    }

    fn new(deadline: Instant) -> Self {
        Self { deadline, backoff: FIRST_BACKOFF, redirects: 0 }
    }

    /// Whether a redirect may be followed without a wait.
    fn follow(&mut self) -> bool {
        self.redirects += 1;
        self.redirects <= MAX_REDIRECTS && Instant::now() < self.deadline
    }

    /// Waits before the next attempt, at least as long as a node asked. False when that would be past the deadline.
    pub(crate) async fn wait(&mut self, at_least: Option<Duration>) -> bool {
        let jitter = self.backoff.mul_f64(fastrand::f64());
        let wait = at_least.unwrap_or_default() + jitter;
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        sleep(wait).await;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
        self.redirects = 0;
        true
    }
}

/// A body as JSON.
pub(crate) fn payload<B: Serialize>(body: &B) -> Result<Payload, Error> {
    let bytes = serde_json::to_vec(body)
        .map_err(|error| Error::Invalid(format!("the body cannot be written: {error}")))?;
    Ok(Payload::Json(bytes.into()))
}

/// The answer in a body.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::Protocol(error.to_string()))
}
