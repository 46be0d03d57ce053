//! Why a member has stopped by itself, told once.

use std::sync::OnceLock;

use tokio::sync::Notify;

/// Set once, when the member stops taking part.
#[derive(Default)]
pub struct Stop {
    reason: OnceLock<String>,
    told: Notify,
}

impl Stop {
    /// Stops the member; the first reason stays.
    pub fn halt(&self, reason: String) {
        if self.reason.set(reason).is_ok() {
            self.told.notify_waiters();
        }
    }

    /// Why it has stopped, when it has.
    pub fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }

    /// Resolves once it has stopped.
    pub async fn stopped(&self) -> &str {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(reason) = self.reason() {
                return reason;
            }
            told.await;
        }
    }
}
