//! Damage to bytes that were valid once, and what reading them may cost. Whoever reads bytes from outside or from a disk
//! tests with it that no bytes make it panic, or take more memory than it says.
//!
//! `PROPTEST_CASES` sets how many cases each test draws; `scripts/soak fuzz` draws new ones for as long as it is told.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, FileFailurePersistence};

/// Memory that reading may take whatever it reads, in bytes: buffers, the text of an error, and the mebibyte that serde
/// reserves for a list that is only announced.
pub const SLACK_BYTES: u64 = (1 << 20) + (64 << 10);

/// The longest piece that is put in, in bytes.
const MAX_PIECE: usize = 40;

/// Numbers at which lengths and counts are wrong most easily.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 250, 251, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX >> 1, u64::MAX];

/// One change of some bytes.
#[derive(Debug, Clone)]
pub enum Edit {
    /// A bit is another one.
    Flip(Index, u8),
    /// Everything from there on is gone.
    Cut(Index),
    /// A piece is gone.
    Remove(Index, usize),
    /// A piece is put in.
    Insert(Index, Vec<u8>),
    /// A piece stands in place of another.
    Replace(Index, Vec<u8>),
    /// A piece comes again elsewhere.
    Repeat(Index, usize, Index),
    /// A number of so many bytes stands there, the least significant byte first or last.
    Number(Index, usize, u64, bool),
    /// A small number is more or less by this.
    Shift(Index, i8),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &Index, bytes: &Vec<u8>| at.index(bytes.len() + 1);
        match self {
            Self::Flip(at, bit) => change(bytes, at, |byte| byte ^ (1 << (bit % 8))),
            Self::Shift(at, by) => change(bytes, at, |byte| byte.wrapping_add_signed(*by)),
            Self::Cut(at) => bytes.truncate(place(at, bytes)),
            Self::Remove(at, length) => {
                let from = place(at, bytes);
                bytes.drain(from..bytes.len().min(from + length));
            }
            Self::Insert(at, piece) => put(bytes, place(at, bytes), 0, piece),
            Self::Replace(at, piece) => put(bytes, place(at, bytes), piece.len(), piece),
            Self::Repeat(at, length, to) => {
                let from = place(at, bytes);
                let piece = bytes[from..bytes.len().min(from + length)].to_vec();
                put(bytes, place(to, bytes), 0, &piece);
            }
            Self::Number(at, length, number, is_big_endian) => {
                let piece = if *is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
                let piece = if *is_big_endian { &piece[8 - length..] } else { &piece[..*length] };
                put(bytes, place(at, bytes), *length, piece);
            }
        }
    }
}

fn change(bytes: &mut [u8], at: &Index, to: impl Fn(u8) -> u8) {
    if !bytes.is_empty() {
        let place = at.index(bytes.len());
        bytes[place] = to(bytes[place]);
    }
}

fn put(bytes: &mut Vec<u8>, from: usize, instead_of: usize, piece: &[u8]) {
    let end = bytes.len().min(from + instead_of);
    bytes.splice(from..end, piece.iter().copied());
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    prop_oneof![
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        1 => at().prop_map(Edit::Cut),
        2 => (at(), 1..MAX_PIECE).prop_map(|(at, length)| Edit::Remove(at, length)),
        2 => (at(), vec(any::<u8>(), 1..MAX_PIECE)).prop_map(|(at, piece)| Edit::Insert(at, piece)),
        2 => (at(), vec(any::<u8>(), 1..MAX_PIECE)).prop_map(|(at, piece)| Edit::Replace(at, piece)),
        2 => (at(), 1..4 * MAX_PIECE, at()).prop_map(|(at, length, to)| Edit::Repeat(at, length, to)),
        3 => (at(), select(&[1_usize, 2, 4, 8][..]), select(&EDGES[..]), any::<bool>())
            .prop_map(|(at, length, number, big)| Edit::Number(at, length, number, big)),
        2 => (at(), -3..=3_i8).prop_map(|(at, by)| Edit::Shift(at, by)),
    ]
}

/// One to four changes.
pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
    vec(edit(), 1..=4)
}

/// `bytes` after changes.
#[must_use]
pub fn damaged(bytes: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    edits.iter().for_each(|edit| edit.apply(&mut bytes));
    bytes
}

/// Any bytes, and now and then none.
pub fn anything() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..300), 1 => Just(Vec::new())]
}

/// Cases of a test: one in `share` of the usual number, or of what `PROPTEST_CASES` says. What failed is kept beside the
/// test, and tried first from then on.
#[must_use]
pub fn cases(share: u32) -> Config {
    let usual = Config::default();
    Config {
        cases: (usual.cases / share).max(1),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..usual
    }
}

/// What `read` gives, and the most memory that it took at once, in bytes.
pub fn peak_bytes<T>(read: impl FnOnce() -> T) -> (T, u64) {
    let mut value = None;
    let taken = allocation_counter::measure(|| value = Some(read())).bytes_max;
    (value.expect("it was read"), taken)
}

/// What `read` gives, which may take `factor` times as many bytes of memory as it reads at once, and [`SLACK_BYTES`].
///
/// # Panics
/// When it takes more.
pub fn within<'a, T>(factor: u64, bytes: &'a [u8], read: impl FnOnce(&'a [u8]) -> T) -> T {
    let limit = bytes.len() as u64 * factor + SLACK_BYTES;
    let (value, taken) = peak_bytes(|| read(bytes));
    assert!(taken <= limit, "{} bytes were read with {taken} bytes of memory, not {limit}", bytes.len());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest! {
        #[test]
        fn changes_apply_to_any_bytes(bytes in anything(), edits in edits()) {
            let changed = damaged(&bytes, &edits);
            prop_assert!(changed.len() <= (bytes.len() + 4 * MAX_PIECE * 4) * 2);
        }
    }

    #[test]
    fn what_takes_too_much_is_noticed() {
        let read = |bytes: usize| move |_: &[u8]| vec![0_u8; bytes].len();
        assert_eq!(within(1, b"x", read(10)), 10);
        let too_much = std::panic::catch_unwind(|| within(1, b"x", read(2 << 20)));
        assert!(too_much.is_err());
    }
}
