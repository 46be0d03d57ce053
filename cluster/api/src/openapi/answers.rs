//! Answers that are too small to have a type elsewhere.

use std::collections::BTreeMap;

use holdfast_model::{DeadLetterId, ItemId, StoreId, SubscriptionId};
use schemars::JsonSchema;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, JsonSchema)]
            #[schemars(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: $type,)*
            }
        )*
    };
}

answers! {
    /// A subscription that was made or ended.
    SubscriptionRef {
        /// Which one.
        subscription_id: SubscriptionId,
    }
    /// A dead letter that was kept, marked or removed.
    DeadLetterRef {
        /// Which one.
        dead_letter_id: DeadLetterId,
    }
    /// Where the ledger starts.
    LedgerStart {
        /// The oldest sequence that is kept.
        oldest_seq: u64,
    }
    /// A snapshot that was taken.
    SnapshotTaken {
        /// The last log index in it.
        snapshot_index: u64,
    }
    /// A row as it was.
    RowAt {
        /// The store.
        store_id: StoreId,
        /// The item.
        item_id: ItemId,
        /// The sequence that was asked for.
        at_seq: u64,
        /// On hand − reserved.
        available: i64,
        /// Held for somebody.
        reserved: u64,
        /// Physically present.
        on_hand: i64,
        /// The row's change counter.
        version: u64,
        /// The row's last movement then.
        last_seq: u64,
    }
    /// The service lives.
    Live {
        /// Always true.
        live: bool,
    }
}

/// Whether a service is ready.
#[derive(Debug, JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Ready {
    /// All checks hold.
    pub ready: bool,
    /// Each check by its name; only where that was asked for.
    #[schemars(skip_serializing_if = "Option::is_none")]
    pub checks: Option<BTreeMap<String, bool>>,
}
