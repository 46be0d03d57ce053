//! The service as a router: what handlers share, and what every answer has in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use holdfast_sdk::{Client, Relay};
use holdfast_serve::Room;
use holdfast_service::with_problems;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::metrics::Counters;
use crate::routes;

/// How long the cluster may take to show that it answers.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// What handlers share. Cheap to clone: a handle.
#[derive(Clone)]
pub struct App(Arc<Shared>);

/// The parts of the service that handlers use.
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// The cluster.
    pub client: Client,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Refunds whose last attempt failed.
    pub refunds_failing: Arc<AtomicU64>,
    /// One permit for each request that is being answered.
    pub permits: Semaphore,
    /// Memory for bodies that are being read or worked on.
    pub bodies: Room,
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

    /// Whether the service is about to stop.
    pub fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// Whether the cluster answers an up-to-date read now.
    pub async fn cluster_answers(&self) -> bool {
        let look = Relay::get("/config", READY_WITHIN.min(self.config.request_timeout));
        self.client.relay(&look).await.is_ok_and(|answer| answer.status == 200)
    }
}

/// The service's router.
pub fn router(app: &App) -> Router {
    with_problems(routes::router(app)).with_state(app.clone())
}
