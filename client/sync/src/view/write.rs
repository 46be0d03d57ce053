//! How a view moves on: a batch of records in one atomic step.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Slot;

use holdfast_api::Movement;
use holdfast_sdk::model::{ItemId, StoreId};

use super::error::ViewError;
use super::generation::{Generation, State, guarded};
use super::record::{self, Entry, Head, MARK, Mark, Row};
use crate::config::Outbox;

/// Beyond what is kept, so many of a store's entries gather before they are cut.
const TRIM_SLACK: u64 = 256;

/// A record of the feed.
#[derive(Debug, Clone)]
pub struct Fed {
    /// Its number in the feed.
    pub seq: u64,
    /// When it was made, as milliseconds of UTC.
    pub at_ms: i64,
    /// What it did to a row; none when it is of another kind.
    pub movement: Option<Box<Movement>>,
}

/// What a batch did.
#[derive(Debug, Default)]
pub struct Written {
    /// The stores that have new movements, and the last of each.
    pub stores: Vec<(StoreId, u64)>,
}

/// The rows that a batch has touched: what was there, and what is to be.
type Touched = BTreeMap<Vec<u8>, (Option<sled::IVec>, Option<Row>)>;

impl Generation {
    /// Takes the next records of the feed; those that are in the view already are passed over. Blocks.
    ///
    /// `needed` says of a store up to which sequence its entries have been delivered to everyone who is to get them.
    ///
    /// # Errors
    /// When a record does not follow from what is there, or the database cannot be written. Nothing was changed then.
    pub fn write(
        &self,
        records: &[Fed],
        outbox: Outbox,
        needed: impl Fn(&StoreId) -> u64,
    ) -> Result<Written, ViewError> {
        let mut state = self.state.lock().clone_for_write();
        let mut batch = sled::Batch::default();
        let mut touched = Touched::new();
        let mut stores: BTreeMap<StoreId, Head> = BTreeMap::new();
        for fed in records.iter().filter(|fed| fed.seq > self.seq()) {
            if fed.seq != state.mark.seq + 1 {
                return Err(ViewError::Unfit(format!("record {} follows {}", fed.seq, state.mark.seq)));
            }
            if let Some(movement) = &fed.movement {
                let (store, item) = names(movement)?;
                self.change_row(&mut touched, record::row_key(&store, &item), movement)?;
                let head = match stores.entry(store.clone()) {
                    Slot::Occupied(head) => head.into_mut(),
                    Slot::Vacant(place) => place.insert(self.head(&store, state.mark.base)),
                };
                push(&mut batch, &store, head, movement)?;
            }
            state.mark.seq = fed.seq;
            state.mark.at_ms = fed.at_ms;
        }
        for (store, head) in &mut stores {
            self.trim(&mut batch, store, head, outbox, needed(store))?;
        }
        self.commit(batch, state.mark, touched, &stores)?;
        Ok(Written { stores: stores.into_iter().map(|(store, head)| (store, head.last)).collect() })
    }

    fn head(&self, store: &StoreId, base: u64) -> Head {
        self.state.lock().heads.get(store).copied().unwrap_or(Head { last: base, count: 0 })
    }

    fn change_row(&self, touched: &mut Touched, key: Vec<u8>, movement: &Movement) -> Result<(), ViewError> {
        let slot = match touched.entry(key) {
            Slot::Occupied(slot) => slot.into_mut(),
            Slot::Vacant(place) => {
                let found = guarded(|| self.tree().get(place.key()))?;
                let row = found.as_ref().map(|bytes| record::decode(bytes)).transpose()?;
                place.insert((found, row))
            }
        };
        slot.1 = after(slot.1.take(), movement)?;
        Ok(())
    }

    /// Cuts a store's oldest entries, as far as they are not kept: delivered ones beyond `keep`, and any beyond `max`.
    fn trim(
        &self,
        batch: &mut sled::Batch,
        store: &StoreId,
        head: &mut Head,
        outbox: Outbox,
        delivered: u64,
    ) -> Result<(), ViewError> {
        if head.count <= outbox.keep.saturating_add(TRIM_SLACK) {
            return Ok(());
        }
        let (surplus, excess) = (head.count - outbox.keep, head.count.saturating_sub(outbox.max));
        let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
        // Only what goes is looked at: behind it may be all that a receiver that is down has not had.
        let goes = |key: &sled::IVec, place: u64| {
            place < excess || record::seq_of(key).is_none_or(|seq| seq <= delivered)
        };
        let cut = guarded(|| {
            let keys = self.tree().scan_prefix(record::entries_of(store)).keys().take(surplus).zip(0_u64..);
            keys.take_while(|(key, place)| key.as_ref().map_or(true, |key| goes(key, *place)))
                .map(|(key, _)| key)
                .collect::<Result<Vec<_>, _>>()
        })?;
        for key in cut {
            record::seq_of(&key).ok_or_else(|| ViewError::damaged("an entry's key"))?;
            batch.remove(key);
            head.count -= 1;
        }
        Ok(())
    }

