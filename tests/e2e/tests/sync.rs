//! The sync service: a view that survives everything, messages that reach every store in order, events that count once.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_e2e::{Behaviour, Cluster, Http, Mirror, Receiver, Sync, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// Flags that make a receiver's failures short.
const HASTY: &[&str] = &[
    "--webhook-timeout-ms",
    "300",
    "--webhook-attempts",
    "3",
    "--webhook-backoff-ms",
    "20",
    "--webhook-backoff-max-ms",
    "100",
    "--subscriptions-every-ms",
    "50",
];

async fn create(http: &Http, store: &str, item: &str, available: u64) {
    let body = json!({"storeId": store, "itemId": item, "available": available});
    http.post("/admin/newSKU", body).await.expect(201);
}

async fn adjust(http: &Http, store: &str, item: &str, delta: i64) -> u64 {
    let path = format!("/inventory/{store}/items/{item}/adjust");
    let answer = http.post(&path, json!({"delta": delta, "reason": "test"})).await.expect(200);
    answer.body["lastSeq"].as_u64().expect("a sequence")
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
            next => after = format!("&after={}", next.to_string().trim_matches('"').replace('+', "%2B")),
        }
    }
}

/// Whether a row of the view says what the cluster's row says: all that both of them tell.
fn agrees(view: &Value, cluster: &Value) -> bool {
    let fields = view.as_object().expect("a row");
    fields.iter().all(|(name, value)| cluster[name] == *value)
}

/// Waits until the view has all that has happened, and compares every row of these stores with the cluster's.
async fn assert_equal(cluster: &mut Cluster, sync: &Sync, stores: &BTreeSet<String>) -> usize {
    let leader = cluster.leader_http().await;
    caught_up(&leader, sync).await;
    let (http, mut compared) = (sync.http(), 0);
    for store in stores {
        let theirs = rows(&leader, &format!("/inventory/{store}/items")).await;
        let ours = rows(&http, &format!("/state/{store}")).await;
        assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{store}");
        for (item, row) in &ours {
            assert!(agrees(row, &theirs[item]), "{store}/{item}: {row} but {}", theirs[item]);
        }
        compared += ours.len();
    }
    compared
}

async fn caught_up(leader: &Http, sync: &Sync) {
    let http = sync.http();
    let status = leader.get("/cluster").await.expect(200);
    let last = status.body["appliedSeq"].as_u64().expect("a sequence");
    eventually("the view has everything", || async {
        let page = http.get("/state/S1").await;
        (page.status == 200 && page.body["seq"].as_u64()? >= last).then_some(())
    })
    .await;
}

/// Subscribes a receiver to a store.
async fn subscribe(sync: &Sync, store: &str, receiver: &Receiver) -> String {
    let path = format!("/stores/{store}/subscriptions");
    let secret = Receiver::secret();
    // The first message comes as soon as there is a subscription.
    receiver.know(&secret);
    let made =
        sync.http().post(&path, json!({"url": receiver.url(), "secret": secret})).await.expect(201).body;
    assert_eq!(made["secret"], secret);
    made["subscriptionId"].as_str().expect("an id").to_owned()
}

/// What a store has learned from the messages that its receiver took.
fn mirror(receiver: &Receiver) -> Mirror {
    let mut mirror = Mirror::default();
    for message in receiver.received() {
        if matches!(message.behaviour, Behaviour::Take | Behaviour::CloseHalfWay) {
            mirror.take(&message.body);
        }
    }
    mirror
}

/// Waits until a receiver has everything up to a sequence.
async fn delivered(receiver: &Receiver, upto: u64) -> Mirror {
    eventually("the receiver has everything", || async {
        let mirror = mirror(receiver);
        mirror.at.is_some_and(|at| at >= upto).then_some(mirror)
    })
    .await
}

