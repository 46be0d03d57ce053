//! Whether the service lives and is ready, and its numbers.

use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use holdfast_service::metrics::CONTENT_TYPE;
use serde_json::json;

use crate::app::App;
use crate::metrics::{self, Gauges};
use crate::read::Params;
use crate::reply;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/livez", get(live)).route("/readyz", get(ready)).route("/metrics", get(numbers))
}

async fn live() -> Response {
    reply::json(200, &json!({"live": true}))
}

/// Ready: there is a view, its lag is below the limit, and the service is not about to stop.
async fn ready(State(app): State<App>, uri: Uri) -> Response {
    let is_verbose = match Params::of(&uri, &["verbose"]).and_then(|params| params.flag("verbose")) {
        Ok(is_verbose) => is_verbose,
        Err(refused) => return reply::problem(&refused),
    };
    let is_ready = app.is_ready();
    let status = if is_ready { 200 } else { 503 };
    if !is_verbose {
        return reply::json(status, &json!({"ready": is_ready}));
    }
    let view = app.views.current();
    let body = json!({
        "ready": is_ready,
        "checks": {
            "hasView": view.is_some(),
            "nearTheCluster": app.is_near(),
            "notStopping": !app.is_draining.load(Ordering::Acquire),
        },
        "seq": view.as_ref().map(|view| view.seq()),
        "lagMs": view.is_some().then(|| app.progress.lag_ms()),
        "maxLagMs": app.config.ready_lag_ms,
    });
    reply::json(status, &body)
}

async fn numbers(State(app): State<App>) -> Response {
    let view = app.views.current();
    let used = app.config.max_streams - app.streams.available_permits().min(app.config.max_streams);
    let gauges = Gauges {
        seq: view.as_ref().map_or(0, |view| view.seq()),
        lag_ms: view.is_some().then(|| app.progress.lag_ms()),
        ready: app.is_ready(),
        rows: view.as_ref().map_or(0, |view| view.mark().rows),
        view_size_bytes: view.as_ref().map_or(0, |view| view.size_bytes()),
        streams: used as u64,
        subscriptions: app.delivered.count(),
        circuits_open: app.delivered.failing(),
    };
    reply::with_body(200, CONTENT_TYPE, metrics::text(&app.counters, &gauges).into_bytes())
}
