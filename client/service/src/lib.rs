//! What the services around a cluster have in common: how they read settings and requests, answer, log, count, run and
//! are asked to stop. It knows nothing of what any of them is for.

mod asked;
mod fallback;
#[cfg(test)]
mod fuzz;
pub mod logs;
pub mod metrics;
mod process;
pub mod read;
pub mod reply;
pub mod settings;

pub use asked::Asked;
pub use fallback::with_problems;
pub use process::{Outcome, Process, run_process};
