//! The feed as a stream that outlives nodes: it comes again at the next one, goes on where it was, and gives each record
//! once.

use futures_util::stream::{self, Stream};
use holdfast_api::{Cursor, ErrorCode, FeedLine, Problem, Record};
use holdfast_model::{ItemId, StoreId};
use serde_json::Value;

use crate::client::Pace;
use crate::lines::{Lines, Opened};
use crate::pages::parameter;
use crate::{Client, Error};

/// Which records are wanted; an empty list stands for all.
#[derive(Debug, Clone, Default)]
pub struct FeedFilter {
    /// Of these stores.
    pub stores: Vec<StoreId>,
    /// Of these items.
    pub items: Vec<ItemId>,
    /// Of these kinds, such as `SOLD`.
    pub kinds: Vec<String>,
}

/// What a feed gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// Something has happened.
    Record {
        /// Right after it.
        cursor: Cursor,
        /// What.
        record: Box<Record>,
    },
    /// Nothing that is wanted has happened up to here.
    Bookmark {
        /// Here.
        cursor: Cursor,
    },
}

impl FeedEvent {
    /// Where the feed is after it: a subscription that starts here goes on with what follows.
    #[must_use]
    pub const fn cursor(&self) -> &Cursor {
        match self {
            Self::Record { cursor, .. } | Self::Bookmark { cursor } => cursor,
        }
    }
}

/// Why a feed does not go on.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The ledger no longer reaches back to the cursor: start from a snapshot. It is over.
    #[error("the ledger no longer reaches back that far: it starts at {oldest}")]
    Compacted {
        /// The oldest sequence that is kept.
        oldest: u64,
    },
    /// The cursor is ahead of all that has happened: the cluster has lost what it was made of, or it is of another one.
    /// Start from a snapshot. It is over.
    #[error("the cursor is ahead of all that has happened: the last sequence is {last}")]
    Ahead {
        /// The last sequence.
        last: u64,
    },
    /// The cursor is of another history than the cluster's: start from a snapshot. It is over.
    #[error("the cursor is of another epoch than {epoch}")]
    OtherEpoch {
        /// The cluster's epoch.
        epoch: String,
    },
    /// No node has served the feed for as long as a call may take, or, when it is [`Error::Refused`], one cannot. The
    /// former is told again and again: the stream goes on trying when it is asked for more.
    #[error(transparent)]
    Client(#[from] Error),
}

impl FeedError {
    /// Whether the stream is over. Otherwise it goes on trying when it is asked for more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Client(Error::Unavailable { .. }))
    }

    /// What a problem means for a feed; none when another node, or the same one later, may serve it.
    fn of(problem: &Problem) -> Option<Self> {
        let number = |name: &str| problem.more.get(name).and_then(Value::as_u64).unwrap_or_default();
        match problem.code {
            ErrorCode::CursorCompacted => Some(Self::Compacted { oldest: number("oldestSeq") }),
            ErrorCode::CursorAhead => Some(Self::Ahead { last: number("lastSeq") }),
            ErrorCode::CursorOtherEpoch => {
                let epoch = problem.more.get("epoch").and_then(Value::as_str).unwrap_or_default();
                Some(Self::OtherEpoch { epoch: epoch.to_owned() })
            }
            code if is_for_good(code) => Some(Self::Client(Error::Refused(Box::new(problem.clone())))),
            _ => None,
        }
    }
}

/// Whether no other node would say anything else.
pub(crate) const fn is_for_good(code: ErrorCode) -> bool {
    !code.retryable() && code.status() < 500
}

impl Client {
    /// Follows the feed from `after` on, or from now on when there is none. Each record comes once, in order, whichever
    /// nodes come and go; bookmarks tell how far it is while nothing that is wanted happens.
    ///
    /// Whoever keeps the cursor of the last event that it has dealt with goes on from there in another life.
    pub fn subscribe(
        &self,
        after: Option<Cursor>,
        filter: &FeedFilter,
    ) -> impl Stream<Item = Result<FeedEvent, FeedError>> + Unpin + use<> {
        let subscription = Subscription {
            client: self.clone(),
            is_filtered: !(filter.stores.is_empty() && filter.items.is_empty() && filter.kinds.is_empty()),
            query: query(filter),
            after,
            turn: fastrand::usize(..self.endpoints().len()),
            open: None,
            pace: None,
            is_over: false,
        };
        Box::pin(stream::unfold(subscription, |mut subscription| async move {
            let next = subscription.next().await?;
            Some((next, subscription))
        }))
    }
}

fn query(filter: &FeedFilter) -> String {
    let stores = filter.stores.iter().map(|store| parameter("storeId", store.as_str()));
    let items = filter.items.iter().map(|item| parameter("itemId", item.as_str()));
    let kinds = filter.kinds.iter().map(|kind| parameter("kind", kind));
    stores.chain(items).chain(kinds).collect()
}

