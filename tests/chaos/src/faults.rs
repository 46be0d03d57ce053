//! What is done to the cluster while clients work: one fault after another, each held for a while and healed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::damage::{Damage, inflict};
use crate::history::History;
use crate::proxy::Weather;
use crate::site::{MEMBERS, ON_SMALL_DISK, Site, State, pairs};
use crate::wire::Request;

/// How long a node may take for what it must do: stop on a full disk, refuse a damaged vote, catch up.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// A class of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// `kill -9` of the leader.
    LeaderKill,
    /// `kill -9` of any node, sometimes of two.
    Kill,
    /// SIGSTOP of any node, then SIGCONT.
    Pause,
    /// `kill -9` of all, and a start of all.
    RestartAll,
    /// A link passes nothing either way, or a member is cut off.
    Cut,
    /// A link passes nothing one way.
    OneWay,
    /// Links are slow.
    Delay,
    /// Connections of a link break again and again.
    Drop,
    /// A node's disk is full.
    DiskFull,
    /// Files of one node are damaged while it is down.
    Damage,
    /// The kernel loses packets between namespaces, one way or both.
    Partition,
}

impl Fault {
    /// Those of one ground: proxies, or namespaces.
    #[must_use]
    pub fn of_namespaces(self) -> Option<bool> {
        match self {
            Self::Partition => Some(true),
            Self::Cut | Self::OneWay | Self::Delay | Self::Drop | Self::DiskFull => Some(false),
            Self::LeaderKill | Self::Kill | Self::Pause | Self::RestartAll | Self::Damage => None,
        }
    }
}

/// One who makes faults.
pub struct Nemesis {
    site: Site,
    history: Arc<History>,
    faults: Vec<Fault>,
    random: fastrand::Rng,
    /// How often each fault was made.
    pub made: BTreeMap<String, u32>,
}

impl Nemesis {
    /// One for a cluster that runs.
    #[must_use]
    pub fn new(site: Site, history: &Arc<History>, faults: &[Fault], seed: u64) -> Self {
        let (faults, random) = (faults.to_vec(), fastrand::Rng::with_seed(seed));
        Self { site, history: history.clone(), faults, random, made: BTreeMap::new() }
    }

    /// The cluster.
    pub fn site(&mut self) -> &mut Site {
        &mut self.site
    }

    /// The cluster, for good.
    #[must_use]
    pub fn into_site(self) -> Site {
        self.site
    }

    /// Makes faults until `end`, and heals the last.
    ///
    /// # Errors
    /// When a node does not behave under a fault as it must.
    pub async fn rage(&mut self, end: Instant) -> Result<(), String> {
        while Instant::now() < end {
            self.pause(300, 2000).await;
            if self.random.bool() {
                self.take_snapshot().await;
            }
            if let Some(&fault) = self.random.choice(&self.faults) {
                self.make(fault).await?;
                if let Some(fallen) = self.site.fallen().first() {
                    return Err(format!(
                        "node {} has ended: {}",
                        fallen + 1,
                        last_lines(&self.site.output(*fallen))
                    ));
                }
            }
        }
        self.site.heal().await
    }

    /// Lets some node cut its log, so that who comes back later must be sent a snapshot, and who is damaged has one.
    async fn take_snapshot(&mut self) {
        let node = self.random.usize(..MEMBERS);
        let request = Request {
            method: Method::POST,
            path: "/cluster/snapshot".to_owned(),
            key: None,
            body: Some(json!({})),
        };
        // It need not come about: the node may have nothing new, or no time.
        drop(self.site.web.ask(node, request, Duration::from_secs(5)).await);
    }

    async fn pause(&mut self, least_ms: u64, most_ms: u64) {
        sleep(Duration::from_millis(self.random.u64(least_ms..=most_ms))).await;
    }

    fn note(&mut self, name: &str, what: &str) {
        self.history.fault(&format!("{name}: {what}"));
        *self.made.entry(name.to_owned()).or_default() += 1;
    }

