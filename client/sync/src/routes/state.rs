//! The stock as the view has it.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::{ErrorCode, Problem};
use holdfast_sdk::model::{ItemId, StoreId};

use crate::app::App;
use crate::body::{RowBody, StateBody, StatePage, cursor};
use crate::read::{Params, id};
use crate::reply::{json, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/state/{storeId}", get(page)).route("/state/{storeId}/{itemId}", get(row))
}

async fn row(State(app): State<App>, path: Path<(String, String)>, uri: Uri) -> Response {
    look_at_row(&app, &path, &uri).unwrap_or_else(|refused| problem(&refused))
}

fn look_at_row(
    app: &App,
    Path((store, item)): &Path<(String, String)>,
    uri: &Uri,
) -> Result<Response, Problem> {
    let (store, item): (StoreId, ItemId) = (id(store)?, id(item)?);
    Params::of(uri, &[])?;
    let view = app.view()?;
    let lag_ms = app.progress.lag_ms();
    let (row, mark) = view.row(&store, &item).map_err(|error| app.unreadable(&view, &error))?;
    let cursor = cursor(&mark.epoch, mark.seq);
    match row {
        Some(row) => {
            let row = RowBody::new(&store, item.as_str(), &row);
            Ok(json(200, &StateBody { row, seq: mark.seq, cursor, lag_ms }))
        }
        None => Err(Problem::new(ErrorCode::UnknownItem, format!("not stocked: {store}/{item}"))
            .with("rows", serde_json::json!([{"storeId": store, "itemId": item}]))
            .with("seq", mark.seq)
            .with("cursor", cursor)
            .with("lagMs", lag_ms)),
    }
}

async fn page(State(app): State<App>, Path(store): Path<String>, uri: Uri) -> Response {
    look_at_page(&app, &store, &uri).unwrap_or_else(|refused| problem(&refused))
}

fn look_at_page(app: &App, store: &str, uri: &Uri) -> Result<Response, Problem> {
    let store: StoreId = id(store)?;
    let params = Params::of(uri, &["after", "limit"])?;
    let (after, limit) = (params.id::<ItemId>("after")?, params.limit()?);
    let view = app.view()?;
    let lag_ms = app.progress.lag_ms();
    let page = view.rows(&store, after.as_ref(), limit).map_err(|error| app.unreadable(&view, &error))?;
    let rows = page.rows.iter().map(|(item, row)| RowBody::new(&store, item, row)).collect();
    Ok(json(
        200,
        &StatePage {
            store_id: store.to_string(),
            seq: page.mark.seq,
            cursor: cursor(&page.mark.epoch, page.mark.seq),
            lag_ms,
            rows,
            next: page.next,
        },
    ))
}
