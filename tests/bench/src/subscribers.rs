//! Those who read the feed: they look for cursors in what comes and parse nothing else, so that they cost little.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::failure::{During, Result};

/// What is read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// More than a line with a cursor has.
const LINE_BYTES: usize = 128;

/// Subscribers until this is dropped.
pub struct Subscribers {
    last: Vec<Arc<AtomicU64>>,
    _tasks: JoinSet<()>,
}

impl Subscribers {
    /// Lets `count` of them read `path` at `address`.
    ///
    /// # Errors
    /// When one cannot connect.
    pub async fn start(address: &str, path: &str, count: usize) -> Result<Self> {
        let (mut last, mut tasks) = (Vec::new(), JoinSet::new());
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n\r\n");
        for _ in 0..count {
            let mut stream = TcpStream::connect(address).await.during(address)?;
            stream.write_all(request.as_bytes()).await.during(address)?;
            let seen = Arc::new(AtomicU64::new(0));
            last.push(seen.clone());
            tasks.spawn(read(stream, seen));
        }
        Ok(Self { last, _tasks: tasks })
    }

    /// Up to where the one that is furthest behind has come.
    pub fn all_have(&self) -> u64 {
        self.last.iter().map(|seen| seen.load(Ordering::Relaxed)).min().unwrap_or(0)
    }
}

async fn read(mut stream: TcpStream, seen: Arc<AtomicU64>) {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut kept = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[kept..]).await {
        let end = kept + read;
        if let Some(seq) = last_cursor(&buffer[..end]) {
            seen.store(seq, Ordering::Relaxed);
        }
        // A line that was cut off is found with what follows.
        kept = end.min(LINE_BYTES);
        buffer.copy_within(end - kept..end, 0);
    }
}

/// The sequence of the last whole `id:` line.
fn last_cursor(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().rposition(|&byte| byte == b'\n')?;
    let whole = &bytes[..end];
    let start = whole.windows(4).rposition(|window| window == b"\nid:")? + 4;
    let line = whole[start..].split(|&byte| byte == b'\n').next()?;
    std::str::from_utf8(line).ok()?.trim().rsplit_once('.')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_cursor_counts() {
        assert_eq!(last_cursor(b"\nid: ab.7\ndata: {}\n\nid: ab.8\ndata: {}\n\n"), Some(8));
        assert_eq!(last_cursor(b"\nid: ab.7\ndata: {}\n\nid: ab.81"), Some(7));
        assert_eq!(last_cursor(b"data: {}\n"), None);
        assert_eq!(last_cursor(b""), None);
    }
}
