//! Stock rows, in the order in which they came to be.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::digest::{Bytes, Kind};
use super::names::Names;
use super::paged::Paged;
use crate::{ItemId, MAX_TOTAL, Policy, RowKey, RowView, Seq, StoreId};

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
    /// Orders rows by when they were made, the last time.
    pub number: Number,
    /// The row was taken away. It stays as the key of holds and transfers that named it, and comes back in the same
    /// place when it is created again.
    pub removed: bool,
}

const _: () = assert!(size_of::<Row>() == 120);

impl Row {
    pub fn new((store, item): (u32, u32), number: Number, opening: u64) -> Self {
        Self {
            store,
            item,
            available: signed(opening),
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
            number,
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

    /// Whether a hold may take `qty` units: they are to be had, and the reserved total has room for them.
    pub fn may_reserve(&self, qty: u64) -> bool {
        self.sellable() >= signed(qty) && self.reserved + qty <= MAX_TOTAL
    }

    /// What a transfer could take: goods that are there and not kept back.
    pub fn sendable(&self) -> i64 {
        self.available.saturating_sub_unsigned(self.policy.safety_stock)
    }

    /// Whether the balances may change by `delta`: no total passes the largest.
    pub fn has_room(&self, delta: i64) -> bool {
        let fits =
            |total: i64| total.checked_add(delta).is_some_and(|total| total.unsigned_abs() <= MAX_TOTAL);
        fits(self.available) && fits(self.on_hand())
    }

    /// opening + received + adjusted + counted + in − out − sold: what on hand must be.
    pub fn accounted(&self) -> i128 {
        let plus = i128::from(self.opening) + i128::from(self.received) + i128::from(self.transferred_in);
        let minus = i128::from(self.transferred_out) + i128::from(self.sold);
        plus + i128::from(self.adjusted) + i128::from(self.counted) - minus
    }

    /// What left for other stores and did not come from other stores.
    pub fn net_out(&self) -> i128 {
        i128::from(self.transferred_out) - i128::from(self.transferred_in)
    }

    /// The row's share of the digest.
    pub fn digest(&self, names: RowNames) -> u128 {
        let numbers = [
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
            u64::from(self.retired),
            self.number.get(),
        ];
        Bytes::new().wide(names.store).wide(names.item).numbers(&numbers).hash(Kind::Row)
    }
}

/// How many rows had been made before one: 48 bits, which fit where a row has room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Number([u8; 6]);

impl Number {
    pub fn get(self) -> u64 {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&self.0);
        u64::from_be_bytes(bytes)
    }

    /// The number of the row that is made next.
    ///
    /// # Panics
    /// After 2^48 rows: nine years of a million new rows every second.
    pub fn next(self) -> Self {
        let [0, 0, bytes @ ..] = (self.get() + 1).to_be_bytes() else {
            panic!("fewer than 2^48 rows are made")
        };
        Self(bytes)
    }
}

/// A total as a signed number.
///
/// # Panics
/// When it does not fit: no total passes 53 bits.
pub fn signed(total: u64) -> i64 {
    i64::try_from(total).expect("totals fit 53 bits")
}

/// The hashes that stand for a row's names in digests.
#[derive(Clone, Copy)]
pub struct RowNames {
    pub store: u128,
    pub item: u128,
}

/// All rows, and the ways to find them.
#[derive(Clone, Default)]
pub struct Rows {
    rows: Paged<Row>,
    /// By key; rows that were taken away too.
    index: HashTable<u32>,
    /// Live rows by store and by item, in the order of their numbers.
    by_store: Vec<Vec<u32>>,
    by_item: Vec<Vec<u32>>,
    live: u64,
    next_number: Number,
}

fn spread(store: u32, item: u32) -> u64 {
    xxh3_64(&(u64::from(store) << 32 | u64::from(item)).to_le_bytes())
}

impl Rows {
    /// The place of a row, also of one that was taken away.
    pub fn place(&self, store: u32, item: u32) -> Option<u32> {
        let same = |&ix: &u32| {
            let row = self.rows.get(ix);
            row.store == store && row.item == item
        };
        self.index.find(spread(store, item), same).copied()
    }

