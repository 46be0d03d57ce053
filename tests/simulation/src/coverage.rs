//! How often everything happened that a run is for. What never happened was not tested.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    MessageLost,
    MessageReplayed,
    MessageReordered,
    AnswerLost,
    LinkSlow,
    Partition,
    OneWayPartition,
    PowerLoss,
    PowerLossAtDiskStep,
    ProcessKilled,
    ProcessPaused,
    AllDown,
    UnsyncedLost,
    TornTail,
    ZeroedTail,
    LogMiddleDamaged,
    LogTailDamaged,
    LogTruncated,
    VoteDamaged,
    SnapshotDamaged,
    LedgerBroken,
    LedgerShortened,
    DiskFull,
    ReadOrWriteError,
    SyncFailed,
    SyncStalled,
    ClockJumped,
    ClockDrifts,
    MemberReplaced,
    MembershipUnderPartition,
    LeadershipTransferred,
    SnapshotCutOff,
    SnapshotInstalled,
    WipedUnderOldId,
    ConsumerCrashed,
    ConsumerMoved,
    CallerGaveUp,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::MessageLost,
        Self::MessageReplayed,
        Self::MessageReordered,
        Self::AnswerLost,
        Self::LinkSlow,
        Self::Partition,
        Self::OneWayPartition,
        Self::PowerLoss,
        Self::PowerLossAtDiskStep,
        Self::ProcessKilled,
        Self::ProcessPaused,
        Self::AllDown,
        Self::UnsyncedLost,
        Self::TornTail,
        Self::ZeroedTail,
        Self::LogMiddleDamaged,
        Self::LogTailDamaged,
        Self::LogTruncated,
        Self::VoteDamaged,
        Self::SnapshotDamaged,
        Self::LedgerBroken,
        Self::LedgerShortened,
        Self::DiskFull,
        Self::ReadOrWriteError,
        Self::SyncFailed,
        Self::SyncStalled,
        Self::ClockJumped,
        Self::ClockDrifts,
        Self::MemberReplaced,
        Self::MembershipUnderPartition,
        Self::LeadershipTransferred,
        Self::SnapshotCutOff,
        Self::SnapshotInstalled,
        Self::WipedUnderOldId,
        Self::ConsumerCrashed,
        Self::ConsumerMoved,
        Self::CallerGaveUp,
    ];
}

/// Changes of what a member does that a run must have seen.
pub const ROLE_CHANGES: [&str; 8] = [
    "Waiting>Follower",
    "Follower>Candidate",
    "Candidate>Leader",
    "Candidate>Follower",
    "Leader>Follower",
    "Follower>Leader",
    "Learner>Follower",
    "Leader>Stopped",
];

/// Counts.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// How often each kind of fault happened.
    pub faults: BTreeMap<Fault, u64>,
    /// How often each kind of command was applied.
    pub commands: BTreeMap<String, u64>,
    /// How often each refusal was the reply.
    pub refusals: BTreeMap<String, u64>,
    /// How often a member was seen to do something else than before.
    pub roles: BTreeMap<String, u64>,
    /// How often anything else was counted, such as what was checked.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// A fault happened.
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Something else happened, so often.
    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        fn sum<K: Ord + Clone>(of: &mut BTreeMap<K, u64>, other: &BTreeMap<K, u64>) {
            for (key, count) in other {
                *of.entry(key.clone()).or_default() += count;
            }
        }
        sum(&mut self.faults, &other.faults);
        sum(&mut self.commands, &other.commands);
        sum(&mut self.refusals, &other.refusals);
        sum(&mut self.roles, &other.roles);
        sum(&mut self.counts, &other.counts);
    }

    /// What never happened.
    pub fn missing(&self) -> Vec<String> {
        let faults = Fault::ALL.iter().filter(|fault| !self.faults.contains_key(fault));
        let roles = ROLE_CHANGES.iter().filter(|change| !self.roles.contains_key(**change));
        faults.map(|fault| format!("{fault:?}")).chain(roles.map(ToString::to_string)).collect()
    }

    /// All counts, for people.
    pub fn report(&self) -> String {
        fn list<K>(counts: &BTreeMap<K, u64>, name: impl Fn(&K) -> String) -> String {
            let lines = counts.iter().map(|(key, count)| format!("  {:<32} {count:>12}\n", name(key)));
            lines.collect()
        }
        [
            ("faults", list(&self.faults, |fault| format!("{fault:?}"))),
            ("commands applied", list(&self.commands, Clone::clone)),
            ("refusals", list(&self.refusals, Clone::clone)),
            ("role changes", list(&self.roles, Clone::clone)),
            ("counts", list(&self.counts, ToString::to_string)),
        ]
        .map(|(title, lines)| format!("{title}\n{lines}"))
        .concat()
    }
}
