//! Lines of a command, merged and looked up.

use std::collections::{BTreeMap, BTreeSet};

use super::Inventory;
use crate::{Command, Line, MAX_TOTAL, OrderAction, Refusal, RowKey};

/// A line of a command, merged with the others of its row.
pub struct Merged<'a> {
    /// The first line of the row.
    pub line: &'a Line,
    /// The sum over all of them.
    pub qty: u64,
}

impl Merged<'_> {
    /// The row's names.
    pub fn key(&self) -> RowKey {
        key_of(self.line)
    }
}

fn key_of(line: &Line) -> RowKey {
    RowKey { store: line.store.clone(), item: line.item.clone() }
}

/// Lines of the same row become one, in the order in which each row first came.
///
/// # Errors
/// [`Refusal::NoLines`], or [`Refusal::QuantityOutOfRange`] for a sum that is too large.
pub fn merge(lines: &[Line]) -> Result<Vec<Merged<'_>>, Refusal> {
    match lines {
        [] => return Err(Refusal::NoLines),
        [line] => return Ok(vec![Merged { line, qty: line.qty.get() }]),
        _ => {}
    }
    let mut places = BTreeMap::new();
    let mut merged: Vec<Merged<'_>> = Vec::with_capacity(lines.len());
    for line in lines {
        let place = *places.entry((line.store.as_str(), line.item.as_str())).or_insert_with(|| {
            merged.push(Merged { line, qty: 0 });
            merged.len() - 1
        });
        // Two numbers of 53 bits: their sum fits.
        merged[place].qty += line.qty.get();
        if merged[place].qty > MAX_TOTAL {
            return Err(Refusal::QuantityOutOfRange { row: Some(key_of(line)) });
        }
    }
    Ok(merged)
}

impl Inventory {
    /// The rows that a command names, or that what it names is about, in an order that a repeat of it has too.
    pub(super) fn rows_named(&self, command: &Command) -> Vec<RowKey> {
        match command {
            Command::CreateSku { store, item, .. }
            | Command::Adjust { store, item, .. }
            | Command::Count { store, item, .. }
            | Command::RecordSale { store, item, .. }
            | Command::Receive { store, item, .. }
            | Command::SetPolicy { store, item, .. }
            | Command::RetireSku { store, item, .. } => {
                vec![RowKey { store: store.clone(), item: item.clone() }]
            }
            Command::Reserve { lines, .. }
            | Command::Confirm { lines: Some(lines), .. }
            | Command::Release { lines: Some(lines), .. }
            | Command::Order {
                action: OrderAction::Place { lines, .. } | OrderAction::ReplaceLines { lines, .. },
                ..
            } => distinct(lines),
            Command::Confirm { hold, .. } | Command::Release { hold, .. } => {
                let lines = self.holds.find(*hold).map_or(&[][..], |ix| self.holds.get(ix).lines());
                lines.iter().map(|line| self.row_key(line.row)).collect()
            }
            Command::Transfer { item, from, to, .. } => {
                [from, to].map(|store| RowKey { store: store.clone(), item: item.clone() }).to_vec()
            }
            Command::ReceiveTransfer { transfer, .. }
            | Command::CloseTransfer { transfer, .. }
            | Command::CancelTransfer { transfer, .. } => {
                let found = self.transfers.find(*transfer).map(|ix| self.transfers.get(ix));
                found.map_or_else(Vec::new, |found| {
                    [found.from, found.to].map(|row| self.row_key(row)).to_vec()
                })
            }
            Command::Order {
                action: OrderAction::Pay { .. } | OrderAction::Cancel { .. } | OrderAction::Refund { .. },
                ..
            }
            | Command::Subscription { .. }
            | Command::DeadLetter { .. }
            | Command::Tick
            | Command::Extend { .. }
            | Command::Configure { .. }
            | Command::TrimLedger { .. }
            | Command::RaiseModelVersion { .. } => Vec::new(),
        }
    }
}

/// The rows of lines, each once, whatever their sums are.
fn distinct(lines: &[Line]) -> Vec<RowKey> {
    let mut seen = BTreeSet::new();
    lines.iter().filter(|line| seen.insert((line.store.as_str(), line.item.as_str()))).map(key_of).collect()
}

/// How many of `row` the command asked for; 0 when it does not say.
pub fn requested(command: &Command, row: &RowKey) -> u64 {
    match command {
        Command::Reserve { lines, .. }
        | Command::Confirm { lines: Some(lines), .. }
        | Command::Release { lines: Some(lines), .. }
        | Command::Order {
            action: OrderAction::Place { lines, .. } | OrderAction::ReplaceLines { lines, .. },
            ..
        } => lines
            .iter()
            .filter(|line| line.store == row.store && line.item == row.item)
            .fold(0, |sum, line| sum.saturating_add(line.qty.get())),
        Command::Transfer { qty, .. } => qty.get(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ItemId, Quantity, StoreId};

    fn line(item: &str, qty: u64) -> Line {
        Line {
            store: StoreId::new("S1").unwrap(),
            item: ItemId::new(item).unwrap(),
            qty: Quantity::new(qty).unwrap(),
        }
    }

    #[test]
    fn lines_of_one_row_become_one_in_order_of_first_mention() {
        let lines = [line("B", 1), line("A", 2), line("B", 3), line("C", 4)];
        let merged = merge(&lines).unwrap();
        let seen: Vec<(&str, u64)> =
            merged.iter().map(|merged| (merged.line.item.as_str(), merged.qty)).collect();
        assert_eq!(seen, [("B", 4), ("A", 2), ("C", 4)]);
    }

    #[test]
    fn no_lines_and_sums_beyond_the_largest_total_are_refused() {
        assert!(matches!(merge(&[]), Err(Refusal::NoLines)));
        let lines = [line("A", MAX_TOTAL), line("A", 1)];
        assert!(
            matches!(merge(&lines), Err(Refusal::QuantityOutOfRange { row: Some(row) }) if row.item.as_str() == "A")
        );
    }
}
