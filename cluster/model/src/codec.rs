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

/// No single allocation made for a decoded value may pass this, in bytes: a damaged or hostile length must
/// not exhaust memory.
const MAX_DECODED_BYTES: usize = 1 << 30;

const CONFIG: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<MAX_DECODED_BYTES>,
> = bincode::config::standard().with_limit::<MAX_DECODED_BYTES>();

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
    let (value, used) = bincode::serde::decode_from_slice(body, CONFIG)?;
    match body.len() - used {
        0 => Ok(value),
        trailing => Err(CodecError::Trailing(trailing)),
    }
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
}
