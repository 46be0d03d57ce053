//! What could not be passed on: looked at, tried again, or thrown away by a person.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get, post};
use holdfast_api::{DeadLetter, ErrorCode, Problem};
use holdfast_sdk::model::{DeadLetterId, StoreId};
use serde_json::Value;

use crate::app::App;
use crate::body::{Letter, LetterPage, ReplayResult, Replayed};
use crate::events;
use crate::push::Message;
use crate::read::{Params, id};
use crate::registry::{Subscription, Undelivered};
use crate::reply::{self, malformed, of_cluster, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/dlq", get(list))
        .route("/dlq/{letterId}", delete(remove))
        .route("/dlq/{letterId}/replay", post(replay))
}

async fn list(State(app): State<App>, uri: Uri) -> Response {
    listed(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn listed(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["storeId", "after", "limit"])?;
    let (store, after) = (params.id::<StoreId>("storeId")?, params.number("after")?);
    let page = app.registry.letters(store.as_ref(), after, params.limit()?).await.map_err(of_cluster)?;
    let letters = page.dead_letters.iter().map(shown).collect::<Result<Vec<Letter>, Problem>>()?;
    Ok(reply::json(200, &LetterPage { letters, next: page.next }))
}

/// A letter as it is shown: what it says as JSON where it is JSON, otherwise as text.
fn shown(letter: &DeadLetter) -> Result<Letter, Problem> {
    let body = body(letter)?;
    let text = String::from_utf8_lossy(&body);
    Ok(Letter {
        letter_id: letter.dead_letter_id.clone(),
        store_id: letter.store_id.clone(),
        direction: letter.direction.clone(),
        status: letter.status.clone(),
        at: letter.at.clone(),
        reason: letter.reason.clone(),
        body: serde_json::from_slice(&body).unwrap_or_else(|_| Value::from(text)),
    })
}

fn body(letter: &DeadLetter) -> Result<Vec<u8>, Problem> {
    letter.body().map_err(|error| Problem::new(ErrorCode::LedgerDamaged, error))
}

async fn remove(State(app): State<App>, Path(letter): Path<String>, uri: Uri) -> Response {
    removed(&app, &letter, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn removed(app: &App, letter: &str, uri: &Uri) -> Result<Response, Problem> {
    let letter: DeadLetterId = id(letter)?;
    Params::of(uri, &[])?;
    let found = app.registry.letter(letter).await.map_err(of_cluster)?;
    app.registry.remove_letter(letter).await.map_err(of_cluster)?;
    Ok(reply::json(200, &shown(&found)?))
}

async fn replay(State(app): State<App>, Path(letter): Path<String>, uri: Uri) -> Response {
    replayed(&app, &letter, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

/// Tries once more; only what has succeeded is removed. A crash in between leaves the letter, and trying again is safe:
/// an event has its id, and a receiver passes over what it has.
async fn replayed(app: &App, letter: &str, uri: &Uri) -> Result<Response, Problem> {
    let letter: DeadLetterId = id(letter)?;
    Params::of(uri, &[])?;
    let found = app.registry.letter(letter).await.map_err(of_cluster)?;
    let (store, body): (StoreId, Vec<u8>) = (id(&found.store_id)?, body(&found)?);
    let result = if found.direction == "FROM_STORE" {
        ReplayResult::Event(events::apply_again(app, &store, &body).await?)
    } else {
        deliver(app, &store, &body).await?;
        ReplayResult::Message { status: "DELIVERED" }
    };
    app.registry.remove_letter(letter).await.map_err(of_cluster)?;
    Ok(reply::json(200, &Replayed { letter_id: letter.to_string(), result }))
}

async fn deliver(app: &App, store: &StoreId, body: &[u8]) -> Result<(), Problem> {
    let kept: Undelivered = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the letter holds no message: {error}")))?;
    let found = app.registry.subscriptions(Some(store)).await.map_err(of_cluster)?;
    let subscription = found.into_iter().find(|one| one.id == kept.subscription_id).ok_or_else(|| {
        let detail = format!("{store} has no subscription {} any more", kept.subscription_id);
        Problem::new(ErrorCode::UnknownSubscription, detail)
    })?;
    let Subscription { url, secrets, .. } = &subscription;
    let message = Message { id: kept.message_id, body: kept.body, upto: 0, movements: 0 };
    let sent = app.sender.send(url, secrets, &message).await;
    sent.map_err(|failure| Problem::new(ErrorCode::DeliveryFailed, failure.detail))
}
