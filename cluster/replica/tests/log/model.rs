//! Random sequences of everything that can be done to a log, against a plain vector: with reopenings in between, and
//! with the power going at any change of the disk.

use holdfast_replica::log::{Limits, Log};
use holdfast_replica::types::{LogIdRecord, VoteRecord};
use openraft::RaftLogReader;
use openraft::storage::RaftLogStorage;
use proptest::prelude::*;

use super::{InMemory, MemoryDisk, append, content, entry_of, id};
use crate::memory_disk::Crash;

/// One thing done to a log. Numbers are taken as shares of what there is.
#[derive(Debug, Clone)]
enum Step {
    Append { sizes: Vec<usize>, new_term: bool },
    Truncate { back: u8 },
    Purge { share: u8, beyond: bool },
    Commit { share: u8 },
    Vote { committed: bool },
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (prop::collection::vec(0..300_usize, 1..8), any::<bool>())
            .prop_map(|(sizes, new_term)| Step::Append { sizes, new_term }),
        2 => any::<u8>().prop_map(|back| Step::Truncate { back }),
        2 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(share, beyond)| Step::Purge { share, beyond }),
        2 => any::<u8>().prop_map(|share| Step::Commit { share }),
        1 => any::<bool>().prop_map(|committed| Step::Vote { committed }),
        2 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

fn crash() -> impl Strategy<Value = Crash> {
    (any::<u8>(), any::<bool>()).prop_map(|(kept, zeros)| Crash { kept, zeros })
}

/// What a log should hold.
#[derive(Debug, Clone, PartialEq, Default)]
struct Expected {
    purged: Option<LogIdRecord>,
    /// Each with its length and checksum.
    entries: Vec<(LogIdRecord, usize, u32)>,
    vote: Option<VoteRecord>,
}

fn digest(id: LogIdRecord, bytes: &[u8]) -> (LogIdRecord, usize, u32) {
    (id, bytes.len(), crc32fast::hash(bytes))
}

impl Expected {
    fn last(&self) -> Option<LogIdRecord> {
        self.entries.last().map_or(self.purged, |(id, ..)| Some(*id))
    }

    fn term(&self) -> u64 {
        self.vote.map_or(0, |vote| vote.term)
    }

    /// The places in the log up to which `share` of it lies; none when it is empty.
    fn at(&self, share: u8) -> Option<usize> {
        let count = self.entries.len();
        (count > 0).then(|| (count - 1) * usize::from(share) / usize::from(u8::MAX))
    }

    async fn of(log: &mut Log<InMemory>) -> Self {
        let state = log.get_log_state().await.unwrap();
        let vote = log.read_vote().await.unwrap();
        let read = Self {
            purged: state.last_purged_log_id.as_ref().map(LogIdRecord::of::<InMemory>),
            entries: content(log).await.into_iter().map(|(id, bytes)| digest(id, &bytes)).collect(),
            vote: vote.as_ref().map(VoteRecord::of::<InMemory>),
        };
        assert_eq!(state.last_log_id.as_ref().map(LogIdRecord::of::<InMemory>), read.last());
        read
    }
}

/// A log, what it should hold, and what it would hold if the step under way had been done.
struct Run {
    disk: MemoryDisk,
    limits: Limits,
    log: Log<InMemory>,
    expected: Expected,
    next: Expected,
    committed: Option<LogIdRecord>,
}

impl Run {
    fn new(limits: Limits) -> Self {
        let disk = MemoryDisk::default();
        let log = Log::open_with(disk.clone(), limits).unwrap();
        Self { disk, limits, log, expected: Expected::default(), next: Expected::default(), committed: None }
    }

    /// Does one step; what it should come to is in `next` before the disk is touched.
    async fn step(&mut self, step: &Step) -> std::io::Result<()> {
        match step {
            Step::Append { sizes, new_term } => self.append(sizes, *new_term).await,
            Step::Truncate { back } => self.truncate(*back).await,
            Step::Purge { share, beyond } => self.purge(*share, *beyond).await,
            Step::Commit { share } => {
                if let Some(at) = self.next.at(*share) {
                    self.committed = self.committed.max(Some(self.next.entries[at].0));
                    self.log.save_committed(self.committed.map(LogIdRecord::log_id::<InMemory>)).await?;
                }
                Ok(())
            }
            Step::Vote { committed } => {
                let vote = VoteRecord { term: self.next.term() + 1, node: 2, committed: *committed };
                self.next.vote = Some(vote);
                self.log.save_vote(&vote.vote::<InMemory>()).await
            }
            Step::Reopen => {
                self.log = Log::open_with(self.disk.clone(), self.limits)?;
                Ok(())
            }
        }
    }

