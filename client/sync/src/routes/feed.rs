//! A store's movements as server-sent events (HTML standard, section 9.2): first its balances, or what follows a cursor.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use holdfast_api::{Cursor, ErrorCode, Problem};
use holdfast_sdk::model::{ItemId, StoreId};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep_until};

use crate::app::App;
use crate::body::ResetBody;
use crate::read::{Params, id};
use crate::reply::{malformed, problem};
use crate::view::{Entries, Generation, Mark, ResetReason, ViewError};

/// Something is said at least so often, so that both sides notice a connection that is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// How long a reader is to wait before it connects again.
const RECONNECT: Duration = Duration::from_secs(1);
/// Movements that are read at once.
const CHUNK: usize = 200;
/// And about so many bytes of them: what a reader that does not read costs.
const CHUNK_BYTES: usize = 64 << 10;
/// Rows in a part of a reset.
const RESET_ROWS: usize = 500;

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new().route("/stores/{storeId}/feed", get(feed))
}

async fn feed(State(app): State<App>, Path(store): Path<String>, headers: HeaderMap, uri: Uri) -> Response {
    match Reader::new(app, &store, &headers, &uri) {
        Ok(reader) => {
            let events = stream::unfold(reader, |mut reader| async move {
                let event = reader.next().await?;
                Some((Ok::<_, Infallible>(event), reader))
            });
            Sse::new(events).into_response()
        }
        Err(refused) => problem(&refused),
    }
}

/// One who reads a store's feed.
struct Reader {
    app: App,
    store: StoreId,
    place: Place,
    ready: VecDeque<Event>,
    news: watch::Receiver<u64>,
    views: watch::Receiver<u64>,
    /// When it was given something last. It is asked for more as soon as its connection has room.
    given_at: Option<Instant>,
    _permit: OwnedSemaphorePermit,
}

/// Where a reader is.
enum Place {
    /// It has everything up to here.
    At(Cursor),
    /// It is getting the balances of all rows.
    Reset(Reset),
    /// It has been told why there is no more.
    Over,
}

/// How far a reset is.
struct Reset {
    reason: ResetReason,
    /// The view that it is of and how far that was at the start; none before the first part.
    start: Option<(u64, Mark)>,
    part: u32,
    after: Option<ItemId>,
}

impl Reset {
    const fn start(reason: ResetReason) -> Place {
        Place::Reset(Self { reason, start: None, part: 1, after: None })
    }
}

impl Reader {
    fn new(app: App, store: &str, headers: &HeaderMap, uri: &Uri) -> Result<Self, Problem> {
        let store: StoreId = id(store)?;
        let params = Params::of(uri, &["after"])?;
        let resumed = match headers.get("last-event-id") {
            None => None,
            Some(value) => Some(value.to_str().map_err(|_| malformed("Last-Event-ID is no cursor"))?),
        };
        let cursor = match resumed.filter(|text| !text.is_empty()) {
            Some(text) => Some(id(text)?),
            None => params.id("after")?,
        };
        let place = cursor.map_or(Reset::start(ResetReason::Start), Place::At);
        let full = |_| Problem::new(ErrorCode::Overloaded, "there are as many streams as are allowed");
        let permit = app.streams.clone().try_acquire_owned().map_err(full)?;
        let (news, views) = (app.wakers.listen(&store), app.views.changes());
        let ready = VecDeque::from([Event::default().retry(RECONNECT).comment("holdfast")]);
        Ok(Self { app, store, place, ready, news, views, given_at: None, _permit: permit })
    }

    /// The next event; none at the end.
    async fn next(&mut self) -> Option<Event> {
        let limit = self.app.config.stall;
        let took_nothing = self.given_at.is_some_and(|given| given.elapsed() > limit);
        let next = if took_nothing && !matches!(self.place, Place::Over) {
            let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
            tracing::info!(limit_ms, "the reader of a stream took nothing for too long: it is cut off");
            let detail = format!("nothing was taken for {limit_ms} ms: go on from the last id");
            self.end(&Problem::new(ErrorCode::SlowReader, detail).with("limitMs", limit_ms))
        } else {
            self.wait().await
        };
        self.given_at = Some(Instant::now());
        next
    }

