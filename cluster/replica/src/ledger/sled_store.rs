//! A ledger's database on real files: sled, with the syncs that it lacks.

use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use holdfast_model::Seq;

use super::store::{Blocks, Place, Store};

/// Memory that sled may keep blocks in, in bytes.
const CACHE_BYTES: u64 = 64 << 20;

/// How often a lock that somebody else has is tried, and the pause between: 2 s in all. Threads of sled's own let go of it
/// a moment after its last handle, and a process a moment after it was ended.
const LOCK_TRIES: u32 = 200;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// A directory with a sled database.
pub struct SledPlace(PathBuf);

impl SledPlace {
    /// The database in `dir`.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(dir.to_owned())
    }
}

struct SledStore {
    dir: PathBuf,
    db: sled::Db,
    blocks: sled::Tree,
    notes: sled::Tree,
}

fn failed(error: sled::Error) -> io::Error {
    let text = format!("sled: {error}");
    match error {
        sled::Error::Io(error) => io::Error::new(error.kind(), text),
        _ => io::Error::new(io::ErrorKind::InvalidData, text),
    }
}

fn key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

fn block((key, bytes): (sled::IVec, sled::IVec)) -> (Seq, Bytes) {
    let seq = key.as_ref().try_into().map_or(0, u64::from_be_bytes);
    (Seq(seq), Bytes::from_owner(bytes))
}

impl Place for SledPlace {
    fn open(&self) -> io::Result<Arc<dyn Store>> {
        let config = sled::Config::new().path(&self.0).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // sled panics on some damage where it should return an error.
        let opened = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let db = open_unlocked(&config)?;
            let (blocks, notes) = (db.open_tree("blocks")?, db.open_tree("notes")?);
            // Reading both ends finds a database that opens but cannot be read.
            blocks.first()?;
            blocks.last()?;
            Ok::<_, sled::Error>(SledStore { dir: self.0.clone(), db, blocks, notes })
        }));
        let panicked = |_| io::Error::new(io::ErrorKind::InvalidData, "sled panicked");
        Ok(Arc::new(opened.map_err(panicked)?.map_err(failed)?))
    }

    fn set_aside(&self) -> io::Result<String> {
        let aside = free_name(&self.0);
        std::fs::rename(&self.0, &aside)?;
        Ok(aside.display().to_string())
    }
}

impl Store for SledStore {
    fn first(&self) -> io::Result<Option<(Seq, Bytes)>> {
        Ok(self.blocks.first().map_err(failed)?.map(block))
    }

    fn upto(&self, seq: Seq) -> io::Result<Option<(Seq, Bytes)>> {
        let last = self.blocks.range(..=key(seq)).next_back().transpose();
        Ok(last.map_err(failed)?.map(block))
    }

    fn from(&self, seq: Seq) -> Blocks {
        Box::new(self.blocks.range(key(seq)..).map(|entry| entry.map(block).map_err(failed)))
    }

    fn insert(&self, first: Seq, block: &[u8]) -> io::Result<()> {
        self.blocks.insert(key(first), block).map(drop).map_err(failed)
    }

    fn remove(&self, first: Seq) -> io::Result<()> {
        self.blocks.remove(key(first)).map(drop).map_err(failed)
    }

    fn note(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(self.notes.get(name).map_err(failed)?.map(Bytes::from_owner))
    }

    fn put_notes(&self, notes: &[(&str, Vec<u8>)]) -> io::Result<()> {
        let mut batch = sled::Batch::default();
        for (name, bytes) in notes {
            batch.insert(*name, bytes.as_slice());
        }
        self.notes.apply_batch(batch).map_err(failed)
    }

    /// sled's own flush does not survive a loss of power, so its file is synced too.
    fn flush(&self) -> io::Result<()> {
        self.db.flush().map_err(failed)?;
        let sync = |path: &Path| File::open(path)?.sync_all();
        for path in [self.dir.join("db"), self.dir.join("conf"), self.dir.clone()] {
            match sync(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let text = format!("cannot sync {}: {error}", path.display());
                    return Err(io::Error::new(error.kind(), text));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.db.size_on_disk().unwrap_or_default()
    }
}

/// Opens a database, once nobody else has it.
fn open_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let mut opened = config.open();
    for _ in 1..LOCK_TRIES {
        match &opened {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(LOCK_PAUSE);
                opened = config.open();
            }
            _ => break,
        }
    }
    opened
}

/// A name beside `dir` that nothing has yet.
fn free_name(dir: &Path) -> PathBuf {
    let name = |number: u32| dir.with_extension(format!("damaged-{number}"));
    (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0))
}
