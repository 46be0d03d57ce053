//! What callers ask: every command of the model, drawn as the model's own tests draw them, with the state at hand.

use std::collections::VecDeque;

use holdfast_model::{Actor, Command, Inventory, Movement, OrderAction, Request, Setting};
use parking_lot::Mutex;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::sequence::{Scale, Step, Writer, steps};

/// A table of at most so many bytes is small,
const SMALL_TABLE_BYTES: u64 = 4096;
/// and is made so many times as large.
const ROOM: u64 = 20;

/// A hold that was drawn to last no longer than this, in milliseconds,
const LONGEST_HOLD_MS: u64 = 30_000;
/// lasts so many times less.
const HURRY: u64 = 8;

/// Steps of one draw.
const STEPS: usize = 100;

/// What is asked, one step after the other.
pub struct Workload(Mutex<Inner>);

struct Inner {
    runner: TestRunner,
    writer: Writer,
    steps: VecDeque<Step>,
}

impl Workload {
    /// The workload of a seed.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let runner = TestRunner::new_with_rng(Config::default(), rng);
        let inner = Inner { runner, writer: Writer::default(), steps: VecDeque::new() };
        Self(Mutex::new(inner))
    }

    /// The next requests of a caller who has seen `inventory` and `ledger`.
    pub fn next(&self, inventory: &Inventory, ledger: &[Movement]) -> Vec<Request> {
        let mut inner = self.0.lock();
        loop {
            if let Some(step) = inner.steps.pop_front() {
                let mut requests = inner.writer.entry(&step, inventory, ledger).requests;
                for request in &mut requests {
                    give_room(request);
                    hurry(request);
                }
                if !requests.is_empty() {
                    return requests;
                }
                continue;
            }
            let mut drawn = steps(Scale::Small, STEPS)
                .new_tree(&mut inner.runner)
                .expect("nothing is filtered out")
                .current();
            if inventory.last_seq().0 > 0 {
                // The beginning sets limits and makes rows: once is enough.
                drawn.remove(0);
            }
            inner.steps.extend(drawn);
        }
    }
}

/// Tables are drawn so small that they are always full: most of them get room for what a simulation asks.
fn give_room(request: &mut Request) {
    let Command::Configure { changes } = &mut request.command else { return };
    for change in changes {
        let is_table = matches!(change.setting, Setting::KeyTableCapBytes | Setting::EventTableCapBytes);
        if is_table && change.value % 256 != 0 && change.value < SMALL_TABLE_BYTES {
            change.value *= ROOM;
        }
    }
}

/// Holds are drawn to last up to half a minute. Here they run out sooner, many of them while nobody leads.
fn hurry(request: &mut Request) {
    let (Command::Reserve { ttl_ms: Some(ttl_ms), .. }
    | Command::Extend { ttl_ms, .. }
    | Command::Order { action: OrderAction::Place { ttl_ms: Some(ttl_ms), .. }, .. }) = &mut request.command
    else {
        return;
    };
    if *ttl_ms <= LONGEST_HOLD_MS {
        *ttl_ms /= HURRY;
    }
}

/// The same requests, said to be asked by `actor`.
pub fn asked_by(requests: &[Request], actor: &str) -> Vec<Request> {
    let actor = Actor::new(actor).expect("a short name");
    requests.iter().cloned().map(|request| Request { actor: Some(actor.clone()), ..request }).collect()
}

/// Whether asking again is safe.
pub fn is_repeatable(request: &Request) -> bool {
    request.key.is_some()
        || match &request.command {
            Command::Reserve { .. } | Command::Transfer { .. } => true,
            Command::Count { event, .. }
            | Command::RecordSale { event, .. }
            | Command::Receive { event, .. } => event.is_some(),
            _ => false,
        }
}
