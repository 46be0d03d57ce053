//! The service's life: start, serve, and stop when asked, or when its view cannot be written any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_sdk::{Client, Options};
use holdfast_serve::{BODIES_BYTES, Limits, Room, connections_within_reach, listen, serve};
use holdfast_service::{Asked, Outcome};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::timeout;

use crate::app::{App, Shared, router};
use crate::config::Config;
use crate::follow::Follower;
use crate::progress::Progress;
use crate::push::{self, Sender};
use crate::registry::Registry;
use crate::view::Views;
use crate::wakers::Wakers;

/// A connection whose reader takes nothing is closed after as many times the limit that cuts off a stream: a reader that
/// comes back in between still finds out why its stream ended.
const CLOSE_AFTER_STALLS: u32 = 3;

/// Runs the service until it is asked to stop or cannot go on.
pub async fn run(config: Config) -> Outcome {
    let listener = match listen(config.http).await {
        Ok(listener) => listener,
        Err(error) => return Outcome::CannotStart(error),
    };
    let asked = match Asked::new(config.process.stop_when_stdin_closes) {
        Ok(asked) => asked,
        Err(error) => return Outcome::CannotStart(format!("signals cannot be received: {error}")),
    };
    let (stop, stopped) = watch::channel(false);
    let app = match build(&config, stopped.clone()) {
        Ok(app) => app,
        Err(error) => return Outcome::CannotStart(error),
    };
    tracing::info!(http = %config.http, dir = %config.dir.display(), "started");
    let mut ended = stopped.clone();
    let limits = Limits {
        connections: connections_within_reach(config.max_connections),
        stall: config.stall * CLOSE_AFTER_STALLS,
    };
    let serving = tokio::spawn(serve(listener, router(&app), limits, async move {
        // The sender is dropped at the end of the process at the latest.
        let _ = ended.wait_for(|stop| *stop).await;
    }));
    let following = tokio::spawn(follower(&app).run(stopped.clone()));
    let pushing = tokio::spawn(push::run(
        Arc::new(workers(&app)),
        config.subscriptions_every,
        app.changed.clone(),
        stopped,
    ));
    let reason = until_asked(asked, following).await;
    tracing::info!("stopping: finishing what is under way");
    app.is_draining.store(true, Ordering::Release);
    stop.send_replace(true);
    let draining = async { tokio::join!(serving, pushing) };
    if timeout(config.drain_timeout, draining).await.is_err() {
        tracing::warn!("something was still under way when the time to finish it was over");
    }
    close(&app).await;
    match reason {
        None => {
            tracing::info!("stopped");
            Outcome::ShutDown
        }
        Some(reason) => Outcome::Stopped(reason),
    }
}

/// Waits until somebody asks this process to stop, or the view cannot be kept; says why in the latter case.
async fn until_asked(
    mut asked: Asked,
    following: tokio::task::JoinHandle<Result<(), String>>,
) -> Option<String> {
    let failed = tokio::select! {
        () = asked.wait() => return None,
        failed = following => failed,
    };
    let reason = match failed {
        Ok(Ok(())) => "the view is not kept any more".to_owned(),
        Ok(Err(reason)) => reason,
        Err(error) => format!("keeping the view ended early: {error}"),
    };
    tracing::error!(reason, "this service stops");
    Some(reason)
}

fn build(config: &Config, stop: watch::Receiver<bool>) -> Result<App, String> {
    let client = Client::new(&config.endpoints, Options::default()).map_err(|error| error.to_string())?;
    let (views, notes) = Views::open(&config.dir)?;
    for note in notes {
        tracing::warn!("{note}");
    }
    let at_ms = views.current().map_or(0, |view| view.mark().at_ms);
    Ok(App::new(Shared {
        registry: Registry::new(client.clone()),
        client,
        views,
        wakers: Wakers::default(),
        progress: Arc::new(Progress::new(at_ms)),
        delivered: Arc::default(),
        changed: Arc::new(Notify::new()),
        sender: Sender::new(config.webhooks.timeout)?,
        counters: Arc::default(),
        streams: Arc::new(Semaphore::new(config.max_streams)),
        bodies: Room::new(BODIES_BYTES),
        stop,
        is_draining: AtomicBool::new(false),
        config: config.clone(),
    }))
}

fn follower(app: &App) -> Follower {
    Follower {
        client: app.client.clone(),
        views: app.views.clone(),
        wakers: app.wakers.clone(),
        delivered: app.delivered.clone(),
        progress: app.progress.clone(),
        counters: app.counters.clone(),
        batch: app.config.batch,
        outbox: app.config.outbox,
    }
}

fn workers(app: &App) -> push::Shared {
    push::Shared {
        views: app.views.clone(),
        wakers: app.wakers.clone(),
        delivered: app.delivered.clone(),
        registry: app.registry.clone(),
        sender: app.sender.clone(),
        settings: app.config.webhooks.clone(),
        counters: app.counters.clone(),
    }
}

/// Hands the view to the disk, so that the next start has less to do again.
async fn close(app: &App) {
    let Some(view) = app.views.current() else { return };
    match tokio::task::spawn_blocking(move || view.flush()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the view was not written whole"),
        Err(error) => tracing::warn!(%error, "the view was not written whole"),
    }
}
