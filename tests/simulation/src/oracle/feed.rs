//! The feed is the committed records, in order, with none left out, none changed, and none that is not committed.

use holdfast_model::{Record, Seq};
use holdfast_replica::NodeId;

use super::committed::Committed;

/// What a consumer was given that wants some of the records after the first sequence and up to the second.
pub fn check(
    committed: &Committed,
    (after, upto): (Seq, Seq),
    records: &[Record],
    wants: impl Fn(&Record) -> bool,
) -> Result<(), String> {
    let place = |seq: Seq| usize::try_from(seq.0).map_err(|error| error.to_string());
    let last = committed.records.len() as u64;
    if upto.0 > last || after > upto {
        return Err(format!(
            "a consumer was given records after {after} and up to {upto}, and {last} is the last"
        ));
    }
    let expected = committed.records[place(after)?..place(upto)?].iter().filter(|record| wants(record));
    let mut given = records.iter();
    for expected in expected {
        match given.next() {
            None => return Err(format!("record {} was left out", expected.seq())),
            Some(record) if record != expected => {
                return Err(format!("{record:?} was given out instead of {expected:?}"));
            }
            Some(_) => {}
        }
    }
    match given.next() {
        None => Ok(()),
        Some(record) => {
            Err(format!("record {} was given out twice, or to whom does not want it", record.seq()))
        }
    }
}

/// All that a member has at the end.
pub fn whole(committed: &Committed, member: NodeId, records: &[Record]) -> Result<(), String> {
    let Some(first) = records.first() else { return Ok(()) };
    let last = records.last().map_or(Seq(0), Record::seq);
    check(committed, (Seq(first.seq().0 - 1), last), records, |_| true)?;
    let expected = committed.inventory.last_seq();
    if last == expected {
        return Ok(());
    }
    Err(format!("the ledger of member {member} ends at {last} instead of {expected}"))
}
