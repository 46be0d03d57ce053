//! One process of `holdfast-order`.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::node::own_address;
use crate::{Cluster, Http, binary, eventually};

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
    /// When there is no room for a directory, or it cannot be started.
    pub async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let nodes: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
        let mut service = Self {
            address: format!("{}:8081", own_address()),
            endpoints: nodes.join(","),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            child: None,
            base: TempDir::with_prefix("holdfast-e2e-order-").expect("a temporary directory"),
        };
        service.run().await;
        service
    }

    /// Starts its process, and waits until it is ready.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub async fn run(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        let child = Command::new(binary("holdfast-order"))
            .args(["--http", &self.address, "--endpoints", &self.endpoints, "--log-dir"])
            .arg(self.base.path())
            .arg("--stop-when-stdin-closes")
            .args(&self.flags)
            .env_remove("HOLDFAST_ORDER_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the service starts");
        self.child = Some(child);
        let http = self.http();
        eventually("the order service is ready", || async {
            (http.get("/readyz").await.status == 200).then_some(())
        })
        .await;
    }

    /// A client of it.
    #[must_use]
    pub fn http(&self) -> Http {
        Http::new(&self.address)
    }

    /// Ends it at once, as `kill -9` does.
    ///
    /// # Panics
    /// When it does not run.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().expect("the service runs");
        child.kill().await.expect("a process of one's own can be killed");
    }
}
