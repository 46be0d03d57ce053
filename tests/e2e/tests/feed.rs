//! The feed as a client without any library sees it: cursors, filters, forms, refusals, and how it ends.

use holdfast_e2e::{Cluster, Http, Stream, seqs};
use serde_json::{Value, json};

async fn create(http: &Http, store: &str, item: &str, available: u64) {
    let body = json!({"storeId": store, "itemId": item, "available": available});
    http.post("/admin/newSKU", body).await.expect(201);
}

async fn sell(http: &Http, store: &str, item: &str, times: usize) {
    for _ in 0..times {
        http.post(&format!("/inventory/{store}/items/{item}/sale"), json!({"qty": 1})).await.expect(200);
    }
}

fn address(cluster: &Cluster, index: usize) -> &str {
    &cluster.nodes[index].http_address
}

#[tokio::test]
async fn every_node_serves_what_was_and_then_what_comes() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    sell(&http, "S1", "A", 3).await;
    let mut streams = Vec::new();
    for index in 0..3 {
        let mut stream = Stream::open(address(&cluster, index), "/feed?after=0").await;
        assert_eq!(seqs(&stream.records(4).await), [1, 2, 3, 4], "node {index}");
        let now = Stream::open(address(&cluster, index), "/feed").await;
        streams.push((stream, now));
    }
    sell(&http, "S1", "A", 2).await;
    let pages = http.get("/movements?after=4").await.expect(200).body["movements"].clone();
    for (stream, now) in &mut streams {
        let live = stream.records(2).await;
        assert_eq!(seqs(&live), [5, 6]);
        assert_eq!(live[0]["record"], pages[0], "a record is what a page of movements has");
        assert_eq!(seqs(&now.records(2).await), [5, 6], "without a cursor it starts with what comes");
    }
}

#[tokio::test]
async fn a_cursor_of_one_node_goes_on_at_another_and_what_was_seen_last_stands_over_the_address() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    sell(&http, "S1", "A", 4).await;
    let seen = Stream::open(address(&cluster, 0), "/feed?after=0").await.records(2).await;
    let cursor = seen[1]["cursor"].as_str().unwrap();
    let status = http.get("/cluster").await.expect(200);
    assert_eq!(cursor, format!("{}.2", status.body["epoch"].as_str().unwrap()));
    for index in 0..3 {
        let path = format!("/feed?after={cursor}");
        assert_eq!(seqs(&Stream::open(address(&cluster, index), &path).await.records(3).await), [3, 4, 5]);
        let headers = [("accept", "application/x-ndjson"), ("last-event-id", cursor)];
        let again = Stream::try_open_with(address(&cluster, index), "/feed?after=0", &headers).await;
        assert_eq!(seqs(&again.unwrap().records(3).await), [3, 4, 5]);
    }
}

#[tokio::test]
async fn events_and_lines_are_framed_as_their_readers_expect() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    let epoch = http.get("/cluster").await.expect(200).body["epoch"].as_str().unwrap().to_owned();
    let mut events =
        Stream::try_open_with(address(&cluster, 0), "/feed?after=0", &[("accept", "text/event-stream")])
            .await
            .unwrap();
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert_eq!(events.header("cache-control"), "no-store");
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.starts_with("data: {\"seq\":")) {
        lines.push(events.line().await.expect("the stream goes on"));
    }
    let bookmark = format!("{{\"cursor\":\"{epoch}.0\"}}");
    assert_eq!(
        lines[..7],
        [
            "retry: 1000\n".to_owned(),
            format!("id: {epoch}.0\n"),
            "event: bookmark\n".to_owned(),
            format!("data: {bookmark}\n"),
            "\n".to_owned(),
            format!("id: {epoch}.1\n"),
            "event: CREATED\n".to_owned(),
        ]
    );
    assert_eq!(events.line().await.as_deref(), Some("\n"), "a blank line ends an event");
    let record: Value = serde_json::from_str(lines[7].trim_start_matches("data: ")).unwrap();
    let mut stream = Stream::open(address(&cluster, 0), "/feed?after=0").await;
    assert_eq!(stream.header("content-type"), "application/x-ndjson");
    assert_eq!(stream.json().await.unwrap(), json!({"cursor": format!("{epoch}.0")}));
    assert_eq!(stream.json().await.unwrap(), json!({"cursor": format!("{epoch}.1"), "record": record}));
    let html = http.send(reqwest::Method::GET, "/feed", &[("accept", "text/html")], None).await;
    html.expect_problem(406, "not_acceptable");
}

