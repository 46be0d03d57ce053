//! What makes requests: wrk, pgbench and `holdfast bench`, and what they say of them.

use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use crate::failure::{During, Result, fail};
use crate::process::reaped_micros;

/// The requests that wrk makes.
pub const SCRIPT: &str = include_str!("load.lua");

/// So many requests must be carried out for each one that is not: a busy machine may cost an election, whose requests are
/// told of beside the figure.
const OK_FOR_EACH_FAILED: u64 = 1000;

/// What a run of requests came to.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Ran {
    /// Acknowledged.
    pub ok: u64,
    /// Transactions that found the row changed, and did nothing.
    pub missed: u64,
    /// Refused.
    pub refused: u64,
    /// Connections that could not be made, or broke off.
    pub broken: u64,
    /// Requests that took longer than ten seconds.
    pub late: u64,
    /// How long it took.
    pub seconds: f64,
    /// Bytes of the answers; 0 where they are not counted.
    pub bytes: u64,
    /// Median latency in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency in milliseconds; 0 where it is not measured.
    pub p99_ms: f64,
    /// Processor time of the load itself, in microseconds.
    #[serde(skip)]
    pub cpu_micros: u64,
}

impl Ran {
    /// Acknowledged in a second.
    pub fn per_second(&self) -> f64 {
        self.ok as f64 / self.seconds
    }

    /// Requests that were not carried out, or of which that is not known.
    pub fn failed(&self) -> u64 {
        self.refused + self.broken + self.late
    }

    /// Itself, when nearly all requests were carried out.
    ///
    /// # Errors
    /// When too many were not: a failed request costs less than one that is carried out, so no figure is right then.
    pub fn checked(self, what: &str) -> Result<Self> {
        if self.ok > self.failed() * OK_FOR_EACH_FAILED {
            return Ok(self);
        }
        let Self { ok, refused, broken, late, .. } = self;
        fail(format!("{what}: of {ok} requests {refused} were refused, {broken} broken off and {late} late"))
    }
}

/// A run of wrk.
pub struct Wrk<'a> {
    /// Where [`SCRIPT`] lies.
    pub script: &'a Path,
    /// `host:port`.
    pub address: &'a str,
    /// One of the kinds in the script.
    pub kind: &'a str,
    /// Rows that the requests are spread over.
    pub rows: u64,
    /// Commands in a batch.
    pub size: u64,
    /// Revisions of the rows, for a swap.
    pub file: Option<&'a Path>,
    /// Connections.
    pub connections: u64,
    /// How long.
    pub seconds: u64,
}

impl Wrk<'_> {
    /// Runs it.
    pub async fn run(&self) -> Result<Ran> {
        let mut command = Command::new("wrk");
        command.args(["-t1", "--timeout", "10"]);
        command.arg(format!("-c{}", self.connections)).arg(format!("-d{}", self.seconds));
        command.arg("-s").arg(self.script).arg(format!("http://{}", self.address)).arg("--");
        command.args([self.kind.to_owned(), self.rows.to_string(), self.size.to_string()]);
        command.args(self.file);
        let (output, cpu_micros) = output(command, &[0]).await?;
        Ok(Ran { cpu_micros, ..of_wrk(&output)? })
    }
}

fn of_wrk(output: &str) -> Result<Ran> {
    let line = output.lines().rev().find(|line| line.starts_with('{'));
    serde_json::from_str(line.during("what wrk counted")?).during("what wrk counted")
}

/// Runs pgbench.
pub async fn pgbench(command: Command) -> Result<Ran> {
    let (output, cpu_micros) = output(command, &[0]).await?;
    Ok(Ran { cpu_micros, ..of_pgbench(&output)? })
}

fn of_pgbench(output: &str) -> Result<Ran> {
    let number = |start: &str| {
        let rest = output.lines().find_map(|line| line.strip_prefix(start));
        let word = rest.and_then(|rest| rest.split([' ', '/']).find(|word| !word.is_empty()));
        word.and_then(|word| word.parse::<f64>().ok())
    };
    let ok = number("number of transactions actually processed:").during("what pgbench counted")?;
    let per_second = number("tps =").filter(|rate| *rate > 0.0);
    let per_second = per_second.during("what pgbench counted, no transaction was done in time")?;
    Ok(Ran {
        ok: ok as u64,
        refused: number("number of failed transactions:").unwrap_or(0.0) as u64,
        seconds: ok / per_second,
        // It tells the mean; percentiles would need a log of every transaction.
        p50_ms: number("latency average =").unwrap_or(0.0),
        ..Ran::default()
    })
}