    /// Cuts entries that are not known to be committed.
    async fn truncate(&mut self, back: u8) -> std::io::Result<()> {
        let entries = &mut self.next.entries;
        let free = entries.iter().filter(|(id, ..)| Some(*id) > self.committed).count();
        entries.truncate(entries.len() - usize::from(back).min(free));
        let last = self.next.last().map(LogIdRecord::log_id::<InMemory>);
        self.log.truncate_after(last).await
    }

    async fn append(&mut self, sizes: &[usize], new_term: bool) -> std::io::Result<()> {
        if new_term || self.next.vote.is_none() {
            self.next.vote = Some(VoteRecord { term: self.next.term() + 1, node: 1, committed: true });
            let vote = self.next.vote.unwrap().vote::<InMemory>();
            self.log.save_vote(&vote).await?;
            self.expected = self.next.clone();
        }
        let first = self.next.last().map_or(0, |last| last.index + 1);
        let mut entries = Vec::new();
        for (index, &size) in (first..).zip(sizes) {
            let bytes = vec![index as u8; size];
            self.next.entries.push(digest(id(self.next.term(), index), &bytes));
            entries.push(entry_of::<InMemory>(self.next.term(), index, bytes));
        }
        append(&mut self.log, entries).await
    }

    async fn purge(&mut self, share: u8, beyond: bool) -> std::io::Result<()> {
        let upto = match (self.next.at(share), self.next.last()) {
            (_, Some(last)) if beyond => id(last.term, last.index + u64::from(share)),
            (Some(at), _) => self.next.entries[at].0,
            _ => return Ok(()),
        };
        self.next.entries.retain(|(id, ..)| id.index > upto.index);
        self.next.purged = self.next.purged.max(Some(upto));
        self.committed = self.committed.max(Some(upto));
        self.log.purge(upto.log_id::<InMemory>()).await
    }

    /// The log is as it was before the step that was cut short, or as it should be after it, or a part of what it
    /// appended is there.
    async fn assert_is_before_or_after(&mut self) {
        let found = Expected::of(&mut self.log).await;
        let (before, after) = (&self.expected, &self.next);
        let is_part = found.purged == before.purged
            && found.entries.len() >= before.entries.len()
            && after.entries.starts_with(&found.entries)
            && found.entries.starts_with(&before.entries);
        let is_one = (&found.entries, found.purged) == (&before.entries, before.purged)
            || (&found.entries, found.purged) == (&after.entries, after.purged);
        assert!(is_part || is_one, "found {found:?}\nbefore {before:?}\nafter {after:?}");
        assert!(found.vote == before.vote || found.vote == after.vote, "{:?}", found.vote);
        let committed = self.log.read_committed().await.unwrap();
        assert!(committed.as_ref().map(LogIdRecord::of::<InMemory>) <= self.committed);
        assert_eq!(self.log.damage(), None);
        assert!(!self.log.is_suspect().unwrap());
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future);
}

fn limits() -> impl Strategy<Value = Limits> {
    (100..3000_u64, prop_oneof![Just(0), Just(1000), Just(1 << 20)])
        .prop_map(|(segment_bytes, cache_bytes)| Limits { segment_bytes, cache_bytes })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_what_was_done_to_it(steps in steps(), limits in limits()) {
        block_on(async {
            let mut run = Run::new(limits);
            for step in &steps {
                run.step(step).await.unwrap();
                run.expected = run.next.clone();
                assert_eq!(Expected::of(&mut run.log).await, run.expected, "after {step:?}");
            }
            run.disk.crash(Crash { kept: 0, zeros: false });
            run.step(&Step::Reopen).await.unwrap();
            assert_eq!(Expected::of(&mut run.log).await, run.expected, "after a crash at the end");
            run.assert_is_before_or_after().await;
        });
    }

    #[test]
    fn a_crash_loses_nothing_that_was_acknowledged(
        steps in steps(),
        limits in limits(),
        deaths in prop::collection::vec((0..200_u64, crash()), 1..6),
    ) {
        block_on(async {
            let mut run = Run::new(limits);
            let mut deaths = deaths.iter();
            let mut death = deaths.next();
            run.disk.die_after(death.map_or(u64::MAX, |(after, _)| *after));
            for step in &steps {
                if run.step(step).await.is_ok() {
                    run.expected = run.next.clone();
                    continue;
                }
                // Recovery may be cut short as well.
                while let Some((_, crash)) = death {
                    run.disk.crash(*crash);
                    death = deaths.next();
                    run.disk.die_after(death.map_or(u64::MAX, |(after, _)| *after));
                    match Log::open_with(run.disk.clone(), run.limits) {
                        Ok(log) => {
                            run.log = log;
                            break;
                        }
                        Err(error) => assert_eq!(error.to_string(), "the disk has gone"),
                    }
                }
                run.assert_is_before_or_after().await;
                run.next = Expected::of(&mut run.log).await;
                run.expected = run.next.clone();
            }
        });
    }
}
