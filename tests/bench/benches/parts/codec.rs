//! An entry as bytes, and bytes as an entry.

use std::hint::black_box;

use holdfast_sdk::model::{Entry, codec};

use super::apply::{entry, reserve};
use super::{COMMANDS, Named, Work};

pub fn parts() -> Vec<Named> {
    vec![
        Named {
            name: "encode an entry",
            commands: COMMANDS,
            make: || {
                let entry = reservations();
                Box::new(Work(move || drop(black_box(codec::encode(black_box(&entry))))))
            },
        },
        Named {
            name: "decode an entry",
            commands: COMMANDS,
            make: || {
                let bytes = codec::encode(&reservations());
                Box::new(Work(move || {
                    black_box(codec::decode::<Entry>(black_box(&bytes)).expect("an entry"));
                }))
            },
        },
    ]
}

pub fn reservations() -> Entry {
    entry(1, (0..COMMANDS).map(reserve))
}
