//! The order service by black box: what it adds, what it passes on, and what is left when it dies.

use holdfast_e2e::{Answer, Cluster, Http, OrderService, Refunder, eventually};
use reqwest::Method;
use serde_json::{Value, json};

fn order_id() -> String {
    format!("O-{}", uuid::Uuid::now_v7())
}

async fn create(cluster: &mut Cluster, item: &str, available: u64) {
    let body = json!({"storeId": "S1", "itemId": item, "available": available});
    cluster.leader_http().await.post("/admin/newSKU", body).await.expect(201);
}

async fn row(http: &Http, item: &str) -> Value {
    http.get(&format!("/inventory/S1/items/{item}")).await.expect(200).body
}

fn lines(item: &str, qty: u64) -> Value {
    json!([{"storeId": "S1", "itemId": item, "qty": qty}])
}

async fn pay(http: &Http, order: &str, payment: &str, outcome: &str) -> Answer {
    let body = json!({"paymentId": payment, "outcome": outcome});
    http.post(&format!("/orders/{order}/payment"), body).await
}

/// An order that has expired.
async fn expired(http: &Http, item: &str, qty: u64) -> String {
    let id = order_id();
    let body = json!({"orderId": id, "ttlSeconds": 1, "lines": lines(item, qty)});
    http.post("/orders", body).await.expect(201);
    eventually("the order expires", || async {
        let order = http.get(&format!("/orders/{id}")).await.expect(200).body;
        (order["status"] == "EXPIRED").then_some(())
    })
    .await;
    id
}

#[tokio::test]
async fn an_order_gets_an_end_and_lives_as_it_does_on_a_node() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, "A", 10).await;
    let mut service = OrderService::start(&cluster, &["--order-ttl-seconds", "300"]).await;
    let (http, node) = (service.http(), cluster.leader_http().await);

    let placed = http.post("/orders", json!({"lines": lines("A", 2)})).await.expect(201);
    let left = placed.body["expiresInMs"].as_u64().unwrap();
    assert!((200_000..=300_000).contains(&left), "the service's own end: {placed:?}");
    assert_eq!(
        (placed.header("holdfast-applied-seq").is_empty(), placed.header("holdfast-leader")),
        (false, "")
    );
    let id = placed.body["orderId"].as_str().unwrap().to_owned();
    let path = format!("/orders/{id}");
    let other = Some(json!({"lines": lines("A", 3)}));
    let replaced = http.send(Method::PUT, &format!("{path}/lines"), &[], other).await.expect(200);
    assert_eq!(replaced.body["lines"][0]["reserved"], 3);

    // Payments repeated, out of order, and against what was said before.
    assert_eq!(pay(&http, &id, "p1", "FAILED").await.expect(200).body["status"], "PLACED");
    assert_eq!(pay(&http, &id, "p2", "SUCCEEDED").await.expect(200).body["status"], "PAID");
    assert_eq!(pay(&http, &id, "p2", "SUCCEEDED").await.expect(200).header("idempotency-replayed"), "true");
    pay(&http, &id, "p2", "FAILED").await.expect_problem(409, "payment_exists");
    assert_eq!(pay(&http, &id, "p1", "SUCCEEDED").await.expect(200).body["refundDue"], true);
    http.post(&format!("{path}/cancel"), json!({})).await.expect_problem(409, "order_conflict");
    assert_eq!(http.get(&path).await.expect(200).body, node.get(&path).await.expect(200).body);
    let owed = http.get("/orders?status=REFUND_DUE&limit=5").await.expect(200).body;
    assert_eq!(owed["orders"][0]["orderId"], json!(id));
    let refund = json!({"paymentId": "p1"});
    assert_eq!(http.post(&format!("{path}/refund"), refund).await.expect(200).body["refundDue"], false);

    let other = http.post("/orders", json!({"lines": lines("A", 7)})).await.expect(201).body;
    let short = http.post("/orders", json!({"lines": lines("A", 1)})).await;
    assert_eq!(short.expect_problem(409, "insufficient_stock").body["lines"][0]["available"], 0);
    let cancel = format!("/orders/{}/cancel", other["orderId"].as_str().unwrap());
    assert_eq!(
        http.post(&cancel, json!({"reason": "changed"})).await.expect(200).body["status"],
        "CANCELLED"
    );
    let stock = row(&node, "A").await;
    assert_eq!((&stock["sold"], &stock["reserved"], &stock["available"]), (&json!(3), &json!(0), &json!(7)));

    http.get("/orders?status=paid").await.expect_problem(400, "malformed");
    http.get("/orders/O-1").await.expect_problem(400, "malformed");
    http.get(&format!("/orders/{}", order_id())).await.expect_problem(404, "unknown_order");
    http.post("/orders", json!({"lines": lines("A", 1), "typo": 1})).await.expect_problem(400, "malformed");
    http.post("/orders", json!({"lines": lines("A", 0)})).await.expect_problem(422, "quantity_out_of_range");
    pay(&http, &id, "p9", "MAYBE").await.expect_problem(400, "malformed");
    http.get("/nowhere").await.expect_problem(404, "unknown_route");
    http.send(Method::DELETE, "/orders", &[], None).await.expect_problem(405, "method_not_allowed");
    let numbers = http.get("/metrics").await.expect(200).text;
    assert!(numbers.contains("\nholdfast_order_ready 1\n"), "{numbers}");
    cluster.audit().await;
    assert_eq!(service.stop().await, 0);
}

