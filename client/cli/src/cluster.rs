//! `holdfast status`, `audit` and `cluster`.

use std::time::{Duration, Instant};

use clap::Subcommand;
use comfy_table::Table;
use holdfast_sdk::api::{AddMember, Audit, Settings, Status};
use holdfast_sdk::{Client, Error};
use serde_json::{Value, json};

use crate::output::{Output, numbers, table};
use crate::{Done, Failure};

/// Members, leadership, snapshots, settings.
#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Who is in the cluster
    Members,
    /// Admit a node that waits with an empty directory
    Add {
        /// Its number, never used before
        id: u64,
        /// Its address for peers, host:port
        #[arg(long)]
        peer: String,
        /// Its address for clients, host:port
        #[arg(long)]
        http: String,
        /// Leave it without a vote
        #[arg(long)]
        learner: bool,
    },
    /// Give a learner a vote
    Promote {
        /// Its number
        id: u64,
    },
    /// Take a member out for good
    Remove {
        /// Its number
        id: u64,
    },
    /// Hand leadership to a member, or to the most up-to-date one
    TransferLeader {
        /// Its number
        to: Option<u64>,
    },
    /// Wait until this many nodes have applied the same entries, with equal digests
    Wait {
        /// How many nodes
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// Seconds to wait at most
        #[arg(long, default_value_t = 60)]
        within: u64,
    },
    /// Replicated settings, or one change of them: NAME=VALUE
    Config {
        /// NAME=VALUE
        #[arg(value_parser = change)]
        changes: Vec<(String, u64)>,
    },
    /// Drop ledger records before a sequence, on every node
    TrimLedger {
        /// The oldest sequence to keep
        before: u64,
    },
}

fn change(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("expected NAME=VALUE, got {text:?}"))?;
    let value = value.parse().map_err(|_| format!("expected a whole number, got {value:?}"))?;
    Ok((name.to_owned(), value))
}

impl ClusterCommand {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let status = match self {
            Self::Members => any_status(client).await?,
            Self::Add { id, peer, http, learner } => {
                client.add_member(&AddMember { id, peer, http, voter: !learner }).await?
            }
            Self::Promote { id } => client.promote(id).await?,
            Self::Remove { id } => client.remove_member(id).await?,
            Self::TransferLeader { to } => client.transfer_leadership(to).await?,
            Self::Wait { nodes, within } => return wait(client, nodes, within).await,
            Self::Config { changes } => return config(client, out, changes).await,
            Self::TrimLedger { before } => {
                let trimmed = client.trim_ledger(before).await?;
                out.print(&trimmed, |trimmed| one("oldest sequence", &trimmed["oldestSeq"]));
                return Ok(());
            }
        };
        out.print(&status, members_table);
        Ok(())
    }
}

fn one(name: &str, value: &Value) -> Table {
    let mut table = table(&[name]);
    table.add_row(vec![value.to_string()]);
    table
}

async fn config(client: &Client, out: &Output, changes: Vec<(String, u64)>) -> Done {
    let settings = if changes.is_empty() {
        client.settings().await?
    } else {
        client.configure(&changes.into_iter().collect::<Settings>()).await?
    };
    out.print(&settings, |settings| {
        let mut table = table(&["setting", "value"]);
        for (name, value) in settings {
            table.add_row(vec![name.clone(), value.to_string()]);
        }
        numbers(table, 1)
    });
    Ok(())
}