#[tokio::test]
async fn a_filter_lets_through_what_is_asked_for_and_its_cursor_moves_all_the_same() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    for (store, item) in [("S1", "A"), ("S1", "B"), ("S2", "A")] {
        create(&http, store, item, 10).await;
    }
    sell(&http, "S1", "B", 1).await;
    http.post("/inventory/S2/items/A/receive", json!({"qty": 1})).await.expect(200);
    for (query, expected) in [
        ("storeId=S1", vec![1, 2, 4]),
        ("itemId=A", vec![1, 3, 5]),
        ("storeId=S1&storeId=S2&itemId=A", vec![1, 3, 5]),
        ("kind=SOLD,RECEIVED", vec![4, 5]),
        ("kind=SOLD&kind=CREATED&storeId=S1&itemId=B", vec![2, 4]),
    ] {
        let mut stream = Stream::open(address(&cluster, 1), &format!("/feed?after=0&{query}")).await;
        assert_eq!(seqs(&stream.records(expected.len()).await), expected, "{query}");
    }
    // Nothing matches, neither of what was nor of what comes.
    let mut none = Stream::open(address(&cluster, 1), "/feed?after=0&storeId=S3").await;
    let mut reached = none.json().await.unwrap()["cursor"].as_str().unwrap().to_owned();
    assert!(reached.ends_with(".0"));
    for last in [5, 8] {
        while !reached.ends_with(&format!(".{last}")) {
            let line = none.json().await.unwrap();
            assert_eq!(line["record"], Value::Null);
            reached = line["cursor"].as_str().unwrap().to_owned();
        }
        sell(&http, "S1", "A", 3).await;
    }
}

#[tokio::test]
async fn a_cursor_that_makes_no_sense_is_refused_in_words() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    let epoch = http.get("/cluster").await.expect(200).body["epoch"].as_str().unwrap().to_owned();
    let ahead = http.get(&format!("/feed?after={epoch}.2")).await;
    assert_eq!(ahead.body["lastSeq"], 1);
    ahead.expect_problem(409, "cursor_ahead");
    http.get("/feed?after=18446744073709551615").await.expect_problem(409, "cursor_ahead");
    let other = http.get("/feed?after=00000000.1").await;
    assert_eq!(other.body["epoch"], epoch);
    other.expect_problem(409, "cursor_other_epoch");
    for bad in
        ["after=x", "after=", "after=-1", "after=1&after=1", "storeId=", "kind=sold", "typo=1", "after=%ff"]
    {
        http.get(&format!("/feed?{bad}")).await.expect_problem(400, "malformed");
    }
    let bad = http.send(reqwest::Method::GET, "/feed", &[("last-event-id", "x.y")], None).await;
    bad.expect_problem(400, "malformed");
    http.post("/feed", json!({})).await.expect_problem(405, "method_not_allowed");
    sell(&http, "S1", "A", 5).await;
    http.post("/ledger/trim", json!({"before": 4})).await.expect(200);
    let http = cluster.leader_http().await;
    let compacted = http.get("/feed?after=2").await;
    assert_eq!(compacted.body["oldestSeq"], 4);
    compacted.expect_problem(410, "cursor_compacted");
    for index in 0..3 {
        let mut kept = Stream::open(address(&cluster, index), "/feed?after=3").await;
        assert_eq!(seqs(&kept.records(3).await), [4, 5, 6]);
    }
}

