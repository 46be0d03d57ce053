//! How often everything happened that a run is for. What never happened was not tested.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A message between members did not arrive.
    MessageLost,
    /// A message arrived twice.
    MessageReplayed,
    /// A message was overtaken by later ones.
    MessageReordered,
    /// An answer did not arrive.
    AnswerLost,
    /// A message went over a slow link.
    LinkSlow,
    /// Some members could not speak to the others.
    Partition,
    /// A member could only send, or only hear.
    OneWayPartition,
    /// The power of a machine went.
    PowerLoss,
    /// The power went in the middle of what is done on disk.
    PowerLossAtDiskStep,
    /// A process was killed.
    ProcessKilled,
    /// A process stood still, and went on.
    ProcessPaused,
    /// All members went down at once.
    AllDown,
    /// A crash took what was not synced.
    UnsyncedLost,
    /// A part of what was not synced got through.
    TornTail,
    /// What was not synced read as zeros.
    ZeroedTail,
    /// A bit of the log was flipped, anywhere.
    LogMiddleDamaged,
    /// A bit was flipped in the last records of the log.
    LogTailDamaged,
    /// A file in the middle of the log lost its end.
    LogTruncated,
    /// A bit of the vote was flipped.
    VoteDamaged,
    /// A bit of a snapshot was flipped.
    SnapshotDamaged,
    /// The ledger's database would not open.
    LedgerBroken,
    /// The ledger's database had lost its newest part.
    LedgerShortened,
    /// A write found no room.
    DiskFull,
    /// A read or write failed.
    ReadOrWriteError,
    /// A sync failed.
    SyncFailed,
    /// A sync took seconds.
    SyncStalled,
    /// A wall clock jumped by up to an hour.
    ClockJumped,
    /// A steady clock went too fast or too slow.
    ClockDrifts,
    /// A member was lost, and another took its place.
    MemberReplaced,
    /// That happened while links were cut.
    MembershipUnderPartition,
    /// Leadership was to be handed over.
    LeadershipTransferred,
    /// A part of a snapshot did not arrive.
    SnapshotCutOff,
    /// A member took a snapshot from the leader.
    SnapshotInstalled,
    /// A member came with an empty directory under its old number.
    WipedUnderOldId,
    /// A consumer forgot what it had done since its last note.
    ConsumerCrashed,
    /// A consumer went to another member.
    ConsumerMoved,
    /// A caller did not hear the answer.
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

/// Refusals that a run must have seen: all that there are.
pub const REFUSALS: [&str; 47] = [
    "BelowZero",
    "CursorCompacted",
    "DeadLetterExists",
    "DeadLetterTooLarge",
    "DeadLettersFull",
    "EventExists",
    "EventTableFull",
    "EventTooOld",
    "ExceedsHold",
    "HoldConfirmed",
    "HoldExists",
    "HoldExpired",
    "HoldOfOrder",
    "HoldReleased",
    "InsufficientStock",
    "ItemRetired",
    "KeyRequired",
    "KeyReused",
    "KeyTableFull",
    "ModelVersion",
    "NoLines",
    "NotEmpty",
    "OrderConflict",
    "OrderExists",
    "OverReceipt",
    "PaymentExists",
    "QuantityOutOfRange",
    "RefundNotDue",
    "SameStore",
    "SeqAhead",
    "SettingOutOfRange",
    "SkuExists",
    "SubscriptionExists",
    "SubscriptionsFull",
    "TooManyLines",
    "TooManyPayments",
    "TransferConflict",
    "TransferExists",
    "TtlOutOfRange",
    "UnknownDeadLetter",
    "UnknownHold",
    "UnknownItem",
    "UnknownOrder",
    "UnknownPayment",
    "UnknownSubscription",
    "UnknownTransfer",
    "VersionConflict",
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
        let refusals = REFUSALS.iter().filter(|name| !self.refusals.contains_key(**name));
        let names = roles.chain(refusals).map(ToString::to_string);
        faults.map(|fault| format!("{fault:?}")).chain(names).collect()
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
