//! Events of the stores: facts, each with an id of its own, so that the cluster applies it once however often it comes.
//!
//! What cannot be read or applied becomes a dead letter, whole, with the reason.

#[cfg(test)]
mod fuzz;

use holdfast_api::openapi;
use holdfast_api::{Count, ErrorCode, MAX_BATCH_COMMANDS, Problem, Receive, Sale, WireRequest};
use holdfast_sdk::model::{
    Command, DeadLetterId, EventId, ItemId, Quantity, Reason, Reference, Reply, StoreId,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::body::{EventResult, EventStatus};
use crate::registry::Letter;
use crate::reply::{malformed, of_cluster};
use holdfast_service::metrics;

/// The most events in one request: they go to the cluster in one batch.
pub const MAX_EVENTS: usize = MAX_BATCH_COMMANDS;

/// Why a body holds no events that could be looked at one by one.
#[derive(Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not JSON, or not of the form of events.
    NotEvents(String),
    /// There are more than are taken at once.
    TooMany(usize),
}

/// An event as a store sends it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreEvent {
    event_id: EventId,
    #[schemars(schema_with = "openapi::utc")]
    occurred_at: String,
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["SALE", "RECEIPT", "RETURN", "COUNT"]))]
    kind: String,
    item_id: ItemId,
    qty: Option<Quantity>,
    #[schemars(range(max = openapi::MAX_TOTAL))]
    counted: Option<u64>,
    as_of_seq: Option<u64>,
    reason: Option<Reason>,
    reference: Option<Reference>,
}

/// The events in a body: one object, or many as a list or as the member `events` of an object.
///
/// # Errors
/// When there are none to be seen.
pub fn read(body: &[u8]) -> Result<Vec<Value>, Unreadable> {
    let not_events = |reason: String| Unreadable::NotEvents(reason);
    let value: Value =
        serde_json::from_slice(body).map_err(|error| not_events(format!("the body is not JSON: {error}")))?;
    let events = match value {
        Value::Array(events) => events,
        Value::Object(mut members) => match members.remove("events") {
            Some(Value::Array(events)) if members.is_empty() => events,
            Some(_) => return Err(not_events("events must be a list, with nothing beside it".to_owned())),
            None => vec![Value::Object(members)],
        },
        _ => return Err(not_events("the body must be an event or a list of events".to_owned())),
    };
    if events.len() > MAX_EVENTS { Err(Unreadable::TooMany(events.len())) } else { Ok(events) }
}

/// Applies events, each by itself; one result for each, in order.
///
/// # Errors
/// When the cluster could not be asked, or it is not known what came of it: all of them are to be sent again.
pub async fn apply(app: &App, store: &StoreId, events: Vec<Value>) -> Result<Vec<EventResult>, Problem> {
    let commands: Vec<Result<Command, String>> = events.iter().map(|event| command(store, event)).collect();
    let requests: Vec<WireRequest> = commands
        .iter()
        .flatten()
        .map(|command| WireRequest { command: command.clone(), idempotency_key: None })
        .collect();
    let replies = if requests.is_empty() {
        Vec::new()
    } else {
        app.client.batch(requests).await.map_err(of_cluster)?
    };
    let mut replies = replies.into_iter();
    let outcomes: Vec<Outcome> = commands
        .into_iter()
        .map(|command| {
            command.map_err(malformed)?;
            let left_out = || Problem::new(ErrorCode::OutcomeUnknown, "the cluster left an event out");
            applied(&replies.next().ok_or_else(left_out)?)
        })
        .collect();
    let letters: Vec<Letter> =
        events.iter().zip(&outcomes).filter_map(|(event, outcome)| letter(store, event, outcome)).collect();
    // Those that cannot be kept now are not done with: the store is to send them again.
    let kept = bury(app, &letters).await.unwrap_or_else(|problem| vec![Err(problem); letters.len()]);
    let mut kept = kept.into_iter();
    Ok(events.iter().zip(outcomes).map(|(event, outcome)| result(app, event, outcome, &mut kept)).collect())
}

/// What came of an event: done, and its movement; or why not.
type Outcome = Result<(EventStatus, u64), Problem>;

