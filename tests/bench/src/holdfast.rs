//! Three nodes of Holdfast, and an order service where one is needed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use futures_util::TryStreamExt;
use holdfast_sdk::model::StoreId;
use holdfast_sdk::{Client, Options};
use rustix::process::Signal;

use crate::failure::{During, Result, fail};
use crate::http::{Http, eventually};
use crate::load::{Ran, Wrk, holdfast_bench};
use crate::process::Daemon;
use crate::room::Room;

const NODES: usize = 3;
/// Where `holdfast bench` makes its rows, and wrk finds them.
const STORE: &str = "BENCH";
const HTTP_PORT: u16 = 8082;
const PEER_PORT: u16 = 8087;
const ORDER_PORT: u16 = 8081;

/// A cluster that runs until it is dropped.
pub struct Holdfast {
    room: Room,
    dir: PathBuf,
    first_address: u8,
    nodes: Vec<Option<Daemon>>,
    order: Option<Daemon>,
    http: Http,
    /// The node that leads, from 0.
    pub leader: usize,
    /// Reservations that were acknowledged.
    pub acknowledged: u64,
    /// Reservations that may have been carried out beside these: their load ended before the answer came.
    pub unanswered: u64,
}

impl Holdfast {
    /// Starts the `number`th cluster of this run, and makes `rows` rows.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(room: &Room, number: u8, rows: u64) -> Result<Self> {
        let dir = room.dir.join(format!("holdfast-{number}"));
        let mut cluster = Self {
            room: room.clone(),
            dir,
            first_address: 10 * number + 1,
            nodes: Vec::new(),
            order: None,
            http: Http::new()?,
            leader: 0,
            acknowledged: 0,
            unanswered: 0,
        };
        for node in 0..NODES {
            let daemon = cluster.start_node(node)?;
            cluster.nodes.push(Some(daemon));
        }
        cluster.find_leader().await?;
        // Its first second makes the rows, and is no measurement.
        let made = cluster.command(&["bench", "reserve", "--seconds", "1", "--rows", &rows.to_string()]);
        let made = holdfast_bench(made).await?;
        cluster.count(&made, 0);
        Ok(cluster)
    }

    fn start_node(&self, node: usize) -> Result<Daemon> {
        let dir = self.node_dir(node);
        fs::create_dir_all(&dir).during(dir.display())?;
        let members: Vec<String> = (0..NODES)
            .map(|other| format!("{}={}/{}", other + 1, self.peer_address(other), self.address(other)))
            .collect();
        let mut command = Command::new(self.room.bin.join("holdfast-node"));
        command.args(["--id", &(node + 1).to_string(), "--stop-when-stdin-closes"]);
        command.args(["--http", &self.address(node), "--peer", &self.peer_address(node)]);
        command.args(["--cluster", &members.join(",")]).arg("--dir").arg(&dir);
        Daemon::start(command, &dir.join("output.log"), Signal::TERM, &self.room.register)
    }

    /// Where a node keeps its data.
    pub fn node_dir(&self, node: usize) -> PathBuf {
        self.dir.join(format!("node-{}", node + 1))
    }

    fn host(&self, node: usize) -> String {
        self.room.address(self.first_address + u8::try_from(node).expect("few nodes"))
    }

    /// `host:port` of a node.
    pub fn address(&self, node: usize) -> String {
        format!("{}:{HTTP_PORT}", self.host(node))
    }

    fn peer_address(&self, node: usize) -> String {
        format!("{}:{PEER_PORT}", self.host(node))
    }

    /// The port that peers are reached on.
    pub fn peer_port(&self) -> u16 {
        PEER_PORT
    }

    /// `host:port` of every node.
    pub fn endpoints(&self) -> Vec<String> {
        (0..NODES).map(|node| self.address(node)).collect()
    }

    /// A node that follows.
    pub fn follower(&self) -> usize {
        (self.leader + 1) % NODES
    }

    /// Finds out who leads now.
    ///
    /// # Errors
    /// When nobody does.
    pub async fn find_leader(&mut self) -> Result<()> {
        let running: Vec<usize> = (0..NODES).filter(|&node| self.pid(node).is_some()).collect();
        let this = &*self;
        let leader = eventually("a leader of Holdfast", async || {
            let mut named = Vec::new();
            for &node in &running {
                let status = this.http.get(&format!("http://{}/cluster", this.address(node))).await?;
                named.push(status["leader"]["id"].as_u64().during("a leader")?);
            }
            let leader = usize::try_from(named[0]).during("a leader")? - 1;
            if named.iter().any(|&other| other != named[0]) || !running.contains(&leader) {
                return fail("the nodes do not agree");
            }
            this.http.get(&format!("http://{}/readyz", this.address(leader))).await?;
            Ok(leader)
        });
        self.leader = leader.await?;
        Ok(())
    }

    /// Process id of a node; none while it does not run.
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.nodes.get(node)?.as_ref().map(Daemon::pid)
    }

    /// What runs, by its part in the work.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let role = |node| if node == self.leader { "leader" } else { "follower" };
        let nodes = (0..NODES).filter_map(|node| Some((role(node).to_owned(), self.pid(node)?)));
        nodes.chain(self.order.iter().map(|order| ("order".to_owned(), order.pid()))).collect()
    }

    /// The command `holdfast`, with the answer in JSON.
    pub fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.room.bin.join("holdfast"));
        command.args(["--endpoints", &self.endpoints().join(","), "-o", "json"]).args(arguments);
        command
    }

    /// Sends requests of wrk's script to an address.
    ///
    /// # Errors
    /// When any fails.
    pub async fn wrk(&self, address: &str, kind: &str, rows: u64, connections: u64) -> Result<Ran> {
        self.wrk_of_size(address, kind, rows, connections, 1).await
    }

    /// The same, with so many commands in a request.
    ///
    /// # Errors
    /// When any fails.
    pub async fn wrk_of_size(
        &self,
        address: &str,
        kind: &str,
        rows: u64,
        connections: u64,
        size: u64,
    ) -> Result<Ran> {
        let (script, seconds) = (self.room.script(), self.room.seconds);
        let wrk = Wrk { script: &script, address, kind, rows, size, file: None, connections, seconds };
        let mut ran = wrk.run().await?.checked(kind)?;
        ran.ok *= size;
        Ok(ran)
    }

    /// Counts what a load was told, and what it may have done beside that.
    pub fn count(&mut self, ran: &Ran, unanswered: u64) {
        self.acknowledged += ran.ok;
        self.unanswered += ran.failed() + unanswered;
    }

    /// Starts the order service; returns its `host:port`.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start_order(&mut self) -> Result<String> {
        let dir = self.dir.join("order");
        fs::create_dir_all(&dir).during(dir.display())?;
        let address = format!("{}:{ORDER_PORT}", self.host(NODES));
        let mut command = Command::new(self.room.bin.join("holdfast-order"));
        command.args(["--endpoints", &self.endpoints().join(","), "--http", &address]);
        command.arg("--stop-when-stdin-closes").arg("--log-dir").arg(dir.join("log"));
        self.order =
            Some(Daemon::start(command, &dir.join("output.log"), Signal::TERM, &self.room.register)?);
        let url = format!("http://{address}/readyz");
        eventually("the order service", async || self.http.get(&url).await).await?;
        Ok(address)
    }

    /// Kills the leader at once; it stays dead.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_leader(&mut self) -> Result<usize> {
        let leader = self.leader;
        self.nodes[leader].take().during("the leader")?.kill()?;
        Ok(leader)
    }

    /// Ends every node, starts all again, and waits until they lead and read.
    ///
    /// # Errors
    /// When they do not.
    pub async fn restart(&mut self) -> Result<()> {
        self.nodes.iter_mut().for_each(|node| *node = None);
        for node in 0..NODES {
            self.nodes[node] = Some(self.start_node(node)?);
        }
        self.find_leader().await
    }

    /// Starts a node that was killed.
    ///
    /// # Errors
    /// When it does not start.
    pub fn revive(&mut self, node: usize) -> Result<()> {
        self.nodes[node] = Some(self.start_node(node)?);
        Ok(())
    }

    /// A client as a program of the chain has one.
    ///
    /// # Errors
    /// When there can be none.
    pub fn client(&self) -> Result<Client> {
        Client::new(self.endpoints(), Options::default()).during("a client of Holdfast")
    }

    /// What a node says of itself.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn status(&self, node: usize) -> Result<serde_json::Value> {
        self.http.get(&format!("http://{}/cluster", self.address(node))).await
    }

    /// Checks that every acknowledged reservation is there and nothing beyond those that may be, that no row is oversold,
    /// that the invariants hold on every node, and that their digests are equal.
    ///
    /// # Errors
    /// When any of it is not so.
    pub async fn check(&self) -> Result<String> {
        let store = StoreId::new(STORE).during("a store")?;
        let rows = self.client()?.rows_of_store(&store).try_collect::<Vec<_>>().await.during("rows")?;
        let reserved: u64 = rows.iter().map(|row| row.reserved).sum();
        if let Some(row) = rows.iter().find(|row| row.oversold || row.available < 0) {
            return fail(format!("row {} is oversold", row.item_id));
        }
        let (least, most) = (self.acknowledged, self.acknowledged + self.unanswered);
        if !(least..=most).contains(&reserved) {
            return fail(format!("{reserved} units are reserved, and {least} to {most} should be"));
        }
        let audit = self.command(&["audit"]).output().await.during("holdfast audit")?;
        if !audit.status.success() {
            return fail(format!("holdfast audit: {}", String::from_utf8_lossy(&audit.stderr)));
        }
        Ok(format!(
            "Holdfast: {least} reservations acknowledged, {reserved} there (up to {} unanswered ones may be); nothing \
             oversold, invariants hold on {NODES} nodes, digests equal",
            self.unanswered
        ))
    }
}

impl Drop for Holdfast {
    fn drop(&mut self) {
        self.order = None;
        self.nodes.clear();
        // What is left behind is removed with the run's directory.
        let _ = fs::remove_dir_all(&self.dir);
    }
}
