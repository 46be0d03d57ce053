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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::network::{Channel, Network};

/// What a connection starts with: the name of the protocol and its version. The channel's number follows.
const PREAMBLE: &[u8; 9] = b"HOLDFAST\x01";

/// No message is longer than this, in bytes: the largest batch, encoded, with room to spare.
pub const MAX_FRAME_BYTES: usize = 256 << 20;

/// How much is read, and allocated, in one step, in bytes.
const READ_STEP_BYTES: usize = 1 << 20;

/// How long a new connection may take to send its preamble, and then to begin its first message: a peer connects when it
/// has something to say.
const PREAMBLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one step of a message that has begun may take.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections of peers at the same time: each peer has one for each channel, and now and then one that is about to end.
const MAX_CONNECTIONS: usize = 128;

/// Messages that are longer than a step may take so many further steps together, while they are read and answered: two of
/// the longest. One that finds no room for long is given up.
const FURTHER_STEPS: usize = 2 * MAX_FRAME_BYTES / READ_STEP_BYTES;

type Connection = Arc<tokio::sync::Mutex<Option<TcpStream>>>;

/// Where another address is dialled than the one under which a member is known: there is a proxy or a translation of
/// addresses in between.
pub type Detours = BTreeMap<String, String>;

/// Calls to peers over TCP.
#[derive(Clone)]
pub struct TcpNetwork {
    detours: Arc<Detours>,
    connections: Arc<Mutex<BTreeMap<(String, Channel), Connection>>>,
}

impl TcpNetwork {
    /// A network without a connection yet.
    pub fn new(detours: Detours) -> Self {
        Self { detours: Arc::new(detours), connections: Arc::default() }
    }
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
                None => connect(self.detours.get(address).map_or(address, String::as_str), channel).await?,
            };
            write_frame(&mut stream, &request).await?;
            let (answer, _) = read_frame(&mut stream, None).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
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
    let room = Arc::new(Semaphore::new(FURTHER_STEPS));
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => match accepted {
                Ok((_, from)) if connections.len() >= MAX_CONNECTIONS => {
                    tracing::warn!(%from, limit = MAX_CONNECTIONS, "a connection to the peers' port is one too many");
                }
                Ok((stream, _)) => {
                    connections.spawn(serve_connection(stream, answer.clone(), room.clone()));
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

async fn serve_connection<F, Answer>(mut stream: TcpStream, answer: F, room: Arc<Semaphore>)
where
    F: Fn(Bytes) -> Answer,
    Answer: Future<Output = Bytes>,
{
    let mut preamble = [0; PREAMBLE.len() + 1];
    let greeted = timeout(PREAMBLE_TIMEOUT, stream.read_exact(&mut preamble)).await;
    if !matches!(greeted, Ok(Ok(_))) || !preamble.starts_with(PREAMBLE) || stream.set_nodelay(true).is_err() {
        return;
    }
    let mut first = [0; 1];
    if !matches!(timeout(PREAMBLE_TIMEOUT, stream.peek(&mut first)).await, Ok(Ok(1))) {
        return;
    }
    while let Ok(Some((request, _held))) = read_frame(&mut stream, Some(&room)).await {
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

/// The next frame, and the room that it takes where `room` is shared; none when the connection was closed between two.
async fn read_frame(
    stream: &mut TcpStream,
    room: Option<&Arc<Semaphore>>,
) -> io::Result<Option<(Bytes, Vec<OwnedSemaphorePermit>)>> {
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
    let (mut frame, mut held) = (BytesMut::new(), Vec::new());
    while frame.len() < length {
        if let Some(room) = room.filter(|_| !frame.is_empty()) {
            let step = timeout(STEP_TIMEOUT, room.clone().acquire_owned()).await?;
            held.push(step.map_err(io::Error::other)?);
        }
        let end = length.min(frame.len() + READ_STEP_BYTES);
        timeout(STEP_TIMEOUT, read_up_to(stream, &mut frame, end)).await??;
    }
    Ok(Some((frame.freeze(), held)))
}

/// Reads until `frame` has `end` bytes.
async fn read_up_to(stream: &mut TcpStream, frame: &mut BytesMut, end: usize) -> io::Result<()> {
    while frame.len() < end {
        let left = end - frame.len();
        frame.reserve(left);
        if (&mut *stream).take(left as u64).read_buf(frame).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
