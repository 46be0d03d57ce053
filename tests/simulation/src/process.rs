//! A process of a simulated machine: the tasks that run in it, which end, pause and go on together, and the clock that
//! they see.
//!
//! A task that is polled sets the process that it belongs to, so that whatever it spawns belongs there too.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use openraft_rt::AsyncRuntime;
use openraft_rt_sim::{SimInstant, SimRuntime};
use parking_lot::Mutex;

/// Where the clocks of processes start, in nanoseconds: a day in, so that nothing is taken from too little.
const EPOCH_NANOS: u64 = 86_400 * 1_000_000_000;

/// A million, of which the drift of a clock is counted in parts.
const MILLION: i128 = 1_000_000;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Process>>> = const { RefCell::new(None) };
}

/// A process.
pub struct Process {
    /// Which, over the whole run.
    pub number: u64,
    drift_ppm: i64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    is_dead: bool,
    is_paused: bool,
    panic: Option<String>,
    next_task: u64,
    tasks: BTreeMap<u64, Waker>,
}

impl Process {
    /// A process whose steady clock gains `drift_ppm` parts of a million.
    pub fn new(number: u64, drift_ppm: i64) -> Arc<Self> {
        Arc::new(Self { number, drift_ppm, inner: Mutex::default() })
    }

    /// The process of the task that is being polled.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Whether it still is.
    pub fn is_alive(&self) -> bool {
        !self.inner.lock().is_dead
    }

    /// Whether it stands still.
    pub fn is_paused(&self) -> bool {
        self.inner.lock().is_paused
    }

    /// Ends it where it stands: no task takes another step.
    pub fn kill(&self) {
        let mut inner = self.inner.lock();
        inner.is_dead = true;
        let tasks = std::mem::take(&mut inner.tasks);
        drop(inner);
        tasks.into_values().for_each(Waker::wake);
    }

    /// Lets it stand still, or go on.
    pub fn pause(&self, is_paused: bool) {
        let mut inner = self.inner.lock();
        inner.is_paused = is_paused;
        let tasks: Vec<Waker> = inner.tasks.values().cloned().collect();
        drop(inner);
        if !is_paused {
            tasks.into_iter().for_each(Waker::wake);
        }
    }

    /// Starts a task in it.
    pub fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> openraft_rt_sim::SimJoinHandle<Option<T>> {
        let mut inner = self.inner.lock();
        let key = inner.next_task;
        inner.next_task += 1;
        drop(inner);
        let task = Task { process: self.clone(), key, future: Some(Box::pin(future)), is_known: false };
        SimRuntime::spawn(task)
    }

    /// What a task of it said when it panicked.
    pub fn panic(&self) -> Option<String> {
        self.inner.lock().panic.clone()
    }

    /// Does something as this process; a panic is noted.
    fn within<R>(self: &Arc<Self>, work: impl FnOnce() -> R) -> R {
        let before = CURRENT.replace(Some(self.clone()));
        let done = catch_unwind(AssertUnwindSafe(work));
        CURRENT.set(before);
        done.unwrap_or_else(|panic| {
            self.inner.lock().panic = Some(said(panic.as_ref()));
            resume_unwind(panic)
        })
    }

    /// What its steady clock shows after `nanos` of the simulation's.
    fn local(&self, nanos: u64) -> u64 {
        let gained = i128::from(nanos) * i128::from(self.drift_ppm) / MILLION;
        EPOCH_NANOS + u64::try_from(i128::from(nanos) + gained).expect("a clock drifts slower than it goes")
    }

    /// How many of the simulation's nanoseconds pass at least while its clock goes on by `nanos`.
    fn global(&self, nanos: u64) -> u64 {
        let whole = i128::from(nanos) * MILLION;
        u64::try_from(whole / (MILLION + i128::from(self.drift_ppm)) + 2).unwrap_or(u64::MAX)
    }
}

/// What a panic said.
pub fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".to_owned())
}

/// Nanoseconds of the simulation's own clock since it began.
pub fn sim_nanos() -> u64 {
    SimInstant::try_now().map_or(0, |now| u64::try_from(now.elapsed_since_start().as_nanos()).unwrap_or(0))
}

/// What the clock of the current process shows, in nanoseconds.
pub fn local_nanos() -> u64 {
    let nanos = sim_nanos();
    CURRENT.with_borrow(|current| current.as_ref().map_or(EPOCH_NANOS + nanos, |it| it.local(nanos)))
}

/// The simulation's nanoseconds that must pass for so many of the current process.
pub fn global_nanos(nanos: u64) -> u64 {
    CURRENT.with_borrow(|current| match current {
        Some(process) if process.drift_ppm != 0 => process.global(nanos),
        _ => nanos,
    })
}

/// A task of a process.
struct Task<T> {
    process: Arc<Process>,
    key: u64,
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    is_known: bool,
}

impl<T> Future for Task<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let mut inner = this.process.inner.lock();
        if inner.is_dead {
            drop(inner);
            let future = this.future.take();
            this.process.within(|| drop(future));
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut this.is_known, true) {
            inner.tasks.insert(this.key, cx.waker().clone());
        }
        let is_paused = inner.is_paused;
        drop(inner);
        let Some(future) = this.future.as_mut().filter(|_| !is_paused) else { return Poll::Pending };
        let polled = this.process.within(|| future.as_mut().poll(cx));
        if polled.is_ready() {
            this.process.inner.lock().tasks.remove(&this.key);
        }
        polled.map(Some)
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        let future = self.future.take();
        self.process.within(|| drop(future));
    }
}
