//! Settings: flags, then the environment, then a file, then defaults.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use holdfast_replica::{Detours, Member, Options, Timing};
use holdfast_serve::{DEFAULT_CONNECTIONS, MAX_CONNECTIONS};
use serde::Deserialize;

use crate::FeedOptions;

/// One node of a Holdfast cluster: the inventory service.
///
/// Each setting may be given as a flag, in the environment as HOLDFAST_ and its name in capitals (HOLDFAST_MAX_QUEUE),
/// or in a TOML file by its name with underscores (max_queue = 8192); a flag stands over the environment, and the
/// environment over the file.
///
/// Exit codes: 0 it was asked to stop and did; 1 it stopped by itself, and the log says why; 2 it could not start.
#[derive(Debug, Parser)]
#[command(name = "holdfast-node", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

/// What else the program does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make the only survivor of a lost majority a cluster of its own. What the others had acknowledged and this node
    /// never heard of is lost.
    Recover(Recover),
}

/// How to recover.
#[derive(Debug, Args)]
pub struct Recover {
    /// Number of this node
    #[arg(long, env = "HOLDFAST_ID")]
    pub id: u64,
    /// Data directory of this node, which must not run
    #[arg(long, env = "HOLDFAST_DIR")]
    pub dir: PathBuf,
    /// Address for peers from now on, host:port
    #[arg(long, env = "HOLDFAST_PEER", default_value = "127.0.0.1:8087")]
    pub peer: String,
    /// Address for clients from now on, host:port
    #[arg(long, env = "HOLDFAST_HTTP", default_value = "127.0.0.1:8082")]
    pub http: String,
    /// Do it
    #[arg(long)]
    pub accept_data_loss: bool,
}

impl Recover {
    /// What recovering means, for somebody who has not agreed yet.
    #[must_use]
    pub fn explanation(&self) -> String {
        format!(
            "This makes node {} the only member of a new cluster, with what its log holds. Do it only when a majority of the \
             old cluster is lost for good: what the others acknowledged and this node never heard of is gone, and nodes of \
             the old cluster must not be started again. Run it again with --accept-data-loss to do it.",
            self.id
        )
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $([$($extra:tt)*])? $name:ident: $type:ty = $env:literal;)*) => {
        #[derive(Debug, Args)]
        struct Settings {
            /// TOML file with settings
            #[arg(long, env = "HOLDFAST_CONFIG", value_name = "FILE")]
            config: Option<PathBuf>,
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $env, $($($extra)*)?)]
                $name: Option<$type>,
            )*
            /// Listen on addresses that are not loopback, without encryption or authentication
            #[arg(long)]
            insecure_listen_any: bool,
            /// Stop when standard input closes, for programs that start nodes and may die
            #[arg(long, hide = true)]
            stop_when_stdin_closes: bool,
        }

        /// The file.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            $($name: Option<$type>,)*
            insecure_listen_any: Option<bool>,
        }

        impl Settings {
            /// Fills in from the file what neither a flag nor the environment gave.
            fn fill(&mut self, table: Table) {
                $(self.$name = self.$name.take().or(table.$name);)*
                self.insecure_listen_any |= table.insecure_listen_any.unwrap_or(false);
            }
        }
    };
}

