//! Requests that only the leader can answer, passed on to it.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use axum::response::Response;
use holdfast_api::{CLIENT_IDLE_LIMIT, ErrorCode, Problem, header};
use holdfast_replica::{Detours, Member};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::reply::problem;

/// How long a connection to the leader may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);

/// What became of a forwarded request.
pub enum Forwarded {
    /// The leader's answer.
    Answer(Response),
    /// The leader cannot be reached, or does not lead any more: nothing was done.
    NotTaken,
    /// It was sent, and no answer came.
    Unknown,
}

/// A pool of connections to leaders.
pub struct Forwarder {
    client: Client<HttpConnector, Body>,
    detours: Detours,
}

impl Forwarder {
    /// A pool with no connection yet.
    pub fn new(detours: Detours) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let mut pool = Client::builder(TokioExecutor::new());
        pool.pool_timer(TokioTimer::new()).pool_idle_timeout(CLIENT_IDLE_LIMIT);
        Self { client: pool.build(connector), detours }
    }

    /// Sends a request on to the leader, which works on it for `left` at most.
    pub async fn forward(&self, leader: &Member, parts: &Parts, body: Bytes, left: Duration) -> Forwarded {
        let address = self.detours.get(&leader.http).unwrap_or(&leader.http);
        let Some(request) = request_to(address, parts, body, left) else { return Forwarded::NotTaken };
        match self.client.request(request).await {
            Ok(response) => {
                let response = response.map(Body::new);
                let is_not_leading = response.status() == StatusCode::SERVICE_UNAVAILABLE
                    && response.headers().get(NOT_TAKEN).is_some();
                if is_not_leading { Forwarded::NotTaken } else { Forwarded::Answer(response) }
            }
            Err(error) if error.is_connect() => Forwarded::NotTaken,
            Err(_) => Forwarded::Unknown,
        }
    }
}

/// Set on the answer to a forwarded request that was not taken: the node that forwarded it may look for the leader again.
const NOT_TAKEN: HeaderName = HeaderName::from_static("holdfast-not-taken");

/// The answer to a forwarded request that reached a node that does not lead.
pub fn not_taken() -> Response {
    let mut response = problem(&Problem::new(ErrorCode::NoLeader, "leadership is changing"));
    response.headers_mut().insert(NOT_TAKEN, HeaderValue::from_static("1"));
    response
}

/// Whether a request was forwarded already.
pub fn was_forwarded(parts: &Parts) -> bool {
    parts.headers.contains_key(header::FORWARDED)
}

/// The address of the leader as a redirect's target; the path and query stay.
pub fn location(leader: &Member, uri: &Uri) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("http://{}{}", leader.http, path(uri))).ok()
}

fn path(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

fn request_to(address: &str, parts: &Parts, body: Bytes, left: Duration) -> Option<Request<Body>> {
    let mut request =
        Request::builder().method(parts.method.clone()).uri(format!("http://{address}{}", path(&parts.uri)));
    let kept = ["content-type", "accept", header::IDEMPOTENCY_KEY];
    for (name, value) in kept.iter().filter_map(|name| parts.headers.get(*name).map(|value| (*name, value))) {
        request = request.header(name, value);
    }
    let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    request = request.header(header::FORWARDED, "1").header(header::TIMEOUT_MS, left_ms);
    request.body(Body::from(body)).ok()
}
