//! What is kept for the stores beside their stock: webhook subscriptions with their secrets, and dead letters.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::{ClusterTime, DeadLetterId, Description, Reason, StoreId, SubscriptionId, UtcMillis};

/// The longest URL of a webhook, in bytes.
pub(crate) const MAX_URL_BYTES: usize = 2048;

/// What every secret starts with (Standard Webhooks).
pub(crate) const SECRET_PREFIX: &str = "whsec_";

/// The lengths of the base64 of 24 to 64 bytes, which Standard Webhooks asks for.
pub(crate) const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 32..=88;

/// Why a text is no URL of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("url must be http:// or https:// and a host, 2048 bytes of printable ASCII at most")]
pub struct UrlError;

/// Why a text is no secret. It does not say which text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("secret must be whsec_ and the base64 of 24 to 64 bytes")]
pub struct SecretError;

/// Where a webhook is sent: `http://` or `https://`, a host, and what follows.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl(Arc<str>);

/// A secret that webhooks are signed with. Nothing prints it by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl FromStr for WebhookUrl {
    type Err = UrlError;
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let has_host = rest.is_some_and(|rest| !rest.starts_with(['/', '?', '#', ':']) && !rest.is_empty());
        let is_printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if has_host && is_printable && text.len() <= MAX_URL_BYTES {
            Ok(Self(text.into()))
        } else {
            Err(UrlError)
        }
    }
}

impl FromStr for Secret {
    type Err = SecretError;
    fn from_str(text: &str) -> Result<Self, SecretError> {
        let base64 = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError)?;
        let digits = base64.trim_end_matches('=');
        let is_base64 = base64.len().is_multiple_of(4)
            && base64.len() - digits.len() <= 2
            && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/');
        if is_base64 && SECRET_LENGTHS.contains(&base64.len()) {
            Ok(Self(text.into()))
        } else {
            Err(SecretError)
        }
    }
}

impl WebhookUrl {
    /// The text itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Secret {
    /// The secret, prefix and all: for those who sign with it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SECRET_PREFIX}…")
    }
}

impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for WebhookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// The bytes of a dead letter, as they came.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct LetterBody(Arc<[u8]>);

impl LetterBody {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for LetterBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Serialize for LetterBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for LetterBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = LetterBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the bytes of a letter")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<LetterBody, E> {
                Ok(LetterBody::new(bytes))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Which way a dead letter was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Direction {
    /// To a store, which did not take it.
    ToStore,
    /// From a store, and nothing could be made of it.
    FromStore,
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum LetterStatus {
    /// It waits for a person.
    Dead,
    /// A person wants it to be tried again.
    Requeued,
}

/// What can be done to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum SubscriptionAction {
    /// Makes it. With another secret than it has, and all else the same, that one is used from now on, and the one
    /// before it stays good.
    Subscribe {
        /// The store whose movements are sent.
        store: StoreId,
        /// Where to.
        url: WebhookUrl,
        /// What they are signed with.
        secret: Secret,
        /// What it is, for people.
        description: Option<Description>,
    },
    /// Takes it away, secrets and all.
    Unsubscribe,
}

/// What can be done to a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum LetterAction {
    /// Keeps what could not be delivered; one that was tried again in vain is put back.
    Keep {
        /// The store that it was for or came from.
        store: StoreId,
        /// Which of the two.
        direction: Direction,
        /// Why it is dead.
        reason: Reason,
        /// What it says.
        body: LetterBody,
    },
    /// Marks it to be tried again.
    Requeue,
    /// Takes it away.
    Remove,
}

/// A subscription as it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SubscriptionView {
    /// Which subscription.
    pub subscription: SubscriptionId,
    /// The store whose movements are sent.
    pub store: StoreId,
    /// Where to.
    pub url: WebhookUrl,
    /// What they are signed with: the one in use first, then the one before it.
    pub secrets: Vec<Secret>,
    /// What it is, for people.
    pub description: Option<Description>,
}

/// A dead letter as it stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DeadLetterView {
    /// Which letter.
    pub letter: DeadLetterId,
    /// The store that it was for or came from.
    pub store: StoreId,
    /// Which of the two.
    pub direction: Direction,
    /// Where it stands.
    pub status: LetterStatus,
    /// Why it is dead, as was said last.
    pub reason: Reason,
    /// What it says.
    pub body: LetterBody,
    /// When it first came, in cluster time.
    pub at: ClusterTime,
    /// The same for people.
    pub at_utc: UtcMillis,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        for good in ["http://127.0.0.1:9/hook", "https://shop.example/a?b=c"] {
            assert_eq!(good.parse::<WebhookUrl>().unwrap().as_str(), good);
        }
        let long = format!("http://{}", "x".repeat(MAX_URL_BYTES));
        for bad in ["", "http://", "http:///x", "ftp://x", "http://a b", "http://ä", "//x", &long] {
            assert!(bad.parse::<WebhookUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_checked_and_not_printed() {
        let text = format!("whsec_{}", "QUJD".repeat(8));
        let secret: Secret = text.parse().unwrap();
        assert_eq!(secret.reveal(), text);
        assert!(!format!("{secret:?}").contains("QUJD"));
        assert_eq!(codec::decode::<Secret>(&codec::encode(&secret)).unwrap(), secret);
        for bad in [
            "",
            "whsec_",
            &text[6..],
            &text[..36],
            &format!("{text}="),
            &format!("whsec_{}", "A-_=".repeat(8)),
        ] {
            let error = bad.parse::<Secret>().unwrap_err().to_string();
            assert!(!error.contains("QUJD"), "{error}");
        }
    }

    #[test]
    fn a_body_is_any_bytes() {
        let body = LetterBody::new(vec![0, 255, 10]);
        assert_eq!(codec::decode::<LetterBody>(&codec::encode(&body)).unwrap(), body);
        assert_eq!(codec::encode(&body).len(), 5);
    }
}
