//! What a command did, as it is stored.

use serde::{Deserialize, Serialize};

use super::parts::{Id, Int};
use crate::inventory::Inventory;
use crate::{Command, Outcome, RowView, Seq};

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    Ticked,
    Row(RowNumbers),
    Removed(RowNumbers),
    Hold { hold: Id, seq: Int },
    Transfer { transfer: Id, seq: Int },
    Order { order: Id, seq: Int },
    Subscribed { subscription: Id },
    Unsubscribed { subscription: Id },
    DeadLetter { letter: Id },
    DeadLetterRemoved { letter: Id },
    Configured,
    Trimmed { start: Int },
    ModelVersion { version: Int },
}

/// A row as it stood right after the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowNumbers {
    available: Int,
    reserved: Int,
    version: Int,
    last_seq: Int,
    /// The command made the row's last movement, or repeats the one that did.
    moved: bool,
}

impl Done {
    pub fn of(outcome: &Outcome, seq: Seq) -> Self {
        let seq = Int::unsigned(seq.0);
        match outcome {
            Outcome::Ticked => Self::Ticked,
            Outcome::Row(row) => Self::Row(RowNumbers::of(row, seq)),
            Outcome::Removed(row) => Self::Removed(RowNumbers::of(row, seq)),
            Outcome::Hold(hold) => Self::Hold { hold: Id::of(hold.hold.uuid()), seq },
            Outcome::Transfer(transfer) => Self::Transfer { transfer: Id::of(transfer.transfer.uuid()), seq },
            Outcome::Order(order) => Self::Order { order: Id::of(order.order.uuid()), seq },
            Outcome::Subscribed(id) => Self::Subscribed { subscription: Id::of(id.uuid()) },
            Outcome::Unsubscribed(id) => Self::Unsubscribed { subscription: Id::of(id.uuid()) },
            Outcome::DeadLetter(id) => Self::DeadLetter { letter: Id::of(id.uuid()) },
            Outcome::DeadLetterRemoved(id) => Self::DeadLetterRemoved { letter: Id::of(id.uuid()) },
            Outcome::Configured(_) => Self::Configured,
            Outcome::Trimmed(start) => Self::Trimmed { start: Int::unsigned(start.0) },
            Outcome::ModelVersion(version) => {
                Self::ModelVersion { version: Int::unsigned(u64::from(*version)) }
            }
        }
    }

    pub fn outcome(&self, command: &Command, inventory: &Inventory) -> Option<(Outcome, Seq)> {
        Some(match self {
            Self::Ticked => (Outcome::Ticked, Seq(0)),
            Self::Row(row) => (Outcome::Row(row.view(command, inventory)?), row.seq()),
            Self::Removed(row) => (Outcome::Removed(row.view(command, inventory)?), row.seq()),
            Self::Hold { hold, seq } => (Outcome::Hold(inventory.hold(hold.hold())?), seq.seq()),
            Self::Transfer { transfer, seq } => {
                (Outcome::Transfer(inventory.transfer(transfer.transfer())?), seq.seq())
            }
            Self::Order { order, seq } => (Outcome::Order(inventory.order(order.order())?), seq.seq()),
            Self::Subscribed { subscription } => (Outcome::Subscribed(subscription.subscription()), Seq(0)),
            Self::Unsubscribed { subscription } => {
                (Outcome::Unsubscribed(subscription.subscription()), Seq(0))
            }
            Self::DeadLetter { letter } => (Outcome::DeadLetter(letter.letter()), Seq(0)),
            Self::DeadLetterRemoved { letter } => (Outcome::DeadLetterRemoved(letter.letter()), Seq(0)),
            Self::Configured => (Outcome::Configured(inventory.config().clone()), Seq(0)),
            Self::Trimmed { start } => (Outcome::Trimmed(start.seq()), Seq(0)),
            Self::ModelVersion { version } => (Outcome::ModelVersion(version.version()), Seq(0)),
        })
    }
}

impl RowNumbers {
    fn of(row: &RowView, seq: Int) -> Self {
        Self {
            available: Int::signed(row.available),
            reserved: Int::unsigned(row.reserved),
            version: Int::unsigned(row.version),
            last_seq: Int::unsigned(row.last_seq.0),
            moved: seq.get() != 0,
        }
    }

    fn seq(&self) -> Seq {
        if self.moved { self.last_seq.seq() } else { Seq(0) }
    }

    fn view(&self, command: &Command, inventory: &Inventory) -> Option<RowView> {
        let key = inventory.rows_named(command).into_iter().next()?;
        Some(RowView {
            available: self.available.get(),
            reserved: self.reserved.count(),
            version: self.version.count(),
            last_seq: self.last_seq.seq(),
            ..inventory.row_or_blank(key)
        })
    }
}
