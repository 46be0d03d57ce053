//! Subscriptions and dead letters, listed by store in the order in which they came.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest::{self, Kind};
use super::paged::Paged;
use super::slab::{Identified, Slab};
use crate::{
    ClusterTime, DeadLetterId, Description, Direction, LetterBody, LetterStatus, Reason, Secret, StoreId,
    SubscriptionId, WebhookUrl, codec,
};

/// How many secrets of a subscription are good at once: the one in use, and the one that receivers may still know.
pub const LIVE_SECRETS: usize = 2;

/// What a dead letter counts for beside its body, in bytes: ids and texts at their longest.
const LETTER_BYTES: u64 = 512;

/// A webhook subscription of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub store: StoreId,
    pub url: WebhookUrl,
    /// The one in use first.
    pub secrets: Vec<Secret>,
    pub description: Option<Description>,
    pub number: u64,
}

/// What could not be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub id: DeadLetterId,
    pub store: StoreId,
    pub direction: Direction,
    pub status: LetterStatus,
    pub reason: Reason,
    pub body: LetterBody,
    /// When it first came.
    pub at: ClusterTime,
    pub number: u64,
}

impl DeadLetter {
    /// What it counts for.
    pub fn bytes(&self) -> u64 {
        letter_bytes(&self.body)
    }
}

/// What a letter with a body counts for, in bytes.
pub fn letter_bytes(body: &LetterBody) -> u64 {
    body.as_bytes().len() as u64 + LETTER_BYTES
}

/// A record of a store that has a number.
pub trait OfStore: Identified + Clone + Serialize {
    /// What it is in digests.
    const KIND: Kind;

    fn store(&self) -> &StoreId;

    /// No two records share it, and a later one has a greater one.
    fn number(&self) -> u64;

    /// The record's share of the digest.
    fn digest(&self) -> u128 {
        digest::hash(Self::KIND, &codec::encode(self))
    }
}

impl Identified for Subscription {
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
}

impl OfStore for Subscription {
    const KIND: Kind = Kind::Subscription;

    fn store(&self) -> &StoreId {
        &self.store
    }

    fn number(&self) -> u64 {
        self.number
    }
}

impl Identified for DeadLetter {
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
}

impl OfStore for DeadLetter {
    const KIND: Kind = Kind::DeadLetter;

    fn store(&self) -> &StoreId {
        &self.store
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// Records of stores, and the ways to find them.
pub struct Listed<T> {
    records: Slab<T>,
    all: BTreeMap<u64, u32>,
    by_store: BTreeMap<StoreId, BTreeMap<u64, u32>>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { records: Slab::default(), all: BTreeMap::new(), by_store: BTreeMap::new() }
    }
}

impl<T: OfStore> Listed<T> {
    pub fn find(&self, id: Uuid) -> Option<u32> {
        self.records.find(id)
    }

    pub fn get(&self, ix: u32) -> &T {
        self.records.get(ix)
    }

    /// Adds a record whose id and number are new.
    pub fn insert(&mut self, record: T) {
        let (store, number) = (record.store().clone(), record.number());
        let ix = self.records.insert(record);
        self.all.insert(number, ix);
        self.by_store.entry(store).or_default().insert(number, ix);
    }

    /// The record in a place, to be written. Its id, store and number must stay.
    pub fn get_mut(&mut self, ix: u32) -> &mut T {
        self.records.get_mut(ix)
    }

    /// Takes a record away.
    pub fn remove(&mut self, ix: u32) -> T {
        let record = self.records.remove(ix);
        self.all.remove(&record.number());
        if let Some(list) = self.by_store.get_mut(record.store()) {
            list.remove(&record.number());
            if list.is_empty() {
                self.by_store.remove(record.store());
            }
        }
        record
    }

    /// Up to `limit` records after a number, of one store or of all, in the order in which they came.
    pub fn page(&self, store: Option<&StoreId>, after: u64, limit: usize) -> Vec<&T> {
        let list = store.map_or(Some(&self.all), |store| self.by_store.get(store));
        let after = (Bound::Excluded(after), Bound::Unbounded);
        let found = list.into_iter().flat_map(|list| list.range(after)).take(limit);
        found.map(|(_, &ix)| self.get(ix)).collect()
    }

    pub fn len(&self) -> u64 {
        self.all.len() as u64
    }

    /// Whether any record has a number.
    pub fn has_number(&self, number: u64) -> bool {
        self.all.contains_key(&number)
    }

    /// The records without the ways to find them: enough for a frozen state.
    pub fn frozen(&self) -> Paged<Option<T>> {
        self.records.places()
    }
}

/// Whether no two of the records have the same number, and none has one that was not given yet.
pub fn are_numbered<'a, T: OfStore + 'a>(records: impl Iterator<Item = &'a T>, last: u64) -> bool {
    let mut seen = BTreeSet::new();
    let mut records = records.map(OfStore::number);
    records.all(|number| number > 0 && number <= last && seen.insert(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(number: u64, store: &str) -> DeadLetter {
        DeadLetter {
            id: DeadLetterId::from_uuid(Uuid::from_u128(u128::from(number))),
            store: StoreId::new(store).unwrap(),
            direction: Direction::ToStore,
            status: LetterStatus::Dead,
            reason: Reason::new("r").unwrap(),
            body: LetterBody::default(),
            at: ClusterTime(0),
            number,
        }
    }

    #[test]
    fn records_are_listed_by_store_as_they_came() {
        let mut letters = Listed::default();
        for (number, store) in [(1, "S1"), (2, "S2"), (3, "S1"), (4, "S1")] {
            letters.insert(letter(number, store));
        }
        let first = letters.find(Uuid::from_u128(1)).unwrap();
        assert_eq!(letters.remove(first).number, 1);
        letters.insert(letter(5, "S1"));
        let numbers = |store: Option<&str>, after, limit| {
            let store = store.map(|store| StoreId::new(store).unwrap());
            letters.page(store.as_ref(), after, limit).iter().map(|letter| letter.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(None, 0, 9), [2, 3, 4, 5]);
        assert_eq!(numbers(Some("S1"), 0, 2), [3, 4]);
        assert_eq!(numbers(Some("S1"), 4, 9), [5]);
        assert_eq!(numbers(Some("S9"), 0, 9), [0_u64; 0]);
        assert_eq!(letters.len(), 4);
    }
}
