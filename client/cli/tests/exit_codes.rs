//! The command as a script meets it: exit codes, what goes to which output, and readers that go away. The nodes are
//! sockets that answer as a test tells them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

fn holdfast(endpoint: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.env_remove("HOLDFAST_ENDPOINTS").args(["--endpoints", endpoint, "--timeout", "1"]).args(args);
    command
}

fn run(endpoint: &str, args: &[&str]) -> Output {
    holdfast(endpoint, args).output().expect("the command runs")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it was not ended by a signal")
}

/// A node that answers every request alike, or cuts every connection once it has read something.
fn node(answer: Option<(u16, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // The other side may be gone by now; the next connection is what counts.
            let _ = answer_once(stream, answer.as_ref());
        }
    });
    address
}

fn answer_once(mut stream: TcpStream, answer: Option<&(u16, Value)>) -> std::io::Result<()> {
    let mut request = [0; 64 << 10];
    let read = stream.read(&mut request)?;
    let Some((status, body)) = answer else { return Ok(()) };
    assert!(read > 0);
    let body = body.to_string();
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} told\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// An address at which nothing listens.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .to_string()
}

fn refusal() -> Value {
    json!({
        "type": "urn:holdfast:problem:insufficient_stock", "title": "There is not enough stock", "status": 409,
        "detail": "short of: S1/A", "code": "insufficient_stock", "retryable": false,
        "lines": [{"storeId": "S1", "itemId": "A", "requested": 5, "available": 2}]
    })
}

#[test]
fn a_refusal_is_1_and_names_its_lines() {
    let node = node(Some((409, refusal())));
    let output = run(&node, &["reserve", "S1/A=5"]);
    assert_eq!(code(&output), 1);
    assert!(output.stdout.is_empty());
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told, "holdfast: insufficient_stock: short of: S1/A\n  S1/A: 5 asked, 2 to be had\n");
}

#[test]
fn programs_are_told_of_a_refusal_as_json() {
    let node = node(Some((409, refusal())));
    let output = run(&node, &["-o", "json", "reserve", "S1/A=5"]);
    let told: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!((&told["error"], &told["exitCode"]), (&json!("refused"), &json!(1)));
    assert_eq!(told["problem"], refusal());
}

#[test]
fn wrong_usage_and_a_missing_file_are_2() {
    for args in [&["reserve", "S1/A"][..], &["import", "/there/is/no/such/file"], &["nonsense"], &[]] {
        assert_eq!(code(&run("127.0.0.1:1", args)), 2, "{args:?}");
    }
    assert_eq!(code(&run("no-address", &["status"])), 2);
    assert_eq!(code(&run("127.0.0.1:1", &["--idempotency-key", "K", "bench"])), 2);
    assert_eq!(code(&run("127.0.0.1:1", &["--idempotency-key", "", "sku", "retire", "S1", "A"])), 2);
}

#[test]
fn a_cluster_that_is_not_there_is_3() {
    for args in [
        &["sku", "get", "S1", "A"][..],
        &["sku", "create", "S1", "A", "1"],
        &["status"],
        &["cluster", "members"],
    ] {
        assert_eq!(code(&run(&nobody(), args)), 3, "{args:?}");
    }
}

#[test]
fn an_outcome_that_is_not_known_is_4_and_says_how_to_repeat() {
    let node = node(None);
    let output = run(&node, &["reserve", "S1/A=5"]);
    assert_eq!(code(&output), 4);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("repeat it with --id H-"), "{told}");
    assert_eq!(code(&run(&node, &["sku", "get", "S1", "A"])), 3, "a look has no outcome");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = holdfast("127.0.0.1:1", &["completions", "bash"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .expect("the command runs");
    assert_eq!((code(&output), String::from_utf8_lossy(&output.stderr).as_ref()), (0, ""));
}

#[test]
fn help_tells_the_exit_codes() {
    let output = run("127.0.0.1:1", &["--help"]);
    assert_eq!(code(&output), 0);
    let told = String::from_utf8(output.stdout).unwrap();
    for code in 0..=4 {
        assert!(told.contains(&format!("\n  {code}  ")), "{told}");
    }
}