/// The letter of an event that will never be applied.
fn letter(store: &StoreId, event: &Value, outcome: &Outcome) -> Option<Letter> {
    let problem = outcome.as_ref().err().filter(|problem| !problem.retryable)?;
    let reason = format!("{}: {}", problem.code.as_str(), problem.detail);
    Some(Letter::refused(store, event.to_string().into_bytes(), &reason))
}

/// Applies an event that became a dead letter.
///
/// # Errors
/// When it still cannot be applied.
pub async fn apply_again(app: &App, store: &StoreId, body: &[u8]) -> Result<EventResult, Problem> {
    let event: Value = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the letter holds no event: {error}")))?;
    let command = command(store, &event).map_err(malformed)?;
    let replies = app.client.batch(vec![WireRequest { command, idempotency_key: None }]).await;
    let replies = replies.map_err(of_cluster)?;
    let missing = || Problem::new(ErrorCode::OutcomeUnknown, "the cluster did not answer");
    let (status, seq) = applied(replies.first().ok_or_else(missing)?)?;
    count(app, status);
    Ok(EventResult { event_id: id_of(&event), status, seq: Some(seq), dead_letter_id: None, problem: None })
}

/// Keeps a body in which no events can be read among the dead letters; returns the letter's id.
///
/// # Errors
/// When the dead letters do not take it now.
pub async fn bury_whole(
    app: &App,
    store: &StoreId,
    body: Vec<u8>,
    reason: &str,
) -> Result<DeadLetterId, Problem> {
    let kept = bury(app, &[Letter::refused(store, body, reason)]).await?.pop();
    kept.unwrap_or_else(|| Err(Problem::new(ErrorCode::OutcomeUnknown, "the cluster did not answer")))
}

/// Keeps letters; for each, in order, its id, or why it is not kept.
async fn bury(app: &App, letters: &[Letter]) -> Result<Vec<Result<DeadLetterId, Problem>>, Problem> {
    let kept = app.registry.keep(letters).await.map_err(of_cluster)?;
    let kept = letters.iter().zip(kept).map(|(letter, kept)| {
        let Letter { id, store, reason, .. } = letter;
        kept?;
        metrics::one(&app.counters.dead_letters);
        tracing::warn!(letter = %id, %store, %reason, "an event became a dead letter");
        Ok(*id)
    });
    Ok(kept.collect())
}

fn applied(reply: &Reply) -> Outcome {
    match &reply.result {
        Ok(_) if reply.replayed => Ok((EventStatus::Repeated, reply.seq.0)),
        Ok(_) => Ok((EventStatus::Applied, reply.seq.0)),
        Err(refusal) => Err(Problem::from(refusal)),
    }
}

/// What an event is answered with. One that will never be applied is answered as that only once it is kept, as the next of
/// `kept` tells.
fn result(
    app: &App,
    event: &Value,
    outcome: Outcome,
    kept: &mut impl Iterator<Item = Result<DeadLetterId, Problem>>,
) -> EventResult {
    let event_id = id_of(event);
    let (status, problem, letter) = match outcome {
        Ok((status, seq)) => {
            count(app, status);
            return EventResult { event_id, status, seq: Some(seq), dead_letter_id: None, problem: None };
        }
        Err(problem) if problem.retryable => (EventStatus::Retry, problem, None),
        Err(problem) => match kept.next() {
            Some(Ok(letter)) => (EventStatus::DeadLettered, problem, Some(letter.to_string())),
            Some(Err(full)) => (EventStatus::Retry, full, None),
            None => (EventStatus::Retry, problem, None),
        },
    };
    count(app, status);
    EventResult { event_id, status, seq: None, dead_letter_id: letter, problem: Some(problem) }
}

fn count(app: &App, status: EventStatus) {
    match status {
        EventStatus::Applied => metrics::one(&app.counters.events_applied),
        EventStatus::Repeated => metrics::one(&app.counters.events_repeated),
        EventStatus::DeadLettered => metrics::one(&app.counters.events_refused),
        EventStatus::Retry => {}
    }
}

fn id_of(event: &Value) -> Option<String> {
    event.get("eventId").and_then(Value::as_str).map(str::to_owned)
}

