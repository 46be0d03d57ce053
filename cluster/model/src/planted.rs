//! Bugs that are planted to prove that the simulator finds them. None of this is in a build without the feature
//! `planted-bugs`, which nothing but the simulator's own test asks for.

use std::cell::Cell;

/// Something that is in the builds that have planted bugs, and must be found in no other.
pub const MARK: &str = "this build has planted bugs";

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The log acknowledges a batch, and syncs it before the next one.
    AcknowledgedBeforeSync,
    /// A key that came before is decided again.
    DuplicateKeyApplied,
    /// A hold that is due is sold.
    ConfirmedAfterExpiry,
    /// A read takes what its member has applied for up to date.
    ReadWithoutIndex,
    /// The last line of a hold is lost.
    LostLine,
    /// Stock that is held by nobody any more is refused.
    RefusedForAHoldThatIsOver,
    /// A sequence is left out now and then.
    SkippedSequence,
    /// Damage at the end of the log is cut as if it were torn.
    DamageTakenForTorn,
    /// The log is cut up to the newest snapshot.
    PurgedBeyondOlderSnapshot,
    /// Only the first vote is written.
    VoteNotDurable,
    /// A snapshot comes back without the table of keys.
    SnapshotForgetsKeys,
    /// The feed gives what is in the log and not committed.
    FeedBeyondCommitted,
    /// Time is what the member's wall clock says.
    WallClockInApply,
    /// A leader that was restarted leads on in its old term.
    LeaderRestored,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::AcknowledgedBeforeSync,
        Self::DuplicateKeyApplied,
        Self::ConfirmedAfterExpiry,
        Self::ReadWithoutIndex,
        Self::LostLine,
        Self::RefusedForAHoldThatIsOver,
        Self::SkippedSequence,
        Self::DamageTakenForTorn,
        Self::PurgedBeyondOlderSnapshot,
        Self::VoteNotDurable,
        Self::SnapshotForgetsKeys,
        Self::FeedBeyondCommitted,
        Self::WallClockInApply,
        Self::LeaderRestored,
    ];
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in all that this thread runs from now on, in place of the one before.
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether a bug is planted.
#[must_use]
pub fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}
