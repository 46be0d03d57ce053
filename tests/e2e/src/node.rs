//! One process of `holdfast-node`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::{Child, Command};

use crate::{Http, PATIENCE, SmallDisk};

/// The path of one of the workspace's binaries, built before the tests.
///
/// # Panics
/// When it has not been built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let dir = test.parent().expect("a program lies in a directory");
    // A test lies in target/PROFILE/deps, a program beside the others.
    let dir = if dir.ends_with("deps") { dir.parent().expect("it has one above it") } else { dir };
    let path = dir.join(name);
    assert!(path.exists(), "{} is missing: cargo build -p holdfast-node -p holdfast-cli", path.display());
    path
}

/// The most memory that a process has had at once, in bytes.
///
/// # Panics
/// When the system does not tell.
pub(crate) fn peak_memory_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    kib.map(|kib: u64| kib << 10).expect("the system tells how much memory a process has had")
}

/// An address of 127.0.0.0/8 that no other caller on this machine gets.
pub(crate) fn own_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let process = std::process::id();
    assert!(number < 255, "a test run starts fewer nodes than an octet has numbers");
    format!("127.{}.{}.{number}", 1 + (process >> 8) % 254, process & 0xff)
}

/// How elections are timed unless a test says otherwise. Tests share a machine with builds and with each other, and a
/// process may have to wait longer for its turn than the lease of a leader usually lasts: then leadership would change
/// where a test counts on it to stay.
const TIMING: [(&str, &str); 3] = [
    ("HOLDFAST_HEARTBEAT_MS", "100"),
    ("HOLDFAST_ELECTION_MIN_MS", "1000"),
    ("HOLDFAST_ELECTION_MAX_MS", "2000"),
];

/// One member: its number, addresses and directory, and its process while it runs.
pub struct Node {
    /// Its number.
    pub id: u64,
    /// Where clients reach it.
    pub http_address: String,
    /// Where peers reach it.
    pub peer_address: String,
    /// Its data directory.
    pub dir: PathBuf,
    /// What its command line begins with.
    wrapper: Vec<String>,
    child: Option<Child>,
}

impl Node {
    /// A node that does not run yet.
    #[must_use]
    pub fn new(id: u64, base: &Path) -> Self {
        Self::at(id, base, &own_address())
    }

    /// A node at an address that the caller has chosen; it does not run yet.
    #[must_use]
    pub fn at(id: u64, base: &Path, address: &str) -> Self {
        Self {
            id,
            http_address: format!("{address}:8082"),
            peer_address: format!("{address}:8087"),
            dir: base.join(format!("node-{id}")),
            wrapper: Vec::new(),
            child: None,
        }
    }

    /// Starts it where `disk` is mounted from now on.
    pub fn run_on(&mut self, disk: &SmallDisk) {
        self.run_inside(disk.inside());
    }

    /// Starts it by this command line from now on, which its own is added to; it must become the node's process.
    pub fn run_inside(&mut self, wrapper: Vec<String>) {
        self.wrapper = wrapper;
    }

    /// Lets it open so many files from its next start on.
    pub fn limit_files(&mut self, files: u32) {
        self.wrapper = vec!["prlimit".to_owned(), format!("--nofile={files}:{files}"), "--".to_owned()];
    }

    /// How it is written in a list of members.
    #[must_use]
    pub fn listing(&self) -> String {
        format!("{}={}/{}", self.id, self.peer_address, self.http_address)
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.http_address)
    }

    /// Starts it, with `more` flags.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn start(&mut self, more: &[&str]) {
        assert!(self.child.is_none(), "node {} runs already", self.id);
        std::fs::create_dir_all(&self.dir).expect("a directory for the node");
        let output = std::fs::File::options().create(true).append(true).open(self.output_path());
        let output = output.expect("a file for what the node writes");
        let mut line = self.wrapper.iter().map(Into::into).chain([binary("holdfast-node")]);
        let child = Command::new(line.next().expect("a program"))
            .args(line)
            .args(["--id", &self.id.to_string(), "--http", &self.http_address, "--peer", &self.peer_address])
            .arg("--dir")
            .arg(&self.dir)
            .arg("--stop-when-stdin-closes")
            .args(more)
            .env_remove("HOLDFAST_CONFIG")
            .envs(TIMING)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .expect("the node starts");
        self.child = Some(child);
    }

    /// The most memory that its process has had at once, in bytes.
    ///
    /// # Panics
    /// When it does not run, or the system does not tell.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        peak_memory_bytes(self.child.as_ref().and_then(Child::id).expect("the node runs"))
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.output_path()).unwrap_or_default()
    }

    fn output_path(&self) -> PathBuf {
        self.dir.with_extension("output")
    }

    /// Whether its process runs.
    pub fn runs(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the node runs");
        child.kill().await.expect("a process of one's own can be killed");
    }

    /// The number of its process while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Sends it a signal by name, such as TERM or STOP.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn signal(&self, name: &str) {
        let pid = self.child.as_ref().and_then(Child::id).expect("the node runs");
        let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().await;
        assert!(status.expect("kill runs").success(), "kill -{name} {pid}");
    }

    /// Waits until its process ends; returns its exit code.
    ///
    /// # Panics
    /// When it does not end in time, or was ended by a signal.
    pub async fn wait(&mut self) -> i32 {
        let mut child = self.child.take().expect("the node was started");
        // Its standard input stays open: it must end for a reason of its own.
        let stdin = child.stdin.take();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        drop(stdin);
        let status = status.unwrap_or_else(|_| panic!("node {} does not end: {}", self.id, self.output()));
        status.expect("a child can be waited for").code().expect("it was not ended by a signal")
    }
}
