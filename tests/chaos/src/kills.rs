//! The leader is killed again and again, and it is measured how long no write is answered.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::faults::PATIENCE;
use crate::history::{End, History};
use crate::op::Op;
use crate::site::{MEMBERS, Site, State};

/// A shelf that only the measuring uses.
const SHELF: u64 = 0;

/// Between two tries of a write, so that it is measured to about that.
const TRY_AGAIN: Duration = Duration::from_millis(2);

/// Kills the leader `count` times; returns how long after each kill the first write that was begun after it was answered,
/// whichever of the others was asked.
///
/// # Errors
/// When there is no leader in time.
pub async fn kill_leaders(site: &mut Site, history: &History, count: u32) -> Result<Vec<Duration>, String> {
    let create = Op::Create { item: 0, opening: 0 };
    write(site, history, &create, Instant::now()).await?;
    let mut outages = Vec::new();
    for number in 0..u64::from(count) {
        let leader = await_leader(site).await?;
        // Long enough for clients to have found it.
        sleep(Duration::from_millis(500)).await;
        history.fault(&format!("leader-kill: node {}", leader + 1));
        site.kill(leader).await;
        // Numbers that the load does not come to.
        let receive = Op::Receive { event: (1 << 40) + number, item: 0, qty: 1 };
        outages.push(write(site, history, &receive, Instant::now()).await?);
        site.start_node(leader);
        await_whole(site).await?;
    }
    Ok(outages)
}

/// Asks for a write at the nodes that run, one after the other, until it is answered; returns how long after `since`.
async fn write(site: &Site, history: &History, op: &Op, since: Instant) -> Result<Duration, String> {
    let up = site.all(State::Up);
    for node in up.iter().cycle() {
        let call = history.call(SHELF, *node, site.web.life(*node), op.clone());
        let end = site.web.perform(*node, SHELF, op).await;
        let is_answered = matches!(end, End::Answered { .. });
        history.end(call, site.web.life(*node), end);
        if is_answered {
            return Ok(since.elapsed());
        }
        if since.elapsed() > PATIENCE {
            break;
        }
        sleep(TRY_AGAIN).await;
    }
    Err(format!("no write is answered within {PATIENCE:?}"))
}

async fn await_leader(site: &Site) -> Result<usize, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match site.leader().await {
            Some(leader) => return Ok(leader),
            None if Instant::now() > deadline => return Err("nobody leads".to_owned()),
            None => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until all nodes are ready: a kill with another node behind would measure something else.
async fn await_whole(site: &Site) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    for node in 0..MEMBERS {
        while site.web.get(node, "/readyz", Duration::from_secs(2)).await.is_none() {
            if Instant::now() > deadline {
                return Err(format!("node {} is not ready", node + 1));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}
