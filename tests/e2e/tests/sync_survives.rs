//! The sync service is killed, cut off, compacted away and damaged; in the end its view is the cluster's, row by row, and
//! the stores have every movement in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use holdfast_e2e::{Behaviour, Cluster, Http, Mirror, Receiver, Stream, Sync, binary, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

/// How often the service is killed; HOLDFAST_SYNC_KILLS=50 for the long form.
const KILLS: u32 = 12;
/// Baskets that are sold meanwhile, for each kill: about as many as take until the next one.
const BASKETS_PER_KILL: u32 = 40;

fn kills() -> u32 {
    std::env::var("HOLDFAST_SYNC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

async fn create(http: &Http, store: &str, item: &str, available: u64) {
    let body = json!({"storeId": store, "itemId": item, "available": available});
    http.post("/admin/newSKU", body).await.expect(201);
}

async fn adjust(http: &Http, store: &str, item: &str, delta: i64) -> u64 {
    let path = format!("/inventory/{store}/items/{item}/adjust");
    let answer = http.post(&path, json!({"delta": delta, "reason": "test"})).await.expect(200);
    answer.body["lastSeq"].as_u64().expect("a sequence")
}

/// Everything that has happened, from the ledger.
async fn movements(leader: &Http) -> Vec<Value> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let page = leader.get(&format!("/movements?limit=10000&after={after}")).await.expect(200).body;
        all.extend(page["movements"].as_array().expect("movements").iter().cloned());
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

/// The rows of a store by item, page by page, from either service.
async fn rows(http: &Http, path: &str) -> BTreeMap<String, Value> {
    let (mut rows, mut after) = (BTreeMap::new(), String::new());
    loop {
        let page = http.get(&format!("{path}?limit=1000{after}")).await.expect(200).body;
        for row in page["rows"].as_array().expect("rows") {
            rows.insert(row["itemId"].as_str().expect("an item").to_owned(), row.clone());
        }
        match &page["next"] {
            Value::Null => return rows,
            next => after = format!("&after={}", next.to_string().trim_matches('"')),
        }
    }
}

async fn last_seq(leader: &Http) -> u64 {
    leader.get("/cluster").await.expect(200).body["appliedSeq"].as_u64().expect("a sequence")
}

/// Waits until the view has all that has happened, and compares every row of these stores with the cluster's. Returns how
/// many there are.
async fn assert_equal(leader: &Http, sync: &Sync, stores: &BTreeSet<String>) -> usize {
    let (http, last) = (sync.http(), last_seq(leader).await);
    eventually("the view has everything", || async {
        let page = http.get("/state/S1").await;
        (page.status == 200 && page.body["seq"].as_u64()? >= last).then_some(())
    })
    .await;
    let mut compared = 0;
    for store in stores {
        let theirs = rows(leader, &format!("/inventory/{store}/items")).await;
        let ours = rows(&http, &format!("/state/{store}")).await;
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{store}");
        for (item, row) in &ours {
            let differs =
                row.as_object().unwrap().iter().find(|(name, value)| theirs[item][*name] != **value);
            assert_eq!(differs, None, "{store}/{item} but {}", theirs[item]);
        }
        compared += ours.len();
    }
    compared
}

/// A store with a receiver, which is subscribed under an id of its own.
struct Shop {
    store: String,
    receiver: Receiver,
    body: Value,
}

impl Shop {
    async fn new(store: &str) -> Self {
        let receiver = Receiver::start().await;
        let secret = Receiver::secret();
        receiver.know(&secret);
        let body = json!({"url": receiver.url(), "secret": secret, "subscriptionId": Self::id()});
        Self { store: store.to_owned(), receiver, body }
    }

    fn id() -> String {
        format!("W-{}", uuid::Uuid::now_v7())
    }

    async fn subscribe(&self, sync: &Sync) {
        let (http, path) = (sync.http(), format!("/stores/{}/subscriptions", self.store));
        eventually("the store is subscribed", || async {
            let answer = http.post(&path, self.body.clone()).await;
            matches!(answer.status, 200 | 201).then_some(())
        })
        .await;
    }

    /// Waits until the store has had its first reset, and the service has noted that.
    async fn is_served(&self, sync: &Sync) {
        let (http, path) = (sync.http(), format!("/stores/{}/subscriptions", self.store));
        eventually("the store is served", || async {
            let listed = http.get(&path).await;
            listed.body["subscriptions"][0]["deliveredSeq"].as_u64()
        })
        .await;
    }

    /// What the store has learned, once it has everything up to its last movement.
    async fn mirror(&self, upto: u64) -> Mirror {
        eventually("the store has everything", || async {
            let mut mirror = Mirror::default();
            self.receiver.received().iter().for_each(|message| mirror.take(&message.body));
            mirror.at.is_some_and(|at| at >= upto).then_some(mirror)
        })
        .await
    }
}

/// Plays baskets until they are sold.
fn replay(
    cluster: &Cluster,
    rejects: &std::path::Path,
) -> impl Future<Output = std::process::Output> + use<> {
    let endpoints: Vec<&str> = cluster.nodes.iter().map(|node| node.http_address.as_str()).collect();
    let file = format!("{}/../data/retail-week.csv.gz", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(binary("holdfast"));
    command.args(["--endpoints", &endpoints.join(","), "-o", "json", "replay", &file, "--baskets"]);
    command.arg((kills() * BASKETS_PER_KILL).to_string());
    command.args(["--buyers", "4", "--reject-file"]).arg(rejects).kill_on_drop(true);
    async move { command.output().await.expect("the command runs") }
}

#[tokio::test]
async fn killed_again_and_again_it_ends_as_the_cluster_and_the_stores_have_every_movement() {
    let mut cluster = Cluster::start(3).await;
    cluster.leader().await;
    let mut sync = Sync::start(&cluster, &["--batch", "20", "--webhook-batch", "5"]).await;
    // Two of the busiest stores of the week.
    let shops = [Shop::new("31782").await, Shop::new("296").await];
    for shop in &shops {
        shop.subscribe(&sync).await;
        shop.is_served(&sync).await;
    }
    // One of them takes its time, so that the service is often killed while a message is under way.
    shops[0].receiver.behave(Behaviour::TakeSlowly);
    let dir = tempfile::tempdir().unwrap();
    let replay = tokio::spawn(replay(&cluster, &dir.path().join("rejects.csv")));
    for _ in 0..kills() {
        // Any moment will do: nothing is waited for.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(20..400))).await;
        sync.kill().await;
        sync.run();
    }
    shops[0].receiver.behave(Behaviour::Take);
    let output = replay.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let leader = cluster.leader_http().await;
    let all = movements(&leader).await;
    let stores: BTreeSet<String> =
        all.iter().map(|movement| movement["storeId"].as_str().unwrap().to_owned()).collect();
    let compared = assert_equal(&leader, &sync, &stores).await;
    assert!(compared > 500, "{compared} rows were compared");
    for shop in &shops {
        let theirs: BTreeSet<u64> = all
            .iter()
            .filter(|movement| movement["storeId"] == shop.store.as_str())
            .map(|movement| movement["seq"].as_u64().unwrap())
            .collect();
        assert!(theirs.len() > 50, "{} had {} movements", shop.store, theirs.len());
        let mirror = shop.mirror(*theirs.last().expect("it sold something")).await;
        assert_eq!(mirror.resets, ["START"], "one reset at the start, and none after it");
        assert_eq!(mirror.seen, theirs, "every movement came, and no other");
        let rows = rows(&leader, &format!("/inventory/{}/items", shop.store)).await;
        let balances: BTreeMap<String, Value> =
            rows.into_iter().map(|(item, row)| (item, holdfast_e2e::balances(&row))).collect();
        assert_eq!(mirror.balances(), balances);
    }
    assert!(!sync.output().contains("built from a snapshot") || sync.views().len() == 1, "{}", sync.output());
}

#[tokio::test]
async fn a_cursor_that_was_compacted_a_deleted_view_and_a_damaged_one_are_built_again() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    for item in 0..30 {
        create(&leader, "S1", &format!("I{item}"), 1000).await;
    }
    let mut sync = Sync::start(&cluster, &[]).await;
    let shop = Shop::new("S1").await;
    shop.subscribe(&sync).await;
    shop.mirror(30).await;
    let stores = BTreeSet::from(["S1".to_owned()]);

    sync.kill().await;
    // Blocks are dropped whole: enough movements for some of them.
    for n in 0..300 {
        adjust(&leader, "S1", &format!("I{}", n % 30), -1).await;
    }
    let last = last_seq(&leader).await;
    leader.post("/ledger/trim", json!({"before": last})).await.expect(200);
    leader.get("/movements?after=30").await.expect_problem(410, "cursor_compacted");
    sync.run();
    assert_eq!(assert_equal(&leader, &sync, &stores).await, 30);
    assert!(sync.output().contains("no longer reaches back"), "{}", sync.output());
    shop.mirror(adjust(&leader, "S1", "I1", -1).await).await;

    assert_eq!(sync.stop().await, 0);
    std::fs::remove_dir_all(&sync.dir).unwrap();
    sync.run();
    assert_eq!(assert_equal(&leader, &sync, &stores).await, 30);
    shop.mirror(adjust(&leader, "S1", "I2", -1).await).await;

    sync.kill().await;
    let view = sync.dir.join(&sync.views()[0]);
    std::fs::remove_dir_all(&view).unwrap();
    std::fs::write(&view, b"no database").unwrap();
    sync.run();
    assert_eq!(assert_equal(&leader, &sync, &stores).await, 30);
    assert!(sync.output().contains("did not open"), "{}", sync.output());
    assert!(sync.views().iter().any(|name| name.contains("damaged")), "{:?}", sync.views());
    let mirror = shop.mirror(adjust(&leader, "S1", "I3", -1).await).await;
    assert!(mirror.resets.len() >= 4, "the store was told each time: {:?}", mirror.resets);
    let theirs = rows(&leader, "/inventory/S1/items").await;
    let balances: BTreeMap<String, Value> =
        theirs.into_iter().map(|(item, row)| (item, holdfast_e2e::balances(&row))).collect();
    assert_eq!(mirror.balances(), balances);
}

#[tokio::test]
async fn a_cluster_of_another_history_is_taken_over_and_readers_are_told() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 10).await;
    cluster.equal_digests().await;
    let mut sync = Sync::start(&cluster, &[]).await;
    let stores = BTreeSet::from(["S1".to_owned()]);
    assert_equal(&leader, &sync, &stores).await;
    let cursor = sync.http().get("/state/S1").await.expect(200).body["cursor"].as_str().unwrap().to_owned();
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    let http = sync.http();
    eventually("it is not ready without a cluster", || async {
        (http.get("/readyz").await.status == 503).then_some(())
    })
    .await;
    assert_eq!(http.get("/state/S1/A").await.expect(200).body["available"], 10, "it answers all the same");
    let node = &cluster.nodes[2];
    let recovered = std::process::Command::new(binary("holdfast-node"))
        .args(["recover", "--id", "3", "--peer", &node.peer_address, "--http", &node.http_address])
        .args(["--accept-data-loss", "--dir"])
        .arg(&node.dir)
        .output()
        .expect("the node's program runs");
    assert!(recovered.status.success(), "{recovered:?}");
    cluster.start_node(2);
    let leader = cluster.leader_http().await;
    adjust(&leader, "S1", "A", -4).await;
    let old = cursor.split('.').next().unwrap();
    eventually("the view is of the new history", || async {
        let page = http.get("/state/S1").await;
        (!page.body["cursor"].as_str()?.starts_with(old)).then_some(())
    })
    .await;
    assert_equal(&leader, &sync, &stores).await;
    assert!(sync.output().contains("another epoch"), "{}", sync.output());
    let mut reader = Events::open(&sync, "/stores/S1/feed", Some(&cursor)).await;
    let (name, _, data) = reader.next().await.expect("a reset");
    assert_eq!((name.as_str(), &data["reason"]), ("reset", &json!("OTHER_EPOCH")));
    assert_eq!(sync.stop().await, 0);
}

