//! The contract as an OpenAPI 3.1 document: schemas come from the types that are sent and read, so they cannot differ
//! from them; what an operation takes and refuses is said here, beside the codes that it is refused with.
//!
//! A service puts its document together from the families of operations that it serves.

mod answers;
mod batch;
mod cluster;
mod document;
mod holds;
mod ledger;
mod orders;
mod registry;
mod routes;
mod schema;
mod stock;

pub use answers::{DeadLetterRef, LedgerStart, Live, Ready, RowAt, SnapshotTaken, SubscriptionRef};
pub use cluster::{describe_cluster, describe_settings};
pub use document::{Document, OperationBuilder};
pub use holds::describe_holds;
pub use ledger::describe_ledger;
pub use orders::describe_orders;
pub use registry::describe_registry;
pub use routes::routes_in;
pub use schema::{MAX_DELTA, MAX_TOTAL, MAX_TTL_SECONDS, base64, optional_utc, utc};
pub use stock::{describe_holds_of_a_row, describe_stock};

use crate::ErrorCode;

/// Where every service has its document.
pub const PATH: &str = "/openapi.json";

/// The document of a node.
#[must_use]
pub fn node() -> Document {
    let about = "One member of a cluster. Any member takes any request.";
    let mut document = Document::of_node("Holdfast inventory service", about);
    describe_stock(&mut document);
    describe_holds_of_a_row(&mut document);
    describe_holds(&mut document);
    holds::describe_transfers(&mut document);
    describe_orders(&mut document);
    describe_registry(&mut document);
    batch::describe_batch(&mut document);
    describe_ledger(&mut document);
    describe_settings(&mut document);
    describe_cluster(&mut document);
    describe_itself(&mut document);
    document
}

/// Whether a service lives and is ready, as it says that, and its numbers of a content type.
pub fn describe_service(document: &mut Document, ready: &'static str, numbers: &str) {
    document.tag("Service");
    document.get("/livez", "live", "Whether the service lives").answers::<Live>(200, "It does.");
    document
        .get("/readyz", "ready", ready)
        .query_of("verbose", &["", "true"], "Names the checks.")
        .answers::<Ready>(200, "It is ready.")
        .answers::<Ready>(503, "It is not, or it is about to stop.");
    document.get("/metrics", "metrics", "Its numbers").answers_schema(
        200,
        "The text format of Prometheus.",
        numbers,
        serde_json::json!({"type": "string"}),
    );
}

/// The document itself.
pub fn describe_itself(document: &mut Document) {
    document.tag("Service");
    document.get(PATH, "document", "This document").answers_any(200, "The document", "application/json");
}

/// What a reservation is refused with.
const RESERVE: &[ErrorCode] = &[
    ErrorCode::UnknownItem,
    ErrorCode::ItemRetired,
    ErrorCode::InsufficientStock,
    ErrorCode::HoldExists,
    ErrorCode::NoLines,
    ErrorCode::TooManyLines,
    ErrorCode::TtlOutOfRange,
    ErrorCode::QuantityOutOfRange,
];

/// What reading the ledger is refused with.
const LEDGER: &[ErrorCode] =
    &[ErrorCode::CursorCompacted, ErrorCode::SeqAhead, ErrorCode::LedgerRebuilding, ErrorCode::LedgerDamaged];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::BatchCommand;

    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn everything_that_is_referred_to_is_there_and_operations_have_names_of_their_own() {
        let routes = node().routes().len();
        let document = node().into_json();
        assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > routes);
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("a reference within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations = paths.flat_map(|path| path.as_object().unwrap().values());
        let ids: std::collections::BTreeSet<&str> =
            operations.map(|operation| operation["operationId"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), routes);
    }

    #[test]
    fn every_command_of_a_batch_that_is_described_is_known() {
        let document = node().into_json();
        let commands = document["components"]["schemas"]["BatchCommand"]["oneOf"].as_array().unwrap();
        assert!(commands.len() > 20);
        for command in commands {
            let op = &command["properties"]["op"]["const"];
            let read = serde_json::from_value::<BatchCommand>(json!({"op": op}));
            let error = read.expect_err("a command needs more than its name").to_string();
            assert!(!error.contains("no op"), "{error}");
        }
    }

    #[test]
    fn routes_are_read_from_the_text_of_a_router_and_from_nothing_else() {
        let text = r#"Router { path_router: PathRouter { routes: {RouteId(2): MethodRouter(MethodRouter { get: BoxedHandler,
            allow_header: Bytes(b"GET,HEAD,POST") }), RouteId(1): MethodRouter(MethodRouter { allow_header: Bytes(b"PUT") })},
            node: Node { paths: {RouteId(1): "/b/{id}", RouteId(2): "/a"} } } }"#;
        let found: Vec<(String, String)> = routes_in(text).into_iter().collect();
        let expected = [("GET", "/a"), ("POST", "/a"), ("PUT", "/b/{id}")];
        assert_eq!(found, expected.map(|(method, path)| (method.to_owned(), path.to_owned())));
        assert!(routes_in("Router").is_empty());
    }
}
