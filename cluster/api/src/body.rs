//! Bodies of answers.

use holdfast_model::{
    self as model, Cause, Config, HoldStatus, HoldView, MovementKind, RowView, Setting, TransferStatus,
    TransferView,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::record::Record;
use crate::time::rfc3339;

macro_rules! bodies {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
            #[serde(rename_all = "camelCase")]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }
        )*
    };
}

bodies! {
    /// A stock row.
    Row {
        /// The store.
        store_id: String,
        /// The item.
        item_id: String,
        /// On hand − reserved.
        available: i64,
        /// Held for somebody.
        reserved: u64,
        /// Physically present, as far as is known; negative when goods are owed.
        on_hand: i64,
        /// What a hold could claim now.
        sellable: i64,
        /// The row's change counter.
        version: u64,
        /// The row's last movement.
        last_seq: u64,
        /// Units that are never sold to holds.
        safety_stock: u64,
        /// Units that may be sold before they are there.
        backorder_limit: u64,
        /// More is promised or gone than stock and backorder limit bear.
        oversold: bool,
        /// The row takes no new holds.
        retired: bool,
        /// On hand at the start.
        opening: u64,
        /// Arrived from outside since.
        received: u64,
        /// Sum of all corrections.
        adjusted: i64,
        /// Sum of what stocktakes corrected.
        counted: i64,
        /// Arrived from other stores.
        transferred_in: u64,
        /// Left for other stores.
        transferred_out: u64,
        /// Sold.
        sold: u64,
    }
    /// Some rows.
    RowPage {
        /// The rows, in the order in which they came to be.
        rows: Vec<Row>,
        /// Give this as `after` for the next page; null when this was the last.
        next: Option<u64>,
    }
    /// A line of a hold. reserved + confirmed + released + expired = granted.
    HoldLine {
        /// The store.
        store_id: String,
        /// The item.
        item_id: String,
        /// What was asked for.
        requested: u64,
        /// What was given.
        granted: u64,
        /// Still held.
        reserved: u64,
        /// Sold.
        confirmed: u64,
        /// Given back.
        released: u64,
        /// Given back by the deadline.
        expired: u64,
    }
    /// A hold.
    Hold {
        /// The hold.
        hold_id: String,
        /// `HELD`, `CONFIRMED`, `RELEASED` or `EXPIRED`.
        status: String,
        /// When it ends, RFC 3339; null when it does not by itself.
        expires_at: Option<String>,
        /// Milliseconds that are left; exact, which `expiresAt` is not.
        expires_in_ms: Option<u64>,
        /// Whom it is for.
        owner: Option<String>,
        /// The order whose goods it has: it ends with that alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
        /// Its lines.
        lines: Vec<HoldLine>,
    }
    /// A transfer. received + shortfall + returned + inTransit = qty.
    Transfer {
        /// The transfer.
        transfer_id: String,
        /// `SHIPPED`, `RECEIVED` or `CANCELLED`.
        status: String,
        /// The item.
        item_id: String,
        /// The store that gave.
        from_store_id: String,
        /// The store that gets.
        to_store_id: String,
        /// What was sent.
        qty: u64,
        /// What has arrived.
        received: u64,
        /// What is under way.
        in_transit: u64,
        /// What will never arrive.
        shortfall: u64,
        /// What went back.
        returned: u64,
    }
    /// One change of one row.
    Movement {
        /// Its number.
        seq: u64,
        /// When, RFC 3339; order is told by `seq`.
        at: String,
        /// `CREATED`, `RESERVED`, `CONFIRMED`, `RELEASED`, `EXPIRED`, `EXTENDED`, `SOLD`, `RECEIVED`, `ADJUSTED`, `COUNTED`,
        /// `TRANSFER_OUT`, `TRANSFER_IN`, `SHORTFALL`, `POLICY` or `RETIRED`.
        kind: String,
        /// The store.
        store_id: String,
        /// The item.
        item_id: String,
        /// How many.
        qty: i64,
        /// Available after it.
        available: i64,
        /// Reserved after it.
        reserved: u64,
        /// On hand after it.
        on_hand: i64,
        /// The row's change counter after it.
        version: u64,
        /// The row's movement before it, 0 when it is the first.
        prev_seq: u64,
        /// The hold that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold_id: Option<String>,
        /// The order whose goods that hold has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        order_id: Option<String>,
        /// The transfer that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transfer_id: Option<String>,
        /// The store's event that made it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<String>,
        /// The safety stock that it set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        safety_stock: Option<u64>,
        /// The backorder limit that it set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        backorder_limit: Option<u64>,
        /// Who asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        actor: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What it belongs to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
    }
    /// Some records of the ledger.
    MovementPage {
        /// The records: movements, and order events where neither a store nor an item was asked for. All of them oldest
        /// first, an item's history newest first.
        movements: Vec<Record>,
        /// Where the next page starts: `after`, or `before` for a history; null when there is nothing more now.
        next: Option<u64>,
    }
    /// The digest of a state; equal on members at the same index.
    Digest {
        /// Of all parts.
        total: String,
        /// Of the rows.
        stock: String,
        /// Of the holds.
        holds: String,
        /// Of the transfers.
        transfers: String,
        /// Of the orders.
        orders: String,
        /// Of the subscriptions and dead letters.
        registry: String,
        /// Of keys and events.
        keys: String,
        /// Of clock and settings.
        config: String,
    }
    /// A member as another sees it.
    MemberState {
        /// Its number.
        id: u64,
        /// `host:port` that peers speak to.
        peer: String,
        /// `host:port` that clients speak to.
        http: String,
        /// Counts towards a majority.
        #[serde(default)]
        voter: bool,
        /// The last log index that is durable there, as the leader knows; null elsewhere.
        #[serde(default)]
        matched_index: Option<u64>,
    }
    /// How a node and its cluster stand.
    Status {
        /// The cluster; null while there is none.
        cluster_id: Option<String>,
        /// What stands before a sequence in a feed's cursor.
        epoch: String,
        /// This node's number.
        node_id: u64,
        /// `LEADER`, `FOLLOWER`, `LEARNER`, `CANDIDATE`, `WAITING` or `STOPPED`.
        role: String,
        /// Raft term.
        term: u64,
        /// Who leads; null when nobody is known to.
        leader: Option<MemberState>,
        /// Everyone in the cluster.
        members: Vec<MemberState>,
        /// Up to this index the log was cut: a member that is further behind is sent a snapshot.
        #[serde(default)]
        purged_index: u64,
        /// Last index in the log.
        last_log_index: u64,
        /// Last index applied.
        applied_index: u64,
        /// Last movement applied.
        applied_seq: u64,
        /// Index of the newest snapshot.
        snapshot_index: u64,
        /// Bytes of the log.
        log_size_bytes: u64,
        /// Bytes of the newest snapshot.
        snapshot_size_bytes: u64,
        /// Bytes of the ledger.
        ledger_size_bytes: u64,
        /// The state's digest at `appliedIndex`.
        digest: Digest,
        /// Version of the rules in force.
        model_version: u32,
        /// Stock rows.
        rows: u64,
        /// Holds that reserve something.
        holds_open: u64,
        /// Open holds whose deadline has passed and which are not swept yet.
        holds_due: u64,
        /// Orders that may be paid.
        orders_placed: u64,
        /// Orders for which money is owed to the buyer.
        refunds_due: u64,
        /// Webhook subscriptions.
        subscriptions: u64,
        /// Dead letters.
        dead_letters: u64,
        /// Idempotency keys that are remembered.
        keys: u64,
        /// Commands that wait to be proposed.
        queued: u64,
        /// Why the node has stopped; null while it takes part.
        stopped: Option<String>,
    }
    /// One invariant that does not hold somewhere.
    Violation {
        /// 1 a row's sums, 2 what is reserved, 3 a hold's ends, 4 the ledger, 5 keys, 6 orders; 0 the digest.
        invariant: u8,
        /// Where and how.
        detail: String,
    }
    /// What an audit found.
    Audit {
        /// The movement at which the state was looked at.
        seq: u64,
        /// Rows that were checked.
        rows: u64,
        /// Holds that were checked.
        holds: u64,
        /// Orders that were checked.
        orders: u64,
        /// Records that were replayed: all that the ledger keeps.
        movements: u64,
        /// The state's digest.
        digest: Digest,
        /// What does not hold; empty when all is well.
        violations: Vec<Violation>,
    }
}

