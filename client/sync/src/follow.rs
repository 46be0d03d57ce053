//! Keeps the view: builds it when there is none, and moves it on by the feed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use holdfast_sdk::Client;
use holdfast_sdk::model::StoreId;
use holdfast_service::metrics;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::Outbox;
use crate::metrics::Counters;
use crate::progress::Progress;
use crate::push::Delivered;
use crate::source::{self, Ended, Item};
use crate::view::{Fed, Generation, ViewError, Views};
use crate::wakers::Wakers;

/// Rows of a snapshot in one transaction.
const LOAD_ROWS: usize = 2000;
/// The first wait after the cluster could not be asked; it doubles from time to time.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// No wait is longer.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// How long the cluster may take to say whether the view has everything; it is asked again at the next bookmark.
const ASK: Duration = Duration::from_secs(1);

/// The one who keeps the view.
pub struct Follower {
    /// The cluster.
    pub client: Client,
    /// The view.
    pub views: Views,
    /// Who is told of new movements.
    pub wakers: Wakers,
    /// How far movements have been delivered.
    pub delivered: Arc<Delivered>,
    /// How far the view is behind.
    pub progress: Arc<Progress>,
    /// What is counted.
    pub counters: Arc<Counters>,
    /// Most records in one transaction.
    pub batch: usize,
    /// How much of each store's movements is kept.
    pub outbox: Outbox,
}

/// Why a view is not moved on any more.
enum Stop {
    /// Another is to be built.
    Rebuild(String),
    /// The feed can be asked again.
    Later(String),
    /// Nothing can be written.
    Blocked(String),
}

impl From<Ended> for Stop {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Rebuild(reason) => Self::Rebuild(reason),
            Ended::Later(reason) => Self::Later(reason),
        }
    }
}

impl From<ViewError> for Stop {
    fn from(error: ViewError) -> Self {
        match error {
            ViewError::Damaged(_) | ViewError::Unfit(_) => Self::Rebuild(error.to_string()),
            ViewError::Blocked(_) => Self::Blocked(error.to_string()),
        }
    }
}