    pub fn get(&self, ix: u32) -> &Row {
        self.rows.get(ix)
    }

    pub fn get_mut(&mut self, ix: u32) -> &mut Row {
        self.rows.get_mut(ix)
    }

    /// Makes a row that is not there; returns its place, which is its old one when it was there before.
    pub fn create(&mut self, store: u32, item: u32, opening: u64) -> u32 {
        let row = Row::new((store, item), self.next_number, opening);
        match self.place(store, item) {
            Some(ix) => {
                *self.rows.get_mut(ix) = row;
                self.list(ix);
                ix
            }
            None => self.push(row),
        }
    }

    /// Adds a row in a new place.
    pub fn push(&mut self, row: Row) -> u32 {
        let (hash, removed, number) = (spread(row.store, row.item), row.removed, row.number);
        let ix = self.rows.push(row);
        let rows = &self.rows;
        self.index.insert_unique(hash, ix, |&ix| {
            let row = rows.get(ix);
            spread(row.store, row.item)
        });
        if removed {
            // No later row may get a number before this one's.
            self.next_number = self.next_number.max(number.next());
        } else {
            self.list(ix);
        }
        ix
    }

    /// Takes a row away; its place stays.
    pub fn remove(&mut self, ix: u32) {
        let row = self.rows.get_mut(ix);
        row.removed = true;
        let (store, item, number) = (row.store, row.item, row.number);
        let rows = &self.rows;
        for list in [list_of(&mut self.by_store, store), list_of(&mut self.by_item, item)] {
            if let Ok(at) = list.binary_search_by_key(&number, |&ix| rows.get(ix).number) {
                list.remove(at);
            }
        }
        self.live -= 1;
    }

    fn list(&mut self, ix: u32) {
        let row = self.rows.get(ix);
        let (store, item, number) = (row.store, row.item, row.number);
        self.next_number = self.next_number.max(number.next());
        let rows = &self.rows;
        for list in [list_of(&mut self.by_store, store), list_of(&mut self.by_item, item)] {
            let at = list.partition_point(|&other| rows.get(other).number < number);
            list.insert(at, ix);
        }
        self.live += 1;
    }

    /// Live rows.
    pub fn count(&self) -> u64 {
        self.live
    }

    /// Places, those of rows that were taken away too.
    pub fn places(&self) -> u64 {
        self.rows.len() as u64
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
pub fn view(row: &Row, key: RowKey) -> RowView {
    RowView {
        row: key,
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

/// The hashes of the row's names.
pub fn names(row: &Row, stores: &Names<StoreId>, items: &Names<ItemId>) -> RowNames {
    RowNames { store: stores.hash(row.store), item: items.hash(row.item) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_comes_back_takes_its_old_place_and_a_new_number() {
        let mut rows = Rows::default();
        let places: Vec<u32> = (0..600).map(|item| rows.create(0, item, 5)).collect();
        rows.remove(places[300]);
        assert_eq!((rows.count(), rows.of_store(0).len(), rows.of_item(300)), (599, 599, &[][..]));
        assert!(rows.get(places[300]).removed);
        assert_eq!(rows.create(0, 300, 9), places[300]);
        assert_eq!(*rows.get(places[300]), Row::new((0, 300), Number([0, 0, 0, 0, 2, 88]), 9));
        assert_eq!((rows.count(), rows.places()), (600, 600));
        let mut by_number = [&places[..300], &places[301..]].concat();
        by_number.push(places[300]);
        assert_eq!(rows.of_store(0), by_number);

        let mut again = Rows::default();
        for row in rows.frozen().iter() {
            again.push(row.clone());
        }
        assert_eq!(again.of_store(0), by_number, "whatever order they are restored in");
        let next = again.create(1, 0, 1);
        assert_eq!(again.get(next).number.get(), 601);
    }
}