/// The replicated settings by name.
pub type Settings = BTreeMap<String, u64>;

impl From<&RowView> for Row {
    fn from(row: &RowView) -> Self {
        Self {
            store_id: row.row.store.to_string(),
            item_id: row.row.item.to_string(),
            available: row.available,
            reserved: row.reserved,
            on_hand: row.on_hand(),
            sellable: row.sellable(),
            version: row.version,
            last_seq: row.last_seq.0,
            safety_stock: row.policy.safety_stock,
            backorder_limit: row.policy.backorder_limit,
            oversold: row.oversold(),
            retired: row.retired,
            opening: row.opening,
            received: row.received,
            adjusted: row.adjusted,
            counted: row.counted,
            transferred_in: row.transferred_in,
            transferred_out: row.transferred_out,
            sold: row.sold,
        }
    }
}

impl From<&HoldView> for Hold {
    fn from(hold: &HoldView) -> Self {
        let lines = hold.lines.iter().map(|line| HoldLine {
            store_id: line.row.store.to_string(),
            item_id: line.row.item.to_string(),
            requested: line.requested,
            granted: line.granted,
            reserved: line.reserved,
            confirmed: line.confirmed,
            released: line.released,
            expired: line.expired,
        });
        Self {
            hold_id: hold.hold.to_string(),
            status: status_name(hold.status).to_owned(),
            expires_at: hold.expires_at_utc.map(rfc3339),
            expires_in_ms: hold.expires_in_ms,
            owner: hold.owner.as_ref().map(ToString::to_string),
            order_id: hold.order.as_ref().map(ToString::to_string),
            lines: lines.collect(),
        }
    }
}

