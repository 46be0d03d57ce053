//! Fifth invariant: one key, one effect. So with the ids of events, holds, transfers and orders.

use std::collections::BTreeMap;

use holdfast_model::{
    Applied, ClusterTime, Command, Config, Entry, EventId, HoldId, Inventory, OrderAction, OrderId, Request,
    StoreId, TransferId,
};

/// What makes a repeat known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Key(u128),
    Event(StoreId, EventId),
    Hold(HoldId),
    Transfer(TransferId),
    Order(OrderId),
}

/// When each name last had an effect.
#[derive(Default)]
pub struct Effects {
    last: BTreeMap<Name, ClusterTime>,
    /// The shortest windows that were ever in force: for less than these, nothing is forgotten.
    shortest: Option<Config>,
}

impl Effects {
    pub fn check(&mut self, inventory: &Inventory, entry: &Entry, applied: &Applied) {
        assert_eq!(entry.requests.len(), applied.replies.len(), "every request has its reply");
        let now = inventory.now();
        let shortest = self.shortest.get_or_insert_with(Config::default).clone();
        for (request, reply) in entry.requests.iter().zip(&applied.replies) {
            let made_something = reply.result.is_ok() && !reply.replayed && reply.seq.0 > 0;
            if !made_something {
                continue;
            }
            for name in names(request) {
                if let Some(before) = self.last.insert(name.clone(), now) {
                    let (passed, window) = (now.since(before), window_of(&name, &shortest));
                    assert!(passed > window, "fifth invariant: {name:?} had two effects in {passed} ms");
                }
            }
        }
        self.shorten(inventory.config());
    }

    fn shorten(&mut self, config: &Config) {
        let shortest = self.shortest.get_or_insert_with(Config::default);
        shortest.key_window_ms = shortest.key_window_ms.min(config.key_window_ms);
        shortest.event_window_ms = shortest.event_window_ms.min(config.event_window_ms);
        shortest.ended_window_ms = shortest.ended_window_ms.min(config.ended_window_ms);
    }
}

fn names(request: &Request) -> Vec<Name> {
    let key = request.key.map(|key| Name::Key(key.id));
    let own = match &request.command {
        Command::Reserve { hold, .. } => Some(Name::Hold(*hold)),
        Command::Transfer { transfer, .. } => Some(Name::Transfer(*transfer)),
        Command::Order { order, action: OrderAction::Place { .. } } => Some(Name::Order(*order)),
        Command::Count { store, event, .. }
        | Command::RecordSale { store, event, .. }
        | Command::Receive { store, event, .. } => {
            event.as_ref().map(|event| Name::Event(store.clone(), event.id.clone()))
        }
        _ => None,
    };
    key.into_iter().chain(own).collect()
}

fn window_of(name: &Name, config: &Config) -> u64 {
    match name {
        Name::Key(_) => config.key_window_ms,
        Name::Event(..) => config.event_window_ms,
        Name::Hold(_) | Name::Transfer(_) | Name::Order(_) => config.ended_window_ms,
    }
}
