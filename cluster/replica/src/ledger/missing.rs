//! What a ledger lacks: movements that are being fetched from other members, and those that are lost or trimmed away
//! before its start.

use std::io;

use bytes::Bytes;
use holdfast_model::{Record, Seq, codec};

use super::{Ledger, Store, block, damaged, last_of};
use crate::LedgerError;

/// In the tree of notes: the movements that are being fetched, as (after, up to).
const GAP: &str = "gap";

/// In the tree of notes: where the ledger starts.
const START: &str = "start";

/// What a ledger lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing {
    /// The first movement that is to be had here, now or when the gap is filled.
    start: Seq,
    /// Those after the first and up to the second are being fetched.
    gap: Option<(Seq, Seq)>,
}

impl Missing {
    /// What the notes of a database say.
    pub(super) fn read(store: &dyn Store) -> io::Result<Self> {
        let broken = |error: codec::CodecError| {
            io::Error::new(io::ErrorKind::InvalidData, format!("its notes: {error}"))
        };
        let gap = store.note(GAP)?.map(|bytes| codec::decode(&bytes).map_err(broken)).transpose()?.flatten();
        let start = store.note(START)?.map(|bytes| codec::decode(&bytes).map_err(broken)).transpose()?;
        Ok(Self { start: start.unwrap_or(Seq(1)), gap })
    }

    /// The same of a ledger that starts at `start`, if it did not start later.
    fn starting_at(self, start: Seq) -> Self {
        let start = self.start.max(start);
        let gap = self.gap.map(|(after, upto)| (after.max(before(start)), upto));
        Self { start, gap: gap.filter(|(after, upto)| after < upto) }
    }
}

fn before(seq: Seq) -> Seq {
    Seq(seq.0.saturating_sub(1))
}

impl Ledger {
    /// The first movement that is to be had here, now or when what is missing has been fetched: later than in the state
    /// when a part was lost.
    #[must_use]
    pub fn start(&self) -> Seq {
        self.missing.lock().start
    }

    /// The movements that are missing: those after the first and up to the second.
    #[must_use]
    pub fn gap(&self) -> Option<(Seq, Seq)> {
        self.missing.lock().gap
    }