/// Server-sent events, one by one.
struct Events(Stream);

impl Events {
    async fn open(sync: &Sync, path: &str, last_event_id: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = last_event_id.map(|id| ("last-event-id", id)).into_iter().collect();
        let stream = Stream::try_open_with(&sync.address, path, &headers).await.expect("a stream");
        assert!(stream.header("content-type").starts_with("text/event-stream"));
        Self(stream)
    }

    /// The next event with data: its name, its id and its data. None when the stream has ended.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), Value::Null);
        loop {
            let line = self.0.line().await?;
            match line.trim_end().split_once(": ") {
                Some(("event", text)) => text.clone_into(&mut name),
                Some(("id", text)) => text.clone_into(&mut id),
                Some(("data", text)) => data = serde_json::from_str(text).expect("data is JSON"),
                _ if line == "\n" && !data.is_null() => return Some((name, id, data)),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_stream_begins_with_the_balances_and_goes_on_where_it_was() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    for item in 0..600 {
        create(&leader, "S1", &format!("I{item}"), 10).await;
    }
    create(&leader, "S2", "A", 10).await;
    let mut sync = Sync::start(&cluster, &["--outbox-keep", "300"]).await;
    let mut reader = Events::open(&sync, "/stores/S1/feed", None).await;
    let mut store = Mirror::default();
    for _ in 0..2 {
        let (name, _, data) = reader.next().await.unwrap();
        assert_eq!(name, "reset");
        store.take_reset(&data);
    }
    assert_eq!((store.rows.len(), store.resets.as_slice()), (600, ["START".to_owned()].as_slice()));
    let (mut expected, mut seen, mut last_id) = (Vec::new(), Vec::new(), String::new());
    for n in 0..20 {
        adjust(&leader, "S2", "A", 1).await;
        expected.push(adjust(&leader, "S1", &format!("I{n}"), -1).await);
    }
    for _ in 0..20 {
        let (name, id, data) = reader.next().await.unwrap();
        assert_eq!((name.as_str(), data["storeId"].as_str()), ("movement", Some("S1")));
        seen.push(data["seq"].as_u64().unwrap());
        last_id = id;
    }
    assert_eq!(seen, expected);
    // A reader that was away goes on, over a kill of the service too.
    drop(reader);
    expected = vec![adjust(&leader, "S1", "I1", -1).await];
    sync.kill().await;
    sync.run();
    sync.ready().await;
    expected.push(adjust(&leader, "S1", "I1", -1).await);
    let mut reader = Events::open(&sync, "/stores/S1/feed", Some(&last_id)).await;
    for seq in &expected {
        let (name, _, data) = reader.next().await.unwrap();
        assert_eq!((name.as_str(), data["seq"].as_u64()), ("movement", Some(*seq)));
    }
    // One that was away for too long starts anew.
    for n in 0..700 {
        adjust(&leader, "S1", &format!("I{}", n % 600), -1).await;
    }
    let stores = BTreeSet::from(["S1".to_owned()]);
    assert_equal(&leader, &sync, &stores).await;
    let mut late = Events::open(&sync, &format!("/stores/S1/feed?after={last_id}"), None).await;
    let (name, _, data) = late.next().await.unwrap();
    assert_eq!((name.as_str(), &data["reason"]), ("reset", &json!("BEHIND")));
    let http = sync.http();
    http.get("/stores/S1/feed?after=x").await.expect_problem(400, "malformed");
    http.get("/stores/S1/feed?since=1").await.expect_problem(400, "malformed");
    assert!(metric(&sync, "holdfast_sync_streams").await >= 2);
    // A service that stops says so.
    let stopping = sync.stop();
    let mut last = None;
    let reading = async {
        while let Some((name, _, data)) = reader.next().await {
            last = Some((name, data["code"].clone()));
        }
        last
    };
    let (code, last) = tokio::join!(stopping, reading);
    assert_eq!((code, last), (0, Some(("error".to_owned(), json!("stopped")))));
}

async fn metric(sync: &Sync, name: &str) -> u64 {
    let url = format!("http://{}/metrics", sync.address);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let text = client.get(url).send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_what_cannot_start_says_why() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 10).await;
    let mut sync = Sync::start(&cluster, &["--max-streams", "1"]).await;
    let reader = Events::open(&sync, "/stores/S1/feed", None).await;
    let http = sync.http();
    http.get("/stores/S1/feed").await.expect_problem(503, "overloaded");
    drop(reader);
    eventually("its place is free again", || async {
        (metric(&sync, "holdfast_sync_streams").await == 0).then_some(())
    })
    .await;
    let verbose = http.get("/readyz?verbose").await.expect(200).body;
    assert_eq!(
        (&verbose["checks"]["hasView"], &verbose["checks"]["nearTheCluster"]),
        (&json!(true), &json!(true))
    );
    http.send(Method::DELETE, "/readyz", &[], None).await.expect_problem(405, "method_not_allowed");
    assert!(metric(&sync, "holdfast_sync_records_total").await <= 1);

    let mut second = Sync::prepare(&cluster, &[]);
    second.dir.clone_from(&sync.dir);
    second.run();
    assert_eq!(second.wait().await, 2);
    assert!(sync.output().contains("cannot be opened"), "{}", sync.output());
    let mut third = Sync::prepare(&cluster, &[]);
    third.address.clone_from(&sync.address);
    third.run();
    assert_eq!(third.wait().await, 2);
    assert!(third.output().contains("cannot listen"), "{}", third.output());
    assert_eq!(sync.stop().await, 0);
}
