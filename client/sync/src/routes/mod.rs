//! Paths and what answers them, a file for each family.

mod dead_letters;
mod events;
mod feed;
mod health;
mod openapi;
mod state;
mod subscriptions;

use axum::Router;

use crate::app::App;

/// All routes.
pub fn router() -> Router<App> {
    Router::new()
        .merge(state::router())
        .merge(feed::router())
        .merge(subscriptions::router())
        .merge(events::router())
        .merge(dead_letters::router())
        .merge(health::router())
        .merge(openapi::router())
}
