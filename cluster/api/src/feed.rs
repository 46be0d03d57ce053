//! The lines of the streams: the feed, and a snapshot of the stock.

use serde::{Deserialize, Serialize};

use crate::{Cursor, Epoch, Problem, Record, Row};

/// One line of a feed as NDJSON: a record with its cursor, a bookmark, which is a cursor alone, or the problem that ends
/// the stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct FeedLine {
    /// Where the stream is after this line; none with a problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// What happened; none in a bookmark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// Why the stream ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// One line of a snapshot: first the head, then the rows, last the end, without which it was cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum SnapshotLine {
    /// The first.
    Snapshot(SnapshotHead),
    /// A stock row as it was.
    Row(Box<Row>),
    /// The last.
    End(SnapshotEnd),
    /// The last of a snapshot that was broken off.
    Error(Box<Problem>),
}

/// What a snapshot says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotHead {
    /// The feed goes on from here.
    pub cursor: Cursor,
    /// The history that it is of.
    pub epoch: Epoch,
    /// The last record in it.
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// The store whose rows follow; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
}

/// What comes last in a whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SnapshotEnd {
    /// How many rows there were.
    pub rows: u64,
}
