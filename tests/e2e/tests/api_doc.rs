//! Every request that docs/API.md shows is sent, in order, to the process that it is for, and answered as shown there; so
//! is what the services send by themselves.
//!
//! `HOLDFAST_REWRITE_DOCS=1` writes the real answers into the page instead of comparing them. Of a stream as many lines are
//! read as are shown.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_e2e::{Answer, Cluster, Http, OrderService, Receiver, Refunder, Stream, Sync, eventually};
use reqwest::Method;
use serde_json::Value;

/// What an example begins with: a request, and its answer, or what a service sends. Behind it stands whose it is.
const BEGINS: [&str; 2] = ["```http", "```json "];
const END: &str = "```\n";

/// The epoch that the page gives to the cluster.
const EPOCH: &str = "8410246e";
/// Where the page says that webhooks and refunds are posted, and what webhooks are signed with.
const HOOK: &str = "http://127.0.0.1:9000/hook";
const REFUNDS: &str = "http://127.0.0.1:9000/refunds";
const SECRET: &str = "whsec_aG9sZGZhc3QtZXhhbXBsZS1zZWNyZXQx";

/// What differs from run to run, so that only its shape is compared.
const VARYING: &[&str] = &[
    "appliedIndex",
    "at",
    "clusterId",
    "clusterTimeMs",
    "deliveredSeq",
    "digest",
    "epoch",
    "expiresAt",
    "expiresInMs",
    "index",
    "lagMs",
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
    "timestamp",
];

/// One example: what stands before it in the page, whose it is, what is asked and what is answered.
struct Example<'a> {
    before: &'a str,
    fence: &'a str,
    request: &'a str,
    answer: &'a str,
}

impl<'a> Example<'a> {
    /// The next example of a page, and what comes after it.
    fn next(page: &'a str) -> Option<(Self, &'a str)> {
        let at = BEGINS.iter().filter_map(|begin| page.find(begin)).min()?;
        let (before, rest) = page.split_at(at);
        let (fence, rest) = rest.split_once('\n').expect("an example has lines");
        let (block, after) = rest.split_once(END).expect("an example ends");
        let (request, answer) = if fence.starts_with("```json") {
            ("", block)
        } else {
            block.split_once("\n\n").unwrap_or((block.trim_end(), ""))
        };
        Some((Self { before, fence, request, answer: answer.trim_end() }, after))
    }

    fn is_for(&self, word: &str) -> bool {
        self.fence.split(' ').any(|one| one == word)
    }

    /// The same with another answer, as it stands in the page.
    fn with(&self, answer: &str) -> String {
        let Self { before, fence, request, .. } = self;
        let request = if request.is_empty() { String::new() } else { format!("{request}\n\n") };
        format!("{before}{fence}\n{request}{answer}\n{END}")
    }
}

/// The services, and who is told by them.
struct Services {
    order: OrderService,
    sync: Sync,
    receiver: Receiver,
    refunder: Refunder,
}

/// Everything that examples are sent to.
struct Stage {
    cluster: Cluster,
    fourth: usize,
    epoch: String,
    /// From the first example on that is for one of them.
    services: Option<Services>,
}

