//! Up-to-date reads: a read index from the leader, one round for all who wait, and then the wait until this member has
//! applied that far.

use std::sync::Arc;
use std::time::Duration;

use openraft::{AsyncRuntime, Raft, ReadPolicy};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::machine::Machine;
use crate::peers::Peers;
use crate::types::{Host, Types};

/// How long one round may take before its waiters try another: a leader that died answers nothing.
const ROUND_TIMEOUT: Duration = Duration::from_millis(500);

/// Callers that wait for a read index.
#[derive(Default)]
pub struct ReadRounds {
    waiting: Mutex<Vec<oneshot::Sender<Option<u64>>>>,
    arrived: Notify,
}

impl ReadRounds {
    /// An index that was committed when a round began that began after this call. None when the round failed: nobody
    /// leads, as far as is known.
    pub async fn next_index(&self) -> Option<u64> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().push(sender);
        self.arrived.notify_one();
        receiver.await.ok().flatten()
    }

    /// Runs rounds, one after another, for as long as anybody holds the handle.
    pub async fn run<H: Host>(self: Arc<Self>, raft: Raft<Types<H>, Machine<H>>, peers: Peers<H>) {
        loop {
            self.arrived.notified().await;
            // Only those who came before the round began share it.
            let waiting = std::mem::take(&mut *self.waiting.lock());
            let index = H::Runtime::timeout(ROUND_TIMEOUT, read_index(&raft, &peers)).await.ok().flatten();
            for waiter in waiting {
                // A caller that has stopped waiting needs no answer.
                let _ = waiter.send(index);
            }
        }
    }
}

/// The read index: confirmed by a majority on the leader, asked of the leader elsewhere.
async fn read_index<H: Host>(raft: &Raft<Types<H>, Machine<H>>, peers: &Peers<H>) -> Option<u64> {
    #[cfg(feature = "planted-bugs")]
    if holdfast_model::planted::is(holdfast_model::planted::Bug::ReadWithoutIndex) {
        use openraft::async_runtime::watch::WatchReceiver as _;
        let applied = raft.metrics().borrow_watched().last_applied;
        return Some(applied.map_or(0, |applied| applied.index()));
    }
    if raft.is_leader() {
        return leader_read_index(raft).await;
    }
    let leader = raft.current_leader().await?;
    peers.read_index(leader, ROUND_TIMEOUT).await
}

/// The read index as the leader finds it; none when it is not, or not safely, the leader.
pub async fn leader_read_index<H: Host>(raft: &Raft<Types<H>, Machine<H>>) -> Option<u64> {
    let linearizer = raft.get_read_linearizer(ReadPolicy::ReadIndex).await.ok()?;
    Some(linearizer.read_log_id().index())
}
