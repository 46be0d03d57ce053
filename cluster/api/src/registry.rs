//! Bodies about what is kept for stores: webhook subscriptions and dead letters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast_model::{
    Command, DeadLetterId, DeadLetterView, Description, Direction, LetterAction, LetterBody, LetterStatus,
    Reason, Secret, StoreId, SubscriptionAction, SubscriptionId, SubscriptionView, WebhookUrl,
};
use serde::{Deserialize, Serialize};

use crate::post_url::read_post_url;
use crate::time::rfc3339;

/// A new subscription; with the id of one that is there and all else the same, another secret for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSubscription {
    /// The subscription's id; made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription_id: Option<SubscriptionId>,
    /// The store whose movements are sent.
    pub store_id: StoreId,
    /// Where to.
    #[serde(deserialize_with = "read_post_url")]
    pub url: WebhookUrl,
    /// What they are signed with: `whsec_` and the base64 of 24 to 64 bytes.
    pub secret: Secret,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Description>,
}

/// What could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewDeadLetter {
    /// The letter's id; made when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letter_id: Option<DeadLetterId>,
    /// The store that it was for or came from.
    pub store_id: StoreId,
    /// `TO_STORE` or `FROM_STORE`.
    #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["TO_STORE", "FROM_STORE"])))]
    pub direction: String,
    /// Why it is dead.
    pub reason: Reason,
    /// What it says, any bytes, as base64.
    #[cfg_attr(feature = "openapi", schemars(schema_with = "crate::openapi::base64"))]
    pub body_base64: String,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// The subscription.
    pub subscription_id: String,
    /// The store whose movements are sent.
    pub store_id: String,
    /// Where to.
    pub url: String,
    /// What it is, for people.
    pub description: Option<String>,
    /// What they are signed with, the one in use first; only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<Vec<Secret>>,
}

/// Some subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionPage {
    /// The subscriptions, in the order in which they were made.
    pub subscriptions: Vec<Subscription>,
    /// Give this as `after` for the next page; null when this was the last.
    pub next: Option<u64>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The letter.
    pub dead_letter_id: String,
    /// The store that it was for or came from.
    pub store_id: String,
    /// `TO_STORE` or `FROM_STORE`.
    pub direction: String,
    /// `DEAD` or `REQUEUED`.
    pub status: String,
    /// Why it is dead, as was said last.
    pub reason: String,
    /// When it first came, RFC 3339.
    pub at: String,
    /// What it says, as base64.
    pub body_base64: String,
}

/// Some dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeadLetterPage {
    /// The letters, in the order in which they came.
    pub dead_letters: Vec<DeadLetter>,
    /// Give this as `after` for the next page; null when this was the last.
    pub next: Option<u64>,
}

impl NewSubscription {
    /// The command; a nil id stands for one that is still to be made.
    #[must_use]
    pub fn into_command(self) -> Command {
        let Self { subscription_id, store_id: store, url, secret, description } = self;
        Command::Subscription {
            subscription: subscription_id.unwrap_or(SubscriptionId::from_uuid(uuid::Uuid::nil())),
            action: SubscriptionAction::Subscribe { store, url, secret, description },
        }
    }
}

impl NewDeadLetter {
    /// The letter of a store, with its body as base64.
    #[must_use]
    pub fn new(
        id: Option<DeadLetterId>,
        store: StoreId,
        direction: Direction,
        reason: Reason,
        body: &[u8],
    ) -> Self {
        Self {
            dead_letter_id: id,
            store_id: store,
            direction: direction_name(direction).to_owned(),
            reason,
            body_base64: STANDARD.encode(body),
        }
    }

    /// The command; a nil id stands for one that is still to be made.
    ///
    /// # Errors
    /// When the direction or the body is not one, in words.
    pub fn into_command(self) -> Result<Command, String> {
        let direction = match self.direction.as_str() {
            "TO_STORE" => Direction::ToStore,
            "FROM_STORE" => Direction::FromStore,
            other => return Err(format!("direction must be TO_STORE or FROM_STORE, got {other:?}")),
        };
        let body = STANDARD.decode(&self.body_base64);
        let body = LetterBody::new(body.map_err(|error| format!("bodyBase64 is no base64: {error}"))?);
        let (store, reason) = (self.store_id, self.reason);
        Ok(Command::DeadLetter {
            letter: self.dead_letter_id.unwrap_or(DeadLetterId::from_uuid(uuid::Uuid::nil())),
            action: LetterAction::Keep { store, direction, reason, body },
        })
    }
}

