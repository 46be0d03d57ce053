//! The committed order: what was applied first anywhere, replayed by a single-threaded model. It judges nothing.

use std::collections::BTreeMap;

use holdfast_model::{Applied, Digest, Entry, Inventory, Movement, Record, RowKey, RowView};
use holdfast_replica::types::LogIdRecord;

/// An entry, and what came of it here.
pub struct Step {
    pub at: LogIdRecord,
    pub entry: Entry,
    pub applied: Applied,
    pub digest: Digest,
}

/// The committed order.
#[derive(Default)]
pub struct Committed {
    pub inventory: Inventory,
    pub movements: Vec<Movement>,
    pub records: Vec<Record>,
    pub steps: BTreeMap<u64, Step>,
    /// The first and the last entry after which the state had a digest.
    pub by_digest: BTreeMap<Vec<u8>, (u64, u64)>,
    /// How rows were from an entry on.
    rows: BTreeMap<RowKey, Vec<(u64, Option<RowView>)>>,
}

/// A digest as a key.
pub fn key_of(digest: Digest) -> Vec<u8> {
    holdfast_model::codec::encode(&digest)
}

impl Committed {
    /// Whether an entry is known.
    pub fn has(&self, index: u64) -> bool {
        self.steps.keys().next_back().is_some_and(|last| index <= *last)
    }

    /// The last entry and the digest after it.
    pub fn last(&self) -> (u64, Digest) {
        self.upto(u64::MAX)
    }

    /// The last entry of commands up to `index`, and the digest after it.
    pub fn upto(&self, index: u64) -> (u64, Digest) {
        let last = self.steps.range(..=index).next_back();
        last.map_or_else(|| (0, Inventory::new().digest()), |(index, step)| (*index, step.digest))
    }

    /// The next entry; returns what it does here.
    pub fn take(&mut self, at: LogIdRecord, entry: &Entry) -> Applied {
        let applied = self.inventory.apply(entry);
        let digest = self.inventory.digest();
        self.movements.extend(applied.movements().cloned());
        self.records.extend(applied.records.iter().cloned());
        let touched: std::collections::BTreeSet<RowKey> = applied
            .movements()
            .map(|movement| RowKey { store: movement.store.clone(), item: movement.item.clone() })
            .collect();
        for row in touched {
            let view = self.inventory.row(&row.store, &row.item);
            self.rows.entry(row).or_default().push((at.index, view));
        }
        let range = self.by_digest.entry(key_of(digest)).or_insert((at.index, at.index));
        range.1 = at.index;
        self.steps.insert(at.index, Step { at, entry: entry.clone(), applied: applied.clone(), digest });
        applied
    }

    /// A row after an entry.
    pub fn row_at(&self, row: &RowKey, index: u64) -> Option<&RowView> {
        let views = self.rows.get(row)?;
        let upto = views.partition_point(|(from, _)| *from <= index);
        views[..upto].last()?.1.as_ref()
    }
}
