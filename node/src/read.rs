//! The way of every request that only looks: parameters, and how up to date the answer must be.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::Uri;
use holdfast_api::Problem;

use crate::App;
use crate::reply::{malformed, of_read_error};

/// The most records that a page has.
pub const MAX_PAGE: usize = 10_000;
/// How many records a page has when nothing else is asked for.
const DEFAULT_PAGE: usize = 100;

/// The parameters of a request.
pub struct Params(BTreeMap<String, String>);

impl Params {
    /// The parameters of a URI, each of which must be one of `known`.
    ///
    /// # Errors
    /// When one cannot be read, comes twice, or is not known: none must be dropped in silence.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| malformed(format!("the query cannot be read: {error}")))?;
        let mut params = BTreeMap::new();
        for (name, value) in pairs {
            if params.insert(name.clone(), value).is_some() {
                return Err(malformed(format!("{name} is given twice")));
            }
        }
        match params.keys().find(|name| !known.contains(&name.as_str()) && *name != "consistency") {
            Some(name) => Err(malformed(format!("there is no parameter {name:?} here"))),
            None => Ok(Self(params)),
        }
    }

    /// A parameter's text.
    pub fn text(&self, name: &str) -> Option<&str> {
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
        self.text(name)
            .map(|text| {
                text.parse().map_err(|_| malformed(format!("{name} must be a whole number, got {text:?}")))
            })
            .transpose()
    }

    /// A parameter as an id.
    ///
    /// # Errors
    /// When it is not one.
    pub fn id<T: std::str::FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, Problem> {
        self.text(name).map(id).transpose()
    }

    /// How many records are asked for.
    ///
    /// # Errors
    /// When it is not 1 to [`MAX_PAGE`].
    pub fn limit(&self) -> Result<usize, Problem> {
        match self.number("limit")? {
            None => Ok(DEFAULT_PAGE),
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=MAX_PAGE).contains(limit))
                .ok_or_else(|| malformed(format!("limit must be 1 to {MAX_PAGE}, got {limit}"))),
        }
    }

    /// Waits until this node may answer: at once when any state will do, otherwise when its state includes all that was
    /// acknowledged before the request.
    ///
    /// # Errors
    /// When that cannot be had in time, or the wish is not one.
    pub async fn be_up_to_date(&self, app: &App) -> Result<(), Problem> {
        match self.text("consistency") {
            Some("local") => Ok(()),
            None | Some("linearizable") => {
                let barrier = app.replica().read_barrier(app.request_timeout()).await;
                barrier.map_err(|error| of_read_error(&error))
            }
            Some(other) => {
                Err(malformed(format!("consistency must be linearizable or local, got {other:?}")))
            }
        }
    }
}

/// An id of a path or query.
///
/// # Errors
/// When it is not one.
pub fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| malformed(error.to_string()))
}
