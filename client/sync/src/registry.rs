//! What the cluster keeps for this service, so that all of its own data can be thrown away: subscriptions with their
//! secrets, and dead letters.

use futures_util::TryStreamExt;
use futures_util::stream::StreamExt;
use holdfast_api::{DeadLetter, DeadLetterPage, MAX_BATCH_COMMANDS, NewSubscription, Problem, WireRequest};
use holdfast_sdk::model::{
    self, Command, DeadLetterId, Direction, LetterAction, LetterBody, Reason, Refusal, StoreId,
    SubscriptionId,
};
use holdfast_sdk::{Client, Error};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::push::{Message, Secret};

/// The longest reason of a letter, in bytes.
const MAX_REASON_BYTES: usize = 256;
/// Letters that are kept in one go have about so many bytes.
const MAX_BATCH_BYTES: usize = 2 << 20;

/// Where a store's messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Its id.
    pub id: SubscriptionId,
    /// The store.
    pub store: StoreId,
    /// Where messages are posted.
    pub url: String,
    /// The live secrets, the newest first.
    pub secrets: Vec<Secret>,
    /// What it is for.
    pub description: Option<String>,
}

/// Something that could not be passed on, kept whole for a person to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its id, made of what it says, so that the same letter is kept once.
    pub id: DeadLetterId,
    /// The store.
    pub store: StoreId,
    /// Which way it was going.
    pub direction: Direction,
    /// Why it did not get there.
    pub reason: Reason,
    /// What it says.
    pub body: Vec<u8>,
}

/// A message that was not delivered, as its letter keeps it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undelivered {
    /// Whose message it was.
    pub subscription_id: SubscriptionId,
    /// The message's id.
    pub message_id: String,
    /// What it says.
    pub body: String,
}

impl Letter {
    /// A message that its receiver did not take.
    ///
    /// # Panics
    /// Never: a message is text.
    pub fn undelivered(subscription: &Subscription, message: &Message, attempts: u32, error: &str) -> Self {
        let kept = Undelivered {
            subscription_id: subscription.id,
            message_id: message.id.clone(),
            body: message.body.clone(),
        };
        Self {
            id: letter_id(&[message.id.as_bytes()]),
            store: subscription.store.clone(),
            direction: Direction::ToStore,
            reason: reason(&format!("not delivered in {attempts} attempts: {error}")),
            body: serde_json::to_vec(&kept).expect("a message is text"),
        }
    }

    /// An event that cannot be applied, or a body in which no events can be read.
    pub fn refused(store: &StoreId, body: Vec<u8>, why: &str) -> Self {
        let id = letter_id(&[store.as_str().as_bytes(), &body]);
        Self { id, store: store.clone(), direction: Direction::FromStore, reason: reason(why), body }
    }

    fn request(&self) -> WireRequest {
        let action = LetterAction::Keep {
            store: self.store.clone(),
            direction: self.direction,
            reason: self.reason.clone(),
            body: LetterBody::new(self.body.as_slice()),
        };
        WireRequest { command: Command::DeadLetter { letter: self.id, action }, idempotency_key: None }
    }
}

/// How many of `letters` go into one batch: at least one.
fn batch_len(letters: &[Letter]) -> usize {
    let mut size = 0;
    let fits = letters.iter().take(MAX_BATCH_COMMANDS).take_while(|letter| {
        size += letter.body.len() + MAX_REASON_BYTES;
        size <= MAX_BATCH_BYTES
    });
    fits.count().max(1)
}

fn letter_id(parts: &[&[u8]]) -> DeadLetterId {
    DeadLetterId::from_uuid(Uuid::from_u128(xxh3_128(&parts.join(&0))))
}

/// A reason as the cluster takes it: no longer than it may be, and on one line.
fn reason(text: &str) -> Reason {
    let mut plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let end = (0..=plain.len().min(MAX_REASON_BYTES)).rev().find(|&end| plain.is_char_boundary(end));
    plain.truncate(end.unwrap_or(0));
    Reason::new(plain).unwrap_or_else(|_| Reason::new("no reason was given").expect("it is one"))
}