async fn any_status(client: &Client) -> Result<Status, Failure> {
    let mut last = Error::Unavailable("no endpoint was given".to_owned());
    for endpoint in client.endpoints() {
        match client.status_of(endpoint).await {
            Ok(status) if status.leader.is_some() => return Ok(status),
            Ok(_) => last = Error::Unavailable("no leader is known".to_owned()),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

fn members_table(status: &Status) -> Table {
    let mut table = table(&["member", "peers", "clients", "vote", "leads"]);
    for member in &status.members {
        let leads = status.leader.as_ref().is_some_and(|leader| leader.id == member.id);
        table.add_row(vec![
            member.id.to_string(),
            member.peer.clone(),
            member.http.clone(),
            yes(member.voter),
            yes(leads),
        ]);
    }
    table
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// How each node stands. Fails when a node does not answer, or none leads.
pub async fn status(client: &Client, out: &Output) -> Done {
    let mut nodes: Vec<(String, Result<Status, Error>)> = Vec::new();
    for endpoint in client.endpoints() {
        nodes.push((endpoint.clone(), client.status_of(endpoint).await));
    }
    let values: Vec<Value> = nodes
        .iter()
        .map(|(endpoint, status)| match status {
            Ok(status) => json!({"endpoint": endpoint, "status": status}),
            Err(error) => json!({"endpoint": endpoint, "error": error.to_string()}),
        })
        .collect();
    let leader = nodes.iter().filter_map(|(_, status)| status.as_ref().ok()?.leader.as_ref()).next();
    let value = json!({"leader": leader, "nodes": values});
    out.print(&value, |_| status_table(&nodes));
    match nodes.iter().find(|(_, status)| status.is_err()) {
        Some((endpoint, _)) => Err(Failure::Check(format!("{endpoint} does not answer"))),
        None if leader.is_none() => Err(Failure::Check("no leader is known".to_owned())),
        None => Ok(()),
    }
}

fn status_table(nodes: &[(String, Result<Status, Error>)]) -> Table {
    let mut table = table(&[
        "node", "address", "role", "term", "applied", "seq", "lag", "log", "snapshot", "ledger", "digest",
    ]);
    let last = nodes.iter().filter_map(|(_, status)| Some(status.as_ref().ok()?.last_log_index)).max();
    for (endpoint, status) in nodes {
        let Ok(status) = status else {
            table.add_row(vec!["?".to_owned(), endpoint.clone(), "does not answer".to_owned()]);
            continue;
        };
        table.add_row(vec![
            status.node_id.to_string(),
            endpoint.clone(),
            status.role.to_lowercase(),
            status.term.to_string(),
            status.applied_index.to_string(),
            status.applied_seq.to_string(),
            last.unwrap_or_default().saturating_sub(status.applied_index).to_string(),
            bytes(status.log_size_bytes),
            bytes(status.snapshot_size_bytes),
            bytes(status.ledger_size_bytes),
            status.digest.total[..12].to_owned(),
        ]);
    }
    table
}

fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// Checks the invariants on every node, and that their digests are equal.
pub async fn audit(client: &Client, out: &Output) -> Done {
    let nodes = client.endpoints().len();
    wait(client, nodes, 60).await?;
    let mut audits: Vec<(String, Audit)> = Vec::new();
    for endpoint in client.endpoints() {
        audits.push((endpoint.clone(), client.audit_of(endpoint).await?));
    }
    let values: Vec<Value> =
        audits.iter().map(|(endpoint, audit)| json!({"endpoint": endpoint, "audit": audit})).collect();
    out.print(&values, |_| audit_table(&audits));
    let violations: usize = audits.iter().map(|(_, audit)| audit.violations.len()).sum();
    if violations > 0 {
        for violation in audits.iter().flat_map(|(_, audit)| &audit.violations) {
            eprintln!("invariant {}: {}", violation.invariant, violation.detail);
        }
        return Err(Failure::Check(format!("{violations} violations of the invariants")));
    }
    let at_one_seq = audits.windows(2).all(|pair| pair[0].1.seq == pair[1].1.seq);
    if at_one_seq && audits.windows(2).any(|pair| pair[0].1.digest != pair[1].1.digest) {
        return Err(Failure::Check("the nodes' digests differ".to_owned()));
    }
    Ok(())
}

fn audit_table(audits: &[(String, Audit)]) -> Table {
    let mut table = table(&["node", "seq", "rows", "holds", "movements replayed", "violations", "digest"]);
    for (endpoint, audit) in audits {
        table.add_row(vec![
            endpoint.clone(),
            audit.seq.to_string(),
            audit.rows.to_string(),
            audit.holds.to_string(),
            audit.movements.to_string(),
            audit.violations.len().to_string(),
            audit.digest.total.clone(),
        ]);
    }
    table
}

/// Waits until nodes have applied the same entries, with equal digests.
async fn wait(client: &Client, nodes: usize, within: u64) -> Done {
    let deadline = Instant::now() + Duration::from_secs(within);
    loop {
        let mut seen = Vec::new();
        for endpoint in client.endpoints() {
            if let Ok(status) = client.status_of(endpoint).await {
                seen.push((status.applied_index, status.last_log_index, status.digest.total));
            }
        }
        let all_same = seen.windows(2).all(|pair| pair[0] == pair[1]);
        if seen.len() >= nodes && all_same {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let applied: Vec<u64> = seen.iter().map(|(applied, ..)| *applied).collect();
            return Err(Failure::Check(format!(
                "after {within} s {} of {nodes} nodes answer, having applied {applied:?}",
                seen.len()
            )));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
