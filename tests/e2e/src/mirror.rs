//! A store that keeps its balances by what it is sent, as a real one would, and complains of every hole.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// What a store has learned.
#[derive(Debug, Default)]
pub struct Mirror {
    /// The rows by item.
    pub rows: BTreeMap<String, Value>,
    /// The sequences that came as movements.
    pub seen: BTreeSet<u64>,
    /// The reasons of the resets.
    pub resets: Vec<String>,
    /// The sequence up to which it has everything; none while a reset is under way.
    pub at: Option<u64>,
}

/// The balances of a row that a store compares with the cluster.
#[must_use]
pub fn balances(row: &Value) -> Value {
    json!([row["available"], row["reserved"], row["onHand"], row["version"]])
}

fn seq(cursor: &Value) -> u64 {
    let text = cursor.as_str().expect("a cursor is text");
    text.rsplit('.').next().and_then(|seq| seq.parse().ok()).expect("a cursor ends in a sequence")
}

impl Mirror {
    /// Takes a message of a webhook.
    ///
    /// # Panics
    /// When it leaves a hole, or is not in order.
    pub fn take(&mut self, body: &Value) {
        let data = &body["data"];
        match body["type"].as_str() {
            Some("stock.movements") => self.take_movements(data),
            Some("stock.reset") => self.take_reset(data),
            other => panic!("a message of type {other:?}"),
        }
    }

    fn take_movements(&mut self, data: &Value) {
        let (after, upto) = (seq(&data["after"]), seq(&data["cursor"]));
        let at = self.at.expect("a store gets a whole reset before any movement");
        assert!(after <= at, "a hole: movements after {after}, but the store is at {at}");
        let mut last = after;
        for movement in data["movements"].as_array().expect("movements") {
            let seq = movement["seq"].as_u64().expect("a sequence");
            assert!(seq > last, "{seq} comes after {last}");
            last = seq;
            self.take_movement(movement);
        }
        assert_eq!(last, upto);
        // A repeat after a crash says again what the store has.
        self.at = Some(at.max(upto));
    }

    /// Takes one movement: one that is not newer than its row is passed over.
    pub fn take_movement(&mut self, movement: &Value) {
        let seq = movement["seq"].as_u64().expect("a sequence");
        self.seen.insert(seq);
        let item = movement["itemId"].as_str().expect("an item").to_owned();
        let known = self.rows.get(&item).and_then(|row| row["lastSeq"].as_u64()).unwrap_or(0);
        if seq > known {
            let mut row = movement.clone();
            row["lastSeq"] = seq.into();
            self.rows.insert(item, row);
        }
    }

    /// Takes a part of a reset.
    ///
    /// # Panics
    /// When it does not follow the part before.
    pub fn take_reset(&mut self, data: &Value) {
        if data["part"] == 1 {
            self.rows.clear();
            self.at = None;
            self.resets.push(data["reason"].as_str().expect("a reason").to_owned());
        }
        for row in data["rows"].as_array().expect("rows") {
            self.rows.insert(row["itemId"].as_str().expect("an item").to_owned(), row.clone());
        }
        if data["isLast"] == true {
            self.at = Some(seq(&data["cursor"]));
        }
    }

    /// Its balances.
    #[must_use]
    pub fn balances(&self) -> BTreeMap<String, Value> {
        self.rows.iter().map(|(item, row)| (item.clone(), balances(row))).collect()
    }
}
