//! Paths and what answers them, a file for each family.

mod health;
mod inventory;
mod orders;

use axum::Router;
use axum::middleware;
use holdfast_sdk::model::HoldId;
use uuid::Uuid;

use crate::app::App;
use crate::relay::admit;

/// All routes. Whether the service lives is told however much it has to do.
pub fn router(app: &App) -> Router<App> {
    Router::new()
        .merge(orders::router())
        .merge(inventory::router())
        .route_layer(middleware::from_fn_with_state(app.clone(), admit))
        .merge(health::router())
}

/// An id for a new hold.
fn new_hold_id() -> HoldId {
    HoldId::from_uuid(Uuid::now_v7())
}
