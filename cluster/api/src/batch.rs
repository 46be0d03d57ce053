//! Many commands in one request and one log entry, each decided by itself.
//!
//! In JSON a command is an object with its name as `op`, the row, hold, transfer or order that it is about, and the members of
//! the body of its own route: `{"op": "adjust", "storeId": "S1", "itemId": "A", "delta": -1, "reason": "broken"}`.

use holdfast_model::{
    Command, CountBasis, HoldId, ItemId, LetterAction, OrderAction, OrderId, Outcome, Reply, Seq, StoreId,
    SubscriptionAction, TransferId, codec,
};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::body::{Hold, Row, Transfer, settings};
use crate::request::{event, lines_of, ttl_ms};
use crate::{
    Adjust, Cancel, Close, ConfirmHold, Count, Extend, NewDeadLetter, NewHold, NewSku, NewSubscription,
    NewTransfer, Order, PayOrder, PlaceOrder, Policy, Problem, Receive, ReceiveTransfer, RefundOrder,
    ReleaseHold, ReplaceOrderLines, Retire, Sale,
};

/// The most commands in a batch.
pub const MAX_BATCH_COMMANDS: usize = 10_000;

/// The longest command of a batch as JSON, in bytes: the longest hold and the longest dead letter are shorter. It is taken
/// apart as a tree, which can take a hundred times as much memory, before it is known what it says.
pub const MAX_COMMAND_BYTES: usize = 2 << 20;

/// A batch as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchBody {
    /// The commands, in the order in which they are decided; a batch is not a transaction.
    #[serde(deserialize_with = "codec::at_most::<MAX_BATCH_COMMANDS, _, _>")]
    pub commands: Vec<BatchCommand>,
}

/// One command of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchCommand {
    /// The command; nil ids stand for ones that are still to be made.
    pub command: Command,
    /// A key of its own for this command.
    pub idempotency_key: Option<String>,
}

impl<'de> Deserialize<'de> for BatchCommand {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        if text.get().len() > MAX_COMMAND_BYTES {
            return Err(D::Error::custom(format_args!("a command may have {MAX_COMMAND_BYTES} bytes")));
        }
        let mut members = Members(serde_json::from_str(text.get()).map_err(D::Error::custom)?);
        let op: String = members.take("op").map_err(D::Error::custom)?;
        let idempotency_key = members.take_optional("idempotencyKey").map_err(D::Error::custom)?;
        let command = members.command(&op).map_err(D::Error::custom)?;
        Ok(Self { command, idempotency_key })
    }
}

/// The members of a command that were not read yet.
struct Members(Map<String, Value>);

impl Members {
    fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, String> {
        self.take_optional(name)?.ok_or_else(|| format!("there is no {name}"))
    }

    fn take_optional<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, String> {
        let value = self.0.remove(name).filter(|value| !value.is_null());
        value.map(|value| T::deserialize(value).map_err(|error| format!("{name}: {error}"))).transpose()
    }

    fn row(&mut self) -> Result<(StoreId, ItemId), String> {
        Ok((self.take("storeId")?, self.take("itemId")?))
    }

    /// What is left, as the body of the command's own route, which knows all its fields.
    fn rest<T: DeserializeOwned>(&mut self) -> Result<T, String> {
        T::deserialize(Value::Object(std::mem::take(&mut self.0))).map_err(|error| error.to_string())
    }

    fn command(&mut self, op: &str) -> Result<Command, String> {
        match op {
            "createSku" => Ok(self.rest::<NewSku>()?.into_command()),
            "reserve" => Ok(self.rest::<NewHold>()?.into_command()),
            "confirm" => Ok(self.hold_and::<ConfirmHold>()?).map(|(hold, body)| Command::Confirm {
                hold,
                lines: body.lines.map(lines_of),
                reacquire: body.reacquire,
            }),
            "release" => Ok(self.hold_and::<ReleaseHold>()?).map(|(hold, body)| Command::Release {
                hold,
                lines: body.lines.map(lines_of),
                reason: body.reason,
            }),
            "extend" => Ok(self.hold_and::<Extend>()?).map(|(hold, body)| Command::Extend {
                hold,
                ttl_ms: ttl_ms(Some(body.ttl_seconds)).unwrap_or_default(),
            }),
            "transfer" => Ok(self.rest::<NewTransfer>()?.into_command()),
            "placeOrder" => Ok(self.rest::<PlaceOrder>()?.into_command()),
            "replaceOrderLines" | "payOrder" | "cancelOrder" | "refundOrder" => self.order_command(op),
            "subscribe" => Ok(self.rest::<NewSubscription>()?.into_command()),
            "deadLetter" => self.rest::<NewDeadLetter>()?.into_command(),
            "unsubscribe" | "requeueDeadLetter" | "removeDeadLetter" => self.registry_command(op),
            "receiveTransfer" | "closeTransfer" | "cancelTransfer" => self.transfer_command(op),
            _ => self.row_command(op),
        }
    }

    fn hold_and<T: DeserializeOwned>(&mut self) -> Result<(HoldId, T), String> {
        Ok((self.take("holdId")?, self.rest()?))
    }