struct Subscription {
    client: Client,
    is_filtered: bool,
    /// The filter's parameters.
    query: String,
    /// All up to here was given; none until a node has said where now is.
    after: Option<Cursor>,
    turn: usize,
    open: Option<Open>,
    /// Since when no node has served.
    pace: Option<Pace>,
    is_over: bool,
}

struct Open {
    lines: Lines,
    /// A node that greets and says no more is no better than none.
    is_greeted: bool,
}

/// What a line means.
enum Said {
    Event(FeedEvent),
    /// It was given before.
    Known,
    /// The node cannot go on, in words.
    Broken(String),
    Over(FeedError),
}

impl Subscription {
    async fn next(&mut self) -> Option<Result<FeedEvent, FeedError>> {
        while !self.is_over {
            match self.step().await {
                Ok(Some(event)) => return Some(Ok(event)),
                Ok(None) => {}
                Err(error) => {
                    self.is_over = error.is_final();
                    return Some(Err(error));
                }
            }
        }
        None
    }

    async fn step(&mut self) -> Result<Option<FeedEvent>, FeedError> {
        let Some(open) = &mut self.open else { return self.connect().await.map(|()| None) };
        let line = open.lines.next().await;
        let is_greeting = !std::mem::replace(&mut open.is_greeted, true);
        let said = match line {
            Ok(Some(line)) => self.hear(line),
            Ok(None) => Said::Broken("the stream has ended".to_owned()),
            Err(detail) => Said::Broken(detail),
        };
        match said {
            Said::Event(event) => {
                if !is_greeting {
                    self.pace = None;
                }
                Ok(Some(event))
            }
            Said::Known => Ok(None),
            Said::Broken(detail) => self.failed(detail, None).await.map(|()| None),
            Said::Over(error) => Err(error),
        }
    }

    async fn connect(&mut self) -> Result<(), FeedError> {
        let endpoints = self.client.endpoints();
        let node = endpoints[self.turn % endpoints.len()].clone();
        let after = self.after.as_ref().map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/feed{after}{}", self.query).replacen('&', "?", 1);
        let patience = self.client.options().attempt_timeout;
        match Lines::open(self.client.http(), &node, &path, patience).await {
            Opened::Open(lines) => {
                self.open = Some(Open { lines, is_greeted: false });
                Ok(())
            }
            Opened::Refused(problem) => match FeedError::of(&problem) {
                Some(error) => Err(error),
                None => self.failed(format!("{node}: {}", problem.detail), Some(problem)).await,
            },
            Opened::Failed(detail) => self.failed(detail, None).await,
        }
    }

    /// The next node has its turn, after a wait.
    async fn failed(&mut self, detail: String, problem: Option<Box<Problem>>) -> Result<(), FeedError> {
        self.open = None;
        self.turn += 1;
        let client = &self.client;
        let pace = self.pace.get_or_insert_with(|| Pace::within(client.options().call_timeout));
        if pace.wait(None).await {
            return Ok(());
        }
        self.pace = None;
        Err(Error::Unavailable { detail, problem }.into())
    }

    fn hear(&mut self, line: FeedLine) -> Said {
        let (cursor, record) = match line {
            FeedLine { error: Some(problem), .. } => {
                return FeedError::of(&problem).map_or_else(|| Said::Broken(problem.detail), Said::Over);
            }
            FeedLine { cursor: None, .. } => return Said::Broken("a line without a cursor".to_owned()),
            FeedLine { cursor: Some(cursor), record, .. } => (cursor, record),
        };
        if record.as_ref().is_some_and(|record| record.seq() != cursor.seq) {
            return Said::Broken(format!("the record at {cursor} is another one"));
        }
        if let Some(after) = &self.after {
            if after.epoch.is_some() && after.epoch != cursor.epoch {
                return Said::Broken(format!("{cursor} is of another epoch than {after}"));
            }
            let next = after.seq + u64::from(record.is_some());
            if cursor.seq < next {
                // A cursor that says of which history it is is worth more than one that does not.
                self.after = Some(Cursor { epoch: cursor.epoch, seq: after.seq });
                return Said::Known;
            }
            if cursor.seq > next && !self.is_filtered {
                return Said::Broken(format!("what comes between {after} and {cursor} is missing"));
            }
        }
        self.after = Some(cursor.clone());
        Said::Event(match record {
            Some(record) => FeedEvent::Record { cursor, record: Box::new(record) },
            None => FeedEvent::Bookmark { cursor },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_so_that_they_are_read_back() {
        let filter = FeedFilter {
            stores: vec![StoreId::new("S+1").unwrap()],
            items: vec![ItemId::new("a,b").unwrap()],
            kinds: vec!["SOLD".to_owned(), "a&b=c d%".to_owned()],
        };
        assert_eq!(query(&filter), "&storeId=S%2B1&itemId=a,b&kind=SOLD&kind=a%26b=c%20d%25");
    }
}
