//! Records known by a UUID, in places that are used again, shared page by page with snapshots.

use hashbrown::HashTable;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::paged::Paged;

/// A record that has an id.
pub trait Identified {
    fn uuid(&self) -> Uuid;
}

/// Records, and the way to find them by id. A record's place stays the same while it is there, but says nothing: it
/// may differ between members, and no outcome depends on it.
#[derive(Clone)]
pub struct Slab<T> {
    places: Paged<Option<T>>,
    free: Vec<u32>,
    index: HashTable<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { places: Paged::default(), free: Vec::new(), index: HashTable::new() }
    }
}

fn spread(id: Uuid) -> u64 {
    xxh3_64(id.as_bytes())
}

impl<T: Clone + Identified> Slab<T> {
    /// The place of the record with an id.
    pub fn find(&self, id: Uuid) -> Option<u32> {
        let same = |&ix: &u32| self.places.get(ix).as_ref().is_some_and(|record| record.uuid() == id);
        self.index.find(spread(id), same).copied()
    }

    /// The record in a place.
    ///
    /// # Panics
    /// When the place is empty: places come from [`Self::find`] and from indexes that are changed along with this.
    pub fn get(&self, ix: u32) -> &T {
        self.places.get(ix).as_ref().expect("the place of a record")
    }

    /// The record in a place, to be written. Its id must stay.
    ///
    /// # Panics
    /// As [`Self::get`].
    pub fn get_mut(&mut self, ix: u32) -> &mut T {
        self.places.get_mut(ix).as_mut().expect("the place of a record")
    }

    /// Adds a record whose id is new; returns its place.
    pub fn insert(&mut self, record: T) -> u32 {
        let hash = spread(record.uuid());
        let ix = match self.free.pop() {
            Some(ix) => {
                *self.places.get_mut(ix) = Some(record);
                ix
            }
            None => self.places.push(Some(record)),
        };
        let places = &self.places;
        self.index
            .insert_unique(hash, ix, |&ix| places.get(ix).as_ref().map_or(0, |record| spread(record.uuid())));
        ix
    }

    /// Takes a record away.
    ///
    /// # Panics
    /// As [`Self::get`].
    pub fn remove(&mut self, ix: u32) -> T {
        let hash = spread(self.get(ix).uuid());
        if let Ok(entry) = self.index.find_entry(hash, |&other| other == ix) {
            entry.remove();
        }
        self.free.push(ix);
        self.places.get_mut(ix).take().expect("the place of a record")
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// All places, for a frozen state; empty ones are none.
    pub fn places(&self) -> Paged<Option<T>> {
        self.places.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Thing(u128, &'static str);

    impl Identified for Thing {
        fn uuid(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }
    }

    #[test]
    fn places_are_used_again_and_lead_to_the_new_record_alone() {
        let mut slab = Slab::default();
        let places: Vec<u32> = (0..1000).map(|id| slab.insert(Thing(id, "old"))).collect();
        let frozen = slab.places();
        assert_eq!(slab.remove(places[700]), Thing(700, "old"));
        assert_eq!((slab.find(Uuid::from_u128(700)), slab.len()), (None, 999));
        let again = slab.insert(Thing(5000, "new"));
        assert_eq!(again, places[700]);
        assert_eq!(slab.find(Uuid::from_u128(5000)), Some(again));
        assert_eq!(slab.get(again), &Thing(5000, "new"));
        assert_eq!(frozen.get(again), &Some(Thing(700, "old")), "a copy does not see later writes");
    }
}
