//! Whether the service lives and is ready, and its numbers.

use axum::Router;
use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use holdfast_service::metrics::CONTENT_TYPE;
use holdfast_service::read::Params;
use holdfast_service::reply;
use serde_json::json;

use crate::app::App;
use crate::metrics::{self, Gauges};
use crate::relay::{refunds_failing, under_way};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/livez", get(live)).route("/readyz", get(ready)).route("/metrics", get(numbers))
}

async fn live() -> Response {
    reply::json(200, &json!({"live": true}))
}

/// Ready: the cluster answers, and the service is not about to stop.
async fn ready(State(app): State<App>, uri: Uri) -> Response {
    let is_verbose = match Params::of(&uri, &["verbose"]).and_then(|params| params.flag("verbose")) {
        Ok(is_verbose) => is_verbose,
        Err(refused) => return reply::problem(&refused),
    };
    let (answers, stays) = (app.cluster_answers().await, !app.is_draining());
    let is_ready = answers && stays;
    let status = if is_ready { 200 } else { 503 };
    if is_verbose {
        let checks = json!({"clusterAnswers": answers, "notStopping": stays});
        reply::json(status, &json!({"ready": is_ready, "checks": checks}))
    } else {
        reply::json(status, &json!({"ready": is_ready}))
    }
}

async fn numbers(State(app): State<App>) -> Response {
    let gauges = Gauges {
        ready: !app.is_draining() && app.cluster_answers().await,
        requests: under_way(&app),
        refunds_failing: refunds_failing(&app),
    };
    reply::with_body(200, CONTENT_TYPE, metrics::text(&app.counters, &gauges).into_bytes())
}
