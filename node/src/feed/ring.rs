//! The newest blocks, and where each subscriber stands towards them. It reads nothing and waits for nothing.
//!
//! A subscriber that has had all that it wants stands idle: it is not looked at again until a block has something for
//! it, which is found by store or item, so a thousand that wait cost nothing when others' stores move.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use holdfast_model::{ItemId, Seq, StoreId};
use tokio::sync::Notify;

use super::block::Block;
use super::filter::Filter;
use super::record;

/// How many of the newest records are kept: with their bytes about 10 MB. Who is further behind reads the ledger.
const RECORDS: usize = 8192;

/// Where a subscriber stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has had all that it wants of what was published.
    Idle,
    /// The next block with something for it has this number; it has had all up to `after`.
    From { number: u64, after: Seq },
    /// It has had all up to `after`, and the blocks do not reach back that far.
    Behind { after: Seq },
}

struct Seat {
    filter: Arc<Filter>,
    bell: Arc<Notify>,
    place: Place,
}

/// What there is for a subscriber.
pub enum Taken {
    /// A block, in which it finds what it has not had; then it asks again.
    Block(Arc<Block>),
    /// Nothing now: its bell will ring. It has had all up to here.
    Nothing {
        /// The last record that it has had, or does not want.
        upto: Seq,
    },
    /// It must read the ledger from here on, and then say how far it came.
    Behind {
        /// The last record that it has had.
        after: Seq,
    },
}

/// The newest blocks and the subscribers.
#[derive(Default)]
pub struct Ring {
    blocks: VecDeque<Arc<Block>>,
    /// The number of the first of `blocks`.
    first_number: u64,
    records: usize,
    published: Seq,
    /// In the order in which they came: those that one block wakes are woken in it.
    seats: BTreeMap<u64, Seat>,
    next_key: u64,
    /// Each subscriber is in one of these: by what it wants to know of stores, else of items.
    by_store: HashMap<StoreId, BTreeSet<u64>>,
    by_item: HashMap<ItemId, BTreeSet<u64>>,
    others: BTreeSet<u64>,
}

impl Ring {
    /// The last record that was published.
    pub fn published(&self) -> Seq {
        self.published
    }

    /// Whether nobody subscribes.
    pub fn is_deserted(&self) -> bool {
        self.seats.is_empty()
    }

    /// Begins anew after `published`, without blocks. Nobody may stand idle.
    pub fn restart(&mut self, published: Seq) {
        self.forget(self.blocks.len());
        self.published = published;
    }