/// Runs `holdfast bench`, which prints JSON; what it does is counted in commands. It ends with 1 when requests failed, and
/// tells how many.
pub async fn holdfast_bench(command: Command) -> Result<Ran> {
    let (output, cpu_micros) = output(command, &[0, 1]).await?;
    Ok(Ran { cpu_micros, ..of_holdfast_bench(&output)? })
}

fn of_holdfast_bench(output: &str) -> Result<Ran> {
    let told: Value = serde_json::from_str(output).during("what holdfast bench counted")?;
    let number = |value: &Value| value.as_f64().during("what holdfast bench counted");
    let seconds = number(&told["seconds"])?;
    Ok(Ran {
        ok: (number(&told["commandsPerSecond"])? * seconds).round() as u64,
        refused: told["failed"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, count)| count.as_u64())
            .sum(),
        seconds,
        p50_ms: number(&told["latencyMs"]["p50"])?,
        p99_ms: number(&told["latencyMs"]["p99"])?,
        ..Ran::default()
    })
}

/// What a program printed, and the processor time that it took in microseconds. It must end with one of `codes`, and is
/// killed when nobody waits any more.
async fn output(mut command: Command, codes: &[i32]) -> Result<(String, u64)> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let before = reaped_micros();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = child.spawn().during(&program)?.wait_with_output().await.during(&program)?;
    let taken = reaped_micros().saturating_sub(before);
    if output.status.code().is_some_and(|code| codes.contains(&code)) {
        return Ok((String::from_utf8_lossy(&output.stdout).into_owned(), taken));
    }
    fail(format!(
        "{program} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_wrk_is_read() {
        let line = r#"{"ok":10,"missed":1,"refused":2,"seconds":2.5,"bytes":99,"p50Ms":1.5,"p99Ms":3.0}"#;
        let ran = of_wrk(&format!("Running 3s test\n  10 requests\n\n{line}\n")).unwrap();
        assert_eq!((ran.ok, ran.missed, ran.refused, ran.bytes, ran.p99_ms), (10, 1, 2, 99, 3.0));
        assert_eq!(ran.per_second(), 4.0);
        assert_eq!(ran.failed(), 2);
        assert!(of_wrk("unable to connect\n").is_err());
    }

    #[test]
    fn the_lines_of_pgbench_are_read() {
        let text = "duration: 3 s\nnumber of transactions actually processed: 39000\n\
                    number of failed transactions: 0 (0.000%)\nlatency average = 1.225 ms\n\
                    tps = 13000.5 (without initial connection time)\n";
        let ran = of_pgbench(text).unwrap();
        assert_eq!((ran.ok, ran.refused, ran.p50_ms), (39_000, 0, 1.225));
        assert!((ran.per_second() - 13_000.5).abs() < 0.01);
        assert!(of_pgbench("pgbench: error: connection failed").is_err());
    }

    #[test]
    fn the_value_of_holdfast_bench_is_read() {
        let text = r#"{"seconds": 2.0, "commandsPerSecond": 1000.0, "latencyMs": {"p50": 1.0, "p99": 2.0},
                       "failed": {"unavailable": 3}}"#;
        let ran = of_holdfast_bench(text).unwrap();
        assert_eq!((ran.ok, ran.refused, ran.p50_ms, ran.p99_ms), (2000, 3, 1.0, 2.0));
    }

    #[test]
    fn a_run_of_nothing_or_of_many_failures_is_one() {
        let ran = |ok, late| Ran { seconds: 1.0, ok, late, ..Ran::default() };
        assert!(ran(0, 0).checked("x").is_err() && ran(1, 0).checked("x").is_ok());
        assert!(ran(1000, 1).checked("x").is_err() && ran(1001, 1).checked("x").is_ok());
    }
}