#[tokio::test]
async fn a_payment_that_comes_late_is_sold_or_owed_as_the_policy_says() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, "A", 5).await;
    let selling = OrderService::start(&cluster, &[]).await;
    let refunding = OrderService::start(&cluster, &["--late-payments", "refund"]).await;
    let node = cluster.leader_http().await;

    let id = expired(&selling.http(), "A", 3).await;
    let sold = pay(&selling.http(), &id, "p1", "SUCCEEDED").await.expect(200).body;
    assert_eq!((&sold["status"], &row(&node, "A").await["sold"]), (&json!("PAID"), &json!(3)));

    let id = expired(&selling.http(), "A", 2).await;
    node.post("/inventory/S1/items/A/reserve", json!({"qty": 1})).await.expect(201);
    let owed = pay(&selling.http(), &id, "p1", "SUCCEEDED").await.expect(200).body;
    assert_eq!((&owed["status"], &owed["refundDue"]), (&json!("EXPIRED"), &json!(true)), "the stock is gone");

    let http = refunding.http();
    let id = expired(&http, "A", 1).await;
    let owed = pay(&http, &id, "p1", "SUCCEEDED").await.expect(200).body;
    assert_eq!((&owed["status"], &owed["refundDue"]), (&json!("EXPIRED"), &json!(true)), "by policy");
    let id = expired(&http, "A", 1).await;
    let body = json!({"paymentId": "p2", "outcome": "SUCCEEDED", "reacquire": true});
    let sold = http.post(&format!("/orders/{id}/payment"), body).await.expect(200).body;
    assert_eq!(sold["status"], "PAID", "what the caller says stands");
    cluster.audit().await;
}

#[tokio::test]
async fn one_key_has_one_effect_through_two_services_at_once() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, "A", 100).await;
    let services = [OrderService::start(&cluster, &[]).await, OrderService::start(&cluster, &[]).await];
    let mut sent = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (http, key) = (services[number % 2].http(), format!("k{}", number / 8));
        sent.spawn(async move {
            let order = http.post_with_key("/orders", &key, json!({"lines": lines("A", 2)})).await;
            let hold = http.post_with_key("/inventory/S1/items/A/reserve", &key, json!({"qty": 1})).await;
            (key, order, hold)
        });
    }
    let mut orders = std::collections::BTreeSet::new();
    let mut first = 0;
    while let Some(done) = sent.join_next().await {
        let (key, order, hold) = done.unwrap();
        for answer in [&order, &hold] {
            let is_first = answer.header("idempotency-replayed").is_empty();
            assert_eq!(answer.status, if is_first { 201 } else { 200 }, "{answer:?}");
            first += usize::from(is_first);
        }
        orders.insert((key, order.body["orderId"].as_str().unwrap().to_owned()));
    }
    assert_eq!((orders.len(), first), (5, 10), "an order and a hold for each key");
    let node = cluster.leader_http().await;
    assert_eq!(row(&node, "A").await["reserved"], 15);
    let other = services[0].http().post_with_key("/orders", "k0", json!({"lines": lines("A", 1)})).await;
    other.expect_problem(422, "idempotency_key_reused");

    // The same payment through both at once.
    let id = &orders.first().unwrap().1;
    let (one, two) = (services[0].http(), services[1].http());
    let (one, two) = tokio::join!(pay(&one, id, "p1", "SUCCEEDED"), pay(&two, id, "p1", "SUCCEEDED"));
    assert_eq!(
        (&one.expect(200).body["status"], &two.expect(200).body["status"]),
        (&json!("PAID"), &json!("PAID"))
    );
    assert_eq!(row(&node, "A").await["sold"], 2);
    cluster.audit().await;
}

