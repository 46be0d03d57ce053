//! The stock part of the state, rebuilt from the ledger alone.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::audit::Violation;
use super::rows::Row;
use crate::{Cause, HoldId, Movement, MovementKind, RowKey, Seq};

/// Rows and open quantities as the ledger tells them. It shares no code with what made the movements but the row
/// itself and its digest.
#[derive(Default)]
pub struct Replay {
    last_seq: Seq,
    rows: BTreeMap<RowKey, Row>,
    open: BTreeMap<(HoldId, RowKey), u64>,
}

impl Replay {
    /// The last movement taken.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        self.last_seq
    }

    /// What the ledger tells that holds still reserve, by hold and row.
    #[must_use]
    pub fn open_holds(&self) -> &BTreeMap<(HoldId, RowKey), u64> {
        &self.open
    }

    /// The digest of the rebuilt rows: equal to [`crate::Digest::stock`] of the state at the same sequence.
    #[must_use]
    pub fn stock_digest(&self) -> u128 {
        self.rows.iter().fold(0, |sum, (key, row)| {
            let [store, item] = [key.store.as_str(), key.item.as_str()].map(|text| xxh3_128(text.as_bytes()));
            sum.wrapping_add(row.digest(store, item))
        })
    }

    /// Takes the next movement.
    ///
    /// # Errors
    /// A movement that does not follow from those before it, in words.
    pub fn apply(&mut self, movement: &Movement) -> Result<(), Violation> {
        let seq = movement.seq;
        let fault = |detail: String| Violation { invariant: 4, detail: format!("movement {seq}: {detail}") };
        if seq != self.last_seq.next() {
            return Err(fault(format!("it follows {}", self.last_seq)));
        }
        let key = RowKey { store: movement.store.clone(), item: movement.item.clone() };
        let mut row = match self.rows.remove(&key) {
            Some(row) if movement.kind != MovementKind::Created => row,
            None if movement.kind == MovementKind::Created => Row::new(0, 0, 0),
            Some(_) => return Err(fault("the row exists already".to_owned())),
            None => return Err(fault("there is no such row".to_owned())),
        };
        if movement.prev_seq.0 != row.last_seq || movement.version != row.version + 1 {
            return Err(fault(format!("the row is at movement {}, version {}", row.last_seq, row.version)));
        }
        let is_gone = movement.kind == MovementKind::Retired && row.retired;
        change(&mut row, movement).ok_or_else(|| fault("its quantity is impossible".to_owned()))?;
        if row.available != movement.available || row.reserved != movement.reserved {
            let (available, reserved) = (row.available, row.reserved);
            return Err(fault(format!("the balances come to {available} and {reserved}")));
        }
        self.follow_hold(movement, &key).ok_or_else(|| fault("the hold has less open".to_owned()))?;
        row.version += 1;
        row.last_seq = seq.0;
        self.last_seq = seq;
        if !is_gone {
            self.rows.insert(key, row);
        }
        Ok(())
    }

    /// Keeps what is open of the movement's hold; none when less is open than the movement ends.
    fn follow_hold(&mut self, movement: &Movement, key: &RowKey) -> Option<()> {
        let Cause::Hold { hold, .. } = movement.cause else { return Some(()) };
        let id = (hold, key.clone());
        let qty = movement.qty.unsigned_abs();
        match movement.kind {
            MovementKind::Reserved => *self.open.entry(id).or_default() += qty,
            MovementKind::Confirmed | MovementKind::Released | MovementKind::Expired => {
                let open = self.open.get_mut(&id)?;
                *open = open.checked_sub(qty)?;
                if *open == 0 {
                    self.open.remove(&id);
                }
            }
            _ => {}
        }
        Some(())
    }
}

/// What a movement does to its row; none when it is impossible.
fn change(row: &mut Row, movement: &Movement) -> Option<()> {
    let signed = movement.qty;
    let qty = movement.qty.unsigned_abs();
    match movement.kind {
        MovementKind::Created => {
            row.available = signed;
            row.opening = qty;
        }
        MovementKind::Reserved => {
            row.available = row.available.checked_sub(signed)?;
            row.reserved = row.reserved.checked_add(qty)?;
        }
        MovementKind::Confirmed => {
            row.reserved = row.reserved.checked_sub(qty)?;
            row.sold = row.sold.checked_add(qty)?;
        }
        MovementKind::Released | MovementKind::Expired => {
            row.reserved = row.reserved.checked_sub(qty)?;
            row.available = row.available.checked_add(signed)?;
        }
        MovementKind::Sold => {
            row.available = row.available.checked_sub(signed)?;
            row.sold = row.sold.checked_add(qty)?;
        }
        MovementKind::Received => {
            row.available = row.available.checked_add(signed)?;
            row.received = row.received.checked_add(qty)?;
        }
        MovementKind::Adjusted => {
            row.available = row.available.checked_add(signed)?;
            row.adjusted = row.adjusted.checked_add(signed)?;
        }
        MovementKind::Counted => {
            row.available = row.available.checked_add(signed)?;
            row.counted = row.counted.checked_add(signed)?;
        }
        MovementKind::TransferOut => {
            row.available = row.available.checked_sub(signed)?;
            row.transferred_out = row.transferred_out.checked_add(qty)?;
        }
        MovementKind::TransferIn => {
            row.available = row.available.checked_add(signed)?;
            row.transferred_in = row.transferred_in.checked_add(qty)?;
        }
        MovementKind::Policy => {
            let Cause::Policy(policy) = movement.cause else { return None };
            row.policy = policy;
        }
        MovementKind::Retired => row.retired = true,
        MovementKind::Extended | MovementKind::Shortfall => {}
    }
    Some(())
}
