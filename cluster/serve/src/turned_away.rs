//! What becomes of connections beyond the limit: they are told so, as far as that costs little, and closed.

use std::sync::Arc;
use std::sync::LazyLock;

use holdfast_api::{ErrorCode, PROBLEM_JSON, Problem};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::limits::{TOLD_EVERY, TURNED_AWAY_AT_ONCE, TURNED_AWAY_WITHIN};

/// What is said, whatever was asked.
static ANSWER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let problem = Problem::new(ErrorCode::Overloaded, "there are too many connections");
    let body = serde_json::to_string(&problem).unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {} Service Unavailable\r\ncontent-type: {PROBLEM_JSON}\r\ncontent-length: {}\r\nretry-after: 1\r\n\
         connection: close\r\n\r\n",
        problem.status,
        body.len()
    );
    (head + &body).into_bytes()
});

/// Turns connections away.
pub struct TurnedAway {
    at_once: Arc<Semaphore>,
    limit: usize,
    count: u64,
    told: Option<Instant>,
}

impl TurnedAway {
    /// None was turned away yet of those beyond `limit`.
    pub fn new(limit: usize) -> Self {
        Self { at_once: Arc::new(Semaphore::new(TURNED_AWAY_AT_ONCE)), limit, count: 0, told: None }
    }

    /// Turns one away.
    pub fn take(&mut self, stream: TcpStream) {
        self.tell();
        let Ok(permit) = self.at_once.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            // Whoever does not listen is not told.
            let _ = timeout(TURNED_AWAY_WITHIN, answer(stream)).await;
            drop(permit);
        });
    }

    fn tell(&mut self) {
        self.count += 1;
        if self.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
            return;
        }
        let (count, limit) = (self.count, self.limit);
        tracing::warn!(count, limit, "connections are turned away: there are as many as are allowed");
        (self.told, self.count) = (Some(Instant::now()), 0);
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(&ANSWER).await?;
    stream.shutdown().await?;
    // What was asked is read first: otherwise the answer could be lost with the connection.
    let mut asked = [0; 1024];
    while stream.read(&mut asked).await? > 0 {}
    Ok(())
}
