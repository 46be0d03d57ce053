//! The whole API by black box, on a follower where it matters: what a client without any library sees.

use holdfast_e2e::{Cluster, Http, eventually};
use reqwest::Method;
use serde_json::{Value, json};

fn hold_id() -> String {
    format!("H-{}", uuid::Uuid::now_v7())
}

fn transfer_id() -> String {
    format!("T-{}", uuid::Uuid::now_v7())
}

async fn create(http: &Http, store: &str, item: &str, available: u64) {
    let body = json!({"storeId": store, "itemId": item, "available": available});
    let answer = http.post("/admin/newSKU", body).await.expect(201);
    assert_eq!(answer.body["onHand"], available);
}

async fn row(http: &Http, store: &str, item: &str) -> Value {
    http.get(&format!("/inventory/{store}/items/{item}")).await.expect(200).body
}

#[tokio::test]
async fn rows_are_made_corrected_counted_and_retired() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    let again = json!({"storeId": "S1", "itemId": "A", "available": 10});
    http.post("/admin/newSKU", again).await.expect_problem(409, "sku_exists");
    http.get("/inventory/S1/items/B").await.expect_problem(404, "unknown_item");
    let path = "/inventory/S1/items/A";
    let adjust =
        |delta: i64, version: Option<u64>| json!({"delta": delta, "reason": "r", "expectedVersion": version});
    assert_eq!(
        http.post(&format!("{path}/adjust"), adjust(-3, Some(1))).await.expect(200).body["available"],
        7
    );
    let stale = http.post(&format!("{path}/adjust"), adjust(1, Some(1))).await;
    assert_eq!(stale.body["currentVersion"], 2);
    stale.expect_problem(409, "version_conflict");
    http.post(&format!("{path}/adjust"), adjust(-8, None)).await.expect_problem(409, "below_zero");
    http.post(&format!("{path}/adjust"), adjust(0, None)).await.expect_problem(422, "quantity_out_of_range");
    // A sale, and a count as of before it: the correction leaves the sale right.
    http.post(&format!("{path}/sale"), json!({"qty": 2})).await.expect(200).body["available"]
        .as_i64()
        .unwrap();
    let counted = http.post(&format!("{path}/count"), json!({"counted": 9, "asOfSeq": 2})).await.expect(200);
    assert_eq!(counted.body["available"], 7, "5 left, and 2 more than the ledger said were there");
    http.post(&format!("{path}/count"), json!({"counted": 9, "asOfSeq": 99}))
        .await
        .expect_problem(422, "seq_ahead");
    let event = json!({"qty": 4, "kind": "RETURN", "eventId": "e1", "occurredAt": "2999-01-01T00:00:00Z"});
    assert_eq!(http.post(&format!("{path}/receive"), event.clone()).await.expect(200).body["available"], 11);
    let repeat = http.post(&format!("{path}/receive"), event).await.expect(200);
    assert_eq!((repeat.header("idempotency-replayed"), &repeat.body["available"]), ("true", &json!(11)));
    let policy = json!({"safetyStock": 5, "backorderLimit": 0});
    let answer = http.send(Method::PUT, &format!("{path}/policy"), &[], Some(policy)).await.expect(200);
    assert_eq!(answer.body["sellable"], 6);
    http.post(&format!("{path}/reserve"), json!({"qty": 7})).await.expect_problem(409, "insufficient_stock");
    assert_eq!(http.post(&format!("{path}/retire"), json!({})).await.expect(200).body["retired"], true);
    http.post(&format!("{path}/reserve"), json!({"qty": 1})).await.expect_problem(409, "item_retired");
    http.send(Method::DELETE, path, &[], None).await.expect_problem(409, "not_empty");
    http.post(&format!("{path}/adjust"), adjust(-11, None)).await.expect(200);
    http.send(Method::DELETE, path, &[], None).await.expect(200);
    http.get(path).await.expect_problem(404, "unknown_item");
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn holds_are_made_sold_in_parts_given_back_and_extended() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    create(&http, "S2", "B", 5).await;
    let id = hold_id();
    let line = |store: &str, item: &str, qty: u64| json!({"storeId": store, "itemId": item, "qty": qty});
    let body = json!({"holdId": id, "ttlSeconds": 60, "lines": [line("S1", "A", 2), line("S2", "B", 3), line("S1", "A", 1)]});
    let held = http.post("/holds", body.clone()).await.expect(201);
    assert_eq!(held.body["lines"].as_array().unwrap().len(), 2, "lines of one row are merged");
    assert_eq!(http.post("/holds", body).await.expect(200).header("idempotency-replayed"), "true");
    let other = json!({"holdId": id, "lines": [line("S1", "A", 1)]});
    http.post("/holds", other).await.expect_problem(409, "hold_exists");
    let short = http.post("/holds", json!({"lines": [line("S1", "A", 8), line("S2", "B", 3)]})).await;
    assert_eq!(short.body["lines"].as_array().unwrap().len(), 2, "every short line is named");
    short.expect_problem(409, "insufficient_stock");
    let part = json!({"lines": [line("S1", "A", 1)]});
    let confirm = format!("/holds/{id}/confirm");
    http.post(&confirm, part.clone()).await.expect_problem(400, "idempotency_key_required");
    http.post_with_key(&confirm, "k1", part.clone()).await.expect(200);
    http.post_with_key(&confirm, "k1", part).await.expect(200);
    let too_much = json!({"lines": [line("S1", "A", 3)]});
    http.post_with_key(&confirm, "k1", too_much.clone()).await.expect_problem(422, "idempotency_key_reused");
    http.post_with_key(&confirm, "k2", too_much).await.expect_problem(409, "exceeds_hold");
    // A hold of several rows is not sold by the path of one of them.
    let by_row = json!({"holdId": id});
    http.post("/inventory/S1/items/A/confirm", by_row.clone()).await.expect_problem(409, "exceeds_hold");
    http.post("/inventory/S1/items/B/confirm", by_row).await.expect_problem(404, "unknown_hold");
    let extended = http.post(&format!("/holds/{id}/extend"), json!({"ttlSeconds": 600})).await.expect(200);
    assert!(extended.body["expiresInMs"].as_u64().unwrap() > 500_000);
    http.post(&format!("/holds/{id}/extend"), json!({"ttlSeconds": 0}))
        .await
        .expect_problem(422, "ttl_out_of_range");
    let released = http.post(&format!("/holds/{id}/release"), json!({})).await.expect(200);
    assert_eq!(released.body["status"], "CONFIRMED", "one unit of it was sold");
    http.post(&confirm, json!({})).await.expect_problem(409, "hold_released");
    assert_eq!(
        (&row(&http, "S1", "A").await["available"], &row(&http, "S2", "B").await["available"]),
        (&json!(9), &json!(5))
    );
    http.get(&format!("/holds/{}", hold_id())).await.expect_problem(404, "unknown_hold");
    let partial = json!({"lines": [line("S2", "B", 50)], "allowPartial": true});
    assert_eq!(http.post("/holds", partial).await.expect(201).body["lines"][0]["granted"], 5);
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn goods_move_between_stores() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    create(&http, "S2", "A", 0).await;
    let id = transfer_id();
    let ship = |qty: u64, to: &str| json!({"transferId": id, "itemId": "A", "fromStoreId": "S1", "toStoreId": to, "qty": qty});
    http.post("/transfers", ship(1, "S1")).await.expect_problem(422, "same_store");
    http.post("/transfers", ship(11, "S2")).await.expect_problem(409, "insufficient_stock");
    assert_eq!(http.post("/transfers", ship(6, "S2")).await.expect(201).body["inTransit"], 6);
    http.post("/transfers", ship(5, "S2")).await.expect_problem(409, "transfer_exists");
    let receive = format!("/transfers/{id}/receive");
    http.post(&receive, json!({"qty": 1})).await.expect_problem(400, "idempotency_key_required");
    http.post_with_key(&receive, "r1", json!({"qty": 4})).await.expect(200);
    http.post_with_key(&receive, "r2", json!({"qty": 3})).await.expect_problem(409, "over_receipt");
    http.post(&format!("/transfers/{id}/cancel"), json!({})).await.expect_problem(409, "transfer_conflict");
    let closed = http.post(&format!("/transfers/{id}/close"), json!({"reason": "lost"})).await.expect(200);
    assert_eq!((&closed.body["status"], &closed.body["shortfall"]), (&json!("RECEIVED"), &json!(2)));
    assert_eq!(http.get(&format!("/transfers/{id}")).await.expect(200).body, closed.body);
    assert_eq!(row(&http, "S2", "A").await["onHand"], 4);
    let at_once = json!({"itemId": "A", "fromStoreId": "S1", "toStoreId": "S2", "qty": 1, "atOnce": true});
    assert_eq!(http.post("/transfers", at_once).await.expect(201).body["status"], "RECEIVED");
    cluster.audit().await;
}

