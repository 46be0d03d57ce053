//! What a request says: its parameters and its body.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use holdfast_api::{ErrorCode, Problem};
use holdfast_serve::{BODIES_BYTES, Held, Room, Unread};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::reply::malformed;

/// The most records that a page has.
const MAX_PAGE: usize = 10_000;
/// How many records a page has when nothing else is asked for.
const DEFAULT_PAGE: usize = 100;

/// The parameters of a request.
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// The parameters of a URI, each of which must be one of `known`.
    ///
    /// # Errors
    /// When one cannot be read, or is not known: a misspelt one must not be dropped in silence.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(params) = Query::<BTreeMap<String, String>>::try_from_uri(uri)
            .map_err(|error| malformed(format!("the query cannot be read: {error}")))?;
        match params.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(malformed(format!("there is no parameter {name:?} here"))),
            None => Ok(Self(params)),
        }
    }

    /// A parameter's text.
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether a parameter is set: by its name alone, or as `true`.
    ///
    /// # Errors
    /// When it has another value.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.text(name) {
            None => Ok(false),
            Some("" | "true") => Ok(true),
            Some(other) => Err(malformed(format!("{name} takes no value but true, got {other:?}"))),
        }
    }

    /// A parameter as a number.
    ///
    /// # Errors
    /// When it is not one.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let number = |text: &str| {
            text.parse().map_err(|_| malformed(format!("{name} must be a whole number, got {text:?}")))
        };
        self.text(name).map(number).transpose()
    }

    /// A parameter as an id or cursor.
    ///
    /// # Errors
    /// When it is not one.
    pub fn id<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name).map(id).transpose()
    }

    /// How many records are asked for.
    ///
    /// # Errors
    /// When it is not 1 to 10,000.
    pub fn limit(&self) -> Result<usize, Problem> {
        let Some(text) = self.text("limit") else { return Ok(DEFAULT_PAGE) };
        let limit = text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        limit.ok_or_else(|| malformed(format!("limit must be 1 to {MAX_PAGE}, got {text:?}")))
    }
}

/// An id of a path or query.
///
/// # Errors
/// When it is not one.
pub fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| malformed(error.to_string()))
}

/// Reads a body whole. It takes room until what is returned with it is dropped.
///
/// # Errors
/// When it is larger than `max_bytes`, ends too early, finds no room, or does not come in time.
pub async fn whole(
    room: &Room,
    body: Body,
    max_bytes: usize,
    limit: Duration,
) -> Result<(Bytes, Held), Problem> {
    let late = |_| Problem::new(ErrorCode::RequestTimeout, "the body did not come in time");
    let read = timeout(limit, room.read(body, max_bytes)).await.map_err(late)?;
    read.map_err(|unread| match unread {
        Unread::TooLong => {
            Problem::new(ErrorCode::TooLarge, format!("a body may have {max_bytes} bytes here"))
        }
        Unread::CutShort => malformed("the body ended too early"),
        Unread::NoRoom => {
            let detail = format!("bodies of {BODIES_BYTES} bytes are being worked on");
            Problem::new(ErrorCode::Overloaded, detail)
        }
    })
}

/// Checks that a body says that it is JSON.
///
/// # Errors
/// When it does not.
pub fn must_be_json(headers: &HeaderMap) -> Result<(), Problem> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = value.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Problem::new(ErrorCode::UnsupportedMediaType, "the content type must be application/json"))
    }
}

/// A body as a JSON object.
///
/// # Errors
/// When it is not what was expected.
pub fn object<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Problem> {
    must_be_json(headers)?;
    // The decoder would take an array for an object's fields in order.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(malformed("the body must be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| unreadable(&error))
}

/// A body of the wrong form, or one of the right form with a number that no quantity reaches.
fn unreadable(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let is_out_of_range = text.contains("a quantity must be") || text.contains("invalid value: integer");
    let code =
        if error.is_data() && is_out_of_range { ErrorCode::QuantityOutOfRange } else { ErrorCode::Malformed };
    Problem::new(code, format!("the body cannot be read: {text}"))
}
