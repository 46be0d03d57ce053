//! Answers: JSON, or a problem.

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use holdfast_api::{ErrorCode, PROBLEM_JSON, Problem};
use holdfast_sdk::Error;
use serde::Serialize;

/// Seconds after which a caller may try again.
const RETRY_AFTER_SECONDS: u64 = 1;

/// An answer with a JSON body.
pub fn json<T: Serialize>(status: u16, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_body(status, "application/json", bytes),
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

/// Why a request cannot be read.
pub fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(ErrorCode::Malformed, detail)
}

/// Why the cluster did not do what it was asked.
pub fn of_cluster(error: Error) -> Problem {
    match error {
        Error::Refused(problem) => *problem,
        Error::Unavailable { problem: Some(problem), .. } => *problem,
        Error::Unavailable { detail, problem: None } => Problem::new(ErrorCode::NoLeader, detail),
        Error::OutcomeUnknown(detail) => Problem::new(ErrorCode::OutcomeUnknown, detail),
        Error::Invalid(detail) => malformed(detail),
        Error::Protocol(detail) => {
            Problem::new(ErrorCode::OutcomeUnknown, format!("the cluster's answer makes no sense: {detail}"))
        }
    }
}