    /// A new subscriber, which has had all up to `after`; returns its key.
    pub fn join(&mut self, filter: Arc<Filter>, bell: Arc<Notify>, after: Seq) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        for store in &filter.stores {
            self.by_store.entry(store.clone()).or_default().insert(key);
        }
        for item in items_to_list(&filter) {
            self.by_item.entry(item.clone()).or_default().insert(key);
        }
        if filter.stores.is_empty() && filter.items.is_empty() {
            self.others.insert(key);
        }
        self.seats.insert(key, Seat { filter, bell, place: self.place_after(after) });
        key
    }

    /// A subscriber has gone.
    pub fn leave(&mut self, key: u64) {
        let Some(seat) = self.seats.remove(&key) else { return };
        for store in &seat.filter.stores {
            unlist(&mut self.by_store, store, key);
        }
        for item in items_to_list(&seat.filter) {
            unlist(&mut self.by_item, item, key);
        }
        self.others.remove(&key);
    }

    /// A subscriber that was behind has read the ledger up to `after`.
    pub fn move_to(&mut self, key: u64, after: Seq) {
        let place = self.place_after(after);
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.place = place;
        }
    }

    fn place_after(&self, after: Seq) -> Place {
        if after >= self.published {
            return Place::Idle;
        }
        match self.blocks.front() {
            Some(front) if front.first() <= after.next() => {
                let passed = self.blocks.partition_point(|block| block.last() <= after);
                Place::From { number: self.first_number + passed as u64, after }
            }
            _ => Place::Behind { after },
        }
    }

    /// Adds the block that follows what was published; returns how many subscribers it wakes.
    pub fn publish(&mut self, block: Arc<Block>) -> usize {
        let number = self.first_number + self.blocks.len() as u64;
        let place = Place::From { number, after: self.published };
        let mut woken = 0;
        for key in self.candidates(&block) {
            let Some(seat) = self.seats.get_mut(&key) else { continue };
            if seat.place == Place::Idle && block.has_any(&seat.filter) {
                seat.place = place;
                seat.bell.notify_one();
                woken += 1;
            }
        }
        self.published = block.last();
        self.records += block.records().len();
        self.blocks.push_back(block);
        while self.records > RECORDS && self.blocks.len() > 1 {
            self.forget(1);
        }
        woken
    }

    /// Those that a block may have something for.
    fn candidates(&self, block: &Block) -> Vec<u64> {
        let mut keys: Vec<u64> = self.others.iter().copied().collect();
        if !self.by_store.is_empty() {
            listed(&self.by_store, block.records().iter().filter_map(record::store), &mut keys);
        }
        if !self.by_item.is_empty() {
            listed(&self.by_item, block.records().iter().filter_map(record::item), &mut keys);
        }
        keys
    }

    /// What there is for a subscriber.
    pub fn take(&mut self, key: u64) -> Taken {
        let end = self.first_number + self.blocks.len() as u64;
        let nothing = Taken::Nothing { upto: self.published };
        let Some(seat) = self.seats.get_mut(&key) else { return nothing };
        match seat.place {
            Place::Idle => nothing,
            Place::Behind { after } => Taken::Behind { after },
            Place::From { number, after } => {
                let place =
                    number.checked_sub(self.first_number).and_then(|place| usize::try_from(place).ok());
                let Some(block) = place.and_then(|place| self.blocks.get(place)).cloned() else {
                    seat.place = Place::Behind { after };
                    return Taken::Behind { after };
                };
                let is_last = number + 1 == end;
                seat.place = if is_last {
                    Place::Idle
                } else {
                    Place::From { number: number + 1, after: block.last() }
                };
                Taken::Block(block)
            }
        }
    }

    /// Sends everybody to the ledger: what comes next cannot be published.
    pub fn scatter(&mut self) {
        for seat in self.seats.values_mut() {
            let after = match seat.place {
                Place::Idle => self.published,
                Place::From { after, .. } | Place::Behind { after } => after,
            };
            seat.place = Place::Behind { after };
        }
        self.forget(self.blocks.len());
        self.ring_all();
    }

    /// Wakes everybody.
    pub fn ring_all(&self) {
        self.seats.values().for_each(|seat| seat.bell.notify_one());
    }

    fn forget(&mut self, count: usize) {
        let forgotten = self.blocks.drain(..count).map(|block| block.records().len()).sum::<usize>();
        self.records -= forgotten;
        self.first_number += count as u64;
    }
}

/// A subscriber that wants certain stores is found by these alone.
fn items_to_list(filter: &Filter) -> &[ItemId] {
    if filter.stores.is_empty() { &filter.items } else { &[] }
}

fn unlist<T: Eq + Hash>(lists: &mut HashMap<T, BTreeSet<u64>>, name: &T, key: u64) {
    if let Some(keys) = lists.get_mut(name) {
        keys.remove(&key);
        if keys.is_empty() {
            lists.remove(name);
        }
    }
}

fn listed<'a, T: Ord + Hash + 'a>(
    lists: &HashMap<T, BTreeSet<u64>>,
    names: impl Iterator<Item = &'a T>,
    keys: &mut Vec<u64>,
) {
    let names: BTreeSet<&T> = names.collect();
    keys.extend(names.into_iter().filter_map(|name| lists.get(name)).flatten());
}

#[cfg(test)]
mod tests {
    use super::super::tests::movement;
    use super::*;

    fn block(first: u64, stores: &[&str]) -> Arc<Block> {
        let records = (first..).zip(stores).map(|(seq, store)| movement(seq, store, "A"));
        Arc::new(Block::new(records.collect()).unwrap())
    }

    fn join(ring: &mut Ring, store: Option<&str>, after: u64) -> u64 {
        let stores = store.map(|store| vec![store.parse().unwrap()]).unwrap_or_default();
        ring.join(Arc::new(Filter { stores, ..Filter::default() }), Arc::default(), Seq(after))
    }

