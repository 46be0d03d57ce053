//! Many seeds find nothing, everything that may go wrong goes wrong in them, and the same seed is the same run.

use holdfast_simulation::{Plan, run, run_many};

/// Seeds of a usual run.
const SEEDS: u64 = 200;

#[test]
fn many_seeds_find_nothing_and_leave_nothing_out() {
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    let summary = run_many(&Plan { seeds: SEEDS, jobs, ..Plan::default() });
    println!("{}", summary.report());
    assert!(summary.is_good(), "see above");
}

#[test]
fn the_same_seed_is_the_same_run_and_another_is_another() {
    let runs: Vec<u64> = [7, 7, 8].into_iter().map(|seed| run(seed, false).trace).collect();
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}