impl From<&TransferView> for Transfer {
    fn from(transfer: &TransferView) -> Self {
        Self {
            transfer_id: transfer.transfer.to_string(),
            status: transfer_status_name(transfer.status).to_owned(),
            item_id: transfer.item.to_string(),
            from_store_id: transfer.from.to_string(),
            to_store_id: transfer.to.to_string(),
            qty: transfer.qty,
            received: transfer.received,
            in_transit: transfer.in_transit(),
            shortfall: transfer.shortfall,
            returned: transfer.returned,
        }
    }
}

impl From<&model::Movement> for Movement {
    fn from(movement: &model::Movement) -> Self {
        let mut body = Self {
            seq: movement.seq.0,
            at: rfc3339(movement.at_utc),
            kind: kind_name(movement.kind).to_owned(),
            store_id: movement.store.to_string(),
            item_id: movement.item.to_string(),
            qty: movement.qty,
            available: movement.available,
            reserved: movement.reserved,
            on_hand: movement.on_hand(),
            version: movement.version,
            prev_seq: movement.prev_seq.0,
            hold_id: None,
            order_id: None,
            transfer_id: None,
            event_id: None,
            safety_stock: None,
            backorder_limit: None,
            actor: movement.actor.as_ref().map(ToString::to_string),
            reason: movement.reason.as_ref().map(ToString::to_string),
            reference: movement.reference.as_ref().map(ToString::to_string),
        };
        match &movement.cause {
            Cause::Row => {}
            Cause::Hold { hold, order, .. } => {
                body.hold_id = Some(hold.to_string());
                body.order_id = order.as_ref().map(ToString::to_string);
            }
            Cause::Transfer { transfer } => body.transfer_id = Some(transfer.to_string()),
            Cause::Event { event } => body.event_id = Some(event.to_string()),
            Cause::Policy(policy) => {
                body.safety_stock = Some(policy.safety_stock);
                body.backorder_limit = Some(policy.backorder_limit);
            }
        }
        body
    }
}

impl From<&model::Digest> for Digest {
    fn from(digest: &model::Digest) -> Self {
        let hex = |part: u128| format!("{part:032x}");
        Self {
            total: hex(digest.total()),
            stock: hex(digest.stock),
            holds: hex(digest.holds),
            transfers: hex(digest.transfers),
            orders: hex(digest.orders),
            registry: hex(digest.registry),
            keys: hex(digest.keys),
            config: hex(digest.config),
        }
    }
}

/// The settings as they are written.
#[must_use]
pub fn settings(config: &Config) -> Settings {
    Setting::ALL.iter().map(|&setting| (setting.name().to_owned(), config.get(setting))).collect()
}

/// The name of a hold's status.
#[must_use]
pub const fn status_name(status: HoldStatus) -> &'static str {
    match status {
        HoldStatus::Held => "HELD",
        HoldStatus::Confirmed => "CONFIRMED",
        HoldStatus::Released => "RELEASED",
        HoldStatus::Expired => "EXPIRED",
    }
}

/// The name of a transfer's status.
#[must_use]
pub const fn transfer_status_name(status: TransferStatus) -> &'static str {
    match status {
        TransferStatus::Shipped => "SHIPPED",
        TransferStatus::Received => "RECEIVED",
        TransferStatus::Cancelled => "CANCELLED",
    }
}

/// The name of a movement's kind.
#[must_use]
pub const fn kind_name(kind: MovementKind) -> &'static str {
    match kind {
        MovementKind::Created => "CREATED",
        MovementKind::Reserved => "RESERVED",
        MovementKind::Confirmed => "CONFIRMED",
        MovementKind::Released => "RELEASED",
        MovementKind::Expired => "EXPIRED",
        MovementKind::Extended => "EXTENDED",
        MovementKind::Sold => "SOLD",
        MovementKind::Received => "RECEIVED",
        MovementKind::Adjusted => "ADJUSTED",
        MovementKind::Counted => "COUNTED",
        MovementKind::TransferOut => "TRANSFER_OUT",
        MovementKind::TransferIn => "TRANSFER_IN",
        MovementKind::Shortfall => "SHORTFALL",
        MovementKind::Policy => "POLICY",
        MovementKind::Retired => "RETIRED",
    }
}
