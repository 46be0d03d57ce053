//! Files that are not what they should be: each line is read or told of, and the end is never taken for what it is not.

use std::io::Write;

use holdfast_fuzz::{anything, cases, damaged, edits, peak_bytes};
use indicatif::ProgressBar;
use proptest::prelude::*;

use crate::csv_file::Sheet;

/// Reading takes buffers and a few copies of the longest line, in bytes.
const MEMORY_BYTES: u64 = 8 << 20;

const TEXT: &str = "store,item,qty\r\nS1, A ,3\r\n\r\nS2\r\n\"S,3\",B,6\r\n\"x,7,8\r\nS4,\"\"\"1\"\"\",0\n";

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// Reads a file to its end; how many lines it has, or none when it cannot be used.
fn lines_of(bytes: &[u8]) -> Option<u64> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sheet");
    std::fs::write(&path, bytes).unwrap();
    let (lines, taken) = peak_bytes(|| {
        let mut sheet = Sheet::open(&path, ["qty", "store"], &ProgressBar::hidden()).ok()?;
        let (mut lines, mut last) = (0, 1);
        while let Some(line) = sheet.next_line().ok()? {
            assert!(line.number > last, "lines are numbered in order");
            assert!(line.fields.is_ok() || !line.fields.unwrap_err().is_empty());
            (lines, last) = (lines + 1, line.number);
        }
        Some(lines)
    });
    assert!(taken < MEMORY_BYTES, "{taken} bytes of memory for {} bytes", bytes.len());
    lines
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_damaged_file_is_read_or_refused(edits in edits(), bytes in anything()) {
        lines_of(&damaged(TEXT.as_bytes(), &edits));
        lines_of(&bytes);
        lines_of(&[TEXT.as_bytes(), &bytes[..]].concat());
    }

    /// The format carries a checksum of what was packed: nothing else is taken for it.
    #[test]
    fn a_damaged_packed_file_is_refused_or_is_what_was_packed(edits in edits()) {
        let whole = packed(TEXT.repeat(20).as_bytes());
        let lines = lines_of(&damaged(&whole, &edits));
        prop_assert!(lines.is_none() || lines == lines_of(&whole) || !damaged(&whole, &edits).starts_with(&[0x1f, 0x8b]));
    }
}

#[test]
fn a_small_file_that_unpacks_to_much_takes_little_memory() {
    let header = "store,item,qty\n";
    for line in ["S1,A,3\n".repeat(100_000), "x".repeat(64 << 20), "\n".repeat(1 << 20)] {
        let bytes = packed((header.to_owned() + &line).as_bytes());
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        lines_of(&bytes);
    }
}
