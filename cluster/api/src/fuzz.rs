//! Bodies, cursors and batches that are not what they should be: refused, at a known cost.

use holdfast_fuzz::{anything, cases, damaged, edits, within};
use holdfast_model::{Command, EventId, HoldId, ItemId, Line, OrderId, Quantity, StoreId, codec};
use proptest::prelude::*;
use proptest::sample::select;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    AddMember, Adjust, BatchBody, Count, Cursor, Epoch, FeedLine, MAX_BATCH_COMMANDS, MAX_COMMAND_BYTES,
    NewDeadLetter, NewHold, NewSku, NewSubscription, NewTransfer, PayOrder, PlaceOrder, Problem, Receive,
    ReceiveTransfer, ReplaceOrderLines, Reserve, SnapshotLine, TransferLeadership, WireBatch, WireRequest,
};

/// Memory for each byte of a body whose fields have types.
const TYPED: u64 = 16;

/// Memory for each byte of a body that is taken apart as a tree first.
const TREE: u64 = 128;

/// Bodies of every kind of request.
const BODIES: &[&str] = &[
    r#"{"qty":3,"ttlSeconds":60,"holdId":"H-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5","owner":"cart 7","allowPartial":true}"#,
    r#"{"lines":[{"storeId":"S1","itemId":"A","qty":1},{"storeId":"S2","itemId":"B","qty":9007199254740991}]}"#,
    r#"{"storeId":"S1","itemId":"A","available":0}"#,
    r#"{"delta":-1,"reason":"broken \u00e9","reference":"note","expectedVersion":3}"#,
    r#"{"counted":5,"asOfSeq":7,"eventId":"e-1","occurredAt":"2026-11-24T13:05:00.123Z","reason":"count"}"#,
    r#"{"qty":2,"kind":"RETURN","eventId":"e-2","occurredAt":"2026-11-24T13:05:00Z"}"#,
    r#"{"transferId":"T-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5","itemId":"A","fromStoreId":"S1","toStoreId":"S2","qty":1}"#,
    r#"{"orderId":"O-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5","lines":[{"storeId":"S1","itemId":"A","qty":1}],"ttlSeconds":900}"#,
    r#"{"paymentId":"p-1","outcome":"SUCCEEDED","amountMinor":1000,"currency":"EUR","reacquire":true}"#,
    r#"{"storeId":"S1","url":"http://127.0.0.1:9000/hook","secret":"whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="}"#,
    r#"{"storeId":"S1","direction":"FROM_STORE","reason":"malformed","body":{"a":[1,2.5,null,"x"]}}"#,
    r#"{"id":4,"peer":"127.0.0.1:8087","http":"127.0.0.1:8082","voter":true}"#,
    r#"{"to":2}"#,
    r#"{"commands":[{"op":"adjust","storeId":"S1","itemId":"A","delta":-1,"reason":"broken","idempotencyKey":"k"},
        {"op":"reserve","lines":[{"storeId":"S1","itemId":"A","qty":1}]},{"op":"placeOrder","lines":[]}]}"#,
];

/// What a body may be taken for. None of it panics, or takes more memory than it may.
fn read_as_all(bytes: &[u8]) {
    fn read<T: DeserializeOwned>(factor: u64, bytes: &[u8]) {
        drop(within(factor, bytes, serde_json::from_slice::<T>));
    }
    read::<Reserve>(TYPED, bytes);
    read::<NewHold>(TYPED, bytes);
    read::<NewSku>(TYPED, bytes);
    read::<Adjust>(TYPED, bytes);
    read::<Count>(TYPED, bytes);
    read::<Receive>(TYPED, bytes);
    read::<NewTransfer>(TYPED, bytes);
    read::<ReceiveTransfer>(TYPED, bytes);
    read::<PlaceOrder>(TYPED, bytes);
    read::<ReplaceOrderLines>(TYPED, bytes);
    read::<PayOrder>(TYPED, bytes);
    read::<NewSubscription>(TYPED, bytes);
    read::<NewDeadLetter>(TREE, bytes);
    read::<AddMember>(TYPED, bytes);
    read::<TransferLeadership>(TYPED, bytes);
    read::<BatchBody>(TREE, bytes);
    read::<Problem>(TREE, bytes);
    read::<FeedLine>(TREE, bytes);
    read::<SnapshotLine>(TREE, bytes);
}

fn line() -> Line {
    let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
    Line { store, item, qty: Quantity::new(1).unwrap() }
}

