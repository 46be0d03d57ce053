//! A snapshot of the stock as a stream: frozen at once, written bit by bit, so that nothing waits for its reader.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use futures_util::stream;
use holdfast_api::time::rfc3339;
use holdfast_api::{Cursor, Epoch, Problem, Row, SnapshotEnd, SnapshotHead, SnapshotLine};
use holdfast_model::{Frozen, StoreId};
use tokio::sync::OwnedSemaphorePermit;

use super::hub::Feed;
use super::patience::Patience;
use crate::mutate::blocking;

/// Places looked at before the bytes so far are counted: a page of the state.
const STEP_PLACES: u32 = 256;
/// A turn ends when it has so many bytes,
const TURN_BYTES: usize = 64 << 10;
/// or has looked at so many places.
const TURN_PLACES: u32 = 64 * STEP_PLACES;

/// A snapshot on its way to one reader.
pub struct Stock {
    feed: Feed,
    frozen: Arc<Frozen>,
    store: Option<StoreId>,
    epoch: Epoch,
    next: Next,
    rows: u64,
    patience: Patience,
    _room: OwnedSemaphorePermit,
}

enum Next {
    Head,
    Rows(u32),
    End,
    Nothing,
}

impl Stock {
    /// The stock of a store, or of all, as it is in `frozen`.
    pub fn new(
        feed: Feed,
        frozen: Frozen,
        store: Option<StoreId>,
        epoch: Epoch,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let patience = Patience::new(feed.options().stall);
        Self {
            feed,
            frozen: Arc::new(frozen),
            store,
            epoch,
            next: Next::Head,
            rows: 0,
            patience,
            _room: room,
        }
    }

    /// Its stream.
    pub fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut stock| async move {
            let chunk = stock.next().await?;
            Some((Ok::<_, Infallible>(chunk), stock))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        if matches!(self.next, Next::Nothing) {
            return None;
        }
        let chunk = self.write().await.unwrap_or_else(|problem| {
            self.next = Next::Nothing;
            line(&SnapshotLine::Error(Box::new(problem))).into()
        });
        self.patience.give();
        Some(chunk)
    }

    async fn write(&mut self) -> Result<Bytes, Problem> {
        self.patience.check()?;
        if let Some(end) = self.feed.ended() {
            return Err(end.clone());
        }
        match self.next {
            Next::Head => {
                self.next = Next::Rows(0);
                Ok(line(&SnapshotLine::Snapshot(self.head())).into())
            }
            Next::Rows(from) => {
                let (frozen, store) = (self.frozen.clone(), self.store.clone());
                let turn = self.feed.turn().await;
                let written = blocking(move || write_rows(&frozen, store.as_ref(), from)).await?;
                drop(turn);
                self.rows += written.rows;
                self.next = written.next.map_or(Next::End, Next::Rows);
                if self.next_is_end() {
                    return Ok(self.with_end(written.bytes));
                }
                Ok(written.bytes.into())
            }
            Next::End | Next::Nothing => Ok(self.with_end(Vec::new())),
        }
    }

    fn next_is_end(&self) -> bool {
        matches!(self.next, Next::End)
    }

    fn with_end(&mut self, mut bytes: Vec<u8>) -> Bytes {
        self.next = Next::Nothing;
        bytes.extend(line(&SnapshotLine::End(SnapshotEnd { rows: self.rows })));
        bytes.into()
    }

    fn head(&self) -> SnapshotHead {
        let seq = self.frozen.last_seq().0;
        SnapshotHead {
            cursor: Cursor::new(self.epoch.clone(), seq),
            epoch: self.epoch.clone(),
            seq,
            at: rfc3339(self.frozen.at_utc()),
            store_id: self.store.as_ref().map(ToString::to_string),
        }
    }
}

struct Written {
    bytes: Vec<u8>,
    rows: u64,
    next: Option<u32>,
}

fn write_rows(frozen: &Frozen, store: Option<&StoreId>, from: u32) -> Written {
    let (mut bytes, mut rows, mut next) = (Vec::new(), 0, Some(from));
    while let Some(place) = next
        && bytes.len() < TURN_BYTES
        && place - from < TURN_PLACES
    {
        let (found, after) = frozen.rows(store, place, STEP_PLACES);
        rows += found.len() as u64;
        for row in &found {
            bytes.extend(line(&SnapshotLine::Row(Box::new(Row::from(row)))));
        }
        next = after;
    }
    Written { bytes, rows, next }
}

fn line(line: &SnapshotLine) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(line).expect("a line has plain keys");
    bytes.push(b'\n');
    bytes
}
