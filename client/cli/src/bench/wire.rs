//! Requests straight onto a connection, so that the load takes little of the processor that it measures. What a program of
//! the chain has, the sdk with its retries, is measured on demand.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The longest answer that is read: a row or a hold takes far less.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// An answer usually comes in one piece of this size.
const PIECE_BYTES: usize = 4096;

/// One connection, made when it is needed: to the first node, and to the next one after each failure.
pub struct Wire {
    nodes: Arc<[String]>,
    at: usize,
    stream: Option<TcpStream>,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Wire {
    /// To one of `nodes`, each `host:port`; there is at least one.
    pub fn new(nodes: Arc<[String]>) -> Self {
        Self { nodes, at: 0, stream: None, request: Vec::new(), answer: Vec::new() }
    }

    /// Sends a request without a body.
    pub async fn get(&mut self, path: &str) -> Result<(), String> {
        self.request.clear();
        let host = &self.nodes[self.at];
        self.request.extend_from_slice(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
        self.exchange().await
    }

    /// Sends a request with JSON.
    pub async fn post(&mut self, path: &str, body: &str) -> Result<(), String> {
        self.request.clear();
        let (host, length) = (&self.nodes[self.at], body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body.as_bytes());
        self.exchange().await
    }

    /// Sends what stands in `request`. A refusal is told by its code; the connection is kept after it.
    async fn exchange(&mut self) -> Result<(), String> {
        let answered = self.answered().await;
        if answered.is_err() {
            self.stream = None;
            self.at = (self.at + 1) % self.nodes.len();
        }
        let (status, body) = answered.map_err(|error| format!("connection: {error}"))?;
        if (200..300).contains(&status) { Ok(()) } else { Err(code(status, &self.answer[body..])) }
    }

    /// The status of the answer, and where its body starts.
    async fn answered(&mut self) -> std::io::Result<(u16, usize)> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(&self.nodes[self.at]).await?;
                stream.set_nodelay(true)?;
                none.insert(stream)
            }
        };
        stream.write_all(&self.request).await?;
        self.answer.clear();
        self.answer.reserve(PIECE_BYTES);
        loop {
            if let Some(head) = head(&self.answer).map_err(broken)?
                && self.answer.len() >= head.body + head.length
            {
                return Ok((head.status, head.body));
            }
            if self.answer.len() > MAX_ANSWER_BYTES {
                return Err(broken("an answer without an end"));
            }
            if stream.read_buf(&mut self.answer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// What the head of an answer says.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    body: usize,
    length: usize,
}

/// The head of an answer, once it is there whole.
fn head(answer: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..end]).map_err(|_| "a head that is no text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).ok_or("no status")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some(Head { status, body: end + 4, length: length.ok_or("no length")? }))
}

fn broken(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

/// The code of a problem, or the status where there is none.
fn code(status: u16, body: &[u8]) -> String {
    let problem = serde_json::from_slice::<serde_json::Value>(body).unwrap_or_default();
    problem["code"].as_str().map_or_else(|| format!("status {status}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\nx: y\r\n\r\nhello";
        assert_eq!(head(text), Ok(Some(Head { status: 201, body: text.len() - 5, length: 5 })));
        assert_eq!(head(&text[..30]), Ok(None));
        assert!(head(b"HTTP/1.1 201 Created\r\n\r\n").is_err());
        assert!(head(b"nonsense\r\n\r\n").is_err());
    }

    #[test]
    fn a_refusal_is_told_by_its_code() {
        assert_eq!(code(409, br#"{"code":"insufficient_stock"}"#), "insufficient_stock");
        assert_eq!(code(502, b"<html>"), "status 502");
    }

    /// Answers each request on one connection with the next piece of text, then closes it.
    async fn serve(listener: TcpListener, answers: Vec<&'static str>) {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        for answer in answers {
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            for piece in answer.as_bytes().chunks(20) {
                stream.write_all(piece).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_connection_serves_many_requests_and_the_next_node_after_a_failure() {
        let (first, second) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let nodes = [&first, &second].map(|listener| listener.local_addr().unwrap().to_string());
        let done = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let refused = "HTTP/1.1 409 Conflict\r\ncontent-length: 21\r\n\r\n{\"code\":\"below_zero\"}";
        let both = [tokio::spawn(serve(first, vec![done, refused])), tokio::spawn(serve(second, vec![done]))];
        let mut wire = Wire::new(nodes.to_vec().into());
        assert_eq!(wire.get("/x").await, Ok(()));
        assert_eq!(wire.post("/x", "{}").await, Err("below_zero".to_owned()));
        assert!(wire.get("/x").await.unwrap_err().starts_with("connection: "));
        assert_eq!(wire.post("/x", "{}").await, Ok(()));
        for server in both {
            server.await.unwrap();
        }
    }
}
