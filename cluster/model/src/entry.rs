//! What one step of the state machine takes and gives.

use serde::{Deserialize, Serialize};

use crate::{
    Actor, ClusterTime, Command, Key, LetterAction, Line, Movement, OrderAction, Record, Reply, Seq,
    SubscriptionAction,
};

/// One committed log entry: a stamp of cluster time and the commands that travel together.
///
/// Each command is decided by itself, in order; an entry is not a transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Cluster time when the leader proposed it.
    pub stamp: ClusterTime,
    /// A new offset from cluster time to UTC in milliseconds, when the leader saw the old one off.
    pub utc_offset_ms: Option<i64>,
    /// The commands, in the order in which they are decided.
    pub requests: Vec<Request>,
}

/// One command, who asked for it, and the key that makes repeating it safe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The command.
    pub command: Command,
    /// Set when the caller gave an `Idempotency-Key`.
    pub key: Option<Key>,
    /// Who asked.
    pub actor: Option<Actor>,
}

/// What a request takes at most beside its lines and its body, in bytes: two texts of 256 and some ids of 64.
const REQUEST_BYTES: usize = 1024;

/// What a line takes at most, in bytes: two ids of 64, and what keeps them.
const LINE_BYTES: usize = 256;

/// What a subscription takes at most beside that, in bytes: its address, and what it is for.
const SUBSCRIPTION_BYTES: usize = 4096;

impl Request {
    /// About how many bytes of memory it takes, for those who keep many; encoded it takes no more.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let lines = |lines: &[Line]| lines.len() * LINE_BYTES;
        let more = match &self.command {
            Command::Reserve { lines: some, .. }
            | Command::Confirm { lines: Some(some), .. }
            | Command::Release { lines: Some(some), .. } => lines(some),
            Command::Order { action, .. } => match action {
                OrderAction::Place { lines: some, .. } | OrderAction::ReplaceLines { lines: some, .. } => {
                    lines(some)
                }
                OrderAction::Pay { .. } | OrderAction::Cancel { .. } | OrderAction::Refund { .. } => 0,
            },
            Command::DeadLetter { action: LetterAction::Keep { body, .. }, .. } => body.as_bytes().len(),
            Command::Subscription { action: SubscriptionAction::Subscribe { .. }, .. } => SUBSCRIPTION_BYTES,
            _ => 0,
        };
        REQUEST_BYTES + more
    }
}

/// What an entry did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// One reply for each command, in order.
    pub replies: Vec<Reply>,
    /// Every movement and order event, in order; their sequence numbers are dense.
    pub records: Vec<Record>,
    /// Set when the ledger is to be dropped before this sequence.
    pub trim_before: Option<Seq>,
}

impl Applied {
    /// The movements among the records, in order.
    pub fn movements(&self) -> impl Iterator<Item = &Movement> {
        self.records.iter().filter_map(Record::movement)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HoldId, ItemId, LetterBody, Quantity, Reason, Reference, StoreId, codec};

    #[test]
    fn a_request_takes_no_more_encoded_than_it_says() {
        let (store, item) = (StoreId::new("S".repeat(64)).unwrap(), ItemId::new("I".repeat(64)).unwrap());
        let line =
            Line { store: store.clone(), item: item.clone(), qty: Quantity::new(crate::MAX_TOTAL).unwrap() };
        let uuid = uuid::Uuid::from_u128(u128::MAX);
        let (hold, letter) = (HoldId::from_uuid(uuid), crate::DeadLetterId::from_uuid(uuid));
        let reason = Reason::new("r".repeat(256)).unwrap();
        let keep = LetterAction::Keep {
            store: store.clone(),
            direction: crate::Direction::FromStore,
            reason: reason.clone(),
            body: LetterBody::new(vec![7; 100_000]),
        };
        let adjust = Command::Adjust {
            store,
            item,
            delta: i64::MIN,
            reason: reason.clone(),
            reference: Some(Reference::new("f".repeat(256)).unwrap()),
            expected_version: Some(u64::MAX),
        };
        let release = Command::Release { hold, lines: Some(vec![line; 1000]), reason: Some(reason) };
        for command in [Command::Tick, adjust, release, Command::DeadLetter { letter, action: keep }] {
            let actor = Some(Actor::new("a".repeat(64)).unwrap());
            let key = Some(Key { id: u128::MAX, fingerprint: u64::MAX });
            let request = Request { command, key, actor };
            let encoded = codec::encode(&request).len();
            assert!(encoded <= request.memory_bytes(), "{encoded} bytes");
        }
    }
}
