//! The life of a service's process, from its settings to its exit code.

use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime;

use crate::logs;
use crate::settings::ConfigError;

/// A wrong setting, or a directory or address that cannot be used.
const EXIT_CANNOT_START: u8 = 2;
/// The service stopped by itself; the log says why.
const EXIT_STOPPED: u8 = 1;

/// How a service ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was asked to stop, and did.
    ShutDown,
    /// It never ran.
    CannotStart(String),
    /// It stopped by itself.
    Stopped(String),
}

/// What a process needs to know, whatever its service is for.
#[derive(Debug, Clone)]
pub struct Process {
    /// Threads that serve requests.
    pub worker_threads: usize,
    /// Where JSON logs go.
    pub log_dir: PathBuf,
    /// What is logged.
    pub log_level: String,
    /// Stop when standard input closes.
    pub stop_when_stdin_closes: bool,
}

/// Runs the service `program` to its end: with logs, and with as many threads as it is to have.
pub fn run_process<C, Running: Future<Output = Outcome>>(
    program: &str,
    config: Result<C, ConfigError>,
    process: impl FnOnce(&C) -> &Process,
    run: impl FnOnce(C) -> Running,
) -> ExitCode {
    match run_to_its_end(program, config, process, run) {
        Ok(Outcome::ShutDown) => ExitCode::SUCCESS,
        Ok(Outcome::Stopped(reason)) => {
            eprintln!("{program}: stopped: {reason}");
            ExitCode::from(EXIT_STOPPED)
        }
        Ok(Outcome::CannotStart(error)) | Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::from(EXIT_CANNOT_START)
        }
    }
}

fn run_to_its_end<C, Running: Future<Output = Outcome>>(
    program: &str,
    config: Result<C, ConfigError>,
    process: impl FnOnce(&C) -> &Process,
    run: impl FnOnce(C) -> Running,
) -> Result<Outcome, String> {
    let config = config.map_err(|error| error.to_string())?;
    let Process { worker_threads, log_dir, log_level, .. } = process(&config);
    let _guard = logs::init(program, log_level, log_dir)?;
    let mut builder = match *worker_threads {
        1 => runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = builder.enable_all().build().map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(run(config));
    runtime.shutdown_background();
    Ok(outcome)
}
