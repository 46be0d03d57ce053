//! Reads and writes take effect between their beginning and their end: a read sees all that was complete when it began,
//! nothing that was never committed, and nothing older than what another read saw before it began. (Of writes, the file
//! `acknowledged` looks at the same.)

use super::Sight;
use super::acknowledged::Attempts;
use super::committed::{Committed, key_of};

/// A read; one without a floor may be stale, but not wrong.
pub fn read(
    committed: &Committed,
    attempts: &mut Attempts,
    floor: Option<u64>,
    sight: &Sight,
) -> Result<(), String> {
    let Sight { digest, seq, row: (row, view) } = sight;
    let at = if seq.0 == 0 && committed.upto(0).1 == *digest {
        (0, committed.steps.keys().next().map_or(0, |first| first - 1))
    } else {
        let known = committed.by_digest.get(&key_of(*digest));
        *known.ok_or_else(|| format!("a read saw a state at {seq} that was never committed"))?
    };
    if floor.is_some_and(|floor| at.1 < floor) {
        let floor = floor.unwrap_or_default();
        return Err(format!("a read saw entry {} when {floor} was complete before it began", at.1));
    }
    let expected = committed.row_at(row, at.0);
    if expected != view.as_ref() {
        return Err(format!("a read of {row:?} at {} saw {view:?} instead of {expected:?}", at.0));
    }
    if floor.is_some() {
        attempts.floor = attempts.floor.max(at.0);
    }
    Ok(())
}
