//! Records of the view that are not as they were written: refused, or read at a known cost.

use holdfast_api::Epoch;
use holdfast_fuzz::{anything, cases, damaged, edits, within};
use holdfast_sdk::model::{ItemId, StoreId, SubscriptionId};
use proptest::prelude::*;

use super::record::{
    Entry, Head, Mark, Position, ResetReason, Row, checksum, decode, encode, entry_key, head_key, item_of,
    position_key, row_key, seq_of, store_of_head,
};

/// Memory for each byte of a record.
const FACTOR: u64 = 8;

fn row() -> Row {
    Row {
        available: -7,
        reserved: 2,
        version: 300,
        last_seq: 70_000,
        safety_stock: 1,
        backorder_limit: 0,
        retired: true,
    }
}

fn values() -> Vec<Vec<u8>> {
    let epoch: Epoch = "0197f1d2".parse().unwrap();
    let mark = Mark { epoch, seq: 7, at_ms: 1_700_000_000_000, base: 3, rows: 1, checksum: u128::MAX };
    vec![
        encode(&mark),
        encode(&row()),
        encode(&Head { last: 9, count: 3 }),
        encode(&Position::At(7)),
        encode(&Position::Reset(ResetReason::Behind)),
        Entry { seq: 9, prev: 7, json: "{\"seq\":9}".to_owned() }.encode(),
    ]
}

fn read_as_all(key: &[u8], value: &[u8]) {
    drop(within(FACTOR, value, decode::<Mark>));
    drop(within(FACTOR, value, decode::<Row>));
    drop(within(FACTOR, value, decode::<Head>));
    drop(within(FACTOR, value, decode::<Position>));
    drop(within(FACTOR, value, |value| Entry::decode(key, value)));
    let _ = (item_of(key), seq_of(key), store_of_head(key));
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn damaged_records_are_refused_or_read(edits in edits(), bytes in anything()) {
        let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
        let subscription = SubscriptionId::from_uuid(uuid::Uuid::from_u128(7));
        let keys = [row_key(&store, &item), entry_key(&store, 9), head_key(&store), position_key(subscription)];
        for value in values() {
            for key in &keys {
                read_as_all(&damaged(key, &edits), &damaged(&value, &edits));
            }
            read_as_all(&bytes, &bytes);
        }
    }

    /// The mark carries the sum of what all rows and heads add: a damaged one is noticed by it.
    #[test]
    fn a_damaged_row_has_another_checksum(edits in edits()) {
        let key = row_key(&StoreId::new("S1").unwrap(), &ItemId::new("A").unwrap());
        let whole = encode(&row());
        let value = damaged(&whole, &edits);
        prop_assert_eq!(checksum(&key, &value) == checksum(&key, &whole), value == whole);
        let other = damaged(&key, &edits);
        prop_assert_eq!(checksum(&other, &whole) == checksum(&key, &whole), other == key);
    }
}
