//! What a member keeps beside its log, and all of it together: a crash between any two steps loses nothing that was
//! acknowledged, and what could not be finished leaves nothing behind.

mod identity;
mod member;
#[path = "../log/memory_disk.rs"]
mod memory_disk;
mod restart;
mod snapshots;
mod transfer;
mod wired;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use holdfast_model::{Command, Entry, Inventory, ItemId, Request, StoreId};
use holdfast_replica::disk::Disk;
use holdfast_replica::network::{Channel, Network};
use holdfast_replica::types::Host;
use openraft_rt_tokio::TokioRuntime;

use memory_disk::{Crash, MemoryDisk};

/// A member on a disk that can fail, and lose what was not synced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct InMemory;

impl Host for InMemory {
    type Runtime = TokioRuntime;
    type Disk = MemoryDisk;
    type Network = NoNetwork;
}

/// A member that is alone calls nobody.
#[derive(Clone)]
struct NoNetwork;

impl Network for NoNetwork {
    async fn call(&self, address: &str, _: Channel, _: Bytes, _: Duration) -> io::Result<Bytes> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{address} cannot be called")))
    }
}

/// Crashes that lose all, some or nothing of what was not synced.
const CRASHES: [Crash; 4] = [
    Crash { kept: 0, zeros: false },
    Crash { kept: 0, zeros: true },
    Crash { kept: 128, zeros: false },
    Crash { kept: 255, zeros: false },
];

/// Makes a row that is named after `number`.
fn create(number: u64) -> Request {
    let item = ItemId::new(format!("ITEM-{number}")).unwrap();
    let command = Command::CreateSku { store: StoreId::new("S1").unwrap(), item, opening: number };
    Request { command, key: None, actor: None }
}

/// A state with `rows` rows.
fn inventory(rows: u64) -> Inventory {
    let mut inventory = Inventory::new();
    inventory.apply(&Entry { requests: (1..=rows).map(create).collect(), ..Entry::default() });
    inventory
}

/// The names on a disk that were not finished.
fn partial<D: Disk>(disk: &D) -> Vec<String> {
    disk.list().unwrap().into_iter().filter(|name| name.contains("partial")).collect()
}
