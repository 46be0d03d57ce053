//! Serves one subscription: one message at a time, in the store's order, again and again until the receiver has it.
//!
//! A message that cannot be delivered becomes a dead letter; after that the receiver gets a reset before anything newer.

use std::sync::Arc;
use std::time::Duration;

use holdfast_api::Epoch;
use holdfast_service::metrics;
use tokio::sync::watch;

use super::Shared;
use super::circuit::Circuit;
use super::message::{Address, Message, movements, reset};
use crate::registry::{Letter, Subscription};
use crate::view::{Entries, Generation, Position, ResetReason, ViewError};

/// Rows in a part of a reset.
const RESET_ROWS: usize = 500;
/// A message holds about so many bytes of movements, so that it fits among the dead letters.
const MAX_MESSAGE_BYTES: usize = 48 << 10;
/// How long a view that could not be read is left alone.
const VIEW_WAIT: Duration = Duration::from_millis(500);

/// The one who serves a subscription.
pub struct Worker {
    pub(super) subscription: Subscription,
    pub(super) shared: Arc<Shared>,
    pub(super) circuit: Circuit,
    /// Becomes true when the service stops.
    pub(super) stop: watch::Receiver<bool>,
}

/// Why a message is not being delivered any more.
enum Undelivered {
    /// It lies among the dead letters, or its attempts are over.
    GivenUp,
    /// The service stops, or another view is in use.
    Void,
}

impl Worker {
    /// Serves until the service stops.
    pub async fn run(mut self) {
        let (store, mut views) = (self.subscription.store.clone(), self.shared.views.changes());
        let mut news = self.shared.wakers.listen(&store);
        while !*self.stop.borrow() {
            views.borrow_and_update();
            news.borrow_and_update();
            let Some(view) = self.shared.views.current() else {
                self.wait_for(views.changed()).await;
                continue;
            };
            match self.step(&view).await {
                Ok(true) => {}
                Ok(false) => {
                    drop(view);
                    let mut stop = self.stop.clone();
                    tokio::select! {
                        _ = news.changed() => {}
                        _ = views.changed() => {}
                        _ = stop.wait_for(|stop| *stop) => {}
                    }
                }
                Err(error) => {
                    self.shared.views.report(&view, &error);
                    self.wait_for(tokio::time::sleep(VIEW_WAIT)).await;
                }
            }
        }
    }

    /// Waits for something, or for the end of the service.
    async fn wait_for<T>(&self, what: impl Future<Output = T>) {
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = what => {}
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }

    /// Delivers what comes next; false when there is nothing.
    async fn step(&mut self, view: &Arc<Generation>) -> Result<bool, ViewError> {
        match view.position(self.subscription.id)?.unwrap_or(Position::Reset(ResetReason::Start)) {
            Position::At(after) => {
                self.note_seq(Some(after));
                let limit = self.shared.settings.batch;
                match view.entries(&self.subscription.store, after, limit, MAX_MESSAGE_BYTES)? {
                    Entries::Missed => self.move_to(view, Position::Reset(ResetReason::Behind)),
                    Entries::Next(entries) if entries.is_empty() => return Ok(false),
                    Entries::Next(entries) => {
                        let epoch = view.mark().epoch;
                        let message = movements(&self.address(&epoch), after, &entries);
                        let message = message.map_err(|error| ViewError::Damaged(error.to_string()))?;
                        self.movements(view, &message).await
                    }
                }
            }
            Position::Reset(reason) => self.reset(view, reason).await,
        }?;
        Ok(true)
    }

    fn address<'a>(&'a self, epoch: &'a Epoch) -> Address<'a> {
        Address { subscription: self.subscription.id, store: &self.subscription.store, epoch }
    }

    async fn movements(&mut self, view: &Generation, message: &Message) -> Result<(), ViewError> {
        match self.deliver(view, message, true).await {
            Ok(()) => {
                metrics::add(&self.shared.counters.movements_delivered, message.movements);
                self.move_to(view, Position::At(message.upto))
            }
            Err(Undelivered::GivenUp) => self.move_to(view, Position::Reset(ResetReason::DeadLetter)),
            Err(Undelivered::Void) => Ok(()),
        }
    }

