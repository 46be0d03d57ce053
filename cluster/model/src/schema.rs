//! JSON schemas (draft 2020-12) of ids and quantities: what their constructors accept, as far as a schema can say it.
//!
//! A schema counts characters where a constructor counts bytes, so of texts for people only those in ASCII may be as long
//! as it says.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::{DOT_SEGMENTS, MAX_ID_BYTES, MAX_TEXT_BYTES};
use crate::registry::{MAX_URL_BYTES, SECRET_LENGTHS, SECRET_PREFIX};
use crate::{
    Actor, Currency, DeadLetterId, Description, EventId, HoldId, ItemId, MAX_TOTAL, OrderId, Owner,
    PaymentId, Quantity, Reason, Reference, Secret, StoreId, SubscriptionId, TransferId, WebhookUrl,
};

macro_rules! schemas {
    ($($name:ident = $schema:expr;)*) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                $schema
            }
        })*
    };
}

schemas! {
    StoreId = id("A store of the chain.", "S1");
    ItemId = id("An item that stores sell.", "SKU-2");
    EventId = id("An id that a store gave to one of its events; unique within the store.", "E-1");
    Actor = id("Who asked for a change.", "till-4");
    Owner = id("Whom a hold is for, in the caller's own words.", "cart-7");
    PaymentId = id("The id that a payment's provider gave to it.", "pi_31");
    Reason = text("Why something was changed, for people.", "broken");
    Description = text("What something is, for people.", "screens of the store");
    Reference = text("A document that a change belongs to.", "D-31");
    HoldId = uuid("A hold.", HoldId::PREFIX);
    TransferId = uuid("A transfer between two stores.", TransferId::PREFIX);
    OrderId = uuid("An order.", OrderId::PREFIX);
    SubscriptionId = uuid("A webhook subscription.", SubscriptionId::PREFIX);
    DeadLetterId = uuid("A dead letter.", DeadLetterId::PREFIX);
    Quantity = json_schema!({
        "description": "A quantity, in the item's own smallest unit.",
        "type": "integer", "minimum": 1, "maximum": MAX_TOTAL,
    });
    Currency = json_schema!({
        "description": "A currency's code (ISO 4217).",
        "type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"],
    });
    WebhookUrl = json_schema!({
        "description": "Where messages are posted.",
        "type": "string", "pattern": url_pattern(), "maxLength": MAX_URL_BYTES,
        "examples": ["http://127.0.0.1:9000/hook"],
    });
    Secret = json_schema!({
        "description": "What messages are signed with: a prefix and the base64 of 24 to 64 bytes.",
        "type": "string", "pattern": secret_pattern(),
        "examples": ["whsec_aG9sZGZhc3QtZXhhbXBsZS1zZWNyZXQx"],
    });
}

fn id(description: &str, example: &str) -> Schema {
    let pattern = format!("^[A-Za-z0-9_.:~@+=,-]{{1,{MAX_ID_BYTES}}}$");
    json_schema!({
        "description": description, "type": "string", "pattern": pattern,
        "minLength": 1, "maxLength": MAX_ID_BYTES, "not": {"enum": DOT_SEGMENTS}, "examples": [example],
    })
}

fn text(description: &str, example: &str) -> Schema {
    json_schema!({
        "description": description, "type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$",
        "minLength": 1, "maxLength": MAX_TEXT_BYTES, "examples": [example],
    })
}

fn uuid(description: &str, prefix: &str) -> Schema {
    let hex = "[0-9a-fA-F]";
    let pattern = format!("^{prefix}{hex}{{8}}-{hex}{{4}}-{hex}{{4}}-{hex}{{4}}-{hex}{{12}}$");
    let nil = format!("{prefix}{}", uuid::Uuid::nil());
    json_schema!({"description": description, "type": "string", "pattern": pattern, "not": {"const": nil}})
}

/// A scheme; who, perhaps; a host, or an IPv6 address; a port, perhaps; and what follows.
fn url_pattern() -> String {
    let (who, host, v6) = (r#"[!"$-.0->@-\[\]-~]*@"#, r#"[!"$-.0-9;=A-Z_-z{}~]+"#, r"\[[0-9A-Fa-f:.]+\]");
    format!(r"^https?://({who})?({host}|{v6})(:[0-9]{{0,5}})?([/?#\\][!-~]*)?$")
}

/// Whole groups of four digits, the last of which may be filled up.
fn secret_pattern() -> String {
    let digit = "[A-Za-z0-9+/]";
    let (least, most) = (SECRET_LENGTHS.start() / 4 - 1, SECRET_LENGTHS.end() / 4 - 1);
    format!("^{SECRET_PREFIX}({digit}{{4}}){{{least},{most}}}({digit}{{4}}|{digit}{{3}}=|{digit}{{2}}==)$")
}
