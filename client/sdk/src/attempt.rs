//! One attempt of one request at one node, and what its answer means. It repeats nothing; the client does.

use std::time::Duration;

use bytes::Bytes;
use holdfast_api::{ErrorCode, OCTET_STREAM, Problem, header};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Method, Response};

/// A wait that a node asks for is cut to this: a client is not to be put to sleep for hours.
const MAX_ASKED_WAIT: Duration = Duration::from_secs(5);

/// What a request sends.
#[derive(Debug, Clone)]
pub enum Payload {
    None,
    Json(Bytes),
    Octets(Bytes),
}

/// A request, the same in each attempt: its id or key is made once.
#[derive(Debug)]
pub struct Call<'a> {
    pub method: Method,
    pub path: &'a str,
    pub key: Option<&'a str>,
    pub payload: Payload,
    /// Whether carrying it out twice has one effect and one answer.
    pub is_repeatable: bool,
}

impl<'a> Call<'a> {
    /// A look at something.
    pub fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, key: None, payload: Payload::None, is_repeatable: true }
    }
}

/// What a node answered, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// JSON; a problem when the status is none of success.
    pub body: Bytes,
    /// It is the answer to a repeat: nothing changed now.
    pub is_replayed: bool,
    /// The last movement that the node had applied.
    pub applied_seq: Option<u64>,
}

/// What came of one attempt.
#[derive(Debug)]
pub enum Attempt {
    /// Carried out.
    Done { answer: Answer, leader: Option<String> },
    /// The cluster said no, for good.
    Refused { problem: Box<Problem>, answer: Answer },
    /// Not carried out: that node leads.
    Elsewhere(String),
    /// Not carried out, and may be later, after the wait that the node asked for.
    NotTaken { detail: String, problem: Option<Box<Problem>>, wait: Option<Duration> },
    /// Sent, and no telling.
    Unknown(String),
    /// An answer outside the contract.
    Senseless(String),
}

/// Sends a call to a node and reads what it answers within `timeout`.
pub async fn attempt(http: &reqwest::Client, node: &str, call: &Call<'_>, timeout: Duration) -> Attempt {
    let mut request =
        http.request(call.method.clone(), format!("http://{node}{}", call.path)).timeout(timeout);
    if call.method != Method::GET {
        let timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        request = request.header(header::REDIRECT, "1").header(header::TIMEOUT_MS, timeout_ms);
    }
    if let Some(key) = call.key {
        request = request.header(header::IDEMPOTENCY_KEY, key);
    }
    request = match &call.payload {
        Payload::None => request,
        Payload::Json(body) => request.header(CONTENT_TYPE, "application/json").body(body.clone()),
        Payload::Octets(body) => request.header(CONTENT_TYPE, OCTET_STREAM).body(body.clone()),
    };
    match request.send().await {
        Ok(response) => read(node, response).await,
        Err(error) if error.is_connect() => {
            Attempt::NotTaken { detail: format!("{node}: {}", cause(&error)), problem: None, wait: None }
        }
        Err(error) if error.is_builder() => Attempt::Senseless(format!("{node}: {}", cause(&error))),
        Err(error) => Attempt::Unknown(format!("{node}: {}", cause(&error))),
    }
}

async fn read(node: &str, response: Response) -> Attempt {
    let status = response.status();
    if status.as_u16() == 307 {
        return redirect(node, response.headers());
    }
    let leader = text(response.headers(), header::LEADER).map(str::to_owned);
    let is_replayed = text(response.headers(), header::IDEMPOTENCY_REPLAYED) == Some("true");
    let applied_seq = text(response.headers(), header::APPLIED_SEQ).and_then(|seq| seq.parse().ok());
    let wait = text(response.headers(), RETRY_AFTER.as_str()).and_then(|seconds| seconds.parse().ok());
    let body = match response.bytes().await {
        Ok(body) => body,
        Err(error) => return Attempt::Unknown(format!("{node}: the answer broke off: {}", cause(&error))),
    };
    let answer = Answer { status: status.as_u16(), body, is_replayed, applied_seq };
    if status.is_success() {
        return Attempt::Done { answer, leader };
    }
    match serde_json::from_slice::<Problem>(&answer.body) {
        Ok(problem) => of_problem(node, problem, answer, wait.map(Duration::from_secs)),
        // Something between here and the node, or a node that broke: it may have passed the request on.
        Err(_) if status.is_server_error() => {
            Attempt::Unknown(format!("{node}: status {status} without a problem"))
        }
        Err(_) => Attempt::Senseless(format!("{node}: status {status} without a problem")),
    }
}

fn redirect(node: &str, headers: &HeaderMap) -> Attempt {
    let target = text(headers, LOCATION.as_str())
        .and_then(|url| url.strip_prefix("http://"))
        .and_then(|rest| rest.split('/').next())
        .and_then(|leader| crate::nodes::address(leader).ok());
    match target {
        Some(leader) => Attempt::Elsewhere(leader),
        None => Attempt::Senseless(format!("{node}: a redirect without a target")),
    }
}

fn of_problem(node: &str, problem: Problem, answer: Answer, asked_wait: Option<Duration>) -> Attempt {
    let detail = format!("{node}: {}", problem.detail);
    if problem.code.may_have_effect() {
        Attempt::Unknown(detail)
    } else if problem.code.retryable() {
        // A node that has no leader now, or stops, says nothing of the others: only one that is full is left alone.
        let is_full = matches!(
            problem.code,
            ErrorCode::Overloaded | ErrorCode::KeyTableFull | ErrorCode::EventTableFull
        );
        let wait = asked_wait.filter(|_| is_full).map(|wait| wait.min(MAX_ASKED_WAIT));
        Attempt::NotTaken { detail, problem: Some(Box::new(problem)), wait }
    } else {
        Attempt::Refused { problem: Box::new(problem), answer }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The innermost reason: what the library puts around it says only that a request was sent.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let innermost =
        std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source()).last();
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        innermost.map_or_else(String::new, ToString::to_string)
    }
}
