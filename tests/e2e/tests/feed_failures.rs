//! The feed while nodes die, readers do not read, and the ledger is trimmed.

use std::time::Duration;

use holdfast_e2e::{Cluster, Http, LazyReader, Stream, binary, eventually, seqs};
use serde_json::{Value, json};

/// Commands in a batch: its movements take some megabytes as a reader gets them.
const BATCH: usize = 10_000;

/// A reader that takes nothing for so long is cut off.
const STALL: Duration = Duration::from_secs(3);
const STALL_MS: &str = "3000";

async fn create(http: &Http, item: &str) {
    let body = json!({"storeId": "S1", "itemId": item, "available": 1_000_000});
    http.post("/admin/newSKU", body).await.expect(201);
}

fn address(cluster: &Cluster, index: usize) -> String {
    cluster.nodes[index].http_address.clone()
}

/// Sells one unit after the other through whichever node answers, each sale once.
async fn sell(nodes: Vec<Http>, item: &'static str, times: usize) {
    for number in 0..times {
        let key = format!("{item}-{number}");
        let path = format!("/inventory/S1/items/{item}/sale");
        let mut turn = number;
        eventually("a sale is booked", || {
            turn += 1;
            let (node, path, key) = (nodes[turn % nodes.len()].clone(), path.clone(), key.clone());
            async move { (node.post_with_key(&path, &key, json!({"qty": 1})).await.status == 200).then_some(()) }
        })
        .await;
    }
}

/// Reads on from `cursor` at one node after the other, some records at each; returns all up to `last`.
async fn follow(addresses: &[String], last: u64) -> Vec<u64> {
    let (mut cursor, mut found, mut turn) = ("0".to_owned(), Vec::new(), 0);
    while found.last() != Some(&last) {
        turn += 1;
        let address = &addresses[turn % addresses.len()];
        let path = format!("/feed?after={cursor}");
        let mut stream = eventually("a node serves the feed", || async {
            match Stream::try_open(address, &path).await {
                Some(stream) => Some(Some(stream)),
                // It is down: the next has its turn.
                None => Some(None),
            }
        })
        .await;
        let Some(stream) = &mut stream else { continue };
        for _ in 0..50 {
            let Some(line) = stream.json().await else { break };
            let Some(next) = line["cursor"].as_str() else { break };
            cursor = next.to_owned();
            found.extend(seqs(std::slice::from_ref(&line)));
            if found.last() == Some(&last) {
                break;
            }
        }
    }
    found
}

#[tokio::test]
async fn a_consumer_that_moves_from_node_to_node_misses_nothing_through_a_leader_kill() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for item in ["A", "B", "C"] {
        create(&cluster.http(leader), item).await;
    }
    let nodes: Vec<Http> = (0..3).map(|index| cluster.http(index)).collect();
    let writers = ["A", "B", "C"].map(|item| tokio::spawn(sell(nodes.clone(), item, 100)));
    let addresses: Vec<String> = (0..3).map(|index| address(&cluster, index)).collect();
    let consumer = tokio::spawn(async move { follow(&addresses, 303).await });
    // A consumer of the client's own, which finds its nodes by itself.
    let endpoints: Vec<String> = (0..3).map(|index| address(&cluster, index)).collect();
    let watch = tokio::process::Command::new(binary("holdfast"))
        .args(["--endpoints", &endpoints.join(","), "-o", "json", "watch", "--after", "0", "--count", "303"])
        .kill_on_drop(true)
        .output();
    let watch = tokio::spawn(watch);
    let mut some = Stream::open(&endpoints[(leader + 1) % 3], "/feed?after=0").await;
    some.records(60).await;
    cluster.nodes[leader].kill().await;
    some.records(120).await;
    cluster.start_node(leader);
    for writer in writers {
        writer.await.unwrap();
    }
    let all: Vec<u64> = (1..=303).collect();
    assert_eq!(consumer.await.unwrap(), all);
    let output = watch.await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(seqs(&lines), all, "{told}");
}

#[tokio::test]
async fn a_node_that_was_down_through_a_snapshot_goes_on_where_the_consumer_was() {
    let mut cluster = Cluster::start(3).await;
    let down = cluster.follower().await;
    create(&cluster.http(down), "A").await;
    let seen = Stream::open(&address(&cluster, down), "/feed?after=0").await.records(1).await;
    cluster.nodes[down].kill().await;
    let leader = cluster.leader().await;
    let http = cluster.http(leader);
    outgrow_the_log(&http).await;
    cluster.start_node(down);
    let cursor = seen[0]["cursor"].as_str().unwrap();
    let place = address(&cluster, down);
    // While its ledger is rebuilt a part of it is missing: the feed waits for that, and leaves nothing out.
    let path = format!("/feed?after={cursor}");
    let mut stream = eventually("the node serves", || Stream::try_open(&place, &path)).await;
    let writing = tokio::spawn(sell(vec![http.clone()], "A", 10));
    assert_eq!(seqs(&stream.records(73).await), (2..=74).collect::<Vec<u64>>());
    writing.await.unwrap();
    // And from the start, of which it has never seen some.
    let mut whole = Stream::open(&place, "/feed?after=0").await;
    assert_eq!(seqs(&whole.records(74).await), (1..=74).collect::<Vec<u64>>());
    assert!(has_been_sent_a_snapshot(&cluster.http(down)).await);
}

