//! Those who hold on to connections, send without end, never read or speak another protocol: nodes and services stay up, go
//! on to serve others, and take no more memory than docs/OPERATIONS.md says.

use holdfast_e2e::{Caller, Cluster, Http, OrderService, PATIENCE, Sync, eventually};
use holdfast_serve::connections_within_reach;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// What clients can make a process take beside its state, in bytes: see docs/OPERATIONS.md. The states here are small.
const MEMORY_BOUND_BYTES: u64 = 1536 << 20;

const GIB: usize = 1 << 30;

const TLS_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

const PEER_HELLO: &[u8] = b"HOLDFAST\x01\x01";

/// A change is made, however slow the machine is.
async fn create(http: &Http, item: &str) {
    let body = json!({"storeId": "S1", "itemId": item, "available": 5});
    eventually("a row is made", || async {
        let answer = http.post_with_key("/admin/newSKU", item, body.clone()).await;
        matches!(answer.status, 200 | 201).then_some(())
    })
    .await;
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n")
}

fn post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

#[track_caller]
fn assert_bounded(peak_bytes: u64) {
    assert!(peak_bytes < MEMORY_BOUND_BYTES, "it took {} MiB", peak_bytes >> 20);
    println!("it took {} MiB at most", peak_bytes >> 20);
}

/// Opens `count` connections, some at a time, and says `text` on each.
async fn crowd(address: &str, count: usize, text: &'static str) -> Vec<Caller> {
    const AT_ONCE: usize = 10;
    let mut opening = JoinSet::new();
    for _ in 0..AT_ONCE {
        let address = address.to_owned();
        opening.spawn(async move {
            let mut callers = Vec::new();
            for _ in 0..count / AT_ONCE {
                callers.push(Caller::saying(&address, text).await);
            }
            callers
        });
    }
    opening.join_all().await.into_iter().flatten().collect()
}

/// Waits until a node takes a request on a new connection.
async fn there_is_room(http: &Http) {
    eventually("there is room", || async { (http.get("/livez").await.status == 200).then_some(()) }).await;
}

#[tokio::test]
async fn ten_thousand_connections_keep_a_node_from_nothing_that_is_on_its_way() {
    const CONNECTIONS: usize = 10_000;
    if connections_within_reach(CONNECTIONS + 500) < CONNECTIONS + 500 {
        eprintln!("skipped: this process may not open the files for {CONNECTIONS} connections (ulimit -n)");
        return;
    }
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let address = cluster.nodes[leader].http_address.clone();
    let idle = crowd(&address, CONNECTIONS, "GET /livez HTTP/1.1\r\n").await;
    // The others reach it as peers, whatever its clients do.
    let others: Vec<usize> = (0..3).filter(|&index| index != leader).collect();
    for index in others {
        cluster.http(index).get("/readyz").await.expect(200);
    }
    // Whoever says nothing more makes room.
    let http = cluster.http(leader);
    there_is_room(&http).await;
    create(&http, "A").await;
    assert_eq!(idle.len(), CONNECTIONS);
    drop(idle);
    there_is_room(&http).await;
    assert_bounded(cluster.nodes[leader].peak_memory_bytes());
}

#[tokio::test]
async fn a_node_that_may_open_few_files_takes_fewer_connections_and_says_so() {
    let mut cluster = Cluster::prepare(1, &[]);
    cluster.nodes[0].limit_files(400);
    cluster.start_node(0);
    cluster.leader().await;
    let address = cluster.nodes[0].http_address.clone();
    assert!(cluster.nodes[0].output().contains("too few files"), "{}", cluster.nodes[0].output());
    let idle = crowd(&address, 500, "").await;
    eventually("one that is beyond the limit is told so", || async {
        let late = Caller::saying(&address, get("/livez")).await.closed().await;
        (late.starts_with("HTTP/1.1 503") && late.contains("overloaded")).then_some(())
    })
    .await;
    assert!(
        cluster.nodes[0].output().contains("connections are turned away"),
        "{}",
        cluster.nodes[0].output()
    );
    drop(idle);
    let http = cluster.http(0);
    there_is_room(&http).await;
    create(&http, "A").await;
    http.post("/cluster/snapshot", json!({})).await.expect(200);
}