    fn order_command(&mut self, op: &str) -> Result<Command, String> {
        let order: OrderId = self.take("orderId")?;
        match op {
            "replaceOrderLines" => Ok(self.rest::<ReplaceOrderLines>()?.into_command(order)),
            "payOrder" => self.rest::<PayOrder>()?.into_command(order),
            "refundOrder" => Ok(self.rest::<RefundOrder>()?.into_command(order)),
            _ => {
                let reason = self.rest::<Cancel>()?.reason;
                Ok(Command::Order { order, action: OrderAction::Cancel { reason } })
            }
        }
    }

    fn registry_command(&mut self, op: &str) -> Result<Command, String> {
        let command = if op == "unsubscribe" {
            let subscription = self.take("subscriptionId")?;
            Command::Subscription { subscription, action: SubscriptionAction::Unsubscribe }
        } else {
            let (letter, is_requeued) = (self.take("deadLetterId")?, op == "requeueDeadLetter");
            let action = if is_requeued { LetterAction::Requeue } else { LetterAction::Remove };
            Command::DeadLetter { letter, action }
        };
        self.rest::<Retire>().map(|Retire {}| command)
    }

    fn transfer_command(&mut self, op: &str) -> Result<Command, String> {
        let transfer: TransferId = self.take("transferId")?;
        Ok(match op {
            "receiveTransfer" => {
                Command::ReceiveTransfer { transfer, qty: self.rest::<ReceiveTransfer>()?.qty }
            }
            "closeTransfer" => Command::CloseTransfer { transfer, reason: self.rest::<Close>()?.reason },
            _ => Command::CancelTransfer { transfer, reason: self.rest::<Cancel>()?.reason },
        })
    }

    fn row_command(&mut self, op: &str) -> Result<Command, String> {
        let known = ["adjust", "count", "sale", "receive", "policy", "retire", "remove"];
        if !known.contains(&op) {
            return Err(format!("there is no op {op:?}"));
        }
        let (store, item) = self.row()?;
        match op {
            "adjust" => Ok(self.rest::<Adjust>()?.into_command(store, item)),
            "count" => self.rest::<Count>()?.into_command(store, item),
            "sale" => self.rest::<Sale>()?.into_command(store, item),
            "receive" => self.rest::<Receive>()?.into_command(store, item),
            "policy" => Ok(self.rest::<Policy>()?.into_command(store, item)),
            _ => self.rest::<Retire>().map(|Retire {}| Command::RetireSku {
                store,
                item,
                remove: op == "remove",
            }),
        }
    }
}

impl Adjust {
    /// The command for a row.
    #[must_use]
    pub fn into_command(self, store: StoreId, item: ItemId) -> Command {
        let Self { delta, reason, reference, expected_version } = self;
        Command::Adjust { store, item, delta, reason, reference, expected_version }
    }
}

impl Policy {
    /// The command for a row.
    #[must_use]
    pub fn into_command(self, store: StoreId, item: ItemId) -> Command {
        let Self { safety_stock, backorder_limit, expected_version } = self;
        Command::SetPolicy { store, item, safety_stock, backorder_limit, expected_version }
    }
}

impl Count {
    /// The command for a row. What was on hand then is still to be looked up by whoever proposes it.
    ///
    /// # Errors
    /// When the event is not whole, in words.
    pub fn into_command(self, store: StoreId, item: ItemId) -> Result<Command, String> {
        let event = event(self.event_id, self.occurred_at.as_deref())?;
        let as_of = self.as_of_seq.map(|seq| CountBasis { seq: Seq(seq), on_hand: None });
        let Self { counted, reason, reference, .. } = self;
        Ok(Command::Count { store, item, counted, as_of, reason, reference, event })
    }
}

impl NewSku {
    /// The command.
    #[must_use]
    pub fn into_command(self) -> Command {
        Command::CreateSku { store: self.store_id, item: self.item_id, opening: self.available }
    }
}

/// A batch in the compact encoding: a list in the model's codec, as which it can also be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireBatch(
    #[serde(deserialize_with = "codec::at_most::<MAX_BATCH_COMMANDS, _, _>")] pub Vec<WireRequest>,
);

/// A command of a batch in the compact encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireRequest {
    /// The command; nil ids stand for ones that are still to be made.
    pub command: Command,
    /// A key of its own.
    pub idempotency_key: Option<String>,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchResult {
    /// One outcome for each command, in order.
    pub outcomes: Vec<BatchOutcome>,
}

/// What came of one command of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct BatchOutcome {
    /// The status that the command would have had alone.
    pub status: u16,
    /// The command was a repeat.
    pub replayed: bool,
    /// The last movement that the command made, 0 when it made none.
    pub seq: u64,
    /// The row, hold, transfer, order or problem.
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
        Outcome::Order(order) => serde_json::to_value(Order::from(order)),
        Outcome::Subscribed(id) | Outcome::Unsubscribed(id) => Ok(serde_json::json!({"subscriptionId": id})),
        Outcome::DeadLetter(id) | Outcome::DeadLetterRemoved(id) => {
            Ok(serde_json::json!({"deadLetterId": id}))
        }
        Outcome::Configured(config) => serde_json::to_value(settings(config)),
        Outcome::Trimmed(start) => Ok(serde_json::json!({"oldestSeq": start.0})),
        Outcome::ModelVersion(version) => Ok(serde_json::json!({"modelVersion": version})),
    }
}
