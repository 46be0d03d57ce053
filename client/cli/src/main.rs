//! The `holdfast` command: what an operator or a script asks of a cluster. It holds no state of its own, and changes
//! nothing but through the cluster's HTTP interface.

mod audit;
mod bench;
mod cluster;
mod compare;
mod csv_file;
mod failure;
#[cfg(test)]
mod fuzz;
mod holds;
mod import;
mod lag;
mod ledger;
mod movements;
mod orders;
mod output;
mod recover;
mod replay;
mod sku;
mod status;
mod tables;
mod transfers;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser, Subcommand};
use holdfast_sdk::{Client, Options};

use crate::failure::Failure;
use crate::output::{Format, Output};

/// What every `--help` of the top ends with.
const EXIT_CODES: &str = "Exit codes:
  0  done
  1  the cluster refused it, or a check failed
  2  wrong usage, or a file that cannot be used
  3  the cluster is not available; nothing was changed
  4  it is not known whether it was done: look, or repeat it under the same id or key";

/// Talks to a Holdfast cluster: a distributed inventory store.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, after_help = EXIT_CODES, max_term_width = 110)]
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
    /// How to print: for people, or as JSON for programs (errors too, on standard error)
    #[arg(short, long, global = true, value_enum, default_value = "table")]
    output: Format,
    /// Seconds after which a call is given up, with all its attempts
    #[arg(long, global = true, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Key that makes a repeat of the same change have one effect, for a day unless configured otherwise
    #[arg(long, global = true, value_name = "KEY")]
    idempotency_key: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How each node stands: role, term, what it has applied, how far it lags, sizes
    Status,
    /// Stock rows: make, look at, correct, count, sell from, receive into, retire
    #[command(subcommand)]
    Sku(sku::Sku),
    /// Hold stock: STORE/ITEM=QTY, once or more; all of it or nothing
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
    /// Orders: placed, changed, paid, taken back, given their money back
    #[command(subcommand)]
    Order(orders::OrderCommand),
    /// Goods on their way between stores
    #[command(subcommand)]
    Transfer(transfers::TransferCommand),
    /// The ledger: all records, one item's history, or an item as it was
    ///
    /// Records come oldest first; with --store and --item, the history of that row, newest first.
    Movements(movements::Movements),
    /// The feed: every change as it happens, through the death of nodes, until it is interrupted
    ///
    /// With -o json a line for each record, with its cursor, and bookmarks: lines with a cursor alone.
    Watch(watch::Watch),
    /// Make rows from a CSV file with the columns storeId,itemId,available
    ///
    /// Running it again goes on where it stopped: rows that exist are left as they are. It ends with 1 when a line could
    /// not be used; the reject file says which, and why.
    Import(import::Import),
    /// Sell real baskets: derive opening stock, import it, play every basket, account for every unit
    ///
    /// The cluster must not have the rows yet. Every basket is one hold of all its lines or nothing. At the end each row
    /// must have sold what the buyers confirmed, and the invariants must hold on every node that answers, at least on a
    /// majority; otherwise it ends with 1.
    Replay(replay::ReplayArgs),
    /// Check the invariants on every node, and compare their digests
    Audit(audit::AuditArgs),
    /// Members, leadership, snapshots, settings
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// How far back the ledger reaches
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Measure throughput and latency
    ///
    /// It makes rows in the store BENCH and leaves them, with its holds, which expire within an hour.
    Bench(bench::Bench),
    /// The sync service's view against the cluster, row by row
    Compare(compare::Compare),
    /// How far behind those are who follow the feed
    Lag(lag::Lag),
    /// Go on with one node after a majority is lost for good
    Recover(recover::Recover),
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// What a command ends with.
type Done = Result<(), Failure>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let out = Output::new(cli.output);
    let mut runtime = match &cli.command {
        Command::Bench(bench) if bench.runs_on_one_thread() => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let done = match runtime.worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime.block_on(run(cli, &out)),
        Err(error) => Err(Failure::Usage(format!("no runtime: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(cli: Cli, out: &Output) -> Done {
    let options = Options { call_timeout: Duration::from_secs(cli.timeout), ..Options::default() };
    let client = Client::new(cli.endpoints, options)?;
    let makes_many_changes =
        matches!(cli.command, Command::Import(_) | Command::Replay(_) | Command::Bench(_) | Command::Lag(_));
    let client = match cli.idempotency_key {
        Some(_) if makes_many_changes => {
            return Err(Failure::Usage(
                "--idempotency-key is for one change, and this makes many".to_owned(),
            ));
        }
        Some(key) => client.with_key(&key)?,
        None => client,
    };
    match cli.command {
        Command::Status => status::status(&client, out).await,
        Command::Sku(command) => command.run(&client, out).await,
        Command::Reserve(command) => command.run(&client, out).await,
        Command::Confirm(command) => command.run(&client, out).await,
        Command::Release(command) => command.run(&client, out).await,
        Command::Extend(command) => command.run(&client, out).await,
        Command::Hold(command) => command.run(&client, out).await,
        Command::Order(command) => command.run(&client, out).await,
        Command::Transfer(command) => command.run(&client, out).await,
        Command::Movements(command) => command.run(&client, out).await,
        Command::Watch(command) => command.run(&client, out).await,
        Command::Import(command) => command.run(&client, out).await,
        Command::Replay(command) => command.run(&client, out).await,
        Command::Audit(command) => command.run(&client, out).await,
        Command::Cluster(command) => command.run(&client, out).await,
        Command::Ledger(command) => command.run(&client, out).await,
        Command::Bench(command) => command.run(&client, out).await,
        Command::Compare(command) => command.run(&client, out).await,
        Command::Lag(command) => command.run(&client, out).await,
        Command::Recover(command) => command.run(out).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "holdfast", &mut script);
            out.raw(&script)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_line_is_read() {
        let cli =
            Cli::try_parse_from(["holdfast", "reserve", "S1/A=2", "S2/B=1", "--ttl", "60", "-o", "json"])
                .unwrap();
        assert_eq!(cli.output, Format::Json);
        assert!(matches!(cli.command, Command::Reserve(_)));
        for bad in [
            &["holdfast", "reserve"][..],
            &["holdfast", "reserve", "S1/A=0"],
            &["holdfast", "sku", "list"],
            &["holdfast", "sku", "policy", "S1", "A"],
            &["holdfast", "movements", "--at-seq", "3"],
            &["holdfast", "order", "place"],
            &["holdfast", "order", "list", "--status", "lost"],
            &[
                "holdfast",
                "order",
                "pay",
                "O-01a20dc2-446b-724d-bce1-e99c8f060962",
                "p1",
                "--currency",
                "EUR",
            ],
            &["holdfast", "watch", "--after", "x"],
            &["holdfast", "watch", "--count", "0"],
            &["holdfast", "replay", "x.csv", "--buyers", "0"],
            &["holdfast", "replay", "x.csv", "--share", "-1"],
            &["holdfast", "replay", "x.csv", "--release-percent", "101"],
            &["holdfast", "bench", "--rate", "0"],
            &["holdfast", "bench", "--hot", "--rows", "5"],
            &["holdfast", "--timeout", "0", "status"],
        ] {
            assert!(Cli::try_parse_from(bad).is_err(), "{bad:?}");
        }
    }
}
