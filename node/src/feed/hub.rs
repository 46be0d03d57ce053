//! The feed of one node: one task that publishes what was applied, for as long as anybody subscribes, and what its
//! subscribers share.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdfast_api::{Epoch, ErrorCode, Problem};
use holdfast_model::Seq;
use holdfast_replica::types::Host;
use holdfast_replica::{LedgerError, Live, Replica};
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::yield_now;

use super::block::Block;
use super::filter::Filter;
use super::ring::{Ring, Taken};

/// Records in one block: about 100 kB as a subscriber gets them.
const BLOCK_RECORDS: usize = 256;

/// Reads of the ledger, or of a snapshot, that go on at the same time for subscribers: those that catch up take turns.
const TURNS: usize = 2;

/// Snapshots that are streamed at the same time: each keeps a state of its own alive as the live one moves on.
const SNAPSHOTS: usize = 4;

/// What waking a subscriber costs, about: that much time is left to others after it, so that many subscribers of a busy
/// ledger get more at a time instead of taking the node from those who write.
const WAKE_COST: Duration = Duration::from_micros(20);

/// A pause shorter than the timer's step is not worth one.
const LEAST_PAUSE: Duration = Duration::from_millis(1);

/// Limits of a feed.
#[derive(Debug, Clone, Copy)]
pub struct FeedOptions {
    /// Subscribers at the same time.
    pub max_readers: usize,
    /// How long a reader may take nothing while something waits for it.
    pub stall: Duration,
}

/// The feed of one node. Cheap to clone: a handle.
pub struct Feed<H: Host = Live>(Arc<Inner<H>>);

impl<H: Host> Clone for Feed<H> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<H: Host> {
    replica: Replica<H>,
    options: FeedOptions,
    ring: Mutex<Fed>,
    readers: Arc<Semaphore>,
    snapshots: Arc<Semaphore>,
    turns: Semaphore,
    end: OnceLock<Problem>,
}

#[derive(Default)]
struct Fed {
    ring: Ring,
    /// Whether the task that publishes runs. While it does not, nobody stands idle.
    is_fed: bool,
}

