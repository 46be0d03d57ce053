//! A snapshot of the stock: what a consumer of the feed starts from.

use futures_util::stream::{self, Stream};
use holdfast_api::{Row, SnapshotHead, SnapshotLine};
use holdfast_model::StoreId;

use crate::client::Pace;
use crate::feed::is_for_good;
use crate::lines::{Lines, Opened};
use crate::pages::parameter;
use crate::{Client, Error};

/// A snapshot that is being read.
pub struct Snapshot {
    /// What it says of itself: the feed goes on from its cursor.
    pub head: SnapshotHead,
    lines: Lines,
}

impl Client {
    /// The rows of a store, or of all, as they are at one sequence.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn snapshot(&self, store: Option<&StoreId>) -> Result<Snapshot, Error> {
        let store = store.map(|store| parameter("storeId", store.as_str())).unwrap_or_default();
        let path = format!("/snapshot{store}").replacen('&', "?", 1);
        let mut pace = Pace::within(self.options().call_timeout);
        let mut turn = fastrand::usize(..self.endpoints().len());
        loop {
            let node = &self.endpoints()[turn % self.endpoints().len()];
            let opened = Lines::open(self.http(), node, &path, self.options().attempt_timeout).await;
            let (detail, problem) = match opened {
                Opened::Open(mut lines) => match lines.next().await {
                    Ok(Some(SnapshotLine::Snapshot(head))) => return Ok(Snapshot { head, lines }),
                    Ok(_) => (lines.failed("a snapshot without a head"), None),
                    Err(detail) => (detail, None),
                },
                Opened::Refused(problem) if is_for_good(problem.code) => return Err(Error::Refused(problem)),
                Opened::Refused(problem) => (format!("{node}: {}", problem.detail), Some(problem)),
                Opened::Failed(detail) => (detail, None),
            };
            if !pace.wait(None).await {
                return Err(Error::Unavailable { detail, problem });
            }
            turn += 1;
        }
    }
}

impl Snapshot {
    /// The rows. A snapshot that was cut off ends with an error, never like a whole one; begin another then.
    pub fn into_rows(self) -> impl Stream<Item = Result<Row, Error>> + Unpin {
        let start = (self.lines, 0_u64);
        Box::pin(stream::try_unfold(start, |(mut lines, count)| async move {
            let cut_off = |detail: String| Error::Unavailable { detail, problem: None };
            match lines.next().await.map_err(cut_off)? {
                Some(SnapshotLine::Row(row)) => Ok(Some((*row, (lines, count + 1)))),
                Some(SnapshotLine::End(end)) if end.rows == count => Ok(None),
                Some(SnapshotLine::End(end)) => {
                    Err(Error::Protocol(lines.failed(&format!("{count} rows of a snapshot of {}", end.rows))))
                }
                Some(SnapshotLine::Error(problem)) => {
                    Err(Error::Unavailable { detail: lines.failed(&problem.detail), problem: Some(problem) })
                }
                Some(SnapshotLine::Snapshot(_)) => {
                    Err(Error::Protocol(lines.failed("a snapshot within a snapshot")))
                }
                None => Err(cut_off(lines.failed("the snapshot was cut off"))),
            }
        }))
    }
}
