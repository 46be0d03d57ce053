//! Runs seeds, and says what was found, how often everything happened, and how to see a failure again.

use std::process::ExitCode;

use clap::Parser;
use holdfast_simulation::{Plan, run, run_many};

/// So many seeds reach everything; of fewer it is not asked.
const COVERING_SEEDS: u64 = 150;

/// Simulates whole clusters of Holdfast, with faults that are drawn from a seed.
#[derive(Parser)]
struct Args {
    /// Seeds to run.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Seeds that run at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Run this seed alone, and print everything that happens in it.
    #[arg(long)]
    trace: Option<u64>,
    /// Plant this bug, and run one seed after the other until it is found.
    #[cfg(feature = "planted-bugs")]
    #[arg(long)]
    planted: Option<String>,
}

/// Runs one seed after the other until the bug with this name is found, or with no name finds nothing.
#[cfg(feature = "planted-bugs")]
fn find(name: &str, args: &Args) -> ExitCode {
    use holdfast_model::planted::{Bug, plant};
    plant(Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name));
    for seed in args.from..args.from + args.seeds {
        let outcome = run(seed, args.trace == Some(seed));
        if outcome.finding.is_some() {
            println!("{}", outcome.summary());
            return ExitCode::SUCCESS;
        }
    }
    println!("nothing was found");
    ExitCode::FAILURE
}

fn main() -> ExitCode {
    let args = Args::parse();
    #[cfg(feature = "planted-bugs")]
    if let Some(name) = &args.planted {
        return find(name, &args);
    }
    if let Some(seed) = args.trace {
        let outcome = run(seed, true);
        println!("{}", outcome.coverage.report());
        println!("{}", outcome.summary());
        return if outcome.finding.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Args { from, seeds, jobs, .. } = args;
    let summary = run_many(&Plan { from, seeds, jobs, must_cover: seeds >= COVERING_SEEDS });
    println!("{}", summary.report());
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