    async fn make(&mut self, fault: Fault) -> Result<(), String> {
        match fault {
            Fault::LeaderKill => {
                if let Some(leader) = self.site.leader().await {
                    self.kill("leader-kill", &[leader]).await;
                }
            }
            Fault::Kill => {
                let mut nodes: Vec<usize> = (0..MEMBERS).collect();
                self.random.shuffle(&mut nodes);
                let count = if self.random.u32(..4) == 0 { 2 } else { 1 };
                self.kill("kill", &nodes[..count]).await;
            }
            Fault::RestartAll => self.kill("restart-all", &[0, 1, 2]).await,
            Fault::Pause => {
                let node = self.random.usize(..MEMBERS);
                self.note("pause", &format!("node {}", node + 1));
                self.site.pause(node).await;
                self.pause(200, 4000).await;
                self.site.go_on(node).await;
            }
            Fault::Cut | Fault::OneWay | Fault::Delay | Fault::Drop => self.trouble_links(fault).await?,
            Fault::Partition => self.partition().await?,
            Fault::DiskFull => self.fill_disk().await?,
            Fault::Damage => {
                let damage = Damage::ALL[self.random.usize(..Damage::ALL.len())];
                self.damage(damage).await?;
            }
        }
        self.history.fault("healed");
        Ok(())
    }

    async fn kill(&mut self, name: &str, nodes: &[usize]) {
        self.note(name, &format!("nodes {nodes:?} from 0"));
        for &node in nodes {
            self.site.kill(node).await;
        }
        self.pause(0, 3000).await;
        for &node in nodes {
            self.site.start_node(node);
        }
    }

    async fn trouble_links(&mut self, fault: Fault) -> Result<(), String> {
        let from = self.random.usize(..MEMBERS);
        let to = (from + self.random.usize(1..MEMBERS)) % MEMBERS;
        let breaks = self.random.bool();
        let (name, weather, links) = match fault {
            Fault::Cut => {
                // A link, or all links of a member.
                let alone = self.random.bool();
                let is_hit = |(a, b): &(usize, usize)| {
                    if alone {
                        *a == from || *b == from
                    } else {
                        [*a, *b] == [from, to] || [*b, *a] == [from, to]
                    }
                };
                ("cut", Weather::Cut { breaks }, pairs().filter(is_hit).collect::<Vec<_>>())
            }
            Fault::OneWay => ("one-way", Weather::Cut { breaks }, vec![(from, to)]),
            Fault::Delay => {
                let max_ms = self.random.u64(2..150);
                ("delay", Weather::Slow { max_ms }, pairs().filter(|_| self.random.bool()).collect())
            }
            _ => {
                let permille = self.random.u32(5..200);
                ("drop", Weather::Lossy { permille }, vec![(from, to), (to, from)])
            }
        };
        self.note(name, &format!("{weather:?} on {links:?} from 0"));
        let between = self.site.links.as_ref().ok_or("there are no proxies")?;
        for &(from, to) in &links {
            between.set(from, to, weather);
        }
        self.pause(500, 6000).await;
        self.site.clear_links().await
    }

    async fn partition(&mut self) -> Result<(), String> {
        let from = self.random.usize(..MEMBERS);
        let to = (from + self.random.usize(1..MEMBERS)) % MEMBERS;
        let links: Vec<(usize, usize)> = match self.random.u32(..4) {
            0 => vec![(from, to)],
            1 => vec![(from, to), (to, from)],
            2 => pairs().filter(|(a, _)| *a == from).collect(),
            _ => pairs().filter(|(a, b)| *a == from || *b == from).collect(),
        };
        self.note("partition", &format!("{links:?} from 0"));
        let namespaces = self.site.namespaces.as_ref().ok_or("there are no namespaces")?;
        for &(from, to) in &links {
            namespaces.cut(from, to).await?;
        }
        self.pause(500, 8000).await;
        self.site.clear_links().await
    }