/// The command of an event.
///
/// # Errors
/// What is wrong with it, in words.
fn command(store: &StoreId, event: &Value) -> Result<Command, String> {
    if !event.is_object() {
        return Err("an event must be a JSON object".to_owned());
    }
    let event =
        StoreEvent::deserialize(event).map_err(|error| format!("the event cannot be read: {error}"))?;
    let StoreEvent { event_id, occurred_at, kind, item_id, qty, counted, as_of_seq, reason, reference } =
        event;
    let (event_id, occurred_at) = (Some(event_id), Some(occurred_at));
    if kind != "COUNT" && (counted.is_some() || as_of_seq.is_some()) {
        return Err(format!("counted and asOfSeq belong to a COUNT, not to a {kind}"));
    }
    let some_qty = || qty.ok_or_else(|| format!("a {kind} needs qty"));
    match kind.as_str() {
        "SALE" => Sale { qty: some_qty()?, reason, reference, event_id, occurred_at }
            .into_command(store.clone(), item_id),
        "RECEIPT" | "RETURN" => {
            let kind = if kind == "RETURN" { "RETURN" } else { "DELIVERY" };
            let (qty, kind) = (some_qty()?, kind.to_owned());
            Receive { qty, kind, reason, reference, event_id, occurred_at }
                .into_command(store.clone(), item_id)
        }
        "COUNT" if qty.is_some() => Err("a COUNT has counted, not qty".to_owned()),
        "COUNT" => {
            let counted = counted.ok_or("a COUNT needs counted")?;
            Count { counted, as_of_seq, reason, reference, event_id, occurred_at }
                .into_command(store.clone(), item_id)
        }
        other => Err(format!("type must be SALE, COUNT, RECEIPT or RETURN, got {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn store() -> StoreId {
        StoreId::new("S1").unwrap()
    }

    #[test]
    fn a_body_is_one_event_or_many() {
        let one = json!({"eventId": "e1"});
        assert_eq!(read(one.to_string().as_bytes()).unwrap(), std::slice::from_ref(&one));
        for many in [json!([one, one]), json!({"events": [one, one]})] {
            assert_eq!(read(many.to_string().as_bytes()).unwrap(), [one.clone(), one.clone()]);
        }
        assert_eq!(read(b"[]").unwrap(), [] as [Value; 0]);
        for bad in ["", "{\"eventId\": \"e1\"", "7", "null", "{\"events\": 1}", "{\"events\": [], \"x\": 1}"]
        {
            assert!(matches!(read(bad.as_bytes()), Err(Unreadable::NotEvents(_))), "{bad:?}");
        }
        let too_many = Value::Array(vec![Value::Null; MAX_EVENTS + 1]);
        assert_eq!(read(too_many.to_string().as_bytes()), Err(Unreadable::TooMany(MAX_EVENTS + 1)));
    }

    #[test]
    fn each_kind_of_event_is_a_command_of_its_own() {
        let event = |kind: &str, more: Value| {
            let mut event =
                json!({"eventId": "e1", "occurredAt": "2026-11-24T13:05:00Z", "type": kind, "itemId": "A"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            command(&store(), &event)
        };
        assert!(matches!(event("SALE", json!({"qty": 2})), Ok(Command::RecordSale { event: Some(_), .. })));
        assert!(matches!(event("RECEIPT", json!({"qty": 2})), Ok(Command::Receive { .. })));
        assert!(matches!(event("RETURN", json!({"qty": 2})), Ok(Command::Receive { .. })));
        assert!(matches!(event("COUNT", json!({"counted": 0, "asOfSeq": 7})), Ok(Command::Count { .. })));
        for (kind, more, part) in [
            ("SALE", json!({}), "qty"),
            ("SALE", json!({"qty": 0}), "quantity"),
            ("SALE", json!({"qty": 1, "counted": 1}), "COUNT"),
            ("SALE", json!({"qty": 1, "storeId": "S2"}), "storeId"),
            ("SALE", json!({"qty": 1, "occurredAt": "yesterday"}), "occurredAt"),
            ("SALE", json!({"qty": 1, "eventId": ""}), "eventId"),
            ("COUNT", json!({}), "counted"),
            ("COUNT", json!({"counted": 1, "qty": 1}), "qty"),
            ("THEFT", json!({"qty": 1}), "THEFT"),
        ] {
            let reason = event(kind, more.clone()).expect_err("it is wrong");
            assert!(reason.contains(part), "{kind} {more}: {reason}");
        }
        assert!(command(&store(), &json!(["e1"])).is_err());
    }
}
