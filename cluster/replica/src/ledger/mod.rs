//! Every movement and order event, in order: small blocks of one entry's records in a sled database, found by their first sequence.
//!
//! It holds nothing that cannot be had again: what was applied after the last flush is replayed from the log, and a
//! database that will not open is set aside and fetched from the other members. Blocks are the same bytes under the same
//! keys whoever writes them. It is one run of records without holes, but for one that is being filled: see `missing`.

#[cfg(test)]
mod fuzz;
mod missing;
mod sled_store;
mod store;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use holdfast_model::{Actor, Movement, OrderEvent, PaymentId, Reason, Record, Reference, Seq, codec};
use parking_lot::Mutex;

use self::missing::Missing;
pub use self::sled_store::SledPlace;
use self::store::is_broken;
pub use self::store::{Blocks, Place, Store};
use crate::LedgerError;

/// A block is cut before it passes about this size, in bytes. sled keeps pages above 128 KiB in files of their own, which
/// it never syncs: a block must be far too small for that.
const BLOCK_BYTES: usize = 7 << 10;

/// What a record takes beside its texts, in bytes, at most.
const RECORD_BYTES: usize = 160;

/// The ledger of one member. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
    missing: Arc<Mutex<Missing>>,
    /// Held by whoever changes what is missing. Those who read need not wait for that.
    changing: Arc<Mutex<()>>,
}

fn damaged(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(error.to_string())
}

impl Ledger {
    /// Opens the sled database in `dir`: see [`Self::open_at`].
    ///
    /// # Errors
    /// As [`Self::open_at`].
    pub fn open(dir: &Path) -> Result<(Self, Option<String>), LedgerError> {
        Self::open_at(&SledPlace::new(dir))
    }

    /// Opens a database. A damaged one is set aside, and a new one made; then where it was put is returned too.
    ///
    /// # Errors
    /// When it cannot be opened for another reason, such as a full disk or somebody else who keeps it open, or a new one
    /// cannot be made either.
    pub fn open_at(place: &dyn Place) -> Result<(Self, Option<String>), LedgerError> {
        match place.open().and_then(Self::on) {
            Ok(ledger) => Ok((ledger, None)),
            Err(error) if !is_broken(&error) => Err(damaged(error)),
            Err(error) => {
                let aside = place.set_aside().map_err(|second| damaged(format!("{error}; {second}")))?;
                let ledger = place.open().and_then(Self::on).map_err(damaged)?;
                Ok((ledger, Some(format!("{aside} ({error})"))))
            }
        }
    }

    fn on(store: Arc<dyn Store>) -> std::io::Result<Self> {
        let missing = Arc::new(Mutex::new(Missing::read(&*store)?));
        Ok(Self { store, missing, changing: Arc::default() })
    }

