//! A consumer of the feed: takes records from any member, crashes between what it does and its note of that, moves to
//! another member, and starts from a state where the ledger does not reach back.
//!
//! It asks as the feed of a node does, and of the same parts of a replica.

use std::time::Duration;

use holdfast_model::{Record, Seq};
use holdfast_replica::{LedgerError, Replica};

use crate::client::Shop;
use crate::coverage::Fault;
use crate::host::SimHost;
use crate::world::World;

/// Records of one turn.
const LIMIT: usize = 7;

const PATIENCE: Duration = Duration::from_millis(1500);

/// What a member has for a consumer.
enum Turn {
    Records(Vec<Record>),
    /// The ledger starts later: this is the sequence of a state to start from.
    Restart(Seq),
    /// Nothing now.
    Wait,
}

/// One consumer, for as long as the simulation runs.
pub async fn run(shop: Shop) {
    let (mut noted, mut done) = (Seq(0), Seq(0));
    let mut place = 0;
    loop {
        World::sleep(shop.world.micros(1_000, 60_000)).await;
        if shop.world.chance(3) {
            shop.world.fault(Fault::ConsumerMoved);
            place = shop.world.draw(|rng| rng.usize(0..shop.cluster.len()));
        }
        let turn =
            shop.cluster.with(place, 2 * PATIENCE, |replica| async move { take(&replica, done).await });
        match turn.await {
            Some(Turn::Records(records)) => {
                shop.oracle.fed(done, &records);
                done = records.last().map_or(done, Record::seq);
                shop.world.trace(&[done.0], || format!("a consumer has {done}"));
            }
            Some(Turn::Restart(seq)) => {
                if seq > shop.oracle.last_seq() || seq < done {
                    shop.world.report("feed", format!("a consumer at {done} is sent to a state at {seq}"));
                }
                (noted, done) = (seq, seq);
            }
            Some(Turn::Wait) => {}
            None => place = shop.world.draw(|rng| rng.usize(0..shop.cluster.len())),
        }
        if shop.world.chance(2) {
            shop.world.fault(Fault::ConsumerCrashed);
            done = noted;
        } else if shop.world.chance(60) {
            noted = done;
        }
    }
}

/// What a subscriber after `after` is given next.
async fn take(replica: &Replica<SimHost>, after: Seq) -> Turn {
    // A member may be behind what another has given.
    if after > replica.applied_seq() && replica.read_barrier(PATIENCE).await.is_err() {
        return Turn::Wait;
    }
    if after.next() < replica.ledger_start() {
        return Turn::Restart(replica.applied_seq());
    }
    let waited = has_more(replica, after).await;
    if !waited {
        return Turn::Wait;
    }
    match replica.tail(after, LIMIT) {
        Ok(records) => Turn::Records(records),
        Err(LedgerError::Compacted { .. }) => Turn::Restart(replica.applied_seq()),
        Err(LedgerError::Rebuilding { .. } | LedgerError::Damaged(_)) => Turn::Wait,
    }
}

async fn has_more(replica: &Replica<SimHost>, after: Seq) -> bool {
    use openraft_rt::AsyncRuntime as _;
    crate::runtime::Simulated::timeout(PATIENCE, replica.wait_for_more(after)).await.is_ok()
}
