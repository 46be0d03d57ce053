//! One subscriber's stream: from the ledger until it has caught up, then from the ring, with bookmarks while there is
//! nothing for it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use holdfast_api::{Epoch, Problem};
use holdfast_model::Seq;
use holdfast_replica::{LedgerError, Replica};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::block::{Format, write_wanted};
use super::filter::Filter;
use super::hub::Seat;
use super::patience::Patience;
use super::record;
use super::ring::Taken;
use crate::mutate::blocking;
use crate::reply::of_ledger_error;

/// A stream that has nothing to give for so long gives a bookmark.
const BOOKMARK_AFTER: Duration = Duration::from_secs(3);

/// Records read from the ledger at once.
const READ_RECORDS: usize = 256;
/// A turn at the ledger ends when there are so many bytes for the subscriber,
const TURN_BYTES: usize = 64 << 10;
/// or when so many records were looked through.
const TURN_RECORDS: usize = 4096;

/// What a subscriber wants, and how.
pub struct Wish {
    /// Which records.
    pub filter: Arc<Filter>,
    /// As what.
    pub format: Format,
    /// The epoch of its cursors.
    pub epoch: Epoch,
}

/// One subscriber.
pub struct Reader {
    wish: Arc<Wish>,
    seat: Seat,
    /// The last record that it has had, or that is nothing for it.
    after: Seq,
    patience: Patience,
    is_greeted: bool,
    is_over: bool,
    _room: OwnedSemaphorePermit,
}

impl Reader {
    /// A subscriber that has had all up to `after`.
    pub fn new(wish: Wish, seat: Seat, after: Seq, room: OwnedSemaphorePermit) -> Self {
        let patience = Patience::new(seat.feed().options().stall);
        Self { wish: Arc::new(wish), seat, after, patience, is_greeted: false, is_over: false, _room: room }
    }

    /// Its stream.
    pub fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut reader| async move {
            let chunk = reader.next().await?;
            Some((Ok::<_, Infallible>(chunk), reader))
        }))
    }

    async fn next(&mut self) -> Option<Bytes> {
        if self.is_over {
            return None;
        }
        let next = match self.patience.check() {
            Ok(()) => self.wait().await,
            Err(slow) => Err(slow),
        };
        self.patience.give();
        Some(next.unwrap_or_else(|problem| {
            self.is_over = true;
            self.wish.format.last(&problem)
        }))
    }

    /// Waits for something to give.
    async fn wait(&mut self) -> Result<Bytes, Problem> {
        let Wish { format, epoch, filter } = &*self.wish;
        if !self.is_greeted {
            self.is_greeted = true;
            return Ok(format.greeting(epoch, self.after));
        }
        let bookmark_at = Instant::now() + BOOKMARK_AFTER;
        while Instant::now() < bookmark_at {
            if let Some(end) = self.seat.feed().ended() {
                return Err(end.clone());
            }
            let chunk = match self.seat.take() {
                Taken::Block(block) => {
                    let chunk = block.bytes(*format, epoch, filter, self.after);
                    self.after = self.after.max(block.last());
                    chunk
                }
                Taken::Nothing { upto } => {
                    self.after = self.after.max(upto);
                    // Late or not: the loop's own condition tells.
                    let _ = timeout_at(bookmark_at, self.seat.called()).await;
                    continue;
                }
                Taken::Behind { after } => {
                    self.after = self.after.max(after);
                    let (chunk, upto) = self.catch_up(bookmark_at).await?;
                    self.after = upto;
                    chunk
                }
            };
            if !chunk.is_empty() {
                return Ok(chunk);
            }
        }
        Ok(format.bookmark(epoch, self.after))
    }

    /// Takes a turn at the ledger; returns what it has for the subscriber, and how far it came.
    async fn catch_up(&self, bookmark_at: Instant) -> Result<(Bytes, Seq), Problem> {
        let feed = self.seat.feed();
        let (replica, wish, after) = (feed.replica().clone(), self.wish.clone(), self.after);
        let turn = feed.turn().await;
        let read = blocking(move || read_turn(&replica, &wish, after)).await?;
        drop(turn);
        match read {
            Ok((chunk, upto)) => {
                self.seat.move_to(upto);
                Ok((chunk, upto))
            }
            Err(LedgerError::Rebuilding { .. }) => {
                tokio::select! {
                    () = feed.replica().wait_for_more(after) => {}
                    () = self.seat.called() => {}
                    () = sleep_until(bookmark_at) => {}
                }
                Ok((Bytes::new(), after))
            }
            Err(error @ (LedgerError::Compacted { .. } | LedgerError::Damaged(_))) => {
                Err(of_ledger_error(&error))
            }
        }
    }
}

/// Reads on from `after` until there is enough for the subscriber, or enough was looked through.
fn read_turn(replica: &Replica, wish: &Wish, mut after: Seq) -> Result<(Bytes, Seq), LedgerError> {
    let (mut chunk, mut looked_through) = (Vec::new(), 0);
    while chunk.len() < TURN_BYTES && looked_through < TURN_RECORDS {
        let records = match replica.tail(after, READ_RECORDS) {
            Ok(records) => records,
            // What was found before is given first.
            Err(_) if looked_through > 0 => break,
            Err(error) => return Err(error),
        };
        let Some(last) = records.last() else { break };
        after = record::seq(last);
        looked_through += records.len();
        write_wanted(&records, wish.format, &wish.epoch, &wish.filter, &mut chunk);
    }
    Ok((chunk.into(), after))
}