    /// Writes the records of one entry, without making them durable. An entry is cut into blocks by what is in it alone,
    /// so that a replay writes the same bytes under the same keys.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn append(&self, records: &[Record]) -> Result<(), LedgerError> {
        let mut rest = records;
        while let Some(first) = rest.first() {
            let (block, after) = rest.split_at(block_len(rest));
            self.store.insert(first.seq(), &codec::encode(&block)).map_err(damaged)?;
            rest = after;
        }
        Ok(())
    }

    /// Makes everything durable. Blocks.
    ///
    /// # Errors
    /// What the file system says; it is never tried again.
    pub fn flush(&self) -> Result<(), LedgerError> {
        self.store.flush().map_err(damaged)
    }

    /// The last movement that is there, 0 when there is none.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_seq(&self) -> Result<Seq, LedgerError> {
        match self.store.upto(Seq(u64::MAX)).map_err(damaged)? {
            Some((_, bytes)) => last_of(&bytes),
            None => Ok(Seq(0)),
        }
    }

    /// Records after `after`, at most `limit`, oldest first.
    ///
    /// # Errors
    /// When they are compacted, missing, or cannot be read.
    pub fn movements(&self, after: Seq, limit: usize) -> Result<Vec<Record>, LedgerError> {
        self.check_kept(after.next())?;
        self.check_gap(after.next(), Seq(after.0.saturating_add(limit as u64)))?;
        let mut found = Vec::new();
        for entry in self.from(after.next())? {
            if found.len() >= limit {
                break;
            }
            let (_, bytes) = entry?;
            found.extend(block(&bytes)?.into_iter().filter(|record| record.seq() > after));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// The record `seq`, when it has happened.
    ///
    /// # Errors
    /// As [`Self::movements`].
    pub fn movement(&self, seq: Seq) -> Result<Option<Record>, LedgerError> {
        if seq == Seq(0) {
            return Ok(None);
        }
        let found = self.movements(Seq(seq.0 - 1), 1)?;
        Ok(found.into_iter().next().filter(|record| record.seq() == seq))
    }

    /// The last `limit` movements of a row at or before `from`, which is one of its movements; newest first. Blocks.
    ///
    /// # Errors
    /// When one cannot be read. A history that goes back further than the ledger simply ends.
    pub fn history(&self, from: Seq, limit: usize) -> Result<Vec<Movement>, LedgerError> {
        let mut found: Vec<Movement> = Vec::new();
        let mut walk = Walk::new(self);
        let mut next = from;
        while found.len() < limit && next > Seq(0) {
            match walk.movement(next) {
                Ok(Some(movement)) => {
                    next = movement.prev_seq;
                    found.push(movement.clone());
                }
                Ok(None) | Err(LedgerError::Compacted { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The newest movement of a row at or before `seq`, given the row's last movement; none when the row came later.
    /// Blocks.
    ///
    /// # Errors
    /// When the ledger no longer, or not yet again, reaches back that far.
    pub fn at(&self, last: Seq, seq: Seq) -> Result<Option<Movement>, LedgerError> {
        let mut walk = Walk::new(self);
        let mut next = last;
        while next > Seq(0) {
            let Some(movement) = walk.movement(next)? else { return Ok(None) };
            if movement.seq <= seq {
                return Ok(Some(movement.clone()));
            }
            next = movement.prev_seq;
        }
        Ok(None)
    }

    /// Bytes on disk.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.store.size_bytes()
    }

    /// Blocks from the one that holds `seq` on.
    fn from(
        &self,
        seq: Seq,
    ) -> Result<impl Iterator<Item = Result<(Seq, Bytes), LedgerError>> + use<>, LedgerError> {
        let first = match self.store.upto(seq).map_err(damaged)? {
            Some((first, bytes)) if last_of(&bytes)? >= seq => first,
            _ => seq,
        };
        Ok(self.store.from(first).map(|entry| entry.map_err(damaged)))
    }

    /// Whether the ledger reaches back to `first`.
    fn check_kept(&self, first: Seq) -> Result<(), LedgerError> {
        let start = self.start();
        let is_open = self.gap().is_some();
        let begin = if is_open { None } else { self.store.first().map_err(damaged)? };
        let oldest = begin.map_or(start, |(first, _)| start.max(first));
        if first < oldest { Err(LedgerError::Compacted { oldest }) } else { Ok(()) }
    }

    /// Whether any of the movements `first` to `last` are missing.
    fn check_gap(&self, first: Seq, last: Seq) -> Result<(), LedgerError> {
        match self.gap() {
            Some((after, upto)) if first <= upto && last > after => {
                Err(LedgerError::Rebuilding { after, upto })
            }
            _ => Ok(()),
        }
    }
}

/// A walk back through the movements of the ledger: a block is decoded once for all that is in it.
struct Walk<'a> {
    ledger: &'a Ledger,
    block: Vec<Record>,
}

impl<'a> Walk<'a> {
    fn new(ledger: &'a Ledger) -> Self {
        Self { ledger, block: Vec::new() }
    }

    fn movement(&mut self, seq: Seq) -> Result<Option<&Movement>, LedgerError> {
        let is_here = self.block.first().is_some_and(|first| first.seq() <= seq)
            && self.block.last().is_some_and(|last| seq <= last.seq());
        if !is_here {
            self.ledger.check_gap(seq, seq)?;
            self.ledger.check_kept(seq)?;
            let found = self.ledger.store.upto(seq).map_err(damaged)?;
            self.block = found.map_or(Ok(Vec::new()), |(_, bytes)| block(&bytes))?;
        }
        // A block that does not begin where its key says was not written like that.
        let first = self.block.first().map_or(Ok(seq), |first| {
            if first.seq() <= seq {
                Ok(first.seq())
            } else {
                Err(damaged(format!("a block before {seq} begins after it")))
            }
        })?;
        let record = usize::try_from(seq.0 - first.0).ok().and_then(|place| self.block.get(place));
        Ok(record.and_then(Record::movement))
    }
}

/// How many of `records` make the next block: as many as fit, and at least one.
fn block_len(records: &[Record]) -> usize {
    let mut size = 0;
    let fits = records.iter().take_while(|record| {
        size += RECORD_BYTES + text_bytes(record);
        size <= BLOCK_BYTES
    });
    fits.count().max(1)
}

fn text_bytes(record: &Record) -> usize {
    let (names, Who { actor, reason, reference }) = match record {
        Record::Movement(Movement { store, item, actor, reason, reference, .. }) => {
            ([Some(store.as_str()), Some(item.as_str())], Who { actor, reason, reference })
        }
        Record::Order(OrderEvent { payment, actor, reason, reference, .. }) => {
            ([payment.as_ref().map(PaymentId::as_str), None], Who { actor, reason, reference })
        }
    };
    let texts = [
        actor.as_ref().map(Actor::as_str),
        reason.as_ref().map(Reason::as_str),
        reference.as_ref().map(Reference::as_str),
    ];
    names.into_iter().chain(texts).flatten().map(str::len).sum()
}

/// The texts that every record may have.
struct Who<'a> {
    actor: &'a Option<Actor>,
    reason: &'a Option<Reason>,
    reference: &'a Option<Reference>,
}

fn block(bytes: &[u8]) -> Result<Vec<Record>, LedgerError> {
    codec::decode(bytes).map_err(|error| damaged(format!("a block: {error}")))
}

/// The last record of a block.
fn last_of(bytes: &[u8]) -> Result<Seq, LedgerError> {
    Ok(block(bytes)?.last().map_or(Seq(0), Record::seq))
}