/// The cluster's lists. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Registry(Client);

/// The calls. Each may be repeated: what it makes has an id of its own.
///
/// # Errors
/// Each call fails as [`Error`] says.
impl Registry {
    /// The lists of a cluster.
    pub const fn new(client: Client) -> Self {
        Self(client)
    }

    /// All subscriptions, or a store's.
    pub async fn subscriptions(&self, store: Option<&StoreId>) -> Result<Vec<Subscription>, Error> {
        let found = self.0.subscriptions(store, true);
        found.map(|one| subscription(one?)).try_collect().await
    }

    /// Makes a subscription, or changes its secret.
    pub async fn subscribe(&self, body: NewSubscription) -> Result<(), Error> {
        self.0.add_subscription(body).await.map(drop)
    }

    /// Ends a subscription.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<(), Error> {
        self.0.remove_subscription(id).await.map(drop)
    }

    /// Keeps letters; one that is there already stays as it is. For each, in order, why it is not kept when it is not: then
    /// there is no room now, or it is too large.
    pub async fn keep(&self, letters: &[Letter]) -> Result<Vec<Result<(), Problem>>, Error> {
        let mut kept = Vec::with_capacity(letters.len());
        let mut rest = letters;
        while !rest.is_empty() {
            let (some, after) = rest.split_at(batch_len(rest));
            // As a batch, since a refusal for lack of room is then an answer, and not tried again until the time is over.
            for reply in self.0.batch(some.iter().map(Letter::request).collect()).await? {
                kept.push(match reply.result {
                    Ok(_) | Err(Refusal::DeadLetterExists { .. }) => Ok(()),
                    Err(refusal) => Err(Problem::from(&refusal)),
                });
            }
            rest = after;
        }
        Ok(kept)
    }

    /// Letters after a place, at most `limit`, and where the next page starts.
    pub async fn letters(
        &self,
        store: Option<&StoreId>,
        after: Option<u64>,
        limit: usize,
    ) -> Result<DeadLetterPage, Error> {
        self.0.dead_letter_page(store, after, limit).await
    }

    /// A letter.
    pub async fn letter(&self, id: DeadLetterId) -> Result<DeadLetter, Error> {
        self.0.get_dead_letter(id).await
    }

    /// Removes a letter.
    pub async fn remove_letter(&self, id: DeadLetterId) -> Result<(), Error> {
        self.0.remove_dead_letter(id).await.map(drop)
    }
}

fn subscription(body: holdfast_api::Subscription) -> Result<Subscription, Error> {
    let senseless = |error: model::IdError| Error::Protocol(error.to_string());
    let secrets = body.secrets.unwrap_or_default();
    let secrets = secrets.iter().map(|secret| Secret::kept(secret.reveal()).map_err(Error::Protocol));
    Ok(Subscription {
        id: body.subscription_id.parse().map_err(senseless)?,
        store: StoreId::new(body.store_id).map_err(senseless)?,
        url: body.url,
        secrets: secrets.collect::<Result<_, _>>()?,
        description: body.description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_s_id_is_made_of_what_it_says() {
        let (one, other) = (StoreId::new("S1").unwrap(), StoreId::new("S2").unwrap());
        let letter = |store: &StoreId, body: &[u8]| Letter::refused(store, body.to_vec(), "why").id;
        assert_eq!(letter(&one, b"{}"), letter(&one, b"{}"));
        assert_ne!(letter(&one, b"{}"), letter(&other, b"{}"));
        assert_ne!(letter(&one, b"{}"), letter(&one, b"{ }"));
    }

    #[test]
    fn any_text_makes_a_reason() {
        assert_eq!(reason("a\nb").as_str(), "a b");
        assert_eq!(reason("").as_str(), "no reason was given");
        let long = reason(&"ä".repeat(200));
        assert_eq!(long.as_str().len(), 256);
        assert_eq!(reason(&format!("x{}", "ä".repeat(200))).as_str().len(), 255);
    }
}
