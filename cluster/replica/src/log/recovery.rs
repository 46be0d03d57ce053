//! Opening a log: reads it back record by record, cuts a torn tail, and sets damage aside.
//!
//! Nothing that may have been acknowledged is dropped without saying so: damage leaves its files under other names and
//! a mark that makes this member suspect, and both survive a restart.

use std::io;

use holdfast_model::codec;

use super::memory::{Limits, Memory};
use super::replay::{Reached, Replay};
use super::{segment_name, segment_number, vote};
use crate::disk::{Disk, DiskFile, read_whole, replace};
use crate::types::Host;
use crate::window::Window;

/// Set while a part of the log was lost that may have been acknowledged.
pub const SUSPECT_FILE: &str = "suspect";

/// Files under this name and the one that they had are kept for a person to look at, and never read.
const ASIDE: &str = "damaged-";

/// Files that were being written when the member stopped end in this.
const PARTIAL: &str = ".partial";

/// Files are read and copied in pieces of this size, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// A part of the log that was not as it was written when the log was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment in which it begins.
    pub file: String,
    /// Where it begins there, in bytes.
    pub offset: u64,
    /// The first index that is lost.
    pub lost_from_index: u64,
}

/// Reads the log of a directory.
///
/// # Errors
/// When a file cannot be read or written, when another release wrote it, or when the vote is lost: one line that says
/// what to do.
pub fn open<H: Host>(disk: &H::Disk, limits: Limits) -> io::Result<(Memory<H>, Option<Damage>)> {
    remove_partial_files(disk)?;
    let vote = vote::load(disk)?;
    let numbers: Vec<u64> = disk.list()?.iter().filter_map(|name| segment_number(name)).collect();
    let mut replay = Replay::<H>::new(limits);
    let mut reached = Reached::End;
    let mut last = 0;
    for (place, &number) in numbers.iter().enumerate() {
        let is_last = place + 1 == numbers.len();
        let segment = Window::new(disk.open(&segment_name(number))?, STEP_BYTES)?;
        reached = replay.read_segment(number, segment, is_last)?;
        last = place;
        if !matches!(reached, Reached::End) {
            break;
        }
    }
    let damage = match reached {
        #[cfg(feature = "planted-bugs")]
        Reached::Damaged(_)
            if last + 1 == numbers.len()
                && holdfast_model::planted::is(holdfast_model::planted::Bug::DamageTakenForTorn) =>
        {
            cut_torn_tail(disk, &numbers, replay.read_bytes()).map(|()| None)?
        }
        Reached::End => renew_last(disk, &numbers, replay.read_bytes()).map(|()| None)?,
        Reached::Torn => cut_torn_tail(disk, &numbers, replay.read_bytes()).map(|()| None)?,
        Reached::Damaged(what) => {
            let lost_from_index = replay.next_index();
            let damage =
                Damage { file: segment_name(numbers[last]), offset: replay.read_bytes(), lost_from_index };
            set_aside(disk, &damage, &numbers[last..], &what)?;
            Some(damage)
        }
    };
    let mut memory = replay.finish(damage.is_some());
    vote::check(vote, memory.last().map_or(0, |last| last.term))?;
    memory.vote = vote;
    for number in memory.take_unneeded() {
        disk.remove(&segment_name(number))?;
        disk.sync_dir()?;
    }
    Ok((memory, damage))
}

fn remove_partial_files<D: Disk>(disk: &D) -> io::Result<()> {
    for name in disk.list()? {
        let Some(whole) = name.strip_suffix(PARTIAL) else { continue };
        let segment = whole.strip_prefix(ASIDE).unwrap_or(whole);
        let is_ours =
            segment_number(segment).is_some() || whole == SUSPECT_FILE || vote::FILES.contains(&whole);
        if is_ours {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

/// Writes the last segment anew. What a process that is gone left there may be in the cache of the operating system
/// alone, and when a sync of it has failed, another sync would say nothing.
fn renew_last<D: Disk>(disk: &D, numbers: &[u64], size: u64) -> io::Result<()> {
    match numbers.last() {
        Some(&number) => copy(disk, &segment_name(number), &segment_name(number), size),
        None => Ok(()),
    }
}

fn cut_torn_tail<D: Disk>(disk: &D, numbers: &[u64], size: u64) -> io::Result<()> {
    let Some(&number) = numbers.last() else { return Ok(()) };
    let file = segment_name(number);
    tracing::info!(%file, offset = size, "a record was being written when this member stopped; it is cut");
    if size > 0 {
        return copy(disk, &file, &file, size);
    }
    disk.remove(&file)?;
    disk.sync_dir()
}

/// Keeps what comes before the damage, and sets the damaged segment and all after it aside.
fn set_aside<D: Disk>(disk: &D, damage: &Damage, numbers: &[u64], what: &str) -> io::Result<()> {
    let Damage { file, offset, lost_from_index } = damage;
    tracing::error!(
        %file, offset, what, lost_from_index,
        "the log is damaged: entries from lost_from_index on are lost here; the file and those after it are kept as {ASIDE}…"
    );
    // First of all, so that a crash half-way does not make this member forget that it has forgotten.
    mark_suspect(disk, *lost_from_index)?;
    let taken = disk.list()?;
    // A crash half-way leaves the damage to be found again: it goes last.
    for name in numbers[1..].iter().rev().map(|&number| segment_name(number)) {
        disk.rename(&name, &free_name(&taken, &name))?;
        disk.sync_dir()?;
    }
    let aside = free_name(&taken, file);
    if *offset == 0 {
        disk.rename(file, &aside)?;
        return disk.sync_dir();
    }
    let size = disk.open(file)?.size()?;
    copy(disk, file, &aside, size)?;
    copy(disk, file, file, *offset)
}

fn mark_suspect<D: Disk>(disk: &D, lost_from_index: u64) -> io::Result<()> {
    let is_marked = disk.list()?.iter().any(|name| name == SUSPECT_FILE);
    let earlier = if is_marked { codec::decode(&read_whole(disk, SUSPECT_FILE)?).ok() } else { None };
    let lost_from_index = earlier.map_or(lost_from_index, |earlier: u64| earlier.min(lost_from_index));
    replace(disk, SUSPECT_FILE, &codec::encode(&lost_from_index))
}

/// A name for `name` set aside that nothing has.
fn free_name(taken: &[String], name: &str) -> String {
    let first = format!("{ASIDE}{name}");
    let others = (2_u64..).map(|count| format!("{first}-{count}"));
    let mut names = std::iter::once(first.clone()).chain(others);
    names.find(|name| !taken.contains(name)).unwrap_or(first)
}

/// Copies the first `size` bytes of a file to another name, or over itself, so that a crash leaves what was there or
/// the copy.
fn copy<D: Disk>(disk: &D, from: &str, to: &str, size: u64) -> io::Result<()> {
    let mut source = Window::new(disk.open(from)?, STEP_BYTES)?;
    let partial = format!("{to}{PARTIAL}");
    let mut target = disk.create(&partial)?;
    let mut offset = 0;
    while offset < size {
        let step = usize::try_from((size - offset).min(STEP_BYTES as u64)).map_err(io::Error::other)?;
        target.append(source.fetch(offset, step)?)?;
        offset += step as u64;
    }
    target.sync()?;
    drop(target);
    disk.rename(&partial, to)?;
    disk.sync_dir()
}
