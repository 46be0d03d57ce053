//! A store's end of a webhook: a real HTTP server that checks signatures and can misbehave.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::node::own_address;

/// A signature is not older than this, in seconds.
const TOLERANCE_SECONDS: u64 = 300;

/// How long a slow receiver works on a message: nothing counts on it.
const SLOWNESS: Duration = Duration::from_millis(300);

/// What a receiver does with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// It takes them.
    Take,
    /// It works on each for a while, and has taken it only at the end; one whose sender hangs up before that is not taken.
    TakeSlowly,
    /// It answers with this status, and does not take them.
    Answer(u16),
    /// It never answers.
    Hang,
    /// It takes them, and hangs up in the middle of its answer.
    CloseHalfWay,
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// `webhook-id`.
    pub id: String,
    /// What it says.
    pub body: Value,
    /// The same as it came.
    pub text: String,
    /// How many signatures it has.
    pub signatures: usize,
    /// What the receiver did with it.
    pub behaviour: Behaviour,
}

#[derive(Default)]
struct Seen {
    received: Vec<Received>,
    faults: Vec<String>,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    secret: Mutex<String>,
    seen: Mutex<Seen>,
}

/// A receiver that listens until it is stopped or dropped.
pub struct Receiver {
    address: String,
    inner: Arc<Inner>,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Starts one that takes what comes.
    pub async fn start() -> Self {
        let inner = Inner {
            behaviour: Mutex::new(Behaviour::Take),
            secret: Mutex::default(),
            seen: Mutex::default(),
        };
        let mut receiver =
            Self { address: format!("{}:8090", own_address()), inner: Arc::new(inner), serving: None };
        receiver.listen().await;
        receiver
    }

    /// Listens again.
    ///
    /// # Panics
    /// When it listens already, or cannot.
    pub async fn listen(&mut self) {
        assert!(self.serving.is_none(), "it listens already");
        let listener = TcpListener::bind(&self.address).await.expect("an address of its own");
        let app = Router::new().route("/hook", post(take)).with_state(self.inner.clone());
        self.serving = Some(tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a receiver serves until it is stopped");
        }));
    }

    /// Stops listening; connections are refused.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Its end is what was asked for.
            let _ = serving.await;
        }
    }

    /// Where it takes messages.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// A new secret.
    #[must_use]
    pub fn secret() -> String {
        let bytes: Vec<u8> = (0..32).map(|_| fastrand::u8(..)).collect();
        format!("whsec_{}", STANDARD.encode(bytes))
    }

    /// The secret that it checks signatures with, from now on.
    pub fn know(&self, secret: &str) {
        secret.clone_into(&mut self.inner.secret.lock().unwrap());
    }

    /// What it does from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.inner.behaviour.lock().unwrap() = behaviour;
    }

    /// All that has come, in order.
    ///
    /// # Panics
    /// When something that came was not signed as it should have been.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        let seen = self.inner.seen.lock().unwrap();
        assert_eq!(seen.faults, [] as [String; 0]);
        seen.received.clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> Response {
    let behaviour = *inner.behaviour.lock().unwrap();
    let secret = inner.secret.lock().unwrap().clone();
    if behaviour == Behaviour::TakeSlowly {
        tokio::time::sleep(SLOWNESS).await;
    }
    {
        let mut seen = inner.seen.lock().unwrap();
        match check(&secret, &headers, &body, behaviour) {
            Ok(received) => seen.received.push(received),
            Err(fault) => seen.faults.push(fault),
        }
    }
    match behaviour {
        Behaviour::Take | Behaviour::TakeSlowly => StatusCode::NO_CONTENT.into_response(),
        Behaviour::Answer(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Behaviour::Hang => std::future::pending().await,
        Behaviour::CloseHalfWay => {
            let half = [Ok(Bytes::from_static(b"{\"ok\":")), Err(std::io::Error::other("closed half-way"))];
            Body::from_stream(stream::iter(half)).into_response()
        }
    }
}

/// Checks a message as Standard Webhooks says a receiver should.
fn check(secret: &str, headers: &HeaderMap, body: &[u8], behaviour: Behaviour) -> Result<Received, String> {
    let header = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| format!("there is no {name}"))
    };
    let (id, timestamp, signature) =
        (header("webhook-id")?, header("webhook-timestamp")?, header("webhook-signature")?);
    let sent: u64 = timestamp.parse().map_err(|_| format!("webhook-timestamp {timestamp}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if now.abs_diff(sent) > TOLERANCE_SECONDS {
        return Err(format!("it was sent at {sent}, and now is {now}"));
    }
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).map_err(|error| error.to_string())?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key will do");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    if !signature.split(' ').any(|one| one == expected) {
        return Err(format!("{id} is signed {signature}, not {expected}"));
    }
    let text = String::from_utf8_lossy(body).into_owned();
    let body = serde_json::from_slice(body).map_err(|error| format!("{id}: {error}"))?;
    Ok(Received { id: id.to_owned(), body, text, signatures: signature.split(' ').count(), behaviour })
}
