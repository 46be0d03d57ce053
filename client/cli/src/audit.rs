//! `holdfast audit`: the six invariants on every node, and whether the nodes have come to the same state.

use std::time::{Duration, Instant};

use clap::Args;
use comfy_table::Table;
use futures_util::future::join_all;
use holdfast_sdk::Client;
use holdfast_sdk::api::Audit;
use serde_json::{Value, json};

use crate::Done;
use crate::failure::Failure;
use crate::output::Output;
use crate::status::{Asked, ask_all, short};
use crate::tables::{numbers, table};

/// Between two looks at whether the nodes agree.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How many violations are told one by one.
const VIOLATIONS_TOLD: usize = 20;
/// What each invariant is about, by its number.
const INVARIANTS: [(u8, &str); 6] =
    [(1, "1 sums"), (2, "2 reserved"), (3, "3 holds"), (4, "4 ledger"), (5, "5 keys"), (6, "6 orders")];
/// The invariant that needs the ledger from its beginning.
const LEDGER: u8 = 4;

/// Checks the invariants on every node, and compares the nodes' digests.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Seconds to wait at most for the nodes to apply the same entries; while changes go on, they may not
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    within: u64,
}

/// Where nodes agree.
pub struct Agreement {
    /// How many nodes.
    pub nodes: usize,
    /// The last log index that they have applied.
    pub applied_index: u64,
    /// The digest of their state.
    pub digest: String,
}

impl AuditArgs {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let nodes = client.endpoints().len();
        let agreed = agree(client, nodes, self.within).await;
        let audited = audit_all(client).await;
        if out.is_json() {
            out.json(&value(&audited, agreed.as_ref().ok()))?;
        } else {
            show(out, &audited, agreed.as_ref().ok())?;
        }
        check(&audited, nodes)?;
        agreed.map(|_| ())
    }
}

/// Runs the audit on every node.
pub async fn audit_all(client: &Client) -> Vec<Asked<Audit>> {
    let audit = |endpoint: &String| {
        let endpoint = endpoint.clone();
        async move {
            let audit = client.audit_of(&endpoint).await;
            (endpoint, audit)
        }
    };
    join_all(client.endpoints().iter().map(audit)).await
}