settings! {
    /// Number of this node, 1 or more, never used before for another
    id: u64 = "HOLDFAST_ID";
    /// Data directory [default: holdfast-data]
    [value_name = "DIR"] dir: PathBuf = "HOLDFAST_DIR";
    /// Address for clients [default: 127.0.0.1:8082]
    [value_name = "ADDRESS"] http: String = "HOLDFAST_HTTP";
    /// Address for peers [default: 127.0.0.1:8087]
    [value_name = "ADDRESS"] peer: String = "HOLDFAST_PEER";
    /// Members of a new cluster, this one included: ID=PEER/HTTP, separated by commas
    [value_name = "MEMBERS"] cluster: String = "HOLDFAST_CLUSTER";
    /// Peer addresses of members of a cluster to join, separated by commas
    [value_name = "ADDRESSES"] join: String = "HOLDFAST_JOIN";
    /// Members that are behind a proxy or a translation of addresses, seen from here: ADDRESS=ADDRESS, separated by
    /// commas; the second is dialled for the first
    [value_name = "DETOURS"] via: String = "HOLDFAST_VIA";
    /// Milliseconds between the leader's heartbeats [default: 50]
    [value_name = "MS"] heartbeat_ms: u64 = "HOLDFAST_HEARTBEAT_MS";
    /// Least milliseconds of random wait before an election [default: 150]
    [value_name = "MS"] election_min_ms: u64 = "HOLDFAST_ELECTION_MIN_MS";
    /// Most milliseconds of random wait before an election, and the leader's lease [default: 300]
    [value_name = "MS"] election_max_ms: u64 = "HOLDFAST_ELECTION_MAX_MS";
    /// Commands that may wait to be proposed before new ones are refused as overloaded [default: 20000]
    [value_name = "COMMANDS"] max_queue: usize = "HOLDFAST_MAX_QUEUE";
    /// Most commands in one log entry; one batch may exceed it [default: 2000]
    [value_name = "COMMANDS"] max_entry_commands: usize = "HOLDFAST_MAX_ENTRY_COMMANDS";
    /// Least mebibytes of log before a snapshot lets it be cut [default: 64]
    [value_name = "MIB"] snapshot_min_log_mib: u64 = "HOLDFAST_SNAPSHOT_MIN_LOG_MIB";
    /// Milliseconds after which a request is given up [default: 5000]
    [value_name = "MS"] request_timeout_ms: u64 = "HOLDFAST_REQUEST_TIMEOUT_MS";
    /// Milliseconds that a stopping node waits for requests that are under way [default: 5000]
    [value_name = "MS"] drain_timeout_ms: u64 = "HOLDFAST_DRAIN_TIMEOUT_MS";
    /// Connections of clients at the same time; further ones are answered 503 and closed [default: 8192]
    [value_name = "CONNECTIONS"] max_connections: usize = "HOLDFAST_MAX_CONNECTIONS";
    /// Readers of the feed at the same time [default: 5000]
    [value_name = "READERS"] max_feeds: usize = "HOLDFAST_MAX_FEEDS";
    /// Milliseconds that a reader of the feed may take nothing before it is cut off; any connection is closed after three
    /// times as long [default: 10000]
    [value_name = "MS"] stall_timeout_ms: u64 = "HOLDFAST_STALL_TIMEOUT_MS";
    /// Threads that serve requests; 1 is fastest on few cores [default: 1]
    [value_name = "THREADS"] worker_threads: usize = "HOLDFAST_WORKER_THREADS";
    /// Directory for JSON logs, one file a day [default: log in the data directory]
    [value_name = "DIR"] log_dir: PathBuf = "HOLDFAST_LOG_DIR";
    /// What is logged: error, warn, info, debug, or directives such as info,holdfast_replica=debug [default: info]
    [value_name = "LEVEL"] log_level: String = "HOLDFAST_LOG_LEVEL";
}

/// A wrong setting: names it and says what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError(text))
}

/// What the program was asked to do.
#[derive(Debug)]
pub struct Parsed {
    /// Something else than to run.
    pub command: Option<Command>,
    /// How to run.
    pub config: Option<Config>,
}

/// Everything that a running node needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// What the replica starts from.
    pub replica: Options,
    /// Where other addresses are dialled than those of the members.
    pub detours: Detours,
    /// Where clients are served.
    pub http: SocketAddr,
    /// How long a request may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long a stopping node waits for requests, in milliseconds.
    pub drain_timeout_ms: u64,
    /// Connections of clients at the same time.
    pub max_connections: usize,
    /// Limits of the feed.
    pub feed: FeedOptions,
    /// Threads that serve requests.
    pub worker_threads: usize,
    /// Where JSON logs go.
    pub log_dir: PathBuf,
    /// What is logged.
    pub log_level: String,
    /// Stop when standard input closes.
    pub stop_when_stdin_closes: bool,
}

