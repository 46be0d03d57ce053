//! Orders: placed, changed, paid, taken back, given their money back.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post, put};
use holdfast_api::{
    Cancel, ErrorCode, Order, OrderFilter, OrderPage, PayOrder, PlaceOrder, Problem, RefundOrder,
    ReplaceOrderLines,
};
use holdfast_model::{ClusterTime, Command, OrderAction, OrderId, OrderView};
use serde::de::DeserializeOwned;

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, malformed, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/orders", post(place).get(list))
        .route("/orders/{orderId}", get(order))
        .route("/orders/{orderId}/lines", put(replace_lines))
        .route("/orders/{orderId}/payment", post(pay))
        .route("/orders/{orderId}/cancel", post(cancel))
        .route("/orders/{orderId}/refund", post(refund))
}

async fn place(State(app): State<App>, request: Request) -> Response {
    let whole = match Whole::read(&app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = whole
        .json::<PlaceOrder>()
        .and_then(|body| keyed(body.into_command(), "orders", &whole.parts.headers));
    carry_out(&app, whole, command, true).await
}

async fn list(State(app): State<App>, uri: Uri) -> Response {
    page(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn page(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["status", "after", "limit"])?;
    let filter = OrderFilter::of(params.text("status")).map_err(malformed)?;
    let (after, limit) = (params.number("after")?, params.limit()?);
    params.be_up_to_date(app).await?;
    let now = app.replica().cluster_time();
    let page = app.replica().read(|inventory| match filter {
        OrderFilter::All => inventory.orders(None, after, limit),
        OrderFilter::Status(status) => inventory.orders(Some(status), after, limit),
        OrderFilter::RefundDue => inventory.orders_with_refund_due(after, limit),
    });
    let orders = page.items.into_iter().map(|order| body_at(order, now)).collect();
    Ok(json(200, &OrderPage { orders, next: page.next }))
}

async fn order(State(app): State<App>, Path(order): Path<String>, uri: Uri) -> Response {
    look_at_order(&app, &order, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_order(app: &App, order: &str, uri: &Uri) -> Result<Response, Problem> {
    let order: OrderId = id(order)?;
    let params = Params::of(uri, &[])?;
    params.be_up_to_date(app).await?;
    let now = app.replica().cluster_time();
    let found = app.replica().read(|inventory| inventory.order(order));
    let unknown = || Problem::new(ErrorCode::UnknownOrder, format!("there is no order {order}"));
    Ok(json(200, &body_at(found.ok_or_else(unknown)?, now)))
}

/// An order as it stands now: time has passed since the last entry.
fn body_at(mut order: OrderView, now: ClusterTime) -> Order {
    let deadline = order.hold.expires_at;
    if let Some(left) = order.hold.expires_in_ms.as_mut().filter(|left| **left > 0) {
        *left = deadline.map_or(0, |deadline| deadline.since(now));
    }
    Order::from(&order)
}

async fn on_order<B: DeserializeOwned>(
    app: &App,
    order: &str,
    request: Request,
    route: &str,
    command: impl FnOnce(B, OrderId) -> Result<Command, String>,
) -> Response {
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = id(order)
        .and_then(|order| command(whole.json()?, order).map_err(malformed))
        .and_then(|command| keyed(command, route, &whole.parts.headers));
    carry_out(app, whole, command, false).await
}

async fn replace_lines(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    let command = |body: ReplaceOrderLines, order| Ok(body.into_command(order));
    on_order(&app, &order, request, "orders/lines", command).await
}

async fn pay(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    on_order(&app, &order, request, "orders/payment", PayOrder::into_command).await
}

async fn cancel(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    let command = |body: Cancel, order| {
        Ok(Command::Order { order, action: OrderAction::Cancel { reason: body.reason } })
    };
    on_order(&app, &order, request, "orders/cancel", command).await
}

async fn refund(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    let command = |body: RefundOrder, order| Ok(body.into_command(order));
    on_order(&app, &order, request, "orders/refund", command).await
}
