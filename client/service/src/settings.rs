//! Settings: flags, then the environment, then a file, then defaults.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

/// A wrong setting: names it and says what was expected.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wrong setting, in words.
///
/// # Errors
/// Always.
pub fn wrong<T>(text: String) -> Result<T, ConfigError> {
    Err(ConfigError(text))
}

/// Reads a file of settings; `source` is the flag or variable that named it.
///
/// # Errors
/// When it cannot be read, or has something that is no setting.
pub fn read_table<T: DeserializeOwned>(path: &Path, source: &str) -> Result<T, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return wrong(format!("{source}: cannot read {}: {error}", path.display())),
    };
    toml::from_str(&text)
        .map_err(|error| ConfigError(format!("{}: {}", path.display(), error.to_string().trim_end())))
}

/// A value within bounds.
///
/// # Errors
/// When it is not.
pub fn in_range<T: PartialOrd + fmt::Display>(
    name: &str,
    value: T,
    min: T,
    max: T,
) -> Result<T, ConfigError> {
    if value < min || value > max {
        wrong(format!("{name} must be {min} to {max}, got {value}"))
    } else {
        Ok(value)
    }
}

/// No wait of a service is longer than an hour.
const MAX_WAIT_MS: u64 = 3_600_000;

/// A wait in milliseconds.
///
/// # Errors
/// When it is below `min`, or longer than an hour.
pub fn millis(name: &str, value: u64, min: u64) -> Result<Duration, ConfigError> {
    in_range(name, value, min, MAX_WAIT_MS).map(Duration::from_millis)
}

/// The address to listen on; one that is not loopback only where that is said.
///
/// # Errors
/// When it is not one; `example` shows how one looks.
pub fn listen_address(text: &str, example: &str, any: bool) -> Result<SocketAddr, ConfigError> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        return wrong(format!("http must be an IP address and a port, such as {example}, got {text:?}"));
    };
    if address.port() == 0 {
        return wrong(format!("http needs a port that others can be told, got {text:?}"));
    }
    if !address.ip().is_loopback() && !any {
        return wrong(format!(
            "http must be a loopback address, got {text:?}: without encryption and authentication other addresses need \
             --insecure-listen-any"
        ));
    }
    Ok(address)
}

/// The nodes of a cluster, separated by commas; those of a local one when absent.
///
/// # Errors
/// When there is none.
pub fn endpoints(text: Option<&str>) -> Result<Vec<String>, ConfigError> {
    let text = text.unwrap_or("127.0.0.1:8082,127.0.0.1:8182,127.0.0.1:8282");
    let endpoints: Vec<String> =
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if endpoints.is_empty() {
        return wrong("endpoints must name at least one node, such as 127.0.0.1:8082".to_owned());
    }
    Ok(endpoints)
}

/// Reads a command line. Ends the process for `--help` and `--version`.
///
/// # Errors
/// When the command line cannot be read.
pub fn matches(
    command: clap::Command,
    args: impl IntoIterator<Item = OsString>,
) -> Result<clap::ArgMatches, ConfigError> {
    command.try_get_matches_from(args).map_err(|error| {
        if error.use_stderr() {
            ConfigError(error.to_string().trim_start_matches("error: ").trim_end().to_owned())
        } else {
            error.exit()
        }
    })
}

/// Makes `Settings`, as flags and variables, and `Table`, as a file; `config` is the variable that names the file.
#[macro_export]
macro_rules! settings {
    (config = $config:literal; $($(#[doc = $doc:literal])+ $([$($extra:tt)*])? $name:ident: $type:ty = $env:literal;)*) => {
        #[derive(Debug, Args)]
        struct Settings {
            /// TOML file with settings
            #[arg(long, env = $config, value_name = "FILE")]
            config: Option<PathBuf>,
            $(
                $(#[doc = $doc])+
                #[arg(long, env = $env, $($($extra)*)?)]
                $name: Option<$type>,
            )*
            /// Listen on an address that is not loopback, without encryption or authentication
            #[arg(long)]
            insecure_listen_any: bool,
            /// Stop when standard input closes, for programs that start this one and may die
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
            /// The settings of a command line and of the environment, completed by the file that they name. Ends the
            /// process for `--help` and `--version`.
            fn read<P: clap::Parser>(
                args: impl IntoIterator<Item = std::ffi::OsString>,
                settings: impl FnOnce(P) -> Self,
            ) -> Result<Self, $crate::settings::ConfigError> {
                let matches = $crate::settings::matches(P::command(), args)?;
                let cli = P::from_arg_matches(&matches)
                    .map_err(|error| $crate::settings::ConfigError(error.to_string()))?;
                let mut settings = settings(cli);
                if let Some(path) = settings.config.clone() {
                    let from_flag =
                        matches.value_source("config") == Some(clap::parser::ValueSource::CommandLine);
                    let source = if from_flag { "--config" } else { $config };
                    settings.fill($crate::settings::read_table(&path, source)?);
                }
                Ok(settings)
            }

            /// What the process needs; its logs go to `log_dir` when it is not said.
            fn process(&self, log_dir: PathBuf) -> Result<$crate::Process, $crate::settings::ConfigError> {
                let threads = self.worker_threads.unwrap_or(1);
                Ok($crate::Process {
                    worker_threads: $crate::settings::in_range("worker_threads", threads, 1, 256)?,
                    log_dir: self.log_dir.clone().unwrap_or(log_dir),
                    log_level: self.log_level.clone().unwrap_or_else(|| "info".to_owned()),
                    stop_when_stdin_closes: self.stop_when_stdin_closes,
                })
            }

            /// Fills in from the file what neither a flag nor the environment gave.
            fn fill(&mut self, table: Table) {
                $(self.$name = self.$name.take().or(table.$name);)*
                self.insecure_listen_any |= table.insecure_listen_any.unwrap_or(false);
            }
        }
    };
}
