//! Paths and what answers them, a file for each family.

mod batch;
mod cluster;
mod feed;
mod health;
mod holds;
mod inventory;
mod movements;
mod openapi;
mod orders;
mod registry;
mod settings;
mod transfers;

use axum::Router;

use crate::App;

/// All routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(inventory::router())
        .merge(holds::router())
        .merge(transfers::router())
        .merge(orders::router())
        .merge(registry::router())
        .merge(batch::router())
        .merge(movements::router())
        .merge(feed::router())
        .merge(settings::router())
        .merge(cluster::router())
        .merge(health::router())
        .merge(openapi::router())
}
