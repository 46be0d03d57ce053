//! Holds of one line, without an order.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::response::Response;
use axum::routing::post;
use holdfast_api::{Confirm, Problem, Release, Reserve};
use holdfast_sdk::model::{ItemId, StoreId};
use holdfast_service::read::id;
use holdfast_service::reply::problem;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::new_hold_id;
use crate::app::App;
use crate::relay::Whole;

/// The row of a path.
type Row = Path<(String, String)>;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/inventory/{storeId}/items/{itemId}/reserve", post(reserve))
        .route("/inventory/{storeId}/items/{itemId}/confirm", post(confirm))
        .route("/inventory/{storeId}/items/{itemId}/release", post(release))
}

/// No hold that is made here lasts for ever: whoever made it may die before it is confirmed.
async fn reserve(State(app): State<App>, Path(row): Row, request: Request) -> Response {
    let complete = |whole: &Whole, mut body: Reserve| {
        body.ttl_seconds.get_or_insert(app.config.hold_ttl_seconds);
        if !whole.has_key() {
            body.hold_id.get_or_insert_with(new_hold_id);
        }
        body
    };
    answer(&app, &row, "reserve", request, complete).await
}

async fn confirm(State(app): State<App>, Path(row): Row, request: Request) -> Response {
    answer(&app, &row, "confirm", request, |_, body: Confirm| body).await
}

async fn release(State(app): State<App>, Path(row): Row, request: Request) -> Response {
    answer(&app, &row, "release", request, |_, body: Release| body).await
}

async fn answer<B: Serialize + DeserializeOwned>(
    app: &App,
    row: &(String, String),
    action: &str,
    request: Request,
    complete: impl FnOnce(&Whole, B) -> B,
) -> Response {
    let passed_on = async {
        let whole = Whole::read(app, request).await?;
        let (store, item): (StoreId, ItemId) = (id(&row.0)?, id(&row.1)?);
        let body = complete(&whole, whole.json()?);
        let path = format!("/inventory/{store}/items/{item}/{action}");
        whole.pass_on(app, Method::POST, path, &body).await
    };
    passed_on.await.unwrap_or_else(|refused: Problem| problem(&refused))
}
