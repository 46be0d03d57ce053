//! `holdfast-chaos`: rounds of faults against clusters of real processes, or the check of a round that failed once more.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use holdfast_chaos::{Fault, Ground, Outcome, Plan, recheck, run};

/// Real nodes under faults, and the check of what their clients saw
#[derive(Debug, Parser)]
#[command(name = "holdfast-chaos")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run rounds of faults
    Run(Run),
    /// Check a history and a ledger that a round left, once more
    Check {
        /// The directory
        dir: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Run {
    /// Minutes of faults
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Classes of faults, separated by commas; `mixed` for all
    #[arg(long, default_value = "mixed", value_delimiter = ',')]
    fault: Vec<String>,
    /// Seconds of faults in one round, which has a cluster of its own
    #[arg(long, default_value_t = 45)]
    round_seconds: u64,
    /// Clients
    #[arg(long, default_value_t = 32)]
    clients: u32,
    /// Operations a second that they ask for altogether
    #[arg(long, default_value_t = 1500)]
    rate: u32,
    /// In place of minutes: kill the leader so often in one round, and measure how long no write is answered
    #[arg(long)]
    kills: Option<u32>,
    /// Where the schedule of faults comes from; each round adds 1
    #[arg(long)]
    seed: Option<u64>,
    /// Directory for what failing rounds leave [default: the one for temporary files]
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check { dir } => check(&dir),
        Command::Run(run) => soak(&run),
    };
    done.unwrap_or_else(|why| {
        eprintln!("holdfast-chaos: {why}");
        ExitCode::FAILURE
    })
}

fn check(dir: &std::path::Path) -> Result<ExitCode, String> {
    let report = recheck(dir)?;
    println!("{report}");
    for violation in &report.violations {
        println!("  {violation}");
    }
    Ok(if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The classes that were asked for.
fn faults(names: &[String]) -> Result<Vec<Fault>, String> {
    use clap::ValueEnum;
    if names.iter().any(|name| name == "mixed") {
        return Ok(Fault::value_variants().to_vec());
    }
    names
        .iter()
        .map(|name| Fault::from_str(name, false).map_err(|error| format!("--fault {name}: {error}")))
        .collect()
}

/// What the next round is: on proxies and in namespaces in turn, where there are faults for both.
fn plan(asked: &Run, faults: &[Fault], seed: u64, round: u32) -> Plan {
    let has = |namespaces: bool| faults.iter().any(|fault| fault.of_namespaces() == Some(namespaces));
    let in_namespaces = has(true) && (!has(false) || round % 2 == 1);
    let fits = |fault: &&Fault| fault.of_namespaces().is_none_or(|namespaces| namespaces == in_namespaces);
    let faults: Vec<Fault> = faults.iter().filter(fits).copied().collect();
    let ground = if in_namespaces {
        Ground::Namespaces
    } else {
        Ground::Proxies { small_disk: faults.contains(&Fault::DiskFull) }
    };
    let length = Duration::from_secs(asked.round_seconds);
    let (clients, rate, kills) = (asked.clients, asked.rate, asked.kills);
    Plan { faults, ground, length, seed: seed + u64::from(round), clients, rate, kills }
}

fn soak(asked: &Run) -> Result<ExitCode, String> {
    let mut faults = faults(&asked.fault)?;
    let seed = asked.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let end = Instant::now() + Duration::from_secs_f64(asked.minutes * 60.0);
    let (mut round, mut skipped, mut failed, mut calls) = (0, 0, 0, 0_usize);
    while !faults.is_empty() && (round == skipped || Instant::now() < end && asked.kills.is_none()) {
        let plan = plan(asked, &faults, seed, round);
        round += 1;
        let base = asked.keep.clone().unwrap_or_else(std::env::temp_dir);
        let dir = tempfile::Builder::new().prefix("holdfast-chaos-").tempdir_in(base);
        let dir = dir.map_err(|error| format!("no directory: {error}"))?;
        match runtime.block_on(run(dir.path(), &plan)) {
            Ok(None) => {
                skipped += 1;
                // What needs that ground is left out from now on.
                let wants =
                    if plan.ground == Ground::Namespaces { Fault::Partition } else { Fault::DiskFull };
                faults.retain(|fault| *fault != wants);
                continue;
            }
            Ok(Some(outcome)) => {
                calls += outcome.report.answered + outcome.report.unknown;
                println!("round {round}, seed {}, {:?}: {}", plan.seed, plan.ground, describe(&outcome));
                if outcome.report.violations.is_empty() {
                    continue;
                }
                for violation in &outcome.report.violations {
                    println!("  {violation}");
                }
            }
            Err(why) => println!("round {round}, seed {}, {:?}: {why}", plan.seed, plan.ground),
        }
        failed += 1;
        println!("  failed; everything is kept in {}", dir.keep().display());
    }
    println!("{round} rounds, {skipped} skipped, {failed} failed; {calls} operations checked");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn describe(outcome: &Outcome) -> String {
    let seconds = outcome.worked.as_secs_f64();
    let made: Vec<String> = outcome.made.iter().map(|(name, times)| format!("{name} {times}")).collect();
    // What was refused at once, by nodes that do not run or know of no leader, is no load.
    let taken = outcome.report.answered + outcome.report.unknown;
    let mut text = format!(
        "{taken} operations in {seconds:.0} s ({:.0}/s); {}; faults: {}",
        taken as f64 / seconds,
        outcome.report,
        made.join(", ")
    );
    let mut outages = outcome.outages.clone();
    outages.sort_unstable();
    if let Some(most) = outages.last() {
        let part = |percent: usize| outages[(outages.len() * percent).div_ceil(100) - 1].as_millis();
        text += &format!(
            "; {} leader kills: no write answered for p50 {} ms, p99 {} ms, max {} ms",
            outages.len(),
            part(50),
            part(99),
            most.as_millis()
        );
    }
    text
}