#[tokio::test]
async fn the_view_answers_with_the_sequence_and_the_lag() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    for item in ["A", "B", "C"] {
        create(&leader, "S1", item, 10).await;
    }
    let sync = Sync::start(&cluster, &[]).await;
    let seq = adjust(&leader, "S1", "A", -3).await;
    caught_up(&leader, &sync).await;
    let http = sync.http();
    let row = http.get("/state/S1/A").await.expect(200).body;
    assert_eq!(
        (&row["available"], &row["onHand"], &row["lastSeq"], &row["seq"]),
        (&json!(7), &json!(7), &json!(seq), &json!(seq))
    );
    assert!(row["lagMs"].as_u64().is_some() && row["cursor"].as_str().unwrap().ends_with(&format!(".{seq}")));
    let page = http.get("/state/S1?limit=2").await.expect(200).body;
    assert_eq!((page["rows"].as_array().unwrap().len(), &page["next"]), (2, &json!("B")));
    let page = http.get("/state/S1?limit=2&after=B").await.expect(200).body;
    assert_eq!((page["rows"][0]["itemId"].as_str(), &page["next"]), (Some("C"), &Value::Null));
    assert_eq!(http.get("/state/S9").await.expect(200).body["rows"], json!([]));
    let unknown = http.get("/state/S1/X").await.expect_problem(404, "unknown_item");
    assert_eq!(unknown.body["seq"], seq);
    http.get("/state/S1?limit=0").await.expect_problem(400, "malformed");
    http.get("/state/S1?size=1").await.expect_problem(400, "malformed");
    http.get("/state/%00").await.expect_problem(400, "malformed");
    http.get("/nothing").await.expect_problem(404, "unknown_route");
    http.send(Method::PUT, "/state/S1", &[], None).await.expect_problem(405, "method_not_allowed");
    assert_equal(&mut cluster, &sync, &BTreeSet::from(["S1".to_owned()])).await;
}

#[tokio::test]
async fn retired_rows_policies_and_transfers_are_followed() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    let sync = Sync::start(&cluster, &[]).await;
    for (store, item) in [("S1", "A"), ("S1", "B"), ("S1", "C"), ("S2", "A")] {
        create(&leader, store, item, 10).await;
    }
    let policy = json!({"safetyStock": 2, "backorderLimit": 5});
    leader.send(Method::PUT, "/inventory/S1/items/A/policy", &[], Some(policy)).await.expect(200);
    leader.post("/inventory/S1/items/A/reserve", json!({"qty": 12})).await.expect(201);
    let transfer = json!({"itemId": "A", "fromStoreId": "S2", "toStoreId": "S1", "qty": 3, "atOnce": true});
    leader.post("/transfers", transfer).await.expect(201);
    leader.post("/inventory/S1/items/B/retire", json!({})).await.expect(200);
    adjust(&leader, "S1", "C", -10).await;
    leader.send(Method::DELETE, "/inventory/S1/items/C", &[], None).await.expect(200);
    let stores = BTreeSet::from(["S1", "S2"].map(str::to_owned));
    assert_eq!(assert_equal(&mut cluster, &sync, &stores).await, 3);
    create(&leader, "S1", "C", 4).await;
    assert_eq!(assert_equal(&mut cluster, &sync, &stores).await, 4);
}

#[tokio::test]
async fn a_store_gets_its_balances_and_then_every_movement_in_order() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 100).await;
    create(&leader, "S2", "A", 100).await;
    let sync = Sync::start(&cluster, HASTY).await;
    let receiver = Receiver::start().await;
    subscribe(&sync, "S1", &receiver).await;
    let first = delivered(&receiver, 1).await;
    assert_eq!((first.resets, first.rows["A"]["available"].as_i64()), (vec!["START".to_owned()], Some(100)));
    let mut expected = BTreeSet::new();
    for _ in 0..50 {
        expected.insert(adjust(&leader, "S1", "A", -1).await);
        adjust(&leader, "S2", "A", -1).await;
    }
    let last = *expected.last().unwrap();
    let mirror = delivered(&receiver, last).await;
    assert_eq!((mirror.seen, mirror.rows["A"]["available"].as_i64()), (expected, Some(50)));
    assert_eq!(mirror.resets.len(), 1);
}

