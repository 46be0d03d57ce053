//! Stock rows, in the order in which they came to be.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::names::Names;
use super::paged::Paged;
use crate::{ItemId, Policy, RowKey, RowView, Seq, StoreId};

/// One stock row. Its fields are what the ledger tells, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub store: u32,
    pub item: u32,
    pub available: i64,
    pub reserved: u64,
    pub version: u64,
    pub last_seq: u64,
    pub opening: u64,
    pub received: u64,
    pub adjusted: i64,
    pub counted: i64,
    pub transferred_in: u64,
    pub transferred_out: u64,
    pub sold: u64,
    pub policy: Policy,
    pub retired: bool,
    /// The row was taken away; it stays as the key of holds that named it, and for the sums of its item.
    pub removed: bool,
}

impl Row {
    pub fn new(store: u32, item: u32, opening: u64) -> Self {
        Self {
            store,
            item,
            available: i64::try_from(opening).expect("totals fit 53 bits"),
            reserved: 0,
            version: 0,
            last_seq: 0,
            opening,
            received: 0,
            adjusted: 0,
            counted: 0,
            transferred_in: 0,
            transferred_out: 0,
            sold: 0,
            policy: Policy::default(),
            retired: false,
            removed: false,
        }
    }

    pub fn on_hand(&self) -> i64 {
        self.available.saturating_add_unsigned(self.reserved)
    }

    /// What a hold could claim.
    pub fn sellable(&self) -> i64 {
        self.sendable().saturating_add_unsigned(self.policy.backorder_limit)
    }

    /// What a transfer could take: goods that are there and not kept back.
    pub fn sendable(&self) -> i64 {
        self.available.saturating_sub_unsigned(self.policy.safety_stock)
    }

    /// opening + received + adjusted + counted + in − out − sold: what on hand must be.
    pub fn accounted(&self) -> i128 {
        let plus = i128::from(self.opening) + i128::from(self.received) + i128::from(self.transferred_in);
        let minus = i128::from(self.transferred_out) + i128::from(self.sold);
        plus + i128::from(self.adjusted) + i128::from(self.counted) - minus
    }

    /// The row's share of the digest, with the hashes of its names in place of their numbers.
    pub fn digest(&self, store_hash: u128, item_hash: u128) -> u128 {
        let mut bytes = [0_u8; 32 + 13 * 8 + 1];
        bytes[..16].copy_from_slice(&store_hash.to_le_bytes());
        bytes[16..32].copy_from_slice(&item_hash.to_le_bytes());
        let fields = [
            self.available.cast_unsigned(),
            self.reserved,
            self.version,
            self.last_seq,
            self.opening,
            self.received,
            self.adjusted.cast_unsigned(),
            self.counted.cast_unsigned(),
            self.transferred_in,
            self.transferred_out,
            self.sold,
            self.policy.safety_stock,
            self.policy.backorder_limit,
        ];
        for (field, place) in fields.iter().zip(bytes[32..].chunks_exact_mut(8)) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes[32 + 13 * 8] = u8::from(self.retired);
        xxh3_128(&bytes)
    }
}

/// All rows, and the ways to find them.
#[derive(Clone, Default)]
pub struct Rows {
    rows: Paged<Row>,
    index: HashTable<u32>,
    by_store: Vec<Vec<u32>>,
    by_item: Vec<Vec<u32>>,
    removed: u64,
}

fn key_hash(store: u32, item: u32) -> u64 {
    xxh3_64(&(u64::from(store) << 32 | u64::from(item)).to_le_bytes())
}

impl Rows {
    pub fn find(&self, store: u32, item: u32) -> Option<u32> {
        let same = |&ix: &u32| {
            let row = self.rows.get(ix);
            row.store == store && row.item == item
        };
        self.index.find(key_hash(store, item), same).copied()
    }

    pub fn get(&self, ix: u32) -> &Row {
        self.rows.get(ix)
    }

    pub fn get_mut(&mut self, ix: u32) -> &mut Row {
        self.rows.get_mut(ix)
    }

    /// Adds a row; a removed one is kept for its names and sums only.
    pub fn push(&mut self, row: Row) -> u32 {
        let (store, item, removed) = (row.store, row.item, row.removed);
        let ix = self.rows.push(row);
        if removed {
            self.removed += 1;
            return ix;
        }
        let rows = &self.rows;
        self.index.insert_unique(key_hash(store, item), ix, |&ix| {
            let row = rows.get(ix);
            key_hash(row.store, row.item)
        });
        list_of(&mut self.by_store, store).push(ix);
        list_of(&mut self.by_item, item).push(ix);
        ix
    }

    /// Takes a row out of every way to find it.
    pub fn remove(&mut self, ix: u32) {
        let row = self.rows.get_mut(ix);
        row.removed = true;
        let (store, item) = (row.store, row.item);
        if let Ok(entry) = self.index.find_entry(key_hash(store, item), |&other| other == ix) {
            entry.remove();
        }
        for list in [list_of(&mut self.by_store, store), list_of(&mut self.by_item, item)] {
            if let Ok(place) = list.binary_search(&ix) {
                list.remove(place);
            }
        }
        self.removed += 1;
    }

    /// Live rows.
    pub fn count(&self) -> u64 {
        self.rows.len() as u64 - self.removed
    }

    pub fn of_store(&self, store: u32) -> &[u32] {
        self.by_store.get(store as usize).map_or(&[], Vec::as_slice)
    }

    pub fn of_item(&self, item: u32) -> &[u32] {
        self.by_item.get(item as usize).map_or(&[], Vec::as_slice)
    }

    /// The rows without the ways to find them: enough for a frozen state.
    pub fn frozen(&self) -> Paged<Row> {
        self.rows.clone()
    }
}

fn list_of(lists: &mut Vec<Vec<u32>>, number: u32) -> &mut Vec<u32> {
    let number = number as usize;
    if lists.len() <= number {
        lists.resize_with(number + 1, Vec::new);
    }
    &mut lists[number]
}

/// The row as readers see it.
pub fn view(row: &Row, stores: &Names<StoreId>, items: &Names<ItemId>) -> RowView {
    RowView {
        row: key(row, stores, items),
        available: row.available,
        reserved: row.reserved,
        version: row.version,
        last_seq: Seq(row.last_seq),
        policy: row.policy,
        retired: row.retired,
        opening: row.opening,
        received: row.received,
        adjusted: row.adjusted,
        counted: row.counted,
        transferred_in: row.transferred_in,
        transferred_out: row.transferred_out,
        sold: row.sold,
    }
}

/// The row's names.
pub fn key(row: &Row, stores: &Names<StoreId>, items: &Names<ItemId>) -> RowKey {
    RowKey { store: stores.text(row.store).clone(), item: items.text(row.item).clone() }
}
