//! The service as a router: routes, and what every answer has in common.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue, Method, Uri};
use axum::response::Response;
use holdfast_api::{ErrorCode, Problem, header};
use holdfast_replica::{Detours, Replica};
use holdfast_serve::{BODIES_BYTES, Room};
use tower::{Service, ServiceExt};

use crate::feed::{Feed, FeedOptions};
use crate::forward::Forwarder;
use crate::reply::{malformed, problem};
use crate::routes;

/// What handlers share. Cheap to clone: a handle.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    replica: Replica,
    feed: Feed,
    forwarder: Forwarder,
    request_timeout: Duration,
    bodies: Room,
    is_draining: AtomicBool,
    /// What an answer of a leader says of the leader.
    own_address: Option<HeaderValue>,
}

impl App {
    /// The service in front of a replica, which reaches the leader by `detours`.
    #[must_use]
    pub fn new(replica: Replica, request_timeout: Duration, feed: FeedOptions, detours: Detours) -> Self {
        let feed = Feed::new(replica.clone(), feed);
        let forwarder = Forwarder::new(detours);
        let (bodies, is_draining) = (Room::new(BODIES_BYTES), AtomicBool::new(false));
        let own_address = HeaderValue::try_from(&replica.me().http).ok();
        Self(Arc::new(Inner { replica, feed, forwarder, request_timeout, bodies, is_draining, own_address }))
    }

    /// The replica behind it.
    #[must_use]
    pub fn replica(&self) -> &Replica {
        &self.0.replica
    }

    /// The feed that it serves.
    pub(crate) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// How requests reach the leader.
    pub(crate) fn forwarder(&self) -> &Forwarder {
        &self.0.forwarder
    }

    /// Where the leader is to be had, as far as this node knows.
    fn leader_address(&self) -> Option<HeaderValue> {
        if self.replica().leads() {
            return self.0.own_address.clone();
        }
        HeaderValue::try_from(self.replica().leading()?.http).ok()
    }

    /// How long a request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// Memory for bodies that are being read or worked on.
    pub(crate) fn bodies(&self) -> &Room {
        &self.0.bodies
    }

    /// Says from now on that this node is not ready, since it stops or has stopped, as `reason` says; ends its streams.
    pub fn drain(&self, reason: &str) {
        self.0.is_draining.store(true, Ordering::Release);
        self.0.feed.end(Problem::new(ErrorCode::Stopped, reason));
    }

    /// Whether this node is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.0.is_draining.load(Ordering::Acquire)
    }
}

/// The service: its routes, and around them what every answer has in common. It stands around the whole router, since a
/// layer of the router costs a copy of the route and two allocations for each request.
pub fn app(
    app: &App,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send + use<> {
    let router = routes::router()
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(app.clone());
    let app = app.clone();
    ServiceExt::<Request>::map_response(router, move |response| say_where_we_are(&app, as_problem(response)))
}

async fn unknown_route(uri: Uri) -> Response {
    problem(&Problem::new(ErrorCode::UnknownRoute, format!("there is nothing at {}", uri.path())))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    problem(&Problem::new(ErrorCode::MethodNotAllowed, format!("{} does not take {method}", uri.path())))
}

/// Errors that the framework answers in words of its own, such as a path that is not UTF-8.
fn as_problem(response: Response) -> Response {
    let is_plain =
        response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if response.status().is_client_error() && is_plain {
        return problem(&malformed("the path or query cannot be read"));
    }
    response
}

/// Every answer tells how far this node is and who leads; a forwarded one tells it of the leader already.
fn say_where_we_are(app: &App, mut response: Response) -> Response {
    let headers = response.headers_mut();
    let applied = HeaderName::from_static(header::APPLIED_SEQ);
    if !headers.contains_key(&applied) {
        headers.insert(applied, HeaderValue::from(app.replica().applied_seq().0));
    }
    let leader = HeaderName::from_static(header::LEADER);
    if !headers.contains_key(&leader)
        && let Some(address) = app.leader_address()
    {
        headers.insert(leader, address);
    }
    response
}
