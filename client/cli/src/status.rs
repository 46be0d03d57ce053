//! `holdfast status`: how each node stands.

use comfy_table::Table;
use futures_util::future::join_all;
use holdfast_sdk::api::{MemberState, Status};
use holdfast_sdk::{Client, Error};
use serde_json::{Value, json};

use crate::Done;
use crate::failure::Failure;
use crate::output::Output;
use crate::tables::table;

/// How many digits of a digest are shown: enough to see that two differ.
const DIGEST_DIGITS: usize = 12;

/// A node and what it said of itself.
pub type Asked<T> = (String, Result<T, Error>);

/// Asks every endpoint how it stands.
pub async fn ask_all(client: &Client) -> Vec<Asked<Status>> {
    let ask = |endpoint: &String| {
        let endpoint = endpoint.clone();
        async move {
            let status = client.status_of(&endpoint).await;
            (endpoint, status)
        }
    };
    join_all(client.endpoints().iter().map(ask)).await
}

/// The status of any node that knows who leads.
pub async fn of_any(client: &Client) -> Result<Status, Failure> {
    let mut last = Error::Unavailable { detail: "no leader is known".to_owned(), problem: None };
    for (_, status) in ask_all(client).await {
        match status {
            Ok(status) if status.leader.is_some() => return Ok(status),
            Ok(_) => {}
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Prints how each node stands. Fails when a node does not answer or has stopped, or none leads.
pub async fn status(client: &Client, out: &Output) -> Done {
    let nodes = ask_all(client).await;
    let values = nodes.iter().map(|(endpoint, status)| match status {
        Ok(status) => json!({"endpoint": endpoint, "status": status}),
        Err(error) => json!({"endpoint": endpoint, "error": error.to_string()}),
    });
    let value = json!({"leader": leader(&nodes), "nodes": values.collect::<Vec<Value>>()});
    out.print(&value, |_| status_table(&nodes))?;
    check(nodes)
}

/// The leader of the latest term; a node that was cut off may still name an old one.
fn leader(nodes: &[Asked<Status>]) -> Option<&MemberState> {
    let named = nodes.iter().filter_map(|(_, status)| status.as_ref().ok());
    named.filter(|status| status.leader.is_some()).max_by_key(|status| status.term)?.leader.as_ref()
}

fn check(nodes: Vec<Asked<Status>>) -> Done {
    let has_leader = leader(&nodes).is_some();
    let answered = nodes.iter().filter(|(_, status)| status.is_ok()).count();
    let mut faults = Vec::new();
    for (endpoint, status) in nodes {
        match status {
            Ok(Status { stopped: Some(reason), .. }) => {
                faults.push(format!("{endpoint} has stopped: {reason}"));
            }
            Ok(_) => {}
            Err(error) if answered == 0 => return Err(error.into()),
            Err(_) => faults.push(format!("{endpoint} does not answer")),
        }
    }
    if !has_leader {
        faults.push("no leader is known".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(Failure::Check(faults.join("; "))) }
}

fn status_table(nodes: &[Asked<Status>]) -> Table {
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
            short(&status.digest.total),
        ]);
    }
    table
}

/// The beginning of a digest.
pub fn short(digest: &str) -> String {
    digest.chars().take(DIGEST_DIGITS).collect()
}

fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}
