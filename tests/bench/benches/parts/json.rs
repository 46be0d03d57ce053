//! JSON of requests and answers.

use std::fmt::Write;
use std::hint::black_box;

use holdfast_sdk::api::{BatchBody, Hold, Reserve};
use holdfast_sdk::model::Command;

use super::apply::{entry, reserve, stocked};
use super::{COMMANDS, Named, Work};

const REQUEST: &[u8] = br#"{"qty":1,"ttlSeconds":3600}"#;

pub fn parts() -> Vec<Named> {
    vec![
        Named {
            name: "JSON in, a reservation",
            commands: 1,
            make: || {
                Box::new(Work(|| {
                    black_box(serde_json::from_slice::<Reserve>(black_box(REQUEST)).expect("a reservation"));
                }))
            },
        },
        Named {
            name: "JSON in, a batch",
            commands: COMMANDS,
            make: || {
                let body = batch();
                Box::new(Work(move || {
                    black_box(serde_json::from_str::<BatchBody>(black_box(&body)).expect("a batch"));
                }))
            },
        },
        Named {
            name: "JSON out, a hold",
            commands: 1,
            make: || {
                let hold = hold();
                Box::new(Work(move || {
                    black_box(serde_json::to_vec(black_box(&hold)).expect("a hold has plain keys"));
                }))
            },
        },
    ]
}

fn batch() -> String {
    let mut body = r#"{"commands":["#.to_owned();
    for number in 0..COMMANDS {
        let comma = if number == 0 { "" } else { "," };
        let line = format!(r#"{{"storeId":"S1","itemId":"ITEM-{number}","qty":1}}"#);
        write!(body, r#"{comma}{{"op":"reserve","lines":[{line}],"ttlSeconds":3600}}"#)
            .expect("a string grows");
    }
    body + "]}"
}

fn hold() -> Hold {
    let mut inventory = stocked();
    inventory.apply(&entry(1, std::iter::once(reserve(1))));
    let Command::Reserve { hold, .. } = reserve(1) else { unreachable!("it reserves") };
    let view = inventory.hold(hold).expect("it was reserved");
    Hold::from(&view)
}
