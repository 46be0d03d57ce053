//! The load: clients that ask for operations on a few shelves at a time, at any node, and repeat what may not have been
//! done.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::history::{End, History};
use crate::op::Op;
use crate::web::Web;

/// Shelves that are used at a time: few, so that clients meet.
const SHELVES: usize = 16;

/// Operations after which a shelf is left alone: a search through more would take long.
const SHELF_OPERATIONS: u64 = 60;

/// Holds and orders of a shelf that clients still act on: the newest.
const REMEMBERED: usize = 6;

/// Times that one operation is asked for, at most.
const ATTEMPTS: u32 = 3;

/// A shelf in use.
struct Shelf {
    number: u64,
    used: AtomicU64,
    is_replaced: AtomicBool,
    holds: Mutex<Vec<u64>>,
    orders: Mutex<Vec<u64>>,
}

/// What all clients share.
struct Shared {
    web: Arc<Web>,
    history: Arc<History>,
    shelves: Vec<Mutex<Arc<Shelf>>>,
    numbers: AtomicU64,
    stop: AtomicBool,
}

/// Clients at work.
pub struct Clients {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Clients {
    /// Starts `count` clients that ask for `rate` operations a second altogether, as long as they are answered.
    #[must_use]
    pub fn start(web: &Arc<Web>, history: &Arc<History>, count: u32, rate: u32) -> Self {
        let shelves = (0..SHELVES).map(|_| Mutex::new(Arc::new(Shelf::used_up()))).collect();
        let (numbers, stop) = (AtomicU64::new(1), AtomicBool::new(false));
        let shared = Shared { web: web.clone(), history: history.clone(), shelves, numbers, stop };
        let shared = Arc::new(shared);
        let pause = Duration::from_secs(1) * count / rate;
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            tasks.spawn(work(shared.clone(), pause));
        }
        Self { shared, tasks }
    }

    /// Stops them, each after what it is at; returns how many panicked.
    pub async fn stop(mut self) -> usize {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut panicked = 0;
        while let Some(ended) = self.tasks.join_next().await {
            panicked += usize::from(ended.is_err());
        }
        panicked
    }
}

async fn work(shared: Arc<Shared>, pause: Duration) {
    let mut pace = tokio::time::interval(pause);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shared.stop.load(Ordering::Relaxed) {
        pace.tick().await;
        shared.step().await;
    }
}

impl Shelf {
    fn new(number: u64) -> Self {
        let (used, is_replaced) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { number, used, is_replaced, holds: Mutex::default(), orders: Mutex::default() }
    }

    /// In place of a shelf before there is one.
    fn used_up() -> Self {
        let shelf = Self::new(0);
        shelf.used.store(SHELF_OPERATIONS, Ordering::Relaxed);
        shelf
    }
}

/// Some element.
fn any(numbers: &Mutex<Vec<u64>>) -> Option<u64> {
    let numbers = numbers.lock().expect("no client panics");
    (!numbers.is_empty()).then(|| numbers[fastrand::usize(..numbers.len())])
}

fn remember(numbers: &Mutex<Vec<u64>>, number: u64) {
    let mut numbers = numbers.lock().expect("no client panics");
    numbers.push(number);
    if numbers.len() > REMEMBERED {
        numbers.remove(0);
    }
}

/// One line or two.
fn lines() -> [u64; 2] {
    let qty = || fastrand::u64(1..=5);
    match fastrand::u32(..10) {
        0..=3 => [qty(), 0],
        4..=7 => [0, qty()],
        _ => [qty(), qty()],
    }
}

fn ttl_seconds() -> Option<u64> {
    (fastrand::u32(..4) == 0).then(|| fastrand::u64(1..=3))
}

impl Shared {
    async fn step(&self) {
        let place = fastrand::usize(..SHELVES);
        let shelf = self.shelves[place].lock().expect("no client panics").clone();
        if shelf.used.fetch_add(1, Ordering::Relaxed) < SHELF_OPERATIONS {
            let op = self.choose(&shelf);
            self.perform(shelf.number, &op).await;
        } else if !shelf.is_replaced.swap(true, Ordering::Relaxed) {
            let new = Shelf::new(self.number());
            for item in 0..2 {
                let create = Op::Create { item, opening: fastrand::u64(10..60) };
                // What was not made is unknown to all who ask for it, and that is checked, too.
                self.perform(new.number, &create).await;
            }
            *self.shelves[place].lock().expect("no client panics") = Arc::new(new);
        }
    }

    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn choose(&self, shelf: &Shelf) -> Op {
        let item = fastrand::usize(..2);
        let read = |local| Op::ReadRow { item, local };
        let on_hold = |op: fn(u64) -> Op| any(&shelf.holds).map_or(read(false), op);
        let on_order = |op: &dyn Fn(u64) -> Op| any(&shelf.orders).map_or(read(false), op);
        match fastrand::u32(..100) {
            0..=24 => {
                let hold = self.number();
                remember(&shelf.holds, hold);
                Op::Reserve { hold, lines: lines(), ttl_seconds: ttl_seconds() }
            }
            25..=39 => on_hold(|hold| Op::Confirm { hold }),
            40..=46 => on_hold(|hold| Op::Release { hold }),
            47..=53 => Op::Adjust { key: self.number(), item, delta: fastrand::i64(-8..=8) | 1 },
            54..=58 => Op::Sale { event: self.number(), item, qty: fastrand::u64(1..=3) },
            59..=64 => Op::Receive { event: self.number(), item, qty: fastrand::u64(1..=9) },
            65..=70 => {
                let order = self.number();
                remember(&shelf.orders, order);
                Op::Place { order, lines: lines(), ttl_seconds: ttl_seconds() }
            }
            71..=75 => on_order(&|order| Op::Pay { order, payment: self.number() }),
            76..=78 => on_order(&|order| Op::Cancel { order }),
            79..=88 => read(false),
            89..=93 => read(true),
            94..=96 => on_hold(|hold| Op::ReadHold { hold }),
            _ => on_order(&|order| Op::ReadOrder { order }),
        }
    }

    /// Asks for an operation, again when it may not have been done, and now and then once more when it was.
    async fn perform(&self, shelf: u64, op: &Op) {
        for _ in 0..ATTEMPTS {
            let is_repeated = match self.ask(shelf, op).await {
                End::Answered { .. } => fastrand::u32(..20) == 0,
                End::NotDone(_) => fastrand::u32(..2) == 0,
                End::Unknown => fastrand::u32(..3) > 0,
                End::Senseless(_) => false,
            };
            if !is_repeated {
                return;
            }
        }
    }

    async fn ask(&self, shelf: u64, op: &Op) -> End {
        let node = fastrand::usize(..self.web.count());
        let call = self.history.call(shelf, node, self.web.life(node), op.clone());
        let end = self.web.perform(node, shelf, op).await;
        self.history.end(call, self.web.life(node), end.clone());
        end
    }
}
