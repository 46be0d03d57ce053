//! The feed: this node's ledger as a stream, to as many as want it.
//!
//! A record is encoded once for all live subscribers (`block`); the newest blocks are kept in a ring, from which those
//! read who keep up (`ring`); all others read the ledger (`reader`). Nothing here is in the way of a commit: the feed
//! follows what was applied (`hub`), and a subscriber is asked for nothing. `stock` streams a state to start from.

mod block;
mod filter;
mod hub;
mod patience;
mod reader;
mod record;
mod ring;
mod stock;

pub use block::{Block, Format};
pub use filter::{Asked, Filter};
pub use hub::{Feed, FeedOptions, Seat};
pub use reader::{Reader, Wish};
pub use ring::{Ring, Taken};
pub use stock::Stock;

#[cfg(test)]
mod tests {
    use holdfast_api::Epoch;
    use holdfast_model::{Cause, ClusterTime, Movement, MovementKind, Record, Seq, UtcMillis};

    /// A sale of one.
    pub fn movement(seq: u64, store: &str, item: &str) -> Record {
        Record::Movement(Movement {
            seq: Seq(seq),
            at: ClusterTime(seq),
            at_utc: UtcMillis(0),
            kind: MovementKind::Sold,
            store: store.parse().unwrap(),
            item: item.parse().unwrap(),
            qty: 1,
            available: 1,
            reserved: 0,
            version: 1,
            prev_seq: Seq(0),
            cause: Cause::Row,
            actor: None,
            reason: None,
            reference: None,
        })
    }

    pub fn epoch() -> Epoch {
        "0197f1d2".parse().unwrap()
    }
}
