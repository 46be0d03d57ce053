//! Peers over TCP: length-prefixed frames, one connection for each peer and channel, one call at a time on each.
//!
//! A connection starts with a preamble, so that whatever else finds the port is turned away with the first bytes
//! that it sends. Frames are read in steps, so that a false length allocates nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::network::{Channel, Network};

/// What a connection starts with: the name of the protocol and its version. The channel's number follows.
const PREAMBLE: &[u8; 9] = b"HOLDFAST\x01";

/// No message is longer than this, in bytes: the largest batch, encoded, with room to spare.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// How much is read, and allocated, in one step, in bytes.
const READ_STEP_BYTES: usize = 1 << 20;

/// How long a new connection may take to send its preamble.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(5);

type Connection = Arc<tokio::sync::Mutex<Option<TcpStream>>>;

/// Calls to peers over TCP.
#[derive(Clone, Default)]
pub struct TcpNetwork {
    connections: Arc<Mutex<BTreeMap<(String, Channel), Connection>>>,
}

impl Network for TcpNetwork {
    async fn call(
        &self,
        address: &str,
        channel: Channel,
        request: Bytes,
        patience: Duration,
    ) -> io::Result<Bytes> {
        let connection = self.connections.lock().entry((address.to_owned(), channel)).or_default().clone();
        let exchange = async {
            let mut slot = connection.lock().await;
            // Taken out while in use: when this call is given up half-way, the connection goes with it, and no
            // later call reads this one's answer.
            let mut stream = match slot.take() {
                Some(stream) => stream,
                None => connect(address, channel).await?,
            };
            write_frame(&mut stream, &request).await?;
            let answer = read_frame(&mut stream).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            *slot = Some(stream);
            Ok(answer)
        };
        timeout(patience, exchange).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn connect(address: &str, channel: Channel) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    stream.write_all(PREAMBLE).await?;
    stream.write_all(&[channel as u8]).await?;
    Ok(stream)
}

/// Answers calls that come to `listener` until `shutdown` resolves. Calls of one connection are answered in order.
pub async fn serve<F, Answer>(listener: TcpListener, answer: F, shutdown: impl Future<Output = ()>)
where
    F: Fn(Bytes) -> Answer + Clone + Send + 'static,
    Answer: Future<Output = Bytes> + Send + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, answer.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a peer's connection could not be accepted");
                    // Out of descriptors, most likely: give those in use the time to end.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection<F, Answer>(mut stream: TcpStream, answer: F)
where
    F: Fn(Bytes) -> Answer,
    Answer: Future<Output = Bytes>,
{
    let mut preamble = [0; PREAMBLE.len() + 1];
    let greeted = timeout(PREAMBLE_TIMEOUT, stream.read_exact(&mut preamble)).await;
    if !matches!(greeted, Ok(Ok(_))) || !preamble.starts_with(PREAMBLE) || stream.set_nodelay(true).is_err() {
        return;
    }
    while let Ok(Some(request)) = read_frame(&mut stream).await {
        if write_frame(&mut stream, &answer(request).await).await.is_err() {
            return;
        }
    }
}

async fn write_frame(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MAX_FRAME_BYTES);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "message too long"))?;
    let mut frame = BytesMut::with_capacity(4 + bytes.len());
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(bytes);
    stream.write_all(&frame).await
}

/// The next frame; none when the connection was closed between two.
async fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Bytes>> {
    let mut prefix = [0; 4];
    match stream.read_exact(&mut prefix).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(prefix) as usize;
    if length > MAX_FRAME_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes was announced"),
        ));
    }
    let mut frame = BytesMut::new();
    while frame.len() < length {
        let step = (length - frame.len()).min(READ_STEP_BYTES);
        frame.reserve(step);
        let mut limited = (&mut *stream).take(step as u64);
        if limited.read_buf(&mut frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(frame.freeze()))
}
