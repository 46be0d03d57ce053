//! Idempotency keys: what the replicated table remembers of a caller's key and of what came with it.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{Command, codec};

/// An `Idempotency-Key` as the state knows it: a hash of its scope and text, and a fingerprint of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Hash of route, caller and key text.
    pub id: u128,
    /// Hash of the command before any id was generated for it, so that a repeat has the same.
    pub fingerprint: u64,
}

impl Key {
    /// The key `text` as `caller` used it on `route`, with the fingerprint of what came with it.
    #[must_use]
    pub fn new(route: &str, caller: Option<&str>, text: &str, fingerprint: u64) -> Self {
        let mut hash = Xxh3::new();
        for part in [route, caller.unwrap_or_default(), text] {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        Self { id: hash.digest128(), fingerprint }
    }
}

/// The fingerprint of a command. Ids that would be generated must be given as nil, so that they do not count.
#[must_use]
pub fn fingerprint(command: &Command) -> u64 {
    xxh3_64(&codec::encode(command))
}
