//! A consumer of the feed: takes records from any member, crashes between what it does and its note of that, moves to
//! another member, and starts from a state where the ledger does not reach back.
//!
//! It is served by the feed of a node, from its ring or from the ledger, as a subscriber over HTTP is.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::{Record, Seq};
use holdfast_node::feed::{Feed, Filter, Seat, Taken};
use holdfast_replica::LedgerError;
use openraft_rt::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use tokio::sync::mpsc;

use crate::client::Shop;
use crate::coverage::Fault;
use crate::host::SimHost;
use crate::runtime::Simulated;
use crate::world::World;

/// Records of one turn at the ledger.
const LIMIT: usize = 7;

/// A member waits so long for what it needs to serve a consumer, and a consumer for a member.
const PATIENCE: Duration = Duration::from_millis(1500);

/// What a member gives a consumer.
enum Given {
    /// What the consumer wants of all up to here.
    Upto(Seq, Vec<Record>),
    /// The ledger starts later: this is the sequence of a state to start from.
    Restart(Seq),
}

/// One consumer, for as long as the simulation runs: of all records, or of those of one store.
pub async fn run(shop: Shop, store: Option<&'static str>) {
    let stores = store.map(|store| store.parse().expect("a store"));
    let filter = Arc::new(Filter { stores: stores.into_iter().collect(), ..Filter::default() });
    let mut noted = Seq(0);
    loop {
        let place = shop.world.draw(|rng| rng.usize(0..shop.cluster.len()));
        noted = subscribe(&shop, place, &filter, noted).await;
        World::sleep(shop.world.micros(1_000, 200_000)).await;
    }
}

/// Takes from one member until that ends, or the consumer leaves or crashes; returns what it has taken note of.
async fn subscribe(shop: &Shop, place: usize, filter: &Arc<Filter>, mut noted: Seq) -> Seq {
    let Some((process, feed)) = shop.cluster.feed(place) else { return noted };
    // A stream holds one piece at a time: it is asked for more when there is room.
    let (sender, mut given) = mpsc::channel(1);
    let mut done = noted;
    drop(process.spawn(serve(feed, filter.clone(), done, sender)));
    loop {
        World::sleep(shop.world.micros(100, 40_000)).await;
        if shop.world.chance(3) {
            shop.world.fault(Fault::ConsumerMoved);
            return done;
        }
        if shop.world.chance(3) {
            shop.world.fault(Fault::ConsumerCrashed);
            return noted;
        }
        match SimRuntime::timeout(2 * PATIENCE, given.recv()).await {
            Ok(Some(Given::Upto(upto, records))) => {
                shop.oracle.fed(done, upto, &records, |record| filter.wants(record));
                shop.world
                    .trace(&[upto.0], || format!("a consumer of n{} has {upto}", shop.cluster.id(place)));
                done = upto;
            }
            Ok(Some(Given::Restart(seq))) => {
                if seq > shop.oracle.last_seq() || seq < done {
                    shop.world.report("feed", format!("a consumer at {done} is sent to a state at {seq}"));
                }
                return seq;
            }
            Ok(None) | Err(_) => return done,
        }
        if shop.world.chance(60) {
            noted = done;
        }
    }
}

/// Serves a consumer that has all up to `after`, on the member whose feed it is.
async fn serve(feed: Feed<SimHost>, filter: Arc<Filter>, mut after: Seq, sender: mpsc::Sender<Given>) {
    let replica = feed.replica();
    // A member may be behind what another has given.
    if after > replica.applied_seq() && replica.read_barrier(PATIENCE).await.is_err() {
        return;
    }
    if after > replica.applied_seq() || feed.epoch().is_err() {
        return;
    }
    if after.next() < replica.ledger_start() {
        // Who leaves needs no answer.
        let _ = sender.send(Given::Restart(replica.applied_seq())).await;
        return;
    }
    let seat = feed.join(filter.clone(), after);
    while let Some(given) = next(&seat, &filter, after).await {
        if let Given::Upto(upto, records) = &given {
            if *upto == after && records.is_empty() {
                if sender.is_closed() {
                    return;
                }
                continue;
            }
            after = *upto;
        }
        if sender.send(given).await.is_err() {
            return;
        }
    }
}

/// What there is next; none when the feed ends.
async fn next(seat: &Seat<SimHost>, filter: &Filter, after: Seq) -> Option<Given> {
    let wanted = |records: &[Record]| {
        let is_wanted = |record: &&Record| record.seq() > after && filter.wants(record);
        records.iter().filter(is_wanted).cloned().collect()
    };
    match seat.take() {
        Taken::Block(block) => Some(Given::Upto(block.last().max(after), wanted(block.records()))),
        Taken::Nothing { upto } if upto > after => Some(Given::Upto(upto, Vec::new())),
        Taken::Nothing { .. } => {
            // Whether something has come is seen next time.
            let _ = Simulated::timeout(PATIENCE, seat.called()).await;
            Some(Given::Upto(after, Vec::new()))
        }
        Taken::Behind { .. } => match seat.feed().replica().tail(after, LIMIT) {
            Ok(records) => {
                let upto = records.last().map_or(after, Record::seq);
                seat.move_to(upto);
                Some(Given::Upto(upto, wanted(&records)))
            }
            Err(LedgerError::Rebuilding { .. }) => {
                let more = seat.feed().replica().wait_for_more(after);
                // Whether it has come is seen next time.
                let _ = Simulated::timeout(PATIENCE, more).await;
                Some(Given::Upto(after, Vec::new()))
            }
            Err(LedgerError::Compacted { .. }) => Some(Given::Restart(seat.feed().replica().applied_seq())),
            Err(LedgerError::Damaged(_)) => None,
        },
    }
}
