//! What is remembered of idempotency keys and of stores' events: one record of 64 bytes each, first in, first out.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::compact::Compact;
use crate::{ClusterTime, Key};

/// Bytes that one record takes: what the caps of the tables count.
pub const RECORD_BYTES: u64 = 64;

/// Records in a page, which is shared with snapshots until it is next written.
const PAGE: usize = 256;

/// What is remembered of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: u128,
    pub fingerprint: u64,
    pub at: ClusterTime,
    pub outcome: Compact,
}

impl Record {
    /// The record's share of the digest.
    pub fn digest(&self) -> u128 {
        let mut bytes = [0; RECORD_BYTES as usize];
        bytes[..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.fingerprint.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.at.0.to_le_bytes());
        bytes[32..].copy_from_slice(self.outcome.bytes());
        xxh3_128(&bytes)
    }
}

/// Records in the order in which they came, and the way to find them.
#[derive(Clone, Default)]
pub struct Table {
    pages: VecDeque<Arc<Vec<Record>>>,
    /// Place of the first record of the first page.
    first: u64,
    /// Place of the oldest record that is remembered.
    head: u64,
    /// Place that the next record gets.
    next: u64,
    index: HashTable<u64>,
}

// Key ids are hashes already: their low half spreads well enough.
#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn spread(id: u128) -> u64 {
    id as u64
}

impl Table {
    fn at(&self, place: u64) -> &Record {
        record_at(&self.pages, self.first, place)
    }

    pub fn find(&self, id: u128) -> Option<&Record> {
        self.index.find(spread(id), |&place| self.at(place).id == id).map(|&place| self.at(place))
    }

    /// Remembers a record, which must be no older than those before it.
    pub fn push(&mut self, record: Record) {
        let id = record.id;
        match self.pages.back_mut() {
            Some(page) if page.len() < PAGE => Arc::make_mut(page).push(record),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(record);
                self.pages.push_back(Arc::new(page));
            }
        }
        let place = self.next;
        self.next += 1;
        let (pages, first) = (&self.pages, self.first);
        self.index.insert_unique(spread(id), place, |&place| spread(record_at(pages, first, place).id));
    }

    /// The oldest record.
    pub fn oldest(&self) -> Option<&Record> {
        (self.head < self.next).then(|| self.at(self.head))
    }

    /// Forgets the oldest record and returns its share of the digest.
    pub fn forget_oldest(&mut self) -> u128 {
        let record = self.at(self.head);
        let (id, digest, place) = (record.id, record.digest(), self.head);
        if let Ok(entry) = self.index.find_entry(spread(id), |&other| other == place) {
            entry.remove();
        }
        self.head += 1;
        if self.head == self.first + PAGE as u64 {
            self.pages.pop_front();
            self.first = self.head;
        }
        digest
    }

    pub fn len(&self) -> u64 {
        self.next - self.head
    }

    /// The records that are remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Record> {
        (self.head..self.next).map(|place| self.at(place))
    }

    /// The records without the way to find them: enough for a frozen state.
    pub fn frozen(&self) -> Self {
        Self { pages: self.pages.clone(), index: HashTable::new(), ..*self }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a place within the pages that are in memory")]
fn record_at(pages: &VecDeque<Arc<Vec<Record>>>, first: u64, place: u64) -> &Record {
    let offset = (place - first) as usize;
    &pages[offset / PAGE][offset % PAGE]
}

/// What a table says of a key.
pub enum Known<'a> {
    /// It came before, with the same content.
    Same(&'a Record),
    /// It came before, with other content.
    Other,
    /// It is new.
    New,
}

impl Table {
    pub fn look_up(&self, key: Key) -> Known<'_> {
        match self.find(key.id) {
            Some(record) if record.fingerprint == key.fingerprint => Known::Same(record),
            Some(_) => Known::Other,
            None => Known::New,
        }
    }

    pub fn is_full(&self, cap_bytes: u64) -> bool {
        (self.len() + 1) * RECORD_BYTES > cap_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_found_until_they_are_forgotten() {
        let record = |id: u64| Record {
            id: u128::from(id) << 64 | u128::from(id),
            fingerprint: id,
            at: ClusterTime(id),
            outcome: Compact::default(),
        };
        let mut table = Table::default();
        for id in 0..1000 {
            table.push(record(id));
        }
        for id in 0..600 {
            assert_eq!(table.oldest(), Some(&record(id)));
            assert_eq!(table.forget_oldest(), record(id).digest());
            assert_eq!(table.find(record(id).id), None);
        }
        assert_eq!(table.len(), 400);
        assert!(table.iter().cloned().eq((600..1000).map(record)));
        assert_eq!(table.find(record(999).id), Some(&record(999)));
    }
}