#[tokio::test]
async fn the_ledger_tells_everything_in_order() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    create(&http, "S2", "A", 7).await;
    for _ in 0..5 {
        http.post("/inventory/S1/items/A/sale", json!({"qty": 1})).await.expect(200);
    }
    let all = http.get("/movements?limit=3").await.expect(200);
    assert_eq!(all.body["next"], 3);
    let rest = http.get("/movements?after=3").await.expect(200);
    assert_eq!((rest.body["movements"].as_array().unwrap().len(), &rest.body["next"]), (4, &Value::Null));
    let of_store = http.get("/movements?storeId=S2").await.expect(200);
    assert_eq!(of_store.body["movements"].as_array().unwrap().len(), 1);
    let history = http.get("/inventory/S1/items/A/movements?limit=2").await.expect(200);
    assert_eq!(history.body["movements"][0]["seq"], 7);
    let older = http
        .get(&format!("/inventory/S1/items/A/movements?before={}", history.body["next"]))
        .await
        .expect(200);
    let seqs: Vec<u64> = older.body["movements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|movement| movement["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, [5, 4, 3, 1]);
    assert_eq!(http.get("/inventory/S1/items/A?atSeq=4").await.expect(200).body["available"], 8);
    http.get("/movements?after=99").await.expect_problem(422, "seq_ahead");
    http.get("/movements?typo=1").await.expect_problem(400, "malformed");
    http.get("/movements?limit=0").await.expect_problem(400, "malformed");
    let rows = http.get("/items/A").await.expect(200);
    assert_eq!(rows.body["rows"].as_array().unwrap().len(), 2);
    let page = http.get("/inventory/S1/items?limit=1&consistency=local").await.expect(200);
    assert_eq!(page.body["next"], Value::Null);
    http.post("/ledger/trim", json!({"before": 3})).await.expect(200);
    http.get("/movements?after=1").await.expect_problem(410, "cursor_compacted");
    http.get("/inventory/S1/items/A?atSeq=1").await.expect_problem(410, "cursor_compacted");
    let audit = http.get("/audit").await.expect(200);
    assert_eq!(
        (&audit.body["movements"], &audit.body["violations"]),
        (&json!(5), &json!([])),
        "3 to 7 are kept"
    );
}

