//! Names of things, each checked once by its constructor; inside, a value is right by its type.
//!
//! Reading one from bytes or JSON checks it too. In bytes a UUID takes 16, without its prefix.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};
use uuid::Uuid;

/// Why a text is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The text is empty or too long.
    #[error("{what} must have 1 to {max_bytes} bytes, got {got_bytes}")]
    Length {
        /// What was being read, such as `storeId`.
        what: &'static str,
        /// The longest length that is accepted, in bytes.
        max_bytes: usize,
        /// The length that was seen, in bytes.
        got_bytes: usize,
    },
    /// The text has a character that ids do not have.
    #[error("{what} may have {allowed}, got {found:?}")]
    Character {
        /// What was being read.
        what: &'static str,
        /// What is accepted, in words.
        allowed: &'static str,
        /// The first character that is not accepted.
        found: char,
    },
    /// The text is not the prefix and a UUID, or the UUID is nil.
    #[error(
        "{what} must be {prefix:?} and a UUID that is not nil, such as {prefix}0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5, got {got:?}"
    )]
    NotUuid {
        /// What was being read.
        what: &'static str,
        /// The prefix of this kind of id.
        prefix: &'static str,
        /// The text that was seen, cut to 64 bytes.
        got: String,
    },
}

/// The longest id text, in bytes: a row's key and a stored refusal stay small.
pub(crate) const MAX_ID_BYTES: usize = 64;
/// The longest free text, in bytes: every movement carries its reason for ever.
pub(crate) const MAX_TEXT_BYTES: usize = 256;

/// What names a store or an item stands in a path, where these name another path (RFC 3986, section 5.2.4).
pub(crate) const DOT_SEGMENTS: [&str; 2] = [".", ".."];

const ID_CHARACTERS: &str = "ASCII letters, digits and any of - _ . : ~ @ + = ,";

fn is_id_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:~@+=,".contains(c)
}

fn is_text_character(c: char) -> bool {
    !c.is_control()
}

fn check(
    what: &'static str,
    text: &str,
    max_bytes: usize,
    allowed: &'static str,
    accepts: fn(char) -> bool,
) -> Result<(), IdError> {
    if text.is_empty() || text.len() > max_bytes {
        return Err(IdError::Length { what, max_bytes, got_bytes: text.len() });
    }
    if allowed == ID_CHARACTERS && DOT_SEGMENTS.contains(&text) {
        return Err(IdError::Character { what, allowed: "more than dots alone", found: '.' });
    }
    match text.chars().find(|&c| !accepts(c)) {
        Some(found) => Err(IdError::Character { what, allowed, found }),
        None => Ok(()),
    }
}

/// Reads an id from its text, wherever the text lies.
struct TextVisitor<T> {
    what: &'static str,
    id: PhantomData<T>,
}

impl<T: FromStr<Err = IdError>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a {}", self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr, $allowed:expr, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and takes it over.
            ///
            /// # Errors
            /// When the text is empty, too long, or has a character that is not accepted.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check($what, text, $max, $allowed, $accepts)?;
                Ok(Self(text.into()))
            }

            /// The text itself.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(TextVisitor { what: $what, id: PhantomData })
            }
        }
    };
}

