//! `holdfast watch`: the feed, as it comes.

use clap::Args;
use futures_util::StreamExt;
use holdfast_sdk::api::{Cursor, FeedLine, Movement, OrderEvent, Record};
use holdfast_sdk::model::{ItemId, StoreId};
use holdfast_sdk::{Client, Error, FeedError, FeedEvent, FeedFilter};

use crate::Done;
use crate::failure::Failure;
use crate::output::Output;

/// The feed.
#[derive(Debug, Args)]
pub struct Watch {
    /// Only this store's; may be given again
    #[arg(long, value_name = "STORE")]
    store: Vec<StoreId>,
    /// Only this item's; may be given again
    #[arg(long, value_name = "ITEM")]
    item: Vec<ItemId>,
    /// Only this kind, such as SOLD; may be given again
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only what comes after this cursor or sequence, 0 for everything that is kept [default: from now on]
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// End after so many records
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

impl Watch {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let filter = FeedFilter { stores: self.store, items: self.item, kinds: self.kind };
        let mut feed = client.subscribe(self.after, &filter);
        let (mut left, mut has_seen_any) = (self.count.unwrap_or(u64::MAX), false);
        while let Some(next) = feed.next().await {
            match next {
                Ok(event) => {
                    has_seen_any = true;
                    left -= u64::from(matches!(event, FeedEvent::Record { .. }));
                    if !out.stream(text(event, out.is_json()))? || left == 0 {
                        return Ok(());
                    }
                }
                // Endpoints that never answered are more likely wrong than down.
                Err(FeedError::Client(error @ Error::Unavailable { .. })) if has_seen_any => {
                    out.failure(&error.into());
                }
                Err(error) => return Err(failure(error)),
            }
        }
        Ok(())
    }
}

/// A line for each event; people are not shown bookmarks.
fn text(event: FeedEvent, is_json: bool) -> String {
    match event {
        event if is_json => {
            let (cursor, record) = match event {
                FeedEvent::Record { cursor, record } => (cursor, Some(*record)),
                FeedEvent::Bookmark { cursor } => (cursor, None),
            };
            let line = FeedLine { cursor: Some(cursor), record, error: None };
            serde_json::to_string(&line).expect("a line has plain keys") + "\n"
        }
        FeedEvent::Record { cursor, record } => line(&cursor, &record),
        FeedEvent::Bookmark { .. } => String::new(),
    }
}

fn line(cursor: &Cursor, record: &Record) -> String {
    let (at, what, more) = match record {
        Record::Movement(movement) => (&movement.at, of_movement(movement), after_movement(movement)),
        Record::Order(event) => {
            (&event.at, of_order(event), [&event.payment_id, &event.reason, &event.reference])
        }
    };
    let mut line = format!("{cursor:<18} {at} {what}");
    for more in more.into_iter().flatten() {
        line.push_str("  ");
        line.push_str(more);
    }
    line.push('\n');
    line
}

fn of_movement(movement: &Movement) -> String {
    let row = format!("{}/{}", movement.store_id, movement.item_id);
    format!(
        "{:<12} {row:<24} {:>6}  available {:>6}  reserved {:>6}",
        movement.kind, movement.qty, movement.available, movement.reserved
    )
}

/// What made a movement happen, and why.
fn after_movement(movement: &Movement) -> [&Option<String>; 3] {
    let by = [&movement.order_id, &movement.hold_id, &movement.transfer_id, &movement.event_id];
    let by = by.into_iter().find(|id| id.is_some()).unwrap_or(&None);
    [by, &movement.reason, &movement.reference]
}

fn of_order(event: &OrderEvent) -> String {
    format!("{:<22} {} is {}", event.kind, event.order_id, event.status)
}

fn failure(error: FeedError) -> Failure {
    match error {
        FeedError::Client(error) => error.into(),
        error => Failure::Check(error.to_string()),
    }
}
