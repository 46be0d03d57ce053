//! Who gives money back: a real HTTP server that does so once for each key, and can refuse, or take its time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::node::own_address;

/// What is shared with the server.
struct Inner {
    /// What it answers with; none while it does not answer.
    status: watch::Sender<Option<u16>>,
    /// What was asked for, by key, each time that it was.
    asked: Mutex<BTreeMap<String, Vec<Value>>>,
}

/// A receiver of refunds that listens until it is dropped.
pub struct Refunder {
    /// Where refunds are posted.
    pub url: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

impl Refunder {
    /// Starts one that answers with a status.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(status: u16) -> Self {
        let address = format!("{}:8091", own_address());
        let inner = Arc::new(Inner { status: watch::Sender::new(Some(status)), asked: Mutex::default() });
        let listener = TcpListener::bind(&address).await.expect("an address of its own");
        let app = Router::new().route("/refunds", post(take)).with_state(inner.clone());
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a receiver serves until it is stopped");
        });
        Self { url: format!("http://{address}/refunds"), inner, serving }
    }

    /// Answers with another status from now on, those too who have waited for one.
    pub fn answer(&self, status: u16) {
        self.inner.status.send_replace(Some(status));
    }

    /// Notes what it is asked for, and does not answer until it is told what.
    pub fn hesitate(&self) {
        self.inner.status.send_replace(None);
    }

    /// What it was asked for, by key.
    ///
    /// # Panics
    /// When the server has panicked.
    #[must_use]
    pub fn asked(&self) -> BTreeMap<String, Vec<Value>> {
        self.inner.asked.lock().unwrap().clone()
    }
}

impl Drop for Refunder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(inner): State<Arc<Inner>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    inner.asked.lock().unwrap().entry(key.to_owned()).or_default().push(body);
    let mut status = inner.status.subscribe();
    let status = *status.wait_for(Option::is_some).await.expect("it is there as long as the server");
    StatusCode::from_u16(status.expect("it was waited for")).expect("a status")
}
