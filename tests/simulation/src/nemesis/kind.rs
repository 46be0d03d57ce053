//! Kinds of trouble.

/// A kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages are lost, late, repeated.
    Storm,
    /// Members are cut off from each other.
    Partition,
    /// Messages pass one way only.
    OneWay,
    /// A link is slow.
    SlowLink,
    /// A process is killed.
    Kill,
    /// A machine loses its power.
    PowerLoss,
    /// A machine loses its power at a step of its disk.
    PowerLossAtStep,
    /// All machines go down.
    AllDown,
    /// A process stands still.
    Pause,
    /// The log is damaged.
    DamageLog,
    /// The vote is damaged.
    DamageVote,
    /// A snapshot is damaged.
    DamageSnapshot,
    /// The ledger is damaged.
    DamageLedger,
    /// A disk is full.
    FullDisk,
    /// A disk gives errors.
    Errors,
    /// A sync fails.
    FailedSync,
    /// A sync takes long.
    StalledSync,
    /// Clocks jump and drift.
    Clocks,
    /// Leadership is handed over.
    Transfer,
    /// A member is replaced by another.
    Replace,
    /// A member comes back wiped, under its old number.
    WipeOld,
    /// A member falls behind so far that it needs a snapshot.
    Lag,
}

/// All of them.
pub const KINDS: [Kind; 22] = [
    Kind::Storm,
    Kind::Partition,
    Kind::OneWay,
    Kind::SlowLink,
    Kind::Kill,
    Kind::PowerLoss,
    Kind::PowerLossAtStep,
    Kind::AllDown,
    Kind::Pause,
    Kind::DamageLog,
    Kind::DamageVote,
    Kind::DamageSnapshot,
    Kind::DamageLedger,
    Kind::FullDisk,
    Kind::Errors,
    Kind::FailedSync,
    Kind::StalledSync,
    Kind::Clocks,
    Kind::Transfer,
    Kind::Replace,
    Kind::WipeOld,
    Kind::Lag,
];
