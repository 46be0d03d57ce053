//! The process `holdfast-node`: parses, builds a configuration, runs, and turns the result into an exit code.

use std::process::ExitCode;

use holdfast_node::{Command, Config, Outcome, Parsed, init_logs, run};
use holdfast_replica::Member;

/// Requests are made of many small pieces that one thread makes and another drops.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A wrong setting, or a data directory that this node must not use.
const EXIT_CANNOT_START: u8 = 2;
/// The node stopped by itself; the log says why.
const EXIT_STOPPED: u8 = 1;

fn main() -> ExitCode {
    match Parsed::from_env() {
        Ok(Parsed { command: Some(Command::Recover(recover)), .. }) => {
            let member = Member { id: recover.id, peer: recover.peer.clone(), http: recover.http.clone() };
            if !recover.accept_data_loss {
                eprintln!("{}", recover.explanation());
                return ExitCode::from(EXIT_CANNOT_START);
            }
            match holdfast_replica::recover_alone(&recover.dir, &member) {
                Ok(done) => {
                    println!("{done}");
                    ExitCode::SUCCESS
                }
                Err(error) => cannot_start(&error.to_string()),
            }
        }
        Ok(Parsed { config: Some(config), .. }) => serve(config),
        Ok(_) => cannot_start("nothing to do"),
        Err(error) => cannot_start(&error.to_string()),
    }
}

fn cannot_start(error: &str) -> ExitCode {
    eprintln!("holdfast-node: {error}");
    ExitCode::from(EXIT_CANNOT_START)
}

fn serve(config: Config) -> ExitCode {
    let _guard = match init_logs(&config) {
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
            eprintln!("holdfast-node: stopped: {reason}");
            ExitCode::from(EXIT_STOPPED)
        }
    }
}
