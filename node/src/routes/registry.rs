//! What is kept for stores: webhook subscriptions and dead letters.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{get, post};
use holdfast_api::{
    DeadLetter, DeadLetterPage, ErrorCode, NewDeadLetter, NewSubscription, Problem, Retire, Subscription,
    SubscriptionPage,
};
use holdfast_model::{Command, DeadLetterId, LetterAction, StoreId, SubscriptionAction, SubscriptionId};

use crate::App;
use crate::mutate::{MAX_BODY_BYTES, Whole, carry_out, keyed};
use crate::read::{Params, id};
use crate::reply::{json, malformed, problem};

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/subscriptions", post(subscribe).get(subscriptions))
        .route("/subscriptions/{subscriptionId}", get(subscription).delete(unsubscribe))
        .route("/dead-letters", post(keep_letter).get(letters))
        .route("/dead-letters/{deadLetterId}", get(letter).delete(remove_letter))
        .route("/dead-letters/{deadLetterId}/requeue", post(requeue_letter))
}

/// Reads a request, makes a command of it, and carries it out.
async fn on_registry(
    app: &App,
    request: Request,
    route: &str,
    created: bool,
    command: impl FnOnce(&Whole) -> Result<Command, Problem>,
) -> Response {
    let whole = match Whole::read(app, request, MAX_BODY_BYTES).await {
        Ok(whole) => whole,
        Err(refused) => return problem(&refused),
    };
    let command = command(&whole).and_then(|command| keyed(command, route, &whole.parts.headers));
    carry_out(app, whole, command, created).await
}

async fn subscribe(State(app): State<App>, request: Request) -> Response {
    let command = |whole: &Whole| Ok(whole.json::<NewSubscription>()?.into_command());
    on_registry(&app, request, "subscriptions", true, command).await
}

async fn unsubscribe(State(app): State<App>, Path(text): Path<String>, request: Request) -> Response {
    let command = |whole: &Whole| {
        let Retire {} = whole.json()?;
        Ok(Command::Subscription { subscription: id(&text)?, action: SubscriptionAction::Unsubscribe })
    };
    on_registry(&app, request, "subscriptions/delete", false, command).await
}

async fn subscriptions(State(app): State<App>, uri: Uri) -> Response {
    subscription_page(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn subscription_page(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["storeId", "after", "limit", "secrets"])?;
    let (store, with_secrets) = (params.id::<StoreId>("storeId")?, wants_secrets(&params)?);
    let (after, limit) = (params.number("after")?, params.limit()?);
    params.be_up_to_date(app).await?;
    let page = app.replica().read(|inventory| inventory.subscriptions(store.as_ref(), after, limit));
    let subscriptions = page.items.iter().map(|view| Subscription::of(view, with_secrets)).collect();
    Ok(json(200, &SubscriptionPage { subscriptions, next: page.next }))
}

async fn subscription(State(app): State<App>, Path(text): Path<String>, uri: Uri) -> Response {
    look_at_subscription(&app, &text, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_subscription(app: &App, text: &str, uri: &Uri) -> Result<Response, Problem> {
    let subscription: SubscriptionId = id(text)?;
    let params = Params::of(uri, &["secrets"])?;
    let with_secrets = wants_secrets(&params)?;
    params.be_up_to_date(app).await?;
    let found = app.replica().read(|inventory| inventory.subscription(subscription));
    let unknown =
        || Problem::new(ErrorCode::UnknownSubscription, format!("there is no subscription {subscription}"));
    Ok(json(200, &Subscription::of(&found.ok_or_else(unknown)?, with_secrets)))
}

/// Whether the caller, who is to sign with them, asks for secrets.
fn wants_secrets(params: &Params) -> Result<bool, Problem> {
    match params.text("secrets") {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(other) => Err(malformed(format!("secrets must be 0 or 1, got {other:?}"))),
    }
}

async fn keep_letter(State(app): State<App>, request: Request) -> Response {
    let command = |whole: &Whole| whole.json::<NewDeadLetter>()?.into_command().map_err(malformed);
    on_registry(&app, request, "dead-letters", true, command).await
}

async fn on_letter(app: &App, text: &str, request: Request, route: &str, action: LetterAction) -> Response {
    let command = |whole: &Whole| {
        let Retire {} = whole.json()?;
        Ok(Command::DeadLetter { letter: id(text)?, action })
    };
    on_registry(app, request, route, false, command).await
}

async fn requeue_letter(State(app): State<App>, Path(text): Path<String>, request: Request) -> Response {
    on_letter(&app, &text, request, "dead-letters/requeue", LetterAction::Requeue).await
}

async fn remove_letter(State(app): State<App>, Path(text): Path<String>, request: Request) -> Response {
    on_letter(&app, &text, request, "dead-letters/delete", LetterAction::Remove).await
}

async fn letters(State(app): State<App>, uri: Uri) -> Response {
    letter_page(&app, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn letter_page(app: &App, uri: &Uri) -> Result<Response, Problem> {
    let params = Params::of(uri, &["storeId", "after", "limit"])?;
    let store = params.id::<StoreId>("storeId")?;
    let (after, limit) = (params.number("after")?, params.limit()?);
    params.be_up_to_date(app).await?;
    let page = app.replica().read(|inventory| inventory.dead_letters(store.as_ref(), after, limit));
    let dead_letters = page.items.iter().map(DeadLetter::from).collect();
    Ok(json(200, &DeadLetterPage { dead_letters, next: page.next }))
}

async fn letter(State(app): State<App>, Path(text): Path<String>, uri: Uri) -> Response {
    look_at_letter(&app, &text, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn look_at_letter(app: &App, text: &str, uri: &Uri) -> Result<Response, Problem> {
    let letter: DeadLetterId = id(text)?;
    let params = Params::of(uri, &[])?;
    params.be_up_to_date(app).await?;
    let found = app.replica().read(|inventory| inventory.dead_letter(letter));
    let unknown = || Problem::new(ErrorCode::UnknownDeadLetter, format!("there is no dead letter {letter}"));
    Ok(json(200, &DeadLetter::from(&found.ok_or_else(unknown)?)))
}
