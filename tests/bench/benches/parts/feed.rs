//! The feed: a block of records published and taken by those who subscribe.

use std::hint::black_box;
use std::sync::Arc;

use holdfast_node::feed_parts::{Block, Filter, Format, Ring, Taken};
use holdfast_sdk::api::Epoch;
use holdfast_sdk::model::{Inventory, Record, Seq};
use tokio::sync::Notify;

use super::apply::{entry, reserve, stocked};
use super::{COMMANDS, Named, Part};

pub fn parts() -> Vec<Named> {
    vec![
        Named { name: "feed to nobody", commands: COMMANDS, make: || Box::new(FanOut::new(0, "")) },
        Named { name: "feed to 10 who want all", commands: COMMANDS, make: || Box::new(FanOut::new(10, "")) },
        Named {
            name: "feed past 1,000 of another store",
            commands: COMMANDS,
            make: || Box::new(FanOut::new(1000, "NOBODY")),
        },
    ]
}

/// Subscribers of one store, or of all.
struct FanOut {
    inventory: Inventory,
    ring: Ring,
    seats: Vec<(u64, Seq)>,
    filter: Arc<Filter>,
    epoch: Epoch,
    next: u64,
    records: Vec<Record>,
}

impl FanOut {
    fn new(count: usize, store: &str) -> Self {
        let inventory = stocked();
        let stores = store.parse().into_iter().collect();
        let filter = Arc::new(Filter { stores, ..Filter::default() });
        let mut ring = Ring::default();
        let after = inventory.last_seq();
        ring.restart(after);
        let mut join = |_| (ring.join(filter.clone(), Arc::new(Notify::new()), after), after);
        let seats = (0..count).map(&mut join).collect();
        let epoch = "0197f1d2".parse().expect("an epoch");
        Self { inventory, ring, seats, filter, epoch, next: 0, records: Vec::new() }
    }
}

impl Part for FanOut {
    fn ready(&mut self) {
        let numbers = self.next..self.next + COMMANDS;
        self.next = numbers.end;
        self.records = self.inventory.apply(&entry(self.inventory.now().0 + 1, numbers.map(reserve))).records;
    }

    fn run(&mut self) {
        let block = Block::new(std::mem::take(&mut self.records)).expect("there are records");
        self.ring.publish(Arc::new(block));
        for (key, after) in &mut self.seats {
            while let Taken::Block(block) = self.ring.take(*key) {
                black_box(block.bytes(Format::Events, &self.epoch, &self.filter, *after));
                *after = block.last();
            }
        }
    }
}
