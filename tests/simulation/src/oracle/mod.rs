//! What must be true, watched from outside of the workload: one file for each thing.
//!
//! Every member's every step is seen through [`Eyes`]. The first member that applies an entry makes it part of the
//! committed order, which is replayed here by a single-threaded model; what all others do is held against that.

mod acknowledged;
mod agreement;
mod committed;
mod feed;
mod invariants;
mod real_time;
mod replies;
mod sequence;
mod votes;

use std::sync::Arc;

use holdfast_model::{Applied, Digest, Entry, Inventory, Movement, Record, Reply, RowKey, RowView, Seq};
use holdfast_replica::types::LogIdRecord;
use holdfast_replica::wire::{Answer, Envelope};
use holdfast_replica::{NodeId, Witness};
use parking_lot::Mutex;

use crate::world::World;
use acknowledged::Attempts;
use committed::Committed;
use invariants::Invariants;
use replies::Replies;
use votes::Votes;

/// The checks of one simulation. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Oracle(Arc<Inner>);

struct Inner {
    world: World,
    committed: Mutex<Committed>,
    replies: Mutex<Replies>,
    invariants: Mutex<Invariants>,
    attempts: Mutex<Attempts>,
    votes: Mutex<Votes>,
}

/// What a read saw.
pub struct Sight {
    /// The state that it was read from.
    pub digest: Digest,
    /// Its last record.
    pub seq: Seq,
    /// The row that was looked at, and what was seen of it.
    pub row: (RowKey, Option<RowView>),
}

