//! Settings: flags, then the environment, then a file, then defaults.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser};
use holdfast_serve::{DEFAULT_CONNECTIONS, MAX_CONNECTIONS};
use holdfast_service::settings::{ConfigError, endpoints, in_range, listen_address, millis, wrong};
use holdfast_service::{Process, settings};
use serde::Deserialize;

/// The sync service of a Holdfast cluster: follows its feed, keeps a view of the stock, pushes movements to the stores and
/// takes their events.
///
/// Each setting may be given as a flag, in the environment as HOLDFAST_SYNC_ and its name in capitals
/// (HOLDFAST_SYNC_BATCH), or in a TOML file by its name with underscores (batch = 500); a flag stands over the environment,
/// and the environment over the file.
///
/// Exit codes: 0 it was asked to stop and did; 1 it stopped by itself, and the log says why; 2 it could not start.
#[derive(Debug, Parser)]
#[command(name = "holdfast-sync", version)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

settings! {
    config = "HOLDFAST_SYNC_CONFIG";
    /// Directory for the view; it can be deleted at any time, and is then built again [default: holdfast-sync-data]
    [value_name = "DIR"] dir: PathBuf = "HOLDFAST_SYNC_DIR";
    /// Address for clients [default: 127.0.0.1:8083]
    [value_name = "ADDRESS"] http: String = "HOLDFAST_SYNC_HTTP";
    /// Nodes of the cluster, host:port, separated by commas
    /// [default: 127.0.0.1:8082,127.0.0.1:8182,127.0.0.1:8282]
    [value_name = "ADDRESSES"] endpoints: String = "HOLDFAST_ENDPOINTS";
    /// Most records of the feed in one transaction [default: 500]
    [value_name = "RECORDS"] batch: usize = "HOLDFAST_SYNC_BATCH";
    /// Records that each store can resume from after they were delivered [default: 10000]
    [value_name = "RECORDS"] outbox_keep: u64 = "HOLDFAST_SYNC_OUTBOX_KEEP";
    /// Most records of one store that wait to be delivered; a subscription that is further behind gets a reset
    /// [default: 200000]
    [value_name = "RECORDS"] outbox_max: u64 = "HOLDFAST_SYNC_OUTBOX_MAX";
    /// Milliseconds of lag above which the service is not ready [default: 5000]
    [value_name = "MS"] ready_lag_ms: u64 = "HOLDFAST_SYNC_READY_LAG_MS";
    /// Milliseconds that a receiver may take to answer [default: 10000]
    [value_name = "MS"] webhook_timeout_ms: u64 = "HOLDFAST_SYNC_WEBHOOK_TIMEOUT_MS";
    /// Attempts to deliver a message before it becomes a dead letter [default: 12]
    [value_name = "ATTEMPTS"] webhook_attempts: u32 = "HOLDFAST_SYNC_WEBHOOK_ATTEMPTS";
    /// Milliseconds before the second attempt; each further one waits up to twice as long [default: 200]
    [value_name = "MS"] webhook_backoff_ms: u64 = "HOLDFAST_SYNC_WEBHOOK_BACKOFF_MS";
    /// Most milliseconds between two attempts [default: 60000]
    [value_name = "MS"] webhook_backoff_max_ms: u64 = "HOLDFAST_SYNC_WEBHOOK_BACKOFF_MAX_MS";
    /// Most movements in one message [default: 200]
    [value_name = "MOVEMENTS"] webhook_batch: usize = "HOLDFAST_SYNC_WEBHOOK_BATCH";
    /// Milliseconds between two looks at the cluster's list of subscriptions [default: 2000]
    [value_name = "MS"] subscriptions_every_ms: u64 = "HOLDFAST_SYNC_SUBSCRIPTIONS_EVERY_MS";
    /// Most streams to stores at once [default: 5000]
    [value_name = "STREAMS"] max_streams: usize = "HOLDFAST_SYNC_MAX_STREAMS";
    /// Connections of clients at the same time; further ones are answered 503 and closed [default: 8192]
    [value_name = "CONNECTIONS"] max_connections: usize = "HOLDFAST_SYNC_MAX_CONNECTIONS";
    /// Milliseconds after which a reader of a stream that takes nothing is cut off; its connection is closed after three
    /// times as long [default: 10000]
    [value_name = "MS"] stall_timeout_ms: u64 = "HOLDFAST_SYNC_STALL_TIMEOUT_MS";
    /// Milliseconds after which a request is given up [default: 20000]
    [value_name = "MS"] request_timeout_ms: u64 = "HOLDFAST_SYNC_REQUEST_TIMEOUT_MS";
    /// Milliseconds that the stopping service waits for what is under way [default: 5000]
    [value_name = "MS"] drain_timeout_ms: u64 = "HOLDFAST_SYNC_DRAIN_TIMEOUT_MS";
    /// Threads that serve requests; 1 is fastest on few cores [default: 1]
    [value_name = "THREADS"] worker_threads: usize = "HOLDFAST_SYNC_WORKER_THREADS";
    /// Directory for JSON logs, one file a day [default: log in the directory for the view]
    [value_name = "DIR"] log_dir: PathBuf = "HOLDFAST_SYNC_LOG_DIR";
    /// What is logged: error, warn, info, debug, or directives such as info,holdfast_sync=debug [default: info]
    [value_name = "LEVEL"] log_level: String = "HOLDFAST_SYNC_LOG_LEVEL";
}

