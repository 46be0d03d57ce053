//! The runtime that members run on: the simulated one of the consensus library, with tasks that belong to a process and
//! see its clock.

use std::future::Future;
use std::io;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft_rt::AsyncRuntime;
use openraft_rt_sim::{Elapsed, SimJoinError, SimJoinHandle, SimRuntime, SimSleep, SimTimeout};

use crate::process::{Process, global_nanos, local_nanos};

/// The runtime.
#[derive(Debug)]
pub struct Simulated(SimRuntime);

/// A point on the steady clock of a process, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4)
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.checked_sub(nanos(duration)).expect("clocks start late enough"))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl openraft_rt::Instant for Instant {
    fn now() -> Self {
        Self(local_nanos())
    }
}

/// Waits for a task.
pub struct Joined<T>(SimJoinHandle<Option<T>>);

impl<T> Future for Joined<T> {
    type Output = Result<T, SimJoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let joined = Pin::new(&mut self.get_mut().0).poll(cx);
        joined.map(|joined| joined.and_then(|done| done.ok_or(SimJoinError::Cancelled)))
    }
}

fn until(deadline: Instant) -> Duration {
    let now = local_nanos();
    Duration::from_nanos(global_nanos(deadline.0.saturating_sub(now)))
}

impl AsyncRuntime for Simulated {
    type JoinError = SimJoinError;
    type JoinHandle<T: Send + 'static> = Joined<T>;
    type Sleep = SimSleep;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + Send> = SimTimeout<T>;
    type ThreadLocalRng = <SimRuntime as AsyncRuntime>::ThreadLocalRng;
    type Mpsc = <SimRuntime as AsyncRuntime>::Mpsc;
    type Watch = <SimRuntime as AsyncRuntime>::Watch;
    type Oneshot = <SimRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: Send + 'static> = <SimRuntime as AsyncRuntime>::Mutex<T>;

    fn spawn<T>(future: T) -> Joined<T::Output>
    where
        T: Future + Send + 'static,
        T::Output: Send + 'static,
    {
        let process = Process::current().expect("a member runs in a process");
        Joined(process.spawn(future))
    }

    fn sleep(duration: Duration) -> SimSleep {
        SimRuntime::sleep(Duration::from_nanos(global_nanos(nanos(duration))))
    }

    fn sleep_until(deadline: Instant) -> SimSleep {
        SimRuntime::sleep(until(deadline))
    }

    fn timeout<R, F: Future<Output = R> + Send>(duration: Duration, future: F) -> SimTimeout<F> {
        SimRuntime::timeout(Duration::from_nanos(global_nanos(nanos(duration))), future)
    }

    fn timeout_at<R, F: Future<Output = R> + Send>(deadline: Instant, future: F) -> SimTimeout<F> {
        SimRuntime::timeout(until(deadline), future)
    }

    fn is_panic(error: &SimJoinError) -> bool {
        SimRuntime::is_panic(error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        SimRuntime::thread_rng()
    }

    fn new(threads: usize) -> Self {
        Self(SimRuntime::new(threads))
    }

    fn block_on<F: Future<Output = T>, T>(&mut self, future: F) -> T {
        self.0.block_on(future)
    }

    async fn spawn_blocking<F, T>(work: F) -> io::Result<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(work())
    }
}
