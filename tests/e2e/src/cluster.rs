//! Three nodes, or more, as one cluster.

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{Answer, Http, Node, eventually};

/// A cluster of real processes.
pub struct Cluster {
    /// Its nodes; node N is at N − 1.
    pub nodes: Vec<Node>,
    flags: Vec<String>,
    dir: TempDir,
}

impl Cluster {
    /// Starts `count` nodes and waits until they agree on a leader.
    pub async fn start(count: u64) -> Self {
        Self::start_with(count, &[]).await
    }

    /// Starts `count` nodes with more flags, and waits until they agree on a leader.
    pub async fn start_with(count: u64, flags: &[&str]) -> Self {
        let mut cluster = Self::prepare(count, flags);
        for index in 0..cluster.nodes.len() {
            cluster.start_node(index);
        }
        cluster.leader().await;
        cluster
    }

    /// Makes the directories of `count` nodes and starts none.
    ///
    /// # Panics
    /// When there is no room for a directory.
    #[must_use]
    pub fn prepare(count: u64, flags: &[&str]) -> Self {
        let dir = TempDir::with_prefix("holdfast-e2e-").expect("a temporary directory");
        let nodes = (1..=count).map(|id| Node::new(id, dir.path())).collect();
        Self { nodes, flags: flags.iter().map(|&flag| flag.to_owned()).collect(), dir }
    }

    /// The list of members that each node is started with.
    #[must_use]
    pub fn listing(&self) -> String {
        self.nodes.iter().map(Node::listing).collect::<Vec<_>>().join(",")
    }

    /// Starts node `index` with the list of members.
    pub fn start_node(&mut self, index: usize) {
        let listing = self.listing();
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.nodes[index].start(&[&["--cluster", &listing], flags.as_slice()].concat());
    }

    /// A further node that does not run yet and is not in the list; its place in `nodes` is returned.
    pub fn add_node(&mut self, id: u64) -> usize {
        self.nodes.push(Node::new(id, self.dir.path()));
        self.nodes.len() - 1
    }

    /// A client of node `index`.
    #[must_use]
    pub fn http(&self, index: usize) -> Http {
        self.nodes[index].http()
    }

    /// Waits until all nodes that run agree on a leader that answers; returns its place.
    pub async fn leader(&mut self) -> usize {
        let running: Vec<usize> = (0..self.nodes.len()).filter(|&index| self.nodes[index].runs()).collect();
        let clients: Vec<(u64, Http)> =
            running.iter().map(|&index| (self.nodes[index].id, self.nodes[index].http())).collect();
        let id = eventually("the nodes agree on a leader", || agreed_leader(&clients)).await;
        self.nodes.iter().position(|node| node.id == id).expect("the leader is one of the nodes")
    }

    /// Some node that does not lead.
    pub async fn follower(&mut self) -> usize {
        let leader = self.leader().await;
        (0..self.nodes.len())
            .find(|&index| index != leader && self.nodes[index].runs())
            .expect("a follower runs")
    }

    /// A client of the leader.
    pub async fn leader_http(&mut self) -> Http {
        let leader = self.leader().await;
        self.http(leader)
    }

    /// A client of some node that does not lead.
    pub async fn follower_http(&mut self) -> Http {
        let follower = self.follower().await;
        self.http(follower)
    }

    /// Waits until all nodes that run have applied the same index with the same digest; returns the digest.
    pub async fn equal_digests(&mut self) -> String {
        let clients: Vec<Http> = (0..self.nodes.len())
            .filter(|&index| self.nodes[index].runs())
            .collect::<Vec<_>>()
            .into_iter()
            .map(|index| self.http(index))
            .collect();
        eventually("all nodes have the same digest", || async {
            let mut seen = Vec::new();
            for client in &clients {
                let status = client.get("/cluster").await;
                if status.status != 200 {
                    return None;
                }
                seen.push((status.body["appliedIndex"].clone(), status.body["digest"]["total"].clone()));
            }
            let first = seen[0].clone();
            (first.1.is_string() && seen.iter().all(|other| *other == first))
                .then(|| first.1.as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Runs the audit on every node that runs.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub async fn audit(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].runs() {
                let audit = self.http(index).get("/audit").await.expect(200);
                assert_eq!(audit.body["violations"], json!([]), "node {}", self.nodes[index].id);
            }
        }
    }

    /// Sends a write to node `index` until it is answered with something else than 503: the caller gives an id or a
    /// key, so that repeating it is safe.
    pub async fn write(&self, index: usize, path: &str, key: &str, body: &Value) -> Answer {
        let http = self.http(index);
        eventually("a write is answered", || async {
            let answer = http.send(Method::POST, path, &[("Idempotency-Key", key)], Some(body.clone())).await;
            (answer.status != 503 && answer.status != 0).then_some(answer)
        })
        .await
    }
}

async fn agreed_leader(clients: &[(u64, Http)]) -> Option<u64> {
    let mut leaders = Vec::new();
    for (_, client) in clients {
        let status = client.get("/cluster").await;
        leaders.push(status.body["leader"]["id"].as_u64()?);
    }
    let leader = leaders[0];
    let agreed = leaders.iter().all(|other| *other == leader);
    let running = clients.iter().find(|(id, _)| *id == leader);
    let (_, client) = running.filter(|_| agreed)?;
    // It leads once it can answer an up-to-date read.
    (client.get("/readyz").await.status == 200).then_some(leader)
}
