//! The process `holdfast-sync`: parses, builds a configuration, runs, and turns the result into an exit code.

use std::process::ExitCode;

use holdfast_service::logs;
use holdfast_sync::{Config, Outcome, run};

/// A wrong setting, or a directory or address that cannot be used.
const EXIT_CANNOT_START: u8 = 2;
/// The service stopped by itself; the log says why.
const EXIT_STOPPED: u8 = 1;

fn main() -> ExitCode {
    let config = match Config::from_env() {
        Ok(config) => config,
        Err(error) => return cannot_start(&error.to_string()),
    };
    let _guard = match logs::init("holdfast-sync", &config.log_level, &config.log_dir) {
        Ok(guard) => guard,
        Err(error) => return cannot_start(&error),
    };
    let mut builder = match config.worker_threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        threads => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads);
            builder
        }
    };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cannot_start(&format!("no runtime: {error}")),
    };
    let outcome = runtime.block_on(run(config));
    runtime.shutdown_background();
    match outcome {
        Outcome::ShutDown => ExitCode::SUCCESS,
        Outcome::CannotStart(error) => cannot_start(&error),
        Outcome::Stopped(reason) => {
            eprintln!("holdfast-sync: stopped: {reason}");
            ExitCode::from(EXIT_STOPPED)
        }
    }
}

fn cannot_start(error: &str) -> ExitCode {
    eprintln!("holdfast-sync: {error}");
    ExitCode::from(EXIT_CANNOT_START)
}
