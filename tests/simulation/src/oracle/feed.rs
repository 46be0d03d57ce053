//! The feed is the committed records, in order, with none left out, none changed, and none that is not committed.

use holdfast_model::{Record, Seq};
use holdfast_replica::NodeId;

use super::committed::Committed;

/// Records that a consumer was given after `after`.
pub fn check(committed: &Committed, after: Seq, records: &[Record]) -> Result<(), String> {
    for (seq, record) in (after.0 + 1..).zip(records) {
        let place = usize::try_from(seq - 1).map_err(|error| error.to_string())?;
        match committed.records.get(place) {
            None => return Err(format!("record {seq} was given out before it was committed")),
            Some(expected) if expected != record => {
                return Err(format!("record {seq} is {expected:?}, and {record:?} was given out"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// All that a member has at the end.
pub fn whole(committed: &Committed, member: NodeId, records: &[Record]) -> Result<(), String> {
    let Some(first) = records.first() else { return Ok(()) };
    check(committed, Seq(first.seq().0 - 1), records)?;
    let (last, expected) = (records.last().map(Record::seq), committed.inventory.last_seq());
    if last == Some(expected) {
        return Ok(());
    }
    Err(format!("the ledger of member {member} ends at {last:?} instead of {expected}"))
}
