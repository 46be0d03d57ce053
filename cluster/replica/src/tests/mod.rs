//! Tests of what is on disk beside the log: snapshots, ledger, identity; and the consensus library's own of all of it.

mod files;
mod fuzz;
mod ledger;
mod suite;

use std::sync::Arc;

use holdfast_model::{Command, Entry, Inventory, ItemId, Request, StoreId, codec};
use openraft::EntryPayload;
use openraft::alias::EntryOf;
use openraft::entry::RaftEntry;

use crate::live::Live;
use crate::types::{LogIdRecord, Proposal, Types};

type E = EntryOf<Types<Live>>;

/// An entry of the log that makes a row named after its index.
fn entry(term: u64, index: u64) -> E {
    let command = Command::CreateSku {
        store: StoreId::new("S1").unwrap(),
        item: ItemId::new(format!("ITEM-{index}")).unwrap(),
        opening: index,
    };
    let entry = Entry { requests: vec![Request { command, key: None, actor: None }], ..Entry::default() };
    let proposal = Proposal { bytes: codec::encode(&entry).into(), entry: Some(Arc::new(entry)) };
    RaftEntry::new(LogIdRecord { term, index }.log_id::<Live>(), EntryPayload::Normal(proposal))
}

/// A state with `count` rows, and the records that tell how they were made.
pub(crate) fn inventory(count: u64) -> (Inventory, Vec<Vec<holdfast_model::Record>>) {
    let mut inventory = Inventory::new();
    let records = (1..=count)
        .map(|index| {
            let EntryPayload::Normal(proposal) = entry(1, index).payload else { unreachable!("made above") };
            inventory.apply(&proposal.entry.unwrap()).records
        })
        .collect();
    (inventory, records)
}