#[tokio::test]
async fn more_readers_than_there_is_room_for_are_sent_away_until_one_goes() {
    let mut cluster = Cluster::start_with(3, &["--max-feeds", "1"]).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    let mut first = Stream::open(address(&cluster, 0), "/feed?after=0").await;
    first.records(1).await;
    let second = cluster.http(0).get("/feed?after=0").await;
    assert_eq!((second.header("retry-after"), &second.body["limit"]), ("1", &json!(1)));
    second.expect_problem(503, "overloaded");
    drop(first);
    let address = address(&cluster, 0).to_owned();
    let mut next =
        holdfast_e2e::eventually("its place is free", || Stream::try_open(&address, "/feed?after=0")).await;
    assert_eq!(seqs(&next.records(1).await), [1]);
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_ends_its_streams_with_a_last_word() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    let follower = cluster.follower().await;
    let mut stream = Stream::open(address(&cluster, follower), "/feed?after=0").await;
    stream.records(1).await;
    cluster.nodes[follower].signal("TERM").await;
    assert_eq!(stream.last_words().await["code"], "stopped");
    assert_eq!(cluster.nodes[follower].wait().await, 0);
}

#[tokio::test]
async fn a_snapshot_is_the_stock_at_one_sequence_and_the_feed_goes_on_from_it() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    for (store, item) in [("S1", "A"), ("S1", "B"), ("S1", "C"), ("S2", "A")] {
        create(&http, store, item, if item == "C" { 0 } else { 1000 }).await;
    }
    http.post("/inventory/S1/items/B/retire", json!({})).await.expect(200);
    http.send(reqwest::Method::DELETE, "/inventory/S1/items/C", &[], None).await.expect(200);
    let writer = http.clone();
    let writing = tokio::spawn(async move { sell(&writer, "S1", "A", 60).await });
    let mut stream = Stream::open(address(&cluster, 0), "/snapshot").await;
    let head = stream.json().await.unwrap()["snapshot"].clone();
    let mut stock = std::collections::BTreeMap::new();
    let end = loop {
        let line = stream.json().await.expect("a snapshot has an end");
        if line["end"].is_object() {
            break line["end"]["rows"].as_u64().unwrap();
        }
        let row = &line["row"];
        assert!(row["lastSeq"].as_u64() <= head["seq"].as_u64(), "{row}");
        stock.insert(
            format!("{}/{}", row["storeId"].as_str().unwrap(), row["itemId"].as_str().unwrap()),
            row.clone(),
        );
    };
    assert_eq!(stream.line().await, None);
    writing.await.unwrap();
    assert_eq!(
        (end, stock.keys().map(String::as_str).collect::<Vec<_>>()),
        (3, vec!["S1/A", "S1/B", "S2/A"])
    );
    assert_eq!(stock["S1/B"]["retired"], true);
    // What follows in the feed makes of it what the cluster has.
    let row = http.get("/inventory/S1/items/A").await.expect(200);
    let last = row.body["lastSeq"].as_u64().unwrap();
    let left = usize::try_from(last - head["seq"].as_u64().unwrap()).unwrap();
    let path = format!("/feed?after={}", head["cursor"].as_str().unwrap());
    for line in Stream::open(address(&cluster, 1), &path).await.records(left).await {
        let record = &line["record"];
        let row = format!("{}/{}", record["storeId"].as_str().unwrap(), record["itemId"].as_str().unwrap());
        stock.get_mut(&row).unwrap()["available"] = record["available"].clone();
    }
    assert_eq!(stock["S1/A"]["available"], 940);
    let of_store = Stream::open(address(&cluster, 2), "/snapshot?storeId=S2").await;
    assert_eq!(rows(of_store).await, ["S2/A"]);
    let of_none = Stream::open(address(&cluster, 2), "/snapshot?storeId=S9").await;
    assert!(rows(of_none).await.is_empty());
    http.get("/snapshot?storeId=").await.expect_problem(400, "malformed");
    http.get("/snapshot?storeId=S1&storeId=S2").await.expect_problem(400, "malformed");
    http.get("/snapshot?after=1").await.expect_problem(400, "malformed");
}

async fn rows(mut snapshot: Stream) -> Vec<String> {
    let mut rows = Vec::new();
    while let Some(line) = snapshot.json().await {
        if let Some(row) = line.get("row") {
            rows.push(format!("{}/{}", row["storeId"].as_str().unwrap(), row["itemId"].as_str().unwrap()));
        }
    }
    rows
}
