//! Holds of many lines.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use holdfast_api::{ConfirmHold, ErrorCode, Extend, Hold, NewHold, Problem, ReleaseHold, lines_of, ttl_ms};
use holdfast_model::{Command, HoldId};
use serde::de::DeserializeOwned;

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/holds", post(new_hold))
        .route("/holds/{holdId}", get(hold))
        .route("/holds/{holdId}/confirm", post(confirm))
        .route("/holds/{holdId}/release", post(release))
        .route("/holds/{holdId}/extend", post(extend))
}

async fn new_hold(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command =
        whole.json::<NewHold>().and_then(|body| keyed(body.into_command(), "holds", &whole.parts.headers));
    carry_out(&app, whole, command, true).await
}

async fn hold(State(app): State<App>, Path(hold): Path<String>, uri: Uri) -> Response {
    look_at_hold(&app, &hold, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_hold(app: &App, hold: &str, uri: &Uri) -> Result<Response, Problem> {
    let hold: HoldId = id(hold)?;
    let params = Params::of(uri, &[])?;
    params.be_up_to_date(app).await?;
    let now = app.replica().cluster_time();
    let found = app.replica().read(|inventory| inventory.hold(hold));
    let mut found =
        found.ok_or_else(|| Problem::new(ErrorCode::UnknownHold, format!("there is no hold {hold}")))?;
    // Time has passed since the last entry.
    if let Some(left) = found.expires_in_ms.as_mut().filter(|left| **left > 0) {
        *left = found.expires_at.map_or(0, |deadline| deadline.since(now));
    }
    Ok(json(200, &Hold::from(&found)))
}

async fn on_hold<B: DeserializeOwned>(
    app: &App,
    hold: &str,
    request: Request,
    route: &str,
    command: impl FnOnce(B, HoldId) -> Command,
) -> Response {
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = id(hold)
        .and_then(|hold| Ok(command(whole.json()?, hold)))
        .and_then(|command| keyed(command, route, &whole.parts.headers));
    carry_out(app, whole, command, false).await
}

async fn confirm(State(app): State<App>, Path(hold): Path<String>, request: Request) -> Response {
    let command = |body: ConfirmHold, hold| Command::Confirm {
        hold,
        lines: body.lines.map(lines_of),
        reacquire: body.reacquire,
    };
    on_hold(&app, &hold, request, "holds/confirm", command).await
}

async fn release(State(app): State<App>, Path(hold): Path<String>, request: Request) -> Response {
    let command = |body: ReleaseHold, hold| Command::Release {
        hold,
        lines: body.lines.map(lines_of),
        reason: body.reason,
    };
    on_hold(&app, &hold, request, "holds/release", command).await
}

async fn extend(State(app): State<App>, Path(hold): Path<String>, request: Request) -> Response {
    let command = |body: Extend, hold| Command::Extend {
        hold,
        ttl_ms: ttl_ms(Some(body.ttl_seconds)).unwrap_or_default(),
    };
    on_hold(&app, &hold, request, "holds/extend", command).await
}
