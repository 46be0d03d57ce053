//! A place in the feed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name of an epoch, in bytes.
const MAX_EPOCH_BYTES: usize = 64;

/// The name of a cluster's history: sequences of one epoch mean nothing in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^[A-Za-z0-9-]{1,64}$"))
)]
#[serde(try_from = "String")]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Epoch {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let is_name = (1..=MAX_EPOCH_BYTES).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if is_name { Ok(Self(text.into())) } else { Err(CursorError) }
    }
}

impl TryFrom<String> for Epoch {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

/// A place in the feed: right after the record with a sequence, 0 for before the first. Written as `epoch.seq`, or as the
/// sequence alone where the reader does not care which history it is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(
    feature = "openapi",
    derive(schemars::JsonSchema),
    schemars(extend("pattern" = "^([A-Za-z0-9-]{1,64}\\.)?[0-9]{1,19}$"))
)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// The history that it is of, when it says so.
    pub epoch: Option<Epoch>,
    /// The last record before it.
    pub seq: u64,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a cursor must be a sequence, or an epoch, a dot and a sequence, such as 42 or 0197f1d2.42")]
pub struct CursorError;

impl Cursor {
    /// Right after `seq` in `epoch`.
    #[must_use]
    pub const fn new(epoch: Epoch, seq: u64) -> Self {
        Self { epoch: Some(epoch), seq }
    }

    /// Right after `seq`, of whichever history.
    #[must_use]
    pub const fn bare(seq: u64) -> Self {
        Self { epoch: None, seq }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.epoch {
            Some(epoch) => write!(f, "{epoch}.{}", self.seq),
            None => self.seq.fmt(f),
        }
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (epoch, seq) = match text.split_once('.') {
            Some((epoch, seq)) => (Some(epoch.parse()?), seq),
            None => (None, text),
        };
        // The number's own parser would take a sign.
        if seq.is_empty() || !seq.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(CursorError);
        }
        Ok(Self { epoch, seq: seq.parse().map_err(|_| CursorError)? })
    }
}

impl TryFrom<String> for Cursor {
    type Error = CursorError;

    fn try_from(text: String) -> Result<Self, CursorError> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let epoch: Epoch = "0197f1d2".parse().unwrap();
        for (text, cursor) in [
            ("0", Cursor::bare(0)),
            ("42", Cursor::bare(42)),
            ("18446744073709551615", Cursor::bare(u64::MAX)),
            ("0197f1d2.42", Cursor::new(epoch, 42)),
        ] {
            assert_eq!(text.parse(), Ok(cursor.clone()));
            assert_eq!(cursor.to_string(), text);
            assert_eq!(serde_json::to_value(&cursor).unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let long = format!("{}.1", "e".repeat(65));
        for bad in [
            "",
            ".",
            "1.",
            ".1",
            "-1",
            "+1",
            " 1",
            "1 ",
            "x",
            "a.b",
            "a.1.2",
            "é.1",
            "18446744073709551616",
            &long,
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad:?}");
        }
    }
}