impl Parsed {
    /// Reads the command line and the environment of this process. Ends the process for `--help`, `--version`, and for a
    /// command line that cannot be read.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_args(std::env::args_os())
    }

    fn from_args(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Self, ConfigError> {
        let matches = Cli::command().try_get_matches_from(args).map_err(|error| {
            if error.use_stderr() {
                let text = error.to_string();
                ConfigError(format!(
                    "{}{}",
                    text.trim_start_matches("error: ").trim_end(),
                    from_where(&error)
                ))
            } else {
                error.exit()
            }
        })?;
        let mut cli = Cli::from_arg_matches(&matches).map_err(|error| ConfigError(error.to_string()))?;
        if cli.command.is_some() {
            return Ok(Self { command: cli.command, config: None });
        }
        if let Some(path) = cli.settings.config.clone() {
            let from_flag = matches.value_source("config") == Some(ValueSource::CommandLine);
            cli.settings.fill(read_table(&path, from_flag)?);
        }
        Ok(Self { command: None, config: Some(Config::new(cli.settings)?) })
    }
}

/// Where a value that was not taken came from, when that was not the command line: the library names the flag alone.
fn from_where(error: &clap::Error) -> String {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return String::new();
    };
    let flag = flag.trim_start_matches("--").split(' ').next().unwrap_or_default();
    let command = Cli::command();
    let name = command.get_arguments().find(|arg| arg.get_long() == Some(flag)).and_then(clap::Arg::get_env);
    let is_environment = name.and_then(std::env::var_os).is_some_and(|given| given == value.as_str());
    match name
        .filter(|_| is_environment && !std::env::args().any(|arg| arg.starts_with(&format!("--{flag}"))))
    {
        Some(name) => format!(" (from the environment: {}={value})", name.display()),
        None => String::new(),
    }
}

fn read_table(path: &Path, from_flag: bool) -> Result<Table, ConfigError> {
    let source = if from_flag { "--config" } else { "HOLDFAST_CONFIG" };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return wrong(format!("{source}: cannot read {}: {error}", path.display())),
    };
    toml::from_str(&text)
        .map_err(|error| ConfigError(format!("{}: {}", path.display(), error.to_string().trim_end())))
}

impl Config {
    fn new(settings: Settings) -> Result<Self, ConfigError> {
        let id = match settings.id {
            Some(0) => return wrong("id must be 1 or more".to_owned()),
            Some(id) => id,
            None => {
                return wrong(
                    "id is missing: give this node's number with --id, HOLDFAST_ID or in the file".to_owned(),
                );
            }
        };
        let any = settings.insecure_listen_any;
        let http = listen_address("http", settings.http.as_deref().unwrap_or("127.0.0.1:8082"), any)?;
        let peer = listen_address("peer", settings.peer.as_deref().unwrap_or("127.0.0.1:8087"), any)?;
        let me = Member { id, peer: peer.to_string(), http: http.to_string() };
        let cluster = members(settings.cluster.as_deref().unwrap_or_default())?;
        let join: Vec<String> = list(settings.join.as_deref().unwrap_or_default());
        if !cluster.is_empty() && !join.is_empty() {
            return wrong("cluster and join exclude each other: found a new cluster or join one".to_owned());
        }
        check_me(&me, &cluster)?;
        let dir = settings.dir.unwrap_or_else(|| "holdfast-data".into());
        let timing = timing(settings.heartbeat_ms, settings.election_min_ms, settings.election_max_ms)?;
        let replica = Options {
            me,
            cluster,
            join,
            timing,
            max_queue: in_range("max_queue", settings.max_queue.unwrap_or(20_000), 1, 10_000_000)?,
            max_entry_commands: in_range(
                "max_entry_commands",
                settings.max_entry_commands.unwrap_or(2000),
                1,
                100_000,
            )?,
            snapshot_min_log_bytes: in_range(
                "snapshot_min_log_mib",
                settings.snapshot_min_log_mib.unwrap_or(64),
                1,
                1 << 20,
            )? << 20,
            dir: dir.clone(),
        };
        Ok(Self {
            replica,
            detours: detours(settings.via.as_deref().unwrap_or_default())?,
            http,
            request_timeout_ms: in_range(
                "request_timeout_ms",
                settings.request_timeout_ms.unwrap_or(5000),
                10,
                600_000,
            )?,
            drain_timeout_ms: in_range(
                "drain_timeout_ms",
                settings.drain_timeout_ms.unwrap_or(5000),
                0,
                600_000,
            )?,
            max_connections: in_range(
                "max_connections",
                settings.max_connections.unwrap_or(DEFAULT_CONNECTIONS),
                1,
                MAX_CONNECTIONS,
            )?,
            feed: FeedOptions {
                max_readers: in_range("max_feeds", settings.max_feeds.unwrap_or(5000), 0, 1_000_000)?,
                stall: Duration::from_millis(in_range(
                    "stall_timeout_ms",
                    settings.stall_timeout_ms.unwrap_or(10_000),
                    100,
                    600_000,
                )?),
            },
            worker_threads: in_range("worker_threads", settings.worker_threads.unwrap_or(1), 1, 256)?,
            log_dir: settings.log_dir.unwrap_or_else(|| dir.join("log")),
            log_level: settings.log_level.unwrap_or_else(|| "info".to_owned()),
            stop_when_stdin_closes: settings.stop_when_stdin_closes,
        })
    }
}

