//! The parts of a reservation's way, each by itself: what `micro` times and `instructions` counts.

mod apply;
mod codec;
mod feed;
mod json;
mod state;
mod storage;

/// One part: got ready, then run, by turns.
pub trait Part {
    /// What is not measured: makes what the next [`Self::run`] takes.
    fn ready(&mut self) {}

    /// What is measured.
    fn run(&mut self);
}

/// A part by its name, before anything was made for it.
#[derive(Clone, Copy)]
pub struct Named {
    /// Its name: a family and what is done.
    pub name: &'static str,
    /// How many commands or records one run is about.
    pub commands: u64,
    /// Makes it.
    pub make: fn() -> Box<dyn Part>,
}

/// Commands or records in one run of most parts.
pub const COMMANDS: u64 = 100;

/// All of them.
pub fn all() -> Vec<Named> {
    [apply::parts(), codec::parts(), state::parts(), storage::parts(), json::parts(), feed::parts()].concat()
}

/// A part that needs nothing ready.
struct Work<F: FnMut()>(F);

impl<F: FnMut()> Part for Work<F> {
    fn run(&mut self) {
        (self.0)();
    }
}
