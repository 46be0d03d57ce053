//! How far each subscription is: what the outbox still needs to keep, and what people are shown.

use std::collections::BTreeMap;

use holdfast_sdk::model::{StoreId, SubscriptionId};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

/// How a subscription stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// The last sequence that the receiver has; none while it is to get a reset.
    pub delivered_seq: Option<u64>,
    /// Attempts that failed since the last message that was taken.
    pub failures: u32,
    /// What the last attempt that failed met with.
    pub last_error: Option<String>,
}

/// How all of them stand.
#[derive(Debug, Default)]
pub struct Delivered {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Whether the list of subscriptions has been seen: before that, everything may be needed.
    is_known: bool,
    stores: BTreeMap<StoreId, BTreeMap<SubscriptionId, Standing>>,
}

impl Delivered {
    /// From now on what is not noted here does not exist.
    pub fn known(&self) {
        self.inner.lock().is_known = true;
    }

    /// Changes how a subscription stands.
    pub fn note(&self, store: &StoreId, subscription: SubscriptionId, change: impl FnOnce(&mut Standing)) {
        let mut inner = self.inner.lock();
        change(inner.stores.entry(store.clone()).or_default().entry(subscription).or_default());
    }

    /// Forgets a subscription.
    pub fn forget(&self, store: &StoreId, subscription: SubscriptionId) {
        let mut inner = self.inner.lock();
        if let Some(of_store) = inner.stores.get_mut(store) {
            of_store.remove(&subscription);
            if of_store.is_empty() {
                inner.stores.remove(store);
            }
        }
    }

    /// How a subscription stands.
    pub fn standing(&self, store: &StoreId, subscription: SubscriptionId) -> Standing {
        let inner = self.inner.lock();
        inner.stores.get(store).and_then(|of_store| of_store.get(&subscription)).cloned().unwrap_or_default()
    }

    /// Up to which sequence a store's movements have been delivered to all who are to get them. One that is to get a reset
    /// needs none.
    pub fn upto(&self, store: &StoreId) -> u64 {
        let inner = self.inner.lock();
        if !inner.is_known {
            return 0;
        }
        let of_store = inner.stores.get(store).into_iter().flat_map(BTreeMap::values);
        of_store.filter_map(|standing| standing.delivered_seq).min().unwrap_or(u64::MAX)
    }

    /// How many subscriptions there are.
    pub fn count(&self) -> u64 {
        self.inner.lock().stores.values().map(BTreeMap::len).sum::<usize>() as u64
    }

    /// How many receivers do not take messages.
    pub fn failing(&self) -> u64 {
        let inner = self.inner.lock();
        inner.stores.values().flat_map(BTreeMap::values).filter(|standing| standing.failures > 0).count()
            as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_subscription_decides_what_is_needed() {
        let (delivered, store) = (Delivered::default(), StoreId::new("S1").unwrap());
        let [a, b, c] = [1, 2, 3].map(|n| SubscriptionId::from_uuid(uuid::Uuid::from_u128(n)));
        assert_eq!(delivered.upto(&store), 0, "nothing is known yet");
        delivered.known();
        assert_eq!(delivered.upto(&store), u64::MAX);
        delivered.note(&store, a, |standing| standing.delivered_seq = Some(9));
        delivered.note(&store, b, |standing| standing.delivered_seq = Some(4));
        delivered.note(&store, c, |standing| standing.failures = 2);
        assert_eq!((delivered.upto(&store), delivered.failing()), (4, 1));
        delivered.forget(&store, b);
        assert_eq!(delivered.upto(&store), 9);
    }
}