fn in_range<T: PartialOrd + fmt::Display>(name: &str, value: T, min: T, max: T) -> Result<T, ConfigError> {
    if value < min || value > max {
        wrong(format!("{name} must be {min} to {max}, got {value}"))
    } else {
        Ok(value)
    }
}

fn timing(heartbeat: Option<u64>, min: Option<u64>, max: Option<u64>) -> Result<Timing, ConfigError> {
    let timing = Timing {
        heartbeat_ms: in_range("heartbeat_ms", heartbeat.unwrap_or(50), 5, 60_000)?,
        election_min_ms: in_range("election_min_ms", min.unwrap_or(150), 10, 600_000)?,
        election_max_ms: in_range("election_max_ms", max.unwrap_or(300), 20, 600_000)?,
    };
    if timing.heartbeat_ms * 2 > timing.election_min_ms {
        return wrong(format!(
            "election_min_ms must be at least twice heartbeat_ms, got {} and {}",
            timing.election_min_ms, timing.heartbeat_ms
        ));
    }
    if timing.election_min_ms >= timing.election_max_ms {
        return wrong(format!(
            "election_max_ms must be above election_min_ms, got {} and {}",
            timing.election_max_ms, timing.election_min_ms
        ));
    }
    Ok(timing)
}

fn listen_address(name: &str, text: &str, any: bool) -> Result<SocketAddr, ConfigError> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return wrong(format!(
            "{name} must be an IP address and a port, such as 127.0.0.1:8082, got {text:?}"
        ));
    };
    if address.port() == 0 {
        return wrong(format!("{name} needs a port that others can be told, got {text:?}"));
    }
    if !address.ip().is_loopback() && !any {
        return wrong(format!(
            "{name} must be a loopback address, got {text:?}: without encryption and authentication other addresses need \
             --insecure-listen-any"
        ));
    }
    Ok(address)
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn members(text: &str) -> Result<Vec<Member>, ConfigError> {
    let mut members: Vec<Member> = Vec::new();
    for part in list(text) {
        let Some(member) = member(&part) else {
            return wrong(format!(
                "cluster must be ID=PEER/HTTP, separated by commas, such as 1=127.0.0.1:8087/127.0.0.1:8082, got {part:?}"
            ));
        };
        if members.iter().any(|other| other.id == member.id) {
            return wrong(format!("cluster names member {} twice", member.id));
        }
        members.push(member);
    }
    Ok(members)
}