#[tokio::test]
async fn a_receiver_that_fails_for_a_while_gets_everything_in_order() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 1000).await;
    let patient: Vec<&str> = HASTY.iter().map(|&flag| if flag == "3" { "1000" } else { flag }).collect();
    let sync = Sync::start(&cluster, &patient).await;
    let mut receiver = Receiver::start().await;
    let id = subscribe(&sync, "S1", &receiver).await;
    delivered(&receiver, 1).await;
    let mut expected = BTreeSet::new();
    let behaviours =
        [Behaviour::Answer(500), Behaviour::Hang, Behaviour::CloseHalfWay, Behaviour::Answer(307)];
    for behaviour in behaviours {
        receiver.behave(behaviour);
        for _ in 0..5 {
            expected.insert(adjust(&leader, "S1", "A", -1).await);
        }
        let (http, path) = (sync.http(), "/stores/S1/subscriptions");
        eventually("the circuit is open", || async {
            let listed = http.get(path).await.expect(200).body["subscriptions"][0].clone();
            assert_eq!(listed["subscriptionId"], id.as_str());
            (listed["circuit"] == "OPEN" && listed["failures"].as_u64()? > 1).then_some(())
        })
        .await;
        receiver.behave(Behaviour::Take);
        delivered(&receiver, *expected.last().unwrap()).await;
    }
    receiver.stop().await;
    expected.insert(adjust(&leader, "S1", "A", -1).await);
    let http = sync.http();
    eventually("it is missed", || async {
        let listed = http.get("/stores/S1/subscriptions").await.expect(200).body["subscriptions"][0].clone();
        listed["lastError"].as_str()?.contains("no connection").then_some(())
    })
    .await;
    receiver.listen().await;
    let mirror = delivered(&receiver, *expected.last().unwrap()).await;
    assert_eq!((mirror.seen, mirror.resets), (expected, vec!["START".to_owned()]));
    assert_eq!(http.get("/dlq").await.expect(200).body["letters"], json!([]));
}

#[tokio::test]
async fn a_dead_store_delays_no_other_and_gets_a_reset_when_it_comes_back() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    for store in ["S1", "S2"] {
        create(&leader, store, "A", 1000).await;
    }
    let sync = Sync::start(&cluster, HASTY).await;
    let (dead, alive) = (Receiver::start().await, Receiver::start().await);
    subscribe(&sync, "S1", &dead).await;
    subscribe(&sync, "S2", &alive).await;
    delivered(&dead, 1).await;
    dead.behave(Behaviour::Hang);
    let lost = adjust(&leader, "S1", "A", -1).await;
    let mut expected = BTreeSet::new();
    for _ in 0..20 {
        expected.insert(adjust(&leader, "S2", "A", -1).await);
    }
    let mirror = delivered(&alive, *expected.last().unwrap()).await;
    assert!(expected.is_subset(&mirror.seen), "the other store has all of its own");
    let http = sync.http();
    let letter = eventually("there is a dead letter", || async {
        http.get("/dlq").await.expect(200).body["letters"].as_array()?.first().cloned()
    })
    .await;
    assert_eq!((&letter["storeId"], &letter["direction"]), (&json!("S1"), &json!("TO_STORE")));
    assert!(letter["reason"].as_str().unwrap().contains("3 attempts"), "{letter}");
    dead.behave(Behaviour::Take);
    let next = adjust(&leader, "S1", "A", -1).await;
    let mirror = delivered(&dead, next).await;
    assert_eq!(
        (mirror.resets.last().map(String::as_str), mirror.rows["A"]["available"].as_i64()),
        (Some("DEAD_LETTER"), Some(998))
    );
    // It is given what it missed as it was, which it knows to be older than what it has.
    let id = letter["letterId"].as_str().unwrap();
    let replayed = http.post(&format!("/dlq/{id}/replay"), json!({})).await.expect(200);
    assert_eq!(replayed.body["result"]["status"], "DELIVERED");
    let last = dead.received().pop().unwrap();
    assert_eq!(last.body["data"]["movements"][0]["seq"], lost);
    let unknown = http.post(&format!("/dlq/{id}/replay"), json!({})).await;
    unknown.expect_problem(404, "unknown_dead_letter");
    assert_eq!(http.get("/dlq").await.expect(200).body["letters"], json!([]));
}