    /// Sends the balances of all rows, part by part. Each part is as new as can be; what is newer than the first one comes
    /// again as movements, whose versions tell that.
    async fn reset(&mut self, view: &Arc<Generation>, reason: ResetReason) -> Result<(), ViewError> {
        self.note_seq(None);
        let mark = view.mark();
        let mut after = None;
        for part in 1.. {
            let page = view.rows(&self.subscription.store, after.as_ref(), RESET_ROWS)?;
            let message = reset(&self.address(&mark.epoch), mark.seq, reason, part, &page);
            let message = message.map_err(|error| ViewError::Damaged(error.to_string()))?;
            if self.deliver(view, &message, false).await.is_err() {
                // It starts anew, with newer balances.
                return Ok(());
            }
            let Some(next) = page.next else { break };
            after = Some(next.parse().map_err(|_| ViewError::Damaged("an item's name".to_owned()))?);
        }
        metrics::one(&self.shared.counters.resets);
        view.set_position(self.subscription.id, Position::At(mark.seq))?;
        // A crash that took this back would cost the store its movements: it would get another reset instead.
        self.flush(view).await?;
        self.note_seq(Some(mark.seq));
        Ok(())
    }

    async fn flush(&self, view: &Arc<Generation>) -> Result<(), ViewError> {
        let view = view.clone();
        let flushed = tokio::task::spawn_blocking(move || view.flush()).await;
        flushed.unwrap_or_else(|error| Err(ViewError::Damaged(format!("writing ended early: {error}"))))
    }

    fn move_to(&self, view: &Generation, position: Position) -> Result<(), ViewError> {
        view.set_position(self.subscription.id, position)?;
        self.note_seq(match position {
            Position::At(seq) => Some(seq),
            Position::Reset(_) => None,
        });
        Ok(())
    }

    fn note_seq(&self, seq: Option<u64>) {
        let Subscription { store, id, .. } = &self.subscription;
        self.shared.delivered.note(store, *id, |standing| standing.delivered_seq = seq);
    }

    /// Sends a message until the receiver takes it or its attempts are over. One that must not get lost is given up only
    /// once it lies among the dead letters.
    async fn deliver(
        &mut self,
        view: &Generation,
        message: &Message,
        must_not_get_lost: bool,
    ) -> Result<(), Undelivered> {
        let mut attempts = 0;
        loop {
            let Subscription { url, secrets, .. } = &self.subscription;
            let failure = match self.shared.sender.send(url, secrets, message).await {
                Ok(()) => {
                    self.circuit.succeeded();
                    metrics::one(&self.shared.counters.delivered);
                    self.note_failure(None);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            attempts += 1;
            metrics::one(&self.shared.counters.failed_attempts);
            let wait = self.circuit.failed(&self.shared.settings, failure.wait);
            if self.circuit.failures() == 1 {
                let Subscription { id, store, .. } = &self.subscription;
                tracing::warn!(subscription = %id, %store, error = failure.detail, "a receiver does not take messages");
            }
            self.note_failure(Some(&failure.detail));
            if attempts >= self.shared.settings.attempts
                && (!must_not_get_lost || self.is_dead_letter(message, &failure.detail, attempts).await)
            {
                return Err(Undelivered::GivenUp);
            }
            self.wait_for(tokio::time::sleep(wait)).await;
            let is_current = self.shared.views.current().is_some_and(|current| current.number == view.number);
            if *self.stop.borrow() || !is_current {
                return Err(Undelivered::Void);
            }
        }
    }

    fn note_failure(&self, error: Option<&str>) {
        let Subscription { store, id, .. } = &self.subscription;
        self.shared.delivered.note(store, *id, |standing| {
            standing.failures = self.circuit.failures();
            standing.last_error = error.map(str::to_owned);
        });
    }

    /// Puts a message among the dead letters; false when they do not take it now.
    async fn is_dead_letter(&self, message: &Message, error: &str, attempts: u32) -> bool {
        let letter = Letter::undelivered(&self.subscription, message, attempts, error);
        let kept = self.shared.registry.keep(std::slice::from_ref(&letter)).await;
        let kept = match kept.map(|mut kept| kept.pop()) {
            Ok(Some(kept)) => kept.map_err(|problem| problem.detail),
            Ok(None) => Err("the cluster did not answer".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        match kept {
            Ok(()) => {
                metrics::one(&self.shared.counters.dead_letters);
                tracing::warn!(
                    letter = %letter.id,
                    store = %letter.store,
                    attempts,
                    error,
                    "a message became a dead letter; its store gets a reset"
                );
                true
            }
            Err(refused) => {
                tracing::warn!(letter = %letter.id, error = refused, "a dead letter was not taken; it is kept");
                false
            }
        }
    }
}
