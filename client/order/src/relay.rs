//! The way of every request: read, completed by what this service decides, passed on to the cluster, and answered as the
//! cluster answers.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use holdfast_api::{ErrorCode, PROBLEM_JSON, Problem, header};
use holdfast_sdk::{Answer, Relay};
use holdfast_serve::Held;
use holdfast_service::reply::{malformed, of_cluster, problem, with_body};
use holdfast_service::{metrics, read};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::App;

/// The largest body, in bytes: as large as a node's.
const MAX_BODY_BYTES: usize = 8 << 20;

/// A request that was read whole.
pub struct Whole {
    headers: HeaderMap,
    body: Bytes,
    /// The room that the body takes.
    _held: Held,
}

impl Whole {
    /// Reads a request.
    ///
    /// # Errors
    /// When its body is too large, ends too early, or does not come in time.
    pub async fn read(app: &App, request: Request) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let (body, held) = read::whole(&app.bodies, body, MAX_BODY_BYTES, app.config.request_timeout).await?;
        Ok(Self { headers: parts.headers, body, _held: held })
    }

    /// The body as JSON; an absent one stands for `{}`.
    ///
    /// # Errors
    /// When it is of another content type, or not what was expected.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        if self.body.is_empty() {
            return serde_json::from_slice(b"{}")
                .map_err(|error| malformed(format!("the body is missing: {error}")));
        }
        read::object(&self.headers, &self.body)
    }

    /// Whether a key makes a repeat safe. Then no id is made here: the repeat would bring another one, and be another
    /// request under the same key.
    pub fn has_key(&self) -> bool {
        self.headers.contains_key(header::IDEMPOTENCY_KEY)
    }

    /// Passes a change on, with its key.
    ///
    /// # Errors
    /// When no node took it, or its outcome is not known.
    pub async fn pass_on<B: Serialize>(
        &self,
        app: &App,
        method: Method,
        path: String,
        body: &B,
    ) -> Result<Response, Problem> {
        let bad_key = || malformed("Idempotency-Key must have 1 to 255 printable ASCII characters");
        let client = match self.headers.get(header::IDEMPOTENCY_KEY) {
            None => app.client.clone(),
            Some(key) => {
                let key = key.to_str().map_err(|_| bad_key())?;
                app.client.with_key(key).map_err(|_| bad_key())?
            }
        };
        let relay = Relay::change(method, path, body, self.time(app)?).map_err(of_cluster)?;
        Ok(response(client.relay(&relay).await.map_err(of_cluster)?))
    }

    /// How long it may be worked on: as long as any request, or as its caller waits when that is shorter.
    fn time(&self, app: &App) -> Result<Duration, Problem> {
        let Some(value) = self.headers.get(header::TIMEOUT_MS) else {
            return Ok(app.config.request_timeout);
        };
        let millis =
            value.to_str().ok().and_then(|text| text.parse().ok()).filter(|&millis: &u64| millis > 0);
        let millis =
            millis.ok_or_else(|| malformed("Holdfast-Timeout-Ms must be whole milliseconds from 1"))?;
        Ok(app.config.request_timeout.min(Duration::from_millis(millis)))
    }
}

/// Passes a look on; the cluster says what is wrong with its query.
///
/// # Errors
/// When no node answers.
pub async fn look(app: &App, path: String, query: Option<&str>) -> Result<Response, Problem> {
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let relay = Relay::get(format!("{path}{query}"), app.config.request_timeout);
    Ok(response(app.client.relay(&relay).await.map_err(of_cluster)?))
}

/// What the cluster answered. Who leads it is left out: that is no address of this service.
fn response(answer: Answer) -> Response {
    let content_type = if answer.status < 400 { "application/json" } else { PROBLEM_JSON };
    let mut response = with_body(answer.status, content_type, answer.body.into());
    let headers = response.headers_mut();
    if answer.is_replayed {
        headers
            .insert(HeaderName::from_static(header::IDEMPOTENCY_REPLAYED), HeaderValue::from_static("true"));
    }
    if let Some(seq) = answer.applied_seq {
        headers.insert(HeaderName::from_static(header::APPLIED_SEQ), HeaderValue::from(seq));
    }
    response
}

/// Lets so many requests in at once, and counts what became of them.
pub async fn admit(State(app): State<App>, request: Request, next: Next) -> Response {
    let response = match app.permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            let detail = format!("{} requests are being answered", app.config.max_requests);
            problem(&Problem::new(ErrorCode::Overloaded, detail))
        }
    };
    let counters = &app.counters;
    metrics::one(match response.status().as_u16() {
        ..400 => &counters.done,
        400..500 => &counters.refused,
        _ => &counters.failed,
    });
    response
}

/// How many requests are being answered.
pub fn under_way(app: &App) -> u64 {
    app.config.max_requests.saturating_sub(app.permits.available_permits()) as u64
}

/// How many refunds fail at the moment.
pub fn refunds_failing(app: &App) -> u64 {
    app.refunds_failing.load(Ordering::Relaxed)
}
