//! How many instructions each part takes, by valgrind: `./scripts/bench instructions [--record]`. They hardly depend on what
//! else the machine does, so a change that makes a part dearer is seen at once.
//!
//! Without `--record` it fails when a part takes 3 % more than what was recorded. The counts depend on the compiler and the
//! processor's kind: they are recorded anew with a release of either.

mod parts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use parts::Named;

/// What the node allocates with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A part may take so many times what was recorded.
const MOST: f64 = 1.03;
/// Runs before the one that is counted: what happens but once is no part's.
const WARM_UP: usize = 10;

/// Counts by the name of a part.
type Counts = BTreeMap<String, u64>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--counted", name] => {
            counted(name);
            return ExitCode::SUCCESS;
        }
        [] => count_all().and_then(|counts| compare(&counts)),
        ["--record"] => count_all().and_then(|counts| record(&counts)),
        _ => Err("usage: instructions [--record]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("instructions: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Under valgrind: runs a part, once of it counted.
fn counted(name: &str) {
    let named = parts::all().into_iter().find(|part| part.name == name).expect("a part of this name");
    let mut part = (named.make)();
    for _ in 0..WARM_UP {
        part.ready();
        part.run();
    }
    part.ready();
    holdfast_bench_counted(part.as_mut());
}

/// What valgrind counts: it is told by this name.
#[inline(never)]
fn holdfast_bench_counted(part: &mut dyn parts::Part) {
    part.run();
}

fn count_all() -> Result<Counts, String> {
    let mut counts = Counts::new();
    for part in parts::all() {
        let count = count(&part)?;
        println!("{:<36} {:>12} instructions, {:>8} each", part.name, count, count / part.commands);
        counts.insert(part.name.to_owned(), count);
    }
    Ok(counts)
}

fn count(part: &Named) -> Result<u64, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg("--toggle-collect=*holdfast_bench_counted*");
    let output = valgrind.arg(own).args(["--counted", part.name]).output();
    let output = output.map_err(|error| format!("valgrind does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let found = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match found {
        Some(count @ 1..) if output.status.success() => Ok(count),
        _ => Err(format!("{}: nothing was counted: {text}", part.name)),
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

fn record(counts: &Counts) -> Result<(), String> {
    let text = serde_json::to_string_pretty(counts).expect("names are plain keys");
    fs::write(file(), text + "\n").map_err(|error| format!("{}: {error}", file().display()))
}

fn compare(counts: &Counts) -> Result<(), String> {
    let text = fs::read_to_string(file()).map_err(|error| format!("{}: {error}", file().display()))?;
    let recorded: Counts =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file().display()))?;
    let mut dearer = Vec::new();
    for (name, &count) in counts {
        match recorded.get(name) {
            None => dearer.push(format!("{name}: never recorded")),
            Some(&was) if count as f64 > was as f64 * MOST => {
                let percent = (count as f64 / was as f64 - 1.0) * 100.0;
                dearer.push(format!("{name}: {count} instead of {was}, {percent:.1} % more"));
            }
            Some(_) => {}
        }
    }
    if dearer.is_empty() { Ok(()) } else { Err(format!("dearer than recorded:\n  {}", dearer.join("\n  "))) }
}
