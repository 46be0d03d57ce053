//! Third invariant: each unit of a hold has one end, and keeps it.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_model::{Cause, HoldId, HoldStatus, HoldView, MovementKind};

use super::Seen;

/// The holds after the entry before.
#[derive(Default)]
pub struct Ends {
    before: BTreeMap<HoldId, HoldView>,
}

impl Ends {
    pub fn check(&mut self, seen: &Seen<'_>) {
        // Where units were taken in this entry, the hold is new, or took back what had expired.
        let taken: BTreeSet<HoldId> = seen
            .made
            .iter()
            .filter(|movement| movement.kind == MovementKind::Reserved)
            .filter_map(|movement| match movement.cause {
                Cause::Hold { hold, .. } => Some(hold),
                _ => None,
            })
            .collect();
        for hold in &seen.holds {
            check_lines(hold);
            check_status(hold);
            if let Some(before) = self.before.get(&hold.hold).filter(|_| !taken.contains(&hold.hold)) {
                check_kept(before, hold);
            }
        }
        self.before = seen.holds.iter().map(|hold| (hold.hold, hold.clone())).collect();
    }
}

fn check_lines(hold: &HoldView) {
    for line in &hold.lines {
        let ends = [line.reserved, line.confirmed, line.released, line.expired];
        let units: u128 = ends.map(u128::from).iter().sum();
        assert_eq!(units, u128::from(line.granted), "third invariant: {line:?} of {}", hold.hold);
        assert!(line.granted <= line.requested, "third invariant: {line:?} of {}", hold.hold);
    }
    assert!(hold.lines.iter().any(|line| line.granted > 0), "third invariant: a hold of nothing: {hold:?}");
}

fn check_status(hold: &HoldView) {
    let any = |of: fn(&holdfast_model::HoldLineView) -> u64| hold.lines.iter().any(|line| of(line) > 0);
    let (reserved, confirmed) = (any(|line| line.reserved), any(|line| line.confirmed));
    let is_right = match hold.status {
        HoldStatus::Held => reserved,
        HoldStatus::Confirmed => !reserved && confirmed,
        HoldStatus::Released => !reserved && !confirmed && any(|line| line.released),
        HoldStatus::Expired => !reserved && !confirmed && any(|line| line.expired),
    };
    assert!(is_right, "third invariant: status of {hold:?}");
}

/// Units that ended stay as they ended, and none comes back.
fn check_kept(before: &HoldView, after: &HoldView) {
    for (old, new) in before.lines.iter().zip(&after.lines) {
        let is_kept = new.row == old.row
            && new.granted == old.granted
            && new.reserved <= old.reserved
            && new.confirmed >= old.confirmed
            && new.released >= old.released
            && new.expired >= old.expired;
        assert!(is_kept, "third invariant: {old:?} of {} became {new:?}", before.hold);
    }
    assert_eq!(before.lines.len(), after.lines.len(), "third invariant: lines of {}", before.hold);
}
