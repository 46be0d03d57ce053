//! Large answers share room: a reader that does not read keeps what it was to get in memory.

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use holdfast_api::{ErrorCode, PROBLEM_JSON, Problem};
use http_body_util::BodyExt;

use crate::limits::SMALL_ANSWER_BYTES;
use crate::room::Room;

/// Keeps room for an answer whose length is known until it was sent; in place of one that finds none, says so. Streams are
/// made as they are read, and need none. `is_look` when it answers a request that changes nothing.
pub fn hold_room(room: &Room, is_look: bool, response: Response) -> Response {
    let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes > SMALL_ANSWER_BYTES) else {
        return response;
    };
    match usize::try_from(bytes).ok().and_then(|bytes| room.take(bytes)) {
        Some(held) => response.map(|body| {
            Body::new(body.inspect_frame(move |_| {
                // Held for as long as the body lives.
                let _ = &held;
            }))
        }),
        None => no_room(is_look),
    }
}

/// Where something was changed, its outcome is not told.
fn no_room(is_look: bool) -> Response {
    let code = if is_look { ErrorCode::Overloaded } else { ErrorCode::OutcomeUnknown };
    let problem = Problem::new(code, "too many large answers are being sent");
    let mut response = Response::new(Body::from(serde_json::to_vec(&problem).unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_answers_share_room_and_small_ones_need_none() {
        let large = || Response::new(Body::from(vec![0; 40 << 10]));
        let room = Room::new(100 << 10);
        let sent = [hold_room(&room, true, large()), hold_room(&room, true, large())];
        assert_eq!(sent[0].body().size_hint().exact(), Some(40 << 10), "its length is still known");
        let refused = hold_room(&room, true, large());
        assert_eq!(refused.status(), 503);
        let text = |body: Body| async { body.collect().await.unwrap().to_bytes() };
        assert!(text(refused.into_body()).await.windows(10).any(|part| part == b"overloaded"));
        let unknown = text(hold_room(&room, false, large()).into_body()).await;
        assert!(unknown.windows(15).any(|part| part == b"outcome_unknown"), "it was done");
        assert_eq!(hold_room(&room, true, Response::new(Body::from("small"))).status(), 200);
        drop(sent);
        assert_eq!(hold_room(&room, true, large()).status(), 200, "the room was given back");
    }
}