#[tokio::test]
async fn a_line_is_reserved_confirmed_and_released_without_an_order() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, "A", 10).await;
    let service = OrderService::start(&cluster, &["--hold-ttl-seconds", "60"]).await;
    let http = service.http();
    let path = |action: &str| format!("/inventory/S1/items/A/{action}");
    let held = http.post(&path("reserve"), json!({"qty": 2})).await.expect(201).body;
    assert!(held["expiresInMs"].as_u64().unwrap() <= 60_000, "{held}");
    let hold = json!({"holdId": held["holdId"]});
    assert_eq!(http.post(&path("confirm"), hold.clone()).await.expect(200).body["status"], "CONFIRMED");
    http.post(&path("release"), hold.clone()).await.expect_problem(409, "hold_confirmed");
    let part = json!({"holdId": held["holdId"], "qty": 1});
    http.post(&path("confirm"), part).await.expect_problem(400, "idempotency_key_required");
    let other = http.post(&path("reserve"), json!({"qty": 8})).await.expect(201).body;
    http.post(&path("reserve"), json!({"qty": 1})).await.expect_problem(409, "insufficient_stock");
    let released = http.post(&path("release"), json!({"holdId": other["holdId"]})).await.expect(200);
    assert_eq!(released.body["status"], "RELEASED");
    http.post("/inventory/S1/items/B/reserve", json!({"qty": 1})).await.expect_problem(404, "unknown_item");
    http.post(&path("reserve"), json!({})).await.expect_problem(400, "malformed");
    cluster.audit().await;
}

#[tokio::test]
async fn a_refund_that_is_due_is_announced_until_it_is_settled_whatever_dies() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, "A", 10).await;
    let refunder = Refunder::start(500).await;
    let flags =
        ["--refund-url", &refunder.url, "--refund-backoff-ms", "20", "--refund-backoff-max-ms", "100"];
    let mut service = OrderService::start(&cluster, &flags).await;
    let http = service.http();
    let cancelled = async |http: &Http, payment: &str| {
        let id = order_id();
        http.post("/orders", json!({"orderId": id, "lines": lines("A", 1)})).await.expect(201);
        http.post(&format!("/orders/{id}/cancel"), json!({})).await.expect(200);
        let body = json!({"paymentId": payment, "outcome": "SUCCEEDED", "amountMinor": 5, "currency": "EUR"});
        http.post(&format!("/orders/{id}/payment"), body).await.expect(200);
        id
    };
    let first = cancelled(&http, "p1").await;
    eventually("it is tried again", || async {
        (refunder.asked().get("p1").is_some_and(|asked| asked.len() > 2)).then_some(())
    })
    .await;
    service.kill().await;
    // What became due while no service ran is found in the list.
    let node = cluster.leader_http().await;
    cancelled(&node, "p2").await;
    refunder.answer(204);
    service.run();
    service.ready().await;
    let settled = || async {
        let owed = node.get("/orders?status=REFUND_DUE").await;
        (owed.status == 200 && owed.body["orders"] == json!([])).then_some(())
    };
    eventually("both are settled", settled).await;
    // What becomes due now is heard of from the feed.
    cancelled(&http, "p3").await;
    eventually("the third is settled", settled).await;
    let asked = refunder.asked();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["p1", "p2", "p3"], "under the payment's id, each");
    let told = &asked["p1"][0];
    assert_eq!(
        (&told["orderId"], &told["amountMinor"], &told["currency"]),
        (&json!(first), &json!(5), &json!("EUR"))
    );
    let order = node.get(&format!("/orders/{first}")).await.expect(200).body;
    assert_eq!(order["payments"][0]["status"], "REFUNDED");
    assert_eq!(service.stop().await, 0);
    cluster.audit().await;
}
