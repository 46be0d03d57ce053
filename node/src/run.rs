//! A node's life: start, serve, and stop when asked, or when the replica stops.

use std::time::Duration;

use holdfast_replica::Replica;
use holdfast_serve::{Limits, connections_within_reach, listen, serve};
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::{App, Config, app};

/// A connection whose reader takes nothing is closed after as many times the limit that cuts off a feed: a reader that
/// comes back in between still finds out why its feed ended.
const CLOSE_AFTER_STALLS: u32 = 3;

/// What a node that has stopped by itself gives its streams to tell their readers so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a node ended.
#[derive(Debug)]
pub enum Outcome {
    /// It was asked to stop, and did.
    ShutDown,
    /// It never ran.
    CannotStart(String),
    /// The replica stopped by itself.
    Stopped(String),
}

/// Runs a node until it is asked to stop or its replica stops.
pub async fn run(config: Config) -> Outcome {
    let listener = match listen(config.http).await {
        Ok(listener) => listener,
        Err(error) => return Outcome::CannotStart(error),
    };
    let mut asked = match Asked::new(config.stop_when_stdin_closes) {
        Ok(asked) => asked,
        Err(error) => return Outcome::CannotStart(format!("signals cannot be received: {error}")),
    };
    let replica = match Replica::start(config.replica.clone(), config.detours.clone()).await {
        Ok(replica) => replica,
        Err(error) => return Outcome::CannotStart(error.to_string()),
    };
    tracing::info!(node = config.replica.me.id, http = %config.http, peer = %config.replica.me.peer, "started");
    let timeout = Duration::from_millis(config.request_timeout_ms);
    let service = App::new(replica.clone(), timeout, config.feed, config.detours);
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits {
        connections: connections_within_reach(config.max_connections),
        stall: config.feed.stall * CLOSE_AFTER_STALLS,
    };
    let serving = tokio::spawn(serve(listener, app(&service), limits, async {
        // The sender is dropped at the end of the process at the latest.
        let _ = stopped.await;
    }));
    tokio::select! {
        () = asked.wait() => {}
        reason = replica.stopped() => {
            tracing::error!(%reason, "this node has stopped");
            service.drain(&format!("this node has stopped: {reason}"));
            drop(stop);
            // Who has not taken it by then sees the connection break off.
            let _ = tokio::time::timeout(LAST_WORDS, serving).await;
            return Outcome::Stopped(reason);
        }
    }
    tracing::info!("stopping: handing over, then finishing what is under way");
    service.drain("this node is stopping: go on at another");
    let drain = Duration::from_millis(config.drain_timeout_ms);
    if replica.leads()
        && let Err(error) = replica.transfer_leadership(None, drain).await
    {
        tracing::warn!(%error, "leadership was not handed over");
    }
    drop(stop);
    if tokio::time::timeout(drain, serving).await.is_err() {
        tracing::warn!("some requests were still under way when the time to finish them was over");
    }
    replica.shutdown(drain).await;
    tracing::info!("stopped");
    Outcome::ShutDown
}

/// Waits for somebody to ask this process to stop.
struct Asked {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    watches_stdin: bool,
}

impl Asked {
    fn new(watches_stdin: bool) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, watches_stdin })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stdin_closes(), if self.watches_stdin => std::process::exit(0),
        }
    }
}

async fn stdin_closes() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while !matches!(stdin.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
