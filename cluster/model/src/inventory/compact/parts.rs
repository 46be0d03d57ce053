//! What stored outcomes are made of: numbers, ids and rows without alignment, so that they fit.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::inventory::lines::requested;
use crate::{Command, DeadLetterId, HoldId, OrderId, RowKey, Seq, ShortLine, SubscriptionId, TransferId};

/// How many rows a stored refusal keeps; it counts the rest.
const KEPT_ROWS: usize = 13;
/// How many short lines a stored refusal keeps; it counts the rest.
const KEPT_LINES: usize = 3;

/// A whole number in seven bytes: totals fit 53 bits and a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Int([u8; 7]);

impl Int {
    const MAX: i64 = (1 << 55) - 1;

    pub fn signed(number: i64) -> Self {
        let [bytes @ .., _] = number.clamp(-Self::MAX, Self::MAX).to_le_bytes();
        Self(bytes)
    }

    pub fn unsigned(number: u64) -> Self {
        Self::signed(i64::try_from(number).unwrap_or(Self::MAX))
    }

    pub fn get(self) -> i64 {
        let mut bytes = [0; 8];
        bytes[1..].copy_from_slice(&self.0);
        // The seven bytes are the high ones now: shifting them down brings the sign along.
        i64::from_le_bytes(bytes) >> 8
    }

    pub fn count(self) -> u64 {
        self.get().cast_unsigned()
    }

    pub fn seq(self) -> Seq {
        Seq(self.count())
    }

    pub fn version(self) -> u32 {
        u32::try_from(self.count()).unwrap_or(u32::MAX)
    }
}

/// A UUID without alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id([u8; 16]);

impl Id {
    pub fn of(uuid: Uuid) -> Self {
        Self(uuid.into_bytes())
    }

    pub fn hold(self) -> HoldId {
        HoldId::from_uuid(Uuid::from_bytes(self.0))
    }

    pub fn transfer(self) -> TransferId {
        TransferId::from_uuid(Uuid::from_bytes(self.0))
    }

    pub fn order(self) -> OrderId {
        OrderId::from_uuid(Uuid::from_bytes(self.0))
    }

    pub fn subscription(self) -> SubscriptionId {
        SubscriptionId::from_uuid(Uuid::from_bytes(self.0))
    }

    pub fn letter(self) -> DeadLetterId {
        DeadLetterId::from_uuid(Uuid::from_bytes(self.0))
    }
}

/// Which of the rows that the command names, in the order of `Inventory::rows_named`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place([u8; 2]);

impl Place {
    pub fn of(row: &RowKey, named: &[RowKey]) -> Option<Self> {
        let place = named.iter().position(|other| other == row)?;
        Some(Self(u16::try_from(place).ok()?.to_le_bytes()))
    }

    pub fn find(self, named: &[RowKey]) -> Option<RowKey> {
        named.get(usize::from(u16::from_le_bytes(self.0))).cloned()
    }
}

/// The first rows of a refusal, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    first: [Place; KEPT_ROWS],
    pub rest: Rest,
}

/// The first short lines of a refusal, and how many more there were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    first: [(Place, Int); KEPT_LINES],
    pub rest: Rest,
}

/// How many are kept, and how many are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    kept: u8,
    omitted: [u8; 2],
}

impl Rest {
    pub fn of(all: usize, kept: usize) -> Self {
        let omitted = u16::try_from(all - kept).unwrap_or(u16::MAX);
        Self { kept: u8::try_from(kept).unwrap_or_default(), omitted: omitted.to_le_bytes() }
    }

    pub fn kept(&self) -> usize {
        usize::from(self.kept)
    }

    pub fn omitted(&self) -> u32 {
        u32::from(u16::from_le_bytes(self.omitted))
    }
}

impl Rows {
    pub fn of(rows: &[RowKey], named: &[RowKey]) -> Self {
        let places = rows.iter().map_while(|row| Place::of(row, named));
        let (mut first, mut kept) = ([Place::default(); KEPT_ROWS], 0);
        for (slot, place) in first.iter_mut().zip(places) {
            *slot = place;
            kept += 1;
        }
        Self { first, rest: Rest::of(rows.len(), kept) }
    }

    pub fn find(&self, named: &[RowKey]) -> Option<Vec<RowKey>> {
        self.first.iter().take(self.rest.kept()).map(|place| place.find(named)).collect()
    }
}

impl Lines {
    pub fn of(lines: &[ShortLine], named: &[RowKey]) -> Self {
        let places =
            lines.iter().map_while(|line| Some((Place::of(&line.row, named)?, Int::signed(line.available))));
        let (mut first, mut kept) = ([(Place::default(), Int::signed(0)); KEPT_LINES], 0);
        for (slot, line) in first.iter_mut().zip(places) {
            *slot = line;
            kept += 1;
        }
        Self { first, rest: Rest::of(lines.len(), kept) }
    }

    pub fn find(&self, named: &[RowKey], command: &Command) -> Option<Vec<ShortLine>> {
        let line = |(place, available): &(Place, Int)| {
            let row = place.find(named)?;
            let requested = requested(command, &row);
            Some(ShortLine { row, requested, available: available.get() })
        };
        self.first.iter().take(self.rest.kept()).map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ItemId, StoreId};

    #[test]
    fn a_number_keeps_its_sign_and_stops_at_its_largest() {
        for number in [0, 1, -1, (1 << 53) - 1, 1 - (1 << 53), Int::MAX, -Int::MAX] {
            assert_eq!(Int::signed(number).get(), number);
        }
        assert_eq!(Int::signed(i64::MIN).get(), -Int::MAX);
        assert_eq!(Int::unsigned(u64::MAX).count(), Int::MAX.unsigned_abs());
    }

    #[test]
    fn the_first_rows_are_kept_and_the_rest_counted() {
        let row = |number: usize| RowKey {
            store: StoreId::new("S1").unwrap(),
            item: ItemId::new(number.to_string()).unwrap(),
        };
        let named: Vec<RowKey> = (0..100).map(row).collect();
        let kept = Rows::of(&named[50..], &named);
        assert_eq!(kept.find(&named).unwrap(), named[50..63]);
        assert_eq!(kept.rest.omitted(), 37);
        assert_eq!(kept.find(&named[..60]), None, "another command named fewer");
        let line = |row: &RowKey| ShortLine { row: row.clone(), requested: 0, available: -5 };
        let lines: Vec<ShortLine> = named[98..].iter().map(line).collect();
        let kept = Lines::of(&lines, &named);
        assert_eq!(kept.find(&named, &Command::Tick).unwrap(), lines);
        assert_eq!(kept.rest.omitted(), 0);
    }
}
