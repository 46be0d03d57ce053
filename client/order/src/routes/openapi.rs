//! What this service's routes take and answer, as OpenAPI.

use std::sync::LazyLock;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::openapi::{self, Document, Live, Ready};
use holdfast_service::metrics::CONTENT_TYPE;
use holdfast_service::reply::with_body;
use serde_json::json;

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
    describe_service(&mut document);
    openapi::describe_itself(&mut document);
    document
}

fn describe_service(document: &mut Document) {
    document.tag("Service");
    document.get("/livez", "live", "Whether the service lives").answers::<Live>(200, "It does.");
    document
        .get("/readyz", "ready", "Whether the cluster answers")
        .query_of("verbose", &["", "true"], "Names the checks.")
        .answers::<Ready>(200, "It does.")
        .answers::<Ready>(503, "It does not, or the service is about to stop.");
    document.get("/metrics", "metrics", "Its numbers").answers_schema(
        200,
        "The text format of Prometheus.",
        CONTENT_TYPE,
        json!({"type": "string"}),
    );
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