/// Sends `head`, and then `more` again and again, until the connection is closed.
async fn trickle(address: String, head: String, more: &'static str) {
    let mut caller = Caller::saying(&address, head).await;
    let sending = async {
        while caller.say(more).await.is_ok() {
            // How slow it is does not matter, as long as it is slower than the limits allow.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        }
    };
    timeout(PATIENCE, sending).await.expect("a slow sender is not served for ever");
}

#[tokio::test]
async fn slow_senders_are_closed_and_keep_nobody_from_being_served() {
    let cluster = Cluster::start(1).await;
    let address = cluster.nodes[0].http_address.clone();
    let mut slow = JoinSet::new();
    for _ in 0..100 {
        slow.spawn(trickle(address.clone(), "GET /livez HTTP/1.1\r\n".to_owned(), "a: b\r\n"));
        slow.spawn(trickle(address.clone(), post("/batch", 1 << 20), " "));
    }
    let mut half_closed = Vec::new();
    for text in ["", "GET /li", &get("/livez"), &post("/batch", 100)] {
        for _ in 0..25 {
            let mut caller = Caller::saying(&address, text).await;
            caller.end().await;
            half_closed.push(caller);
        }
    }
    let http = cluster.http(0);
    for number in 0..50 {
        create(&http, &format!("ITEM-{number}")).await;
    }
    for caller in half_closed {
        caller.closed().await;
    }
    while let Some(ended) = slow.join_next().await {
        ended.unwrap();
    }
    assert_bounded(cluster.nodes[0].peak_memory_bytes());
}

/// Sends chunks until the other end has had enough, a gibibyte at most.
async fn send_without_end(address: &str, path: &str) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let mut caller = Caller::saying(address, head).await;
    let chunk = [b"10000\r\n".as_slice(), &vec![b' '; 0x10000], b"\r\n"].concat();
    let mut sent = 0;
    while sent < GIB && caller.say(&chunk).await.is_ok() {
        sent += chunk.len();
    }
    assert!(sent < GIB, "{path} takes bodies without end");
}

/// Says that a body of a gibibyte comes, and is refused before it has come.
async fn announce_too_much(address: &str, path: &str) {
    let answer = Caller::saying(address, post(path, GIB)).await.closed().await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("too_large"), "{path}: {answer:?}");
}

#[tokio::test]
async fn bodies_of_a_gibibyte_are_refused_by_the_node_and_the_services() {
    let cluster = Cluster::start(1).await;
    let (order, sync) = (OrderService::start(&cluster, &[]).await, Sync::start(&cluster, &[]).await);
    let node = &cluster.nodes[0].http_address;
    for (address, path) in [
        (node, "/batch"),
        (node, "/inventory/S1/items/A/reserve"),
        (node, "/cluster/members"),
        (&order.address, "/orders"),
        (&sync.address, "/stores/S1/events"),
        (&sync.address, "/stores/S1/subscriptions"),
    ] {
        announce_too_much(address, path).await;
        send_without_end(address, path).await;
    }
    order.http().get("/livez").await.expect(200);
    sync.http().get("/livez").await.expect(200);
    create(&cluster.http(0), "A").await;
    for peak in [cluster.nodes[0].peak_memory_bytes(), order.peak_memory_bytes(), sync.peak_memory_bytes()] {
        assert_bounded(peak);
    }
}

#[tokio::test]
async fn bodies_whose_few_bytes_stand_for_much_are_refused_before_they_do() {
    let cluster = Cluster::start(1).await;
    let http = cluster.http(0);
    let batch = |command: &str| format!("{{\"commands\":[{command}]}}");
    for (body, status) in [
        (batch(&vec!["{\"op\":\"cancelTransfer\",\"transferId\":\"x\"}"; 1 << 20].join(",")), 400),
        (batch(&format!("{{\"op\":[{}]}}", vec!["{\"\":0}"; 8 << 20].join(","))), 400),
        (
            batch(
                &vec!["{\"op\":\"confirm\",\"holdId\":\"H-00000000-0000-7000-8000-000000000000\"}"; 20_000]
                    .join(","),
            ),
            413,
        ),
    ] {
        let mut caller =
            Caller::saying(&cluster.nodes[0].http_address, post("/batch", body.len()) + &body).await;
        let answer = caller.hear("\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer:?}");
    }
    create(&http, "A").await;
    assert_bounded(cluster.nodes[0].peak_memory_bytes());
}

