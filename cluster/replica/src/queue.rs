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

/// Commands that wait may take as many bytes together; then new ones are refused as when too many wait.
const MAX_QUEUED_BYTES: usize = 256 << 20;

/// The commands of one entry take as many bytes, or are those of one caller: an entry must fit into a message to a peer
/// ([`crate::tcp::MAX_FRAME_BYTES`]).
const MAX_ENTRY_BYTES: usize = 64 << 20;

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
    bytes: usize,
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
    bytes: usize,
}

impl Inner {
    fn forget_cancelled(&mut self) {
        self.callers.retain(|caller| caller.stage.load(Ordering::Acquire) != CANCELLED);
        self.commands = self.callers.iter().map(|caller| caller.requests.len()).sum();
        self.bytes = self.callers.iter().map(|caller| caller.bytes).sum();
    }
}

impl Queue {
    /// A queue for at most `capacity` commands.
    pub fn new(capacity: usize) -> Self {
        Self { waiting: Mutex::default(), arrived: Notify::new(), capacity }
    }

    /// Queues commands; refuses, and gives them back, when too many wait.
    pub fn push(&self, requests: Vec<Request>) -> Result<Ticket, (usize, Vec<Request>)> {
        let bytes: usize = requests.iter().map(Request::memory_bytes).sum();
        let is_full = |inner: &Inner| {
            inner.commands + requests.len() > self.capacity || inner.bytes + bytes > MAX_QUEUED_BYTES
        };
        let mut inner = self.waiting.lock();
        if is_full(&inner) {
            inner.forget_cancelled();
        }
        // One call may always enter an empty queue, however large it is.
        if inner.commands > 0 && is_full(&inner) {
            return Err((inner.commands, requests));
        }
        inner.commands += requests.len();
        inner.bytes += bytes;
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (sender, receiver) = oneshot::channel();
        inner.callers.push_back(Waiting { requests, bytes, stage: stage.clone(), fate: sender });
        drop(inner);
        self.arrived.notify_one();
        Ok(Ticket { stage, fate: receiver })
    }

    /// Takes callers in order, until they have `limit` commands or as many bytes as an entry may have between them; at least
    /// one when any waits.
    pub fn take(&self, limit: usize) -> Vec<Waiting> {
        let mut inner = self.waiting.lock();
        let (mut taken, mut commands, mut bytes) = (Vec::new(), 0, 0);
        while let Some(next) = inner.callers.front() {
            let is_too_much = commands + next.requests.len() > limit || bytes + next.bytes > MAX_ENTRY_BYTES;
            if commands > 0 && is_too_much {
                break;
            }
            commands += next.requests.len();
            bytes += next.bytes;
            taken.extend(inner.callers.pop_front());
        }
        inner.commands -= commands;
        inner.bytes -= bytes;
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

#[cfg(test)]
mod tests {
    use holdfast_model::{Command, DeadLetterId, Direction, LetterAction, LetterBody, Reason, StoreId};

    use super::*;

    /// Requests that take about so many bytes: here they share one body.
    fn large(bytes: usize) -> Vec<Request> {
        const BODY: usize = 4 << 20;
        let action = LetterAction::Keep {
            store: StoreId::new("S1").unwrap(),
            direction: Direction::FromStore,
            reason: Reason::new("broken").unwrap(),
            body: LetterBody::new(vec![7; BODY]),
        };
        let letter = DeadLetterId::from_uuid(uuid::Uuid::from_u128(7));
        vec![
            Request { command: Command::DeadLetter { letter, action }, key: None, actor: None };
            bytes / BODY
        ]
    }

    #[test]
    fn commands_of_too_many_bytes_are_refused_and_an_entry_takes_only_so_many() {
        const LARGE: usize = 40 << 20;
        let queue = Queue::new(10_000);
        let mut tickets = Vec::new();
        while let Ok(ticket) = queue.push(large(LARGE)) {
            tickets.push(ticket);
        }
        assert_eq!(tickets.len(), MAX_QUEUED_BYTES / LARGE);
        // Those that were given up make room.
        assert!(tickets.pop().unwrap().cancel());
        tickets.push(queue.push(large(LARGE)).expect("there is room"));
        let mut entries = 0;
        while queue.len() > 0 {
            assert_eq!(queue.take(10_000).len(), 1, "two do not fit into an entry");
            entries += 1;
        }
        assert_eq!(entries, tickets.len());
        queue.push(large(2 * MAX_QUEUED_BYTES)).expect("one call enters an empty queue, however large it is");
        let small = || vec![Request { command: Command::Tick, key: None, actor: None }];
        assert!(queue.push(small()).is_err());
        assert_eq!(queue.take(10_000).len(), 1);
        queue.push(small()).expect("there is room");
    }
}
