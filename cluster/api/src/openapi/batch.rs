//! Many commands in one request: each has the members of the body of its own route, and what the path names there.

use std::borrow::Cow;

use holdfast_model::{DeadLetterId, HoldId, ItemId, OrderId, StoreId, SubscriptionId, TransferId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::Document;
use crate::{
    Adjust, BatchBody, BatchCommand, BatchResult, Cancel, Close, ConfirmHold, Count, Extend,
    MAX_BATCH_COMMANDS, NewDeadLetter, NewHold, NewSku, NewSubscription, NewTransfer, OCTET_STREAM, PayOrder,
    PlaceOrder, Policy, Receive, ReceiveTransfer, RefundOrder, ReleaseHold, ReplaceOrderLines, Retire, Sale,
};

/// Many commands at once.
pub(super) fn describe_batch(document: &mut Document) {
    document.tag("Batches");
    document
        .post("/batch", "batch", "Many commands in one log entry, one outcome each")
        .takes::<BatchBody>()
        .takes_bytes(OCTET_STREAM)
        .changes()
        .answers::<BatchResult>(200, "One outcome for each command, in order.")
        .answers_any(200, "One outcome for each command, in order.", OCTET_STREAM);
}

impl JsonSchema for BatchBody {
    fn schema_name() -> Cow<'static, str> {
        "BatchBody".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let command = generator.subschema_for::<BatchCommand>();
        json_schema!({
            "type": "object", "additionalProperties": false, "required": ["commands"],
            "properties": {"commands": {"type": "array", "maxItems": MAX_BATCH_COMMANDS, "items": command}},
        })
    }
}

impl JsonSchema for BatchCommand {
    fn schema_name() -> Cow<'static, str> {
        "BatchCommand".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut commands = Commands { generator, found: Vec::new() };
        commands.add::<NewSku>("createSku");
        commands.add::<NewHold>("reserve");
        commands.of_hold::<ConfirmHold>("confirm");
        commands.of_hold::<ReleaseHold>("release");
        commands.of_hold::<Extend>("extend");
        commands.of_row::<Adjust>("adjust");
        commands.of_row::<Count>("count");
        commands.of_row::<Sale>("sale");
        commands.of_row::<Receive>("receive");
        commands.of_row::<Policy>("policy");
        commands.of_row::<Retire>("retire");
        commands.of_row::<Retire>("remove");
        commands.add::<NewTransfer>("transfer");
        commands.of::<TransferId, ReceiveTransfer>("receiveTransfer", "transferId");
        commands.of::<TransferId, Close>("closeTransfer", "transferId");
        commands.of::<TransferId, Cancel>("cancelTransfer", "transferId");
        commands.add::<PlaceOrder>("placeOrder");
        commands.of::<OrderId, ReplaceOrderLines>("replaceOrderLines", "orderId");
        commands.of::<OrderId, PayOrder>("payOrder", "orderId");
        commands.of::<OrderId, Cancel>("cancelOrder", "orderId");
        commands.of::<OrderId, RefundOrder>("refundOrder", "orderId");
        commands.add::<NewSubscription>("subscribe");
        commands.of::<SubscriptionId, Retire>("unsubscribe", "subscriptionId");
        commands.add::<NewDeadLetter>("deadLetter");
        commands.of::<DeadLetterId, Retire>("requeueDeadLetter", "deadLetterId");
        commands.of::<DeadLetterId, Retire>("removeDeadLetter", "deadLetterId");
        json_schema!({"oneOf": commands.found})
    }
}

struct Commands<'a> {
    generator: &'a mut SchemaGenerator,
    found: Vec<Value>,
}

impl Commands<'_> {
    fn add<T: JsonSchema>(&mut self, op: &str) {
        self.with::<T>(op, &[]);
    }

    fn of_hold<T: JsonSchema>(&mut self, op: &str) {
        self.of::<HoldId, T>(op, "holdId");
    }

    fn of_row<T: JsonSchema>(&mut self, op: &str) {
        let store = json!(self.generator.subschema_for::<StoreId>());
        let item = json!(self.generator.subschema_for::<ItemId>());
        self.with::<T>(op, &[("storeId", store), ("itemId", item)]);
    }

    fn of<I: JsonSchema, T: JsonSchema>(&mut self, op: &str, name: &str) {
        let id = json!(self.generator.subschema_for::<I>());
        self.with::<T>(op, &[(name, id)]);
    }

    /// The body of the command's own route with more members.
    fn with<T: JsonSchema>(&mut self, op: &str, named: &[(&str, Value)]) {
        let mut schema = json!(T::json_schema(self.generator));
        let mut required = schema["required"].as_array().cloned().unwrap_or_default();
        schema["properties"]["op"] = json!({"const": op});
        schema["properties"]["idempotencyKey"] =
            json!({"type": ["string", "null"], "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"});
        required.push(json!("op"));
        for (name, id) in named {
            schema["properties"][name] = id.clone();
            required.push(json!(name));
        }
        schema["required"] = json!(required);
        self.found.push(schema);
    }
}
