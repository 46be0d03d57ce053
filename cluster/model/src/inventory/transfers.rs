//! Transfers between stores: those under way, and ended ones for as long as they are remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{ClusterTime, TransferId, TransferStatus};

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Hash of what was asked for, to tell a repeat from another use of the id.
    pub content: u64,
    pub item: u32,
    pub from: u32,
    pub to: u32,
    pub status: TransferStatus,
    pub qty: u64,
    pub received: u64,
    pub shortfall: u64,
    pub returned: u64,
    /// The last movement of its making.
    pub made_seq: u64,
    /// The last movement that it made.
    pub last_seq: u64,
    pub ended_at: Option<ClusterTime>,
}

impl Transfer {
    pub fn in_transit(&self) -> u64 {
        self.qty - self.received - self.shortfall - self.returned
    }

    /// The transfer's share of the digest, with the hashes of its names in place of their numbers.
    pub fn digest(&self, id: TransferId, names: [u128; 3]) -> u128 {
        let mut hash = Xxh3::new();
        hash.update(id.uuid().as_bytes());
        for name in names {
            hash.update(&name.to_le_bytes());
        }
        let ended_at = self.ended_at.map_or(u64::MAX, |at| at.0);
        let status = self.status as u64;
        for field in [
            self.content,
            status,
            self.qty,
            self.received,
            self.shortfall,
            self.returned,
            self.made_seq,
            self.last_seq,
            ended_at,
        ] {
            hash.update(&field.to_le_bytes());
        }
        hash.digest128()
    }
}

/// All transfers. They are few beside holds: a snapshot shares the map, and the next change copies it.
#[derive(Clone, Default)]
pub struct Transfers {
    transfers: Arc<BTreeMap<TransferId, Transfer>>,
    ended: BTreeSet<(ClusterTime, TransferId)>,
    /// What fell short so far, by item, so that an item's sums hold after a transfer is forgotten.
    pub shortfalls: Arc<BTreeMap<u32, u64>>,
}

impl Transfers {
    pub fn get(&self, id: TransferId) -> Option<&Transfer> {
        self.transfers.get(&id)
    }

    pub fn put(&mut self, id: TransferId, transfer: Transfer) {
        if let Some(at) = transfer.ended_at {
            self.ended.insert((at, id));
        }
        Arc::make_mut(&mut self.transfers).insert(id, transfer);
    }

    pub fn add_shortfall(&mut self, item: u32, qty: u64) {
        *Arc::make_mut(&mut self.shortfalls).entry(item).or_default() += qty;
    }

    /// The transfer that ended first.
    pub fn first_ended(&self) -> Option<(ClusterTime, TransferId)> {
        self.ended.first().copied()
    }

    /// Forgets an ended transfer.
    pub fn forget(&mut self, at: ClusterTime, id: TransferId) -> Option<Transfer> {
        self.ended.remove(&(at, id));
        Arc::make_mut(&mut self.transfers).remove(&id)
    }

    /// What is under way to or from a row; the largest number when it is more than that.
    pub fn in_transit(&self, store: u32, item: u32) -> u64 {
        let touching =
            |transfer: &&Transfer| transfer.item == item && (transfer.from == store || transfer.to == store);
        self.transfers
            .values()
            .filter(touching)
            .fold(0, |sum, transfer| transfer.in_transit().saturating_add(sum))
    }

    pub fn open_count(&self) -> u64 {
        (self.transfers.len() - self.ended.len()) as u64
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TransferId, &Transfer)> {
        self.transfers.iter()
    }
}
