//! Three nodes, what is between them, and what was done to them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use holdfast_e2e::{Node, SmallDisk};

use crate::namespaces::Namespaces;
use crate::proxy::Links;
use crate::web::Web;

/// Members of the cluster.
pub const MEMBERS: usize = 3;

/// The member that lies on a small disk, where there is one.
pub const ON_SMALL_DISK: usize = 2;

/// Size of the small disk, in MiB: more than a round writes.
const SMALL_DISK_MIB: u32 = 256;

/// The nodes' addresses, the same in each round of this process: there are not enough of them for a long run.
static ADDRESSES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let nodes = (1..=MEMBERS as u64).map(|id| Node::new(id, Path::new("")));
    nodes.map(|node| node.http_address.rsplit_once(':').expect("it ends in a port").0.to_owned()).collect()
});

/// How long a node may take to say how it stands.
const LOOK: Duration = Duration::from_millis(500);

/// What is between the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// Proxies of the harness on loopback addresses.
    Proxies {
        /// One member lies on a small disk.
        small_disk: bool,
    },
    /// The kernel, between namespaces.
    Namespaces,
}

/// How a node is meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It runs.
    Up,
    /// It was ended, or was made to end.
    Down,
    /// It is stopped, and goes on when it is told to.
    Paused,
}

/// A cluster of processes.
pub struct Site {
    /// Clients' way to the nodes.
    pub web: Arc<Web>,
    /// Proxies, on that ground.
    pub links: Option<Links>,
    /// Namespaces, on that ground.
    pub namespaces: Option<Namespaces>,
    disk: Option<SmallDisk>,
    nodes: Vec<Node>,
    states: [State; MEMBERS],
}

