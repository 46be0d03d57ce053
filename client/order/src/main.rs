//! The process `holdfast-order`.

use std::process::ExitCode;

use holdfast_order::{Config, run};
use holdfast_service::run_process;

fn main() -> ExitCode {
    run_process("holdfast-order", Config::from_env(), |config| &config.process, run)
}