impl<H: Host> Feed<H> {
    /// The feed of `replica`.
    pub fn new(replica: Replica<H>, options: FeedOptions) -> Self {
        let readers = options.max_readers.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            replica,
            options,
            ring: Mutex::default(),
            readers: Arc::new(Semaphore::new(readers)),
            snapshots: Arc::new(Semaphore::new(SNAPSHOTS)),
            turns: Semaphore::new(TURNS),
            end: OnceLock::new(),
        }))
    }

    /// The replica whose feed it is.
    pub fn replica(&self) -> &Replica<H> {
        &self.0.replica
    }

    /// Its limits.
    pub fn options(&self) -> &FeedOptions {
        &self.0.options
    }

    /// The epoch of its cursors.
    ///
    /// # Errors
    /// While this node has no cluster.
    pub fn epoch(&self) -> Result<Epoch, Problem> {
        let epoch = self.0.replica.epoch().and_then(|epoch| epoch.parse().ok());
        epoch.ok_or_else(|| Problem::new(ErrorCode::NoLeader, "this node has no cluster yet"))
    }

    /// Room for a subscriber.
    ///
    /// # Errors
    /// When there is none, or the feed has ended.
    pub fn admit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.room(&self.0.readers, self.0.options.max_readers, "feeds")
    }

    /// Room for a snapshot.
    ///
    /// # Errors
    /// When there is none, or the feed has ended.
    pub fn admit_snapshot(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.room(&self.0.snapshots, SNAPSHOTS, "snapshots")
    }

    fn room(&self, of: &Arc<Semaphore>, limit: usize, what: &str) -> Result<OwnedSemaphorePermit, Problem> {
        if let Some(end) = self.ended() {
            return Err(end.clone());
        }
        of.clone().try_acquire_owned().map_err(|_| {
            let detail = format!("{limit} {what} are being read here, which is the limit");
            Problem::new(ErrorCode::Overloaded, detail).with("limit", limit)
        })
    }

    /// Waits for a turn at reading the ledger.
    pub async fn turn(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.0.turns.acquire().await.expect("nobody closes it")
    }

    /// Ends all streams with `problem`, now and for good.
    pub fn end(&self, problem: Problem) {
        // The first reason stays.
        let _ = self.0.end.set(problem);
        self.0.ring.lock().ring.ring_all();
    }

    /// Why all streams end, when they do.
    pub fn ended(&self) -> Option<&Problem> {
        self.0.end.get()
    }

    /// A subscriber's place.
    pub fn join(&self, filter: Arc<Filter>, after: Seq) -> Seat<H> {
        let bell = Arc::new(Notify::new());
        let key = self.fed(|ring| ring.join(filter, bell.clone(), after));
        Seat { feed: self.clone(), key, bell }
    }

    /// Does something with the ring while it is fed.
    fn fed<T>(&self, work: impl FnOnce(&mut Ring) -> T) -> T {
        let mut fed = self.0.ring.lock();
        if !fed.is_fed {
            fed.is_fed = true;
            fed.ring.restart(self.0.replica.applied_seq());
            self.0.replica.spawn(self.clone().publish());
        }
        work(&mut fed.ring)
    }

    /// Publishes what is applied until nobody subscribes.
    async fn publish(self) {
        loop {
            let after = self.0.ring.lock().ring.published();
            self.0.replica.wait_for_more(after).await;
            match self.publish_from(after).await {
                Ok(0) => {}
                Ok(woken) => self.pause_for(woken).await,
                Err(LedgerError::Rebuilding { .. }) => continue,
                Err(LedgerError::Compacted { .. } | LedgerError::Damaged(_)) => {
                    // Each finds out in the ledger how that concerns it.
                    let mut fed = self.0.ring.lock();
                    fed.ring.scatter();
                    fed.is_fed = false;
                    return;
                }
            }
            let mut fed = self.0.ring.lock();
            if fed.ring.is_deserted() {
                *fed = Fed::default();
                return;
            }
        }
    }

    /// Publishes all that follows; returns how many subscribers it woke.
    async fn publish_from(&self, mut after: Seq) -> Result<usize, LedgerError> {
        let mut woken = 0;
        // Read where it lies, in memory, since it was written a moment ago.
        while let Some(block) = Block::new(self.0.replica.tail(after, BLOCK_RECORDS)?) {
            after = block.last();
            let is_full = block.records().len() == BLOCK_RECORDS;
            woken += self.0.ring.lock().ring.publish(Arc::new(block));
            if !is_full {
                break;
            }
            yield_now().await;
        }
        Ok(woken)
    }

    async fn pause_for(&self, woken: usize) {
        let pause = WAKE_COST.saturating_mul(u32::try_from(woken).unwrap_or(u32::MAX));
        if pause >= LEAST_PAUSE {
            self.0.replica.pause(pause).await;
        }
    }
}

/// A subscriber's place in the ring, until it is dropped.
pub struct Seat<H: Host = Live> {
    feed: Feed<H>,
    key: u64,
    bell: Arc<Notify>,
}

impl<H: Host> Seat<H> {
    /// The feed that it is in.
    pub fn feed(&self) -> &Feed<H> {
        &self.feed
    }

    /// What there is for it.
    pub fn take(&self) -> Taken {
        self.feed.0.ring.lock().ring.take(self.key)
    }

    /// It has read the ledger up to `after`.
    pub fn move_to(&self, after: Seq) {
        self.feed.fed(|ring| ring.move_to(self.key, after));
    }

    /// Waits until there may be something for it.
    pub async fn called(&self) {
        self.bell.notified().await;
    }
}

impl<H: Host> Drop for Seat<H> {
    fn drop(&mut self) {
        self.feed.0.ring.lock().ring.leave(self.key);
    }
}
