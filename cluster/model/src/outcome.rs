//! What a command is answered with.

use serde::{Deserialize, Serialize};

use crate::{Config, DeadLetterId, HoldView, OrderView, Refusal, RowView, Seq, SubscriptionId, TransferView};

/// What a command that was not refused did, as it stood right after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Time passed.
    Ticked,
    /// A row was changed; the row after it.
    Row(RowView),
    /// A row was taken away; the row as it was.
    Removed(RowView),
    /// A hold was made or changed; the hold after it.
    Hold(HoldView),
    /// A transfer was made or changed; the transfer after it.
    Transfer(TransferView),
    /// An order was made or changed; the order after it.
    Order(OrderView),
    /// A subscription was made, or its secret changed.
    Subscribed(SubscriptionId),
    /// A subscription was taken away.
    Unsubscribed(SubscriptionId),
    /// A dead letter was kept, or is to be tried again.
    DeadLetter(DeadLetterId),
    /// A dead letter was taken away.
    DeadLetterRemoved(DeadLetterId),
    /// Settings after the change.
    Configured(Config),
    /// The ledger starts here.
    Trimmed(Seq),
    /// The version of the rules in force.
    ModelVersion(u32),
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// What it did, or why it did nothing.
    pub result: Result<Outcome, Refusal>,
    /// The last record of the ledger that the command made; for a repeat, that the first one made. 0 when it made none.
    pub seq: Seq,
    /// The command was a repeat: nothing changed now.
    pub replayed: bool,
}
