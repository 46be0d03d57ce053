//! One process of `holdfast-sync`.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::node::own_address;
use crate::{Cluster, Http, PATIENCE, binary, eventually};

/// The sync service of a cluster: its address and directory, and its process while it runs.
pub struct Sync {
    /// Where clients reach it.
    pub address: String,
    /// Its data directory.
    pub dir: PathBuf,
    endpoints: String,
    flags: Vec<String>,
    child: Option<Child>,
    _base: TempDir,
}

impl Sync {
    /// Starts the service of a cluster with more flags, and waits until it is ready.
    pub async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let mut sync = Self::prepare(cluster, flags);
        sync.run();
        sync.ready().await;
        sync
    }

    /// A service that does not run yet.
    ///
    /// # Panics
    /// When there is no room for a directory.
    #[must_use]
    pub fn prepare(cluster: &Cluster, flags: &[&str]) -> Self {
        let base = TempDir::with_prefix("holdfast-e2e-sync-").expect("a temporary directory");
        let nodes: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
        Self {
            address: format!("{}:8083", own_address()),
            dir: base.path().join("data"),
            endpoints: nodes.join(","),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            child: None,
            _base: base,
        }
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.address)
    }

    /// Starts its process.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        let output = std::fs::File::options().create(true).append(true).open(self.output_path());
        let child = Command::new(binary("holdfast-sync"))
            .args(["--http", &self.address, "--endpoints", &self.endpoints, "--dir"])
            .arg(&self.dir)
            .arg("--stop-when-stdin-closes")
            .args(&self.flags)
            .env_remove("HOLDFAST_SYNC_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(output.expect("a file for what the service writes"))
            .kill_on_drop(true)
            .spawn()
            .expect("the service starts");
        self.child = Some(child);
    }

    /// Waits until it is ready.
    pub async fn ready(&self) {
        let http = self.http();
        eventually("the sync service is ready", || async {
            (http.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        std::fs::read_to_string(self.output_path()).unwrap_or_default()
    }

    fn output_path(&self) -> PathBuf {
        self.dir.with_extension("output")
    }

    /// The directories of its views, whatever became of them.
    #[must_use]
    pub fn views(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("view-")).collect()
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().await.expect("a process of one's own can be killed");
    }

    /// Asks it to stop and waits until it has; returns its exit code.
    ///
    /// # Panics
    /// When it does not run, does not end in time, or was ended by a signal.
    pub async fn stop(&mut self) -> i32 {
        let pid = self.child.as_ref().and_then(Child::id).expect("the service runs");
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        assert!(sent.expect("kill runs").success(), "kill -TERM {pid}");
        self.wait().await
    }

    /// Waits until its process ends; returns its exit code.
    ///
    /// # Panics
    /// When it was not started, does not end in time, or was ended by a signal.
    pub async fn wait(&mut self) -> i32 {
        let mut child = self.child.take().expect("the service was started");
        // Its standard input stays open: it must end for a reason of its own.
        let stdin = child.stdin.take();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        drop(stdin);
        let status = status.unwrap_or_else(|_| panic!("the service does not end: {}", self.output()));
        status.expect("a child can be waited for").code().expect("it was not ended by a signal")
    }
}