#[tokio::test]
async fn the_page_shows_real_answers() {
    let page = std::fs::read_to_string(page_path()).expect("the page can be read");
    let mut stage = Stage::set().await;
    let (mut rewritten, mut wrong, mut rest) = (String::new(), Vec::new(), page.as_str());
    while let Some((example, after)) = Example::next(rest) {
        let shown = {
            let real = stage.answer(&example).await;
            stage.documented(&real)
        };
        if !agree(example.answer, &shown) {
            let Example { fence, request, answer, .. } = &example;
            wrong.push(format!("{fence}\n{request}\n\nshown:\n{answer}\n\nreal:\n{shown}\n"));
        }
        write!(rewritten, "{}", example.with(&shown)).expect("a text grows");
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

impl Stage {
    async fn set() -> Self {
        let mut cluster = Cluster::start(3).await;
        let fourth = cluster.add_node(4);
        let peer = cluster.nodes[0].peer_address.clone();
        cluster.nodes[fourth].start(&["--join", &peer]);
        let status = cluster.leader_http().await.get("/cluster").await.expect(200).body;
        let epoch = status["epoch"].as_str().expect("an epoch").to_owned();
        Self { cluster, fourth, epoch, services: None }
    }

    async fn services(&mut self) -> &Services {
        if self.services.is_none() {
            let (receiver, refunder) = (Receiver::start().await, Refunder::start(204).await);
            receiver.know(SECRET);
            let order = OrderService::start(&self.cluster, &["--refund-url", &refunder.url]).await;
            let sync = Sync::start(&self.cluster, &[]).await;
            self.services = Some(Services { order, sync, receiver, refunder });
        }
        self.services.as_ref().expect("they have just been started")
    }

    /// What the page calls by another name, and the real one.
    fn names(&self) -> Vec<(String, String)> {
        let mut names = vec![(EPOCH.to_owned(), self.epoch.clone())];
        for node in &self.cluster.nodes {
            let port = 8082 + 100 * (node.id - 1);
            names.push((format!("127.0.0.1:{port}"), node.http_address.clone()));
            names.push((format!("127.0.0.1:{}", port + 5), node.peer_address.clone()));
        }
        if let Some(Services { receiver, refunder, .. }) = &self.services {
            names.push((HOOK.to_owned(), receiver.url()));
            names.push((REFUNDS.to_owned(), refunder.url.clone()));
        }
        names
    }

    fn documented(&self, text: &str) -> String {
        self.names().iter().fold(text.to_owned(), |text, (shown, real)| text.replace(real, shown))
    }

    fn real(&self, text: &str) -> String {
        self.names().iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    /// The real answer to an example, or what was really sent.
    async fn answer(&mut self, example: &Example<'_>) -> String {
        let lines = example.answer.lines().count();
        if example.is_for("webhook") {
            return self.webhooks(lines).await;
        }
        if example.is_for("refund") {
            return self.refunds(lines).await;
        }
        if example.request.starts_with("DELETE /cluster/members/4") {
            // One that was taken out knows no leader any more.
            self.cluster.nodes[self.fourth].kill().await;
        }
        let address = self.address(example).await;
        let request = Request::read(&self.real(example.request));
        if example.is_for("stream") {
            return request.stream(&address, lines).await;
        }
        let answer = request.send(&address).await;
        if example.is_for("sync")
            && request.method == Method::POST
            && request.path.ends_with("/subscriptions")
        {
            // What happens from now on comes after its balances.
            self.webhooks(1).await;
        }
        answer
    }

    /// Whom an example is sent to, once it knows what the leader knows.
    async fn address(&mut self, example: &Example<'_>) -> String {
        if example.is_for("order") {
            return self.services().await.order.address.clone();
        }
        let leader = self.cluster.leader().await;
        if !example.is_for("sync") {
            return self.cluster.nodes[leader].http_address.clone();
        }
        let last = self.cluster.http(leader).get("/cluster").await.expect(200).body["appliedSeq"].as_u64();
        let sync = &self.services().await.sync;
        let http = sync.http();
        eventually("the view has everything", || async {
            let page = http.get("/state/S1").await;
            (page.status == 200 && page.body["seq"].as_u64() >= last).then_some(())
        })
        .await;
        sync.address.clone()
    }

    /// The first messages that the receiver was sent.
    async fn webhooks(&mut self, count: usize) -> String {
        let receiver = &self.services().await.receiver;
        let messages = eventually("the webhooks come", || async {
            let received = receiver.received();
            (received.len() >= count).then_some(received)
        })
        .await;
        messages.iter().take(count).map(|message| message.text.as_str()).collect::<Vec<_>>().join("\n")
    }

    /// The first refunds that were asked for, once they are settled.
    async fn refunds(&mut self, count: usize) -> String {
        let leader = self.cluster.leader_http().await;
        let refunder = &self.services().await.refunder;
        eventually("the refunds are settled", || async {
            let is_settled = leader.get("/cluster").await.body["refundsDue"] == 0;
            (is_settled && refunder.asked().len() >= count).then_some(())
        })
        .await;
        refunder.asked().values().take(count).map(|asked| asked[0].to_string()).collect::<Vec<_>>().join("\n")
    }
}

/// A request as the page writes it: a line with method and path, headers, a body.
struct Request {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
}

impl Request {
    fn read(text: &str) -> Self {
        let (head, body) = match text.find("\n{").or_else(|| text.find("\n[")) {
            Some(at) => (&text[..at], Some(serde_json::from_str(&text[at..]).expect("a body is JSON"))),
            None => (text, None),
        };
        let mut lines = head.lines();
        let (method, path) = lines.next().and_then(|line| line.split_once(' ')).expect("a method and a path");
        Self {
            method: Method::from_bytes(method.as_bytes()).expect("a method"),
            path: path.to_owned(),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect(),
            body,
        }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    async fn send(&self, address: &str) -> String {
        let Self { method, path, body, .. } = self;
        let http = Http::new(address);
        // A change of members is refused while the one before it ends.
        let answer = eventually(&format!("an answer to {method} {path}"), || async {
            let answer = http.send(method.clone(), path, &self.headers(), body.clone()).await;
            (answer.status != 503 && answer.code() != "membership_busy").then_some(answer)
        })
        .await;
        written(&answer)
    }

    /// The first lines of a stream.
    async fn stream(&self, address: &str, lines: usize) -> String {
        let stream = Stream::try_open_with(address, &self.path, &self.headers()).await;
        let (mut stream, mut text) = (stream.expect("a stream"), "200".to_owned());
        for _ in 1..lines {
            let line = stream.line().await.expect("as many lines as are shown");
            write!(text, "\n{}", line.trim_end()).expect("a text grows");
        }
        text
    }
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
    let (shown, real): (Vec<&str>, Vec<&str>) = (shown.lines().collect(), real.lines().collect());
    shown.len() == real.len() && shown.iter().zip(&real).all(|(shown, real)| lines_agree(shown, real))
}

/// The same of two lines: each is JSON, an event's data, or something else.
fn lines_agree(shown: &str, real: &str) -> bool {
    let json = |line: &str| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok();
    match (json(shown), json(real)) {
        (Some(shown), Some(real)) => alike(&shown, &real, true),
        _ => shown == real,
    }
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
        "200\n{\"a\":1,\"at\":\"x\"}\n{}",
        "200\nid: 1\n{\"a\":1,\"at\":\"x\"}",
    ] {
        assert!(!agree("200\n{\"a\":1,\"at\":\"x\"}", other), "{other}");
    }
}
