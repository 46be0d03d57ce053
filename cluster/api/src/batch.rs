//! Many commands in one request and one log entry, each decided by itself.

use holdfast_model::{Command, HoldId, ItemId, Line, Outcome, Quantity, Reply, StoreId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::body::{Hold, Row, Transfer, settings};
use crate::request::{LineBody, lines_of, ttl_ms};
use crate::{NewHold, NewSku, NewTransfer, Problem, Receive, Sale};

/// The most commands in a batch.
pub const MAX_BATCH_COMMANDS: usize = 10_000;

/// A batch as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchBody {
    /// The commands, in the order in which they are decided.
    pub commands: Vec<BatchCommand>,
}

/// One command of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchCommand {
    /// What to do.
    #[serde(flatten)]
    pub operation: Operation,
    /// A key of its own for this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// What a command of a batch does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Operation {
    /// A new row.
    CreateSku {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// What is on hand at the start.
        available: u64,
    },
    /// A hold.
    Reserve {
        /// What to hold.
        lines: Vec<LineBody>,
        /// Seconds that it lasts.
        #[serde(default)]
        ttl_seconds: Option<u64>,
        /// Its id.
        #[serde(default)]
        hold_id: Option<HoldId>,
        /// Whom it is for.
        #[serde(default)]
        owner: Option<holdfast_model::Owner>,
        /// Take what there is.
        #[serde(default)]
        allow_partial: bool,
    },
    /// Sells a hold.
    Confirm {
        /// The hold.
        hold_id: HoldId,
        /// What of it; everything when absent.
        #[serde(default)]
        lines: Option<Vec<LineBody>>,
        /// Take the stock again when it has expired.
        #[serde(default)]
        reacquire: bool,
    },
    /// Gives back a hold.
    Release {
        /// The hold.
        hold_id: HoldId,
        /// What of it; everything when absent.
        #[serde(default)]
        lines: Option<Vec<LineBody>>,
        /// Why.
        #[serde(default)]
        reason: Option<holdfast_model::Reason>,
    },
    /// Lets a hold last longer.
    Extend {
        /// The hold.
        hold_id: HoldId,
        /// Seconds from now.
        ttl_seconds: u64,
    },
    /// Corrects what is available.
    Adjust {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// By how much.
        delta: i64,
        /// Why.
        reason: holdfast_model::Reason,
        /// What it belongs to.
        #[serde(default)]
        reference: Option<holdfast_model::Reference>,
        /// Refuse unless the row is at this version.
        #[serde(default)]
        expected_version: Option<u64>,
    },
    /// A sale that has happened.
    Sale {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// How many.
        qty: Quantity,
        /// The store's own id of this event; needs `occurredAt`.
        #[serde(default)]
        event_id: Option<holdfast_model::EventId>,
        /// When it happened.
        #[serde(default)]
        occurred_at: Option<String>,
        /// Why.
        #[serde(default)]
        reason: Option<holdfast_model::Reason>,
        /// What it belongs to.
        #[serde(default)]
        reference: Option<holdfast_model::Reference>,
    },
    /// Goods that have arrived.
    Receive {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// How many.
        qty: Quantity,
        /// `DELIVERY` or `RETURN`.
        #[serde(default)]
        kind: Option<String>,
        /// The store's own id of this event; needs `occurredAt`.
        #[serde(default)]
        event_id: Option<holdfast_model::EventId>,
        /// When it happened.
        #[serde(default)]
        occurred_at: Option<String>,
        /// Why.
        #[serde(default)]
        reason: Option<holdfast_model::Reason>,
        /// What it belongs to.
        #[serde(default)]
        reference: Option<holdfast_model::Reference>,
    },
    /// Goods from one store to another.
    Transfer(NewTransfer),
    /// Books an arrival.
    ReceiveTransfer {
        /// The transfer.
        transfer_id: holdfast_model::TransferId,
        /// How many; all that is under way when absent.
        #[serde(default)]
        qty: Option<Quantity>,
    },
    /// What may be sold of a row.
    SetPolicy {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// Units that are never sold to holds.
        #[serde(default)]
        safety_stock: Option<u64>,
        /// Units that may be sold before they are there.
        #[serde(default)]
        backorder_limit: Option<u64>,
        /// Refuse unless the row is at this version.
        #[serde(default)]
        expected_version: Option<u64>,
    },
}

