//! Nodes that answer as a test tells them: real sockets, no cluster. Only the sdk's tests use them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use holdfast_sdk::api::{ErrorCode, NewHold, Problem};
use holdfast_sdk::{Client, Options};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a node does with one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Closes the connection instead of answering.
    Cut,
    /// Announces more of a body than it sends, and closes the connection.
    Half,
    /// Neither answers nor closes.
    Silent,
}

impl Act {
    /// A JSON body with status 200.
    pub fn json(body: &Value) -> Self {
        Self::Answer(200, Vec::new(), body.to_string().into_bytes())
    }

    /// A problem.
    pub fn problem(code: ErrorCode) -> Self {
        let body = serde_json::to_vec(&Problem::new(code, "told to")).unwrap();
        Self::Answer(code.status(), Vec::new(), body)
    }

    /// 307 to another node.
    pub fn redirect(to: &str) -> Self {
        Self::Answer(307, vec![("location", format!("http://{to}/anything"))], Vec::new())
    }

    /// The same answer with a header more.
    pub fn with(self, name: &'static str, value: impl Into<String>) -> Self {
        match self {
            Self::Answer(status, mut headers, body) => {
                headers.push((name, value.into()));
                Self::Answer(status, headers, body)
            }
            other => other,
        }
    }
}

/// A request as a node saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub fn key(&self) -> Option<&str> {
        self.header("idempotency-key")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A node that does one act after the other; the last one again and again.
pub struct Node {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Node {
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self::serve(listener, address, acts)
    }

    /// Two nodes whose acts need each other's address.
    pub async fn start_two<const N: usize, const M: usize>(
        acts: impl FnOnce(&str, &str) -> ([Act; N], [Act; M]),
    ) -> (Self, Self) {
        let one = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let two = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [&one, &two].map(|listener| listener.local_addr().unwrap().to_string());
        let [first, second] = addresses;
        let (one_acts, two_acts) = acts(&first, &second);
        (Self::serve(one, first, one_acts), Self::serve(two, second, two_acts))
    }

    fn serve(listener: TcpListener, address: String, acts: impl IntoIterator<Item = Act>) -> Self {
        let acts = Arc::new(Mutex::new(acts.into_iter().collect::<VecDeque<_>>()));
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn({
            let seen = seen.clone();
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(connection(stream, acts.clone(), seen.clone()));
                }
            }
        });
        Self { address, seen }
    }

    /// The requests that came, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn connection(mut stream: TcpStream, acts: Arc<Mutex<VecDeque<Act>>>, seen: Arc<Mutex<Vec<Seen>>>) {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await {
        seen.lock().unwrap().push(request);
        let act = {
            let mut acts = acts.lock().unwrap();
            if acts.len() > 1 { acts.pop_front().unwrap() } else { acts.front().expect("an act").clone() }
        };
        match act {
            Act::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} told\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                if stream.write_all(&[head.as_bytes(), &body].concat()).await.is_err() {
                    return;
                }
            }
            Act::Cut => return,
            Act::Half => {
                let _ =
                    stream.write_all(b"HTTP/1.1 200 told\r\ncontent-length: 1000\r\n\r\n{\"holdId\":").await;
                return;
            }
            Act::Silent => std::future::pending().await,
        }
    }
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).ok()?;
            let mut lines = head.split("\r\n");
            let mut start = lines.next()?.split(' ').map(str::to_owned);
            let (method, path) = (start.next()?, start.next()?);
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length");
            let length: usize = length.map_or(Some(0), |(_, value)| value.parse().ok())?;
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some(Seen { method, path, headers, body });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// An address at which nothing listens.
pub async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Gives up soon.
pub fn impatient() -> Options {
    Options {
        call_timeout: Duration::from_millis(600),
        attempt_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_millis(200),
    }
}

/// A client of some nodes that gives an attempt more time than even a busy machine takes for an answer.
pub fn client(endpoints: &[&str]) -> Client {
    let options = Options {
        call_timeout: Duration::from_secs(30),
        attempt_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(10),
    };
    Client::new(endpoints, options).unwrap()
}

/// The same, but an attempt without an answer is soon given up.
pub fn client_of_silent(endpoints: &[&str]) -> Client {
    let options = Options { call_timeout: Duration::from_secs(30), ..impatient() };
    Client::new(endpoints, options).unwrap()
}

/// A hold of one unit.
pub fn hold() -> NewHold {
    serde_json::from_value(json!({"lines": [{"storeId": "S1", "itemId": "A", "qty": 1}]})).unwrap()
}

/// The answer to [`hold`].
pub fn held() -> Value {
    json!({
        "holdId": "H-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5", "status": "HELD", "expiresAt": null, "expiresInMs": null,
        "owner": null, "lines": []
    })
}

/// A stock row.
pub fn row() -> Value {
    json!({
        "storeId": "S1", "itemId": "A", "available": 1, "reserved": 0, "onHand": 1, "sellable": 1, "version": 1,
        "lastSeq": 1, "safetyStock": 0, "backorderLimit": 0, "oversold": false, "retired": false, "opening": 1,
        "received": 0, "adjusted": 0, "counted": 0, "transferredIn": 0, "transferredOut": 0, "sold": 0
    })
}
