//! The feed's numbers are dense: 1, 2, 3, with none left out and none given twice.

use holdfast_model::Applied;

use super::committed::Committed;

/// The records of the entry that came last.
pub fn check(committed: &Committed, applied: &Applied) -> Result<(), String> {
    let before = committed.records.len() - applied.records.len();
    for (place, record) in (before as u64 + 1..).zip(&applied.records) {
        if record.seq().0 != place {
            return Err(format!("record {place} has the number {}", record.seq()));
        }
    }
    let (count, last) = (committed.records.len() as u64, committed.inventory.last_seq().0);
    if count == last { Ok(()) } else { Err(format!("there are {count} records, and the last is {last}")) }
}
