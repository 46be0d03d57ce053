//! Makes log entries of waiting commands, on the leader: everything that has gathered becomes one entry, so that many
//! commands share one record, one sync and one message to each peer. It also lets time pass when a hold is due and
//! nothing else is going on.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_model::{Applied, ClusterTime, Entry, Reply, UtcMillis, codec};
use openraft::alias::{InstantOf, OneshotReceiverOf};
use openraft::errors::ClientWriteError;
use openraft::impls::OneshotResponder;
use openraft::{AsyncRuntime, Raft};

use crate::clock::Clock;
use crate::machine::Machine;
use crate::queue::{Fate, Queue, Waiting};
use crate::state::State;
use crate::types::{Host, Proposal, Types};

/// How far UTC as the state knows it may be from the leader's wall clock, in milliseconds, before it is set anew.
const UTC_TOLERANCE_MS: u64 = 1000;

/// How long the proposer waits at most before it looks again whether a hold is due.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Reads the wall clock of this machine. It decides nothing: people are shown it.
pub type WallClock = Arc<dyn Fn() -> UtcMillis + Send + Sync>;

/// What the proposer works with.
pub struct Proposer<H: Host> {
    /// The consensus library's handle.
    pub raft: Raft<Types<H>, Machine<H>>,
    /// Commands that wait.
    pub queue: Arc<Queue>,
    /// What was applied.
    pub state: Arc<State>,
    /// Cluster time.
    pub clock: Arc<Clock<InstantOf<Types<H>>>>,
    /// UTC.
    pub wall: WallClock,
    /// The most commands in one entry.
    pub max_entry_commands: usize,
}

type Outcome<H> = Result<Box<Applied>, ClientWriteError<Types<H>>>;

impl<H: Host> Proposer<H> {
    /// Proposes for as long as the consensus library runs.
    pub async fn run(self) {
        loop {
            let callers = self.next().await;
            if !self.raft.is_leader() {
                settle_all(callers, || Fate::NotHanded);
                continue;
            }
            let callers: Vec<Waiting> = callers.into_iter().filter(Waiting::hand_over).collect();
            if callers.is_empty() && !self.tick_is_due() {
                continue;
            }
            if !self.propose(callers).await {
                return;
            }
        }
    }

    /// The callers whose commands make the next entry; none when only time has to pass.
    async fn next(&self) -> Vec<Waiting> {
        loop {
            let callers = self.queue.take(self.max_entry_commands);
            if !callers.is_empty() || self.tick_is_due() {
                return callers;
            }
            let wait = self.until_tick();
            // A time-out is the other way on: time has passed.
            let _ = H::Runtime::timeout(wait, self.queue.arrived()).await;
        }
    }

    fn next_deadline(&self) -> Option<ClusterTime> {
        self.state.look(|at| at.inventory.next_deadline())
    }

    fn tick_is_due(&self) -> bool {
        self.raft.is_leader() && self.next_deadline().is_some_and(|deadline| deadline <= self.clock.now())
    }

    fn until_tick(&self) -> Duration {
        let least = Duration::from_millis(1);
        self.next_deadline()
            .map_or(LOOK_AGAIN, |deadline| self.clock.until(deadline).clamp(least, LOOK_AGAIN))
    }

    /// Proposes one entry and waits until its fate is known. False when the consensus library has stopped.
    async fn propose(&self, mut callers: Vec<Waiting>) -> bool {
        let is_tick = callers.is_empty();
        let counts: Vec<usize> = callers.iter().map(|caller| caller.requests.len()).collect();
        let requests = callers.iter_mut().flat_map(|caller| std::mem::take(&mut caller.requests)).collect();
        let stamp = self.clock.stamp();
        let entry = Entry { stamp, utc_offset_ms: self.new_utc_offset(stamp), requests };
        let bytes = Bytes::from(codec::encode(&entry));
        let proposal = Proposal { bytes, entry: Some(Arc::new(entry)) };
        match self.write(proposal).await {
            Some(Ok(applied)) => {
                let mut replies = applied.replies.into_iter();
                for (caller, count) in callers.into_iter().zip(counts) {
                    let replies: Vec<Reply> = replies.by_ref().take(count).collect();
                    caller.settle(Fate::Applied(replies));
                }
                true
            }
            Some(Err(ClientWriteError::ForwardToLeader(_))) => {
                settle_all(callers, || Fate::NotHanded);
                if is_tick {
                    // The lease is gone, or leadership is being handed over: not before the next heartbeat.
                    H::Runtime::sleep(LOOK_AGAIN).await;
                }
                true
            }
            Some(Err(_)) => {
                settle_all(callers, || Fate::Unknown);
                true
            }
            None => {
                settle_all(callers, || Fate::Unknown);
                false
            }
        }
    }

    async fn write(&self, proposal: Proposal) -> Option<Outcome<H>> {
        let (responder, receiver): (_, OneshotReceiverOf<Types<H>, _>) = OneshotResponder::new_pair();
        self.raft.client_write_ff(proposal, Some(responder)).await.ok()?;
        let written: Result<_, _> = receiver.await.ok()?;
        Some(
            written.map(|response: openraft::raft::ClientWriteResponse<Types<H>>| {
                response.data.unwrap_or_default()
            }),
        )
    }

    /// The offset from cluster time to UTC, when the one that the state knows is off.
    fn new_utc_offset(&self, stamp: ClusterTime) -> Option<i64> {
        let offset = (self.wall)().0.saturating_sub_unsigned(stamp.0);
        let known = self.state.look(|at| at.inventory.utc_offset_ms());
        match known {
            Some(known) if known.abs_diff(offset) <= UTC_TOLERANCE_MS => None,
            _ => Some(offset),
        }
    }
}

fn settle_all(callers: Vec<Waiting>, fate: impl Fn() -> Fate) {
    for caller in callers {
        caller.settle(fate());
    }
}
