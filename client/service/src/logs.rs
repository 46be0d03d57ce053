//! Logs: for people on standard error, as JSON in a file a day.

use std::io::IsTerminal;
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

/// How many daily files are kept.
const KEPT_DAYS: usize = 14;

/// Sets logs of `program` up for the rest of the process; the guard writes what is left when it is dropped.
///
/// # Errors
/// When the level or the directory is wrong, in words.
pub fn init(program: &str, level: &str, dir: &Path) -> Result<WorkerGuard, String> {
    let filter = EnvFilter::try_new(level)
        .map_err(|error| format!("log_level must be a level or directives, got {level:?}: {error}"))?;
    // Made here, since the library complains on standard error about a directory that is yet to be made.
    std::fs::create_dir_all(dir)
        .map_err(|error| format!("log_dir {} cannot be made: {error}", dir.display()))?;
    let files = tracing_appender::rolling::Builder::new()
        .rotation(tracing_appender::rolling::Rotation::DAILY)
        .filename_prefix(program)
        .filename_suffix("log")
        .max_log_files(KEPT_DAYS)
        .build(dir)
        .map_err(|error| format!("log_dir {} cannot be used: {error}", dir.display()))?;
    let (writer, guard) = tracing_appender::non_blocking(files);
    let people = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let machines = fmt::layer().json().flatten_event(true).with_writer(writer);
    tracing_subscriber::registry()
        .with(filter)
        .with(people)
        .with(machines)
        .try_init()
        .map_err(|error| format!("logs cannot be set up: {error}"))?;
    Ok(guard)
}
