//! A state that does not change any more, and its way to bytes.

use serde::{Deserialize, Serialize};

use super::digest::Kind;
use super::holds::Hold;
use super::names::Names;
use super::orders::Order;
use super::paged::Paged;
use super::registry::{DeadLetter, OfStore, Subscription};
use super::rows::{self, Row};
use super::table::{Remembered, Table};
use super::transfers::{ItemSums, Transfer};
use super::{Clock, Inventory, Sums};
use crate::{Config, Digest, ItemId, RowView, Seq, StoreId, UtcMillis, codec};

/// What a chunk takes at most, in bytes before its records are encoded; a single record may be longer.
const CHUNK_BYTES: usize = 128 << 10;

/// A state that does not change any more, cheap to take: shares all it can with the live one.
#[derive(Clone)]
pub struct Frozen {
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) stores: Names<StoreId>,
    pub(super) items: Names<ItemId>,
    pub(super) rows: Paged<Row>,
    pub(super) holds: Paged<Option<Hold>>,
    pub(super) transfers: Paged<Option<Transfer>>,
    pub(super) item_sums: Paged<ItemSums>,
    pub(super) orders: Paged<Option<Order>>,
    pub(super) subscriptions: Paged<Option<Subscription>>,
    pub(super) letters: Paged<Option<DeadLetter>>,
    pub(super) keys: Table,
    pub(super) events: Table,
    pub(super) sums: Sums,
    digest: Digest,
}

/// One record of a snapshot. The header comes first and counts what follows, so that nothing can be missing unseen.
#[derive(Serialize, Deserialize)]
pub(super) enum Chunk {
    Header(Box<Header>),
    Stores(Vec<StoreId>),
    Items(Vec<ItemId>),
    Rows(Vec<Row>),
    Holds(Vec<Hold>),
    Transfers(Vec<Transfer>),
    ItemSums(Vec<(u32, ItemSums)>),
    Orders(Vec<Order>),
    Subscriptions(Vec<Subscription>),
    DeadLetters(Vec<DeadLetter>),
    Keys(Vec<Remembered>),
    Events(Vec<Remembered>),
}

#[derive(Serialize, Deserialize)]
pub(super) struct Header {
    pub clock: Clock,
    pub config: Config,
    pub sums: Sums,
    /// The digest's part for clock and settings.
    pub config_digest: u128,
    pub counts: Counts,
}

/// How many records of each kind a snapshot has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub stores: u64,
    pub items: u64,
    pub rows: u64,
    pub holds: u64,
    pub transfers: u64,
    pub item_sums: u64,
    pub orders: u64,
    pub subscriptions: u64,
    pub dead_letters: u64,
    pub keys: u64,
    pub events: u64,
}

impl Inventory {
    /// A copy of the state as it is now, without stopping the live one.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let (transfers, item_sums) = self.transfers.frozen();
        Frozen {
            clock: self.clock.clone(),
            config: self.config.clone(),
            stores: self.stores.frozen(),
            items: self.items.frozen(),
            rows: self.rows.frozen(),
            holds: self.holds.frozen(),
            transfers,
            item_sums,
            orders: self.orders.frozen(),
            subscriptions: self.subscriptions.frozen(),
            letters: self.letters.frozen(),
            keys: self.keys.frozen(),
            events: self.events.frozen(),
            sums: self.sums,
            digest: self.digest(),
        }
    }
}

