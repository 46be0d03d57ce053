//! Settings: flags, then the environment, then a file, then defaults.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};
use holdfast_api::check_post_url;
use holdfast_sdk::model::{UrlError, WebhookUrl};
use holdfast_serve::{DEFAULT_CONNECTIONS, MAX_CONNECTIONS};
use holdfast_service::settings::{ConfigError, endpoints, in_range, listen_address, millis, wrong};
use holdfast_service::{Process, settings};
use serde::Deserialize;

/// The order service of a Holdfast cluster: takes orders and what becomes of their payments, and announces the refunds
/// that are due. It keeps nothing but its logs; any number of them may run, with the same settings.
///
/// Each setting may be given as a flag, in the environment as HOLDFAST_ORDER_ and its name in capitals
/// (HOLDFAST_ORDER_HTTP), or in a TOML file by its name with underscores (order_ttl_seconds = 900); a flag stands over
/// the environment, and the environment over the file.
///
/// Exit codes: 0 it was asked to stop and did; 1 it stopped by itself, and the log says why; 2 it could not start.
#[derive(Debug, Parser)]
#[command(name = "holdfast-order", version)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
}

/// What happens to a payment that comes when its order has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LatePayments {
    /// The stock is taken again and sold, when it is there.
    Sell,
    /// It is to be given back.
    Refund,
}

settings! {
    config = "HOLDFAST_ORDER_CONFIG";
    /// Address for clients [default: 127.0.0.1:8081]
    [value_name = "ADDRESS"] http: String = "HOLDFAST_ORDER_HTTP";
    /// Nodes of the cluster, host:port, separated by commas
    /// [default: 127.0.0.1:8082,127.0.0.1:8182,127.0.0.1:8282]
    [value_name = "ADDRESSES"] endpoints: String = "HOLDFAST_ENDPOINTS";
    /// Seconds that a buyer has to pay an order that does not say it itself [default: 900]
    [value_name = "SECONDS"] order_ttl_seconds: u64 = "HOLDFAST_ORDER_ORDER_TTL_SECONDS";
    /// Seconds that a hold without an order lasts when it does not say it itself [default: 900]
    [value_name = "SECONDS"] hold_ttl_seconds: u64 = "HOLDFAST_ORDER_HOLD_TTL_SECONDS";
    /// What happens to a payment that comes when its order has expired, unless it says so itself: sell takes the stock
    /// again, when it is there; refund gives the money back [default: sell]
    [value_name = "POLICY", value_enum] late_payments: LatePayments = "HOLDFAST_ORDER_LATE_PAYMENTS";
    /// Where refunds that are due are posted, http://…; they are only listed when absent
    [value_name = "URL"] refund_url: String = "HOLDFAST_ORDER_REFUND_URL";
    /// Milliseconds that the receiver of refunds may take to answer [default: 10000]
    [value_name = "MS"] refund_timeout_ms: u64 = "HOLDFAST_ORDER_REFUND_TIMEOUT_MS";
    /// Milliseconds before the second attempt at a refund; each further one waits up to twice as long [default: 500]
    [value_name = "MS"] refund_backoff_ms: u64 = "HOLDFAST_ORDER_REFUND_BACKOFF_MS";
    /// Most milliseconds between two attempts at a refund [default: 60000]
    [value_name = "MS"] refund_backoff_max_ms: u64 = "HOLDFAST_ORDER_REFUND_BACKOFF_MAX_MS";
    /// Most requests at once; further ones are answered 503 [default: 1024]
    [value_name = "REQUESTS"] max_requests: usize = "HOLDFAST_ORDER_MAX_REQUESTS";
    /// Connections of clients at the same time; further ones are answered 503 and closed [default: 8192]
    [value_name = "CONNECTIONS"] max_connections: usize = "HOLDFAST_ORDER_MAX_CONNECTIONS";
    /// Milliseconds after which a request is given up [default: 10000]
    [value_name = "MS"] request_timeout_ms: u64 = "HOLDFAST_ORDER_REQUEST_TIMEOUT_MS";
    /// Milliseconds that the stopping service waits for what is under way [default: 12000]
    [value_name = "MS"] drain_timeout_ms: u64 = "HOLDFAST_ORDER_DRAIN_TIMEOUT_MS";
    /// Threads that serve requests; 1 is fastest on few cores [default: 1]
    [value_name = "THREADS"] worker_threads: usize = "HOLDFAST_ORDER_WORKER_THREADS";
    /// Directory for JSON logs, one file a day [default: holdfast-order-log]
    [value_name = "DIR"] log_dir: PathBuf = "HOLDFAST_ORDER_LOG_DIR";
    /// What is logged: error, warn, info, debug, or directives such as info,holdfast_order=debug [default: info]
    [value_name = "LEVEL"] log_level: String = "HOLDFAST_ORDER_LOG_LEVEL";
}

/// Everything that the running service needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients are served.
    pub http: SocketAddr,
    /// Nodes of the cluster, `host:port`.
    pub endpoints: Vec<String>,
    /// How long a buyer has to pay, in seconds, when the order does not say.
    pub order_ttl_seconds: u64,
    /// How long a hold without an order lasts, in seconds, when it does not say.
    pub hold_ttl_seconds: u64,
    /// What happens to a payment that comes when its order has expired, when it does not say.
    pub late_payments: LatePayments,
    /// How refunds are announced; none when they are only listed.
    pub refunds: Option<RefundSettings>,
    /// Most requests at once.
    pub max_requests: usize,
    /// Connections of clients at the same time.
    pub max_connections: usize,
    /// How long a request may take.
    pub request_timeout: Duration,
    /// How long the stopping service waits for what is under way.
    pub drain_timeout: Duration,
    /// What the process needs.
    pub process: Process,
}

