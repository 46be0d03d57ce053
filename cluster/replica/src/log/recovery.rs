//! Reading the log back: cuts a torn tail, and sets damage aside.

use std::io;

use holdfast_model::codec;

use super::core::{Core, Limits, Place, Segment};
use super::record::{self, Found, Head, Kind};
use super::{segment_name, segment_number, vote};
use crate::disk::{Disk, DiskFile, read_whole, replace};
use crate::types::{Host, LogIdRecord};

/// Set while a part of the log was lost that may have been acknowledged.
pub const SUSPECT_FILE: &str = "suspect";

/// How far a segment could be read.
enum Reached {
    /// To its end.
    End,
    /// To a record that was being written when the machine stopped.
    Torn { offset: u64 },
    /// To something that is not as it was written.
    Damaged { offset: u64, what: String },
}

/// Reads the log of a directory.
///
/// # Errors
/// When a file cannot be read or cut, or when the vote is lost: one line that says what to do.
pub fn open<H: Host>(disk: &H::Disk, limits: Limits) -> io::Result<Core<H>> {
    let mut core = Core::<H>::new(limits);
    core.vote = vote::load(disk)?;
    let numbers: Vec<u64> = disk.list()?.iter().filter_map(|name| segment_number(name)).collect();
    for (place, &number) in numbers.iter().enumerate() {
        let is_last = place + 1 == numbers.len();
        let bytes = read_whole(disk, &segment_name(number))?;
        match read_segment(&mut core, number, &bytes, is_last) {
            Reached::End => {}
            Reached::Torn { offset } => cut_torn_tail(disk, &mut core, number, offset)?,
            Reached::Damaged { offset, what } => {
                set_aside(disk, &mut core, &numbers[place..], offset, &bytes, &what)?;
                break;
            }
        }
    }
    core.committed = core.committed.min(core.last());
    core.written_committed = core.committed;
    Ok(core)
}

fn read_segment<H: Host>(core: &mut Core<H>, number: u64, bytes: &[u8], is_last: bool) -> Reached {
    core.segments.push_back(Segment { number, size: 0, highest: None });
    let mut offset = 0_usize;
    loop {
        let at = offset as u64;
        match record::read(&bytes[offset..]) {
            Found::End if offset > 0 => return Reached::End,
            Found::End | Found::Torn if is_last => return Reached::Torn { offset: at },
            Found::End | Found::Torn => {
                return Reached::Damaged { offset: at, what: "the file ends too early".to_owned() };
            }
            Found::Damaged(what) => {
                return Reached::Damaged { offset: at, what: format!("{what} is damaged") };
            }
            Found::Record(kind, payload, length) => {
                let place =
                    Place { segment: number, offset: at, length: u32::try_from(length).unwrap_or(u32::MAX) };
                if let Err(what) = take(core, kind, payload, place) {
                    return Reached::Damaged { offset: at, what };
                }
                offset += length;
                if let Some(segment) = core.segments.back_mut() {
                    segment.size = offset as u64;
                }
            }
        }
    }
}

/// Takes one record into the log in memory.
fn take<H: Host>(core: &mut Core<H>, kind: Kind, payload: &[u8], place: Place) -> Result<(), String> {
    let id = || codec::decode::<Option<LogIdRecord>>(payload).map_err(|error| error.to_string());
    let is_first = place.offset == 0;
    if is_first != (kind == Kind::Head) {
        return Err("a segment does not start with its head".to_owned());
    }
    match kind {
        Kind::Head => take_head(core, payload, place.segment)?,
        Kind::Entry => {
            let entry = record::entry::<H>(payload)?;
            let id = LogIdRecord::of::<H>(&entry.log_id);
            if let Some(last) = core.last().filter(|last| last.index + 1 != id.index) {
                return Err(format!("entry {} stands after entry {}", id.index, last.index));
            }
            core.note(id, place);
        }
        Kind::Committed => core.committed = id()?,
        Kind::Truncated => {
            let last = id()?;
            core.truncate_after(last);
            // What a head tells of segments that are gone is undone as well.
            core.purged =
                core.purged.filter(|purged| purged.index <= last.map_or(0, |last| last.index)).or(last);
        }
        Kind::Purged => {
            if let Some(upto) = id()? {
                // Segments are removed only once this record is durable: those that it freed may still be here.
                let segments = std::mem::take(&mut core.segments);
                core.purge(upto);
                core.segments = segments;
            }
        }
    }
    Ok(())
}

fn take_head<H: Host>(core: &mut Core<H>, payload: &[u8], number: u64) -> Result<(), String> {
    let head: Head = codec::decode(payload).map_err(|error| error.to_string())?;
    if head.segment != number {
        return Err(format!("the file holds segment {}", head.segment));
    }
    if core.segments.len() == 1 {
        // Everything before this segment was purged, which the head or a record further on says, or cut off, which a
        // record further on says. A segment that is missing without that is noticed against the snapshot.
        core.purged = head.last.max(head.purged);
        core.committed = head.committed;
        return Ok(());
    }
    let before = core.segments.len() - 2;
    if core.segments[before].number + 1 != number || core.last() != head.last {
        return Err("a segment before it is missing".to_owned());
    }
    Ok(())
}

fn cut_torn_tail<H: Host>(disk: &H::Disk, core: &mut Core<H>, number: u64, offset: u64) -> io::Result<()> {
    let name = segment_name(number);
    tracing::info!(file = %name, offset, "a record was being written when this member stopped; it is cut");
    if offset == 0 {
        core.segments.pop_back();
        disk.remove(&name)?;
        return disk.sync_dir();
    }
    let mut file = disk.open(&name)?;
    file.truncate(offset)?;
    file.sync()
}

/// Keeps what comes before the damage, and sets the damaged segment and all after it aside.
fn set_aside<H: Host>(
    disk: &H::Disk,
    core: &mut Core<H>,
    numbers: &[u64],
    offset: u64,
    bytes: &[u8],
    what: &str,
) -> io::Result<()> {
    let name = segment_name(numbers[0]);
    let lost_from = core.last().map_or(0, |last| last.index + 1);
    tracing::error!(
        file = %name, offset, what, lost_from,
        "the log is damaged; entries from lost_from on are lost here, and the file is kept as damaged-{name}"
    );
    // First of all, so that a crash half-way does not make this member forget that it has forgotten.
    replace(disk, SUSPECT_FILE, &codec::encode(&lost_from))?;
    for &number in numbers.iter().rev() {
        let name = segment_name(number);
        if number == numbers[0] && offset > 0 {
            let kept = usize::try_from(offset).map_err(io::Error::other)?;
            let copy = format!("damaged-{name}");
            replace(disk, &copy, bytes)?;
            replace(disk, &name, &bytes[..kept])?;
        } else {
            disk.rename(&name, &format!("damaged-{name}"))?;
        }
    }
    if offset == 0 {
        core.segments.pop_back();
    }
    disk.sync_dir()
}