#[tokio::test]
async fn a_batch_decides_each_command_by_itself() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    let commands = json!({"commands": [
        {"op": "createSku", "storeId": "S1", "itemId": "A", "available": 5},
        {"op": "reserve", "lines": [{"storeId": "S1", "itemId": "A", "qty": 9}]},
        {"op": "sale", "storeId": "S1", "itemId": "A", "qty": 2},
        {"op": "count", "storeId": "S1", "itemId": "A", "counted": 4, "asOfSeq": 0},
        {"op": "policy", "storeId": "S1", "itemId": "A", "safetyStock": 1},
    ]});
    let first = http.post_with_key("/batch", "b", commands.clone()).await.expect(200);
    let status = |answer: &Value| -> Vec<u64> {
        answer["outcomes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|outcome| outcome["status"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(status(&first.body), [201, 409, 200, 404, 200]);
    assert_eq!(first.body["outcomes"][1]["body"]["code"], "insufficient_stock");
    // The key of the batch holds for each of its commands.
    let again = http.post_with_key("/batch", "b", commands).await.expect(200);
    assert_eq!(row(&http, "S1", "A").await["sold"], 2);
    assert!(again.body["outcomes"].as_array().unwrap().iter().all(|outcome| outcome["replayed"] == true));
    for wrong in [
        json!({"commands": [{"op": "adjust", "storeId": "S1", "itemId": "A", "delta": 1, "reason": "r", "typo": 1}]}),
        json!({"commands": [{"op": "tick"}]}),
        json!({"commands": [{}]}),
        json!({}),
    ] {
        http.post("/batch", wrong).await.expect_problem(400, "malformed");
    }
}

#[tokio::test]
async fn every_error_is_a_problem() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 5).await;
    let reserve = "/inventory/S1/items/A/reserve";
    http.get("/nowhere").await.expect_problem(404, "unknown_route");
    http.get("/inventory/%ff/items/A").await.expect_problem(400, "malformed");
    http.get("/inventory/S%201/items/A").await.expect_problem(400, "malformed");
    http.get("/holds/H-1").await.expect_problem(400, "malformed");
    let method = http.send(Method::PUT, reserve, &[], Some(json!({}))).await;
    assert_eq!(method.header("allow"), "POST");
    method.expect_problem(405, "method_not_allowed");
    for (body, status, code) in [
        (json!({"qty": 1, "typo": 1}), 400, "malformed"),
        (json!([1]), 400, "malformed"),
        (json!({"qty": "1"}), 400, "malformed"),
        (json!({}), 400, "malformed"),
        (json!({"qty": 0}), 422, "quantity_out_of_range"),
        (json!({"qty": -1}), 422, "quantity_out_of_range"),
        (json!({"qty": 9_007_199_254_740_992_u64}), 422, "quantity_out_of_range"),
        (json!({"qty": 1, "holdId": "x"}), 400, "malformed"),
    ] {
        let answer = http.post(reserve, body.clone()).await;
        assert_eq!((answer.status, answer.code()), (status, code), "{body}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let text =
        http.send(Method::POST, reserve, &[("content-type", "text/plain")], Some(json!({"qty": 1}))).await;
    text.expect_problem(415, "unsupported_media_type");
    let large = json!({"qty": 1, "owner": "x".repeat(9 << 20)});
    http.post(reserve, large).await.expect_problem(413, "too_large");
    http.post_with_key(reserve, &"k".repeat(256), json!({"qty": 1})).await.expect_problem(400, "malformed");
    for time in ["soon", "0", "-1"] {
        let answer =
            http.send(Method::POST, reserve, &[("Holdfast-Timeout-Ms", time)], Some(json!({"qty": 1}))).await;
        answer.expect_problem(400, "malformed");
    }
    assert_eq!(row(&http, "S1", "A").await["reserved"], 0, "none of these changed anything");
    let patient = [("Holdfast-Timeout-Ms", "60000")];
    http.send(Method::POST, reserve, &patient, Some(json!({"qty": 1}))).await.expect(201);
}

#[tokio::test]
async fn a_follower_forwards_or_redirects_when_asked_to() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_http().await;
    create(&follower, "S1", "A", 5).await;
    let path = "/inventory/S1/items/A/reserve";
    let redirect =
        follower.send(Method::POST, path, &[("Holdfast-Redirect", "1")], Some(json!({"qty": 1}))).await;
    let address = &cluster.nodes[leader].http_address;
    assert_eq!(redirect.status, 307);
    assert_eq!(redirect.header("location"), format!("http://{address}{path}"));
    let answer = follower.post(path, json!({"qty": 1})).await.expect(201);
    assert_eq!(answer.header("holdfast-leader"), address);
    let seq: u64 = answer.header("holdfast-applied-seq").parse().unwrap();
    assert!(seq >= 2);
    assert_eq!(row(&follower, "S1", "A").await["reserved"], 1);
}

