//! `holdfast compare`: the sync service's view against the cluster, row by row.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use futures_util::TryStreamExt;
use holdfast_sdk::api::Row;
use holdfast_sdk::model::{ItemId, StoreId};
use holdfast_sdk::{Client, Options, SyncService, ViewPage, ViewRow};
use serde_json::json;

use crate::Done;
use crate::failure::Failure;
use crate::output::Output;
use crate::tables::{numbers, one_row};

/// How long the view may take to reach the sequence that the cluster stood at.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many rows that differ are told.
const ROWS_TOLD: usize = 20;

/// Takes a snapshot of the cluster, waits until the view has come as far, and compares all rows; a row that has changed
/// since is not compared. It ends with 1 when one differs.
#[derive(Debug, Args)]
pub struct Compare {
    /// The sync service
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8083")]
    sync: String,
}

/// What came of it.
#[derive(Default)]
struct Found {
    same: u64,
    newer: u64,
    different: Vec<String>,
}

type Rows<T> = BTreeMap<ItemId, T>;

impl Compare {
    /// Does it.
    pub async fn run(self, client: &Client, out: &Output) -> Done {
        let service = SyncService::new(&self.sync, Options::default())?;
        let snapshot = client.snapshot(None).await?;
        let seq = snapshot.head.seq;
        let mut stores: BTreeMap<StoreId, Rows<Row>> = BTreeMap::new();
        let mut rows = snapshot.into_rows();
        while let Some(row) = rows.try_next().await? {
            stores.entry(id(&row.store_id)?).or_default().insert(id(&row.item_id)?, row);
        }
        let mut found = Found::default();
        for (store, rows) in &stores {
            found.compare(store, seq, rows, &view_of(&service, store, seq).await?);
        }
        let (stores, different) = (stores.len(), found.different.len());
        let value = json!({
            "seq": seq, "stores": stores, "same": found.same, "changedSince": found.newer, "different": different,
            "rows": found.different.iter().take(ROWS_TOLD).collect::<Vec<_>>(),
        });
        out.print(&value, |_| {
            let cells = [seq, stores as u64, found.same, found.newer, different as u64];
            let header = ["seq", "stores", "rows equal", "changed since", "rows different"];
            numbers(one_row(&header, cells.map(|cell| cell.to_string()).to_vec()), 0)
        })?;
        let told = found.different.iter().take(ROWS_TOLD).cloned().collect::<Vec<_>>();
        if told.is_empty() {
            Ok(())
        } else {
            Err(Failure::Check(format!("the view differs:\n  {}", told.join("\n  "))))
        }
    }
}

fn id<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| Failure::Check(format!("{text:?} is no id: {error}")))
}

/// A store's rows in a view that has come as far as `seq`.
async fn view_of(service: &SyncService, store: &StoreId, seq: u64) -> Result<Rows<ViewRow>, Failure> {
    let (mut rows, mut after) = (Rows::new(), None);
    loop {
        let page = page_at(service, store, after.as_ref(), seq).await?;
        for row in page.rows {
            rows.insert(id(&row.item_id)?, row);
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(rows),
        }
    }
}

async fn page_at(
    service: &SyncService,
    store: &StoreId,
    after: Option<&ItemId>,
    seq: u64,
) -> Result<ViewPage, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = service.rows(store, after).await?;
        if page.seq >= seq {
            return Ok(page);
        }
        if Instant::now() > deadline {
            return Err(Failure::Check(format!("the view stands at {}, the cluster at {seq}", page.seq)));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Found {
    fn compare(&mut self, store: &StoreId, seq: u64, rows: &Rows<Row>, view: &Rows<ViewRow>) {
        for (item, row) in rows {
            match view.get(item) {
                Some(seen) if seen.last_seq > seq => self.newer += 1,
                Some(seen) if is_same(row, seen) => self.same += 1,
                Some(seen) => {
                    self.different
                        .push(format!("{store}/{item}: the cluster has {row:?}, the view {seen:?}"));
                }
                None => self.different.push(format!("{store}/{item} is not in the view")),
            }
        }
        for (item, seen) in view.iter().filter(|(item, _)| !rows.contains_key(*item)) {
            if seen.last_seq > seq {
                self.newer += 1;
            } else {
                self.different.push(format!("{store}/{item} is in the view alone"));
            }
        }
    }
}

fn is_same(row: &Row, seen: &ViewRow) -> bool {
    let of_row = (row.available, row.reserved, row.version, row.last_seq);
    let of_view = (seen.available, seen.reserved, seen.version, seen.last_seq);
    let policy_of_row = (row.safety_stock, row.backorder_limit, row.retired);
    of_row == of_view && policy_of_row == (seen.safety_stock, seen.backorder_limit, seen.retired)
}
