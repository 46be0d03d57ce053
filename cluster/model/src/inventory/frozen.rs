//! A state that does not change any more, and its way to bytes and back.

use serde::{Deserialize, Serialize};

use super::admin::shortfall_digest;
use super::holds::{Hold, Holds};
use super::names::Names;
use super::paged::Paged;
use super::rows::{Row, Rows};
use super::table::{Record, Table};
use super::transfers::{Transfer, Transfers};
use super::{Clock, Inventory, Sums};
use crate::{Config, Digest, ItemId, Seq, StoreId, TransferId, codec};

/// Records in a chunk, each counted by its weight: some hundred kilobytes for all but a single very long hold.
const CHUNK_WEIGHT: usize = 1000;

/// A state that does not change any more, cheap to take: shares all it can with the live one.
#[derive(Clone)]
pub struct Frozen {
    pub(super) clock: Clock,
    pub(super) config: Config,
    pub(super) stores: Names<StoreId>,
    pub(super) items: Names<ItemId>,
    pub(super) rows: Paged<Row>,
    pub(super) holds: Paged<Option<Hold>>,
    free: Vec<u32>,
    pub(super) transfers: Transfers,
    pub(super) keys: Table,
    pub(super) events: Table,
    pub(super) sums: Sums,
    digest: Digest,
}

/// A snapshot that cannot be made a state of.
#[derive(Debug, thiserror::Error)]
#[error("snapshot cannot be restored: {0}")]
pub struct RestoreError(pub String);

/// One record of a snapshot. A header comes first and an end last, so that nothing can be missing unseen.
#[derive(Serialize, Deserialize)]
enum Chunk {
    Header { clock: Clock, config: Config, digest: Digest },
    Stores(Vec<StoreId>),
    Items(Vec<ItemId>),
    Rows(Vec<Row>),
    Holds(Vec<Option<Hold>>),
    Free(Vec<u32>),
    Transfers(Vec<(TransferId, Transfer)>),
    Shortfalls(Vec<(u32, u64)>),
    Keys(Vec<Record>),
    Events(Vec<Record>),
    End { records: u64 },
}

impl Inventory {
    /// A copy of the state as it is now, without stopping the live one.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let (holds, free) = self.holds.frozen();
        Frozen {
            clock: self.clock.clone(),
            config: self.config.clone(),
            stores: self.stores.frozen(),
            items: self.items.frozen(),
            rows: self.rows.frozen(),
            holds,
            free,
            transfers: self.transfers.clone(),
            keys: self.keys.frozen(),
            events: self.events.frozen(),
            sums: self.sums,
            digest: self.digest(),
        }
    }

    /// A state from the chunks of [`Frozen::chunks`], in order.
    ///
    /// # Errors
    /// When a chunk is damaged, missing, or does not give the digest that was frozen.
    pub fn restore(chunks: impl Iterator<Item = Vec<u8>>) -> Result<Self, RestoreError> {
        let mut loading = Loading::default();
        for chunk in chunks {
            let chunk = codec::decode(&chunk).map_err(|error| RestoreError(error.to_string()))?;
            loading.take(chunk)?;
        }
        loading.finish()
    }
}

impl Frozen {
    /// The state as records of bounded size, each with its format byte.
    pub fn chunks(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let header =
            Chunk::Header { clock: self.clock.clone(), config: self.config.clone(), digest: self.digest };
        let shortfalls = self.transfers.shortfalls.iter().map(|(&item, &qty)| (item, qty));
        let transfers = self.transfers.iter().map(|(&id, transfer)| (id, transfer.clone()));
        let body = batches(self.stores.iter().cloned(), Chunk::Stores)
            .chain(batches(self.items.iter().cloned(), Chunk::Items))
            .chain(batches(self.rows.iter().cloned(), Chunk::Rows))
            .chain(heavy_batches(self.holds.iter().cloned(), hold_weight, Chunk::Holds))
            .chain(batches(self.free.iter().copied(), Chunk::Free))
            .chain(batches(transfers, Chunk::Transfers))
            .chain(batches(shortfalls, Chunk::Shortfalls))
            .chain(batches(self.keys.iter().cloned(), Chunk::Keys))
            .chain(batches(self.events.iter().cloned(), Chunk::Events));
        let end = Chunk::End { records: self.records() };
        std::iter::once(header).chain(body).chain(std::iter::once(end)).map(|chunk| codec::encode(&chunk))
    }

