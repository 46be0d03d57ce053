//! The ledger as pages and as streams.

use holdfast_model::{ItemId, StoreId};
use serde_json::json;

use super::{Document, LEDGER};
use crate::{Cursor, EVENT_STREAM, ErrorCode as Code, FeedLine, MovementPage, NDJSON, SnapshotLine, header};

/// Movements, the feed, and a snapshot to start from.
pub fn describe_ledger(document: &mut Document) {
    document.tag("Movements");
    document
        .get("/movements", "movements", "The ledger, oldest first")
        .query::<u64>("after", "After this sequence; 0 unless given.")
        .query::<StoreId>("storeId", "Only this store's.")
        .query::<ItemId>("itemId", "Only this item's.")
        .pages()
        .looks()
        .answers::<MovementPage>(200, "Some records.")
        .refuses(LEDGER);
    document
        .get("/inventory/{storeId}/items/{itemId}/movements", "history", "A row's movements, newest first")
        .query::<u64>("before", "Before this sequence.")
        .pages()
        .looks()
        .answers::<MovementPage>(200, "Some movements.")
        .refuses(&[Code::UnknownItem])
        .refuses(LEDGER);
    let list = |name: &str, about: &str, item| {
        json!({
            "name": name, "in": "query", "description": about, "explode": true,
            "schema": {"type": "array", "maxItems": 1000, "items": item},
        })
    };
    let resumed = json!({
        "name": header::LAST_EVENT_ID, "in": "header",
        "description": "The cursor of the last event that was seen; stands over `after`.",
        "schema": {"type": "string"},
    });
    document
        .get("/feed", "feed", "The ledger as a stream")
        .query::<Cursor>("after", "Right after this cursor; what comes next unless given.")
        .parameter(list("storeId", "Only these stores.", json!({"type": "string"})))
        .parameter(list("itemId", "Only these items.", json!({"type": "string"})))
        .parameter(list("kind", "Only these kinds; may be separated by commas.", json!({"type": "string"})))
        .parameter(resumed)
        .answers_any(200, "Events whose id is the cursor.", EVENT_STREAM)
        .answers_lines::<FeedLine>(200, "Events, or lines.", NDJSON)
        .refuses(&[Code::NotAcceptable, Code::CursorAhead, Code::CursorOtherEpoch, Code::CursorCompacted])
        .refuses(&[Code::Overloaded, Code::NoLeader, Code::Stopped]);
    document
        .get("/snapshot", "snapshot", "The stock at one sequence, as lines")
        .query::<StoreId>("storeId", "Only this store's rows.")
        .looks()
        .answers_lines::<SnapshotLine>(200, "A head, the rows, and an end.", NDJSON)
        .refuses(&[Code::Overloaded, Code::Stopped]);
}
