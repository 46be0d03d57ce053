//! The service's life: start, serve, and stop when asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_sdk::{Client, Options};
use holdfast_serve::{BODIES_BYTES, Limits, Room, connections_within_reach, listen, serve};
use holdfast_service::{Asked, Outcome};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::app::{App, Shared, router};
use crate::config::Config;
use crate::refunds::Refunds;

/// Runs the service until it is asked to stop.
pub async fn run(config: Config) -> Outcome {
    let listener = match listen(config.http).await {
        Ok(listener) => listener,
        Err(error) => return Outcome::CannotStart(error),
    };
    let mut asked = match Asked::new(config.process.stop_when_stdin_closes) {
        Ok(asked) => asked,
        Err(error) => return Outcome::CannotStart(format!("signals cannot be received: {error}")),
    };
    let (app, refunds) = match build(&config) {
        Ok(built) => built,
        Err(error) => return Outcome::CannotStart(error),
    };
    let (stop, mut stopped) = watch::channel(false);
    tracing::info!(http = %config.http, refunds = refunds.is_some(), "started");
    let limits =
        Limits { connections: connections_within_reach(config.max_connections), ..Limits::default() };
    let mut serving = tokio::spawn(serve(listener, router(&app), limits, async move {
        // The sender is dropped at the end of the process at the latest.
        let _ = stopped.wait_for(|stop| *stop).await;
    }));
    let refunding = tokio::spawn(see_to(refunds));
    tokio::pin!(refunding);
    let ended = tokio::select! {
        () = asked.wait() => None,
        ended = &mut serving => Some(format!("clients are not served any more: {ended:?}")),
        ended = &mut refunding => Some(format!("refunds are not seen to any more: {ended:?}")),
    };
    if let Some(reason) = ended {
        tracing::error!(reason, "this service stops");
        return Outcome::Stopped(reason);
    }
    tracing::info!("stopping: finishing what is under way");
    app.is_draining.store(true, Ordering::Release);
    // A refund that is cut off is announced again by whoever looks next.
    refunding.abort();
    stop.send_replace(true);
    if timeout(config.drain_timeout, serving).await.is_err() {
        tracing::warn!("something was still under way when the time to finish it was over");
    }
    tracing::info!("stopped");
    Outcome::ShutDown
}

async fn see_to(refunds: Option<Refunds>) {
    match refunds {
        Some(refunds) => refunds.run().await,
        None => std::future::pending().await,
    }
}

fn build(config: &Config) -> Result<(App, Option<Refunds>), String> {
    let defaults = Options::default();
    let options = Options {
        call_timeout: config.request_timeout,
        attempt_timeout: defaults.attempt_timeout.min(config.request_timeout),
        ..defaults
    };
    let client = Client::new(&config.endpoints, options).map_err(|error| error.to_string())?;
    let app = App::new(Shared {
        client: client.clone(),
        counters: Arc::default(),
        refunds_failing: Arc::default(),
        permits: Semaphore::new(config.max_requests),
        bodies: Room::new(BODIES_BYTES),
        is_draining: AtomicBool::new(false),
        config: config.clone(),
    });
    let refunds = config
        .refunds
        .clone()
        .map(|settings| Refunds::new(client, settings, app.counters.clone(), app.refunds_failing.clone()));
    Ok((app, refunds.transpose()?))
}
