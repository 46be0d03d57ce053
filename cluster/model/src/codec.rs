//! The one place where values become bytes and bytes become values: a format byte, then bincode.
//!
//! Every record on disk and on the wire starts with [`FORMAT`], so that a later release can tell which it
//! reads. Integers take as few bytes as they need; what follows a value is an error, not ignored.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// The format that this release writes: bincode 2, little endian, variable-length integers, and a ledger of records
/// that are movements or order events.
pub const FORMAT: u8 = 2;

/// How many bytes the decoder counts at most for one that it reads: a number of 16 bytes can take a single one.
const COUNTED_PER_BYTE: usize = 16;

/// Records up to these lengths, in bytes, are read with a limit of their own. The decoder makes room for a text as long as
/// it is said to be, before it looks for it: what is only said must not take much more than what is there.
const SMALL: usize = 4 << 10;
const MEDIUM: usize = 256 << 10;
const LARGE: usize = 16 << 20;
const LARGEST: usize = 256 << 20;

const CONFIG: bincode::config::Configuration = bincode::config::standard();

/// Why bytes are not a value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// There was nothing to read.
    #[error("no bytes where a record was expected")]
    Empty,
    /// The record was written by a release that this one does not know.
    #[error("record format {found} is not known to this release, which reads format {FORMAT}")]
    Format {
        /// The format byte that was seen.
        found: u8,
    },
    /// The bytes do not hold a value of this type.
    #[error("record cannot be decoded: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    /// More bytes follow than the value takes.
    #[error("{0} bytes follow the record")]
    Trailing(usize),
}

/// The bytes of `value`, format byte first.
///
/// # Panics
/// When the value cannot be encoded, which no type of this crate does.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    encode_into(value, &mut bytes);
    bytes
}

/// Appends the bytes of `value` to `bytes`, format byte first.
///
/// # Panics
/// As [`encode`].
pub fn encode_into<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    bytes.push(FORMAT);
    bincode::serde::encode_into_std_write(value, bytes, CONFIG).expect("a plain value always encodes");
}

/// The bytes of `value` without a format byte, in `buffer`: for hashing, not for keeping.
///
/// # Panics
/// When they do not fit into `buffer`.
pub(crate) fn encode_in<'a, T: Serialize>(value: &T, buffer: &'a mut [u8]) -> &'a [u8] {
    let used = bincode::serde::encode_into_slice(value, &mut *buffer, CONFIG).expect("the value fits");
    &buffer[..used]
}

/// The value of a record that [`encode`] wrote.
///
/// # Errors
/// When the bytes are empty, of another format, damaged, or longer than the value.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (&format, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if format != FORMAT {
        return Err(CodecError::Format { found: format });
    }
    let (value, used) = if body.len() <= SMALL {
        read::<T, { SMALL * COUNTED_PER_BYTE }>(body)
    } else if body.len() <= MEDIUM {
        read::<T, { MEDIUM * COUNTED_PER_BYTE }>(body)
    } else if body.len() <= LARGE {
        read::<T, { LARGE * COUNTED_PER_BYTE }>(body)
    } else {
        read::<T, { LARGEST * COUNTED_PER_BYTE }>(body)
    }?;
    match body.len() - used {
        0 => Ok(value),
        trailing => Err(CodecError::Trailing(trailing)),
    }
}

fn read<T: DeserializeOwned, const LIMIT: usize>(
    body: &[u8],
) -> Result<(T, usize), bincode::error::DecodeError> {
    bincode::serde::decode_from_slice(body, CONFIG.with_limit::<LIMIT>())
}

/// A list of at most `MAX` elements, for `deserialize_with`: a few bytes can stand for a large element, so a list from
/// outside is not read to its end before it is found to be too long.
///
/// # Errors
/// When there are more, or one cannot be read.
pub fn at_most<'de, const MAX: usize, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    struct AtMost<const MAX: usize, T>(PhantomData<T>);
    impl<'de, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for AtMost<MAX, T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX}")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            // A length that is only said takes no memory.
            let mut read = Vec::new();
            while let Some(element) = list.next_element()? {
                if read.len() == MAX {
                    return Err(A::Error::custom(format_args!("{TOO_MANY} {MAX}")));
                }
                read.push(element);
            }
            Ok(read)
        }
    }
    deserializer.deserialize_seq(AtMost::<MAX, T>(PhantomData))
}

/// What the error of [`at_most`] begins with when there are more.
pub const TOO_MANY: &str = "there are more than";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_up_to_its_limit() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Some(#[serde(deserialize_with = "at_most::<3, _, _>")] Vec<u8>);
        for length in 0..6 {
            let list = vec![7_u8; length];
            let read = decode::<Some>(&encode(&list));
            assert_eq!(read.ok(), (length <= 3).then_some(Some(list)), "{length}");
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let value = (7_u64, -1_i64, Some("text".to_owned()), vec![1_u8, 2, 3]);
        let bytes = encode(&value);
        assert_eq!(bytes[0], FORMAT);
        assert_eq!(decode::<(u64, i64, Option<String>, Vec<u8>)>(&bytes).unwrap(), value);
        assert_eq!(encode_in(&value, &mut [0; 64]), &bytes[1..]);
    }

    #[test]
    fn what_is_not_a_record_says_why() {
        assert!(matches!(decode::<u64>(&[]), Err(CodecError::Empty)));
        assert!(matches!(decode::<u64>(&[9, 1]), Err(CodecError::Format { found: 9 })));
        assert!(matches!(decode::<u64>(&[FORMAT]), Err(CodecError::Decode(_))));
        assert!(matches!(decode::<u64>(&[FORMAT, 1, 2]), Err(CodecError::Trailing(1))));
    }

    #[test]
    fn a_hostile_length_is_an_error() {
        let mut bytes = vec![FORMAT, 253];
        bytes.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u64>>(&bytes), Err(CodecError::Decode(_))));
        assert!(matches!(decode::<String>(&bytes), Err(CodecError::Decode(_))));
    }

    #[test]
    fn a_length_that_is_only_said_takes_no_memory() {
        for said in [100_u32, 1 << 16, 1 << 20, 1 << 29, u32::MAX] {
            let bytes = [&[FORMAT, 252][..], &said.to_le_bytes(), b"text"].concat();
            let read = |bytes| (decode::<String>(bytes).is_err(), decode::<Vec<u64>>(bytes).is_err());
            assert_eq!(holdfast_fuzz::within(1, &bytes, read), (true, true));
        }
    }

    #[test]
    fn numbers_that_take_a_byte_each_are_read_whatever_their_type() {
        for length in [SMALL - 1, SMALL, MEDIUM, MEDIUM + 1] {
            let list = vec![1_u128; length];
            assert_eq!(decode::<Vec<u128>>(&encode(&list)).unwrap(), list);
        }
    }
}
