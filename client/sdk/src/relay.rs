//! Requests of somebody else, passed on to the leader and answered as it answers, for services that stand between a
//! caller and the cluster.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;

use crate::attempt::{Answer, Call, Payload};
use crate::client::{Answered, payload};
use crate::{Client, Error};

/// A request that is passed on.
#[derive(Debug)]
pub struct Relay {
    method: Method,
    path: String,
    payload: Payload,
    time: Duration,
}

impl Relay {
    /// A look at `path`, which may have a query, within `time`.
    #[must_use]
    pub fn get(path: impl Into<String>, time: Duration) -> Self {
        Self { method: Method::GET, path: path.into(), payload: Payload::None, time }
    }

    /// A change, within `time`. It must be safe to repeat: it names what it makes or ends, or the client carries a key
    /// ([`Client::with_key`]).
    ///
    /// # Errors
    /// When the body cannot be written.
    pub fn change<B: Serialize>(
        method: Method,
        path: impl Into<String>,
        body: &B,
        time: Duration,
    ) -> Result<Self, Error> {
        Ok(Self { method, path: path.into(), payload: payload(body)?, time })
    }
}

impl Client {
    /// Passes a request on until a node answers it for good; a refusal is an answer.
    ///
    /// # Errors
    /// When no node took it, or its outcome is not known; never [`Error::Refused`].
    pub async fn relay(&self, relay: &Relay) -> Result<Answer, Error> {
        let Relay { method, path, payload, time } = relay;
        let call = Call {
            method: method.clone(),
            path,
            key: self.key().filter(|_| *method != Method::GET),
            payload: payload.clone(),
            is_repeatable: true,
        };
        match self.call_within(&call, *time).await? {
            Answered::Done(answer) | Answered::Refused(_, answer) => Ok(answer),
        }
    }
}
