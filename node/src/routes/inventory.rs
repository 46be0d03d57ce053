//! Stock rows: looked at, made, corrected, counted, sold from, received into, and held by single lines.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use holdfast_api::{
    Adjust, Confirm, Count, ErrorCode, LineBody, NewHold, NewSku, Policy, Problem, Receive, Release, Reserve,
    Retire, Row, RowPage, Sale,
};
use holdfast_model::{Command, HoldId, HoldLineView, ItemId, Line, Page, Quantity, RowView, Seq, StoreId};
use serde::de::DeserializeOwned;

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, malformed, problem};

const ROW: &str = "/inventory/{storeId}/items/{itemId}";

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/admin/newSKU", post(new_sku))
        .route("/inventory/{storeId}/items", get(store_rows))
        .route("/items/{itemId}", get(item_rows))
        .route(ROW, get(row).merge(delete(remove)))
        .route("/inventory/{storeId}/items/{itemId}/reserve", post(reserve))
        .route("/inventory/{storeId}/items/{itemId}/confirm", post(confirm))
        .route("/inventory/{storeId}/items/{itemId}/release", post(release))
        .route("/inventory/{storeId}/items/{itemId}/adjust", post(adjust))
        .route("/inventory/{storeId}/items/{itemId}/count", post(count))
        .route("/inventory/{storeId}/items/{itemId}/sale", post(sale))
        .route("/inventory/{storeId}/items/{itemId}/receive", post(receive))
        .route("/inventory/{storeId}/items/{itemId}/policy", put(policy))
        .route("/inventory/{storeId}/items/{itemId}/retire", post(retire))
}

type RowPath = Path<(String, String)>;

/// The names in a row's path.
pub fn names(Path((store, item)): &RowPath) -> Result<(StoreId, ItemId), Problem> {
    Ok((id(store)?, id(item)?))
}

/// There is no such row.
pub fn unknown_item(store: &StoreId, item: &ItemId) -> Problem {
    Problem::new(ErrorCode::UnknownItem, format!("not stocked: {store}/{item}"))
        .with("rows", serde_json::json!([{"storeId": store, "itemId": item}]))
}

async fn new_sku(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command =
        whole.json::<NewSku>().and_then(|body| keyed(body.into_command(), "newSKU", &whole.parts.headers));
    carry_out(&app, whole, command, true).await
}

