//! What has happened in the stores.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use holdfast_api::{ErrorCode, Problem};
use holdfast_sdk::model::StoreId;

use crate::app::App;
use crate::body::{EventResults, EventStatus};
use crate::events::{self, Unreadable};
use crate::read::{self, Params, id};
use crate::reply::{json, malformed, problem};

/// The largest body, in bytes.
const MAX_BODY_BYTES: usize = 8 << 20;
/// Some events were not applied: each says what became of it (RFC 4918, section 11.1).
const MULTI_STATUS: u16 = 207;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/stores/{storeId}/events", post(take))
}

async fn take(State(app): State<App>, Path(store): Path<String>, request: Request) -> Response {
    taken(app, &store, request).await.unwrap_or_else(|refused| problem(&refused))
}

async fn taken(app: App, store: &str, request: Request) -> Result<Response, Problem> {
    let store: StoreId = id(store)?;
    let (parts, body) = request.into_parts();
    Params::of(&parts.uri, &[])?;
    read::must_be_json(&parts.headers)?;
    let (body, held) = read::whole(&app.bodies, body, MAX_BODY_BYTES, app.config.request_timeout).await?;
    if body.is_empty() {
        return Err(malformed("the body is missing"));
    }
    let events = match events::read(&body) {
        Ok(events) => events,
        Err(Unreadable::TooMany(count)) => {
            let detail = format!("{count} events, at most {} are taken at once", events::MAX_EVENTS);
            return Err(Problem::new(ErrorCode::TooLarge, detail));
        }
        Err(Unreadable::NotEvents(reason)) => {
            let letter = events::bury_whole(&app, &store, body.to_vec(), &reason).await?;
            return Err(malformed(reason).with("deadLetterId", letter.to_string()));
        }
    };
    // To its end even when the caller hangs up: what was applied and what was not is then told apart by a repeat.
    let applying = tokio::spawn(async move {
        let applied = events::apply(&app, &store, events).await;
        drop(held);
        applied
    });
    let failed = |error| Problem::new(ErrorCode::OutcomeUnknown, format!("applying ended early: {error}"));
    let results = applying.await.map_err(failed)??;
    let is_done = |status| matches!(status, EventStatus::Applied | EventStatus::Repeated);
    let status = if results.iter().all(|result| is_done(result.status)) { 200 } else { MULTI_STATUS };
    Ok(json(status, &EventResults { results }))
}