#[tokio::test]
async fn a_message_that_finds_no_room_among_the_dead_letters_is_not_lost() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 1000).await;
    leader.send(Method::PUT, "/config", &[], Some(json!({"maxDeadLetters": 1}))).await.expect(200);
    let sync = Sync::start(&cluster, HASTY).await;
    let receiver = Receiver::start().await;
    subscribe(&sync, "S1", &receiver).await;
    delivered(&receiver, 1).await;
    let http = sync.http();
    let bad = json!([{"eventId": "e1"}]);
    http.post("/stores/S1/events", bad).await.expect(207);
    let second = http.post("/stores/S1/events", json!([{"eventId": "e2"}])).await.expect(207).body;
    assert_eq!(
        (&second["results"][0]["status"], &second["results"][0]["problem"]["code"]),
        (&json!("RETRY"), &json!("dead_letters_full"))
    );
    receiver.behave(Behaviour::Answer(503));
    let seq = adjust(&leader, "S1", "A", -1).await;
    eventually("its attempts are over", || async {
        let listed = http.get("/stores/S1/subscriptions").await.expect(200).body["subscriptions"][0].clone();
        (listed["failures"].as_u64()? > 5).then_some(())
    })
    .await;
    receiver.behave(Behaviour::Take);
    let mirror = delivered(&receiver, seq).await;
    assert_eq!((mirror.resets, mirror.seen), (vec!["START".to_owned()], BTreeSet::from([seq])));
    assert_eq!(http.get("/dlq").await.expect(200).body["letters"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_subscription_is_signed_with_both_secrets_while_they_change_and_ends_when_it_is_deleted() {
    let mut cluster = Cluster::start(1).await;
    let leader = cluster.leader_http().await;
    create(&leader, "S1", "A", 1000).await;
    let sync = Sync::start(&cluster, HASTY).await;
    let receiver = Receiver::start().await;
    let id = subscribe(&sync, "S1", &receiver).await;
    delivered(&receiver, 1).await;
    let http = sync.http();
    let path = "/stores/S1/subscriptions";
    let changed =
        http.post(path, json!({"url": receiver.url(), "subscriptionId": id})).await.expect(200).body;
    let both = eventually("messages have two signatures", || async {
        let seq = adjust(&leader, "S1", "A", -1).await;
        delivered(&receiver, seq).await;
        (receiver.received().last()?.signatures == 2).then_some(seq)
    })
    .await;
    receiver.know(changed["secret"].as_str().unwrap());
    let seq = adjust(&leader, "S1", "A", -1).await;
    assert!(seq > both);
    delivered(&receiver, seq).await;
    let listed = http.get(path).await.expect(200);
    assert!(!listed.body.to_string().contains("whsec_"), "secrets are shown once: {listed:?}");
    let one = format!("{path}/{id}");
    http.send(Method::DELETE, &one, &[], None).await.expect(200);
    http.send(Method::DELETE, &one, &[], None).await.expect_problem(404, "unknown_subscription");
    assert_eq!(http.get(path).await.expect(200).body["subscriptions"], json!([]));
    for bad in [
        json!({}),
        json!({"url": "ftp://127.0.0.1/"}),
        json!({"url": "nowhere"}),
        json!({"url": receiver.url(), "secret": "short"}),
        json!({"url": receiver.url(), "sekret": "x"}),
        json!({"url": receiver.url(), "subscriptionId": "mine"}),
        json!({"url": "https://127.0.0.1/hook"}),
    ] {
        http.post(path, bad).await.expect_problem(400, "malformed");
    }
    assert!(!sync.output().contains("whsec_"), "secrets are not logged");
}