    fn records(&self) -> u64 {
        let in_memory =
            self.stores.len() + self.items.len() + self.rows.len() + self.holds.len() + self.free.len();
        let transfers = self.transfers.iter().count() + self.transfers.shortfalls.len();
        (in_memory + transfers) as u64 + self.keys.len() + self.events.len()
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

    /// The digest's parts, computed anew from every record.
    pub(super) fn recomputed(&self) -> Sums {
        let row_names = |row: &Row| (self.stores.hash(row.store), self.items.hash(row.item));
        let mut sums = Sums::default();
        for row in self.rows.iter().filter(|row| !row.removed) {
            let (store, item) = row_names(row);
            sums.stock = sums.stock.wrapping_add(row.digest(store, item));
        }
        for hold in self.holds.iter().flatten() {
            sums.holds = sums.holds.wrapping_add(hold.digest(|ix| row_names(self.rows.get(ix))));
        }
        for (&id, transfer) in self.transfers.iter() {
            let names = [
                self.items.hash(transfer.item),
                self.stores.hash(transfer.from),
                self.stores.hash(transfer.to),
            ];
            sums.transfers = sums.transfers.wrapping_add(transfer.digest(id, names));
        }
        for (&item, &qty) in self.transfers.shortfalls.iter() {
            sums.transfers = sums.transfers.wrapping_add(shortfall_digest(self.items.hash(item), qty));
        }
        for record in self.keys.iter().chain(self.events.iter()) {
            sums.keys = sums.keys.wrapping_add(record.digest());
        }
        sums
    }
}

/// Groups records of about the same size into chunks.
fn batches<T>(records: impl Iterator<Item = T>, chunk: fn(Vec<T>) -> Chunk) -> impl Iterator<Item = Chunk> {
    heavy_batches(records, |_| 1, chunk)
}

/// Groups records into chunks of about the same weight.
fn heavy_batches<T>(
    mut records: impl Iterator<Item = T>,
    weight: fn(&T) -> usize,
    chunk: fn(Vec<T>) -> Chunk,
) -> impl Iterator<Item = Chunk> {
    std::iter::from_fn(move || {
        let (mut batch, mut sum) = (Vec::new(), 0);
        while sum < CHUNK_WEIGHT {
            let Some(record) = records.next() else { break };
            sum += weight(&record);
            batch.push(record);
        }
        if batch.is_empty() { None } else { Some(chunk(batch)) }
    })
}

/// A hold weighs as much as its lines.
fn hold_weight(hold: &Option<Hold>) -> usize {
    hold.as_ref().map_or(1, |hold| hold.lines.as_slice().len().max(1))
}

/// A state that is being read.
#[derive(Default)]
struct Loading {
    header: Option<(Clock, Config, Digest)>,
    ended: bool,
    records: u64,
    stores: Names<StoreId>,
    items: Names<ItemId>,
    rows: Rows,
    row_count: u64,
    holds: Vec<Option<Hold>>,
    free: Vec<u32>,
    transfers: Transfers,
    keys: Table,
    events: Table,
}

fn broken(what: &str) -> RestoreError {
    RestoreError(what.to_owned())
}

impl Loading {
    fn take(&mut self, chunk: Chunk) -> Result<(), RestoreError> {
        if self.ended || self.header.is_some() == matches!(chunk, Chunk::Header { .. }) {
            return Err(broken("its records are not in order"));
        }
        let count = match chunk {
            Chunk::Header { clock, config, digest } => {
                self.header = Some((clock, config, digest));
                0
            }
            Chunk::Stores(stores) => each(stores, |store| self.stores.intern(&store)),
            Chunk::Items(items) => each(items, |item| self.items.intern(&item)),
            Chunk::Rows(rows) => self.take_rows(rows)?,
            Chunk::Holds(holds) => self.take_holds(holds)?,
            Chunk::Free(free) => each(free, |ix| self.free.push(ix)),
            Chunk::Transfers(transfers) => self.take_transfers(transfers)?,
            Chunk::Shortfalls(shortfalls) => {
                let known = self.items.len();
                if shortfalls.iter().any(|&(item, _)| item as usize >= known) {
                    return Err(broken("a shortfall names an unknown item"));
                }
                each(shortfalls, |(item, qty)| self.transfers.add_shortfall(item, qty))
            }
            Chunk::Keys(keys) => each(keys, |record| self.keys.push(record)),
            Chunk::Events(events) => each(events, |record| self.events.push(record)),
            Chunk::End { records } => {
                self.ended = records == self.records;
                0
            }
        };
        self.records += count;
        Ok(())
    }

