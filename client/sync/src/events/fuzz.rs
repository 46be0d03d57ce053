//! Events of the stores that are not what they should be: each is a command or has a reason, at a known cost.

use holdfast_fuzz::{anything, cases, damaged, edits, within};
use proptest::prelude::*;
use proptest::sample::select;

use super::{MAX_EVENTS, Unreadable, command, read};
use holdfast_sdk::model::StoreId;

/// Memory for each byte of a body: it is a tree, since what cannot be applied is kept as it came.
const FACTOR: u64 = 128;

const BODIES: &[&str] = &[
    r#"{"eventId":"e1","occurredAt":"2026-11-24T13:05:00Z","type":"SALE","itemId":"A","qty":2,"reason":"till 4"}"#,
    r#"{"events":[{"eventId":"e1","occurredAt":"2026-11-24T13:05:00.5+01:00","type":"COUNT","itemId":"A","counted":0,
        "asOfSeq":7},{"eventId":"e2","occurredAt":"2026-11-24T13:05:00Z","type":"RETURN","itemId":"B","qty":1}]}"#,
    r#"[{"eventId":"e1","occurredAt":"2026-11-24T13:05:00Z","type":"RECEIPT","itemId":"A","qty":9007199254740991}]"#,
];

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn damaged_events_are_commands_or_have_a_reason(body in select(BODIES), edits in edits(), bytes in anything()) {
        let store = StoreId::new("S1").unwrap();
        for bytes in [damaged(body.as_bytes(), &edits), bytes] {
            match within(FACTOR, &bytes, read) {
                Ok(events) => {
                    prop_assert!(events.len() <= MAX_EVENTS);
                    for event in events {
                        if let Err(reason) = command(&store, &event) {
                            prop_assert!(!reason.is_empty());
                        }
                    }
                }
                Err(Unreadable::NotEvents(reason)) => prop_assert!(!reason.is_empty()),
                Err(Unreadable::TooMany(count)) => prop_assert!(count > MAX_EVENTS),
            }
        }
    }
}
