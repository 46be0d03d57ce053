//! Where the view comes from: the cluster's feed and its snapshot, through the sdk.

use futures_util::stream::{Stream, StreamExt};
use holdfast_api::{Cursor, Epoch, Record, Row as ClusterRow, time};
use holdfast_sdk::model::{ItemId, StoreId};
use holdfast_sdk::{Client, Error, FeedError, FeedEvent, FeedFilter};

use crate::view::{Fed, Row};

/// What the feed says.
#[derive(Debug)]
pub enum Item {
    /// Something happened.
    Record(Fed),
    /// The stream is at this sequence, and lives.
    Bookmark(u64),
}

/// Why the feed does not go on.
#[derive(Debug)]
pub enum Ended {
    /// It cannot go on from there: a snapshot is needed.
    Rebuild(String),
    /// It may go on later.
    Later(String),
}

impl From<FeedError> for Ended {
    fn from(error: FeedError) -> Self {
        match error {
            FeedError::Compacted { .. } | FeedError::Ahead { .. } | FeedError::OtherEpoch { .. } => {
                Self::Rebuild(error.to_string())
            }
            FeedError::Client(error) => Self::Later(error.to_string()),
        }
    }
}

impl From<Error> for Ended {
    fn from(error: Error) -> Self {
        Self::Later(error.to_string())
    }
}

/// A row of a snapshot.
pub type Loaded = (StoreId, ItemId, Row);

/// A consistent view of the stock.
pub struct Snapshot<S> {
    /// The history that it is of.
    pub epoch: Epoch,
    /// The last record in it.
    pub seq: u64,
    /// When it was taken, as milliseconds of UTC.
    pub at_ms: i64,
    /// Its rows; they end with an error when they are not whole.
    pub rows: S,
}

/// What the feed says after a sequence.
pub fn follow(
    client: &Client,
    epoch: &Epoch,
    after: u64,
) -> impl Stream<Item = Result<Item, Ended>> + Unpin + use<> {
    let after = Cursor::new(epoch.clone(), after);
    client.subscribe(Some(after), &FeedFilter::default()).map(|event| match event? {
        FeedEvent::Record { record, .. } => Ok(Item::Record(fed(*record)?)),
        FeedEvent::Bookmark { cursor } => Ok(Item::Bookmark(cursor.seq)),
    })
}

/// Whether nothing has happened after a sequence, as far as the cluster has acknowledged anything by now.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn is_all(client: &Client, seq: u64) -> Result<bool, Ended> {
    let next = client.movements(seq, None, None).next().await;
    Ok(next.transpose()?.is_none())
}

/// The stock of all stores.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn snapshot(
    client: &Client,
) -> Result<Snapshot<impl Stream<Item = Result<Loaded, Ended>> + Unpin + use<>>, Ended> {
    let snapshot = client.snapshot(None).await?;
    let head = &snapshot.head;
    let (epoch, seq, at_ms) = (head.epoch.clone(), head.seq, moment(&head.at)?);
    Ok(Snapshot { epoch, seq, at_ms, rows: snapshot.into_rows().map(|row| loaded(&row?)) })
}

fn fed(record: Record) -> Result<Fed, Ended> {
    match record {
        Record::Movement(movement) => {
            Ok(Fed { seq: movement.seq, at_ms: moment(&movement.at)?, movement: Some(Box::new(movement)) })
        }
        // An order is told of by the movements that it makes.
        Record::Order(event) => Ok(Fed { seq: event.seq, at_ms: moment(&event.at)?, movement: None }),
    }
}

fn moment(text: &str) -> Result<i64, Ended> {
    let at =
        time::parse(text).ok_or_else(|| Ended::Later(format!("the cluster says that now is {text:?}")))?;
    Ok(at.0)
}

fn loaded(row: &ClusterRow) -> Result<Loaded, Ended> {
    let senseless = |error: holdfast_sdk::model::IdError| Ended::Later(error.to_string());
    let store = StoreId::new(&row.store_id).map_err(senseless)?;
    let item = ItemId::new(&row.item_id).map_err(senseless)?;
    let row = Row {
        available: row.available,
        reserved: row.reserved,
        version: row.version,
        last_seq: row.last_seq,
        safety_stock: row.safety_stock,
        backorder_limit: row.backorder_limit,
        retired: row.retired,
    };
    Ok((store, item, row))
}
