//! The database of a machine's ledger, in memory. As sled does, it keeps what was written in order: a crash takes the
//! newest of what was not flushed, and damage is noticed when it is opened, or takes the newest of what was.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_model::Seq;
use holdfast_replica::ledger::{Blocks, Place, Store};
use parking_lot::Mutex;

use crate::process::Process;

/// A change of the database.
#[derive(Debug, Clone)]
enum Change {
    Insert(Seq, Bytes),
    Remove(Seq),
    Notes(Vec<(String, Bytes)>),
}

#[derive(Debug, Clone, Default)]
struct Content {
    blocks: BTreeMap<Seq, Bytes>,
    notes: BTreeMap<String, Bytes>,
}

impl Content {
    fn make(&mut self, change: &Change) {
        match change {
            Change::Insert(seq, block) => drop(self.blocks.insert(*seq, block.clone())),
            Change::Remove(seq) => drop(self.blocks.remove(seq)),
            Change::Notes(notes) => self.notes.extend(notes.iter().cloned()),
        }
    }
}

#[derive(Default)]
struct Inner {
    now: Content,
    /// All changes since the database was made, of which the first `flushed` are durable.
    changes: Vec<Change>,
    flushed: usize,
    is_broken: bool,
    set_aside: u32,
    flushes_left: Option<u64>,
}

/// The database of one machine. Cheap to clone: a handle.
#[derive(Clone, Default)]
pub struct LedgerDisk(Arc<Mutex<Inner>>);

impl LedgerDisk {
    /// The process that had it open is gone: of what was not flushed, `kept` of 256 parts stay.
    pub fn crash(&self, kept: u8) {
        let mut inner = self.0.lock();
        let open = inner.changes.len() - inner.flushed;
        let length = inner.flushed + open * usize::from(kept) / 256;
        inner.flushes_left = None;
        inner.cut(length);
    }

    /// The next time that it is opened it is found to be damaged.
    pub fn break_it(&self) {
        self.0.lock().is_broken = true;
    }

    /// It has lost the newest part of what was flushed: `kept` of 256 parts stay.
    pub fn shorten(&self, kept: u8) {
        let mut inner = self.0.lock();
        let length = inner.changes.len() * usize::from(kept) / 256;
        inner.cut(length);
    }

    /// A flush fails after so many more.
    pub fn fail_flush_after(&self, flushes: u64) {
        self.0.lock().flushes_left = Some(flushes);
    }

    /// No flush fails any more.
    pub fn revive(&self) {
        self.0.lock().flushes_left = None;
    }

    /// Nothing is there any more.
    pub fn wipe(&self) {
        *self.0.lock() = Inner::default();
    }
}

impl Inner {
    fn cut(&mut self, length: usize) {
        self.changes.truncate(length);
        self.flushed = length;
        self.now = Content::default();
        for change in &self.changes {
            self.now.make(change);
        }
    }

    fn change(&mut self, change: Change) {
        self.now.make(&change);
        self.changes.push(change);
    }
}

/// The database as one process finds it.
pub struct LedgerPlace {
    /// The machine's.
    pub disk: LedgerDisk,
    /// Who opens it.
    pub process: Arc<Process>,
}

impl Place for LedgerPlace {
    fn open(&self) -> io::Result<Arc<dyn Store>> {
        if self.disk.0.lock().is_broken {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a checksum is wrong"));
        }
        Ok(Arc::new(Open { disk: self.disk.clone(), process: self.process.clone() }))
    }

    fn set_aside(&self) -> io::Result<String> {
        let mut inner = self.disk.0.lock();
        let set_aside = inner.set_aside + 1;
        *inner = Inner { set_aside, ..Inner::default() };
        Ok(format!("ledger.damaged-{set_aside}"))
    }
}

struct Open {
    disk: LedgerDisk,
    process: Arc<Process>,
}

impl Open {
    fn change(&self, change: Change) -> io::Result<()> {
        if !self.process.is_alive() {
            return Err(io::Error::other("the process has gone"));
        }
        self.disk.0.lock().change(change);
        Ok(())
    }
}

impl Store for Open {
    fn first(&self) -> io::Result<Option<(Seq, Bytes)>> {
        let inner = self.disk.0.lock();
        Ok(inner.now.blocks.first_key_value().map(|(seq, block)| (*seq, block.clone())))
    }

    fn upto(&self, seq: Seq) -> io::Result<Option<(Seq, Bytes)>> {
        let inner = self.disk.0.lock();
        Ok(inner.now.blocks.range(..=seq).next_back().map(|(seq, block)| (*seq, block.clone())))
    }

    fn from(&self, seq: Seq) -> Blocks {
        let (disk, mut next) = (self.disk.clone(), Some(seq));
        Box::new(std::iter::from_fn(move || {
            let inner = disk.0.lock();
            let (seq, block) = inner.now.blocks.range(next?..).next()?;
            next = Some(seq.next());
            Some(Ok((*seq, block.clone())))
        }))
    }

    fn insert(&self, first: Seq, block: &[u8]) -> io::Result<()> {
        self.change(Change::Insert(first, Bytes::copy_from_slice(block)))
    }

    fn remove(&self, first: Seq) -> io::Result<()> {
        self.change(Change::Remove(first))
    }

    fn note(&self, name: &str) -> io::Result<Option<Bytes>> {
        Ok(self.disk.0.lock().now.notes.get(name).cloned())
    }

    fn put_notes(&self, notes: &[(&str, Vec<u8>)]) -> io::Result<()> {
        let notes = notes.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::copy_from_slice(bytes)));
        self.change(Change::Notes(notes.collect()))
    }

    fn flush(&self) -> io::Result<()> {
        if !self.process.is_alive() {
            return Err(io::Error::other("the process has gone"));
        }
        let mut inner = self.disk.0.lock();
        match &mut inner.flushes_left {
            Some(0) => {
                inner.flushes_left = None;
                return Err(io::Error::other("the disk did not take it"));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        inner.flushed = inner.changes.len();
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.disk.0.lock().now.blocks.values().map(|block| block.len() as u64).sum()
    }
}