/// Everything that the running service needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the view is kept.
    pub dir: PathBuf,
    /// Where clients are served.
    pub http: SocketAddr,
    /// Nodes of the cluster, `host:port`.
    pub endpoints: Vec<String>,
    /// Most records of the feed in one transaction.
    pub batch: usize,
    /// How much of each store's movements is kept.
    pub outbox: Outbox,
    /// The lag above which the service is not ready, in milliseconds.
    pub ready_lag_ms: u64,
    /// How messages are delivered.
    pub webhooks: Webhooks,
    /// Time between two looks at the list of subscriptions.
    pub subscriptions_every: Duration,
    /// Most streams to stores at once.
    pub max_streams: usize,
    /// Connections of clients at the same time.
    pub max_connections: usize,
    /// A reader that takes nothing for longer is cut off.
    pub stall: Duration,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the stopping service waits for what is under way.
    pub drain_timeout: Duration,
    /// What the process needs.
    pub process: Process,
}

/// How many movements of a store are kept, in records.
#[derive(Debug, Clone, Copy)]
pub struct Outbox {
    /// These stay after they were delivered, to resume from.
    pub keep: u64,
    /// No more than these wait to be delivered.
    pub max: u64,
}

/// How messages are delivered to receivers.
#[derive(Debug, Clone)]
pub struct Webhooks {
    /// How long a receiver may take.
    pub timeout: Duration,
    /// Attempts before a message becomes a dead letter.
    pub attempts: u32,
    /// The wait before the second attempt.
    pub first_backoff: Duration,
    /// No wait is longer.
    pub max_backoff: Duration,
    /// Most movements in one message.
    pub batch: usize,
}

impl Config {
    /// Reads the command line and the environment of this process. Ends the process for `--help`, `--version`, and for a
    /// command line that cannot be read.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_args(std::env::args_os())
    }

    fn from_args(args: impl IntoIterator<Item = OsString>) -> Result<Self, ConfigError> {
        let settings = Settings::read(args, |cli: Cli| cli.settings)?;
        Self::new(settings)
    }

    fn new(settings: Settings) -> Result<Self, ConfigError> {
        let http = settings.http.as_deref().unwrap_or("127.0.0.1:8083");
        let webhooks = webhooks(&settings)?;
        let outbox = outbox(settings.outbox_keep, settings.outbox_max)?;
        let dir = settings.dir.clone().unwrap_or_else(|| "holdfast-sync-data".into());
        Ok(Self {
            http: listen_address(http, "127.0.0.1:8083", settings.insecure_listen_any)?,
            endpoints: endpoints(settings.endpoints.as_deref())?,
            batch: in_range("batch", settings.batch.unwrap_or(500), 1, 100_000)?,
            outbox,
            ready_lag_ms: in_range("ready_lag_ms", settings.ready_lag_ms.unwrap_or(5000), 1, 86_400_000)?,
            webhooks,
            subscriptions_every: millis(
                "subscriptions_every_ms",
                settings.subscriptions_every_ms.unwrap_or(2000),
                10,
            )?,
            max_streams: in_range("max_streams", settings.max_streams.unwrap_or(5000), 0, 1_000_000)?,
            max_connections: in_range(
                "max_connections",
                settings.max_connections.unwrap_or(DEFAULT_CONNECTIONS),
                1,
                MAX_CONNECTIONS,
            )?,
            stall: millis("stall_timeout_ms", settings.stall_timeout_ms.unwrap_or(10_000), 100)?,
            request_timeout: millis("request_timeout_ms", settings.request_timeout_ms.unwrap_or(20_000), 10)?,
            drain_timeout: millis("drain_timeout_ms", settings.drain_timeout_ms.unwrap_or(5000), 0)?,
            process: settings.process(dir.join("log"))?,
            dir,
        })
    }
}

