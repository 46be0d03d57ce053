//! The leader is killed at once while clients of the sdk reserve: how long nothing was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_sdk::api::Reserve;
use holdfast_sdk::model::{ItemId, Quantity, StoreId};
use holdfast_sdk::{Client, Error};
use tokio::task::JoinSet;

use super::peers::ROWS;
use super::{Figures, Goal, Part, Ratio};
use crate::failure::{Result, fail};
use crate::holdfast::Holdfast;
use crate::room::Room;
use crate::rounds::{Sample, Series, tell};
use crate::stats::Spread;

const CLIENTS: u64 = 16;
/// Kills in a round: rounds are few, and the worst of many is wanted.
const KILLS_A_ROUND: usize = 2;
/// How long the load runs before the kill, and after the first acknowledgement that follows it.
const AROUND: Duration = Duration::from_millis(700);
/// How long the cluster may take to acknowledge again.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the clients share.
#[derive(Default)]
struct Load {
    ended: AtomicBool,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
}

/// Measures it.
pub async fn measure(room: &Room) -> Result<Figures> {
    let mut holdfast = Holdfast::start(room, 0, ROWS).await?;
    let mut gaps = Series::new("leader killed, last to first acknowledged", "ms");
    for kill in 0..room.rounds * KILLS_A_ROUND {
        let sample = one_kill(&mut holdfast).await?;
        tell(kill, &gaps, &sample);
        gaps.samples.push(sample);
    }
    let spread = gaps.spread();
    let name = gaps.name.clone();
    let mut figures = Figures::new(Part::Failover, vec![gaps], vec![holdfast.check().await?]);
    figures.hold(&name, Goal::AtMost(400.0));
    if let Some(Spread { max, .. }) = spread {
        let spread = Spread { min: max, median: max, max };
        figures.ratios.push(Ratio {
            name: "the worst, ms".to_owned(),
            spread,
            goal: Some(Goal::AtMost(1200.0)),
        });
    }
    Ok(figures)
}

async fn one_kill(holdfast: &mut Holdfast) -> Result<Sample> {
    let (client, load) = (holdfast.client()?, Arc::new(Load::default()));
    let mut tasks = JoinSet::new();
    for _ in 0..CLIENTS {
        tasks.spawn(reserve_on(client.clone(), load.clone()));
    }
    tokio::time::sleep(AROUND).await;
    let killed_at = Instant::now();
    let dead = holdfast.kill_leader()?;
    let is_over = await_progress(&load).await;
    tokio::time::sleep(AROUND).await;
    load.ended.store(true, Ordering::Relaxed);
    let mut times: Vec<Instant> = tasks.join_all().await.concat();
    is_over?;
    times.sort();
    holdfast.acknowledged += load.acknowledged.load(Ordering::Relaxed);
    holdfast.unanswered += load.unknown.load(Ordering::Relaxed);
    holdfast.revive(dead)?;
    holdfast.find_leader().await?;
    let mut sample = Sample::of(longest_gap(&times, killed_at).as_secs_f64() * 1000.0);
    sample.note("acknowledged", load.acknowledged.load(Ordering::Relaxed) as f64);
    sample.note("outcomeUnknown", load.unknown.load(Ordering::Relaxed) as f64);
    sample.note("failed", load.failed.load(Ordering::Relaxed) as f64);
    Ok(sample)
}

/// Waits until as many were acknowledged after now as there are clients: answers that were on their way are fewer.
async fn await_progress(load: &Load) -> Result<()> {
    let (before, deadline) = (load.acknowledged.load(Ordering::Relaxed), Instant::now() + PATIENCE);
    while load.acknowledged.load(Ordering::Relaxed) <= before + CLIENTS {
        if Instant::now() > deadline {
            return fail("nothing is acknowledged any more");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

/// Reserves until the load ends; returns when each reservation was acknowledged.
async fn reserve_on(client: Client, load: Arc<Load>) -> Vec<Instant> {
    let store: StoreId = "BENCH".parse().expect("letters");
    let mut times = Vec::new();
    while !load.ended.load(Ordering::Relaxed) {
        let item: ItemId = format!("ITEM-{}", fastrand::u64(0..ROWS)).parse().expect("letters and digits");
        match client.reserve(&store, &item, one_unit()).await {
            Ok(_) => {
                times.push(Instant::now());
                load.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(Error::OutcomeUnknown(_)) => _ = load.unknown.fetch_add(1, Ordering::Relaxed),
            Err(_) => _ = load.failed.fetch_add(1, Ordering::Relaxed),
        }
    }
    times
}

fn one_unit() -> Reserve {
    let qty = Quantity::new(1).expect("1 is a quantity");
    Reserve { qty, ttl_seconds: Some(3600), hold_id: None, owner: None, allow_partial: false }
}

/// The longest time without an acknowledgement that ends after the kill.
fn longest_gap(times: &[Instant], killed_at: Instant) -> Duration {
    let gaps = times.windows(2).filter(|pair| pair[1] > killed_at).map(|pair| pair[1] - pair[0]);
    gaps.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ends_after_the_kill_is_a_gap_of_it() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let times = [at(0), at(900), at(950), at(1400), at(1410)];
        assert_eq!(longest_gap(&times, at(960)), Duration::from_millis(450));
        assert_eq!(longest_gap(&times[..2], at(960)), Duration::ZERO);
    }
}
