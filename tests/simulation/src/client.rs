//! A caller: asks, follows the leader, repeats what is safe to repeat when it does not know what became of it, and reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_model::{Request, RowKey};
use holdfast_replica::SubmitError;

use crate::cluster::Cluster;
use crate::coverage::Fault;
use crate::oracle::{Oracle, Sight};
use crate::sequence::rows;
use crate::workload::{Workload, asked_by, is_repeatable};
use crate::world::World;

/// A caller waits this long for one answer.
const PATIENCE: Duration = Duration::from_millis(2500);

/// A caller asks so often for the same.
const ATTEMPTS: u32 = 6;

/// What callers share.
#[derive(Clone)]
pub struct Shop {
    /// The simulation.
    pub world: World,
    /// Whom they ask.
    pub cluster: Cluster,
    /// Who looks at what they are told.
    pub oracle: Oracle,
    /// What they ask.
    pub workload: Arc<Workload>,
    /// Answers that do not reach their caller, in percent.
    pub answers_lost: u8,
    /// Callers stop before their next operation.
    pub is_closing: Arc<AtomicBool>,
}

/// What came of an attempt.
enum Fate {
    Known,
    /// Nothing was done; it may be asked again.
    NotDone,
    /// It may have been done.
    Unknown,
}

/// One caller, until all stop.
pub async fn run(shop: Shop, number: u64, think_micros: u64) {
    let mut place = usize::try_from(number).unwrap_or(0) % shop.cluster.len();
    for operation in 0_u64.. {
        World::sleep(shop.world.micros(500, think_micros)).await;
        if shop.is_closing.load(Ordering::Relaxed) {
            return;
        }
        if shop.world.chance(25) {
            read(&shop).await;
            continue;
        }
        let requests = shop.oracle.look(|inventory, ledger| shop.workload.next(inventory, ledger));
        place = write(&shop, &format!("c{number}-{operation}"), &requests, place).await;
    }
}

/// Writes until the fate is known, or no repeat is safe; returns where the leader was last.
pub async fn write(shop: &Shop, name: &str, requests: &[Request], mut place: usize) -> usize {
    for attempt in 0..ATTEMPTS {
        let actor = format!("{name}-{attempt}");
        shop.oracle.invoked(&actor);
        let submitted = shop.cluster.submit(place, asked_by(requests, &actor), PATIENCE).await;
        let fate = match submitted {
            Ok(_) if shop.world.chance(shop.answers_lost) => {
                shop.world.fault(Fault::CallerGaveUp);
                Fate::Unknown
            }
            Ok(submitted) => {
                shop.world.trace(&[submitted.applied_seq.0], || {
                    format!("{actor} is answered at {}", submitted.applied_seq)
                });
                shop.oracle.acknowledged(&actor, &submitted.replies, submitted.applied_seq);
                shop.world.cover(|coverage| coverage.count("writes acknowledged", 1));
                Fate::Known
            }
            Err(SubmitError::OutcomeUnknown) => Fate::Unknown,
            Err(error) => {
                if let SubmitError::Overloaded { .. } = error {
                    shop.world.cover(|coverage| coverage.count("overloaded", 1));
                }
                Fate::NotDone
            }
        };
        match fate {
            Fate::Known => return place,
            Fate::Unknown => {
                shop.world.cover(|coverage| coverage.count("writes of unknown fate", 1));
                if !requests.iter().all(is_repeatable) {
                    return place;
                }
            }
            Fate::NotDone => {}
        }
        place =
            shop.cluster.leader().unwrap_or_else(|| shop.world.draw(|rng| rng.usize(0..shop.cluster.len())));
        World::sleep(shop.world.micros(5_000, 300_000)).await;
    }
    place
}

/// Reads a row anywhere; most reads must be up to date.
pub async fn read(shop: &Shop) {
    let place = shop.world.draw(|rng| rng.usize(0..shop.cluster.len()));
    let Some(row) = shop.world.pick(&rows()) else { return };
    let is_strict = shop.world.chance(85);
    let floor = is_strict.then(|| shop.oracle.read_began());
    let sight = shop.cluster.with(place, PATIENCE, |replica| async move {
        if is_strict && replica.read_barrier(PATIENCE).await.is_err() {
            return None;
        }
        Some(replica.read(|inventory| {
            let RowKey { store, item } = &row;
            let view = inventory.row(store, item);
            Sight { digest: inventory.digest(), seq: inventory.last_seq(), row: (row.clone(), view) }
        }))
    });
    if let Some(Some(sight)) = sight.await {
        shop.oracle.read(floor, &sight);
    }
}
