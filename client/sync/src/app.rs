//! The service as a router: what handlers share, and what every answer has in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use holdfast_api::{ErrorCode, Problem};
use holdfast_sdk::Client;
use holdfast_serve::Room;
use holdfast_service::with_problems;
use tokio::sync::{Notify, Semaphore, watch};

use crate::config::Config;
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::push::{Delivered, Sender};
use crate::registry::Registry;
use crate::routes;
use crate::view::{Generation, ViewError, Views};
use crate::wakers::Wakers;

/// What handlers share. Cheap to clone: a handle.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The parts of the service that handlers use.
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// The cluster.
    pub client: Client,
    /// The view.
    pub views: Views,
    /// Tells of new movements.
    pub wakers: Wakers,
    /// How far the view is behind.
    pub progress: Arc<Progress>,
    /// How far each subscription is.
    pub delivered: Arc<Delivered>,
    /// Subscriptions and dead letters.
    pub registry: Registry,
    /// Says that a subscription was changed here.
    pub changed: Arc<Notify>,
    /// Sends messages.
    pub sender: Sender,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// One permit for each stream to a store.
    pub streams: Arc<Semaphore>,
    /// Memory for bodies that are being read or worked on.
    pub bodies: Room,
    /// Becomes true when the service stops.
    pub stop: watch::Receiver<bool>,
    /// The service is about to stop.
    pub is_draining: AtomicBool,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// The service made of its parts.
    pub fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The view in use.
    ///
    /// # Errors
    /// While the first one is being built.
    pub fn view(&self) -> Result<Arc<Generation>, Problem> {
        let missing = || Problem::new(ErrorCode::ViewRebuilding, "the view is being built from a snapshot");
        self.views.current().ok_or_else(missing)
    }

    /// What to answer when the view cannot be read: another one is being built then.
    pub fn unreadable(&self, view: &Generation, error: &ViewError) -> Problem {
        self.views.report(view, error);
        Problem::new(ErrorCode::ViewRebuilding, error.to_string())
    }

    /// Whether the view is near enough to the cluster, and the service is not about to stop.
    pub fn is_ready(&self) -> bool {
        !self.is_draining.load(Ordering::Acquire) && self.is_near()
    }

    /// Whether there is a view that is near enough to the cluster.
    pub fn is_near(&self) -> bool {
        self.views.current().is_some() && self.progress.lag_ms() <= self.config.ready_lag_ms
    }
}

/// The service's router.
pub fn router(app: &App) -> Router {
    with_problems(routes::router()).with_state(app.clone())
}
