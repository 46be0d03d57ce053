//! One view: a sled database in a directory of its own, built from a snapshot and then moved on by the feed.
//!
//! Rows, entries and the mark move in one atomic batch, so that after a crash they stand at the same sequence. Whatever
//! in it does not fit together is an error, which has the view built again; it is never repaired.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_sdk::model::{ItemId, StoreId, SubscriptionId};
use parking_lot::{Mutex, RwLock};

use super::error::{Unopened, ViewError};
use super::record::{self, Entry, Head, MARK, Mark, Position, Row};

/// Memory that sled may keep pages in, in bytes.
const CACHE_BYTES: u64 = 64 << 20;
/// Milliseconds after which what was written is handed to the disk. What a crash takes back is done again.
const FLUSH_EVERY_MS: u64 = 250;

/// How often a lock that somebody else has is tried, and the pause between: 2 s in all. Threads of sled's own let go of it
/// a moment after its last handle, and a process a moment after it was ended.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// One view. Its directory goes with it once it was replaced.
pub struct Generation {
    /// Which one: a later one has a higher number.
    pub number: u64,
    pub(super) dir: PathBuf,
    /// Taken out when the view is dropped, since its directory can go only after it.
    db: Option<sled::Db>,
    /// Taken by the one who writes, so that readers see whole batches.
    pub(super) gate: RwLock<()>,
    pub(super) state: Mutex<State>,
    is_replaced: AtomicBool,
}

/// What the writer knows without reading.
pub(super) struct State {
    pub mark: Mark,
    pub heads: BTreeMap<StoreId, Head>,
}

/// Movements of a store after a place.
pub enum Entries {
    /// These, oldest first; empty when there are none yet.
    Next(Vec<Entry>),
    /// Some of them are not kept any more.
    Missed,
}

/// Some rows of a store, as they stood together.
pub struct Page {
    /// Item and row, in the order of the items' names.
    pub rows: Vec<(String, Row)>,
    /// The item after which the next page starts; none when this was the last.
    pub next: Option<String>,
    /// How far the view was.
    pub mark: Mark,
}

impl Generation {
    /// Opens a view that is there.
    pub(super) fn open(dir: &Path, number: u64) -> Result<Self, Unopened> {
        let db = open_database(dir)?;
        let read = guarded(|| Ok((db.get(MARK)?, load_heads(&db)?))).map_err(Unopened::of)?;
        let (Some(bytes), heads) = read else { return Err(Unopened::Unfinished) };
        let mark: Mark = record::decode(&bytes).map_err(|error| Unopened::Broken(error.to_string()))?;
        let view = Self::new(db, dir, number, State { mark, heads });
        view.verify().map_err(|error| Unopened::Broken(error.to_string()))?;
        Ok(view)
    }

    /// Makes a new database, which can be opened only once the mark is in it.
    pub(super) fn create(dir: &Path, number: u64, mark: Mark) -> Result<Self, Unopened> {
        let db = open_database(dir)?;
        Ok(Self::new(db, dir, number, State { mark, heads: BTreeMap::new() }))
    }

    fn new(db: sled::Db, dir: &Path, number: u64, state: State) -> Self {
        Self {
            number,
            dir: dir.to_owned(),
            db: Some(db),
            gate: RwLock::new(()),
            state: Mutex::new(state),
            is_replaced: AtomicBool::new(false),
        }
    }

    pub(super) fn tree(&self) -> &sled::Tree {
        self.db.as_ref().expect("the database is there until the view is dropped")
    }

    /// Reads every row and head and compares them with the checksum.
    fn verify(&self) -> Result<(), ViewError> {
        let mark = self.mark();
        let (mut sum, mut rows) = (0_u128, 0);
        guarded(|| {
            for kind in [record::ROWS, record::HEADS] {
                for pair in self.tree().scan_prefix([kind]) {
                    let (key, value) = pair?;
                    sum = sum.wrapping_add(record::checksum(&key, &value));
                    rows += u64::from(kind == record::ROWS);
                }
            }
            Ok(())
        })?;
        if (sum, rows) == (mark.checksum, mark.rows) {
            Ok(())
        } else {
            Err(ViewError::damaged("its rows are not those that its checksum was made of"))
        }
    }

    /// How far it is.
    pub fn mark(&self) -> Mark {
        self.state.lock().mark.clone()
    }

    /// The sequence of the last record in it.
    pub fn seq(&self) -> u64 {
        self.state.lock().mark.seq
    }

