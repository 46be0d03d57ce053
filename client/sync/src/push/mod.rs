//! Push to the stores: a worker for each subscription that the cluster knows.

mod circuit;
mod delivered;
mod message;
mod sender;
mod signature;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use holdfast_sdk::model::SubscriptionId;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

pub use delivered::{Delivered, Standing};
pub use message::Message;
pub use sender::Sender;
pub use signature::Secret;

use crate::config::Webhooks;
use crate::metrics::Counters;
use crate::registry::{Registry, Subscription};
use crate::view::Views;
use crate::wakers::Wakers;
use circuit::Circuit;
use worker::Worker;

/// What workers share.
pub struct Shared {
    /// The view.
    pub views: Views,
    /// Tells of new movements.
    pub wakers: Wakers,
    /// How far each subscription is.
    pub delivered: Arc<Delivered>,
    /// Subscriptions and dead letters.
    pub registry: Registry,
    /// Sends messages.
    pub sender: Sender,
    /// How messages are delivered.
    pub settings: Webhooks,
    /// What is counted.
    pub counters: Arc<Counters>,
}

/// A worker that runs, and what it was started for.
struct Running {
    subscription: Subscription,
    task: JoinHandle<()>,
}

/// Keeps a worker for each subscription until the service stops; then waits until the messages under way have ended.
pub async fn run(shared: Arc<Shared>, every: Duration, changed: Arc<Notify>, stop: watch::Receiver<bool>) {
    let mut running: BTreeMap<SubscriptionId, Running> = BTreeMap::new();
    let mut was_reached = true;
    let mut stopping = stop.clone();
    while !*stop.borrow() {
        match shared.registry.subscriptions(None).await {
            Ok(subscriptions) => {
                was_reached = true;
                reconcile(&shared, &mut running, subscriptions, &stop);
                shared.delivered.known();
            }
            Err(error) => {
                if was_reached {
                    tracing::warn!(%error, "the list of subscriptions cannot be had");
                }
                was_reached = false;
            }
        }
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep(every) => {}
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }
    for (_, worker) in running {
        // One that panicked has nothing under way.
        let _ = worker.task.await;
    }
}

/// Ends the workers of subscriptions that are gone or were changed, and starts those that are missing.
fn reconcile(
    shared: &Arc<Shared>,
    running: &mut BTreeMap<SubscriptionId, Running>,
    subscriptions: Vec<Subscription>,
    stop: &watch::Receiver<bool>,
) {
    let wanted: BTreeMap<SubscriptionId, Subscription> =
        subscriptions.into_iter().map(|subscription| (subscription.id, subscription)).collect();
    running.retain(|id, worker| {
        let stays =
            wanted.get(id).is_some_and(|wanted| *wanted == worker.subscription) && !worker.task.is_finished();
        if !stays {
            worker.task.abort();
        }
        if !wanted.contains_key(id) {
            shared.delivered.forget(&worker.subscription.store, *id);
            if let Some(view) = shared.views.current()
                && let Err(error) = view.forget_position(*id)
            {
                shared.views.report(&view, &error);
            }
        }
        stays
    });
    for (id, subscription) in wanted {
        running.entry(id).or_insert_with(|| {
            let worker = Worker {
                subscription: subscription.clone(),
                shared: shared.clone(),
                circuit: Circuit::default(),
                stop: stop.clone(),
            };
            Running { subscription, task: tokio::spawn(worker.run()) }
        });
    }
}
