//! Large answers share room: a reader that does not read keeps what it was to get in memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use holdfast_api::{ErrorCode, PROBLEM_JSON, Problem};
use hyper::body::{Frame, SizeHint};

use crate::limits::SMALL_ANSWER_BYTES;
use crate::room::{Held, Room};

/// Keeps room for an answer whose length is known until it was sent; in place of one that finds none, says so. Streams are
/// made as they are read, and need none. `is_look` when it answers a request that changes nothing.
pub fn hold_room(room: &Room, is_look: bool, response: Response) -> Response {
    let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes > SMALL_ANSWER_BYTES) else {
        return response;
    };
    match usize::try_from(bytes).ok().and_then(|bytes| room.take(bytes)) {
        Some(held) => response.map(|body| Body::new(Holding { body, held: Arc::new(held) })),
        None => no_room(is_look),
    }
}

/// A body whose bytes keep room until they were sent, and not only until they were taken to be sent.
struct Holding {
    body: Body,
    held: Arc<Held>,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let held = self.held.clone();
        let keep = |bytes| Bytes::from_owner(Piece { bytes, _held: held });
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(keep))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes, and the room that they take.
struct Piece {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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
    use http_body_util::BodyExt;

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
        let [one, other] = sent;
        drop(other);
        let taken = one.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        let again = hold_room(&room, true, large());
        assert_eq!(again.status(), 200, "the room was given back");
        assert_eq!(hold_room(&room, true, large()).status(), 503, "what was taken is not sent yet");
        drop(taken);
        assert_eq!(hold_room(&room, true, large()).status(), 200);
    }
}
