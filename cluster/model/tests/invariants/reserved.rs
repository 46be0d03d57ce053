//! Second invariant: what a row has reserved is what the lines of open holds have of it.

use std::collections::BTreeMap;

use holdfast_model::RowKey;

use super::Seen;

pub fn check(seen: &Seen<'_>) {
    let mut held: BTreeMap<&RowKey, u128> = BTreeMap::new();
    for line in seen.holds.iter().flat_map(|hold| &hold.lines) {
        *held.entry(&line.row).or_default() += u128::from(line.reserved);
    }
    for row in &seen.rows {
        let by_holds = held.remove(&row.row).unwrap_or_default();
        assert_eq!(u128::from(row.reserved), by_holds, "second invariant: {row:?}");
    }
    held.retain(|_, qty| *qty > 0);
    assert!(held.is_empty(), "second invariant: reserved of rows that are not there: {held:?}");
}
