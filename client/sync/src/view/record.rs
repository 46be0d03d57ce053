//! What is kept: keys and values of the view's database. Every value starts with a format byte.
//!
//! | key | value |
//! |---|---|
//! | `c` | [`Mark`]: how far the view is, and the checksum of it |
//! | `r` store NUL item | [`Row`] |
//! | `o` store NUL sequence | [`Entry`]: a movement that the store can still be sent |
//! | `s` store | [`Head`]: the end of the store's movements |
//! | `p` subscription | [`Position`]: what its receiver has |

use holdfast_api::Epoch;
use holdfast_sdk::model::codec::{self, CodecError};
use holdfast_sdk::model::{ItemId, StoreId, SubscriptionId};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

/// The key of the mark.
pub const MARK: &[u8] = b"c";
/// What the keys of rows start with.
pub const ROWS: u8 = b'r';
/// What the keys of entries start with.
const ENTRIES: u8 = b'o';
/// What the keys of heads start with.
pub const HEADS: u8 = b's';
/// What the keys of positions start with.
const POSITIONS: u8 = b'p';
/// Stands between the parts of a key; no id has it.
const NUL: u8 = 0;
/// The format of an entry, which is not encoded by the codec: its text is copied as it is.
const ENTRY_FORMAT: u8 = 1;

/// How far a view is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The history that the sequences count: another one after a restore.
    pub epoch: Epoch,
    /// The last record of the feed that is in the view.
    pub seq: u64,
    /// When that record was made, as milliseconds of UTC.
    pub at_ms: i64,
    /// The record at which the view began: movements up to it are not kept.
    pub base: u64,
    /// Rows in the view.
    pub rows: u64,
    /// The sum of the hashes of all rows and heads, to tell a damaged database from a whole one.
    pub checksum: u128,
}

/// A stock row as the stores see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// On hand − reserved.
    pub available: i64,
    /// Held for somebody.
    pub reserved: u64,
    /// The row's change counter.
    pub version: u64,
    /// The row's last movement.
    pub last_seq: u64,
    /// Units that are never sold to holds.
    pub safety_stock: u64,
    /// Units that may be sold before they are there.
    pub backorder_limit: u64,
    /// The row takes no new holds.
    pub retired: bool,
}

/// A movement of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its sequence.
    pub seq: u64,
    /// The store's movement before it, or where the view began: so a hole is noticed.
    pub prev: u64,
    /// The movement as JSON.
    pub json: String,
}

/// The end of a store's movements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last one.
    pub last: u64,
    /// How many are kept.
    pub count: u64,
}

/// What the receiver of a subscription has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Everything up to this sequence.
    At(u64),
    /// It is to get the balances of all rows first.
    Reset(ResetReason),
}

/// Why a store gets the balances of all of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResetReason {
    /// Nothing was sent before, or what was sent belongs to a view that is gone.
    Start,
    /// A message could not be delivered, and lies among the dead letters.
    DeadLetter,
    /// It was further behind than movements are kept.
    Behind,
    /// Its cursor is of another history.
    OtherEpoch,
}

impl ResetReason {
    /// The reason as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "START",
            Self::DeadLetter => "DEAD_LETTER",
            Self::Behind => "BEHIND",
            Self::OtherEpoch => "OTHER_EPOCH",
        }
    }
}

impl Entry {
    /// The value that is kept.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(9 + self.json.len());
        bytes.push(ENTRY_FORMAT);
        bytes.extend_from_slice(&self.prev.to_be_bytes());
        bytes.extend_from_slice(self.json.as_bytes());
        bytes
    }

    /// The entry of a key and value.
    ///
    /// # Errors
    /// When they are not those of an entry, in words.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, String> {
        let seq = seq_of(key).ok_or("an entry's key is too short")?;
        let (format, rest) = value.split_first().ok_or("an entry is empty")?;
        if *format != ENTRY_FORMAT {
            return Err(format!("an entry of format {format}"));
        }
        let (prev, json) = rest.split_first_chunk().ok_or("an entry is too short")?;
        let json = std::str::from_utf8(json).map_err(|error| format!("an entry: {error}"))?;
        Ok(Self { seq, prev: u64::from_be_bytes(*prev), json: json.to_owned() })
    }
}