    /// A row, and how far the view was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn row(&self, store: &StoreId, item: &ItemId) -> Result<(Option<Row>, Mark), ViewError> {
        let _gate = self.gate.read();
        let found = guarded(|| self.tree().get(record::row_key(store, item)))?;
        Ok((found.map(|bytes| record::decode(&bytes)).transpose()?, self.mark()))
    }

    /// A store's rows after an item, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn rows(&self, store: &StoreId, after: Option<&ItemId>, limit: usize) -> Result<Page, ViewError> {
        let _gate = self.gate.read();
        let prefix = record::rows_of(store);
        let mut start = after.map_or_else(|| prefix.clone(), |item| record::row_key(store, item));
        if after.is_some() {
            // The first key beyond that item's.
            start.push(0);
        }
        let mut rows = Vec::new();
        let mut has_more = false;
        guarded(|| {
            for pair in self.tree().range(start..) {
                let (key, value) = pair?;
                if !key.starts_with(&prefix) {
                    break;
                }
                if rows.len() == limit {
                    has_more = true;
                    break;
                }
                rows.push((key, value));
            }
            Ok(())
        })?;
        let rows: Vec<(String, Row)> = rows
            .iter()
            .map(|(key, value)| {
                let item = record::item_of(key).ok_or_else(|| ViewError::damaged("a row's key"))?;
                Ok((item.to_owned(), record::decode(value)?))
            })
            .collect::<Result<_, ViewError>>()?;
        let next = rows.last().filter(|_| has_more).map(|(item, _)| item.clone());
        Ok(Page { rows, next, mark: self.mark() })
    }

    /// A store's movements after a sequence, at most `limit` and about `max_bytes` of them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn entries(
        &self,
        store: &StoreId,
        after: u64,
        limit: usize,
        max_bytes: usize,
    ) -> Result<Entries, ViewError> {
        let _gate = self.gate.read();
        let (last, base) = {
            let state = self.state.lock();
            (state.heads.get(store).map(|head| head.last), state.mark.base)
        };
        let last = last.unwrap_or(base);
        if last <= after {
            return Ok(Entries::Next(Vec::new()));
        }
        let (first, end) =
            (record::entry_key(store, after.saturating_add(1)), record::entry_key(store, u64::MAX));
        let (mut found, mut size, mut upto) = (Vec::new(), 0, after);
        for pair in guarded(|| Ok(self.tree().range(first..=end).take(limit).collect::<Vec<_>>()))? {
            let (key, value) = pair?;
            if size + value.len() > max_bytes && !found.is_empty() {
                break;
            }
            size += value.len();
            let entry = Entry::decode(&key, &value).map_err(ViewError::damaged)?;
            let follows = if found.is_empty() { entry.prev <= upto } else { entry.prev == upto };
            if !follows {
                return Ok(Entries::Missed);
            }
            upto = entry.seq;
            found.push(entry);
        }
        // There is one after it, but it is not there.
        Ok(if found.is_empty() { Entries::Missed } else { Entries::Next(found) })
    }

    /// What the receiver of a subscription has; none when nothing is known of it here.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn position(&self, subscription: SubscriptionId) -> Result<Option<Position>, ViewError> {
        let found = guarded(|| self.tree().get(record::position_key(subscription)))?;
        Ok(found.map(|bytes| record::decode(&bytes)).transpose()?)
    }

    /// Notes what the receiver of a subscription has.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set_position(&self, subscription: SubscriptionId, position: Position) -> Result<(), ViewError> {
        let value = record::encode(&position);
        guarded(|| self.tree().insert(record::position_key(subscription), value))?;
        Ok(())
    }

    /// Forgets a subscription.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn forget_position(&self, subscription: SubscriptionId) -> Result<(), ViewError> {
        guarded(|| self.tree().remove(record::position_key(subscription)))?;
        Ok(())
    }

    /// Hands everything to the disk. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn flush(&self) -> Result<(), ViewError> {
        guarded(|| self.tree().flush())?;
        Ok(())
    }

    /// Bytes on disk.
    pub fn size_bytes(&self) -> u64 {
        self.db.as_ref().and_then(|db| db.size_on_disk().ok()).unwrap_or_default()
    }

    /// Its directory is to go with it.
    pub(super) fn replace(&self) {
        self.is_replaced.store(true, Ordering::Release);
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        drop(self.db.take());
        if self.is_replaced.load(Ordering::Acquire)
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
        {
            tracing::warn!(dir = %self.dir.display(), %error, "a view that was replaced cannot be removed");
        }
    }
}

/// Does something with sled, which panics on some damage where it should return an error.
///
/// # Errors
/// When it fails or panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, ViewError> {
    std::panic::catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| ViewError::damaged("sled panicked"))?
        .map_err(ViewError::from)
}

/// Opens a database, once nobody else has it.
fn open_database(dir: &Path) -> Result<sled::Db, Unopened> {
    let config =
        sled::Config::new().path(dir).cache_capacity(CACHE_BYTES).flush_every_ms(Some(FLUSH_EVERY_MS));
    let mut opened = guarded(|| config.open());
    for _ in 1..LOCK_TRIES {
        match &opened {
            Err(error) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
                opened = guarded(|| config.open());
            }
            _ => break,
        }
    }
    opened.map_err(Unopened::of)
}

fn load_heads(tree: &sled::Tree) -> sled::Result<BTreeMap<StoreId, Head>> {
    let mut heads = BTreeMap::new();
    for pair in tree.scan_prefix([record::HEADS]) {
        let (key, value) = pair?;
        let head = record::store_of_head(&key).zip(record::decode::<Head>(&value).ok());
        let (store, head) =
            head.ok_or_else(|| sled::Error::ReportableBug("a head cannot be read".to_owned()))?;
        heads.insert(store, head);
    }
    Ok(heads)
}