    /// What a subscriber is told, in words.
    fn told(ring: &mut Ring, key: u64) -> String {
        match ring.take(key) {
            Taken::Block(block) => format!("{} to {}", block.first(), block.last()),
            Taken::Nothing { upto } => format!("nothing up to {upto}"),
            Taken::Behind { after } => format!("behind after {after}"),
        }
    }

    #[test]
    fn a_block_goes_to_those_who_want_something_of_it() {
        let mut ring = Ring::default();
        let (all, one, two) =
            (join(&mut ring, None, 0), join(&mut ring, Some("S1"), 0), join(&mut ring, Some("S2"), 0));
        assert_eq!(ring.publish(block(1, &["S1", "S1"])), 2);
        assert_eq!(ring.publish(block(3, &["S3"])), 0, "nobody is woken twice, or for nothing");
        assert_eq!(
            [told(&mut ring, all), told(&mut ring, all), told(&mut ring, all)],
            ["1 to 2", "3 to 3", "nothing up to 3"]
        );
        assert_eq!(told(&mut ring, two), "nothing up to 3", "its cursor moves without a look at any block");
        assert_eq!(ring.publish(block(4, &["S2"])), 2);
        assert_eq!([told(&mut ring, two), told(&mut ring, two)], ["4 to 4", "nothing up to 4"]);
        assert_eq!(told(&mut ring, one), "1 to 2");
    }

    #[test]
    fn one_that_joins_or_comes_back_goes_on_where_it_was() {
        let mut ring = Ring::default();
        ring.restart(Seq(10));
        for first in [11, 13, 15] {
            ring.publish(block(first, &["S1", "S2"]));
        }
        for (after, first_told) in [
            (9, "behind after 9"),
            (10, "11 to 12"),
            (11, "11 to 12"),
            (12, "13 to 14"),
            (15, "15 to 16"),
            (16, "nothing up to 16"),
            (17, "nothing up to 16"),
        ] {
            let key = join(&mut ring, None, after);
            assert_eq!(told(&mut ring, key), first_told, "{after}");
        }
        let key = join(&mut ring, None, 0);
        assert_eq!(told(&mut ring, key), "behind after 0");
        ring.move_to(key, Seq(14));
        assert_eq!(told(&mut ring, key), "15 to 16");
    }

    #[test]
    fn one_that_lags_further_than_what_is_kept_is_sent_to_the_ledger() {
        let mut ring = Ring::default();
        let (slow, idle) = (join(&mut ring, Some("S1"), 0), join(&mut ring, Some("S2"), 0));
        ring.publish(block(1, &["S3"]));
        ring.publish(block(2, &["S1"]));
        let many = vec!["S1"; RECORDS];
        ring.publish(block(3, &many));
        assert_eq!(told(&mut ring, slow), "behind after 1", "what came before was nothing for it");
        assert_eq!(told(&mut ring, slow), "behind after 1", "until it has read the ledger");
        assert_eq!(told(&mut ring, idle), format!("nothing up to {}", RECORDS + 2));
        assert_eq!(ring.records, RECORDS);
    }

    #[test]
    fn everybody_is_sent_to_the_ledger_from_where_it_was() {
        let mut ring = Ring::default();
        let (late, idle) = (join(&mut ring, Some("S1"), 0), join(&mut ring, Some("S2"), 0));
        ring.publish(block(1, &["S3", "S3"]));
        ring.publish(block(3, &["S1"]));
        ring.scatter();
        assert_eq!(told(&mut ring, late), "behind after 2");
        assert_eq!(told(&mut ring, idle), "behind after 3");
    }

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let mut ring = Ring::default();
        let items = Filter { items: vec!["A".parse().unwrap()], ..Filter::default() };
        let keys = [
            join(&mut ring, None, 0),
            join(&mut ring, Some("S1"), 0),
            ring.join(Arc::new(items), Arc::default(), Seq(0)),
        ];
        assert_eq!(ring.publish(block(1, &["S1"])), 3);
        keys.into_iter().for_each(|key| ring.leave(key));
        assert!(
            ring.is_deserted()
                && ring.by_store.is_empty()
                && ring.by_item.is_empty()
                && ring.others.is_empty()
        );
        assert_eq!(ring.publish(block(2, &["S1"])), 0);
    }
}