    /// Writes what a batch came to, under one new mark.
    fn commit(
        &self,
        mut batch: sled::Batch,
        mut mark: Mark,
        touched: Touched,
        stores: &BTreeMap<StoreId, Head>,
    ) -> Result<(), ViewError> {
        let mut change = |key: Vec<u8>, old: Option<&[u8]>, new: Option<Vec<u8>>| {
            if let Some(old) = old {
                mark.checksum = mark.checksum.wrapping_sub(record::checksum(&key, old));
            }
            match new {
                Some(new) => {
                    mark.checksum = mark.checksum.wrapping_add(record::checksum(&key, &new));
                    batch.insert(key, new);
                }
                None => batch.remove(key),
            }
        };
        let (mut made, mut gone) = (0, 0);
        for (key, (old, new)) in touched {
            made += u64::from(old.is_none() && new.is_some());
            gone += u64::from(old.is_some() && new.is_none());
            change(key, old.as_deref(), new.as_ref().map(record::encode));
        }
        for (store, head) in stores {
            let old = self.state.lock().heads.get(store).map(record::encode);
            change(record::head_key(store), old.as_deref(), Some(record::encode(head)));
        }
        mark.rows = mark.rows + made - gone;
        batch.insert(MARK, record::encode(&mark));
        let _gate = self.gate.write();
        guarded(|| self.tree().apply_batch(batch))?;
        let mut state = self.state.lock();
        state.mark = mark;
        state.heads.extend(stores.iter().map(|(store, head)| (store.clone(), *head)));
        Ok(())
    }

    /// Puts rows of a snapshot into a view that is being built. Blocks.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn load(&self, rows: &[(StoreId, ItemId, Row)]) -> Result<(), ViewError> {
        let mut batch = sled::Batch::default();
        let mut sum = 0_u128;
        for (store, item, row) in rows {
            let (key, value) = (record::row_key(store, item), record::encode(row));
            sum = sum.wrapping_add(record::checksum(&key, &value));
            batch.insert(key, value);
        }
        guarded(|| self.tree().apply_batch(batch))?;
        let mut state = self.state.lock();
        state.mark.checksum = state.mark.checksum.wrapping_add(sum);
        state.mark.rows += rows.len() as u64;
        Ok(())
    }

    /// Ends the building of a view, which is one that can be opened from now on. Blocks.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn finish(&self) -> Result<(), ViewError> {
        // The rows first: the mark says that they are there.
        self.flush()?;
        let mark = record::encode(&self.mark());
        guarded(|| self.tree().insert(MARK, mark))?;
        self.flush()
    }
}

impl State {
    /// What a batch starts from; heads are read as they are needed.
    fn clone_for_write(&self) -> Self {
        Self { mark: self.mark.clone(), heads: BTreeMap::new() }
    }
}

fn names(movement: &Movement) -> Result<(StoreId, ItemId), ViewError> {
    let unfit = |error: holdfast_sdk::model::IdError| ViewError::Unfit(format!("{}: {error}", movement.seq));
    let store = StoreId::new(&movement.store_id).map_err(unfit)?;
    Ok((store, ItemId::new(&movement.item_id).map_err(unfit)?))
}

/// The row after a movement; none when the movement took it away.
///
/// # Errors
/// When the movement is not the row's next one.
fn after(row: Option<Row>, movement: &Movement) -> Result<Option<Row>, ViewError> {
    let stands_at = row.as_ref().map_or(0, |row| row.last_seq);
    if movement.prev_seq != stands_at {
        return Err(ViewError::Unfit(format!(
            "{} of {}/{} follows {}, but the row is at {stands_at}",
            movement.seq, movement.store_id, movement.item_id, movement.prev_seq
        )));
    }
    let was_retired = row.as_ref().is_some_and(|row| row.retired);
    let retires = movement.kind == "RETIRED";
    if retires && was_retired {
        return Ok(None);
    }
    let (safety_stock, backorder_limit) = row.map_or((0, 0), |row| (row.safety_stock, row.backorder_limit));
    Ok(Some(Row {
        available: movement.available,
        reserved: movement.reserved,
        version: movement.version,
        last_seq: movement.seq,
        safety_stock: movement.safety_stock.unwrap_or(safety_stock),
        backorder_limit: movement.backorder_limit.unwrap_or(backorder_limit),
        retired: was_retired || retires,
    }))
}

/// Adds a movement to its store's entries.
fn push(
    batch: &mut sled::Batch,
    store: &StoreId,
    head: &mut Head,
    movement: &Movement,
) -> Result<(), ViewError> {
    let json = serde_json::to_string(movement)
        .map_err(|error| ViewError::Unfit(format!("{} cannot be written: {error}", movement.seq)))?;
    let entry = Entry { seq: movement.seq, prev: head.last, json };
    batch.insert(record::entry_key(store, entry.seq), entry.encode());
    (head.last, head.count) = (entry.seq, head.count + 1);
    Ok(())
}
