//! Whether this node lives, and whether it is ready to serve.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use std::time::Duration;

use crate::App;
use crate::read::Params;
use crate::reply;

/// How long an up-to-date read may take for a node to count as ready.
const READY_TIMEOUT: Duration = Duration::from_millis(1000);

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/livez", get(live)).route("/readyz", get(ready))
}

async fn live() -> Response {
    reply::json(200, &json!({"live": true}))
}

/// Ready: it takes part, is not about to stop, and can give an up-to-date answer, which needs a leader and a majority.
async fn ready(State(app): State<App>, uri: Uri) -> Response {
    let is_verbose = match Params::of(&uri, &["verbose"]).and_then(|params| params.flag("verbose")) {
        Ok(is_verbose) => is_verbose,
        Err(refused) => return reply::problem(&refused),
    };
    let stopped = app.replica().status().stopped;
    let is_current = stopped.is_none() && app.replica().read_barrier(READY_TIMEOUT).await.is_ok();
    let is_ready = is_current && !app.is_draining();
    let status = if is_ready { 200 } else { 503 };
    if !is_verbose {
        return reply::json(status, &json!({"ready": is_ready}));
    }
    let body = json!({
        "ready": is_ready,
        "checks": {
            "running": stopped.is_none(),
            "notStopping": !app.is_draining(),
            "upToDateReads": is_current,
        },
        "stopped": stopped,
    });
    reply::json(status, &body)
}
