//! The way from the chunks of a frozen state back to a live one.

use super::Inventory;
use super::frozen::{Chunk, Counts, Header};
use super::holds::Hold;
use super::orders::Order;
use super::registry::{DeadLetter, Subscription};
use super::rows::Row;
use super::table::{Known, Remembered, Table};
use super::transfers::{ItemSums, Transfer};
use crate::{ItemId, Key, StoreId, codec};

/// A snapshot that cannot be made a state of.
#[derive(Debug, thiserror::Error)]
#[error("snapshot cannot be restored: {0}")]
pub struct RestoreError(pub String);

type Restored = Result<(), RestoreError>;

impl Inventory {
    /// A state from the chunks of [`crate::Frozen::chunks`], in order. Every index is made anew.
    ///
    /// # Errors
    /// When a chunk is damaged, missing, or does not give the digest that was frozen.
    pub fn restore(mut chunks: impl Iterator<Item = Vec<u8>>) -> Result<Self, RestoreError> {
        let decode = |chunk: Vec<u8>| codec::decode(&chunk).map_err(|error| RestoreError(error.to_string()));
        let Some(Chunk::Header(header)) = chunks.next().map(decode).transpose()? else {
            return Err(broken("it does not begin with a header"));
        };
        let mut loading = Loading::new(&header);
        for chunk in chunks {
            loading.take(decode(chunk)?)?;
        }
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is(crate::planted::Bug::SnapshotForgetsKeys) {
            let mut forgetful = loading.finish(&header)?;
            forgetful.keys = Table::default();
            return Ok(forgetful);
        }
        loading.finish(&header)
    }
}

fn broken(what: &str) -> RestoreError {
    RestoreError(what.to_owned())
}

/// A state that is being read.
struct Loading {
    inventory: Inventory,
    counts: Counts,
}

impl Loading {
    fn new(header: &Header) -> Self {
        let (clock, config, sums) = (header.clock.clone(), header.config.clone(), header.sums);
        let inventory = Inventory { clock, config, sums, ..Inventory::new() };
        Self { inventory, counts: Counts::default() }
    }

    fn take(&mut self, chunk: Chunk) -> Restored {
        match chunk {
            Chunk::Header(_) => Err(broken("it has two headers")),
            Chunk::Stores(mut stores) => stores.drain(..).try_for_each(|store| self.take_store(&store)),
            Chunk::Items(mut items) => items.drain(..).try_for_each(|item| self.take_item(&item)),
            Chunk::Rows(mut rows) => rows.drain(..).try_for_each(|row| self.take_row(row)),
            Chunk::Holds(mut holds) => holds.drain(..).try_for_each(|hold| self.take_hold(hold)),
            Chunk::Transfers(mut transfers) => {
                transfers.drain(..).try_for_each(|transfer| self.take_transfer(transfer))
            }
            Chunk::ItemSums(mut sums) => {
                sums.drain(..).try_for_each(|(item, sums)| self.take_sums(item, sums))
            }
            Chunk::Orders(mut orders) => orders.drain(..).try_for_each(|order| self.take_order(order)),
            Chunk::Subscriptions(mut subscriptions) => {
                subscriptions.drain(..).try_for_each(|subscription| self.take_subscription(subscription))
            }
            Chunk::DeadLetters(mut letters) => {
                letters.drain(..).try_for_each(|letter| self.take_letter(letter))
            }
            Chunk::Keys(mut keys) => {
                self.counts.keys += keys.len() as u64;
                keys.drain(..).try_for_each(|key| take_record(&mut self.inventory.keys, key))
            }
            Chunk::Events(mut events) => {
                self.counts.events += events.len() as u64;
                events.drain(..).try_for_each(|event| take_record(&mut self.inventory.events, event))
            }
        }
    }

    fn take_store(&mut self, store: &StoreId) -> Restored {
        self.inventory.stores.intern(store);
        self.counts.stores += 1;
        Ok(())
    }

    fn take_item(&mut self, item: &ItemId) -> Restored {
        self.inventory.items.intern(item);
        self.counts.items += 1;
        Ok(())
    }

    fn take_row(&mut self, row: Row) -> Restored {
        let at = &mut self.inventory;
        let known = (row.store as usize) < at.stores.len() && (row.item as usize) < at.items.len();
        check(known && at.rows.place(row.store, row.item).is_none(), "a row")?;
        at.rows.push(row);
        self.counts.rows += 1;
        Ok(())
    }

    fn take_hold(&mut self, hold: Hold) -> Restored {
        let rows = self.inventory.rows.places();
        let whole = hold.lines().iter().all(|line| line.is_whole() && u64::from(line.row) < rows);
        check(whole && self.inventory.holds.find(hold.id).is_none(), "a hold")?;
        self.inventory.holds.insert(hold);
        self.counts.holds += 1;
        Ok(())
    }

    fn take_transfer(&mut self, transfer: Transfer) -> Restored {
        let rows = self.inventory.rows.places();
        let known = [transfer.from, transfer.to].iter().all(|&row| u64::from(row) < rows);
        let is_new = self.inventory.transfers.find(transfer.id).is_none();
        check(known && is_new && transfer.is_whole(), "a transfer")?;
        self.inventory.transfers.insert(transfer);
        self.counts.transfers += 1;
        Ok(())
    }

