//! Reading entries: the recent ones from memory, older ones from their segments.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use futures_util::{Stream, TryStreamExt, stream};
use openraft::alias::{EntryOf, VoteOf};
use openraft::{OptionalSend, RaftLogReader};

use super::memory::Place;
use super::record::{self, Kind};
use super::{Log, segment_name};
use crate::disk::{Disk, DiskFile};
use crate::types::{Host, Types, VoteRecord};
use crate::window::Window;

/// What one reading gives at most, in bytes of records, so that it fits a message to a peer; a single larger entry is
/// given alone.
const READ_BYTES: u64 = 2 << 20;

/// Files are read in pieces of at least this size, in bytes, while that much is wanted.
const STEP_BYTES: u64 = 1 << 20;

/// Some entries that follow each other: first those that are on disk alone, then those in memory.
struct Piece<H: Host> {
    places: Vec<Place>,
    entries: Vec<EntryOf<Types<H>>>,
}

impl<H: Host> Log<H> {
    /// Entries from `first` on, not all at once; empty at the end. Blocks.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn read_blocking(&self, first: u64) -> io::Result<Vec<EntryOf<Types<H>>>> {
        let first = first.max(self.memory().lock().first_index());
        let Piece { places, mut entries } = self.gather(first, u64::MAX)?;
        let mut all = load::<H>(&self.0.disk, &places)?;
        all.append(&mut entries);
        Ok(all)
    }

    /// Entries from `first` on and before `end`, as far as one reading goes; empty when `first` is not there.
    async fn read(&self, first: u64, end: u64) -> io::Result<Vec<EntryOf<Types<H>>>> {
        let Piece { places, mut entries } = self.gather(first, end)?;
        if places.is_empty() {
            return Ok(entries);
        }
        let disk = self.0.disk.clone();
        let mut all = self.0.disk.run(move || load::<H>(&disk, &places)).await?;
        all.append(&mut entries);
        Ok(all)
    }

    fn gather(&self, first: u64, end: u64) -> io::Result<Piece<H>> {
        let memory = self.memory().lock();
        memory.check()?;
        let mut piece = Piece { places: Vec::new(), entries: Vec::new() };
        let mut bytes = 0;
        for index in first..end {
            let Some((place, entry)) = memory.get(index) else { break };
            bytes += place.length;
            if bytes > READ_BYTES && index > first {
                break;
            }
            match entry {
                Some(entry) => piece.entries.push(entry.clone()),
                None => piece.places.push(place),
            }
        }
        Ok(piece)
    }

    /// As [`Self::read`], again and again until `end`.
    async fn read_all(&self, first: u64, end: u64) -> io::Result<Vec<EntryOf<Types<H>>>> {
        let mut all = Vec::new();
        loop {
            let mut entries = self.read(first + all.len() as u64, end).await?;
            if entries.is_empty() {
                return Ok(all);
            }
            all.append(&mut entries);
        }
    }
}

/// Reads entries from their segments. Blocks.
fn load<H: Host>(disk: &H::Disk, places: &[Place]) -> io::Result<Vec<EntryOf<Types<H>>>> {
    let wanted: u64 = places.iter().map(|place| place.length).sum();
    let ahead = usize::try_from(wanted.min(STEP_BYTES)).map_err(io::Error::other)?;
    let mut entries = Vec::with_capacity(places.len());
    for places in places.chunk_by(|one, next| one.segment == next.segment) {
        let name = segment_name(places[0].segment);
        let mut window = Window::new(disk.open(&name)?, ahead)?;
        for place in places {
            let entry = load_one::<H, _>(&mut window, *place);
            entries.push(entry.map_err(|error| {
                let text = format!("the log cannot be read: {name} at byte {}: {error}", place.offset);
                io::Error::new(error.kind(), text)
            })?);
        }
    }
    Ok(entries)
}

fn load_one<H: Host, F: DiskFile>(window: &mut Window<F>, place: Place) -> io::Result<EntryOf<Types<H>>> {
    let invalid = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let length = usize::try_from(place.length).map_err(io::Error::other)?;
    match record::read(window.fetch(place.offset, length)?) {
        Ok((Kind::Entry, payload)) => record::entry::<H>(payload).map_err(|flaw| invalid(flaw.to_string())),
        Ok(_) => Err(invalid("no entry stands there".to_owned())),
        Err(flaw) => Err(invalid(flaw.to_string())),
    }
}

impl<H: Host> RaftLogReader<Types<H>> for Log<H> {
    async fn entries_stream<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<EntryOf<Types<H>>, io::Error>> + OptionalSend {
        let (first, end) = bounds(&range);
        let first = first.max(self.memory().lock().first_index());
        let log = self.clone();
        let pieces = stream::try_unfold(first, move |next| {
            let log = log.clone();
            async move {
                let entries = log.read(next, end).await?;
                let after = next + entries.len() as u64;
                Ok::<_, io::Error>(Some((entries, after)).filter(|(entries, _)| !entries.is_empty()))
            }
        });
        pieces.map_ok(|entries| stream::iter(entries.into_iter().map(Ok))).try_flatten()
    }

    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<EntryOf<Types<H>>>, io::Error> {
        let (start, end) = bounds(&range);
        loop {
            let first = start.max(self.memory().lock().first_index());
            let all = self.read_all(first, end).await;
            // What was purged meanwhile is as absent as what was purged before.
            if start.max(self.memory().lock().first_index()) == first {
                return all;
            }
        }
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<EntryOf<Types<H>>>, io::Error> {
        self.read(start, end).await
    }

    async fn read_vote(&mut self) -> Result<Option<VoteOf<Types<H>>>, io::Error> {
        let memory = self.memory().lock();
        memory.check()?;
        Ok(memory.vote.map(VoteRecord::vote::<H>))
    }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&end) => end,
        Bound::Unbounded => u64::MAX,
    };
    (first, end)
}