impl Follower {
    /// Keeps the view until the service stops.
    ///
    /// # Errors
    /// When nothing can be written any more, in words.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Result<(), String> {
        tokio::select! {
            reason = self.keep() => Err(reason),
            _ = stop.wait_for(|stop| *stop) => Ok(()),
        }
    }

    /// Keeps the view; returns why it can't any more.
    async fn keep(&self) -> String {
        let mut rebuild = self.views.current().is_none().then(|| "there is none".to_owned());
        let mut wait = FIRST_WAIT;
        loop {
            let (seq, stopped) = match (rebuild.take(), self.views.current()) {
                (None, Some(view)) => {
                    let seq = view.seq();
                    let stopped = self.follow(&view).await;
                    (Some(seq), stopped)
                }
                (reason, _) => {
                    let reason = reason.unwrap_or_else(|| "there is none".to_owned());
                    match self.rebuild(&reason).await {
                        Ok(()) => continue,
                        Err(Stop::Rebuild(error) | Stop::Later(error)) => {
                            rebuild = Some(reason);
                            (None, Stop::Later(error))
                        }
                        Err(Stop::Blocked(error)) => return error,
                    }
                }
            };
            self.progress.lost();
            match stopped {
                Stop::Rebuild(reason) => rebuild = Some(reason),
                Stop::Later(error) => tracing::warn!(error, "the cluster does not answer; it is asked again"),
                Stop::Blocked(error) => return error,
            }
            let has_moved = seq.is_some_and(|seq| self.views.current().is_some_and(|view| view.seq() > seq));
            wait = if has_moved { FIRST_WAIT } else { (wait * 2).min(MAX_WAIT) };
            tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        }
    }

    /// Moves a view on, until something stands in the way.
    async fn follow(&self, view: &Arc<Generation>) -> Stop {
        let mark = view.mark();
        tracing::info!(epoch = %mark.epoch, seq = mark.seq, rows = mark.rows, "following the feed");
        let mut damaged = self.views.damaged();
        let feed = source::follow(&self.client, &mark.epoch, mark.seq).ready_chunks(self.batch);
        tokio::pin!(feed);
        loop {
            let chunk = tokio::select! {
                chunk = feed.next() => chunk,
                _ = damaged.wait_for(|number| *number == view.number) => {
                    return Stop::Rebuild("it is damaged".to_owned());
                }
            };
            let Some(chunk) = chunk else { return Stop::Later("the feed ended".to_owned()) };
            if let Err(stop) = self.take(view, chunk).await {
                return stop;
            }
        }
    }

    /// Takes what has come of the feed.
    async fn take(&self, view: &Arc<Generation>, chunk: Vec<Result<Item, Ended>>) -> Result<(), Stop> {
        let (mut records, mut bookmark, mut end) = (Vec::new(), None, None);
        for item in chunk {
            match item {
                Ok(Item::Record(fed)) => {
                    records.push(fed);
                    bookmark = None;
                }
                Ok(Item::Bookmark(seq)) => bookmark = Some(seq),
                Err(ended) => end = Some(ended),
            }
        }
        if !records.is_empty() {
            self.write(view, records).await?;
        }
        if bookmark.is_some_and(|seq| seq >= view.seq()) {
            self.ask_whether_all(view).await;
        }
        end.map_or(Ok(()), |ended| Err(ended.into()))
    }

    /// Finds out whether the view has everything. A bookmark alone does not say so: a node greets with one, and may be
    /// behind the others.
    async fn ask_whether_all(&self, view: &Generation) {
        let seq = view.seq();
        self.progress.heard();
        if matches!(timeout(ASK, source::is_all(&self.client, seq)).await, Ok(Ok(true))) {
            self.progress.has_everything();
        }
    }

    async fn write(&self, view: &Arc<Generation>, records: Vec<Fed>) -> Result<(), Stop> {
        let (writer, delivered, outbox) = (view.clone(), self.delivered.clone(), self.outbox);
        let (count, at_ms) = (records.len(), records.last().map_or(0, |fed| fed.at_ms));
        let needed = move |store: &StoreId| delivered.upto(store);
        let written =
            blocking(move || writer.write(&records, outbox, needed)).await.inspect_err(|error| {
                self.views.report(view, error);
            })?;
        metrics::add(&self.counters.records, count as u64);
        metrics::one(&self.counters.batches);
        self.progress.took(at_ms);
        self.wakers.wake(&written.stores);
        Ok(())
    }

    /// Builds a view from a snapshot and puts it into use.
    async fn rebuild(&self, reason: &str) -> Result<(), Stop> {
        tracing::warn!(reason, "the view is built from a snapshot of the cluster");
        let started = std::time::Instant::now();
        let snapshot = source::snapshot(&self.client).await?;
        let (views, epoch, seq, at_ms) = (self.views.clone(), snapshot.epoch, snapshot.seq, snapshot.at_ms);
        let view = Arc::new(blocking(move || views.begin(epoch, seq, at_ms)).await?);
        let loaded = load(&view, snapshot.rows).await;
        let view = Arc::into_inner(view).expect("those who loaded it are done");
        if let Err(stop) = loaded {
            Views::abandon(view);
            return Err(stop);
        }
        let mark = view.mark();
        self.views.switch(view);
        self.progress.restart(at_ms);
        metrics::one(&self.counters.rebuilds);
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(epoch = %mark.epoch, seq, rows = mark.rows, took_ms, "the view is built");
        Ok(())
    }
}

async fn load(
    view: &Arc<Generation>,
    rows: impl futures_util::Stream<Item = Result<source::Loaded, Ended>> + Unpin,
) -> Result<(), Stop> {
    let mut chunks = rows.ready_chunks(LOAD_ROWS);
    while let Some(chunk) = chunks.next().await {
        let rows: Vec<source::Loaded> = chunk.into_iter().collect::<Result<_, Ended>>()?;
        let writer = view.clone();
        blocking(move || writer.load(&rows)).await?;
    }
    let writer = view.clone();
    blocking(move || writer.finish()).await?;
    Ok(())
}

/// Writes beside the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ViewError> + Send + 'static,
) -> Result<T, ViewError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ViewError::Damaged(format!("writing ended early: {error}"))))
}
