//! What a receiver is sent: movements of its store in order, or the balances of all of its rows.

use holdfast_api::Epoch;
use holdfast_sdk::model::{StoreId, SubscriptionId};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::body::{ResetBody, cursor};
use crate::clock;
use crate::view::{Entry, Page, ResetReason};

/// A message, the same in each attempt.
#[derive(Debug)]
pub struct Message {
    /// Its id: a repeat after a crash has the same one when it says the same.
    pub id: String,
    /// JSON.
    pub body: String,
    /// What the receiver has once it took this.
    pub upto: u64,
    /// How many movements are in it.
    pub movements: u64,
}

/// The envelope that Standard Webhooks asks for.
#[derive(Serialize)]
struct Envelope<T> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: String,
    data: T,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Movements<'a> {
    store_id: &'a StoreId,
    after: String,
    cursor: String,
    movements: Vec<&'a RawValue>,
}

/// Whom a message is for.
pub struct Address<'a> {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its store.
    pub store: &'a StoreId,
    /// The history that the sequences count.
    pub epoch: &'a Epoch,
}

impl Address<'_> {
    fn id(&self, what: &str) -> String {
        format!("{}-{}-{what}", self.subscription, self.epoch)
    }
}

/// The movements after `after`, of which there is at least one.
///
/// # Errors
/// When one is not JSON.
pub fn movements(to: &Address<'_>, after: u64, entries: &[Entry]) -> serde_json::Result<Message> {
    let upto = entries.last().map_or(after, |entry| entry.seq);
    let data = Movements {
        store_id: to.store,
        after: cursor(to.epoch, after),
        cursor: cursor(to.epoch, upto),
        movements: entries.iter().map(|entry| serde_json::from_str(&entry.json)).collect::<Result<_, _>>()?,
    };
    let body = envelope("stock.movements", data)?;
    Ok(Message { id: to.id(&format!("{after}-{upto}")), body, upto, movements: entries.len() as u64 })
}

/// A part of a reset: some of the balances as they stood at or after `seq`.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn reset(
    to: &Address<'_>,
    seq: u64,
    reason: ResetReason,
    part: u32,
    page: &Page,
) -> serde_json::Result<Message> {
    let data = ResetBody::new(to.store, to.epoch, seq, reason, part, page);
    let body = envelope("stock.reset", data)?;
    Ok(Message { id: to.id(&format!("reset-{seq}-{part}")), body, upto: seq, movements: 0 })
}

fn envelope<T: Serialize>(kind: &'static str, data: T) -> serde_json::Result<String> {
    serde_json::to_string(&Envelope { kind, timestamp: clock::now_text(), data })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn movements_say_what_they_follow_so_that_a_hole_is_seen() {
        let store = StoreId::new("S1").unwrap();
        let epoch: Epoch = "e".parse().unwrap();
        let id = SubscriptionId::from_uuid(uuid::Uuid::from_u128(1));
        let to = Address { subscription: id, store: &store, epoch: &epoch };
        let entry = |seq: u64, prev| Entry { seq, prev, json: format!("{{\"seq\":{seq}}}") };
        let message = movements(&to, 3, &[entry(5, 2), entry(9, 5)]).unwrap();
        assert_eq!(
            (message.id.as_str(), message.upto, message.movements),
            (format!("{id}-e-3-9").as_str(), 9, 2)
        );
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["type"], "stock.movements");
        let data =
            json!({"storeId": "S1", "after": "e.3", "cursor": "e.9", "movements": [{"seq": 5}, {"seq": 9}]});
        assert_eq!(body["data"], data);
    }
}
