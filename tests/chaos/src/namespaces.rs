//! A network of the kernel's own: each node in a network namespace, joined by a bridge in another. A partition is a
//! neighbour's false hardware address, so that packets vanish in silence, in one direction if so wished.
//!
//! Each namespace belongs to a keeper process that ends when its standard input closes, and goes with it, as do the links
//! into it: nothing is left, even when the harness is killed. Needs root.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Says that it is there, and stays until its standard input closes.
const KEEPER: &str = "ip link set lo up && echo ready && read -r _";

/// The keeper of one namespace.
struct Keeper {
    child: Child,
    pid: u32,
}

/// A network of namespaces.
pub struct Namespaces {
    /// Of the nodes, in order; then the bridge's.
    keepers: Vec<Keeper>,
    /// Second and third number of the addresses, so that runs do not meet.
    net: (u32, u32),
}

/// Runs a program to its end.
async fn run(line: &[&str]) -> Result<String, String> {
    let output = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("{}: {error}", line[0]))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{}: {}", line.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Keeper {
    async fn start() -> Result<Self, String> {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", KEEPER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("unshare: {error}"))?;
        let mut said = String::new();
        let stdout = child.stdout.take().expect("its output is a pipe");
        let told = BufReader::new(stdout).read_line(&mut said).await;
        match child.id() {
            Some(pid) if told.is_ok() && said.trim() == "ready" => Ok(Self { child, pid }),
            _ => Err("this user may not make network namespaces".to_owned()),
        }
    }

    fn enter(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/proc/{}/ns/net", self.pid), "--".to_owned()]
    }

    async fn run(&self, line: &str) -> Result<String, String> {
        let enter = self.enter();
        let line: Vec<&str> = enter.iter().map(String::as_str).chain(line.split_whitespace()).collect();
        run(&line).await
    }
}

impl Namespaces {
    /// Makes a network of `count` nodes, which this process can reach as well.
    ///
    /// # Errors
    /// When this user may not, or a program is missing: why, in one line.
    pub async fn make(count: usize) -> Result<Self, String> {
        let process = std::process::id();
        let net = (64 + (process >> 8) % 128, process & 0xff);
        let mut keepers = Vec::new();
        for _ in 0..=count {
            keepers.push(Keeper::start().await?);
        }
        let network = Self { keepers, net };
        let hub = &network.keepers[count];
        hub.run("ip link add bridge type bridge").await?;
        hub.run("ip link set bridge up").await?;
        for node in 0..count {
            network.plug(&network.keepers[node], node).await?;
        }
        network.plug_harness().await?;
        Ok(network)
    }

    async fn plug(&self, keeper: &Keeper, node: usize) -> Result<(), String> {
        let hub = &self.keepers[self.keepers.len() - 1];
        let port = format!("port{node}");
        hub.run(&format!("ip link add {port} type veth peer name eth0 netns {}", keeper.pid)).await?;
        hub.run(&format!("ip link set {port} master bridge up")).await?;
        keeper.run(&format!("ip addr add {}/24 dev eth0", self.address(node))).await?;
        keeper.run("ip link set eth0 up").await.map(drop)
    }

    /// The harness's own way in: it goes with the bridge's namespace.
    async fn plug_harness(&self) -> Result<(), String> {
        let hub = &self.keepers[self.keepers.len() - 1];
        let (near, far) = (format!("hf{}", std::process::id()), "harness");
        let pid = hub.pid.to_string();
        run(&["ip", "link", "add", &near, "type", "veth", "peer", "name", far, "netns", &pid]).await?;
        hub.run(&format!("ip link set {far} master bridge up")).await?;
        let own = format!("10.{}.{}.254/24", self.net.0, self.net.1);
        run(&["ip", "addr", "add", &own, "dev", &near]).await?;
        run(&["ip", "link", "set", &near, "up"]).await.map(drop)
    }

    /// A node's address.
    #[must_use]
    pub fn address(&self, node: usize) -> String {
        format!("10.{}.{}.{}", self.net.0, self.net.1, node + 1)
    }

    /// What a command line begins with that is to run as a node.
    #[must_use]
    pub fn inside(&self, node: usize) -> Vec<String> {
        self.keepers[node].enter()
    }

    /// Lets every packet from one node to another vanish.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn cut(&self, from: usize, to: usize) -> Result<(), String> {
        let line =
            format!("ip neigh replace {} lladdr 02:00:00:00:00:01 dev eth0 nud permanent", self.address(to));
        self.keepers[from].run(&line).await.map(drop)
    }

    /// Lets packets from one node to another pass again.
    ///
    /// # Errors
    /// When that cannot be done.
    pub async fn heal(&self, from: usize, to: usize) -> Result<(), String> {
        let entry = format!("{} dev eth0", self.address(to));
        // The entry is not there when nothing was cut.
        let known = self.keepers[from].run(&format!("ip neigh show {entry} nud permanent")).await?;
        if known.is_empty() {
            return Ok(());
        }
        self.keepers[from].run(&format!("ip neigh del {entry}")).await.map(drop)
    }

    /// Ends every namespace and waits until it is gone.
    pub async fn remove(mut self) {
        for keeper in &mut self.keepers {
            drop(keeper.child.stdin.take());
            // It has nothing to do but to end.
            drop(keeper.child.wait().await);
        }
    }
}