/// Waits until at least `nodes` nodes answer and all that do have applied the same entries.
///
/// # Errors
/// When they have not within so many seconds, or have and their digests differ.
pub async fn agree(client: &Client, nodes: usize, within: u64) -> Result<Agreement, Failure> {
    let deadline = Instant::now() + Duration::from_secs(within);
    loop {
        let statuses: Vec<_> =
            ask_all(client).await.into_iter().filter_map(|(_, status)| status.ok()).collect();
        let applied: Vec<u64> = statuses.iter().map(|status| status.applied_index).collect();
        let are_even = applied.windows(2).all(|pair| pair[0] == pair[1]);
        if statuses.len() >= nodes.max(1) && are_even {
            let digest = statuses[0].digest.total.clone();
            if statuses.iter().any(|status| status.digest.total != digest) {
                let index = applied[0];
                return Err(Failure::Check(format!("the nodes' digests differ at index {index}")));
            }
            return Ok(Agreement { nodes: statuses.len(), applied_index: applied[0], digest });
        }
        if Instant::now() >= deadline {
            let answering = statuses.len();
            return Err(Failure::Check(format!(
                "after {within} s {answering} of {nodes} nodes answer, having applied up to {applied:?}"
            )));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// What audits found, for programs.
pub fn value(audited: &[Asked<Audit>], agreed: Option<&Agreement>) -> Value {
    let nodes = audited.iter().map(|(endpoint, audit)| match audit {
        Ok(audit) => json!({"endpoint": endpoint, "audit": audit}),
        Err(error) => json!({"endpoint": endpoint, "error": error.to_string()}),
    });
    let agreed = agreed.map(|agreed| {
        json!({"nodes": agreed.nodes, "appliedIndex": agreed.applied_index, "digest": agreed.digest})
    });
    json!({"nodes": nodes.collect::<Vec<Value>>(), "agreed": agreed})
}

/// Prints what audits found, for people.
pub fn show(out: &Output, audited: &[Asked<Audit>], agreed: Option<&Agreement>) -> Done {
    out.line(&audit_table(audited).to_string())?;
    match agreed {
        Some(Agreement { nodes, applied_index, digest }) => {
            out.line(&format!("{nodes} nodes agree at index {applied_index}: digest {digest}"))
        }
        None => Ok(()),
    }
}

/// Whether enough nodes were audited and every invariant holds on each.
pub fn check(audited: &[Asked<Audit>], at_least: usize) -> Done {
    let found: Vec<&Audit> = audited.iter().filter_map(|(_, audit)| audit.as_ref().ok()).collect();
    let violations: Vec<_> = found.iter().flat_map(|audit| &audit.violations).collect();
    if !violations.is_empty() {
        let told = violations.iter().take(VIOLATIONS_TOLD);
        let told: Vec<String> =
            told.map(|it| format!("\n  invariant {}: {}", it.invariant, it.detail)).collect();
        return Err(Failure::Check(format!(
            "{} violations of the invariants:{}",
            violations.len(),
            told.concat()
        )));
    }
    let same_seq =
        |one: &&Audit, other: &&Audit| one.seq == other.seq && one.digest.stock != other.digest.stock;
    if found.iter().any(|one| found.iter().any(|other| same_seq(one, other))) {
        return Err(Failure::Check("the nodes' stock differs at the same sequence".to_owned()));
    }
    if found.len() < at_least.max(1) {
        let missing = audited.iter().filter_map(|(endpoint, audit)| Some((endpoint, audit.as_ref().err()?)));
        let missing: Vec<String> =
            missing.map(|(endpoint, error)| format!("\n  {endpoint}: {error}")).collect();
        return Err(Failure::Check(format!("not every node could be audited:{}", missing.concat())));
    }
    Ok(())
}

fn audit_table(audited: &[Asked<Audit>]) -> Table {
    let mut header = vec!["node", "seq", "rows", "holds", "orders", "records"];
    header.extend(INVARIANTS.iter().map(|(_, name)| *name));
    header.push("digest");
    let mut table = table(&header);
    for (endpoint, audit) in audited {
        let mut cells = vec![endpoint.clone()];
        match audit {
            Ok(audit) => {
                cells.extend(
                    [audit.seq, audit.rows, audit.holds, audit.orders, audit.movements]
                        .map(|count| count.to_string()),
                );
                cells.extend(INVARIANTS.iter().map(|(number, _)| verdict(audit, *number)));
                cells.push(short(&audit.digest.total));
            }
            Err(_) => cells.push("not audited".to_owned()),
        }
        table.add_row(cells);
    }
    numbers(table, 1)
}

fn verdict(audit: &Audit, invariant: u8) -> String {
    let violations = audit.violations.iter().filter(|violation| violation.invariant == invariant).count();
    let is_unchecked = invariant == LEDGER && audit.movements == 0 && audit.seq > 0;
    match violations {
        0 if is_unchecked => "not checked: trimmed".to_owned(),
        0 => "ok".to_owned(),
        violations => format!("{violations} violations"),
    }
}

#[cfg(test)]
mod tests {
    use holdfast_sdk::Error;
    use holdfast_sdk::api::{Digest, Violation};

    use super::*;

    fn audit(seq: u64, stock: &str, violations: &[u8]) -> Audit {
        let part = || "00".to_owned();
        let (total, stock) = (part(), stock.to_owned());
        let digest = Digest {
            total,
            stock,
            holds: part(),
            transfers: part(),
            orders: part(),
            registry: part(),
            keys: part(),
            config: part(),
        };
        let violation = |&invariant: &u8| Violation { invariant, detail: "S1/A".to_owned() };
        let violations = violations.iter().map(violation).collect();
        Audit { seq, rows: 1, holds: 0, orders: 0, movements: seq, digest, violations }
    }

    fn dead() -> Asked<Audit> {
        ("b:2".to_owned(), Err(Error::Unavailable { detail: "refused".to_owned(), problem: None }))
    }

    fn checked(audited: &[Asked<Audit>], at_least: usize) -> Result<(), String> {
        check(audited, at_least).map_err(|failure| failure.text())
    }

    #[test]
    fn an_audit_fails_on_a_violation_a_difference_and_a_missing_node() {
        let node = |audit| ("a:1".to_owned(), Ok(audit));
        assert_eq!(checked(&[node(audit(5, "aa", &[])), node(audit(5, "aa", &[]))], 2), Ok(()));
        assert_eq!(checked(&[node(audit(5, "aa", &[])), node(audit(6, "bb", &[]))], 2), Ok(()));
        assert!(
            checked(&[node(audit(5, "aa", &[])), node(audit(5, "bb", &[]))], 2)
                .unwrap_err()
                .contains("differs")
        );
        assert!(checked(&[node(audit(5, "aa", &[2]))], 1).unwrap_err().contains("invariant 2: S1/A"));
        assert_eq!(checked(&[node(audit(5, "aa", &[])), dead()], 1), Ok(()));
        assert!(checked(&[node(audit(5, "aa", &[])), dead()], 2).unwrap_err().contains("b:2"));
        assert!(checked(&[], 0).is_err());
    }

    #[test]
    fn a_ledger_that_was_trimmed_is_not_said_to_hold() {
        let mut trimmed = audit(5, "aa", &[1]);
        assert_eq!(verdict(&trimmed, 1), "1 violations");
        assert_eq!(verdict(&trimmed, 4), "ok");
        trimmed.movements = 0;
        assert_eq!(verdict(&trimmed, 4), "not checked: trimmed");
        assert_eq!(verdict(&trimmed, 5), "ok");
    }
}
