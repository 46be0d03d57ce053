//! A reader of a stream that does not read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::PATIENCE;

/// A reader of a stream that takes little at a time, and nothing unless it is told to.
pub struct LazyReader(TcpStream);

impl LazyReader {
    /// Asks for a stream, and reads that it comes.
    ///
    /// # Panics
    /// When it does not.
    pub async fn open(address: &str, path: &str, accept: &str) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(4096).expect("a small buffer");
        let mut stream =
            socket.connect(address.parse().expect("an address")).await.expect("somebody listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: {accept}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("the request is taken");
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        Self(stream)
    }

    /// Reads all that is left, and tells whether it came to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn rest(mut self) -> (String, bool) {
        let mut bytes = Vec::new();
        let reading = async {
            while !bytes.ends_with(b"\r\n0\r\n\r\n") {
                if !matches!(self.0.read_buf(&mut bytes).await, Ok(count) if count > 0) {
                    return false;
                }
            }
            true
        };
        let is_whole = tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends");
        (String::from_utf8_lossy(&bytes).into_owned(), is_whole)
    }
}
