//! etcd: three members, asked through their JSON gateway, as wrk can.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::failure::{During, Result, fail};
use crate::http::{Http, eventually};
use crate::load::{Ran, Wrk};
use crate::process::Daemon;
use crate::room::Room;

const MEMBERS: u8 = 3;
/// Addresses of the run that members have, from this one on.
const FIRST_ADDRESS: u8 = 201;
/// Rows made in one transaction: as many operations as etcd takes.
const AT_ONCE: u64 = 128;

/// A cluster that runs until it is dropped.
pub struct Etcd {
    dir: PathBuf,
    script: PathBuf,
    addresses: Vec<String>,
    members: Vec<Daemon>,
    http: Http,
    leader: usize,
    rows: u64,
    seconds: u64,
    /// Changes that were acknowledged.
    acknowledged: u64,
    /// Changes that may have been made beside these.
    unanswered: u64,
    first_revision: u64,
}

impl Etcd {
    /// Starts it with `rows` keys.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn start(room: &Room, rows: u64) -> Result<Self> {
        let addresses = (0..MEMBERS).map(|member| room.address(FIRST_ADDRESS + member)).collect();
        let mut cluster = Self {
            dir: room.dir.join("etcd"),
            script: room.script(),
            addresses,
            members: Vec::new(),
            http: Http::new()?,
            leader: 0,
            rows,
            seconds: room.seconds,
            acknowledged: 0,
            unanswered: 0,
            first_revision: 0,
        };
        for member in 0..cluster.addresses.len() {
            cluster.start_member(room, member)?;
        }
        cluster.leader = cluster.find_leader().await?;
        cluster.make_rows().await?;
        cluster.first_revision = cluster.revision().await?;
        Ok(cluster)
    }

    fn start_member(&mut self, room: &Room, member: usize) -> Result<()> {
        let data = self.dir.join(format!("member-{}", member + 1));
        fs::create_dir_all(&data).during(data.display())?;
        let peers: Vec<String> = (0..self.addresses.len())
            .map(|other| format!("m{other}=http://{}:2380", self.addresses[other]))
            .collect();
        let client = format!("http://{}:2379", self.addresses[member]);
        let peer = format!("http://{}:2380", self.addresses[member]);
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("m{member}"), "--log-level", "error"]);
        command.args(["--initial-cluster", &peers.join(",")]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.arg("--data-dir").arg(&data);
        let output = data.join("output.log");
        self.members.push(Daemon::start(command, &output, Signal::TERM, &room.register)?);
        Ok(())
    }

    fn url(&self, member: usize, path: &str) -> String {
        format!("http://{}:2379/v3/{path}", self.addresses[member])
    }

    async fn find_leader(&self) -> Result<usize> {
        eventually("a leader of etcd", async || {
            for member in 0..self.addresses.len() {
                let status = self.http.post(&self.url(member, "maintenance/status"), &json!({})).await?;
                if status["leader"].is_string() && status["leader"] == status["header"]["member_id"] {
                    return Ok(member);
                }
            }
            fail("nobody leads")
        })
        .await
    }

    async fn make_rows(&self) -> Result<()> {
        let value = base64("available=1000000000 reserved=0");
        for first in (0..self.rows).step_by(usize::try_from(AT_ONCE).expect("a small number")) {
            let rows = first..self.rows.min(first + AT_ONCE);
            let put = |row| json!({"requestPut": {"key": base64(&format!("stock/{row}")), "value": value}});
            let body = json!({"success": rows.map(put).collect::<Vec<_>>()});
            self.http.post(&self.url(self.leader, "kv/txn"), &body).await?;
        }
        Ok(())
    }

    async fn revision(&self) -> Result<u64> {
        let answer =
            self.http.post(&self.url(self.leader, "kv/range"), &json!({"key": base64("none")})).await?;
        number(&answer["header"]["revision"])
    }

    /// Writes the revisions of all rows to a file, a line each; returns it.
    async fn write_revisions(&self) -> Result<PathBuf> {
        let body = json!({"key": base64("stock/"), "range_end": base64("stock0"), "limit": self.rows});
        let answer = self.http.post(&self.url(self.leader, "kv/range"), &body).await?;
        let mut revisions = vec![0; usize::try_from(self.rows).expect("as many as fit")];
        for pair in answer["kvs"].as_array().into_iter().flatten() {
            let key = pair["key"].as_str().and_then(unbase64).during("a key")?;
            let row = key.strip_prefix("stock/").and_then(|row| row.parse::<usize>().ok()).during("a row")?;
            *revisions.get_mut(row).during("a row")? = number(&pair["mod_revision"])?;
        }
        let file = self.dir.join("revisions");
        let lines: Vec<String> = revisions.iter().map(|revision| format!("{revision}\n")).collect();
        fs::write(&file, lines.concat()).during(file.display())?;
        Ok(file)
    }

    /// Sends requests of wrk's script: `put`, `swap` or `range`.
    ///
    /// # Errors
    /// When any fails.
    pub async fn load(&mut self, kind: &str, connections: u64) -> Result<Ran> {
        let file = if kind == "swap" { Some(self.write_revisions().await?) } else { None };
        let address = format!("{}:2379", self.addresses[self.leader]);
        let wrk = Wrk {
            script: &self.script,
            address: &address,
            kind,
            rows: self.rows,
            size: 1,
            file: file.as_deref(),
            connections,
            seconds: self.seconds,
        };
        let ran = wrk.run().await?.checked(kind)?;
        if kind != "range" {
            self.acknowledged += ran.ok;
            self.unanswered += connections + ran.failed();
        }
        Ok(ran)
    }

    /// What runs, by its part in the work.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let role = |member| if member == self.leader { "leader" } else { "follower" };
        let members = self.members.iter().enumerate();
        members.map(|(member, daemon)| (role(member).to_owned(), daemon.pid())).collect()
    }

    /// Checks that every acknowledged change took one revision, and nothing else did.
    ///
    /// # Errors
    /// When that is not so.
    pub async fn check(&self) -> Result<String> {
        let made = self.revision().await? - self.first_revision;
        let (least, most) = (self.acknowledged, self.acknowledged + self.unanswered);
        if !(least..=most).contains(&made) {
            return fail(format!("etcd made {made} changes, and {least} to {most} were to be made"));
        }
        Ok(format!("etcd: {least} changes acknowledged, {made} made (up to {} unanswered)", self.unanswered))
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.members.clear();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// The gateway writes 64-bit numbers as strings.
fn number(value: &Value) -> Result<u64> {
    value.as_str().and_then(|text| text.parse().ok()).during("a number of etcd")
}

fn base64(text: &str) -> String {
    BASE64.encode(text)
}

fn unbase64(text: &str) -> Option<String> {
    String::from_utf8(BASE64.decode(text).ok()?).ok()
}
