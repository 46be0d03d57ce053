//! Checks that the invariants hold in a frozen state: on a running cluster, and after every step of a test.

use std::collections::BTreeMap;

use super::frozen::Frozen;
use super::replay::Replay;
use super::rows;
use crate::HoldStatus;

/// How many violations an audit tells at most: the first ones say what is wrong.
const MAX_VIOLATIONS: usize = 100;

/// One invariant that does not hold somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the five invariants: 1 a row's sums, 2 what is reserved, 3 a hold's ends, 4 the ledger, 5 keys. 0 for
    /// the digest.
    pub invariant: u8,
    /// Where and how, in words.
    pub detail: String,
}

/// What an audit looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rows that were checked.
    pub rows: u64,
    /// Holds that were checked.
    pub holds: u64,
    /// Movements that were replayed, 0 when the ledger was not part of it.
    pub movements: u64,
    /// What does not hold, the first hundred of it.
    pub violations: Vec<Violation>,
}

impl Audit {
    fn fault(&mut self, invariant: u8, detail: impl FnOnce() -> String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { invariant, detail: detail() });
        }
    }
}

impl Frozen {
    /// Checks invariants 1 to 3 and 5 on every row, hold, transfer and key, and that the digest is the sum of its
    /// records.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        let reserved = self.audit_holds(&mut audit);
        self.audit_rows(&mut audit, &reserved);
        self.audit_items(&mut audit);
        self.audit_keys(&mut audit);
        if self.recomputed() != self.sums {
            audit.fault(0, || "the digest is not the sum of the records".to_owned());
        }
        audit
    }

    /// As [`Self::audit`], and invariant 4 against a ledger that was replayed up to [`Self::last_seq`].
    #[must_use]
    pub fn audit_with(&self, replay: &Replay) -> Audit {
        let mut audit = self.audit();
        audit.movements = replay.last_seq().0;
        if replay.last_seq() != self.last_seq() {
            let (seen, last) = (replay.last_seq(), self.last_seq());
            audit.fault(4, || format!("the ledger was replayed to {seen}, the state is at {last}"));
            return audit;
        }
        if replay.stock_digest() != self.sums.stock {
            audit.fault(4, || "the ledger does not give the stock part of the state".to_owned());
        }
        let mut open = replay.open_holds().clone();
        for hold in self.holds.iter().flatten() {
            for line in hold.lines.as_slice().iter().filter(|line| line.reserved > 0) {
                let key = rows::key(self.rows.get(line.row), &self.stores, &self.items);
                let told = open.remove(&(hold.id, key)).unwrap_or_default();
                if told != line.reserved {
                    let (id, reserved) = (hold.id, line.reserved);
                    audit.fault(4, || format!("hold {id}: {reserved} reserved, the ledger tells {told}"));
                }
            }
        }
        if let Some(((id, _), qty)) = open.iter().next() {
            audit.fault(4, || format!("the ledger tells of {qty} reserved by hold {id}, which has none"));
        }
        audit
    }

    /// Checks each hold; returns what open lines reserve of each row.
    fn audit_holds(&self, audit: &mut Audit) -> BTreeMap<u32, u64> {
        let mut reserved = BTreeMap::new();
        for hold in self.holds.iter().flatten() {
            audit.holds += 1;
            let lines = hold.lines.as_slice();
            for line in lines {
                *reserved.entry(line.row).or_default() += line.reserved;
                if line.reserved + line.confirmed + line.released > line.granted {
                    audit.fault(3, || format!("hold {}: a line has more ends than units", hold.id));
                }
            }
            let is_open = hold.is_open();
            if is_open != (hold.status == HoldStatus::Held) || is_open != hold.ended.is_none() {
                audit.fault(3, || format!("hold {}: {:?}, open lines: {is_open}", hold.id, hold.status));
            }
            if (hold.status == HoldStatus::Confirmed) != (hold.was_confirmed() && !is_open) {
                audit.fault(3, || format!("hold {}: {:?} does not fit its lines", hold.id, hold.status));
            }
        }
        reserved
    }

    fn audit_rows(&self, audit: &mut Audit, reserved: &BTreeMap<u32, u64>) {
        for (ix, row) in (0_u32..).zip(self.rows.iter()) {
            audit.rows += u64::from(!row.removed);
            let key = || {
                let key = rows::key(row, &self.stores, &self.items);
                format!("row {}/{}", key.store, key.item)
            };
            if i128::from(row.on_hand()) != row.accounted() {
                let (on_hand, accounted) = (row.on_hand(), row.accounted());
                audit.fault(1, || format!("{}: on hand {on_hand}, accounted for {accounted}", key()));
            }
            let held = reserved.get(&ix).copied().unwrap_or_default();
            if row.reserved != held {
                audit.fault(2, || format!("{}: reserved {}, holds have {held}", key(), row.reserved));
            }
            if row.removed && (row.available != 0 || row.reserved != 0) {
                audit.fault(1, || format!("{}: taken away, but not empty", key()));
            }
        }
    }

    /// Per item over all stores: what left for other stores has arrived, is under way, or fell short.
    fn audit_items(&self, audit: &mut Audit) {
        let mut open: BTreeMap<u32, i128> = BTreeMap::new();
        for row in self.rows.iter() {
            let balance = i128::from(row.transferred_out) - i128::from(row.transferred_in);
            *open.entry(row.item).or_default() += balance;
        }
        for (_, transfer) in self.transfers.iter() {
            *open.entry(transfer.item).or_default() -= i128::from(transfer.in_transit());
        }
        for (&item, &shortfall) in self.transfers.shortfalls.iter() {
            *open.entry(item).or_default() -= i128::from(shortfall);
        }
        for (item, balance) in open.into_iter().filter(|&(_, balance)| balance != 0) {
            audit.fault(1, || {
                format!("item {}: {balance} left stores and went nowhere", self.items.text(item))
            });
        }
    }

    fn audit_keys(&self, audit: &mut Audit) {
        for (name, table) in [("key", &self.keys), ("event", &self.events)] {
            let mut ids: Vec<u128> = table.iter().map(|record| record.id).collect();
            ids.sort_unstable();
            if ids.windows(2).any(|pair| pair[0] == pair[1]) {
                audit.fault(5, || format!("a {name} is remembered twice"));
            }
        }
    }
}
