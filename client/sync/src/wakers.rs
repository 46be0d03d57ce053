//! Wakes those who wait for a store's movements, and nobody else.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_sdk::model::StoreId;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Who waits for what. Cheap to clone: a handle.
#[derive(Clone, Default)]
pub struct Wakers(Arc<Mutex<HashMap<StoreId, watch::Sender<u64>>>>);

impl Wakers {
    /// Tells whenever the store has a new movement.
    pub fn listen(&self, store: &StoreId) -> watch::Receiver<u64> {
        let mut stores = self.0.lock();
        stores.entry(store.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Wakes those who wait for these stores. A store for which nobody waits any more is forgotten.
    pub fn wake(&self, news: &[(StoreId, u64)]) {
        let mut stores = self.0.lock();
        for (store, last) in news {
            let Some(waiting) = stores.get(store) else { continue };
            if waiting.receiver_count() == 0 {
                stores.remove(store);
            } else {
                waiting.send_replace(*last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_who_wait_for_the_store_are_woken() {
        let (wakers, one) = (Wakers::default(), StoreId::new("S1").unwrap());
        let other = StoreId::new("S2").unwrap();
        let (mut first, mut second) = (wakers.listen(&one), wakers.listen(&other));
        wakers.wake(&[(one.clone(), 7)]);
        assert!(first.has_changed().unwrap() && !second.has_changed().unwrap());
        assert_eq!((*first.borrow_and_update(), *second.borrow_and_update()), (7, 0));
        drop(first);
        wakers.wake(&[(one.clone(), 8)]);
        assert_eq!(wakers.0.lock().len(), 1, "nobody waits for it any more");
    }
}
