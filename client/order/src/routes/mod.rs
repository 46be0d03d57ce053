//! Paths and what answers them, a file for each family.

mod health;
mod inventory;
mod openapi;
mod orders;

use axum::Router;
use axum::middleware;
use holdfast_sdk::model::HoldId;
use uuid::Uuid;

use crate::app::App;
use crate::relay::admit;

/// All routes. Whether the service lives is told however much it has to do.
pub fn router(app: &App) -> Router<App> {
    passed_on().route_layer(middleware::from_fn_with_state(app.clone(), admit)).merge(own())
}

/// The routes that the cluster answers.
fn passed_on() -> Router<App> {
    Router::new().merge(orders::router()).merge(inventory::router())
}

/// The routes about the service itself.
fn own() -> Router<App> {
    Router::new().merge(health::router()).merge(openapi::router())
}

/// An id for a new hold.
fn new_hold_id() -> HoldId {
    HoldId::from_uuid(Uuid::now_v7())
}