    /// The last event: it has no id, so that the reader goes on from what it had before.
    fn end(&mut self, problem: &Problem) -> Option<Event> {
        self.place = Place::Over;
        self.ready.clear();
        event("error", None, problem).ok()
    }

    /// Waits for an event: one that says nothing, when there is none for long.
    async fn wait(&mut self) -> Option<Event> {
        let mut stop = self.app.stop.clone();
        let keep_alive_at = Instant::now() + KEEP_ALIVE;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if matches!(self.place, Place::Over) {
                return None;
            }
            if *stop.borrow() {
                return self
                    .end(&Problem::new(ErrorCode::Stopped, "this service is stopping; connect again"));
            }
            self.news.borrow_and_update();
            self.views.borrow_and_update();
            let was_read = self.app.views.current().is_some_and(|view| {
                self.read(&view).inspect_err(|error| self.app.views.report(&view, error)).is_ok()
            });
            if !was_read || self.ready.is_empty() && matches!(self.place, Place::At(_)) {
                tokio::select! {
                    _ = self.news.changed() => {}
                    _ = self.views.changed() => {}
                    _ = stop.wait_for(|stop| *stop) => {}
                    () = sleep_until(keep_alive_at) => return Some(Event::default().comment("")),
                }
            }
        }
    }

    /// Reads what comes next.
    fn read(&mut self, view: &Arc<Generation>) -> Result<(), ViewError> {
        let epoch = view.mark().epoch;
        match &mut self.place {
            Place::Over => Ok(()),
            Place::At(at) if at.epoch.as_ref().is_some_and(|of| *of != epoch) => {
                self.place = Reset::start(ResetReason::OtherEpoch);
                Ok(())
            }
            Place::At(at) => {
                match view.entries(&self.store, at.seq, CHUNK, CHUNK_BYTES)? {
                    Entries::Missed => self.place = Reset::start(ResetReason::Behind),
                    Entries::Next(entries) => {
                        for entry in entries {
                            *at = Cursor::new(epoch.clone(), entry.seq);
                            let event = Event::default().event("movement").id(at.to_string());
                            self.ready.push_back(event.data(entry.json));
                        }
                    }
                }
                Ok(())
            }
            Place::Reset(_) => self.read_reset(view),
        }
    }

    fn read_reset(&mut self, view: &Arc<Generation>) -> Result<(), ViewError> {
        let Place::Reset(reset) = &mut self.place else { return Ok(()) };
        let start = match reset.start.take() {
            Some((number, mark)) if number == view.number => mark,
            _ => {
                (reset.part, reset.after) = (1, None);
                view.mark()
            }
        };
        let page = view.rows(&self.store, reset.after.as_ref(), RESET_ROWS)?;
        let body = ResetBody::new(&self.store, &start.epoch, start.seq, reset.reason, reset.part, &page);
        let at = Cursor::new(start.epoch.clone(), start.seq);
        // A reader that did not get the last part has nothing to resume from.
        let id = page.next.is_none().then(|| at.to_string());
        self.ready.push_back(event("reset", id, &body)?);
        match page.next {
            None => self.place = Place::At(at),
            Some(next) => {
                reset.after =
                    Some(next.parse().map_err(|_| ViewError::Damaged("an item's name".to_owned()))?);
                reset.part += 1;
                reset.start = Some((view.number, start));
            }
        }
        Ok(())
    }
}

fn event<T: Serialize>(name: &str, id: Option<String>, body: &T) -> Result<Event, ViewError> {
    let text = serde_json::to_string(body).map_err(|error| ViewError::Damaged(error.to_string()))?;
    let event = Event::default().event(name).data(text);
    Ok(match id {
        Some(id) => event.id(id),
        None => event,
    })
}