text_id!(
    /// A store of the chain: 1 to 64 bytes.
    StoreId, "storeId", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// An item that stores sell: 1 to 64 bytes.
    ItemId, "itemId", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// An id that a store gave to one of its events; unique within the store: 1 to 64 bytes.
    EventId, "eventId", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// Who asked for a change: 1 to 64 bytes.
    Actor, "actor", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// Whom a hold is for, in the caller's own words, such as a cart: 1 to 64 bytes.
    Owner, "owner", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// The id that a payment's provider gave to it: 1 to 64 bytes.
    PaymentId, "paymentId", MAX_ID_BYTES, ID_CHARACTERS, is_id_character
);
text_id!(
    /// Why stock was changed, for people: 1 to 256 bytes without control characters.
    Reason, "reason", MAX_TEXT_BYTES, "any character but control characters", is_text_character
);
text_id!(
    /// What something is, for people: 1 to 256 bytes without control characters.
    Description, "description", MAX_TEXT_BYTES, "any character but control characters", is_text_character
);
text_id!(
    /// A document outside Holdfast that a change belongs to, such as a delivery note: 1 to 256 bytes.
    Reference, "reference", MAX_TEXT_BYTES, "any character but control characters", is_text_character
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// The id of a UUID.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID without its prefix.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", $prefix, self.0.hyphenated())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == uuid::fmt::Hyphenated::LENGTH)
                    .and_then(|rest| Uuid::parse_str(rest).ok())
                    // In a command the nil UUID stands for an id that is still to be made.
                    .filter(|uuid| !uuid.is_nil())
                    .map(Self)
                    .ok_or_else(|| IdError::NotUuid {
                        what: $what,
                        prefix: $prefix,
                        got: text.chars().take(MAX_ID_BYTES).collect(),
                    })
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.as_bytes().serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(TextVisitor { what: $what, id: PhantomData })
                } else {
                    <[u8; 16]>::deserialize(deserializer).map(Uuid::from_bytes).map(Self)
                }
            }
        }
    };
}

uuid_id!(
    /// A hold: `H-` and a UUID, made by the caller, or else by the leader before it proposes.
    HoldId, "holdId", "H-"
);
uuid_id!(
    /// A transfer between two stores: `T-` and a UUID, made by the caller, or else by the leader.
    TransferId, "transferId", "T-"
);
uuid_id!(
    /// An order: `O-` and a UUID, made by the caller, or else by the leader.
    OrderId, "orderId", "O-"
);
uuid_id!(
    /// A webhook subscription: `W-` and a UUID, made by the caller, or else by the leader.
    SubscriptionId, "subscriptionId", "W-"
);
uuid_id!(
    /// A dead letter: `D-` and a UUID, made by the caller, or else by the leader.
    DeadLetterId, "deadLetterId", "D-"
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec;

    #[test]
    fn ids_accept_what_retail_uses_and_refuse_the_rest() {
        for good in ["S1", "391", "SKU-2", "4006381333931", "a.b:c~d_e@f", &"x".repeat(64)] {
            assert_eq!(ItemId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", ".", "..", "a b", "a/b", "ä", "a\n", &"x".repeat(65)] {
            assert!(ItemId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ids_are_checked_when_they_are_read_and_a_uuid_takes_its_sixteen_bytes() {
        let item = ItemId::new("A-1").unwrap();
        assert_eq!(codec::decode::<ItemId>(&codec::encode(&item)).unwrap(), item);
        let error = codec::decode::<ItemId>(&codec::encode("A 1")).unwrap_err();
        assert!(error.to_string().contains("itemId may have"), "{error}");
        let hold = HoldId::from_uuid(Uuid::from_u128(7));
        let bytes = codec::encode(&hold);
        assert_eq!(bytes.len(), 17);
        assert_eq!(codec::decode::<HoldId>(&bytes).unwrap(), hold);
    }

    #[test]
    fn dots_alone_are_text_but_no_id() {
        assert!(StoreId::new("..").is_err() && ItemId::new(".").is_err());
        assert_eq!(Reason::new(".").unwrap().as_str(), ".");
        assert_eq!(ItemId::new("...").unwrap().as_str(), "...");
    }

    #[test]
    fn a_hold_id_is_its_prefix_and_a_hyphenated_uuid() {
        let text = "H-68d3741d-0273-4075-b3c4-43a3a1d414c0";
        assert_eq!(text.parse::<HoldId>().unwrap().to_string(), text);
        for bad in
            ["", "H-", "68d3741d-0273-4075-b3c4-43a3a1d414c0", "H-68d3741d02734075b3c443a3a1d414c0", "H-1"]
        {
            assert!(bad.parse::<HoldId>().is_err(), "{bad:?}");
        }
        let nil = HoldId::from_uuid(Uuid::nil());
        assert!(nil.to_string().parse::<HoldId>().is_err(), "a caller's id must not be taken for none");
        assert_eq!(codec::decode::<HoldId>(&codec::encode(&nil)).unwrap(), nil);
    }
}
