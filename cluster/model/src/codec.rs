//! The one place where values become bytes and bytes become values: a format byte, then bincode.
//!
//! Every record on disk and on the wire starts with [`FORMAT`], so that a later release can tell which it
//! reads. Integers take as few bytes as they need; what follows a value is an error, not ignored.

use serde::Serialize;
use serde::de::DeserializeOwned;

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

#[cfg(test)]
mod tests {
    use super::*;

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