    /// The node stops and says why; with room it starts again.
    async fn fill_disk(&mut self) -> Result<(), String> {
        let node = ON_SMALL_DISK;
        self.note("disk-full", &format!("node {}", node + 1));
        let said = self.site.output(node).len();
        self.site.fill_disk(true).await?;
        let code = self.site.ends(node, PATIENCE).await?;
        let output = self.site.output(node);
        let is_told = output[said..].contains("No space left on device");
        self.site.fill_disk(false).await?;
        self.site.start_node(node);
        if code != 1 || !is_told {
            return Err(format!(
                "on a full disk node {} ended with {code}: {}",
                node + 1,
                last_lines(&output)
            ));
        }
        self.catch_up(node).await
    }

    /// A node is damaged while it is down, says so, and is made whole by the others. Nobody else is troubled meanwhile:
    /// two damaged members would be more than three can bear.
    async fn damage(&mut self, damage: Damage) -> Result<(), String> {
        let candidates: Vec<usize> = (0..MEMBERS).filter(|&node| self.site.dir(node).is_some()).collect();
        let node = candidates[self.random.usize(..candidates.len())];
        let dir = self.site.dir(node).ok_or("its directory is out of sight")?;
        self.site.kill(node).await;
        let spared = inflict(&dir, damage).map_err(|error| format!("{damage:?}: {error}"))?;
        if spared.is_empty() {
            self.site.start_node(node);
            return Ok(());
        }
        let name = format!("damage {damage:?}");
        self.note(&name, &format!("node {}", node + 1));
        let said = self.site.output(node).len();
        self.site.start_node(node);
        if self.refuses(node, said).await? {
            for file in &spared {
                file.restore().map_err(|error| error.to_string())?;
            }
            self.site.start_node(node);
            self.catch_up(node).await?;
        } else if damage == Damage::BothVotes {
            return Err(format!("node {} took part without a vote", node + 1));
        }
        let output = self.site.output(node);
        match damage.complaint() {
            Some(complaint) if !output[said..].contains(complaint) => {
                // The ledger is read a page at a time: what is damaged there may lie where nobody has looked yet.
                let is_late = damage == Damage::Ledger;
                if is_late { Ok(()) } else { Err(format!("node {} says nothing of {damage:?}", node + 1)) }
            }
            _ => Ok(()),
        }
    }

    /// Whether a node that was damaged ends since it cannot recover by itself, and tells who started it what to do; or
    /// else catches up.
    async fn refuses(&mut self, node: usize, said: usize) -> Result<bool, String> {
        match self.catch_up(node).await {
            Ok(()) => Ok(false),
            Err(_) if self.site.output(node)[said..].contains("a new id and --join") => {
                let code = self.site.ends(node, PATIENCE).await?;
                if code == 0 {
                    Err(format!("node {} ended as if it had been asked to", node + 1))
                } else {
                    Ok(true)
                }
            }
            Err(why) => Err(why),
        }
    }

    /// Waits until a node has what the others had when it was asked.
    async fn catch_up(&mut self, node: usize) -> Result<(), String> {
        let look = Duration::from_secs(1);
        let mut wanted = 0;
        for other in self.site.all(State::Up) {
            let status = self.site.web.get(other, "/cluster", look).await.unwrap_or_default();
            wanted = wanted.max(status["appliedIndex"].as_u64().unwrap_or_default());
        }
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.site.fallen().contains(&node) {
                let output = self.site.output(node);
                return Err(format!("node {} has ended: {}", node + 1, last_lines(&output)));
            }
            let status = self.site.web.get(node, "/cluster", look).await.unwrap_or_default();
            let is_ready = self.site.web.get(node, "/readyz", look).await.is_some();
            if is_ready && status["appliedIndex"].as_u64() >= Some(wanted) {
                return Ok(());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Err(format!("node {} does not catch up: {}", node + 1, last_lines(&self.site.output(node))))
    }
}

/// The end of what a node has written.
#[must_use]
pub fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}