impl Frozen {
    /// The state as records of bounded size, each with its format byte.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + Send + '_ {
        let header = Chunk::Header(Box::new(self.header()));
        let hold_bytes = |hold: &Hold| size_of::<Hold>() + size_of_val(hold.lines());
        let order_bytes = |order: &Order| size_of::<Order>() + size_of_val(&order.payments[..]);
        let subscription_bytes =
            |subscription: &Subscription| size_of::<Subscription>() + subscription.url.as_str().len();
        let letter_bytes = |letter: &DeadLetter| usize::try_from(letter.bytes()).unwrap_or(usize::MAX);
        std::iter::once(header)
            .chain(batches(self.stores.iter().cloned(), |name| name.as_str().len() + 1, Chunk::Stores))
            .chain(batches(self.items.iter().cloned(), |name| name.as_str().len() + 1, Chunk::Items))
            .chain(batches(self.rows.iter().cloned(), size_of_val, Chunk::Rows))
            .chain(batches(self.holds().cloned(), hold_bytes, Chunk::Holds))
            .chain(batches(self.transfers().cloned(), size_of_val, Chunk::Transfers))
            .chain(batches(self.item_sums(), size_of_val, Chunk::ItemSums))
            .chain(batches(self.orders().cloned(), order_bytes, Chunk::Orders))
            .chain(batches(self.subscriptions().cloned(), subscription_bytes, Chunk::Subscriptions))
            .chain(batches(self.letters().cloned(), letter_bytes, Chunk::DeadLetters))
            .chain(batches(self.keys.iter().cloned(), size_of_val, Chunk::Keys))
            .chain(batches(self.events.iter().cloned(), size_of_val, Chunk::Events))
            .map(|chunk| codec::encode(&chunk))
    }

    fn header(&self) -> Header {
        let counts = Counts {
            stores: self.stores.len() as u64,
            items: self.items.len() as u64,
            rows: self.rows.len() as u64,
            holds: self.holds().count() as u64,
            transfers: self.transfers().count() as u64,
            item_sums: self.item_sums().count() as u64,
            orders: self.orders().count() as u64,
            subscriptions: self.subscriptions().count() as u64,
            dead_letters: self.letters().count() as u64,
            keys: self.keys.len(),
            events: self.events.len(),
        };
        let (clock, config) = (self.clock.clone(), self.config.clone());
        Header { clock, config, sums: self.sums, config_digest: self.digest.config, counts }
    }

    pub(super) fn holds(&self) -> impl Iterator<Item = &Hold> + Send {
        self.holds.iter().flatten()
    }

    pub(super) fn transfers(&self) -> impl Iterator<Item = &Transfer> + Send {
        self.transfers.iter().flatten()
    }

    pub(super) fn orders(&self) -> impl Iterator<Item = &Order> + Send {
        self.orders.iter().flatten()
    }

    pub(super) fn subscriptions(&self) -> impl Iterator<Item = &Subscription> + Send {
        self.subscriptions.iter().flatten()
    }

    pub(super) fn letters(&self) -> impl Iterator<Item = &DeadLetter> + Send {
        self.letters.iter().flatten()
    }

    /// The items that have sums, by number.
    pub(super) fn item_sums(&self) -> impl Iterator<Item = (u32, ItemSums)> + Send {
        let all = (0_u32..).zip(self.item_sums.iter().copied());
        all.filter(|(_, sums)| *sums != ItemSums::default())
    }

    /// The digest of the frozen state.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The last movement of the frozen state.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.clock.last_seq
    }

    /// The oldest movement that the ledger keeps, as of the frozen state.
    #[must_use]
    pub fn ledger_start(&self) -> Seq {
        self.clock.ledger_start
    }

    /// When it was frozen, for people.
    #[must_use]
    pub fn at_utc(&self) -> UtcMillis {
        self.clock.now.to_utc(self.clock.utc_offset_ms.unwrap_or_default())
    }

    /// The rows in `places` places from `from` on, a store's when one is given, and the place to go on from; none at the
    /// end. A place may be empty, and a row may be of another store: what is bounded is the work.
    #[must_use]
    pub fn rows(&self, store: Option<&StoreId>, from: u32, places: u32) -> (Vec<RowView>, Option<u32>) {
        let count = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let end = from.saturating_add(places).min(count);
        let fits =
            |row: &&Row| !row.removed && store.is_none_or(|store| self.stores.text(row.store) == store);
        let found = (from..end).map(|place| self.rows.get(place)).filter(fits);
        let views = found.map(|row| rows::view(row, rows::key(row, &self.stores, &self.items)));
        (views.collect(), (end < count).then_some(end))
    }

    /// The digest's parts, computed anew from every record.
    pub(super) fn recomputed(&self) -> Sums {
        let add = |sum: &mut u128, digest: u128| *sum = sum.wrapping_add(digest);
        let names = |row: u32| rows::names(self.rows.get(row), &self.stores, &self.items);
        let mut sums = Sums::default();
        for row in self.rows.iter().filter(|row| !row.removed) {
            add(&mut sums.stock, row.digest(rows::names(row, &self.stores, &self.items)));
        }
        for hold in self.holds() {
            add(&mut sums.holds, hold.digest(names));
        }
        for transfer in self.transfers() {
            add(&mut sums.transfers, transfer.digest(names));
        }
        for (item, item_sums) in self.item_sums() {
            add(&mut sums.transfers, item_sums.digest(self.items.hash(item)));
        }
        for order in self.orders() {
            add(&mut sums.orders, order.digest());
        }
        for subscription in self.subscriptions() {
            add(&mut sums.registry, subscription.digest());
        }
        for letter in self.letters() {
            add(&mut sums.registry, letter.digest());
        }
        for key in self.keys.iter() {
            add(&mut sums.keys, key.digest(Kind::Key));
        }
        for event in self.events.iter() {
            add(&mut sums.keys, event.digest(Kind::Event));
        }
        sums
    }
}

/// Groups records into chunks of bounded size.
fn batches<T>(
    records: impl Iterator<Item = T>,
    bytes_of: impl Fn(&T) -> usize,
    chunk: fn(Vec<T>) -> Chunk,
) -> impl Iterator<Item = Chunk> {
    let mut records = records.peekable();
    std::iter::from_fn(move || {
        let mut batch = vec![records.next()?];
        let mut bytes = bytes_of(&batch[0]);
        while let Some(record) = records.next_if(|record| bytes + bytes_of(record) <= CHUNK_BYTES) {
            bytes += bytes_of(&record);
            batch.push(record);
        }
        Some(chunk(batch))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_state_goes_to_another_thread() {
        fn goes<T: Send + Sync>(_: &T) {}
        goes(&Inventory::new().freeze());
    }

    #[test]
    fn chunks_are_of_bounded_size_and_a_larger_record_has_one_of_its_own() {
        let sizes = [1, CHUNK_BYTES - 1, 1, CHUNK_BYTES + 1, 2];
        let records = sizes.iter().map(|&bytes| u32::try_from(bytes).unwrap());
        let grouped = batches(
            records,
            |&bytes| bytes as usize,
            |batch| Chunk::ItemSums(batch.into_iter().map(|bytes| (bytes, ItemSums::default())).collect()),
        );
        let lengths: Vec<usize> = grouped
            .map(|chunk| match chunk {
                Chunk::ItemSums(batch) => batch.len(),
                _ => 0,
            })
            .collect();
        assert_eq!(lengths, [2, 1, 1, 1]);
    }
}