    fn take_rows(&mut self, rows: Vec<Row>) -> Result<u64, RestoreError> {
        let (stores, items) = (self.stores.len(), self.items.len());
        if rows.iter().any(|row| row.store as usize >= stores || row.item as usize >= items) {
            return Err(broken("a row has an unknown name"));
        }
        self.row_count += rows.len() as u64;
        Ok(each(rows, |row| self.rows.push(row)))
    }

    fn take_holds(&mut self, holds: Vec<Option<Hold>>) -> Result<u64, RestoreError> {
        let rows = self.row_count;
        let lines = holds.iter().flatten().flat_map(|hold| hold.lines.as_slice());
        for line in lines {
            let used =
                line.reserved.checked_add(line.confirmed).and_then(|sum| sum.checked_add(line.released));
            if u64::from(line.row) >= rows || used.is_none_or(|used| used > line.granted) {
                return Err(broken("a hold has an impossible line"));
            }
        }
        Ok(each(holds, |hold| self.holds.push(hold)))
    }

    fn take_transfers(&mut self, transfers: Vec<(TransferId, Transfer)>) -> Result<u64, RestoreError> {
        let (stores, items) = (self.stores.len(), self.items.len());
        for (_, transfer) in &transfers {
            let gone = transfer.received.checked_add(transfer.shortfall);
            let gone = gone.and_then(|sum| sum.checked_add(transfer.returned));
            let known = (transfer.item as usize) < items
                && (transfer.from as usize) < stores
                && (transfer.to as usize) < stores;
            if !known || gone.is_none_or(|gone| gone > transfer.qty) {
                return Err(broken("a transfer is impossible"));
            }
        }
        Ok(each(transfers, |(id, transfer)| self.transfers.put(id, transfer)))
    }

    fn finish(self) -> Result<Inventory, RestoreError> {
        let (clock, config, digest) = self.header.ok_or_else(|| broken("it is empty"))?;
        if !self.ended {
            return Err(broken("its end is missing"));
        }
        let places = self.holds.len();
        if self.free.iter().any(|&ix| self.holds.get(ix as usize).is_none_or(Option::is_some)) {
            return Err(broken("a free place is not free"));
        }
        if places != self.free.len() + self.holds.iter().flatten().count() {
            return Err(broken("free places are missing"));
        }
        let mut inventory = Inventory {
            clock,
            config,
            stores: self.stores,
            items: self.items,
            rows: self.rows,
            holds: Holds::restore(self.holds, self.free),
            transfers: self.transfers,
            keys: self.keys,
            events: self.events,
            sums: Sums::default(),
        };
        inventory.sums = inventory.freeze().recomputed();
        if inventory.digest() == digest {
            Ok(inventory)
        } else {
            Err(broken("its records do not give its digest"))
        }
    }
}

/// Takes every record, whatever comes of it, and counts them.
fn each<T, U>(records: Vec<T>, mut take: impl FnMut(T) -> U) -> u64 {
    let count = records.len() as u64;
    for record in records {
        take(record);
    }
    count
}