async fn row(State(app): State<App>, path: RowPath, uri: Uri) -> Response {
    look_at_row(&app, &path, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_row(app: &App, path: &RowPath, uri: &Uri) -> Result<Response, Problem> {
    let (store, item) = names(path)?;
    let params = Params::of(uri, &["atSeq"])?;
    let at_seq = params.number("atSeq")?;
    params.be_up_to_date(app).await?;
    let found = app.replica().read(|inventory| inventory.row(&store, &item));
    let found = found.ok_or_else(|| unknown_item(&store, &item))?;
    match at_seq {
        None => Ok(json(200, &Row::from(&found))),
        Some(seq) => super::movements::row_at(app, found, Seq(seq)).await,
    }
}

async fn store_rows(State(app): State<App>, Path(store): Path<String>, uri: Uri) -> Response {
    page(&app, &uri, |after, limit| {
        let store: StoreId = id(&store)?;
        Ok(app.replica().read(|inventory| inventory.rows_of_store(&store, after, limit)))
    })
    .await
    .unwrap_or_else(|refused| problem(&refused))
}

async fn item_rows(State(app): State<App>, Path(item): Path<String>, uri: Uri) -> Response {
    page(&app, &uri, |after, limit| {
        let item: ItemId = id(&item)?;
        Ok(app.replica().read(|inventory| inventory.rows_of_item(&item, after, limit)))
    })
    .await
    .unwrap_or_else(|refused| problem(&refused))
}

async fn page(
    app: &App,
    uri: &Uri,
    look: impl FnOnce(Option<u64>, usize) -> Result<Page<RowView>, Problem>,
) -> Result<Response, Problem> {
    let params = Params::of(uri, &["after", "limit"])?;
    let (after, limit) = (params.number("after")?, params.limit()?);
    params.be_up_to_date(app).await?;
    let page = look(after, limit)?;
    Ok(json(200, &RowPage { rows: page.items.iter().map(Row::from).collect(), next: page.next }))
}

/// A command on the row in the path, made of a body.
async fn on_row<B: DeserializeOwned>(
    app: &App,
    path: &RowPath,
    request: Request,
    route: &str,
    created: bool,
    command: impl FnOnce(B, StoreId, ItemId) -> Result<Command, Problem>,
) -> Response {
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = names(path)
        .and_then(|(store, item)| command(whole.json()?, store, item))
        .and_then(|command| keyed(command, route, &whole.parts.headers));
    carry_out(app, whole, command, created).await
}

async fn reserve(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Reserve, store, item| {
        let lines = vec![LineBody { store_id: store, item_id: item, qty: body.qty }];
        let Reserve { ttl_seconds, hold_id, owner, allow_partial, .. } = body;
        Ok(NewHold { lines, ttl_seconds, hold_id, owner, allow_partial }.into_command())
    };
    on_row(&app, &path, request, "reserve", true, command).await
}

async fn confirm(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Confirm, store: StoreId, item: ItemId| {
        let lines = part(&app, body.hold_id, body.qty, &store, &item)?;
        Ok(Command::Confirm { hold: body.hold_id, lines, reacquire: body.reacquire })
    };
    on_row(&app, &path, request, "confirm", false, command).await
}

async fn release(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Release, store: StoreId, item: ItemId| {
        let lines = part(&app, body.hold_id, body.qty, &store, &item)?;
        Ok(Command::Release { hold: body.hold_id, lines, reason: body.reason })
    };
    on_row(&app, &path, request, "release", false, command).await
}

/// What of a hold the path of a row means: so many of that row, or the whole hold when it is on that row alone.
fn part(
    app: &App,
    hold: HoldId,
    qty: Option<Quantity>,
    store: &StoreId,
    item: &ItemId,
) -> Result<Option<Vec<Line>>, Problem> {
    if let Some(qty) = qty {
        return Ok(Some(vec![Line { store: store.clone(), item: item.clone(), qty }]));
    }
    // A hold's rows never change. One that this node has not heard of is the leader's to judge.
    let rows = app.replica().read(|inventory| inventory.hold(hold)).map(|hold| hold.lines);
    let is_elsewhere = |line: &HoldLineView| line.row.store != *store || line.row.item != *item;
    match rows.filter(|lines| lines.iter().any(is_elsewhere)) {
        None => Ok(None),
        Some(lines) if lines.iter().all(is_elsewhere) => {
            Err(Problem::new(ErrorCode::UnknownHold, format!("{hold} has no line on {store}/{item}")))
        }
        Some(_) => Err(Problem::new(
            ErrorCode::ExceedsHold,
            format!("{hold} has lines on other rows: give a qty, or use /holds/{hold}/confirm or /release"),
        )),
    }
}

async fn adjust(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Adjust, store, item| Ok(body.into_command(store, item));
    on_row(&app, &path, request, "adjust", false, command).await
}

async fn count(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Count, store, item| body.into_command(store, item).map_err(malformed);
    on_row(&app, &path, request, "count", false, command).await
}

async fn sale(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Sale, store, item| body.into_command(store, item).map_err(malformed);
    on_row(&app, &path, request, "sale", false, command).await
}

async fn receive(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Receive, store, item| body.into_command(store, item).map_err(malformed);
    on_row(&app, &path, request, "receive", false, command).await
}

async fn policy(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Policy, store, item| Ok(body.into_command(store, item));
    on_row(&app, &path, request, "policy", false, command).await
}

async fn retire(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |_: Retire, store, item| Ok(Command::RetireSku { store, item, remove: false });
    on_row(&app, &path, request, "retire", false, command).await
}

async fn remove(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |_: Retire, store, item| Ok(Command::RetireSku { store, item, remove: true });
    on_row(&app, &path, request, "remove", false, command).await
}
