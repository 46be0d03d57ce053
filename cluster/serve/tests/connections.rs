//! Connections over real sockets: how many there may be, and how they end.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use holdfast_serve::{Limits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A bound on liveness, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

async fn start(
    connections: usize,
) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(|| async { "served" }));
    let (stop, stopped) = oneshot::channel();
    let limits = Limits { connections, ..Limits::default() };
    let serving = tokio::spawn(serve(listener, router, limits, async {
        let _ = stopped.await;
    }));
    (address, stop, serving)
}

/// What is answered on a connection up to the word `end`, or to its end.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let reading = async {
        while !text.contains(end) {
            match stream.read(&mut piece).await.unwrap() {
                0 => break,
                read => text.push_str(std::str::from_utf8(&piece[..read]).unwrap()),
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("it is answered");
    text
}

/// Asks on a new connection, and returns it with what was answered.
async fn ask(address: std::net::SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let answer = read_to(&mut stream, "served").await;
    (stream, answer)
}

#[tokio::test]
async fn connections_beyond_the_limit_are_told_so_and_one_that_ends_makes_room() {
    let (address, stop, serving) = start(2).await;
    let (first, answer) = ask(address).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let (_second, answer) = ask(address).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for _ in 0..3 {
        let (_, answer) = ask(address).await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"code\":\"overloaded\""), "{answer}");
    }
    drop(first);
    let comes_in = async { while !ask(address).await.1.starts_with("HTTP/1.1 200") {} };
    timeout(PATIENCE, comes_in).await.expect("there is room again");
    drop(stop);
    timeout(PATIENCE, serving).await.expect("it ends, though connections are open").unwrap();
}

#[tokio::test]
async fn an_answer_is_heard_though_not_everything_was_read() {
    let (address, _stop, _serving) = start(1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let body = vec![b' '; 4 << 20];
    let head = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    timeout(PATIENCE, stream.write_all(&body)).await.expect("it is read").unwrap();
    let answer = read_to(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (address, _stop, _serving) = start(1).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.split();
    let writing = async {
        for _ in 0..5_000 {
            writer.write_all(ASK).await.unwrap();
        }
        writer.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
    };
    let mut answers = String::new();
    let (read, ()) = timeout(PATIENCE, async { tokio::join!(reader.read_to_string(&mut answers), writing) })
        .await
        .expect("all are answered");
    read.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 5_001);
}

#[tokio::test]
async fn a_head_that_is_too_long_or_no_http_is_refused() {
    let (address, _stop, _serving) = start(10).await;
    let long = format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", "x".repeat(8 * holdfast_serve::MAX_HEAD_BYTES));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(2_000));
    let hello = "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}";
    for head in [long.as_str(), &headers, hello, "HOLDFAST\u{1}\0\u{4}\0\0\0"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_to(&mut stream, "\0").await;
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer:?}");
    }
    assert!(ask(address).await.1.ends_with("served"));
}