fn webhooks(settings: &Settings) -> Result<Webhooks, ConfigError> {
    let webhooks = Webhooks {
        timeout: millis("webhook_timeout_ms", settings.webhook_timeout_ms.unwrap_or(10_000), 10)?,
        attempts: in_range("webhook_attempts", settings.webhook_attempts.unwrap_or(12), 1, 1000)?,
        first_backoff: millis("webhook_backoff_ms", settings.webhook_backoff_ms.unwrap_or(200), 1)?,
        max_backoff: millis("webhook_backoff_max_ms", settings.webhook_backoff_max_ms.unwrap_or(60_000), 1)?,
        batch: in_range("webhook_batch", settings.webhook_batch.unwrap_or(200), 1, 10_000)?,
    };
    if webhooks.first_backoff > webhooks.max_backoff {
        return wrong("webhook_backoff_max_ms must not be below webhook_backoff_ms".to_owned());
    }
    Ok(webhooks)
}

fn outbox(keep: Option<u64>, max: Option<u64>) -> Result<Outbox, ConfigError> {
    const MOST: u64 = 1_000_000_000;
    let keep = in_range("outbox_keep", keep.unwrap_or(10_000), 1, MOST)?;
    let max = in_range("outbox_max", max.unwrap_or(keep.max(200_000)), 1, MOST)?;
    if max < keep {
        return wrong(format!("outbox_max must not be below outbox_keep, got {max} and {keep}"));
    }
    Ok(Outbox { keep, max })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, ConfigError> {
        Config::from_args(std::iter::once("holdfast-sync").chain(args.iter().copied()).map(Into::into))
    }

    #[test]
    fn a_flag_stands_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sync.toml");
        std::fs::write(&file, "batch = 10\nready_lag_ms = 20\n").unwrap();
        let config = parse(&["--config", file.to_str().unwrap(), "--batch", "11"]).unwrap();
        assert_eq!((config.batch, config.ready_lag_ms, config.webhooks.attempts), (11, 20, 12));
        assert_eq!(config.http.port(), 8083);
        std::fs::write(&file, "bach = 10\n").unwrap();
        assert!(parse(&["--config", file.to_str().unwrap()]).unwrap_err().to_string().contains("bach"));
    }

    #[test]
    fn a_wrong_value_names_the_setting_and_what_was_expected() {
        for (args, parts) in [
            (&["--http", "nowhere"][..], &["http", "127.0.0.1:8083", "nowhere"][..]),
            (&["--http", "10.0.0.1:8083"], &["http", "loopback", "--insecure-listen-any"]),
            (&["--http", "127.0.0.1:0"], &["http", "port"]),
            (&["--endpoints", " , "], &["endpoints", "at least one"]),
            (&["--batch", "0"], &["batch", "1 to"]),
            (&["--webhook-attempts", "0"], &["webhook_attempts", "1 to"]),
            (
                &["--webhook-backoff-ms", "5000", "--webhook-backoff-max-ms", "10"],
                &["webhook_backoff_max_ms"],
            ),
            (&["--outbox-keep", "10", "--outbox-max", "5"], &["outbox_max", "outbox_keep"]),
            (&["--stall-timeout-ms", "99"], &["stall_timeout_ms", "100 to"]),
        ] {
            let message = parse(args).expect_err("the setting is wrong").to_string();
            for part in parts {
                assert!(message.contains(part), "{args:?}: {message}");
            }
        }
    }
}
