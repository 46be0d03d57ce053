//! Transfers between stores: those under way, and ended ones for as long as they are remembered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::digest::{Bytes, Kind};
use super::paged::Paged;
use super::rows::RowNames;
use super::slab::{Identified, Slab};
use crate::{ClusterTime, TransferId, TransferStatus};

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    pub id: TransferId,
    /// Hash of what was asked for, to tell a repeat from another use of the id.
    pub content: u64,
    /// The places of the two rows, which they keep even when they are taken away.
    pub from: u32,
    pub to: u32,
    pub status: TransferStatus,
    pub qty: u64,
    pub received: u64,
    pub shortfall: u64,
    pub returned: u64,
    /// The last movement of its making. No two transfers share it, so it orders those that ended together.
    pub made_seq: u64,
    /// The last movement that it made.
    pub last_seq: u64,
    /// From when on it is remembered for the window of ended transfers; none while it is under way.
    pub ended_at: Option<ClusterTime>,
}

impl Identified for Transfer {
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Transfer {
    pub fn in_transit(&self) -> u64 {
        self.qty - self.received - self.shortfall - self.returned
    }

    /// Whether the transfer's parts fit into what was sent.
    pub fn is_whole(&self) -> bool {
        let gone = self.received.checked_add(self.shortfall).and_then(|gone| gone.checked_add(self.returned));
        gone.is_some_and(|gone| gone <= self.qty)
    }

    /// The transfer's share of the digest.
    pub fn digest(&self, names: impl Fn(u32) -> RowNames) -> u128 {
        let (from, to) = (names(self.from), names(self.to));
        let numbers = [
            self.content,
            self.status as u64,
            self.qty,
            self.received,
            self.shortfall,
            self.returned,
            self.made_seq,
            self.last_seq,
        ];
        Bytes::new()
            .wide(self.id.uuid().as_u128())
            .wide(from.store)
            .wide(to.store)
            .wide(from.item)
            .numbers(&numbers)
            .optional(self.ended_at.map(|at| at.0))
            .hash(Kind::Transfer)
    }
}

/// What became of an item's goods that no row and no remembered transfer tells: with it, what left stores is what
/// arrived, what is under way and what fell short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemSums {
    /// What fell short of all transfers so far; no more than the largest total.
    pub shortfall: u64,
    /// What rows that were taken away had sent to other stores, less what they had got from them.
    pub net_out: i128,
}

impl ItemSums {
    /// The item's share of the digest; an item without sums has none.
    pub fn digest(&self, item: u128) -> u128 {
        if *self == Self::default() {
            return 0;
        }
        let net_out = self.net_out.cast_unsigned();
        Bytes::new().wide(item).wide(net_out).numbers(&[self.shortfall]).hash(Kind::ItemSums)
    }
}

/// All transfers, the ways to find them, and the sums of items.
#[derive(Default)]
pub struct Transfers {
    transfers: Slab<Transfer>,
    ended: BTreeSet<(ClusterTime, u64, u32)>,
    /// What is under way to or from a row. Wider than a total: a row may get goods from many.
    under_way: BTreeMap<u32, u128>,
    sums: Paged<ItemSums>,
}

impl Transfers {
    pub fn find(&self, id: TransferId) -> Option<u32> {
        self.transfers.find(id.uuid())
    }

    pub fn get(&self, ix: u32) -> &Transfer {
        self.transfers.get(ix)
    }

    /// Adds a transfer whose id is new; returns its place.
    pub fn insert(&mut self, transfer: Transfer) -> u32 {
        let ix = self.transfers.insert(transfer);
        self.list(ix);
        ix
    }

    /// Changes a transfer and keeps every index right.
    pub fn change(&mut self, ix: u32, change: impl FnOnce(&mut Transfer)) {
        self.unlist(ix);
        change(self.transfers.get_mut(ix));
        self.list(ix);
    }

    /// Forgets a transfer.
    pub fn forget(&mut self, ix: u32) {
        self.unlist(ix);
        self.transfers.remove(ix);
    }

    fn list(&mut self, ix: u32) {
        let transfer = self.transfers.get(ix);
        if let Some(at) = transfer.ended_at {
            self.ended.insert((at, transfer.made_seq, ix));
            return;
        }
        let qty = u128::from(transfer.in_transit());
        for row in [transfer.from, transfer.to] {
            *self.under_way.entry(row).or_default() += qty;
        }
    }

    fn unlist(&mut self, ix: u32) {
        let transfer = self.transfers.get(ix);
        if let Some(at) = transfer.ended_at {
            self.ended.remove(&(at, transfer.made_seq, ix));
            return;
        }
        let qty = u128::from(transfer.in_transit());
        for row in [transfer.from, transfer.to] {
            let rest = self.under_way.get(&row).map_or(0, |sum| sum - qty);
            if rest == 0 {
                self.under_way.remove(&row);
            } else {
                self.under_way.insert(row, rest);
            }
        }
    }

    /// What is under way to or from a row.
    pub fn under_way(&self, row: u32) -> u128 {
        self.under_way.get(&row).copied().unwrap_or_default()
    }

    /// The transfer that ended first.
    pub fn first_ended(&self) -> Option<(ClusterTime, u32)> {
        self.ended.first().map(|&(at, _, ix)| (at, ix))
    }

    pub fn open_count(&self) -> u64 {
        (self.transfers.len() - self.ended.len()) as u64
    }

    /// The sums of an item.
    pub fn sums(&self, item: u32) -> ItemSums {
        if (item as usize) < self.sums.len() { *self.sums.get(item) } else { ItemSums::default() }
    }

    /// Sets the sums of an item.
    pub fn set_sums(&mut self, item: u32, sums: ItemSums) {
        while self.sums.len() <= item as usize {
            self.sums.push(ItemSums::default());
        }
        *self.sums.get_mut(item) = sums;
    }

    /// The transfers without the ways to find them, and the sums by item: enough for a frozen state.
    pub fn frozen(&self) -> (Paged<Option<Transfer>>, Paged<ItemSums>) {
        (self.transfers.places(), self.sums.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_follows_the_transfers() {
        let transfer = |id: u64, from, to, qty| Transfer {
            id: TransferId::from_uuid(Uuid::from_u128(u128::from(id))),
            content: 0,
            from,
            to,
            status: TransferStatus::Shipped,
            qty,
            received: 0,
            shortfall: 0,
            returned: 0,
            made_seq: id,
            last_seq: id,
            ended_at: None,
        };
        let mut transfers = Transfers::default();
        let first = transfers.insert(transfer(1, 10, 11, 5));
        let second = transfers.insert(transfer(2, 11, 12, u64::MAX));
        assert_eq!(
            [10, 11, 12, 13].map(|row| transfers.under_way(row)),
            [5, u128::from(u64::MAX) + 5, u128::from(u64::MAX), 0]
        );
        transfers.change(first, |transfer| transfer.received = 3);
        transfers.change(second, |transfer| transfer.ended_at = Some(ClusterTime(9)));
        assert_eq!([10, 11, 12].map(|row| transfers.under_way(row)), [2, 2, 0]);
        assert_eq!((transfers.open_count(), transfers.first_ended()), (1, Some((ClusterTime(9), second))));
        transfers.forget(second);
        assert_eq!((transfers.first_ended(), transfers.find(transfer(2, 0, 0, 0).id)), (None, None));
    }
}
