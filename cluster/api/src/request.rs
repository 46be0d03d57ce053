//! Bodies of requests. A field that is not named here is an error: a misspelt one must not be dropped in silence.

use holdfast_model::{
    Command, Event, EventId, HoldId, ItemId, Line, Owner, Quantity, Reason, ReceiptKind, Reference, StoreId,
    TransferId,
};
use serde::{Deserialize, Serialize};

use crate::time;

/// One line: so many of an item in a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LineBody {
    /// The store.
    pub store_id: StoreId,
    /// The item.
    pub item_id: ItemId,
    /// How many.
    pub qty: Quantity,
}

/// The lines as the model takes them.
#[must_use]
pub fn lines_of(lines: Vec<LineBody>) -> Vec<Line> {
    lines.into_iter().map(|line| Line { store: line.store_id, item: line.item_id, qty: line.qty }).collect()
}

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }
        )*
    };
}

bodies! {
    /// A new row.
    NewSku {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// What is on hand at the start, 0 or more.
        #[cfg_attr(feature = "openapi", schemars(range(min = 0, max = crate::openapi::MAX_TOTAL)))]
        available: u64,
    }
    /// A hold of one line; store and item are in the path.
    Reserve {
        /// How many.
        qty: Quantity,
        /// How long the hold lasts, in seconds; no end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::openapi::MAX_TTL_SECONDS)))]
        ttl_seconds: Option<u64>,
        /// The hold's id; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_id: Option<HoldId>,
        /// Whom it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
        /// Take what there is instead of refusing.
        #[serde(default)]
        allow_partial: bool,
    }
    /// A hold of many lines.
    NewHold {
        /// What to hold; lines of the same row are added up.
        #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
        lines: Vec<LineBody>,
        /// How long the hold lasts, in seconds; no end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::openapi::MAX_TTL_SECONDS)))]
        ttl_seconds: Option<u64>,
        /// The hold's id; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_id: Option<HoldId>,
        /// Whom it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owner: Option<Owner>,
        /// Take what there is of each line instead of refusing.
        #[serde(default)]
        allow_partial: bool,
    }
    /// Sells a hold's line; store and item are in the path.
    Confirm {
        /// The hold.
        hold_id: HoldId,
        /// How many of the line; the whole hold when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qty: Option<Quantity>,
        /// When the hold has expired, take the stock again.
        #[serde(default)]
        reacquire: bool,
    }
    /// Gives back a hold's line; store and item are in the path.
    Release {
        /// The hold.
        hold_id: HoldId,
        /// How many of the line; the whole hold when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qty: Option<Quantity>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    }
    /// Sells a hold, or lines of it.
    ConfirmHold {
        /// What to sell; everything that is reserved when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
        lines: Option<Vec<LineBody>>,
        /// When the hold has expired, take the stock again.
        #[serde(default)]
        reacquire: bool,
    }
    /// Gives back a hold, or lines of it.
    ReleaseHold {
        /// What to give back; everything that is reserved when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(length(min = 1)))]
        lines: Option<Vec<LineBody>>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    }
    /// Lets a hold last longer.
    Extend {
        /// Seconds from now; an earlier end than the present one changes nothing.
        #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::openapi::MAX_TTL_SECONDS)))]
        ttl_seconds: u64,
    }
    /// Corrects what is available.
    Adjust {
        /// By how much, up or down; not 0.
        #[cfg_attr(feature = "openapi", schemars(range(min = -crate::openapi::MAX_DELTA, max = crate::openapi::MAX_DELTA), extend("not" = {"const": 0})))]
        delta: i64,
        /// Why.
        reason: Reason,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// Refuse unless the row is at this version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<u64>,
    }
    /// A stocktake.
    Count {
        /// What was physically there.
        #[cfg_attr(feature = "openapi", schemars(range(min = 0, max = crate::openapi::MAX_TOTAL)))]
        counted: u64,
        /// The last movement that the counter could have seen; now when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        as_of_seq: Option<u64>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// The store's own id of this event; needs `occurredAt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
        /// When it happened, RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(schema_with = "crate::openapi::optional_utc"))]
        occurred_at: Option<String>,
    }
    /// A sale that has happened.
    Sale {
        /// How many were sold.
        qty: Quantity,
        /// Why, or where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// The store's own id of this event; needs `occurredAt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
        /// When it happened, RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(schema_with = "crate::openapi::optional_utc"))]
        occurred_at: Option<String>,
    }
    /// Goods that have arrived.
    Receive {
        /// How many arrived.
        qty: Quantity,
        /// `DELIVERY` or `RETURN`; a delivery when absent.
        #[serde(default = "delivery")]
        #[cfg_attr(feature = "openapi", schemars(extend("enum" = ["DELIVERY", "RETURN"])))]
        kind: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
        /// The store's own id of this event; needs `occurredAt`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<EventId>,
        /// When it happened, RFC 3339 in UTC.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(schema_with = "crate::openapi::optional_utc"))]
        occurred_at: Option<String>,
    }
    /// What may be sold of a row.
    Policy {
        /// Units that are never sold to holds; unchanged when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 0, max = crate::openapi::MAX_TOTAL)))]
        safety_stock: Option<u64>,
        /// Units that may be sold before they are there; unchanged when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(range(min = 0, max = crate::openapi::MAX_TOTAL)))]
        backorder_limit: Option<u64>,
        /// Refuse unless the row is at this version.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected_version: Option<u64>,
    }
    /// Retires a row; nothing to say.
    Retire {
    }
    /// Goods from one store to another.
    NewTransfer {
        /// The item.
        item_id: ItemId,
        /// The store that gives.
        from_store_id: StoreId,
        /// The store that gets.
        to_store_id: StoreId,
        /// How many.
        qty: Quantity,
        /// Book the arrival in the same step.
        #[serde(default)]
        at_once: bool,
        /// The transfer's id; made when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer_id: Option<TransferId>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<Reference>,
    }
    /// Books an arrival.
    ReceiveTransfer {
        /// How many arrived; all that is under way when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        qty: Option<Quantity>,
    }
    /// Ends a transfer whose rest will not arrive.
    Close {
        /// Why it fell short.
        reason: Reason,
    }
    /// Takes a transfer back.
    Cancel {
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<Reason>,
    }
    /// Drops the beginning of the ledger.
    TrimLedger {
        /// The oldest sequence to keep.
        before: u64,
    }
    /// A member to be admitted.
    AddMember {
        /// Its number, never used before.
        id: u64,
        /// `host:port` that peers speak to.
        peer: String,
        /// `host:port` that clients speak to.
        http: String,
        /// Make it a voter once it has caught up.
        #[serde(default = "yes")]
        voter: bool,
    }
    /// Who is to lead.
    TransferLeadership {
        /// The member; the most up-to-date voter when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
    }
}

fn delivery() -> String {
    "DELIVERY".to_owned()
}

const fn yes() -> bool {
    true
}

/// The event of a body.
///
/// # Errors
/// When only one of the two is there, or the time is not one, in words.
pub fn event(id: Option<EventId>, occurred_at: Option<&str>) -> Result<Option<Event>, String> {
    match (id, occurred_at) {
        (None, None) => Ok(None),
        (Some(id), Some(text)) => {
            let at = time::parse(text).ok_or_else(|| {
                format!("occurredAt must be RFC 3339 in UTC, such as 2026-11-24T13:05:00Z, got {text:?}")
            })?;
            Ok(Some(Event { id, occurred_at: at }))
        }
        _ => Err("eventId and occurredAt go together".to_owned()),
    }
}

/// Milliseconds of a time to live in seconds; one that is too large stays too large.
#[must_use]
pub fn ttl_ms(seconds: Option<u64>) -> Option<u64> {
    seconds.map(|seconds| seconds.saturating_mul(1000))
}

impl NewHold {
    /// The command; a nil id stands for one that is still to be made.
    #[must_use]
    pub fn into_command(self) -> Command {
        Command::Reserve {
            hold: self.hold_id.unwrap_or(HoldId::from_uuid(uuid::Uuid::nil())),
            lines: lines_of(self.lines),
            ttl_ms: ttl_ms(self.ttl_seconds),
            allow_partial: self.allow_partial,
            owner: self.owner,
        }
    }
}

impl Sale {
    /// The command for a row.
    ///
    /// # Errors
    /// When the event is not whole, in words.
    pub fn into_command(self, store: StoreId, item: ItemId) -> Result<Command, String> {
        let event = event(self.event_id, self.occurred_at.as_deref())?;
        Ok(Command::RecordSale {
            store,
            item,
            qty: self.qty,
            reason: self.reason,
            reference: self.reference,
            event,
        })
    }
}

impl Receive {
    /// The command for a row.
    ///
    /// # Errors
    /// When the kind or the event is not one, in words.
    pub fn into_command(self, store: StoreId, item: ItemId) -> Result<Command, String> {
        let kind = match self.kind.as_str() {
            "DELIVERY" => ReceiptKind::Delivery,
            "RETURN" => ReceiptKind::Return,
            other => return Err(format!("kind must be DELIVERY or RETURN, got {other:?}")),
        };
        let event = event(self.event_id, self.occurred_at.as_deref())?;
        Ok(Command::Receive {
            store,
            item,
            qty: self.qty,
            kind,
            reason: self.reason,
            reference: self.reference,
            event,
        })
    }
}

impl NewTransfer {
    /// The command; a nil id stands for one that is still to be made.
    #[must_use]
    pub fn into_command(self) -> Command {
        Command::Transfer {
            transfer: self.transfer_id.unwrap_or(TransferId::from_uuid(uuid::Uuid::nil())),
            item: self.item_id,
            from: self.from_store_id,
            to: self.to_store_id,
            qty: self.qty,
            at_once: self.at_once,
            reason: self.reason,
            reference: self.reference,
        }
    }
}
