//! The process `holdfast-sync`.

use std::process::ExitCode;

use holdfast_service::run_process;
use holdfast_sync::{Config, run};

fn main() -> ExitCode {
    run_process("holdfast-sync", Config::from_env(), |config| &config.process, run)
}