/// How refunds are announced.
#[derive(Debug, Clone)]
pub struct RefundSettings {
    /// Where they are posted.
    pub url: reqwest::Url,
    /// How long the receiver may take.
    pub timeout: Duration,
    /// The wait before the second attempt.
    pub first_backoff: Duration,
    /// No wait is longer.
    pub max_backoff: Duration,
}

/// The longest life of an order or hold that can be a default, in seconds: a year.
const MAX_TTL_SECONDS: u64 = 31_536_000;

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
        let http = settings.http.as_deref().unwrap_or("127.0.0.1:8081");
        let ttl = |name, value: Option<u64>| in_range(name, value.unwrap_or(900), 1, MAX_TTL_SECONDS);
        Ok(Self {
            http: listen_address(http, "127.0.0.1:8081", settings.insecure_listen_any)?,
            endpoints: endpoints(settings.endpoints.as_deref())?,
            order_ttl_seconds: ttl("order_ttl_seconds", settings.order_ttl_seconds)?,
            hold_ttl_seconds: ttl("hold_ttl_seconds", settings.hold_ttl_seconds)?,
            late_payments: settings.late_payments.unwrap_or(LatePayments::Sell),
            refunds: refunds(&settings)?,
            max_requests: in_range("max_requests", settings.max_requests.unwrap_or(1024), 1, 1_000_000)?,
            max_connections: in_range(
                "max_connections",
                settings.max_connections.unwrap_or(DEFAULT_CONNECTIONS),
                1,
                MAX_CONNECTIONS,
            )?,
            request_timeout: millis("request_timeout_ms", settings.request_timeout_ms.unwrap_or(10_000), 10)?,
            drain_timeout: millis("drain_timeout_ms", settings.drain_timeout_ms.unwrap_or(12_000), 0)?,
            process: settings.process("holdfast-order-log".into())?,
        })
    }
}

fn refunds(settings: &Settings) -> Result<Option<RefundSettings>, ConfigError> {
    let timeout = millis("refund_timeout_ms", settings.refund_timeout_ms.unwrap_or(10_000), 10)?;
    let first_backoff = millis("refund_backoff_ms", settings.refund_backoff_ms.unwrap_or(500), 1)?;
    let max_backoff = millis("refund_backoff_max_ms", settings.refund_backoff_max_ms.unwrap_or(60_000), 1)?;
    if first_backoff > max_backoff {
        return wrong("refund_backoff_max_ms must not be below refund_backoff_ms".to_owned());
    }
    let Some(text) = settings.refund_url.as_deref() else { return Ok(None) };
    match refund_url(text) {
        Ok(url) => Ok(Some(RefundSettings { url, timeout, first_backoff, max_backoff })),
        Err(why) => wrong(format!(
            "refund_url must be like http://127.0.0.1:9000/refunds, without TLS, got {text:?}: {why}"
        )),
    }
}

fn refund_url(text: &str) -> Result<reqwest::Url, String> {
    let url: WebhookUrl = text.parse().map_err(|error: UrlError| error.to_string())?;
    check_post_url(&url).map_err(|error| error.to_string())?;
    let parsed: reqwest::Url = text.parse().map_err(|error| format!("{error}"))?;
    if parsed.scheme() == "http" { Ok(parsed) } else { Err("TLS is not spoken here".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, ConfigError> {
        Config::from_args(std::iter::once("holdfast-order").chain(args.iter().copied()).map(Into::into))
    }

    #[test]
    fn a_flag_stands_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("order.toml");
        std::fs::write(&file, "order_ttl_seconds = 10\nhold_ttl_seconds = 20\nlate_payments = \"refund\"\n")
            .unwrap();
        let config = parse(&["--config", file.to_str().unwrap(), "--order-ttl-seconds", "11"]).unwrap();
        assert_eq!((config.order_ttl_seconds, config.hold_ttl_seconds), (11, 20));
        assert_eq!((config.late_payments, config.http.port()), (LatePayments::Refund, 8081));
        assert!(config.refunds.is_none());
        std::fs::write(&file, "order_ttl = 10\n").unwrap();
        assert!(parse(&["--config", file.to_str().unwrap()]).unwrap_err().to_string().contains("order_ttl"));
    }

    #[test]
    fn a_wrong_value_names_the_setting_and_what_was_expected() {
        for (args, parts) in [
            (&["--http", "nowhere"][..], &["http", "127.0.0.1:8081", "nowhere"][..]),
            (&["--http", "10.0.0.1:8081"], &["http", "loopback", "--insecure-listen-any"]),
            (&["--endpoints", ","], &["endpoints", "at least one"]),
            (&["--order-ttl-seconds", "0"], &["order_ttl_seconds", "1 to"]),
            (&["--hold-ttl-seconds", "99999999999"], &["hold_ttl_seconds", "1 to"]),
            (&["--late-payments", "keep"], &["late-payments", "sell", "refund"]),
            (&["--refund-url", "https://a/b"], &["refund_url", "http://", "TLS"]),
            (&["--refund-url", "refunds"], &["refund_url", "http://"]),
            (&["--refund-url", "http:///refunds"], &["refund_url", "a host"]),
            (&["--refund-url", "http://["], &["refund_url", "IPv6"]),
            (&["--refund-url", "http://a:99999/b"], &["refund_url", "port"]),
            (&["--refund-backoff-ms", "5000", "--refund-backoff-max-ms", "10"], &["refund_backoff_max_ms"]),
            (&["--max-requests", "0"], &["max_requests", "1 to"]),
        ] {
            let message = parse(args).expect_err("the setting is wrong").to_string();
            for part in parts {
                assert!(message.contains(part), "{args:?}: {message}");
            }
        }
    }
}
