//! Stock rows: looked at, made, corrected, counted, sold from, received into, and held by single lines.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use holdfast_api::{
    Adjust, Confirm, Count, ErrorCode, LineBody, NewHold, NewSku, Policy, Problem, Receive, Release, Reserve,
    Retire, Row, RowPage, Sale, event, lines_of,
};
use holdfast_model::{Command, CountBasis, ItemId, Page, RowView, Seq, StoreId};
use serde::de::DeserializeOwned;

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, malformed, of_ledger_error, problem};

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
    let whole = match Whole::read(request, MAX_BODY_BYTES).await {
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
        Some(seq) => super::movements::row_at(app, &found, Seq(seq)),
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
    let whole = match Whole::read(request, MAX_BODY_BYTES).await {
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
    let command = |body: Confirm, store, item| {
        let line = |qty| lines_of(vec![LineBody { store_id: store, item_id: item, qty }]);
        let lines = body.qty.map(line);
        Ok(Command::Confirm { hold: body.hold_id, lines, reacquire: body.reacquire })
    };
    on_row(&app, &path, request, "confirm", false, command).await
}

async fn release(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Release, store, item| {
        let line = |qty| lines_of(vec![LineBody { store_id: store, item_id: item, qty }]);
        let lines = body.qty.map(line);
        Ok(Command::Release { hold: body.hold_id, lines, reason: body.reason })
    };
    on_row(&app, &path, request, "release", false, command).await
}

async fn adjust(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let command = |body: Adjust, store, item| {
        let Adjust { delta, reason, reference, expected_version } = body;
        Ok(Command::Adjust { store, item, delta, reason, reference, expected_version })
    };
    on_row(&app, &path, request, "adjust", false, command).await
}

async fn count(State(app): State<App>, path: RowPath, request: Request) -> Response {
    let replica = app.replica().clone();
    let command = |body: Count, store: StoreId, item: ItemId| {
        let event = event(body.event_id, body.occurred_at.as_deref()).map_err(malformed)?;
        let as_of = match body.as_of_seq {
            None => None,
            // What the ledger said then: looked up by whoever proposes, since the model has no ledger.
            Some(seq) if replica.leads() => {
                let last = replica.read(|inventory| inventory.row(&store, &item)).map(|row| row.last_seq);
                let then = match last {
                    Some(last) if Seq(seq) <= replica.applied_seq() => replica.at(last, Seq(seq)),
                    _ => Ok(None),
                };
                let on_hand = match then {
                    Ok(movement) => movement.map(|movement| movement.on_hand()),
                    // The model refuses it by the sequence alone.
                    Err(holdfast_replica::LedgerError::Compacted { .. }) => None,
                    Err(error) => return Err(of_ledger_error(&error)),
                };
                Some(CountBasis { seq: Seq(seq), on_hand })
            }
            // Passed on to the leader, which looks it up.
            Some(seq) => Some(CountBasis { seq: Seq(seq), on_hand: None }),
        };
        let Count { counted, reason, reference, .. } = body;
        Ok(Command::Count { store, item, counted, as_of, reason, reference, event })
    };
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
    let command = |body: Policy, store, item| {
        let Policy { safety_stock, backorder_limit, expected_version } = body;
        Ok(Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version })
    };
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