    fn take_sums(&mut self, item: u32, sums: ItemSums) -> Restored {
        check((item as usize) < self.inventory.items.len(), "an item's sums")?;
        self.inventory.transfers.set_sums(item, sums);
        self.counts.item_sums += 1;
        Ok(())
    }

    /// An order comes after its hold, which must be its own.
    fn take_order(&mut self, order: Order) -> Restored {
        let at = &mut self.inventory;
        let hold = at.holds.find(order.hold).map(|ix| at.holds.get(ix));
        let has_hold = hold.is_some_and(|hold| hold.order == Some(order.id) && hold.is_kept());
        check(has_hold && at.orders.find(order.id).is_none(), "an order")?;
        at.orders.insert(order);
        self.counts.orders += 1;
        Ok(())
    }

    fn take_subscription(&mut self, subscription: Subscription) -> Restored {
        let at = &mut self.inventory;
        let is_new = at.subscriptions.find(subscription.id.uuid()).is_none()
            && !at.subscriptions.has_number(subscription.number);
        check(is_new, "a subscription")?;
        at.subscriptions.insert(subscription);
        self.counts.subscriptions += 1;
        Ok(())
    }

    fn take_letter(&mut self, letter: DeadLetter) -> Restored {
        let at = &mut self.inventory;
        let is_new = at.letters.find(letter.id.uuid()).is_none() && !at.letters.has_number(letter.number);
        check(is_new, "a dead letter")?;
        at.letter_bytes += letter.bytes();
        at.letters.insert(letter);
        self.counts.dead_letters += 1;
        Ok(())
    }

    fn finish(self, header: &Header) -> Result<Inventory, RestoreError> {
        if self.counts != header.counts {
            return Err(broken("it has fewer or more records than its header says"));
        }
        let frozen = self.inventory.freeze();
        if frozen.recomputed() != header.sums || frozen.digest().config != header.config_digest {
            return Err(broken("its records do not give its digest"));
        }
        Ok(self.inventory)
    }
}

fn take_record(table: &mut Table, record: Remembered) -> Restored {
    let key = Key { id: record.id, fingerprint: record.fingerprint };
    check(matches!(table.look_up(key), Known::New), "a key")?;
    table.push(record);
    Ok(())
}

fn check(possible: bool, what: &str) -> Restored {
    if possible { Ok(()) } else { Err(RestoreError(format!("{what} is impossible or comes twice"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ClusterTime, Command, Entry, HoldId, Line, Quantity, Request};

    fn request(command: Command, key: u128) -> Request {
        Request { command, key: Some(Key { id: key, fingerprint: 0 }), actor: None }
    }

    /// A state with a row, an open hold and keys.
    fn chunks() -> Vec<Vec<u8>> {
        let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
        let line = Line { store: store.clone(), item: item.clone(), qty: Quantity::new(2).unwrap() };
        let reserve = Command::Reserve {
            hold: HoldId::from_uuid(uuid::Uuid::from_u128(1)),
            lines: vec![line],
            ttl_ms: Some(1000),
            allow_partial: false,
            owner: None,
        };
        let requests = vec![request(Command::CreateSku { store, item, opening: 5 }, 1), request(reserve, 2)];
        let mut inventory = Inventory::new();
        inventory.apply(&Entry { stamp: ClusterTime(7), utc_offset_ms: Some(1), requests });
        inventory.freeze().chunks().collect()
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let restored = Inventory::restore(chunks().into_iter()).unwrap();
        assert_eq!(restored.freeze().chunks().collect::<Vec<_>>(), chunks());
        assert_eq!(restored.stats().holds_open, 1);
    }

    #[test]
    fn a_missing_a_doubled_and_a_damaged_chunk_are_seen() {
        let whole = chunks();
        for place in 0..whole.len() {
            let mut fewer = whole.clone();
            fewer.remove(place);
            assert!(Inventory::restore(fewer.into_iter()).is_err(), "without chunk {place}");
            let mut more = whole.clone();
            more.insert(place, whole[place].clone());
            assert!(Inventory::restore(more.into_iter()).is_err(), "chunk {place} twice");
            for byte in 0..whole[place].len() {
                let mut damaged = whole.clone();
                damaged[place][byte] ^= 1;
                assert!(Inventory::restore(damaged.into_iter()).is_err(), "chunk {place}, byte {byte}");
            }
        }
    }

    #[test]
    fn the_digest_covers_clock_and_settings() {
        let mut whole = chunks();
        let Chunk::Header(mut header) = codec::decode(&whole[0]).unwrap() else { panic!("a header") };
        header.clock.now = ClusterTime(8);
        whole[0] = codec::encode(&Chunk::Header(header));
        let error = Inventory::restore(whole.into_iter()).err().unwrap();
        assert_eq!(error.to_string(), "snapshot cannot be restored: its records do not give its digest");
    }
}
