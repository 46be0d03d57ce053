//! Holdfast measured beside PostgreSQL and etcd on one machine, with the same work in alternating rounds. `scripts/bench`
//! builds it, gives it a directory and cleans up after it; `docs/PERFORMANCE.md` says what the figures mean.

mod etcd;
mod failure;
mod holdfast;
mod http;
mod load;
mod machine;
mod parts;
mod postgres;
mod process;
mod report;
mod room;
mod rounds;
mod stats;
mod subscribers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{During, Result, fail};
use crate::machine::Machine;
use crate::parts::{Figures, Part};
use crate::process::Register;
use crate::report::Report;
use crate::room::Room;

/// Measures Holdfast beside PostgreSQL and etcd.
#[derive(Debug, Parser)]
#[command(name = "holdfast-bench", max_term_width = 110)]
struct Cli {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Fewer and shorter measurements
    #[arg(long)]
    quick: bool,
    /// Rounds of each part [default: 5, or 2 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    rounds: Option<u16>,
    /// Rows of the larger cluster of `growth` [default: 1000000, or 100000 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(10_001..=100_000_000))]
    growth_rows: Option<u64>,
    /// An empty directory for the data of everything that is started
    #[arg(long)]
    dir: PathBuf,
    /// Where the programs of Holdfast lie
    #[arg(long)]
    bin: PathBuf,
    /// Where the report goes
    #[arg(long)]
    out: PathBuf,
}

impl Cli {
    fn room(&self) -> Room {
        Room {
            dir: self.dir.clone(),
            bin: self.bin.clone(),
            rounds: usize::from(self.rounds.unwrap_or(if self.quick { 2 } else { 5 })),
            seconds: if self.quick { 1 } else { 2 },
            growth_rows: self.growth_rows.unwrap_or(if self.quick { 100_000 } else { 1_000_000 }),
            register: Register::new(self.dir.join("processes")),
        }
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(until_interrupted(&cli)),
        Err(error) => fail(format!("no runtime: {error}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("holdfast-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Runs; what was started ends with the run, when it is interrupted, too.
async fn until_interrupted(cli: &Cli) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).during("signals")?;
    let mut terminate = signal(SignalKind::terminate()).during("signals")?;
    tokio::select! {
        done = run(cli) => done,
        _ = interrupt.recv() => fail("interrupted"),
        _ = terminate.recv() => fail("asked to stop"),
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let room = cli.room();
    room.prepare()?;
    let machine = Machine::look(&room);
    let parts = if cli.parts.is_empty() { Part::all() } else { cli.parts.clone() };
    let mut report = Report::new(machine, &room);
    let mut failed = Vec::new();
    for part in parts {
        match measured(part, &room).await {
            Ok(figures) => report.add(figures, machine::load_average()),
            Err(failure) => {
                eprintln!("  FAILED: {failure}");
                failed.push(failure.to_string());
            }
        }
    }
    report.print();
    report.write(&cli.out)?;
    if failed.is_empty() { Ok(()) } else { fail(format!("not measured: {}", failed.join("; "))) }
}

async fn measured(part: Part, room: &Room) -> Result<Figures> {
    let began = Instant::now();
    eprintln!("{}", part.name());
    let figures = part.measure(room).await.during(part.name())?;
    for check in &figures.checks {
        eprintln!("  {check}");
    }
    eprintln!("  {:.0} s", began.elapsed().as_secs_f64());
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_read() {
        let line =
            ["holdfast-bench", "reserve", "failover", "--quick", "--dir", "d", "--bin", "b", "--out", "o"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.parts, [Part::Reserve, Part::Failover]);
        assert_eq!((cli.room().rounds, cli.room().seconds), (2, 1));
        let full = Cli::try_parse_from(["holdfast-bench", "--dir", "d", "--bin", "b", "--out", "o"]).unwrap();
        assert_eq!((full.room().rounds, full.room().seconds), (5, 2));
        assert!(Cli::try_parse_from([&line[..], &["--rounds", "0"]].concat()).is_err());
    }
}
