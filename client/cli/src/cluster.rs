//! `holdfast cluster`: members, leadership, snapshots, settings.

use clap::Subcommand;
use comfy_table::Table;
use holdfast_sdk::Client;
use holdfast_sdk::api::{AddMember, Settings, Status};
use serde_json::{Value, json};

use crate::Done;
use crate::audit::{Agreement, agree};
use crate::failure::Failure;
use crate::output::Output;
use crate::status::of_any;
use crate::tables::{numbers, one_row, table};

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
    /// Take a snapshot now, on every node or on some
    Snapshot {
        /// Nodes, host:port; all endpoints when absent
        nodes: Vec<String>,
    },
    /// Wait until this many nodes have applied the same entries, with equal digests
    Wait {
        /// How many nodes
        #[arg(long, default_value_t = 3)]
        nodes: usize,
        /// Seconds to wait at most
        #[arg(long, default_value_t = 60, value_name = "SECONDS")]
        within: u64,
    },
    /// Replicated settings
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// Replicated settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show all settings, or some
    Get {
        /// Names of settings
        names: Vec<String>,
    },
    /// Change settings, together or not at all
    Set {
        /// NAME=VALUE
        #[arg(required = true, value_parser = change)]
        changes: Vec<(String, u64)>,
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
            Self::Members => of_any(client).await?,
            Self::Add { id, peer, http, learner } => {
                client.add_member(&AddMember { id, peer, http, voter: !learner }).await?
            }
            Self::Promote { id } => client.promote(id).await?,
            Self::Remove { id } => client.remove_member(id).await?,
            Self::TransferLeader { to } => client.transfer_leadership(to).await?,
            Self::Snapshot { nodes } => return snapshot(client, out, nodes).await,
            Self::Wait { nodes, within } => return wait(client, out, nodes, within).await,
            Self::Config(command) => return command.run(client, out).await,
        };
        out.print(&status, members_table)
    }
}

impl ConfigCommand {
    /// Does it.
    async fn run(self, client: &Client, out: &Output) -> Done {
        let settings = match self {
            Self::Get { names } => chosen(client.settings().await?, &names)?,
            Self::Set { changes } => {
                let wanted: Settings = changes.iter().cloned().collect();
                if wanted.len() < changes.len() {
                    return Err(Failure::Usage("a setting is named twice".to_owned()));
                }
                client.configure(&wanted).await?
            }
        };
        out.print(&settings, |settings| {
            let mut table = table(&["setting", "value"]);
            for (name, value) in settings {
                table.add_row(vec![name.clone(), value.to_string()]);
            }
            numbers(table, 1)
        })
    }
}

fn chosen(all: Settings, names: &[String]) -> Result<Settings, Failure> {
    if let Some(unknown) = names.iter().find(|name| !all.contains_key(*name)) {
        let known: Vec<&str> = all.keys().map(String::as_str).collect();
        return Err(Failure::Usage(format!(
            "there is no setting {unknown:?}; there are {}",
            known.join(", ")
        )));
    }
    Ok(all.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect())
}

async fn snapshot(client: &Client, out: &Output, nodes: Vec<String>) -> Done {
    let nodes = if nodes.is_empty() { client.endpoints().to_vec() } else { nodes };
    let mut taken: Vec<Value> = Vec::new();
    for node in &nodes {
        let index = client.snapshot_of(node).await?["snapshotIndex"].clone();
        taken.push(json!({"endpoint": node, "snapshotIndex": index}));
    }
    out.print(&taken, |taken| {
        let mut table = table(&["node", "snapshot at index"]);
        for (node, one) in nodes.iter().zip(taken) {
            table.add_row(vec![node.clone(), one["snapshotIndex"].to_string()]);
        }
        numbers(table, 1)
    })
}

async fn wait(client: &Client, out: &Output, nodes: usize, within: u64) -> Done {
    let Agreement { nodes, applied_index, digest } = agree(client, nodes, within).await?;
    let value = json!({"nodes": nodes, "appliedIndex": applied_index, "digest": digest});
    out.print(&value, |_| {
        one_row(
            &["nodes", "applied", "digest"],
            vec![nodes.to_string(), applied_index.to_string(), digest.clone()],
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_name_and_a_whole_number() {
        assert_eq!(change("maxHoldLines=20"), Ok(("maxHoldLines".to_owned(), 20)));
        for bad in ["maxHoldLines", "maxHoldLines=", "maxHoldLines=-1", "maxHoldLines=1.5"] {
            assert!(change(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn settings_are_chosen_by_name() {
        let all: Settings = [("a".to_owned(), 1), ("b".to_owned(), 2)].into();
        assert_eq!(chosen(all.clone(), &[]).ok(), Some(all.clone()));
        assert_eq!(chosen(all.clone(), &["b".to_owned()]).ok(), Some([("b".to_owned(), 2)].into()));
        assert!(chosen(all, &["c".to_owned()]).is_err());
    }
}
