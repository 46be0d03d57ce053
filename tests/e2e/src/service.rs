//! One process of a service around a cluster.

use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::node::{own_address, peak_memory_bytes};
use crate::{Cluster, Http, PATIENCE, binary, eventually};

/// A service of a cluster: its address and directory, and its process while it runs.
pub struct Service {
    /// Where clients reach it.
    pub address: String,
    /// What it writes to: its data, or its logs alone when it keeps none.
    pub dir: PathBuf,
    program: &'static str,
    /// The flag that names the directory.
    dir_flag: &'static str,
    endpoints: String,
    flags: Vec<String>,
    child: Option<Child>,
    _base: TempDir,
}

impl Service {
    /// A service that does not run yet.
    ///
    /// # Panics
    /// When there is no room for a directory.
    #[must_use]
    pub(crate) fn prepare(
        (program, port, dir_flag): (&'static str, u16, &'static str),
        cluster: &Cluster,
        flags: &[&str],
    ) -> Self {
        let base = TempDir::with_prefix(format!("{program}-e2e-")).expect("a temporary directory");
        let nodes: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
        Self {
            address: format!("{}:{port}", own_address()),
            dir: base.path().join("data"),
            program,
            dir_flag,
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

    /// The most memory that its process has had at once, in bytes.
    ///
    /// # Panics
    /// When it does not run, or the system does not tell.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        peak_memory_bytes(self.child.as_ref().and_then(Child::id).expect("the service runs"))
    }

    /// Starts its process.
    ///
    /// # Panics
    /// When it runs already or cannot be started.
    pub fn run(&mut self) {
        assert!(self.child.is_none(), "the service runs already");
        let output = std::fs::File::options().create(true).append(true).open(self.output_path());
        let file_setting = format!("{}_CONFIG", self.program.to_uppercase().replace('-', "_"));
        let child = Command::new(binary(self.program))
            .args(["--http", &self.address, "--endpoints", &self.endpoints, self.dir_flag])
            .arg(&self.dir)
            .arg("--stop-when-stdin-closes")
            .args(&self.flags)
            .env_remove(file_setting)
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
        eventually(&format!("{} is ready", self.program), || async {
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