fn wire(commands: Vec<Command>) -> Vec<WireRequest> {
    commands
        .into_iter()
        .map(|command| WireRequest { command, idempotency_key: Some("key".to_owned()) })
        .collect()
}

fn reserve(lines: usize) -> Command {
    let hold = HoldId::from_uuid(uuid::Uuid::from_u128(7));
    Command::Reserve {
        hold,
        lines: vec![line(); lines],
        ttl_ms: Some(60_000),
        allow_partial: false,
        owner: None,
    }
}

fn batch() -> Vec<u8> {
    let Line { store, item, .. } = line();
    let create = Command::CreateSku { store, item, opening: 7 };
    codec::encode(&wire(vec![create, reserve(3), Command::Tick]))
}

/// JSON of any form, with the words of the contract now and then.
fn json() -> impl Strategy<Value = String> {
    let words =
        select(&["op", "lines", "storeId", "qty", "commands", "idempotencyKey", "holdId", "x", ""][..]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            proptest::collection::vec((words.clone(), inner), 0..8).prop_map(|members| members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    });
    tree.prop_map(|value: Value| value.to_string())
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_damaged_body_is_refused_or_read(body in select(BODIES), edits in edits()) {
        read_as_all(&damaged(body.as_bytes(), &edits));
    }

    #[test]
    fn any_bytes_and_any_json_are_refused_or_read(bytes in anything(), json in json()) {
        read_as_all(&bytes);
        read_as_all(json.as_bytes());
    }

    #[test]
    fn a_damaged_batch_in_the_compact_encoding_is_refused_or_read(bytes in anything(), edits in edits()) {
        for bytes in [damaged(&batch(), &edits), bytes] {
            if let Ok(batch) = within(TYPED * 4, &bytes, codec::decode::<WireBatch>) {
                prop_assert!(batch.0.len() <= MAX_BATCH_COMMANDS);
            }
        }
    }

    #[test]
    fn whatever_is_taken_for_a_cursor_or_an_id_is_written_as_it_was_read(text in "[0-9a-zA-Z.:H/O-]{0,80}|.{0,80}") {
        fn same<T: std::str::FromStr + std::fmt::Display + PartialEq + std::fmt::Debug>(text: &str) {
            if let Ok(read) = text.parse::<T>() {
                let again = read.to_string().parse::<T>().ok();
                assert_eq!(again, Some(read), "{text:?}");
            }
        }
        same::<Cursor>(&text);
        same::<Epoch>(&text);
        same::<StoreId>(&text);
        same::<ItemId>(&text);
        same::<HoldId>(&text);
        same::<OrderId>(&text);
        same::<EventId>(&text);
        let _ = crate::time::parse(&text);
    }
}

#[test]
fn a_list_with_too_many_commands_is_not_read_to_its_end() {
    let many = vec![0_u8; 8 << 20];
    let told = u32::try_from(many.len() / 2).unwrap().to_le_bytes();
    let ticks = [&[codec::FORMAT, 252][..], &told, &many].concat();
    let error = within(1, &ticks, codec::decode::<WireBatch>).unwrap_err().to_string();
    assert!(error.contains(codec::TOO_MANY), "{error}");
    let confirm = serde_json::json!({"op": "confirm", "holdId": HoldId::from_uuid(uuid::Uuid::from_u128(7))});
    let json = serde_json::json!({"commands": vec![confirm; 3 * MAX_BATCH_COMMANDS]}).to_string();
    let error = within(4, json.as_bytes(), serde_json::from_slice::<BatchBody>).unwrap_err().to_string();
    assert!(error.contains(codec::TOO_MANY), "{error}");
}

#[test]
fn a_command_that_would_be_a_large_tree_is_refused_before_it_is_one() {
    for piece in ["{\"\":0}", "[[0]]", "0", "[]", "\"\""] {
        let list = vec![piece; (MAX_COMMAND_BYTES * 4) / piece.len()].join(",");
        let body = format!("{{\"commands\":[{{\"op\":[{list}]}}]}}");
        assert!(within(2, body.as_bytes(), serde_json::from_slice::<BatchBody>).is_err(), "{piece}");
    }
}

#[test]
fn the_largest_batches_take_what_is_told_of_them() {
    let bytes = codec::encode(&wire(vec![reserve(1000); 100]));
    within(TYPED * 2, &bytes, codec::decode::<WireBatch>).unwrap();
    let line = r#"{"storeId":"a","itemId":"b","qty":1}"#;
    let hold = format!("{{\"lines\":[{}]}}", vec![line; 100_000].join(","));
    within(TYPED, hold.as_bytes(), serde_json::from_slice::<NewHold>).unwrap();
}
