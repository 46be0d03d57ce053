//! Orders: placed, changed, paid, taken back, given their money back.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{get, post, put};
use holdfast_api::{Cancel, PayOrder, PlaceOrder, Problem, RefundOrder, ReplaceOrderLines};
use holdfast_sdk::model::{Currency, OrderId, PaymentId};
use holdfast_service::read::id;
use holdfast_service::reply::problem;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::new_hold_id;
use crate::app::App;
use crate::config::LatePayments;
use crate::relay::{Whole, look};

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

/// How a payment went, as its provider says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payment {
    /// The provider's id of it.
    payment_id: PaymentId,
    /// `SUCCEEDED` or `FAILED`.
    outcome: String,
    /// How much it was, in the currency's minor units.
    amount_minor: Option<u64>,
    /// The currency.
    currency: Option<Currency>,
    /// When the order has expired, take the stock again or do not; the service's policy when absent.
    reacquire: Option<bool>,
}

impl Payment {
    fn under(self, policy: LatePayments) -> PayOrder {
        let Self { payment_id, outcome, amount_minor, currency, reacquire } = self;
        let reacquire = reacquire.unwrap_or(policy == LatePayments::Sell);
        PayOrder { payment_id, outcome, amount_minor, currency, reacquire }
    }
}

/// No order that is placed here lasts for ever: its buyer may never come back.
async fn place(State(app): State<App>, request: Request) -> Response {
    let passed_on = async {
        let whole = Whole::read(&app, request).await?;
        let mut body: PlaceOrder = whole.json()?;
        body.ttl_seconds.get_or_insert(app.config.order_ttl_seconds);
        if !whole.has_key() {
            body.order_id.get_or_insert_with(|| OrderId::from_uuid(Uuid::now_v7()));
            body.hold_id.get_or_insert_with(new_hold_id);
        }
        whole.pass_on(&app, Method::POST, "/orders".to_owned(), &body).await
    };
    passed_on.await.unwrap_or_else(|refused| problem(&refused))
}

async fn list(State(app): State<App>, uri: Uri) -> Response {
    look(&app, "/orders".to_owned(), uri.query()).await.unwrap_or_else(|refused| problem(&refused))
}

async fn order(State(app): State<App>, Path(order): Path<String>, uri: Uri) -> Response {
    let passed_on = async {
        let order: OrderId = id(&order)?;
        look(&app, format!("/orders/{order}"), uri.query()).await
    };
    passed_on.await.unwrap_or_else(|refused| problem(&refused))
}

async fn replace_lines(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    let complete = |whole: &Whole, mut body: ReplaceOrderLines| {
        if !whole.has_key() {
            body.hold_id.get_or_insert_with(new_hold_id);
        }
        body
    };
    on_order(&app, (Method::PUT, &order, "lines"), request, complete).await
}

/// A provider is answered with success only once the cluster has kept what it says, so that none is lost that it was
/// told is kept.
async fn pay(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    let policy = app.config.late_payments;
    let complete = |_: &Whole, body: Payment| body.under(policy);
    on_order(&app, (Method::POST, &order, "payment"), request, complete).await
}

async fn cancel(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    on_order(&app, (Method::POST, &order, "cancel"), request, |_, body: Cancel| body).await
}

async fn refund(State(app): State<App>, Path(order): Path<String>, request: Request) -> Response {
    on_order(&app, (Method::POST, &order, "refund"), request, |_, body: RefundOrder| body).await
}

async fn on_order<A: DeserializeOwned, B: Serialize>(
    app: &App,
    (method, order, action): (Method, &str, &str),
    request: Request,
    complete: impl FnOnce(&Whole, A) -> B,
) -> Response {
    let passed_on = async {
        let whole = Whole::read(app, request).await?;
        let order: OrderId = id(order)?;
        let body = complete(&whole, whole.json()?);
        whole.pass_on(app, method, format!("/orders/{order}/{action}"), &body).await
    };
    passed_on.await.unwrap_or_else(|refused: Problem| problem(&refused))
}
