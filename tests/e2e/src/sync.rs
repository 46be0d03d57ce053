//! One process of `holdfast-sync`.

use std::ops::{Deref, DerefMut};

use crate::{Cluster, Service};

/// The sync service of a cluster.
pub struct Sync(Service);

impl Sync {
    /// Starts the service of a cluster with more flags, and waits until it is ready.
    pub async fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let mut sync = Self::prepare(cluster, flags);
        sync.run();
        sync.ready().await;
        sync
    }

    /// A service that does not run yet.
    #[must_use]
    pub fn prepare(cluster: &Cluster, flags: &[&str]) -> Self {
        Self(Service::prepare(("holdfast-sync", 8083, "--dir"), cluster, flags))
    }

    /// The directories of its views, whatever became of them.
    #[must_use]
    pub fn views(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with("view-")).collect()
    }
}

impl Deref for Sync {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.0
    }
}

impl DerefMut for Sync {
    fn deref_mut(&mut self) -> &mut Service {
        &mut self.0
    }
}
