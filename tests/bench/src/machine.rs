//! Where figures come from: the machine, and the releases of everything that was measured.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;

use crate::postgres;
use crate::room::Room;

/// A machine and what is installed on it. What cannot be found out is empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// When the run began, in UTC.
    pub at: String,
    /// The processor.
    pub processor: String,
    /// How many of it.
    pub cores: usize,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// The kernel.
    pub kernel: String,
    /// The kind of file system that data was on.
    pub file_system: String,
    /// What was measured: a name, and its release.
    pub versions: Vec<(String, String)>,
    /// How many processes wanted to run in the minute before.
    pub load_average: f64,
}

impl Machine {
    /// This one.
    pub fn look(room: &Room) -> Self {
        let postgres = postgres::programs().map(|dir| dir.join("postgres")).unwrap_or_default();
        let postgres = postgres.display().to_string();
        let versions = [
            ("Holdfast", said("git", &["describe", "--always", "--dirty"])),
            ("PostgreSQL", said(&postgres, &["--version"])),
            ("etcd", said("etcd", &["--version"])),
            ("wrk", said("wrk", &["--version"])),
            ("rustc", said("rustc", &["--version"])),
        ];
        Self {
            at: said("date", &["-u", "+%Y-%m-%d %H:%M"]),
            processor: field("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kibibytes(&field("/proc/meminfo", "MemTotal")) >> 20,
            kernel: said("uname", &["-sr"]),
            file_system: file_system(&room.dir),
            versions: versions.map(|(name, version)| (name.to_owned(), version)).to_vec(),
            load_average: load_average(),
        }
    }
}

/// How many processes wanted to run in the last minute, on average.
pub fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The first line that a program prints, whatever it ends with: some tell their release with their usage.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().trim().to_owned()
}

fn file_system(dir: &Path) -> String {
    said("stat", &["-f", "-c", "%T", &dir.display().to_string()])
}

/// The value of the first line of a file that starts with a name and a colon.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

fn kibibytes(value: &str) -> u64 {
    value.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