impl Subscription {
    /// A subscription, with its secrets only where they were asked for.
    #[must_use]
    pub fn of(view: &SubscriptionView, with_secrets: bool) -> Self {
        Self {
            subscription_id: view.subscription.to_string(),
            store_id: view.store.to_string(),
            url: view.url.to_string(),
            description: view.description.as_ref().map(ToString::to_string),
            secrets: with_secrets.then(|| view.secrets.clone()),
        }
    }
}

impl DeadLetter {
    /// What it says.
    ///
    /// # Errors
    /// When it is no base64, in words.
    pub fn body(&self) -> Result<Vec<u8>, String> {
        STANDARD.decode(&self.body_base64).map_err(|error| format!("bodyBase64 is no base64: {error}"))
    }
}

impl From<&DeadLetterView> for DeadLetter {
    fn from(view: &DeadLetterView) -> Self {
        Self {
            dead_letter_id: view.letter.to_string(),
            store_id: view.store.to_string(),
            direction: direction_name(view.direction).to_owned(),
            status: letter_status_name(view.status).to_owned(),
            reason: view.reason.to_string(),
            at: rfc3339(view.at_utc),
            body_base64: STANDARD.encode(view.body.as_bytes()),
        }
    }
}

/// The name of the way that a dead letter was going.
#[must_use]
pub const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::ToStore => "TO_STORE",
        Direction::FromStore => "FROM_STORE",
    }
}

/// The name of a dead letter's status.
#[must_use]
pub const fn letter_status_name(status: LetterStatus) -> &'static str {
    match status {
        LetterStatus::Dead => "DEAD",
        LetterStatus::Requeued => "REQUEUED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        format!("whsec_{}", "QUJD".repeat(8)).parse().unwrap()
    }

    #[test]
    fn secrets_are_shown_only_where_they_were_asked_for_and_never_printed() {
        let view = SubscriptionView {
            subscription: SubscriptionId::from_uuid(uuid::Uuid::nil()),
            store: StoreId::new("S1").unwrap(),
            url: "http://store/hook".parse().unwrap(),
            secrets: vec![secret()],
            description: None,
        };
        let shown = |with| serde_json::to_string(&Subscription::of(&view, with)).unwrap();
        assert!(!shown(false).contains("secrets") && shown(true).contains(secret().reveal()));
        assert!(!format!("{:?}", Subscription::of(&view, true)).contains("QUJD"));
        let wrong = r#"{"storeId": "S1", "url": "http://a", "secret": "whsec_QUJD"}"#;
        let error = serde_json::from_str::<NewSubscription>(wrong).unwrap_err().to_string();
        assert!(error.contains("secret must be") && !error.contains("QUJD"), "{error}");
    }

    #[test]
    fn a_subscription_is_only_for_where_something_can_be_posted() {
        let body =
            |url: &str| format!(r#"{{"storeId": "S1", "url": "{url}", "secret": "{}"}}"#, secret().reveal());
        serde_json::from_str::<NewSubscription>(&body("http://[::1]:9/hook")).unwrap();
        for bad in ["http://[", "http://a:0/", "ftp://a"] {
            let error = serde_json::from_str::<NewSubscription>(&body(bad)).unwrap_err().to_string();
            assert!(error.contains("url"), "{error}");
        }
    }

    #[test]
    fn the_body_of_a_letter_is_any_bytes() {
        let (store, reason) = (StoreId::new("S1").unwrap(), Reason::new("r").unwrap());
        let letter = NewDeadLetter::new(None, store, Direction::FromStore, reason, &[0, 255]);
        let Ok(Command::DeadLetter { action: LetterAction::Keep { body, .. }, .. }) =
            letter.clone().into_command()
        else {
            panic!("a letter")
        };
        assert_eq!(body.as_bytes(), [0, 255]);
        let broken = NewDeadLetter { body_base64: "=".to_owned(), ..letter.clone() };
        assert!(broken.into_command().unwrap_err().contains("base64"));
        assert!(NewDeadLetter { direction: "UP".to_owned(), ..letter }.into_command().is_err());
    }
}
