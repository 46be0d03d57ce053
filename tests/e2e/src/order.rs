//! One process of `holdfast-order`.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::node::own_address;
use crate::{Cluster, Http, PATIENCE, binary, eventually};

/// The order service of a cluster: its address, and its process while it runs.
pub struct OrderService {
    /// Where clients reach it.
    pub address: String,
    endpoints: String,
    flags: Vec<String>,
    child: Option<Child>,
    base: TempDir,
}

impl OrderService {
    /// Starts the service of a cluster with more flags, and waits until it is ready.
    ///
    /// # Panics
    /// When there is no room for a directory, or it does not start.
    pub async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let nodes: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
        let mut order = Self {
            address: format!("{}:8081", own_address()),
            endpoints: nodes.join(","),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            child: None,
            base: TempDir::with_prefix("holdfast-e2e-order-").expect("a temporary directory"),
        };
        order.run();
        order.ready().await;
        order
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
        let child = Command::new(binary("holdfast-order"))
            .args(["--http", &self.address, "--endpoints", &self.endpoints, "--log-dir"])
            .arg(self.base.path().join("log"))
            .arg("--stop-when-stdin-closes")
            .args(&self.flags)
            .env_remove("HOLDFAST_ORDER_CONFIG")
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
        eventually("the order service is ready", || async {
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
        self.base.path().join("output")
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
        let mut child = self.child.take().expect("the service runs");
        let pid = child.id().expect("the service runs");
        let sent = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        assert!(sent.expect("kill runs").success(), "kill -TERM {pid}");
        // Its standard input stays open: it must end since it was asked.
        let stdin = child.stdin.take();
        let status = tokio::time::timeout(PATIENCE, child.wait()).await;
        drop(stdin);
        let status = status.unwrap_or_else(|_| panic!("the service does not end: {}", self.output()));
        status.expect("a child can be waited for").code().expect("it was not ended by a signal")
    }
}