#[tokio::test]
async fn a_stream_stays_open_through_an_installed_snapshot_and_leaves_nothing_out() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let cut_off = cluster.follower().await;
    let http = cluster.http(leader);
    create(&http, "A").await;
    let mut stream = Stream::open(&address(&cluster, cut_off), "/feed?after=0").await;
    stream.records(1).await;
    // Stopped, not killed: its streams stay open, and it comes back to a log that no longer has what it needs.
    cluster.nodes[cut_off].signal("STOP").await;
    outgrow_the_log(&http).await;
    cluster.nodes[cut_off].signal("CONT").await;
    assert_eq!(seqs(&stream.records(63).await), (2..=64).collect::<Vec<u64>>());
    sell(vec![http], "A", 5).await;
    assert_eq!(seqs(&stream.records(5).await), (65..=69).collect::<Vec<u64>>());
    assert!(has_been_sent_a_snapshot(&cluster.http(cut_off)).await);
}

/// Makes changes and snapshots until the log no longer reaches back to where it was, so that entries alone no longer do for
/// a node that was away: the log is cut to the older of two snapshots.
async fn outgrow_the_log(leader: &Http) {
    let before = leader.get("/cluster").await.expect(200).body["lastLogIndex"].as_u64();
    for item in ["B", "C", "D"] {
        create(leader, item).await;
        sell(vec![leader.clone()], item, 20).await;
        leader.post("/cluster/snapshot", json!({})).await.expect(200);
    }
    eventually("the log is cut", || async {
        (leader.get("/cluster").await.body["purgedIndex"].as_u64() > before).then_some(())
    })
    .await;
}

/// A node that never took a snapshot has one that it was sent.
async fn has_been_sent_a_snapshot(http: &Http) -> bool {
    http.get("/cluster").await.expect(200).body["snapshotIndex"].as_u64() > Some(0)
}

/// Makes a ledger that is larger than all buffers between a node and its reader.
async fn fill(http: &Http) {
    create(http, "A").await;
    let sale = json!({"op": "sale", "storeId": "S1", "itemId": "A", "qty": 1, "reason": "r".repeat(200)});
    let batch = json!({"commands": vec![sale; BATCH]});
    for number in 0..3 {
        // On a busy machine it may take longer than a request may.
        let key = format!("fill-{number}");
        eventually("a batch is applied", || async {
            (http.post_with_key("/batch", &key, batch.clone()).await.status == 200).then_some(())
        })
        .await;
    }
}

/// A reader of the feed from its start that does not read.
async fn lazy_reader(address: &str) -> LazyReader {
    LazyReader::open(address, "/feed?after=0", "application/x-ndjson").await
}

/// The problem in the last line of a body in chunks.
fn last_words(text: &str) -> Value {
    let line = text.lines().rfind(|line| line.starts_with("{\"error\"")).expect("a last word");
    serde_json::from_str::<Value>(line).unwrap()["error"].clone()
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off_and_told_so_when_it_comes_back() {
    let mut cluster = Cluster::start_with(3, &["--stall-timeout-ms", STALL_MS]).await;
    let http = cluster.leader_http().await;
    fill(&http).await;
    let leader = cluster.leader().await;
    let place = address(&cluster, leader);
    let reader = lazy_reader(&place).await;
    // Not a wait for something: this is how long the reader takes nothing. Meanwhile others write.
    let pause = tokio::time::sleep(STALL * 2);
    tokio::join!(pause, sell(vec![http.clone()], "A", 50));
    let (text, is_whole) = reader.rest().await;
    assert!(is_whole, "the stream has an end");
    assert_eq!(last_words(&text)["code"], "slow_reader");
}

#[tokio::test]
async fn a_reader_that_never_comes_back_gives_up_its_place() {
    let flags = ["--stall-timeout-ms", "500", "--max-feeds", "1"];
    let mut cluster = Cluster::start_with(3, &flags).await;
    let http = cluster.leader_http().await;
    fill(&http).await;
    let leader = cluster.leader().await;
    let place = address(&cluster, leader);
    let reader = lazy_reader(&place).await;
    let mut next = eventually("the place is free", || Stream::try_open(&place, "/feed")).await;
    next.json().await.unwrap();
    sell(vec![http], "A", 1).await;
    assert_eq!(next.records(1).await.len(), 1);
    let (_, is_whole) = reader.rest().await;
    assert!(!is_whole, "what was under way was given up");
}

#[tokio::test]
async fn a_trim_ends_a_stream_that_had_not_come_so_far() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    fill(&http).await;
    let leader = cluster.leader().await;
    let place = address(&cluster, leader);
    let reader = lazy_reader(&place).await;
    let mut live = Stream::open(&place, "/feed").await;
    live.json().await.unwrap();
    let last = 3 * BATCH as u64 + 1;
    http.post("/ledger/trim", json!({"before": last})).await.expect(200);
    let (text, is_whole) = reader.rest().await;
    assert!(is_whole, "the stream has an end");
    let problem = last_words(&text);
    assert_eq!((&problem["code"], &problem["oldestSeq"]), (&json!("cursor_compacted"), &json!(last)));
    // One that has had what was trimmed goes on.
    sell(vec![http], "A", 1).await;
    assert_eq!(seqs(&live.records(1).await), [last + 1]);
}

#[tokio::test]
async fn a_node_that_stops_by_itself_ends_its_streams_with_the_reason() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let stops = cluster.follower().await;
    create(&cluster.http(leader), "A").await;
    let mut stream = Stream::open(&address(&cluster, stops), "/feed?after=0").await;
    stream.records(1).await;
    // An election needs its vote, which it can no longer write.
    std::fs::remove_dir_all(&cluster.nodes[stops].dir).unwrap();
    cluster.nodes[leader].kill().await;
    assert_eq!(stream.last_words().await["code"], "stopped");
    assert_eq!(cluster.nodes[stops].wait().await, 1);
}
