//! What a person decides when a majority is lost for good: one survivor becomes a cluster of its own.
//!
//! Everything that its log holds is taken as committed, since nobody is left who could say otherwise. The new cluster
//! has a new id, so that the feed has a new epoch, and so that members of the old one are refused.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_model::{Inventory, codec};
use openraft::EntryPayload;

use crate::identity::Identity;
use crate::ledger::Ledger;
use crate::log::Log;
use crate::snapshot::{SnapshotHead, Snapshots};
use crate::types::{ClusterId, Host, LogIdRecord, MembershipRecord, Peer};
use crate::{Member, StartError};

/// Rewrites the files of a stopped member so that it starts as the only member of cluster `new_id`.
///
/// # Errors
/// When the files do not allow it, in one line.
pub fn alone<H: Host>(
    disk: &H::Disk,
    ledger_dir: &std::path::Path,
    me: &Member,
    new_id: u128,
) -> Result<String, StartError> {
    let identity = Identity::open(disk.clone(), me.id).map_err(fail)?;
    let Some(old) = identity.cluster() else {
        return Err(StartError("this member belongs to no cluster: there is nothing to recover".to_owned()));
    };
    let snapshots = Snapshots::open(disk.clone()).map_err(fail)?;
    let (mut inventory, mut last) = match snapshots.load_newest().map_err(fail)? {
        Some((head, inventory)) => (inventory, head.last),
        None => (Inventory::new(), None),
    };
    let (ledger, aside) = Ledger::open(ledger_dir).map_err(|error| StartError(error.to_string()))?;
    ledger
        .note_snapshot(inventory.last_seq(), inventory.ledger_start())
        .map_err(|error| StartError(error.to_string()))?;
    let log = Log::<H>::open(disk.clone()).map_err(fail)?;
    let replayed = replay(&log, &ledger, &mut inventory, &mut last)?;
    let Some(last) = last else {
        return Err(StartError("this member has applied nothing: there is nothing to recover".to_owned()));
    };
    ledger.flush().map_err(|error| StartError(error.to_string()))?;
    let peer = Peer { member: me.clone(), incarnation: identity.incarnation() };
    let membership = MembershipRecord {
        log_id: Some(last),
        voters: vec![BTreeSet::from([me.id])],
        peers: BTreeMap::from([(me.id, peer)]),
    };
    let frozen = inventory.freeze();
    let head = SnapshotHead { last: Some(last), membership, seq: frozen.last_seq(), digest: frozen.digest() };
    // In this order, so that a crash in between leaves a member that can be recovered again.
    snapshots.write(head, &frozen).map_err(fail)?;
    log.forget_entries().map_err(fail)?;
    identity.refound(ClusterId(new_id)).map_err(fail)?;
    // What it may have lost is lost for good now, and nobody is left to catch up with.
    log.clear_suspect().map_err(fail)?;
    let lost = match (&aside, ledger.gap()) {
        (None, None) => String::new(),
        (aside, gap) => {
            let (after, upto) = gap.unwrap_or_default();
            let aside = aside.as_deref().unwrap_or("not whole");
            format!("; the ledger was {aside}: movements after {after} and up to {upto} are lost")
        }
    };
    Ok(format!(
        "member {} is now the only member of cluster {} (it was in {old}): {replayed} log entries were taken as \
         committed, up to entry {} and movement {}; start it, and add members with --join{lost}",
        me.id,
        ClusterId(new_id),
        last.index,
        inventory.last_seq()
    ))
}

/// Applies what the log holds beyond the snapshot; returns how many entries.
fn replay<H: Host>(
    log: &Log<H>,
    ledger: &Ledger,
    inventory: &mut Inventory,
    last: &mut Option<LogIdRecord>,
) -> Result<u64, StartError> {
    let mut replayed = 0;
    loop {
        let next = last.map_or(0, |last| last.index + 1);
        let entries = log.read_blocking(next).map_err(fail)?;
        if entries.is_empty() {
            return Ok(replayed);
        }
        for entry in entries {
            if let EntryPayload::Normal(proposal) = &entry.payload {
                let entry = codec::decode(&proposal.bytes).map_err(|error| StartError(error.to_string()))?;
                let applied = inventory.apply(&entry);
                if !applied.records.is_empty() {
                    ledger.append(&applied.records).map_err(|error| StartError(error.to_string()))?;
                }
            }
            *last = Some(LogIdRecord::of::<H>(&entry.log_id));
            replayed += 1;
        }
    }
}

fn fail(error: std::io::Error) -> StartError {
    StartError(error.to_string())
}
