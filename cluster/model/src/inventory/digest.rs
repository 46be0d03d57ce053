//! Hashes of single records. Each part of the state's digest is the sum of the hashes of its records.

use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What a record is: records of different kinds never hash alike, even when their bytes do.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Row = 1,
    Hold,
    HoldLine,
    Transfer,
    ItemSums,
    Key,
    Event,
    Order,
    Payment,
    Subscription,
    DeadLetter,
}

/// The longest record, in bytes: a stock row.
const LONGEST: usize = 152;

/// The bytes of one record: numbers in little endian, names as their hashes, since the number that stands for a name is
/// no part of the state that members agree on.
pub struct Bytes {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Bytes {
    pub fn new() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        self
    }

    /// Adds an id, or the hash of a name.
    pub fn wide(&mut self, number: u128) -> &mut Self {
        self.put(&number.to_le_bytes())
    }

    /// Adds numbers.
    pub fn numbers(&mut self, numbers: &[u64]) -> &mut Self {
        for number in numbers {
            self.put(&number.to_le_bytes());
        }
        self
    }

    /// Adds a number that may be absent.
    pub fn optional(&mut self, number: Option<u64>) -> &mut Self {
        self.numbers(&[u64::from(number.is_some()), number.unwrap_or_default()])
    }

    /// The hash of the record.
    pub fn hash(&self, kind: Kind) -> u128 {
        hash(kind, &self.bytes[..self.len])
    }
}

/// The hash of a record's bytes.
pub fn hash(kind: Kind, bytes: &[u8]) -> u128 {
    xxh3_128_with_seed(bytes, kind as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_kind_and_on_every_field() {
        let hash = |fields: &[u64]| Bytes::new().wide(7).numbers(fields).hash(Kind::Row);
        assert_eq!(hash(&[1, 2]), hash(&[1, 2]));
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(Bytes::new().wide(7).hash(Kind::Key), Bytes::new().wide(7).hash(Kind::Event));
        assert_ne!(
            Bytes::new().optional(None).hash(Kind::Hold),
            Bytes::new().optional(Some(0)).hash(Kind::Hold)
        );
    }
}
