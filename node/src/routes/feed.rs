//! The feed, and a snapshot to start from.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::Response;
use axum::routing::get;
use holdfast_api::{Cursor, CursorError, EVENT_STREAM, Epoch, ErrorCode, NDJSON, Problem, header};
use holdfast_model::{Seq, StoreId};

use crate::App;
use crate::feed::{Asked, Format, Reader, Stock, Wish};
use crate::read::Params;
use crate::reply::{malformed, of_read_error, problem};

/// Tells proxies to pass on what comes as it comes.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/feed", get(feed)).route("/snapshot", get(snapshot))
}

async fn feed(State(app): State<App>, uri: Uri, headers: HeaderMap) -> Response {
    subscribe(&app, &uri, &headers).await.unwrap_or_else(|refused| problem(&refused))
}

async fn subscribe(app: &App, uri: &Uri, headers: &HeaderMap) -> Result<Response, Problem> {
    let format = Format::of(headers).ok_or_else(|| {
        Problem::new(ErrorCode::NotAcceptable, format!("the feed comes as {EVENT_STREAM} or {NDJSON}"))
    })?;
    let asked = Asked::of(uri)?;
    let cursor = cursor(headers, asked.after.as_deref())?;
    let room = app.feed().admit()?;
    let epoch = app.feed().epoch()?;
    let after = start(app, cursor, &epoch).await?;
    let filter = Arc::new(asked.filter);
    let seat = app.feed().join(filter.clone(), after);
    let reader = Reader::new(Wish { filter, format, epoch }, seat, after, room);
    Ok(stream(format.content_type(), reader.into_body()))
}

/// Where a subscriber is: what it saw last stands over what its address says, which stays as it is when it comes again.
fn cursor(headers: &HeaderMap, after: Option<&str>) -> Result<Option<Cursor>, Problem> {
    let seen = match headers.get(header::LAST_EVENT_ID) {
        None => None,
        Some(value) => Some(value.to_str().map_err(|_| malformed(CursorError.to_string()))?),
    };
    let text = seen.filter(|text| !text.is_empty()).or(after);
    text.map(str::parse).transpose().map_err(|error: CursorError| malformed(error.to_string()))
}

/// The sequence to go on from: now, when no cursor is given.
async fn start(app: &App, cursor: Option<Cursor>, epoch: &Epoch) -> Result<Seq, Problem> {
    let replica = app.replica();
    if let Some(other) =
        cursor.as_ref().and_then(|cursor| cursor.epoch.as_ref()).filter(|other| *other != epoch)
    {
        let detail =
            format!("the cursor is of epoch {other}, and this cluster is at {epoch}: start from a snapshot");
        return Err(Problem::new(ErrorCode::CursorOtherEpoch, detail).with("epoch", epoch.as_str()));
    }
    let wanted = cursor.map(|cursor| Seq(cursor.seq));
    // A node may be behind what another has told the subscriber.
    if wanted.is_none_or(|wanted| wanted > replica.applied_seq()) {
        replica.read_barrier(app.request_timeout()).await.map_err(|error| of_read_error(&error))?;
    }
    let last = replica.applied_seq();
    let after = wanted.unwrap_or(last);
    if after > last {
        let detail = format!("the last sequence is {last}");
        return Err(Problem::new(ErrorCode::CursorAhead, detail).with("lastSeq", last.0));
    }
    let oldest = replica.read(holdfast_model::Inventory::ledger_start);
    if after.next() < oldest {
        let detail = format!("the ledger starts at {oldest}: start from a snapshot");
        return Err(Problem::new(ErrorCode::CursorCompacted, detail).with("oldestSeq", oldest.0));
    }
    Ok(after)
}

async fn snapshot(State(app): State<App>, uri: Uri) -> Response {
    freeze(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn freeze(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["storeId"])?;
    let store = params.id::<StoreId>("storeId")?;
    let room = app.feed().admit_snapshot()?;
    params.be_up_to_date(app).await?;
    let epoch = app.feed().epoch()?;
    let frozen = app.replica().read(holdfast_model::Inventory::freeze);
    let stock = Stock::new(app.feed().clone(), frozen, store, epoch, room);
    Ok(stream(NDJSON, stock.into_body()))
}

fn stream(content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    response
}
