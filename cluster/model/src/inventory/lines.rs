//! Lines of a command, merged and looked up.

use std::collections::BTreeMap;

use super::Inventory;
use crate::{Command, ItemId, Line, MAX_TOTAL, Refusal, RowKey, StoreId};

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
    if lines.is_empty() {
        return Err(Refusal::NoLines);
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
    /// The rows that a command names, in an order that a repeat of it has too.
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
            | Command::Release { lines: Some(lines), .. } => distinct(lines),
            Command::Confirm { hold, .. } | Command::Release { hold, .. } => self
                .hold(*hold)
                .map_or_else(Vec::new, |hold| hold.lines.into_iter().map(|line| line.row).collect()),
            Command::Transfer { item, from, to, .. } => {
                [from, to].map(|store| RowKey { store: store.clone(), item: item.clone() }).to_vec()
            }
            Command::ReceiveTransfer { transfer, .. }
            | Command::CloseTransfer { transfer, .. }
            | Command::CancelTransfer { transfer, .. } => {
                let key = |store: StoreId, item: &ItemId| RowKey { store, item: item.clone() };
                let found = self.transfer(*transfer);
                found.map_or_else(Vec::new, |found| {
                    vec![key(found.to, &found.item), key(found.from, &found.item)]
                })
            }
            Command::Tick
            | Command::Extend { .. }
            | Command::Configure { .. }
            | Command::TrimLedger { .. }
            | Command::RaiseModelVersion { .. } => Vec::new(),
        }
    }
}

/// The rows of lines, each once, whatever their sums are.
fn distinct(lines: &[Line]) -> Vec<RowKey> {
    let mut seen = std::collections::BTreeSet::new();
    lines.iter().filter(|line| seen.insert((line.store.as_str(), line.item.as_str()))).map(key_of).collect()
}
