//! One process of `holdfast-order`.

use std::ops::{Deref, DerefMut};

use crate::{Cluster, Service};

/// The order service of a cluster.
pub struct OrderService(Service);

impl OrderService {
    /// Starts the service of a cluster with more flags, and waits until it is ready.
    pub async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let mut service = Service::prepare(("holdfast-order", 8081, "--log-dir"), cluster, flags);
        service.run();
        service.ready().await;
        Self(service)
    }
}

impl Deref for OrderService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

impl DerefMut for OrderService {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.0
    }
}
