//! The `holdfast` command: what an operator or a script asks of a cluster.

mod baskets;
mod bench;
mod cluster;
mod holds;
mod import;
mod movements;
mod output;
mod replay;
mod sku;
mod transfers;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use holdfast_sdk::{Client, Error, Options};

use crate::output::{Format, Output};

/// Talks to a Holdfast cluster.
///
/// Exit codes: 0 done; 1 the cluster refused, or a check failed; 2 wrong usage, or a file that cannot be used; 3 the
/// cluster is not available, and nothing was changed; 4 it is not known whether it was done: repeat it.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version)]
struct Cli {
    /// Nodes of the cluster, host:port, separated by commas
    #[arg(
        long,
        global = true,
        env = "HOLDFAST_ENDPOINTS",
        default_value = "127.0.0.1:8082,127.0.0.1:8182,127.0.0.1:8282",
        value_delimiter = ','
    )]
    endpoints: Vec<String>,
    /// How to print: for people, or as JSON for programs
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Format,
    /// Seconds after which a call is given up, with all its attempts
    #[arg(long, global = true, default_value_t = 15)]
    timeout: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How each node stands: role, term, what it has applied, sizes
    Status,
    /// Stock rows: make, look at, correct, count, retire
    #[command(subcommand)]
    Sku(sku::Sku),
    /// Hold stock: STORE/ITEM=QTY, once or more
    Reserve(holds::Reserve),
    /// Sell what a hold has reserved, or lines of it
    Confirm(holds::Confirm),
    /// Give back what a hold has reserved, or lines of it
    Release(holds::Release),
    /// Let a hold last longer
    Extend(holds::Extend),
    /// Look at holds
    #[command(subcommand)]
    Hold(holds::HoldCommand),
    /// Goods on their way between stores
    #[command(subcommand)]
    Transfer(transfers::TransferCommand),
    /// The ledger: all movements, one item's history, or an item as it was
    Movements(movements::Movements),
    /// Make rows from a CSV file with the columns storeId,itemId,available
    Import(import::Import),
    /// Sell real baskets: derive opening stock, import it, play every basket, account for every unit
    Replay(replay::ReplayArgs),
    /// Check the invariants on every node, and compare their digests
    Audit,
    /// Members, leadership, snapshots, settings
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Measure throughput and latency
    Bench(bench::Bench),
    /// How to go on after a majority is lost for good
    Recover,
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// Why a command did not succeed.
pub enum Failure {
    /// The cluster, or the way to it.
    Sdk(Error),
    /// A check did not hold; what was found has been printed.
    Check(String),
    /// The command or a file cannot be used.
    Usage(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Sdk(error)
    }
}

type Done = Result<(), Failure>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Failure::Usage(format!("no runtime: {error}"))),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

async fn run(cli: Cli) -> Done {
    let options = Options { call_timeout: std::time::Duration::from_secs(cli.timeout), ..Options::default() };
    let client = Client::new(cli.endpoints, options)?;
    let out = Output::new(cli.output);
    match cli.command {
        Command::Status => cluster::status(&client, &out).await,
        Command::Sku(command) => command.run(&client, &out).await,
        Command::Reserve(command) => command.run(&client, &out).await,
        Command::Confirm(command) => command.run(&client, &out).await,
        Command::Release(command) => command.run(&client, &out).await,
        Command::Extend(command) => command.run(&client, &out).await,
        Command::Hold(command) => command.run(&client, &out).await,
        Command::Transfer(command) => command.run(&client, &out).await,
        Command::Movements(command) => command.run(&client, &out).await,
        Command::Import(command) => command.run(&client, &out).await,
        Command::Replay(command) => command.run(&client, &out).await,
        Command::Audit => cluster::audit(&client, &out).await,
        Command::Cluster(command) => command.run(&client, &out).await,
        Command::Bench(command) => command.run(&client, &out).await,
        Command::Recover => {
            println!(
                "A lost majority is a person's decision. On the survivor, with its node stopped:\n\n  \
                 holdfast-node recover --id ID --dir DIR --peer HOST:PORT --http HOST:PORT\n\n\
                 It explains what will be lost, and does it when --accept-data-loss is added."
            );
            Ok(())
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "holdfast", &mut std::io::stdout());
            Ok(())
        }
    }
}

fn fail(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Sdk(error @ Error::Refused(_)) => (error.to_string(), 1),
        Failure::Sdk(error @ (Error::Unavailable(_) | Error::Protocol(_))) => (error.to_string(), 3),
        Failure::Sdk(error @ Error::OutcomeUnknown(_)) => (error.to_string(), 4),
        Failure::Check(text) => (text.clone(), 1),
        Failure::Usage(text) => (text.clone(), 2),
    };
    eprintln!("holdfast: {text}");
    ExitCode::from(code)
}
