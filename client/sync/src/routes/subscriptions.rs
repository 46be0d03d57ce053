//! Where a store's messages go.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::Uri;
use axum::response::Response;
use axum::routing::{delete, get};
use holdfast_api::{ErrorCode, NewSubscription, Problem, read_post_url};
use holdfast_sdk::model::{Description, SecretError, StoreId, SubscriptionId, WebhookUrl};
use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use crate::app::App;
use crate::body::{SubscriptionBody, Subscriptions};
use crate::push::Secret;
use crate::read::{self, Params, id};
use crate::registry::Subscription;
use crate::reply::{self, malformed, of_cluster, problem};

/// The largest body here, in bytes.
const MAX_BODY_BYTES: usize = 64 << 10;

/// What every address starts with that this service can post to.
const HTTP: &str = "http://";

/// The routes of this file.
pub fn router() -> Router<App> {
    Router::new()
        .route("/stores/{storeId}/subscriptions", get(list).post(subscribe))
        .route("/stores/{storeId}/subscriptions/{subscriptionId}", delete(unsubscribe))
}

/// A subscription that is to be made, or to get another secret.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wanted {
    /// Where messages are to be posted.
    #[schemars(schema_with = "super::openapi::http_url")]
    #[serde(deserialize_with = "read_post_url")]
    url: WebhookUrl,
    /// The subscription; one is made when absent. One that is there gets the secret, all else must be the same.
    subscription_id: Option<SubscriptionId>,
    /// The secret; one is made when absent. The one before it stays live beside it.
    #[schemars(with = "Option<holdfast_sdk::model::Secret>")]
    secret: Option<String>,
    /// What it is for.
    description: Option<Description>,
}

async fn subscribe(State(app): State<App>, Path(store): Path<String>, request: Request) -> Response {
    make(&app, &store, request).await.unwrap_or_else(|refused| problem(&refused))
}

async fn make(app: &App, store: &str, request: Request) -> Result<Response, Problem> {
    let store_id: StoreId = id(store)?;
    let (parts, body) = request.into_parts();
    Params::of(&parts.uri, &[])?;
    let (body, _held) = read::whole(&app.bodies, body, MAX_BODY_BYTES, app.config.request_timeout).await?;
    let Wanted { url, subscription_id, secret, description } = read::object(&parts.headers, &body)?;
    check_url(&url)?;
    let secret: Secret =
        secret.map_or_else(|| Ok(Secret::random()), |text| text.parse()).map_err(malformed)?;
    let is_new = match subscription_id {
        Some(id) => find(app, &store_id, id).await?.is_none(),
        None => true,
    };
    let subscription = Subscription {
        id: subscription_id.unwrap_or_else(|| SubscriptionId::from_uuid(Uuid::now_v7())),
        store: store_id.clone(),
        url: url.as_str().to_owned(),
        secrets: Vec::new(),
        description: description.as_ref().map(ToString::to_string),
    };
    let wanted = NewSubscription {
        subscription_id: Some(subscription.id),
        store_id,
        url,
        secret: secret.text().parse().map_err(|error: SecretError| malformed(error.to_string()))?,
        description,
    };
    app.registry.subscribe(wanted).await.map_err(of_cluster)?;
    app.changed.notify_one();
    let body = SubscriptionBody { secret: Some(secret.text()), ..shown(app, subscription) };
    Ok(reply::json(if is_new { 201 } else { 200 }, &body))
}

/// Only what this service can post to.
fn check_url(url: &WebhookUrl) -> Result<(), Problem> {
    if url.as_str().starts_with(HTTP) {
        Ok(())
    } else {
        Err(malformed(format!("url must start with {HTTP}, got {url}")))
    }
}

async fn find(app: &App, store: &StoreId, id: SubscriptionId) -> Result<Option<Subscription>, Problem> {
    let found = app.registry.subscriptions(Some(store)).await.map_err(of_cluster)?;
    Ok(found.into_iter().find(|one| one.id == id))
}

async fn list(State(app): State<App>, Path(store): Path<String>, uri: Uri) -> Response {
    listed(&app, &store, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn listed(app: &App, store: &str, uri: &Uri) -> Result<Response, Problem> {
    let store: StoreId = id(store)?;
    Params::of(uri, &[])?;
    let found = app.registry.subscriptions(Some(&store)).await.map_err(of_cluster)?;
    let subscriptions = found.into_iter().map(|subscription| shown(app, subscription)).collect();
    Ok(reply::json(200, &Subscriptions { subscriptions }))
}

fn shown(app: &App, subscription: Subscription) -> SubscriptionBody {
    let standing = app.delivered.standing(&subscription.store, subscription.id);
    SubscriptionBody {
        subscription_id: subscription.id.to_string(),
        store_id: subscription.store.to_string(),
        url: subscription.url,
        description: subscription.description,
        secret: None,
        circuit: if standing.failures == 0 { "CLOSED" } else { "OPEN" },
        standing,
    }
}

async fn unsubscribe(State(app): State<App>, path: Path<(String, String)>, uri: Uri) -> Response {
    end(&app, &path, &uri).await.unwrap_or_else(|refused| problem(&refused))
}

async fn end(
    app: &App,
    Path((store, subscription)): &Path<(String, String)>,
    uri: &Uri,
) -> Result<Response, Problem> {
    let (store, subscription): (StoreId, SubscriptionId) = (id(store)?, id(subscription)?);
    Params::of(uri, &[])?;
    let found = find(app, &store, subscription).await?.ok_or_else(|| {
        Problem::new(ErrorCode::UnknownSubscription, format!("{store} has no subscription {subscription}"))
    })?;
    app.registry.unsubscribe(found.id).await.map_err(of_cluster)?;
    app.changed.notify_one();
    Ok(reply::json(200, &shown(app, found)))
}
