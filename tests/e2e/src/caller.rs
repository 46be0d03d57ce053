//! A connection on which anything can be said, and nothing needs to be read.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::PATIENCE;

/// What a connection may receive before its owner reads, in bytes: little, so that whoever sends more notices.
const RECEIVE_BYTES: u32 = 4 << 10;

/// A raw connection.
pub struct Caller(TcpStream);

impl Caller {
    /// Connects to `host:port`.
    ///
    /// # Panics
    /// When it cannot.
    pub async fn connect(address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("an address");
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(RECEIVE_BYTES).expect("a small buffer");
        let connecting = timeout(PATIENCE, socket.connect(address)).await.expect("somebody accepts");
        Self(connecting.expect("a connection"))
    }

    /// Connects and says `text`.
    pub async fn saying(address: &str, text: impl AsRef<[u8]>) -> Self {
        let mut caller = Self::connect(address).await;
        // Whoever hangs up at once is asked what it said.
        let _ = caller.say(text).await;
        caller
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// When the other end has closed the connection, or takes nothing for long.
    pub async fn say(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.0.write_all(text.as_ref())).await?
    }

    /// Says that nothing more will be sent.
    pub async fn end(&mut self) {
        // It may be closed already.
        let _ = self.0.shutdown().await;
    }

    /// What comes until `end` is there, the connection is closed, or nothing came for long.
    pub async fn hear(&mut self, end: &str) -> String {
        let (mut heard, mut piece) = (Vec::new(), [0; 4096]);
        let reading = async {
            while let Ok(read @ 1..) = self.0.read(&mut piece).await {
                heard.extend_from_slice(&piece[..read]);
                if !end.is_empty() && String::from_utf8_lossy(&heard).contains(end) {
                    break;
                }
            }
        };
        // What came so far tells.
        let _ = timeout(PATIENCE, reading).await;
        String::from_utf8_lossy(&heard).into_owned()
    }

    /// Waits until the other end closes the connection; returns what it said before.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(mut self) -> String {
        let mut heard = Vec::new();
        let reading = timeout(PATIENCE, self.0.read_to_end(&mut heard)).await;
        // A reset closes it as well.
        let _ = reading.expect("the connection is closed");
        String::from_utf8_lossy(&heard).into_owned()
    }
}
