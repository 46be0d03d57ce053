//! Texts that many records share, each kept once and known by a number.

use hashbrown::HashTable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::paged::Paged;

/// Names of one kind, numbered in the order in which they first came. A name is never forgotten.
#[derive(Clone)]
pub struct Names<T> {
    names: Paged<Name<T>>,
    index: HashTable<u32>,
}

#[derive(Clone)]
struct Name<T> {
    text: T,
    /// Stands for the text in digests, which must not depend on numbers.
    hash: u128,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { names: Paged::default(), index: HashTable::new() }
    }
}

impl<T: Clone + AsRef<str>> Names<T> {
    /// The number of a name, when it is known.
    pub fn find(&self, text: &str) -> Option<u32> {
        let same = |&ix: &u32| self.names.get(ix).text.as_ref() == text;
        self.index.find(xxh3_64(text.as_bytes()), same).copied()
    }

    /// The number of a name, which is known from now on.
    pub fn intern(&mut self, text: &T) -> u32 {
        if let Some(ix) = self.find(text.as_ref()) {
            return ix;
        }
        let bytes = text.as_ref().as_bytes();
        let ix = self.names.push(Name { text: text.clone(), hash: xxh3_128(bytes) });
        let names = &self.names;
        self.index.insert_unique(xxh3_64(bytes), ix, |&ix| xxh3_64(names.get(ix).text.as_ref().as_bytes()));
        ix
    }

    /// The name with a number.
    pub fn text(&self, ix: u32) -> &T {
        &self.names.get(ix).text
    }

    /// The hash that stands for the name with a number.
    pub fn hash(&self, ix: u32) -> u128 {
        self.names.get(ix).hash
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// All names in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.names.iter().map(|name| &name.text)
    }

    /// The names without the way to find them: enough for a frozen state.
    pub fn frozen(&self) -> Self {
        Self { names: self.names.clone(), index: HashTable::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StoreId;

    #[test]
    fn a_name_keeps_its_number() {
        let mut names = Names::default();
        let name = |number: u32| StoreId::new(format!("S{number}")).unwrap();
        for number in 0..1000 {
            assert_eq!(names.find(name(number).as_str()), None);
            assert_eq!(names.intern(&name(number)), number);
        }
        for number in 0..1000 {
            assert_eq!(names.intern(&name(number)), number);
            assert_eq!(names.text(number), &name(number));
        }
        let frozen = names.frozen();
        names.intern(&name(1000));
        assert!(frozen.iter().cloned().eq((0..1000).map(name)));
        assert_eq!((frozen.len(), names.len()), (1000, 1001));
        assert_ne!(names.hash(1), names.hash(2));
    }
}
