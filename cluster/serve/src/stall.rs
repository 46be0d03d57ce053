//! Connections of which a reader that does not read cannot keep hold: a write that makes no progress for long fails, and
//! with it what was buffered is given up. And whose last answer is not lost where it was given before everything was read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::{LINGER, LINGER_BYTES, LINGER_SILENCE};

/// A connection whose writes give up.
pub struct Stalled<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits for its reader, and while what nobody wants is read.
    waits: Option<Pin<Box<Sleep>>>,
    /// When nothing more will be read, though the other end still sends; none while something is written.
    ends: Option<Instant>,
    /// How many bytes that nobody wants may still be read.
    unwanted: usize,
}

impl<S> Stalled<S> {
    /// A connection whose writes give up after `limit` without progress.
    pub const fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, waits: None, ends: None, unwanted: LINGER_BYTES }
    }
}

impl<S: AsyncWrite + Unpin> Stalled<S> {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let limit = self.limit;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(limit)));
        waits.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Stalled<S> {
    /// Reads what nobody wants any more, until the other end has closed, or has had its time or sent its share.
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut piece = [0; 8192];
        while self.unwanted > 0 && self.ends.is_some_and(|ends| Instant::now() < ends) {
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.unwanted = self.unwanted.saturating_sub(buffer.filled().len());
                    self.waits = None;
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(LINGER_SILENCE)));
                    return waits.as_mut().poll(cx).map(Ok);
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.watch(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch(cx, |stream, cx| stream.poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ends.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            (self.ends, self.waits) = (Some(Instant::now() + LINGER), None);
        }
        self.drain(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_write_gives_up_only_when_nothing_is_read_for_long() {
        let (mut reader, stream) = duplex(4);
        let mut writer = Stalled::new(stream, Duration::from_secs(10));
        let slowly = tokio::spawn(async move {
            let mut byte = [0; 4];
            for _ in 0..3 {
                sleep(Duration::from_secs(9)).await;
                reader.read_exact(&mut byte).await.unwrap();
            }
            reader
        });
        writer.write_all(b"0123456789abcdef").await.expect("it is slow, but reads");
        let _reader = slowly.await.unwrap();
        let given_up = writer.write_all(b"0").await.unwrap_err();
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_still_on_its_way_is_read_for_a_while_after_the_last_answer() {
        let (mut other, stream) = duplex(4);
        let mut ending = Stalled::new(stream, Duration::from_secs(10));
        let sending = tokio::spawn(async move {
            other.write_all(&[7; 1000]).await.expect("it is read to the end");
            other
        });
        ending.shutdown().await.unwrap();
        let mut other = sending.await.unwrap();
        assert_eq!(other.read(&mut [0]).await.unwrap(), 0, "nothing more is written");
        let (other, stream) = duplex(4);
        let started = Instant::now();
        Stalled::new(stream, Duration::from_secs(10)).shutdown().await.unwrap();
        assert!(
            (LINGER_SILENCE..LINGER).contains(&started.elapsed()),
            "whoever stays is not waited for any longer"
        );
        drop(other);
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_without_end_is_not_read_for_ever() {
        const ROOM: usize = 1 << 16;
        let (mut other, stream) = duplex(ROOM);
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while let Ok(some) = other.write(&[7; ROOM]).await {
                sent += some;
            }
            sent
        });
        Stalled::new(stream, Duration::from_secs(10)).shutdown().await.unwrap();
        let sent = sending.await.unwrap();
        assert!((LINGER_BYTES..LINGER_BYTES + 2 * ROOM).contains(&sent), "{sent} bytes");
    }
}
