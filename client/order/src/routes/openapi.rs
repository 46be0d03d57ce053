//! What this service's routes take and answer, as OpenAPI.

use std::sync::LazyLock;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::openapi::{self, Document};
use holdfast_service::metrics::CONTENT_TYPE;
use holdfast_service::reply::with_body;

use crate::app::App;

/// The document, made once.
static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| document().into_json().to_string().into_bytes());

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route(openapi::PATH, get(show))
}

async fn show() -> Response {
    with_body(200, "application/json", DOCUMENT.clone())
}

fn document() -> Document {
    let about = "The life of an order, from its place to its payment and, where it must be, its refund.";
    let mut document = Document::new("Holdfast order service", about);
    openapi::describe_orders(&mut document);
    openapi::describe_holds_of_a_row(&mut document);
    openapi::describe_service(&mut document, "Whether the cluster answers", CONTENT_TYPE);
    openapi::describe_itself(&mut document);
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn the_document_and_the_router_have_the_same_routes() {
        let served = openapi::routes_in(&format!("{:?}", routes::passed_on().merge(routes::own())));
        assert!(served.contains(&("PUT".to_owned(), "/orders/{orderId}/lines".to_owned())));
        assert_eq!(document().routes(), served);
    }
}