fn detours(text: &str) -> Result<Detours, ConfigError> {
    let mut detours = Detours::new();
    for part in list(text) {
        let pair = part.split_once('=').filter(|(known, dialled)| is_address(known) && is_address(dialled));
        let Some((known, dialled)) = pair else {
            return wrong(format!(
                "via must be ADDRESS=ADDRESS, separated by commas, such as 10.0.0.2:8087=127.0.0.1:9087, got {part:?}"
            ));
        };
        if detours.insert(known.to_owned(), dialled.to_owned()).is_some() {
            return wrong(format!("via names {known} twice"));
        }
    }
    Ok(detours)
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn member(text: &str) -> Option<Member> {
    let (id, addresses) = text.split_once('=')?;
    let (peer, http) = addresses.split_once('/')?;
    let id = id.parse().ok().filter(|&id| id > 0)?;
    (is_address(peer) && is_address(http)).then(|| Member {
        id,
        peer: peer.to_owned(),
        http: http.to_owned(),
    })
}

fn check_me(me: &Member, cluster: &[Member]) -> Result<(), ConfigError> {
    if cluster.is_empty() {
        return Ok(());
    }
    match cluster.iter().find(|member| member.id == me.id) {
        None => wrong(format!("cluster does not name this node, which is {}", me.id)),
        Some(listed) if listed != me => wrong(format!(
            "cluster says that member {} is at {}/{}, but this node listens on {}/{}",
            me.id, listed.peer, listed.http, me.peer, me.http
        )),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Config, ConfigError> {
        let args = std::iter::once("holdfast-node").chain(args.iter().copied()).map(Into::into);
        Parsed::from_args(args).map(|parsed| parsed.config.expect("no command was given"))
    }

    fn message(args: &[&str]) -> String {
        parse(args).expect_err("the setting is wrong").to_string()
    }

    #[test]
    fn a_flag_stands_over_the_file_and_the_file_over_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        std::fs::write(&file, "id = 7\nmax_queue = 10\nheartbeat_ms = 20\n").unwrap();
        let config = parse(&["--config", file.to_str().unwrap(), "--max-queue", "11"]).unwrap();
        assert_eq!(config.replica.me.id, 7);
        assert_eq!(config.replica.max_queue, 11);
        assert_eq!(config.replica.timing.heartbeat_ms, 20);
        assert_eq!(config.replica.timing.election_max_ms, 300);
        std::fs::write(&file, "id = 7\nmax_que = 10\n").unwrap();
        assert!(message(&["--config", file.to_str().unwrap()]).contains("max_que"));
    }

    #[test]
    fn a_wrong_value_names_the_setting_and_what_was_expected() {
        for (args, parts) in [
            (&[][..], &["id is missing"][..]),
            (&["--id", "0"], &["id", "1 or more"]),
            (&["--id", "x"], &["--id", "invalid"]),
            (&["--id", "1", "--http", "nowhere"], &["http", "127.0.0.1:8082", "nowhere"]),
            (&["--id", "1", "--http", "10.0.0.1:8082"], &["http", "loopback", "--insecure-listen-any"]),
            (&["--id", "1", "--cluster", "1=a"], &["cluster", "ID=PEER/HTTP"]),
            (&["--id", "1", "--cluster", "2=127.0.0.1:1/127.0.0.1:2"], &["does not name this node"]),
            (&["--id", "1", "--heartbeat-ms", "100"], &["election_min_ms", "twice"]),
            (&["--id", "1", "--election-max-ms", "150"], &["election_max_ms", "above"]),
            (&["--id", "1", "--max-queue", "0"], &["max_queue", "1 to"]),
            (&["--id", "1", "--max-connections", "0"], &["max_connections", "1 to"]),
            (&["--id", "1", "--stall-timeout-ms", "99"], &["stall_timeout_ms", "100 to"]),
            (&["--id", "1", "--via", "a:1"], &["via", "ADDRESS=ADDRESS", "a:1"]),
            (&["--id", "1", "--via", "a:1=b:x"], &["via", "ADDRESS=ADDRESS", "b:x"]),
            (&["--id", "1", "--via", "a:1=b:1,a:1=c:1"], &["via", "a:1", "twice"]),
        ] {
            let message = message(args);
            for part in parts {
                assert!(message.contains(part), "{args:?}: {message}");
            }
        }
    }

    #[test]
    fn a_list_of_members_must_agree_with_this_node() {
        let list = "1=127.0.0.1:8087/127.0.0.1:8082,2=127.0.0.1:8187/127.0.0.1:8182";
        let config = parse(&["--id", "1", "--cluster", list]).unwrap();
        assert_eq!(config.replica.cluster.len(), 2);
        assert!(message(&["--id", "2", "--cluster", list]).contains("listens on 127.0.0.1:8087"));
    }
}
