//! The sync service's streams to stores whose readers do not read: each is cut off and told so, or gives up its place.

use std::time::Duration;

use holdfast_e2e::{Cluster, LazyReader, Stream, Sync, eventually};
use serde_json::{Value, json};

/// Rows whose balances take more than all buffers between the service and a reader.
const ROWS: usize = 30_000;
const BATCH: usize = 10_000;

/// A reader that takes nothing for so long is cut off.
const STALL: Duration = Duration::from_secs(3);
const STALL_MS: &str = "3000";

const FEED: &str = "/stores/S1/feed";
const EVENTS: &str = "text/event-stream";

/// A cluster, and a sync service that has many rows of it.
async fn filled(flags: &[&str]) -> (Cluster, Sync) {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    let rows: Vec<Value> = (0..ROWS)
        .map(|row| json!({"op": "createSku", "storeId": "S1", "itemId": format!("{row:0>64}"), "available": row}))
        .collect();
    for (number, some) in rows.chunks(BATCH).enumerate() {
        let key = format!("fill-{number}");
        leader.post_with_key("/batch", &key, json!({"commands": some})).await.expect(200);
    }
    let sync = Sync::start(&cluster, flags).await;
    let http = sync.http();
    eventually("the view has everything", || async {
        let page = http.get("/state/S1?limit=1").await;
        (page.body["seq"].as_u64()? >= ROWS as u64).then_some(())
    })
    .await;
    (cluster, sync)
}

/// The last event of a stream: its name and its data.
fn last_words(text: &str) -> (&str, Value) {
    let mut lines = text.lines();
    let data = lines.rfind(|line| line.starts_with("data:")).expect("a last event");
    let name = lines.rfind(|line| line.starts_with("event:")).expect("its name");
    (name["event:".len()..].trim(), serde_json::from_str(&data["data:".len()..]).expect("data is JSON"))
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_cut_off_and_told_so_when_it_comes_back() {
    let (_cluster, sync) = filled(&["--stall-timeout-ms", STALL_MS]).await;
    let reader = LazyReader::open(&sync.address, FEED, EVENTS).await;
    // Not a wait for something: this is how long the reader takes nothing.
    tokio::time::sleep(STALL * 2).await;
    let (text, is_whole) = reader.rest().await;
    assert!(is_whole, "the stream has an end");
    let (name, problem) = last_words(&text);
    assert_eq!((name, &problem["code"], &problem["limitMs"]), ("error", &json!("slow_reader"), &json!(3000)));
}

#[tokio::test]
async fn a_reader_that_never_comes_back_gives_up_its_place() {
    let (_cluster, sync) = filled(&["--stall-timeout-ms", "500", "--max-streams", "1"]).await;
    let reader = LazyReader::open(&sync.address, FEED, EVENTS).await;
    let mut next =
        eventually("the place is free", || Stream::try_open_with(&sync.address, FEED, &[("accept", EVENTS)]))
            .await;
    next.line().await.expect("the next reader is served");
    let (_, is_whole) = reader.rest().await;
    assert!(!is_whole, "what was under way was given up");
}

#[tokio::test]
async fn a_reader_that_reads_stays_though_there_is_nothing_for_it() {
    let (mut cluster, sync) = filled(&["--stall-timeout-ms", "500"]).await;
    let mut reader =
        Stream::try_open_with(&sync.address, FEED, &[("accept", EVENTS)]).await.expect("a stream");
    let mut silent = 0;
    // Each comes after a while in which there was nothing, longer than a reader may take nothing.
    while silent < 2 {
        let line = reader.line().await.expect("the stream goes on");
        assert!(!line.starts_with("event: error"), "{line}");
        silent += u32::from(line.trim_end() == ":");
    }
    let path = format!("/inventory/S1/items/{:0>64}/adjust", 1);
    cluster.leader_http().await.post(&path, json!({"delta": 1, "reason": "found"})).await.expect(200);
    while !reader.line().await.expect("the stream goes on").starts_with("event: movement") {}
}
