//! Answers: JSON, or a problem.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use holdfast_api::{ErrorCode, Hold, Order, PROBLEM_JSON, Problem, Row, Transfer, header, settings};
use holdfast_model::{Outcome, Reply};
use holdfast_replica::{AdminError, LedgerError, ReadError, SubmitError};
use serde::Serialize;

/// Seconds after which a caller may try again: an election takes less.
const RETRY_AFTER_SECONDS: u64 = 1;

/// Room for the JSON of one row, or of a hold with a few lines, in bytes.
const USUAL_JSON_BYTES: usize = 512;

/// An answer with a JSON body.
pub fn json<T: Serialize>(status: u16, body: &T) -> Response {
    let mut bytes = Vec::with_capacity(USUAL_JSON_BYTES);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => with_body(status, "application/json", bytes),
        Err(error) => {
            problem(&Problem::new(ErrorCode::LedgerDamaged, format!("the answer cannot be written: {error}")))
        }
    }
}

/// An answer with a body of some kind.
pub fn with_body(status: u16, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A problem as an answer.
pub fn problem(problem: &Problem) -> Response {
    let bytes = serde_json::to_vec(problem).unwrap_or_default();
    let mut response = with_body(problem.status, PROBLEM_JSON, bytes);
    if problem.retryable {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS));
    }
    if matches!(problem.code, ErrorCode::TooLarge | ErrorCode::RequestTimeout) {
        // The rest of the body is not read, so nothing can follow on this connection.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer to a command; `created` is for commands that make something.
pub fn of_reply(reply: &Reply, created: bool) -> Response {
    let status = if created && !reply.replayed { 201 } else { 200 };
    let mut response = match &reply.result {
        Ok(outcome) => of_outcome(status, outcome),
        Err(refusal) => problem(&Problem::from(refusal)),
    };
    if reply.replayed {
        let name = HeaderName::from_static(header::IDEMPOTENCY_REPLAYED);
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

fn of_outcome(status: u16, outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Ticked => json(status, &serde_json::json!({})),
        Outcome::Row(row) | Outcome::Removed(row) => json(status, &Row::from(row)),
        Outcome::Hold(hold) => json(status, &Hold::from(hold)),
        Outcome::Transfer(transfer) => json(status, &Transfer::from(transfer)),
        Outcome::Order(order) => json(status, &Order::from(order)),
        Outcome::Subscribed(id) | Outcome::Unsubscribed(id) => {
            json(status, &serde_json::json!({"subscriptionId": id}))
        }
        Outcome::DeadLetter(id) | Outcome::DeadLetterRemoved(id) => {
            json(status, &serde_json::json!({"deadLetterId": id}))
        }
        Outcome::Configured(config) => json(status, &settings(config)),
        Outcome::Trimmed(start) => json(status, &serde_json::json!({"oldestSeq": start.0})),
        Outcome::ModelVersion(version) => json(status, &serde_json::json!({"modelVersion": version})),
    }
}

/// Why a request cannot be read.
pub fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::Malformed, detail)
}

/// Why commands were not applied.
pub fn of_submit_error(error: &SubmitError) -> Problem {
    match error {
        SubmitError::NotLeader { leader } => {
            Problem::new(ErrorCode::NoLeader, "leadership is changing").with("leader", leader.http.as_str())
        }
        SubmitError::NoLeader => Problem::new(ErrorCode::NoLeader, error.to_string()),
        SubmitError::Overloaded { queued } => {
            Problem::new(ErrorCode::Overloaded, error.to_string()).with("queued", *queued)
        }
        SubmitError::OutcomeUnknown => Problem::new(ErrorCode::OutcomeUnknown, error.to_string()),
        SubmitError::Stopped(_) => Problem::new(ErrorCode::Stopped, error.to_string()),
    }
}

/// Why a read was not up to date.
pub fn of_read_error(error: &ReadError) -> Problem {
    match error {
        ReadError::NoLeader => Problem::new(ErrorCode::NoLeader, error.to_string()),
        ReadError::Stopped(_) => Problem::new(ErrorCode::Stopped, error.to_string()),
    }
}

/// Why the ledger did not answer.
pub fn of_ledger_error(error: &LedgerError) -> Problem {
    match error {
        LedgerError::Compacted { oldest } => {
            Problem::new(ErrorCode::CursorCompacted, error.to_string()).with("oldestSeq", oldest.0)
        }
        LedgerError::Rebuilding { .. } => Problem::new(ErrorCode::LedgerRebuilding, error.to_string()),
        LedgerError::Damaged(_) => Problem::new(ErrorCode::LedgerDamaged, error.to_string()),
    }
}

/// Why a change of the cluster was not made.
pub fn of_admin_error(error: &AdminError) -> Problem {
    match error {
        AdminError::NotLeader { leader } => {
            Problem::new(ErrorCode::NoLeader, "leadership is changing").with("leader", leader.http.as_str())
        }
        AdminError::NoLeader => Problem::new(ErrorCode::NoLeader, error.to_string()),
        AdminError::Invalid(_) => Problem::new(ErrorCode::InvalidMembership, error.to_string()),
        AdminError::InProgress => Problem::new(ErrorCode::MembershipBusy, error.to_string()),
        AdminError::OutcomeUnknown => Problem::new(ErrorCode::OutcomeUnknown, error.to_string()),
        AdminError::Stopped(_) => Problem::new(ErrorCode::Stopped, error.to_string()),
    }
}