/// A node with as many movements as a page has, each of which takes some 800 bytes: more than the system buffers.
async fn with_large_pages() -> Cluster {
    const MOVEMENTS: usize = 10_000;
    const BATCH: usize = 500;
    // Those who take nothing are to stay for as long as the test takes.
    let cluster = Cluster::start_with(1, &["--stall-timeout-ms", "60000"]).await;
    let http = cluster.http(0);
    create(&http, "A").await;
    let adjust = json!({
        "op": "adjust", "storeId": "S1", "itemId": "A", "delta": 1, "reason": "x".repeat(256), "reference": "y".repeat(256)
    });
    for _ in 0..MOVEMENTS / BATCH {
        http.post("/batch", json!({"commands": vec![&adjust; BATCH]})).await.expect(200);
    }
    cluster
}

#[tokio::test]
async fn large_answers_that_nobody_reads_share_what_room_there_is() {
    let cluster = with_large_pages().await;
    let (http, address) = (cluster.http(0), cluster.nodes[0].http_address.clone());
    let page = "/movements?limit=10000&consistency=local";
    let mut readers = Vec::new();
    let refused = loop {
        let mut reader = Caller::saying(&address, get(page)).await;
        let head = reader.hear("\r\n\r\n").await;
        if !head.starts_with("HTTP/1.1 200") || readers.len() == 100 {
            break head;
        }
        readers.push(reader);
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{} readers, then {refused:?}", readers.len());
    create(&http, "B").await;
    assert_eq!(http.get("/movements?limit=10&consistency=local").await.status, 200);
    drop(readers);
    eventually("there is room", || async { (http.get(page).await.status == 200).then_some(()) }).await;
    assert_bounded(cluster.nodes[0].peak_memory_bytes());
}

#[tokio::test]
async fn whoever_asks_again_and_again_and_reads_nothing_is_closed() {
    let cluster = Cluster::start_with(1, &["--stall-timeout-ms", "1000"]).await;
    let (http, address) = (cluster.http(0), cluster.nodes[0].http_address.clone());
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let address = address.clone();
        asking.spawn(async move {
            let mut caller = Caller::connect(&address).await;
            let many = get("/cluster").repeat(1_000);
            while caller.say(&many).await.is_ok() {}
        });
    }
    create(&http, "A").await;
    let all = async { while asking.join_next().await.is_some() {} };
    timeout(PATIENCE * 2, all).await.expect("who does not read is closed");
    create(&http, "B").await;
    assert_bounded(cluster.nodes[0].peak_memory_bytes());
}

#[tokio::test]
async fn whoever_speaks_another_protocol_is_turned_away() {
    let mut cluster = Cluster::start(3).await;
    let index = cluster.follower().await;
    let (http, peer) = (cluster.nodes[index].http_address.clone(), cluster.nodes[index].peer_address.clone());
    for text in
        [TLS_HELLO, PEER_HELLO, b"\0\0\0\0\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\nnonsense\r\n\r\n"]
    {
        let answer = Caller::saying(&http, text).await.closed().await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{text:?}: {answer:?}");
    }
    let frame = |length: u32, body: &[u8]| [PEER_HELLO, &length.to_le_bytes(), body].concat();
    for text in [
        TLS_HELLO.to_vec(),
        get("/cluster").into_bytes(),
        vec![0xff; 64],
        frame(u32::MAX, b""),
        PEER_HELLO.to_vec(),
    ] {
        let answer = Caller::saying(&peer, &text).await.closed().await;
        assert_eq!(answer, "", "{text:?}");
    }
    let refused = Caller::saying(&peer, frame(3, b"abc")).await.hear("format").await;
    assert!(refused.contains("record format"), "it says what it cannot read: {refused:?}");
    // What is only announced takes nothing, and more connections than there are peers for are closed.
    let mut silent = Vec::new();
    for _ in 0..150 {
        silent.push(Caller::saying(&peer, frame(256 << 20, b"x")).await);
    }
    let client = cluster.http(index);
    create(&client, "A").await;
    cluster.equal_digests().await;
    drop(silent);
    cluster.nodes[index].kill().await;
    cluster.start_node(index);
    cluster.equal_digests().await;
    assert_bounded(cluster.nodes[index].peak_memory_bytes());
}