#[tokio::test]
async fn leadership_goes_where_it_is_sent_and_settings_are_replicated() {
    let mut cluster = Cluster::start(3).await;
    for _ in 0..4 {
        let follower = cluster.follower().await;
        let to = cluster.nodes[follower].id;
        let http = cluster.http(0);
        eventually("leadership goes there", || async {
            // Whether it was handed over may not be known: then it is looked at.
            let answer = http.post("/cluster/leader", json!({"to": to})).await;
            let leads = answer.status == 200 || http.get("/cluster").await.body["leader"]["id"] == to;
            leads.then_some(())
        })
        .await;
        assert_eq!(cluster.leader().await, follower);
    }
    let http = cluster.http(0);
    let changed = http.send(Method::PUT, "/config", &[], Some(json!({"maxHoldLines": 7}))).await.expect(200);
    assert_eq!(changed.body["maxHoldLines"], 7);
    assert_eq!(cluster.http(2).get("/config").await.expect(200).body["maxHoldLines"], 7);
    let wrong = http.send(Method::PUT, "/config", &[], Some(json!({"maxHoldLines": 0}))).await;
    wrong.expect_problem(422, "setting_out_of_range");
    http.send(Method::PUT, "/config", &[], Some(json!({"typo": 1}))).await.expect_problem(400, "malformed");
    http.send(Method::DELETE, "/cluster/members/9", &[], None).await.expect_problem(404, "unknown_member");
    let ready = http.get("/readyz?verbose").await.expect(200);
    assert_eq!(ready.body["checks"]["upToDateReads"], true);
}

#[tokio::test]
async fn a_node_that_is_asked_to_stop_hands_over_and_exits_with_0() {
    let mut cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower_http().await;
    create(&follower, "S1", "A", 1000).await;
    cluster.nodes[leader].signal("TERM").await;
    for _ in 0..50 {
        follower
            .post("/inventory/S1/items/A/reserve", json!({"qty": 1, "holdId": hold_id()}))
            .await
            .expect(201);
    }
    assert_eq!(cluster.nodes[leader].wait().await, 0);
    cluster.audit().await;
}