    /// Takes note of a state at `seq` that did not come from movements seen here: those that are missing between what is
    /// there and that state are to be fetched. The ledger of that state starts at `start`.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn note_snapshot(&self, seq: Seq, start: Seq) -> Result<(), LedgerError> {
        let _turn = self.changing.lock();
        let was = *self.missing.lock();
        let last = self.last_seq()?;
        let gap = match was.gap {
            // What was applied since is behind the gap.
            Some(gap) if last >= seq => Some(gap),
            Some((after, _)) => Some((after, seq)),
            None => Some((last, seq)),
        };
        let gap = gap.filter(|(after, upto)| after < upto);
        let next = Missing { gap, ..was }.starting_at(start);
        if next != was {
            self.note(next)?;
            self.drop_before(next.start)?;
            self.flush()?;
        }
        Ok(())
    }

    fn note(&self, missing: Missing) -> Result<(), LedgerError> {
        let notes = [(GAP, codec::encode(&missing.gap)), (START, codec::encode(&missing.start))];
        self.store.put_notes(&notes).map_err(damaged)?;
        *self.missing.lock() = missing;
        Ok(())
    }

    /// Takes blocks that another member sent, the first of which must be the next that is missing: as many as follow.
    ///
    /// # Errors
    /// When not even the first follows, or the database cannot be written. Otherwise less is missing than before.
    pub fn fill(&self, blocks: &[(Seq, Bytes)]) -> Result<(), LedgerError> {
        let _turn = self.changing.lock();
        let was = *self.missing.lock();
        let Some((after, upto)) = was.gap else { return Ok(()) };
        let mut reached = after;
        for (first, bytes) in blocks {
            match end_of(*first, bytes) {
                Some(end) if *first <= reached.next() && end > reached => {
                    self.store.insert(*first, bytes).map_err(damaged)?;
                    reached = end;
                }
                _ => break,
            }
        }
        if reached == after {
            return Err(damaged(format!("what was sent does not follow {after}")));
        }
        self.note(Missing { gap: (reached < upto).then_some((reached, upto)), ..was })?;
        self.flush()
    }

    /// Gives up the next of the missing movements, since no member has them: all before `next`, which one of them has, or
    /// all that are missing. What comes before them goes as well, and the ledger starts after them. Returns the first and
    /// the last that were given up; none when they are here after all.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn give_up(&self, next: Option<Seq>) -> Result<Option<(Seq, Seq)>, LedgerError> {
        let _turn = self.changing.lock();
        let was = *self.missing.lock();
        let Some((after, upto)) = was.gap else { return Ok(None) };
        let here = self.store.from(after.next()).next().transpose().map_err(damaged)?;
        let here = here.map(|(first, _)| first);
        let next = [here, next].into_iter().flatten().min().filter(|next| *next <= upto);
        let kept = next.unwrap_or(upto.next());
        let reached = self.end_of_run(kept)?;
        let gap = (reached < upto).then_some((reached, upto));
        let is_lost = kept > after.next();
        let start = if is_lost { kept } else { was.start };
        self.note(Missing { start, gap })?;
        self.drop_before(start)?;
        self.flush()?;
        Ok(is_lost.then_some((after.next(), before(kept))))
    }

    /// The last of the movements that are here without a hole from `first` on; the one before it when it is not here.
    fn end_of_run(&self, first: Seq) -> Result<Seq, LedgerError> {
        let mut end = before(first);
        for entry in self.store.from(first) {
            let (first, bytes) = entry.map_err(damaged)?;
            if first > end.next() {
                break;
            }
            end = end.max(last_of(&bytes)?);
        }
        Ok(end)
    }

    /// Blocks with movements after `after` and up to `upto`, as they are, about `max_bytes` of them and without a hole. When
    /// the next one is not here, those that come after it. Blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn blocks(&self, after: Seq, upto: Seq, max_bytes: usize) -> Result<Vec<(Seq, Bytes)>, LedgerError> {
        let Missing { start, gap } = *self.missing.lock();
        let first_asked = after.next().max(start);
        let (begin, end) = match gap {
            Some((missing, _)) if first_asked <= missing => (first_asked, missing.min(upto)),
            Some((_, missing)) => (first_asked.max(missing.next()), upto),
            None => (first_asked, upto),
        };
        let (mut found, mut size) = (Vec::new(), 0);
        for entry in self.from(begin)? {
            let (first, bytes) = entry?;
            if first > end || (size + bytes.len() > max_bytes && !found.is_empty()) {
                break;
            }
            size += bytes.len();
            found.push((first, bytes));
        }
        Ok(found)
    }

    /// Drops movements before `before`, as far as whole blocks go, and those that are missing of them need not be fetched
    /// any more. It need not be durable: the log tells of it again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn trim(&self, before: Seq) -> Result<(), LedgerError> {
        let _turn = self.changing.lock();
        let next = self.missing.lock().starting_at(before);
        self.note(next)?;
        self.drop_before(next.start)
    }

    fn drop_before(&self, start: Seq) -> Result<(), LedgerError> {
        while let Some((first, bytes)) = self.store.first().map_err(damaged)? {
            if first >= start || last_of(&bytes)? >= start {
                break;
            }
            self.store.remove(first).map_err(damaged)?;
        }
        Ok(())
    }
}

/// The last movement of a block that begins with `first`; none when it is not such a block.
fn end_of(first: Seq, bytes: &[u8]) -> Option<Seq> {
    let records = block(bytes).ok()?;
    let follows = |(place, record): (u64, &Record)| record.seq().0 == first.0 + place;
    (0..).zip(&records).all(follows).then(|| records.last().map(Record::seq)).flatten()
}
