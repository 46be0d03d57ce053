//! What callers ask: every command of the model, drawn as the model's own tests draw them, with the state at hand.

use std::collections::VecDeque;

use holdfast_model::{Actor, Command, Inventory, Movement, Request};
use parking_lot::Mutex;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::sequence::{Scale, Step, Writer, steps};

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
                let requests = inner.writer.entry(&step, inventory, ledger).requests;
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