impl Oracle {
    /// The checks of a simulation that has not begun.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Inner {
            world,
            committed: Mutex::default(),
            replies: Mutex::default(),
            invariants: Mutex::default(),
            attempts: Mutex::default(),
            votes: Mutex::default(),
        }))
    }

    /// Watches one member.
    pub fn eyes(&self, member: NodeId) -> Arc<Eyes> {
        Arc::new(Eyes { oracle: self.clone(), member })
    }

    /// Looks at the committed state and its movements.
    pub fn look<T>(&self, look: impl FnOnce(&Inventory, &[Movement]) -> T) -> T {
        let committed = self.0.committed.lock();
        look(&committed.inventory, &committed.movements)
    }

    /// The index of the last entry of commands that was applied anywhere, and the digest after it.
    pub fn last(&self) -> (u64, Digest) {
        self.0.committed.lock().last()
    }

    /// Every record that was applied anywhere.
    pub fn last_seq(&self) -> Seq {
        self.0.committed.lock().inventory.last_seq()
    }

    /// A caller is about to send requests that all say that `actor` asked.
    pub fn invoked(&self, actor: &str) {
        self.0.attempts.lock().invoked(actor);
    }

    /// A caller was told what became of its requests.
    pub fn acknowledged(&self, actor: &str, replies: &[Reply], applied_seq: Seq) {
        let committed = self.0.committed.lock();
        let checked = self.0.attempts.lock().acknowledged(&committed, actor, replies, applied_seq);
        self.judge("acknowledged", checked);
    }

    /// A read begins: what it must see at least.
    pub fn read_began(&self) -> u64 {
        self.0.attempts.lock().floor
    }

    /// A read that had to be up to date with all that was acknowledged before it began, when `floor` was known.
    pub fn read(&self, floor: Option<u64>, sight: &Sight) {
        self.0.world.cover(|coverage| coverage.count("reads checked", 1));
        let committed = self.0.committed.lock();
        let checked = real_time::read(&committed, &mut self.0.attempts.lock(), floor, sight);
        self.judge("real_time", checked);
    }

    /// A consumer of the feed that had all up to `after` was given what it `wants` of all up to `upto`.
    pub fn fed(&self, after: Seq, upto: Seq, records: &[Record], wants: impl Fn(&Record) -> bool) {
        self.0.world.cover(|coverage| coverage.count("feed records checked", records.len() as u64));
        let checked = feed::check(&self.0.committed.lock(), (after, upto), records, wants);
        self.judge("feed", checked);
    }

    /// A member has answered a message.
    pub fn heard(&self, to: NodeId, envelope: &Envelope, answer: &Answer) {
        let checked = self.0.votes.lock().heard(to, envelope, answer);
        self.judge("votes", checked);
    }

    /// A member has lost a part of its log that may have been acknowledged: it must not vote before it has caught up with
    /// all that is committed now.
    pub fn damaged(&self, member: NodeId) {
        let floor = self.last().0;
        self.0.votes.lock().damaged(member, floor);
    }

    /// A member has lost its directory, and must never vote again under its number.
    pub fn wiped(&self, member: NodeId) {
        self.0.votes.lock().damaged(member, u64::MAX);
    }

    /// A member that came up again: how it stands at the end.
    pub fn at_end(&self, member: NodeId, digest: Digest, records: &[Record]) {
        let committed = self.0.committed.lock();
        let checked = agreement::at_end(&committed, member, digest)
            .and_then(|()| feed::whole(&committed, member, records));
        self.judge("agreement", checked);
    }

    fn judge(&self, check: &'static str, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.0.world.report(check, what);
        }
    }

    fn applied(&self, member: NodeId, at: LogIdRecord, entry: &Entry, applied: &Applied, state: &Inventory) {
        let mut committed = self.0.committed.lock();
        self.0.votes.lock().caught_up(member, at.index);
        if committed.has(at.index) {
            let checked = agreement::again(&committed, member, at, entry, applied, state);
            return self.judge("agreement", checked);
        }
        let own = committed.take(at, entry);
        self.judge("agreement", agreement::first(&committed, member, &own, applied, state));
        self.judge("replies", self.0.replies.lock().check(entry, applied));
        self.judge("sequence", sequence::check(&committed, &own));
        self.judge("invariants", self.0.invariants.lock().check(&committed.inventory, entry, &own));
        let placed = self.0.attempts.lock().committed(at.index, entry, applied);
        self.judge("real_time", placed);
        self.count(entry, applied);
    }

    fn count(&self, entry: &Entry, applied: &Applied) {
        self.0.world.cover(|coverage| {
            coverage.count("entries", 1);
            coverage.count("records", applied.records.len() as u64);
            for request in &entry.requests {
                coverage.count("commands checked", 1);
                *coverage.commands.entry(name_of(&request.command)).or_default() += 1;
            }
            for refusal in applied.replies.iter().filter_map(|reply| reply.result.as_ref().err()) {
                *coverage.refusals.entry(name_of(refusal)).or_default() += 1;
            }
        });
    }
}

/// The first word that a value is written with.
fn name_of(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    let name = text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
    match text
        .split("action: ")
        .nth(1)
        .and_then(|rest| rest.split(|letter: char| !letter.is_alphanumeric()).next())
    {
        Some(action) => format!("{name} {action}"),
        None => name.to_owned(),
    }
}

/// Sees what one member does.
pub struct Eyes {
    oracle: Oracle,
    member: NodeId,
}

impl Witness for Eyes {
    fn applied(&self, at: LogIdRecord, entry: &Entry, applied: &Applied, state: &Inventory) {
        let numbers = [self.member, at.index, at.term, state.last_seq().0];
        self.oracle.0.world.trace(&numbers, || {
            format!("n{} applied {}.{} up to {}", self.member, at.term, at.index, state.last_seq())
        });
        self.oracle.applied(self.member, at, entry, applied, state);
    }

    fn replaced(&self, at: Option<LogIdRecord>, state: &Inventory) {
        let index = at.map_or(0, |at| at.index);
        self.oracle.0.world.trace(&[self.member, index], || {
            format!("n{} has the state at {index}, up to {}", self.member, state.last_seq())
        });
        let checked = agreement::replaced(&self.oracle.0.committed.lock(), self.member, index, state);
        self.oracle.judge("agreement", checked);
        self.oracle.0.votes.lock().caught_up(self.member, index);
    }
}
