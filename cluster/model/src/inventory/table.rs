//! What is remembered of idempotency keys and of stores' events: one record of 64 bytes each, first in, first out.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use super::compact::Compact;
use super::digest::{self, Kind};
use crate::{ClusterTime, Key, codec};

/// Bytes that one record takes: what the caps of the tables count.
pub const RECORD_BYTES: u64 = 64;

const _: () = assert!(size_of::<Remembered>() as u64 == RECORD_BYTES);

/// Records in a page, which is shared with snapshots until it is next written.
const PAGE: usize = 256;

/// What is remembered of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub id: u128,
    pub fingerprint: u64,
    pub at: ClusterTime,
    pub outcome: Compact,
}

impl Remembered {
    /// The record's share of the digest.
    pub fn digest(&self, kind: Kind) -> u128 {
        // Encoded numbers take up to one byte more than they have.
        let mut buffer = [0; RECORD_BYTES as usize + 16];
        digest::hash(kind, codec::encode_in(self, &mut buffer))
    }
}

/// Records in the order in which they came, and the way to find them.
#[derive(Clone, Default)]
pub struct Table {
    pages: VecDeque<Arc<Vec<Remembered>>>,
    /// Number of the first record of the first page.
    first: u64,
    /// Number of the oldest record that is remembered.
    head: u64,
    /// Number that the next record gets.
    next: u64,
    /// The low half of the numbers of the records that are remembered, of which there are fewer than 2^32.
    index: HashTable<u32>,
}

/// What a table says of a key.
pub enum Known<'a> {
    /// It came before, with the same content.
    Same(&'a Remembered),
    /// It came before, with other content.
    Other,
    /// It is new.
    New,
}

#[expect(clippy::cast_possible_truncation, reason = "keys' ids are hashes, so their low half spreads well")]
fn spread(id: u128) -> u64 {
    id as u64
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low(number: u64) -> u32 {
    number as u32
}

#[expect(clippy::cast_possible_truncation, reason = "a place within the pages that are in memory")]
fn record_at(pages: &VecDeque<Arc<Vec<Remembered>>>, first: u64, number: u64) -> &Remembered {
    let offset = (number - first) as usize;
    &pages[offset / PAGE][offset % PAGE]
}

impl Table {
    fn at(&self, number: u64) -> &Remembered {
        record_at(&self.pages, self.first, number)
    }

    /// What is remembered of `key`.
    pub fn look_up(&self, key: Key) -> Known<'_> {
        match self.find(key.id) {
            Some(record) if record.fingerprint == key.fingerprint => Known::Same(record),
            Some(_) => Known::Other,
            None => Known::New,
        }
    }

    fn find(&self, id: u128) -> Option<&Remembered> {
        let record = |ix: u32| self.at(self.head + u64::from(ix.wrapping_sub(low(self.head))));
        self.index.find(spread(id), |&ix| record(ix).id == id).map(|&ix| record(ix))
    }

    /// Whether one more record would pass the cap.
    pub fn is_full(&self, cap_bytes: u64) -> bool {
        (self.len() + 1) * RECORD_BYTES > cap_bytes || self.len() >= u64::from(u32::MAX)
    }

    /// Remembers a record, which must be no older than those before it, and whose id is new.
    pub fn push(&mut self, record: Remembered) {
        let id = record.id;
        match self.pages.back_mut() {
            Some(page) if page.len() < PAGE => Arc::make_mut(page).push(record),
            _ => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(record);
                self.pages.push_back(Arc::new(page));
            }
        }
        let number = self.next;
        self.next += 1;
        let (pages, first, head) = (&self.pages, self.first, self.head);
        self.index.insert_unique(spread(id), low(number), |&ix| {
            let number = head + u64::from(ix.wrapping_sub(low(head)));
            spread(record_at(pages, first, number).id)
        });
    }

    /// The oldest record.
    pub fn oldest(&self) -> Option<&Remembered> {
        (self.head < self.next).then(|| self.at(self.head))
    }

    /// Forgets the oldest record, if any.
    pub fn forget_oldest(&mut self) {
        let Some(id) = self.oldest().map(|record| record.id) else { return };
        if let Ok(entry) = self.index.find_entry(spread(id), |&ix| ix == low(self.head)) {
            entry.remove();
        }
        self.head += 1;
        if self.head == self.first + PAGE as u64 {
            self.pages.pop_front();
            self.first = self.head;
        }
    }

    pub fn len(&self) -> u64 {
        self.next - self.head
    }

    /// The records that are remembered, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Remembered> {
        (self.head..self.next).map(|number| self.at(number))
    }

    /// The records without the way to find them: enough for a frozen state.
    pub fn frozen(&self) -> Self {
        Self { pages: self.pages.clone(), index: HashTable::new(), ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: u64) -> Remembered {
        Remembered {
            id: u128::from(id) << 64 | u128::from(id),
            fingerprint: id,
            at: ClusterTime(id),
            outcome: Compact::default(),
        }
    }

    fn key(id: u64, fingerprint: u64) -> Key {
        Key { id: record(id).id, fingerprint }
    }

    #[test]
    fn records_are_found_until_they_are_forgotten() {
        // Numbers near 2^32: their low halves wrap around.
        let start = u64::from(u32::MAX) - 500;
        let mut table = Table { first: start, head: start, next: start, ..Table::default() };
        for id in 0..1000 {
            table.push(record(id));
        }
        let frozen = table.frozen();
        for id in 0..600 {
            assert_eq!(table.oldest(), Some(&record(id)));
            table.forget_oldest();
            assert!(matches!(table.look_up(key(id, id)), Known::New));
        }
        assert_eq!((table.len(), frozen.len()), (400, 1000));
        assert!(table.iter().cloned().eq((600..1000).map(record)));
        for id in 600..1000 {
            assert!(matches!(table.look_up(key(id, id)), Known::Same(found) if *found == record(id)));
        }
        assert!(matches!(table.look_up(key(999, 1)), Known::Other));
    }

    #[test]
    fn a_table_is_full_when_one_more_record_would_pass_its_cap() {
        let mut table = Table::default();
        assert!(table.is_full(63) && !table.is_full(64));
        table.push(record(1));
        assert!(table.is_full(127) && !table.is_full(128));
        table.forget_oldest();
        table.forget_oldest();
        assert!(!table.is_full(64));
    }

    #[test]
    fn a_record_hashes_by_all_that_it_says() {
        assert_ne!(record(1).digest(Kind::Key), record(2).digest(Kind::Key));
        assert_ne!(record(1).digest(Kind::Key), record(1).digest(Kind::Event));
    }
}
