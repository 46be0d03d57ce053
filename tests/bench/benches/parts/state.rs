//! The state as a whole: its digest, and a look at a row.

use std::hint::black_box;

use super::apply::{item, stocked, store};
use super::{Named, Work};

pub fn parts() -> Vec<Named> {
    vec![
        Named {
            name: "digest",
            commands: 1,
            make: || {
                let inventory = stocked();
                Box::new(Work(move || {
                    black_box(black_box(&inventory).digest());
                }))
            },
        },
        Named {
            name: "look at a row",
            commands: 1,
            make: || {
                let (inventory, store, item) = (stocked(), store(), item(5000));
                Box::new(Work(move || {
                    black_box(inventory.row(black_box(&store), black_box(&item)));
                }))
            },
        },
    ]
}
