//! Waits for somebody to ask this process to stop.

use tokio::io::AsyncReadExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Hears of SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Asked {
    terminate: Signal,
    interrupt: Signal,
    watches_stdin: bool,
}

impl Asked {
    /// Begins to listen; with `watches_stdin` the process ends at once when its standard input closes.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn new(watches_stdin: bool) -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())?, watches_stdin })
    }

    /// Returns when this process is asked to stop.
    pub async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            () = stdin_closes(), if self.watches_stdin => std::process::exit(0),
        }
    }
}

async fn stdin_closes() {
    let mut stdin = tokio::io::stdin();
    let mut ignored = [0; 64];
    while !matches!(stdin.read(&mut ignored).await, Ok(0) | Err(_)) {}
}
