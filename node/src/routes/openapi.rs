//! What this node's routes take and answer, as OpenAPI.

use std::sync::LazyLock;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::openapi;

use crate::App;
use crate::reply::with_body;

/// The document, made once.
static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| openapi::node().into_json().to_string().into_bytes());

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route(openapi::PATH, get(document))
}

async fn document() -> Response {
    with_body(200, "application/json", DOCUMENT.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn the_document_and_the_router_have_the_same_routes() {
        let served = openapi::routes_in(&format!("{:?}", routes::router()));
        assert!(served.contains(&("GET".to_owned(), "/inventory/{storeId}/items/{itemId}".to_owned())));
        assert!(served.contains(&("DELETE".to_owned(), "/inventory/{storeId}/items/{itemId}".to_owned())));
        assert_eq!(openapi::node().routes(), served);
    }
}
