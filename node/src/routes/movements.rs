//! The ledger: all records, a row's history, and a row as it was.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::{ErrorCode, Movement, MovementPage, Problem, Record};
use holdfast_model::{ItemId, RowView, Seq, StoreId};

use holdfast_replica::{LedgerError, Replica};

use super::inventory::{names, unknown_item};
use crate::App;
use crate::mutate::blocking;
use crate::read::Params;
use crate::reply::{json, of_ledger_error, problem};

/// How many records are looked through for one page of a filter: a page may end early, with where to go on.
const MAX_LOOKED_THROUGH: usize = 100_000;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/movements", get(movements))
        .route("/inventory/{storeId}/items/{itemId}/movements", get(history))
}

async fn movements(State(app): State<App>, uri: Uri) -> Response {
    page(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn page(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["after", "limit", "storeId", "itemId"])?;
    let (mut after, limit) = (Seq(params.number("after")?.unwrap_or(0)), params.limit()?);
    let (store, item) = (params.id::<StoreId>("storeId")?, params.id::<ItemId>("itemId")?);
    params.be_up_to_date(app).await?;
    let last = app.replica().applied_seq();
    if after > last {
        let detail = format!("the last sequence is {last}");
        return Err(Problem::new(ErrorCode::SeqAhead, detail).with("lastSeq", last.0));
    }
    let (mut found, mut looked_through) = (Vec::new(), 0);
    while found.len() < limit && looked_through < MAX_LOOKED_THROUGH {
        let block =
            app.replica().movements(after, limit.max(1000)).map_err(|error| of_ledger_error(&error))?;
        let Some(end) = block.last() else { break };
        let end = end.seq();
        looked_through += block.len();
        for record in block {
            let fits = store.as_ref().is_none_or(|store| Some(store) == record.store())
                && item.as_ref().is_none_or(|item| Some(item) == record.item());
            after = record.seq();
            if fits {
                found.push(Record::from(&record));
                if found.len() == limit {
                    break;
                }
            }
        }
        if found.len() < limit {
            after = end;
        }
    }
    let next = (after < last).then_some(after.0);
    Ok(json(200, &MovementPage { movements: found, next }))
}

async fn history(State(app): State<App>, path: Path<(String, String)>, uri: Uri) -> Response {
    row_history(&app, &path, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn row_history(app: &App, path: &Path<(String, String)>, uri: &Uri) -> Result<Response, Problem> {
    let (store, item) = names(path)?;
    let params = Params::of(uri, &["before", "limit"])?;
    let (before, limit) = (params.number("before")?, params.limit()?);
    params.be_up_to_date(app).await?;
    let row = app.replica().read(|inventory| inventory.row(&store, &item));
    let last = row.ok_or_else(|| unknown_item(&store, &item))?.last_seq;
    let from = match before {
        None => Some(last),
        Some(before) => {
            let upto = Seq(before.saturating_sub(1));
            let found = read_ledger(app, move |replica| replica.at(last, upto)).await?;
            found.map(|movement| movement.seq)
        }
    };
    let found = match from {
        None => Vec::new(),
        Some(from) => read_ledger(app, move |replica| replica.history(from, limit)).await?,
    };
    let next = found.last().filter(|movement| movement.prev_seq > Seq(0)).map(|movement| movement.seq.0);
    let movements = found.iter().map(|movement| Record::Movement(Movement::from(movement)));
    Ok(json(200, &MovementPage { movements: movements.collect(), next }))
}

/// Reads the ledger beside the threads that serve.
async fn read_ledger<T: Send + 'static>(
    app: &App,
    read: impl FnOnce(&Replica) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Problem> {
    let replica = app.replica().clone();
    blocking(move || read(&replica)).await?.map_err(|error| of_ledger_error(&error))
}

/// A row as it was right after `seq`.
pub async fn row_at(app: &App, row: RowView, seq: Seq) -> Result<Response, Problem> {
    let last = app.replica().applied_seq();
    if seq > last {
        let detail = format!("the last sequence is {last}");
        return Err(Problem::new(ErrorCode::SeqAhead, detail).with("lastSeq", last.0));
    }
    let last_of_row = row.last_seq;
    let found = read_ledger(app, move |replica| replica.at(last_of_row, seq)).await?;
    let movement = found.ok_or_else(|| unknown_item(&row.row.store, &row.row.item))?;
    Ok(json(
        200,
        &serde_json::json!({
            "storeId": movement.store, "itemId": movement.item, "atSeq": seq.0,
            "available": movement.available, "reserved": movement.reserved, "onHand": movement.on_hand(),
            "version": movement.version, "lastSeq": movement.seq.0,
        }),
    ))
}