/// The sequence at the end of an entry's key.
pub fn seq_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

/// The value of anything but an entry.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    codec::encode(value)
}

/// The value of anything but an entry, read.
///
/// # Errors
/// When the bytes are not one.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, CodecError> {
    codec::decode(bytes)
}

/// The key of a row.
pub fn row_key(store: &StoreId, item: &ItemId) -> Vec<u8> {
    let mut key = rows_of(store);
    key.extend_from_slice(item.as_str().as_bytes());
    key
}

/// What the keys of a store's rows start with.
pub fn rows_of(store: &StoreId) -> Vec<u8> {
    of_store(ROWS, store)
}

/// The item in the key of a row.
pub fn item_of(key: &[u8]) -> Option<&str> {
    let place = key.iter().position(|&byte| byte == NUL)?;
    std::str::from_utf8(&key[place + 1..]).ok()
}

/// The key of an entry.
pub fn entry_key(store: &StoreId, seq: u64) -> Vec<u8> {
    let mut key = entries_of(store);
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// What the keys of a store's entries start with.
pub fn entries_of(store: &StoreId) -> Vec<u8> {
    of_store(ENTRIES, store)
}

/// The key of a store's head.
pub fn head_key(store: &StoreId) -> Vec<u8> {
    [&[HEADS], store.as_str().as_bytes()].concat()
}

/// The store in the key of a head.
pub fn store_of_head(key: &[u8]) -> Option<StoreId> {
    let text = std::str::from_utf8(key.get(1..)?).ok()?;
    StoreId::new(text).ok()
}

/// The key of a position.
pub fn position_key(subscription: SubscriptionId) -> Vec<u8> {
    [&[POSITIONS], subscription.uuid().as_bytes().as_slice()].concat()
}

fn of_store(kind: u8, store: &StoreId) -> Vec<u8> {
    let mut key = Vec::with_capacity(2 + store.as_str().len() + 64);
    key.push(kind);
    key.extend_from_slice(store.as_str().as_bytes());
    key.push(NUL);
    key
}

/// What a record adds to the checksum.
pub fn checksum(key: &[u8], value: &[u8]) -> u128 {
    // The key's hash is not the value's, so that two rows that swapped their values are noticed.
    xxh3_128(&[&xxh3_128(key).to_le_bytes(), value].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_store_are_apart_from_those_of_one_whose_name_is_longer() {
        let (short, long) = (StoreId::new("S1").unwrap(), StoreId::new("S10").unwrap());
        let item = ItemId::new("A").unwrap();
        assert!(!row_key(&long, &item).starts_with(&rows_of(&short)));
        assert_eq!(item_of(&row_key(&long, &item)), Some("A"));
        assert!(entry_key(&short, 255) < entry_key(&short, 256));
        assert_eq!(seq_of(&entry_key(&short, 256)), Some(256));
        assert_eq!(store_of_head(&head_key(&long)), Some(long));
    }

    #[test]
    fn an_entry_is_read_as_it_was_written_and_nothing_else_is_one() {
        let key = entry_key(&StoreId::new("S1").unwrap(), 9);
        let entry = Entry { seq: 9, prev: 7, json: "{\"seq\":9}".to_owned() };
        assert_eq!(Entry::decode(&key, &entry.encode()).unwrap(), entry);
        for bad in [&[][..], &[2, 0, 0, 0, 0, 0, 0, 0, 7], &[1, 0], &[1, 0, 0, 0, 0, 0, 0, 0, 7, 0xff]] {
            assert!(Entry::decode(&key, bad).is_err(), "{bad:?}");
        }
    }
}
