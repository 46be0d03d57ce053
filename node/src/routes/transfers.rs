//! Goods on their way between stores.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use holdfast_api::{Cancel, Close, ErrorCode, NewTransfer, Problem, ReceiveTransfer, Transfer};
use holdfast_model::{Command, TransferId};
use serde::de::DeserializeOwned;

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/transfers", post(new_transfer))
        .route("/transfers/{transferId}", get(transfer))
        .route("/transfers/{transferId}/receive", post(receive))
        .route("/transfers/{transferId}/close", post(close))
        .route("/transfers/{transferId}/cancel", post(cancel))
}

async fn new_transfer(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = whole
        .json::<NewTransfer>()
        .and_then(|body| keyed(body.into_command(), "transfers", &whole.parts.headers));
    carry_out(&app, whole, command, true).await
}

async fn transfer(State(app): State<App>, Path(transfer): Path<String>, uri: Uri) -> Response {
    look_at_transfer(&app, &transfer, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_transfer(app: &App, transfer: &str, uri: &Uri) -> Result<Response, Problem> {
    let transfer: TransferId = id(transfer)?;
    let params = Params::of(uri, &[])?;
    params.be_up_to_date(app).await?;
    let found = app.replica().read(|inventory| inventory.transfer(transfer)).ok_or_else(|| {
        Problem::new(ErrorCode::UnknownTransfer, format!("there is no transfer {transfer}"))
    })?;
    Ok(json(200, &Transfer::from(&found)))
}

async fn on_transfer<B: DeserializeOwned>(
    app: &App,
    transfer: &str,
    request: Request,
    route: &str,
    command: impl FnOnce(B, TransferId) -> Command,
) -> Response {
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = id(transfer)
        .and_then(|transfer| Ok(command(whole.json()?, transfer)))
        .and_then(|command| keyed(command, route, &whole.parts.headers));
    carry_out(app, whole, command, false).await
}

async fn receive(State(app): State<App>, Path(transfer): Path<String>, request: Request) -> Response {
    let command = |body: ReceiveTransfer, transfer| Command::ReceiveTransfer { transfer, qty: body.qty };
    on_transfer(&app, &transfer, request, "transfers/receive", command).await
}

async fn close(State(app): State<App>, Path(transfer): Path<String>, request: Request) -> Response {
    let command = |body: Close, transfer| Command::CloseTransfer { transfer, reason: body.reason };
    on_transfer(&app, &transfer, request, "transfers/close", command).await
}

async fn cancel(State(app): State<App>, Path(transfer): Path<String>, request: Request) -> Response {
    let command = |body: Cancel, transfer| Command::CancelTransfer { transfer, reason: body.reason };
    on_transfer(&app, &transfer, request, "transfers/cancel", command).await
}
