//! Every request that docs/API.md shows is sent, in order, and answered as shown there.
//!
//! `HOLDFAST_REWRITE_DOCS=1` writes the real answers into the page instead of comparing them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_e2e::{Answer, Cluster, eventually};
use reqwest::Method;
use serde_json::Value;

/// What begins and ends an example in the page.
const BEGIN: &str = "```http\n";
const END: &str = "```\n";

/// What differs from run to run, so that only its shape is compared.
const VARYING: &[&str] = &[
    "appliedIndex",
    "at",
    "clusterId",
    "clusterTimeMs",
    "digest",
    "epoch",
    "expiresAt",
    "expiresInMs",
    "index",
    "lastLogIndex",
    "leader",
    "ledgerSizeBytes",
    "logSizeBytes",
    "matchedIndex",
    "members",
    "nodeId",
    "purgedIndex",
    "role",
    "snapshotIndex",
    "snapshotSizeBytes",
    "term",
];

/// One example: a request, and the answer that the page shows.
struct Example<'a> {
    request: &'a str,
    answer: &'a str,
}

#[tokio::test]
async fn the_page_shows_real_answers() {
    let page = std::fs::read_to_string(page_path()).expect("the page can be read");
    let mut cluster = Cluster::start(3).await;
    let fourth = cluster.add_node(4);
    let peer = cluster.nodes[0].peer_address.clone();
    cluster.nodes[fourth].start(&["--join", &peer]);
    let (mut rewritten, mut wrong, mut rest) = (String::new(), Vec::new(), page.as_str());
    while let Some((before, block)) = rest.split_once(BEGIN) {
        let (block, after) = block.split_once(END).expect("an example ends");
        let (request, answer) = block.split_once("\n\n").unwrap_or((block.trim_end(), ""));
        let example = Example { request, answer: answer.trim_end() };
        if example.request.starts_with("DELETE /cluster/members/4") {
            // One that was taken out knows no leader any more.
            cluster.nodes[fourth].kill().await;
        }
        let real = send(&mut cluster, example.request).await;
        let shown = documented(&cluster, &written(&real));
        if !agree(example.answer, &shown) {
            wrong.push(format!("{}\n\nshown:\n{}\n\nreal:\n{shown}\n", example.request, example.answer));
        }
        write!(rewritten, "{before}{BEGIN}{request}\n\n{shown}\n{END}").expect("a text grows");
        rest = after;
    }
    if std::env::var_os("HOLDFAST_REWRITE_DOCS").is_some() {
        std::fs::write(page_path(), rewritten + rest).expect("the page can be written");
    } else {
        assert!(wrong.is_empty(), "docs/API.md shows other answers:\n{}", wrong.join("\n"));
    }
}

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/API.md")
}

/// The addresses that the page gives to nodes, and the real ones.
fn addresses(cluster: &Cluster) -> impl Iterator<Item = (String, &str)> {
    cluster.nodes.iter().flat_map(|node| {
        let port = 8082 + 100 * (node.id - 1);
        [
            (format!("127.0.0.1:{port}"), node.http_address.as_str()),
            (format!("127.0.0.1:{}", port + 5), node.peer_address.as_str()),
        ]
    })
}

fn documented(cluster: &Cluster, text: &str) -> String {
    addresses(cluster).fold(text.to_owned(), |text, (shown, real)| text.replace(real, &shown))
}

/// Sends a request as the page writes it to the leader: a line with method and path, headers, a body.
async fn send(cluster: &mut Cluster, request: &str) -> Answer {
    let request =
        addresses(cluster).fold(request.to_owned(), |text, (shown, real)| text.replace(&shown, real));
    let mut lines = request.lines();
    let (method, path) = lines.next().and_then(|line| line.split_once(' ')).expect("a method and a path");
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let (headers, body): (Vec<&str>, Vec<&str>) = lines.partition(|line| !line.starts_with('{'));
    let headers: Vec<(&str, &str)> = headers.iter().filter_map(|line| line.split_once(": ")).collect();
    let body = body.first().map(|line| serde_json::from_str::<Value>(line).expect("a body is JSON"));
    let leader = cluster.leader_http().await;
    // A change of members is refused while the one before it ends.
    eventually(&format!("an answer to {method} {path}"), || async {
        let answer = leader.send(method.clone(), path, &headers, body.clone()).await;
        (answer.status != 503 && answer.code() != "membership_busy").then_some(answer)
    })
    .await
}

/// An answer as the page writes it.
fn written(answer: &Answer) -> String {
    let replayed = match answer.header("idempotency-replayed") {
        "" => String::new(),
        value => format!("\nIdempotency-Replayed: {value}"),
    };
    format!("{}{replayed}\n{}", answer.status, answer.text).trim_end().to_owned()
}

/// Whether two answers say the same, but for what varies.
fn agree(shown: &str, real: &str) -> bool {
    let (shown_head, shown_body) = parts(shown);
    let (real_head, real_body) = parts(real);
    shown_head == real_head
        && match (serde_json::from_str(shown_body), serde_json::from_str(real_body)) {
            (Ok(shown), Ok(real)) => alike(&shown, &real, true),
            _ => shown_body == real_body,
        }
}

/// Status and headers, and the body.
fn parts(answer: &str) -> (&str, &str) {
    answer.find("\n{").map_or((answer, ""), |at| (&answer[..at], &answer[at + 1..]))
}

/// Whether two values are equal, or (where not `exactly`) of one shape.
fn alike(shown: &Value, real: &Value, exactly: bool) -> bool {
    match (shown, real) {
        (Value::Object(shown), Value::Object(real)) => {
            shown.len() == real.len()
                && shown.iter().all(|(name, value)| {
                    let exactly = exactly && !VARYING.contains(&name.as_str());
                    real.get(name).is_some_and(|real| alike(value, real, exactly))
                })
        }
        (Value::Array(shown), Value::Array(real)) => {
            shown.len() == real.len()
                && shown.iter().zip(real).all(|(shown, real)| alike(shown, real, exactly))
        }
        _ if exactly => shown == real,
        // What one member does not know yet is null.
        _ => {
            shown.is_null() || real.is_null() || std::mem::discriminant(shown) == std::mem::discriminant(real)
        }
    }
}

#[test]
fn other_answers_are_told_apart() {
    assert!(agree("200\n{\"a\":1,\"at\":\"x\"}", "200\n{\"a\":1,\"at\":\"y\"}"));
    for other in [
        "201\n{\"a\":1,\"at\":\"x\"}",
        "200\n{\"a\":2,\"at\":\"x\"}",
        "200\n{\"a\":1}",
        "200\n{\"a\":1,\"at\":3}",
    ] {
        assert!(!agree("200\n{\"a\":1,\"at\":\"x\"}", other), "{other}");
    }
}
