//! How a ledger that lacks movements is made whole: it asks the other members for them, and gives up what none of them
//! has.
//!
//! Nothing waits for this but those who ask for what is missing. Snapshots go on meanwhile, and the log is cut: what is
//! missing was never in this member's log, or was cut from it before.

use std::sync::Arc;
use std::time::Duration;

use holdfast_model::Seq;
use openraft::AsyncRuntime;

use crate::disk::Disk;
use crate::replica::{Inner, Replica};
use crate::types::Host;

/// Between two looks at whether something is missing that can be had.
const ROUND: Duration = Duration::from_millis(200);

/// What came of asking all other members for what is missing.
enum Asked {
    /// Less is missing than before.
    Filled,
    /// All have answered, and none has the next movement; the first after it that one of them has.
    Nowhere(Option<Seq>),
    /// Who does not have it and who may, in words.
    Later(String),
}

/// Fills what is missing for as long as the member runs.
pub async fn run<H: Host>(replica: Replica<H>) {
    let inner = &replica.0;
    let mut said = String::new();
    while inner.stop.reason().is_none() {
        H::Runtime::sleep(ROUND).await;
        while let Some((after, upto)) = inner.state.ledger.gap() {
            let why = match ask_all(inner, after, upto).await {
                Asked::Filled => None,
                Asked::Nowhere(next) => give_up(inner, next).await,
                Asked::Later(why) => Some(why),
            };
            if let Some(why) = why {
                if why != said {
                    tracing::warn!(after = after.0, upto = upto.0, reason = %why, "movements are missing in the ledger, and cannot be had now");
                    said = why;
                }
                break;
            }
            if inner.state.ledger.gap().is_none() {
                inner.state.ledger_filled();
                tracing::info!(upto = upto.0, "the ledger has no gap any more");
            }
        }
    }
}

/// A member that cannot be reached may have what no other has, so nothing is given up before all have answered.
async fn ask_all<H: Host>(inner: &Arc<Inner<H>>, after: Seq, upto: Seq) -> Asked {
    let (mut next, mut open) = (None::<Seq>, Vec::new());
    for peer in inner.peers.others() {
        let failed = match inner.peers.ledger_blocks(&peer, after, upto).await {
            Err(error) => error.to_string(),
            Ok(blocks) => match blocks.first() {
                Some(&(first, _)) if first <= after.next() => {
                    let ledger = inner.state.ledger.clone();
                    match inner.files.disk.run(move || ledger.fill(&blocks)).await {
                        Ok(()) => return Asked::Filled,
                        Err(error) => error.to_string(),
                    }
                }
                Some(&(first, _)) => {
                    next = Some(next.map_or(first, |next| next.min(first)));
                    continue;
                }
                None => continue,
            },
        };
        open.push(format!("member {}: {failed}", peer.member.id));
    }
    if open.is_empty() { Asked::Nowhere(next) } else { Asked::Later(open.join("; ")) }
}

/// Gives up what no member has; says why, when that cannot be done.
async fn give_up<H: Host>(inner: &Arc<Inner<H>>, next: Option<Seq>) -> Option<String> {
    let ledger = inner.state.ledger.clone();
    match inner.files.disk.run(move || ledger.give_up(next)).await {
        Ok(Some((first, last))) => {
            let start = last.next();
            tracing::error!(
                first = first.0,
                last = last.0,
                start = start.0,
                "movements first to last are lost: no member has them; the ledger of this member begins at start"
            );
            None
        }
        Ok(None) => None,
        Err(error) => Some(error.to_string()),
    }
}