impl Operation {
    /// The command; nil ids stand for ones that are still to be made.
    ///
    /// # Errors
    /// When the parts do not go together, in words.
    pub fn into_command(self) -> Result<Command, String> {
        let merge = |lines: Option<Vec<LineBody>>| -> Option<Vec<Line>> { lines.map(lines_of) };
        Ok(match self {
            Self::CreateSku { store_id, item_id, available } => {
                NewSku { store_id, item_id, available }.into_command()
            }
            Self::Reserve { lines, ttl_seconds, hold_id, owner, allow_partial } => {
                NewHold { lines, ttl_seconds, hold_id, owner, allow_partial }.into_command()
            }
            Self::Confirm { hold_id, lines, reacquire } => {
                Command::Confirm { hold: hold_id, lines: merge(lines), reacquire }
            }
            Self::Release { hold_id, lines, reason } => {
                Command::Release { hold: hold_id, lines: merge(lines), reason }
            }
            Self::Extend { hold_id, ttl_seconds } => {
                Command::Extend { hold: hold_id, ttl_ms: ttl_ms(Some(ttl_seconds)).unwrap_or_default() }
            }
            Self::Adjust { store_id, item_id, delta, reason, reference, expected_version } => {
                Command::Adjust { store: store_id, item: item_id, delta, reason, reference, expected_version }
            }
            Self::Sale { store_id, item_id, qty, event_id, occurred_at, reason, reference } => {
                let sale = Sale { qty, reason, reference, event_id, occurred_at };
                sale.into_command(store_id, item_id)?
            }
            Self::Receive { store_id, item_id, qty, kind, event_id, occurred_at, reason, reference } => {
                let kind = kind.unwrap_or_else(|| "DELIVERY".to_owned());
                let receive = Receive { qty, kind, reason, reference, event_id, occurred_at };
                receive.into_command(store_id, item_id)?
            }
            Self::Transfer(transfer) => transfer.into_command(),
            Self::ReceiveTransfer { transfer_id, qty } => {
                Command::ReceiveTransfer { transfer: transfer_id, qty }
            }
            Self::SetPolicy { store_id, item_id, safety_stock, backorder_limit, expected_version } => {
                Command::SetPolicy {
                    store: store_id,
                    item: item_id,
                    safety_stock,
                    backorder_limit,
                    expected_version,
                }
            }
        })
    }
}

impl NewSku {
    /// The command.
    #[must_use]
    pub fn into_command(self) -> Command {
        Command::CreateSku { store: self.store_id, item: self.item_id, opening: self.available }
    }
}

/// A command of a batch in the compact encoding: a list of these, in the model's codec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRequest {
    /// The command; nil ids stand for ones that are still to be made.
    pub command: Command,
    /// A key of its own.
    pub idempotency_key: Option<String>,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchResult {
    /// One outcome for each command, in order.
    pub outcomes: Vec<BatchOutcome>,
}

/// What came of one command of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchOutcome {
    /// The status that the command would have had alone.
    pub status: u16,
    /// The command was a repeat.
    pub replayed: bool,
    /// The last movement that the command made, 0 when it made none.
    pub seq: u64,
    /// The row, hold, transfer or problem.
    pub body: Value,
}

impl BatchOutcome {
    /// The outcome of a reply; `created` is the status of success for commands that make something.
    ///
    /// # Errors
    /// When the body cannot be written as JSON, which no body of this contract is.
    pub fn of(reply: &Reply, created: bool) -> serde_json::Result<Self> {
        let ok = if created && !reply.replayed { 201 } else { 200 };
        let (status, body) = match &reply.result {
            Ok(outcome) => (ok, outcome_body(outcome)?),
            Err(refusal) => {
                let problem = Problem::from(refusal);
                (problem.status, serde_json::to_value(problem)?)
            }
        };
        Ok(Self { status, replayed: reply.replayed, seq: reply.seq.0, body })
    }
}

/// The body of an outcome.
fn outcome_body(outcome: &Outcome) -> serde_json::Result<Value> {
    match outcome {
        Outcome::Ticked => Ok(Value::Null),
        Outcome::Row(row) | Outcome::Removed(row) => serde_json::to_value(Row::from(row)),
        Outcome::Hold(hold) => serde_json::to_value(Hold::from(hold)),
        Outcome::Transfer(transfer) => serde_json::to_value(Transfer::from(transfer)),
        Outcome::Configured(config) => serde_json::to_value(settings(config)),
        Outcome::Trimmed(start) => Ok(serde_json::json!({"oldestSeq": start.0})),
        Outcome::ModelVersion(version) => Ok(serde_json::json!({"modelVersion": version})),
    }
}
