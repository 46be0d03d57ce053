//! What this service's routes take and answer, as OpenAPI.

use std::borrow::Cow;
use std::sync::LazyLock;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use holdfast_api::openapi::{self, Document};
use holdfast_api::{EVENT_STREAM, ErrorCode as Code, header};
use holdfast_sdk::model::{ItemId, StoreId, WebhookUrl};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::subscriptions::Wanted;
use crate::app::App;
use crate::body::{
    EventResults, Letter, LetterPage, Replayed, StateBody, StatePage, SubscriptionBody, Subscriptions,
};
use crate::events::{MAX_EVENTS, StoreEvent};
use crate::reply::with_body;
use holdfast_service::metrics::CONTENT_TYPE;

/// The document, made once.
static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| document().into_json().to_string().into_bytes());

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route(openapi::PATH, get(show))
}

async fn show() -> Response {
    with_body(200, "application/json", DOCUMENT.clone())
}

/// What the cluster may answer in place of doing what it is asked.
const CLUSTER: &[Code] =
    &[Code::Overloaded, Code::NoLeader, Code::OutcomeUnknown, Code::Stopped, Code::LedgerDamaged];

fn document() -> Document {
    let about = "Keeps a view of the stock, and passes movements to the stores and events from them.";
    let mut document = Document::new("Holdfast sync service", about);
    describe_state(&mut document);
    describe_subscriptions(&mut document);
    describe_events(&mut document);
    describe_letters(&mut document);
    openapi::describe_service(&mut document, "Whether the service is ready", CONTENT_TYPE);
    openapi::describe_itself(&mut document);
    document
}

fn describe_state(document: &mut Document) {
    document.tag("State");
    document
        .get("/state/{storeId}/{itemId}", "row", "One row of the view")
        .answers::<StateBody>(200, "The row, and how far the view stands.")
        .refuses(&[Code::UnknownItem, Code::ViewRebuilding]);
    document
        .get("/state/{storeId}", "rows", "A store's rows, as they stood together")
        .query::<ItemId>("after", "`next` of the page before.")
        .pages()
        .answers::<StatePage>(200, "Some rows.")
        .refuses(&[Code::ViewRebuilding]);
    document
        .get("/stores/{storeId}/feed", "feed", "A store's movements as they come")
        .query::<holdfast_api::Cursor>("after", "Right after this cursor; all balances first unless given.")
        .parameter(json!({
            "name": header::LAST_EVENT_ID, "in": "header",
            "description": "The cursor of the last event that was seen; stands over `after`.",
            "schema": {"type": "string"},
        }))
        .answers_any(200, "Events whose id is the cursor.", EVENT_STREAM)
        .refuses(&[Code::Overloaded]);
}

fn describe_subscriptions(document: &mut Document) {
    document.tag("Subscriptions");
    document
        .post("/stores/{storeId}/subscriptions", "subscribe", "A webhook, or another secret for one")
        .takes::<Wanted>()
        .answers::<SubscriptionBody>(201, "The subscription, with its secret.")
        .answers::<SubscriptionBody>(200, "The subscription, which was there, with its secret.")
        .refuses(&[Code::SubscriptionExists, Code::SubscriptionsFull])
        .refuses(CLUSTER);
    document
        .get("/stores/{storeId}/subscriptions", "subscriptions", "A store's webhooks")
        .answers::<Subscriptions>(200, "All of them.")
        .refuses(CLUSTER);
    document
        .delete("/stores/{storeId}/subscriptions/{subscriptionId}", "unsubscribe", "Ends a webhook")
        .answers::<SubscriptionBody>(200, "The subscription as it was.")
        .refuses(&[Code::UnknownSubscription])
        .refuses(CLUSTER);
}

fn describe_events(document: &mut Document) {
    document.tag("Events");
    document
        .post("/stores/{storeId}/events", "takeEvents", "What has happened in a store")
        .takes::<Events>()
        .answers::<EventResults>(200, "All were applied, now or before.")
        .answers::<EventResults>(207, "Some were not: each says what became of it.")
        .refuses(&[Code::DeadLetterExists, Code::DeadLetterTooLarge, Code::DeadLettersFull])
        .refuses(CLUSTER);
}

fn describe_letters(document: &mut Document) {
    document.tag("Dead letters");
    document
        .get("/dlq", "letters", "What could not be passed on")
        .query::<StoreId>("storeId", "Only this store's.")
        .query::<u64>("after", "`next` of the page before.")
        .pages()
        .answers::<LetterPage>(200, "Some letters.")
        .refuses(CLUSTER);
    document
        .delete("/dlq/{letterId}", "removeLetter", "Throws a letter away")
        .answers::<Letter>(200, "The letter as it was.")
        .refuses(&[Code::UnknownDeadLetter])
        .refuses(CLUSTER);
    document
        .post("/dlq/{letterId}/replay", "replayLetter", "Tries a letter again")
        .answers::<Replayed>(200, "It succeeded, and the letter is gone.")
        .refuses(&[
            Code::UnknownDeadLetter,
            Code::UnknownSubscription,
            Code::DeliveryFailed,
            Code::UnknownItem,
            Code::EventExists,
            Code::EventTooOld,
            Code::EventTableFull,
            Code::QuantityOutOfRange,
            Code::SeqAhead,
            Code::CursorCompacted,
        ])
        .refuses(CLUSTER);
}

/// Where this service can post to: without TLS.
pub fn http_url(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = WebhookUrl::json_schema(generator);
    let pattern = schema.get("pattern").and_then(|pattern| pattern.as_str()).unwrap_or_default();
    let pattern = pattern.replacen("https?", "http", 1);
    schema.insert("pattern".to_owned(), pattern.into());
    schema
}

/// One event, or many.
struct Events;

impl JsonSchema for Events {
    fn schema_name() -> Cow<'static, str> {
        "Events".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let event = generator.subschema_for::<StoreEvent>();
        let list = json!({"type": "array", "maxItems": MAX_EVENTS, "items": event});
        let object = json!({
            "type": "object", "additionalProperties": false, "required": ["events"], "properties": {"events": list},
        });
        json_schema!({"anyOf": [event, list, object]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes;

    #[test]
    fn the_document_and_the_router_have_the_same_routes() {
        let served = openapi::routes_in(&format!("{:?}", routes::router()));
        assert!(served.contains(&("GET".to_owned(), "/state/{storeId}".to_owned())));
        assert_eq!(document().routes(), served);
    }
}