impl Site {
    /// Prepares a cluster in a directory and starts it. None, and a line that says why, when the ground cannot be had.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(dir: &Path, ground: Ground) -> Result<Option<Self>, String> {
        let namespaces = match ground {
            Ground::Namespaces => match Namespaces::make(MEMBERS).await {
                Ok(namespaces) => Some(namespaces),
                Err(why) => {
                    eprintln!("skipped: no network namespaces here: {why}");
                    return Ok(None);
                }
            },
            Ground::Proxies { .. } => None,
        };
        let address =
            |node: usize| namespaces.as_ref().map_or(ADDRESSES[node].clone(), |net| net.address(node));
        let mut nodes: Vec<Node> =
            (0..MEMBERS).map(|node| Node::at(node as u64 + 1, dir, &address(node))).collect();
        if let Some(net) = &namespaces {
            for (index, node) in nodes.iter_mut().enumerate() {
                node.run_inside(net.inside(index));
            }
        }
        let mut disk = None;
        if ground == (Ground::Proxies { small_disk: true }) {
            let node = &mut nodes[ON_SMALL_DISK];
            let Some(mounted) = SmallDisk::mount(&node.dir, SMALL_DISK_MIB).await else { return Ok(None) };
            node.run_on(&mounted);
            disk = Some(mounted);
        }
        let links = match ground {
            Ground::Namespaces => None,
            Ground::Proxies { .. } => {
                let members: Vec<(String, String)> =
                    nodes.iter().map(|node| (node.peer_address.clone(), node.http_address.clone())).collect();
                Some(Links::between(&members).await.map_err(|error| error.to_string())?)
            }
        };
        let web = Arc::new(Web::new(nodes.iter().map(|node| node.http_address.clone()).collect()));
        let mut site = Self { web, links, namespaces, disk, nodes, states: [State::Down; MEMBERS] };
        for node in 0..MEMBERS {
            site.start_node(node);
        }
        Ok(Some(site))
    }

    /// Those that are meant to be like that.
    #[must_use]
    pub fn all(&self, state: State) -> Vec<usize> {
        (0..MEMBERS).filter(|&node| self.states[node] == state).collect()
    }

    /// A node's directory, where this process sees it.
    #[must_use]
    pub fn dir(&self, node: usize) -> Option<PathBuf> {
        let is_hidden = node == ON_SMALL_DISK && self.disk.is_some();
        (!is_hidden).then(|| self.nodes[node].dir.clone())
    }

    /// What a node has written.
    #[must_use]
    pub fn output(&self, node: usize) -> String {
        self.nodes[node].output()
    }

    /// Starts a node that is down.
    pub fn start_node(&mut self, node: usize) {
        let listing = self.nodes.iter().map(Node::listing).collect::<Vec<_>>().join(",");
        let mut flags = vec!["--cluster", &listing, "--snapshot-min-log-mib", "1"];
        if let Some(links) = &self.links {
            flags.extend(["--via", links.via(node)]);
        } else {
            flags.push("--insecure-listen-any");
        }
        self.web.begin_life(node);
        self.nodes[node].start(&flags);
        self.states[node] = State::Up;
    }

    /// Ends a node at once.
    pub async fn kill(&mut self, node: usize) {
        self.nodes[node].kill().await;
        self.states[node] = State::Down;
    }

    /// Waits until a node ends by itself; returns its exit code.
    ///
    /// # Errors
    /// When it does not within `patience`.
    pub async fn ends(&mut self, node: usize, patience: Duration) -> Result<i32, String> {
        let ended = async {
            while self.nodes[node].runs() {
                // Between two looks; nothing counts on how long it is.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(patience, ended).await;
        in_time.map_err(|_| format!("node {} does not end", node + 1))?;
        self.states[node] = State::Down;
        Ok(self.nodes[node].wait().await)
    }

    /// Stops a node without ending it.
    pub async fn pause(&mut self, node: usize) {
        self.nodes[node].signal("STOP").await;
        self.states[node] = State::Paused;
    }

    /// Lets a stopped node go on.
    pub async fn go_on(&mut self, node: usize) {
        self.nodes[node].signal("CONT").await;
        self.states[node] = State::Up;
    }

    /// Who leads, as the most recent of the nodes that answer have it.
    pub async fn leader(&self) -> Option<usize> {
        let mut best: Option<(u64, u64)> = None;
        for node in self.all(State::Up) {
            let Some(status) = self.web.get(node, "/cluster", LOOK).await else { continue };
            let leads = status["role"] == "LEADER";
            if let (true, Some(term), Some(id)) = (leads, status["term"].as_u64(), status["nodeId"].as_u64())
            {
                best = best.max(Some((term, id)));
            }
        }
        best.and_then(|(_, id)| usize::try_from(id - 1).ok())
    }

    /// Nodes that have ended though nobody made them.
    pub fn fallen(&mut self) -> Vec<usize> {
        let up = self.all(State::Up);
        up.into_iter().filter(|&node| !self.nodes[node].runs()).collect()
    }

    /// Lets everything be as it should: links, processes.
    ///
    /// # Errors
    /// When a partition cannot be healed.
    pub async fn heal(&mut self) -> Result<(), String> {
        self.clear_links().await?;
        for node in self.all(State::Paused) {
            self.go_on(node).await;
        }
        for node in self.all(State::Down) {
            self.start_node(node);
        }
        Ok(())
    }

    /// Lets all links be as they should.
    ///
    /// # Errors
    /// When a partition cannot be healed.
    pub async fn clear_links(&self) -> Result<(), String> {
        if let Some(links) = &self.links {
            links.clear();
        }
        if let Some(namespaces) = &self.namespaces {
            for (from, to) in pairs() {
                namespaces.heal(from, to).await?;
            }
        }
        Ok(())
    }

    /// Fills the small disk to its last byte, or makes room again.
    ///
    /// # Errors
    /// When the ballast cannot be removed.
    pub async fn fill_disk(&self, is_full: bool) -> Result<(), String> {
        let disk = self.disk.as_ref().ok_or("there is no small disk")?;
        let ballast = self.nodes[ON_SMALL_DISK].dir.join("ballast");
        let mut line = disk.inside();
        let program: &[&str] =
            if is_full { &["dd", "if=/dev/zero", "bs=64k", "status=none"] } else { &["rm", "-f"] };
        line.extend(program.iter().map(|&word| word.to_owned()));
        let path = ballast.display().to_string();
        line.push(if is_full { format!("of={path}") } else { path });
        let mut command = tokio::process::Command::new(&line[0]);
        // It fails once the disk is full, as it should.
        let status = command.args(&line[1..]).stderr(std::process::Stdio::null()).status().await;
        let status = status.map_err(|error| error.to_string())?;
        if is_full != status.success() { Ok(()) } else { Err(format!("the ballast is wrong: {status}")) }
    }

    /// Ends everything.
    pub async fn end(mut self) {
        for node in 0..MEMBERS {
            if self.states[node] != State::Down {
                self.nodes[node].kill().await;
            }
        }
        if let Some(namespaces) = self.namespaces.take() {
            namespaces.remove().await;
        }
    }
}

/// All directed links.
pub fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..MEMBERS).flat_map(|from| (0..MEMBERS).map(move |to| (from, to))).filter(|(from, to)| from != to)
}
