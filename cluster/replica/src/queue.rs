//! Commands on their way in: those that wait to be proposed, and whether they were handed to the log already.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use holdfast_model::{Reply, Request};
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

const WAITING: u8 = 0;
const HANDED: u8 = 1;
const CANCELLED: u8 = 2;

/// What became of commands that waited.
#[derive(Debug)]
pub enum Fate {
    /// They were applied.
    Applied(Vec<Reply>),
    /// They were not handed to the log: this member does not lead, or not safely.
    NotHanded,
    /// They were handed to the log, and it is not known what became of them.
    Unknown,
}

/// Commands of one caller.
pub struct Waiting {
    /// The commands.
    pub requests: Vec<Request>,
    stage: Arc<AtomicU8>,
    fate: oneshot::Sender<Fate>,
}

impl Waiting {
    /// Takes them for the log, unless their caller has given up.
    pub fn hand_over(&self) -> bool {
        self.stage.compare_exchange(WAITING, HANDED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Tells their caller.
    pub fn settle(self, fate: Fate) {
        // A caller that has stopped waiting needs no answer.
        let _ = self.fate.send(fate);
    }
}

/// The caller's end.
pub struct Ticket {
    stage: Arc<AtomicU8>,
    fate: oneshot::Receiver<Fate>,
}

impl Ticket {
    /// What became of the commands.
    pub async fn fate(&mut self) -> Fate {
        match (&mut self.fate).await {
            Ok(fate) => fate,
            Err(_) if self.cancel() => Fate::NotHanded,
            Err(_) => Fate::Unknown,
        }
    }

    /// Gives up. True when the commands were not handed to the log, and now never will be.
    pub fn cancel(&self) -> bool {
        self.stage.compare_exchange(WAITING, CANCELLED, Ordering::AcqRel, Ordering::Acquire) != Err(HANDED)
    }
}

/// Commands that wait to be proposed.
pub struct Queue {
    waiting: Mutex<Inner>,
    arrived: Notify,
    capacity: usize,
}

#[derive(Default)]
struct Inner {
    callers: VecDeque<Waiting>,
    commands: usize,
}

impl Inner {
    fn forget_cancelled(&mut self) {
        self.callers.retain(|caller| caller.stage.load(Ordering::Acquire) != CANCELLED);
        self.commands = self.callers.iter().map(|caller| caller.requests.len()).sum();
    }
}

impl Queue {
    /// A queue for at most `capacity` commands.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), capacity }
    }

    /// Queues commands; refuses, and gives them back, when too many wait.
    pub fn push(&self, requests: Vec<Request>) -> Result<Ticket, (usize, Vec<Request>)> {
        let mut inner = self.waiting.lock();
        if inner.commands + requests.len() > self.capacity {
            inner.forget_cancelled();
        }
        // One call may always enter an empty queue, however large it is.
        if inner.commands > 0 && inner.commands + requests.len() > self.capacity {
            return Err((inner.commands, requests));
        }
        inner.commands += requests.len();
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (sender, receiver) = oneshot::channel();
        inner.callers.push_back(Waiting { requests, stage: stage.clone(), fate: sender });
        drop(inner);
        self.arrived.notify_one();
        Ok(Ticket { stage, fate: receiver })
    }

    /// Takes callers in order, until they have `limit` commands between them; at least one when any waits.
    pub fn take(&self, limit: usize) -> Vec<Waiting> {
        let mut inner = self.waiting.lock();
        let (mut taken, mut commands) = (Vec::new(), 0);
        while let Some(next) = inner.callers.front() {
            if commands > 0 && commands + next.requests.len() > limit {
                break;
            }
            commands += next.requests.len();
            taken.extend(inner.callers.pop_front());
        }
        inner.commands -= commands;
        taken
    }

    /// How many commands wait.
    pub fn len(&self) -> usize {
        self.waiting.lock().commands
    }

    /// Resolves when commands have come since the last call.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }
}
