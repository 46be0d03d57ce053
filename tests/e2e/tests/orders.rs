//! Orders by black box: what a client without any library sees.

use holdfast_e2e::{Cluster, Http, Stream, seqs};
use reqwest::Method;
use serde_json::{Value, json};

fn order_id() -> String {
    format!("O-{}", uuid::Uuid::now_v7())
}

async fn create(http: &Http, store: &str, item: &str, available: u64) {
    let body = json!({"storeId": store, "itemId": item, "available": available});
    http.post("/admin/newSKU", body).await.expect(201);
}

async fn row(http: &Http, store: &str, item: &str) -> Value {
    http.get(&format!("/inventory/{store}/items/{item}")).await.expect(200).body
}

fn line(store: &str, item: &str, qty: u64) -> Value {
    json!({"storeId": store, "itemId": item, "qty": qty})
}

/// Every record of the ledger as its kind and order.
async fn told(http: &Http, after: u64) -> Vec<(String, String)> {
    let page = http.get(&format!("/movements?after={after}")).await.expect(200);
    let records = page.body["movements"].as_array().expect("a list").clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    records.iter().map(|record| (text(&record["kind"]), text(&record["orderId"]))).collect()
}

#[tokio::test]
async fn an_order_is_placed_changed_and_paid() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    create(&http, "S2", "B", 5).await;
    let id = order_id();
    let body = json!({"orderId": id, "ttlSeconds": 600, "owner": "cart-1", "reference": "customer 7",
        "lines": [line("S1", "A", 2), line("S2", "B", 1)]});
    let placed = http.post("/orders", body.clone()).await.expect(201).body;
    assert_eq!((&placed["status"], &placed["refundDue"]), (&json!("PLACED"), &json!(false)));
    assert_eq!((&placed["owner"], &placed["reference"]), (&json!("cart-1"), &json!("customer 7")));
    assert_eq!(http.post("/orders", body).await.expect(200).header("idempotency-replayed"), "true");
    let other = json!({"orderId": id, "lines": [line("S1", "A", 2)]});
    let refused = http.post("/orders", other).await.expect_problem(409, "order_exists");
    assert_eq!(refused.body["state"], "PLACED");

    // The hold of an order ends with the order alone.
    let hold = placed["holdId"].as_str().unwrap();
    let of = http.post(&format!("/holds/{hold}/confirm"), json!({})).await;
    assert_eq!(of.expect_problem(409, "hold_of_order").body["orderId"], json!(id));
    http.post(&format!("/holds/{hold}/release"), json!({})).await.expect_problem(409, "hold_of_order");
    http.post(&format!("/holds/{hold}/extend"), json!({"ttlSeconds": 900})).await.expect(200);

    let lines = json!({"lines": [line("S1", "A", 10)]});
    let path = format!("/orders/{id}/lines");
    let replaced = http.send(Method::PUT, &path, &[], Some(lines.clone())).await.expect(200).body;
    assert_eq!(
        (&replaced["lines"][0]["reserved"], row(&http, "S2", "B").await["reserved"].clone()),
        (&json!(10), json!(0))
    );
    assert_ne!(replaced["holdId"], placed["holdId"]);
    assert!(replaced["expiresInMs"].as_u64().unwrap() > 800_000, "the end stays as it was: {replaced}");
    let again = http.send(Method::PUT, &path, &[], Some(lines)).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let too_many = json!({"lines": [line("S1", "A", 11)]});
    let short = http.send(Method::PUT, &path, &[], Some(too_many)).await;
    assert_eq!(short.expect_problem(409, "insufficient_stock").body["lines"][0]["available"], 10);

    let pay = format!("/orders/{id}/payment");
    let failed = json!({"paymentId": "p1", "outcome": "FAILED"});
    assert_eq!(http.post(&pay, failed).await.expect(200).body["status"], "PLACED");
    let succeeded =
        json!({"paymentId": "p1", "outcome": "SUCCEEDED", "amountMinor": 1999, "currency": "EUR"});
    let paid = http.post(&pay, succeeded.clone()).await.expect(200).body;
    assert_eq!((&paid["status"], &paid["payments"][0]["status"]), (&json!("PAID"), &json!("ACCEPTED")));
    assert_eq!(paid["payments"][0]["amountMinor"], 1999);
    assert_eq!(http.post(&pay, succeeded).await.expect(200).header("idempotency-replayed"), "true");
    let late = json!({"paymentId": "p1", "outcome": "FAILED"});
    http.post(&pay, late).await.expect_problem(409, "payment_exists");
    http.post(&format!("/orders/{id}/cancel"), json!({})).await.expect_problem(409, "order_conflict");
    assert_eq!(http.get(&format!("/orders/{id}")).await.expect(200).body, paid);

    let kinds = told(&http, 2).await;
    let kinds: Vec<&str> =
        kinds.iter().inspect(|(_, order)| assert_eq!(*order, id)).map(|(kind, _)| kind.as_str()).collect();
    let expected = [
        "RESERVED",
        "RESERVED",
        "ORDER_PLACED",
        "EXTENDED",
        "EXTENDED",
        "RELEASED",
        "RELEASED",
        "RESERVED",
        "ORDER_LINES_REPLACED",
        "ORDER_PAYMENT_FAILED",
        "CONFIRMED",
        "ORDER_PAID",
    ];
    assert_eq!(kinds, expected);
    let of_store = http.get("/movements?storeId=S2").await.expect(200);
    assert_eq!(of_store.body["movements"].as_array().unwrap().len(), 4, "no order events among a store's");
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn money_that_comes_too_late_is_owed_and_listed_until_it_is_given_back() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    create(&http, "S1", "A", 10).await;
    let place = |id: &str| json!({"orderId": id, "lines": [line("S1", "A", 1)]});
    let (cancelled, paid) = (order_id(), order_id());
    http.post("/orders", place(&cancelled)).await.expect(201);
    http.post("/orders", place(&paid)).await.expect(201);
    let reason = json!({"reason": "changed my mind"});
    let ended = http.post(&format!("/orders/{cancelled}/cancel"), reason).await.expect(200);
    assert_eq!(
        (&ended.body["status"], row(&http, "S1", "A").await["reserved"].clone()),
        (&json!("CANCELLED"), json!(1))
    );
    let pay = |payment: &str| json!({"paymentId": payment, "outcome": "SUCCEEDED", "reacquire": true});
    let owed = http.post(&format!("/orders/{cancelled}/payment"), pay("p1")).await.expect(200).body;
    assert_eq!((&owed["refundDue"], &owed["payments"][0]["status"]), (&json!(true), &json!("REFUND_DUE")));
    http.post(&format!("/orders/{paid}/payment"), pay("p1")).await.expect(200);
    http.post(&format!("/orders/{paid}/payment"), pay("p2")).await.expect(200);
    let listed = async |query: &str| {
        let page = http.get(&format!("/orders{query}")).await.expect(200).body;
        let ids = page["orders"]
            .as_array()
            .unwrap()
            .iter()
            .map(|order| order["orderId"].as_str().unwrap().to_owned());
        (ids.collect::<Vec<_>>(), page["next"].as_u64())
    };
    assert_eq!(listed("?status=REFUND_DUE").await.0, [cancelled.clone(), paid.clone()]);
    assert_eq!(listed("?status=PAID").await, (vec![paid.clone()], None));
    let (first, next) = listed("?limit=1").await;
    assert_eq!(first, std::slice::from_ref(&cancelled));
    assert_eq!(listed(&format!("?limit=1&after={}", next.unwrap())).await, (vec![paid.clone()], None));

    let refund = |payment: &str| json!({"paymentId": payment});
    let path = format!("/orders/{paid}/refund");
    http.post(&path, refund("p1")).await.expect_problem(409, "refund_not_due");
    http.post(&path, refund("p9")).await.expect_problem(404, "unknown_payment");
    for replayed in ["", "true"] {
        let answer = http.post(&path, refund("p2")).await.expect(200);
        assert_eq!(
            (&answer.body["refundDue"], answer.header("idempotency-replayed")),
            (&json!(false), replayed)
        );
    }
    http.post(&format!("/orders/{cancelled}/refund"), refund("p1")).await.expect(200);
    assert_eq!(listed("?status=REFUND_DUE").await.0, Vec::<String>::new());
    let status = http.get("/cluster").await.expect(200).body;
    assert_eq!((&status["ordersPlaced"], &status["refundsDue"]), (&json!(0), &json!(0)));
    cluster.audit().await;
}

#[tokio::test]
async fn orders_outlive_all_their_nodes_and_expire_afterwards() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    let (kept, over) = (order_id(), order_id());
    http.post("/orders", json!({"orderId": kept, "lines": [line("S1", "A", 2)]})).await.expect(201);
    let short = json!({"orderId": over, "ttlSeconds": 2, "lines": [line("S1", "A", 3)]});
    http.post("/orders", short).await.expect(201);
    http.post("/cluster/snapshot", json!({})).await.expect(200);
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    for index in 0..3 {
        cluster.start_node(index);
    }
    let http = cluster.leader_http().await;
    assert_eq!(http.get(&format!("/orders/{kept}")).await.expect(200).body["status"], "PLACED");
    holdfast_e2e::eventually("the order expires", || async {
        let order = http.get(&format!("/orders/{over}")).await.expect(200).body;
        (order["status"] == "EXPIRED").then_some(())
    })
    .await;
    assert_eq!(row(&http, "S1", "A").await["reserved"], 2);
    let late = json!({"paymentId": "p1", "outcome": "SUCCEEDED", "reacquire": true});
    let paid = http.post(&format!("/orders/{over}/payment"), late).await.expect(200);
    assert_eq!(
        (&paid.body["status"], row(&http, "S1", "A").await["sold"].clone()),
        (&json!("PAID"), json!(3))
    );
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_order_is_said() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    create(&http, "S1", "A", 10).await;
    let unknown = order_id();
    http.get(&format!("/orders/{unknown}")).await.expect_problem(404, "unknown_order");
    http.get("/orders/O-1").await.expect_problem(400, "malformed");
    http.get("/orders?status=paid").await.expect_problem(400, "malformed");
    http.post("/orders", json!({"lines": []})).await.expect_problem(422, "no_lines");
    http.post("/orders", json!({"lines": [line("S1", "A", 1)], "typo": 1}))
        .await
        .expect_problem(400, "malformed");
    http.post("/orders", json!({"lines": [line("S1", "A", 11)]}))
        .await
        .expect_problem(409, "insufficient_stock");
    let path = format!("/orders/{unknown}/payment");
    for wrong in [
        json!({}),
        json!({"paymentId": "p 1", "outcome": "FAILED"}),
        json!({"paymentId": "p1", "outcome": "MAYBE"}),
        json!({"paymentId": "p1", "outcome": "FAILED", "amountMinor": 5}),
        json!({"paymentId": "p1", "outcome": "FAILED", "amountMinor": 5, "currency": "euro"}),
    ] {
        http.post(&path, wrong).await.expect_problem(400, "malformed");
    }
    http.post(&path, json!({"paymentId": "p1", "outcome": "FAILED"}))
        .await
        .expect_problem(404, "unknown_order");
    // A batch takes orders too, and a key covers ids that are made.
    let commands = json!({"commands": [
        {"op": "placeOrder", "lines": [line("S1", "A", 1)]},
        {"op": "payOrder", "orderId": unknown, "paymentId": "p1", "outcome": "SUCCEEDED"},
    ]});
    for replayed in [false, true] {
        let answer = http.post_with_key("/batch", "b", commands.clone()).await.expect(200).body;
        let outcomes = &answer["outcomes"];
        assert_eq!(
            (&outcomes[0]["replayed"], &outcomes[1]["body"]["code"]),
            (&json!(replayed), &json!("unknown_order"))
        );
    }
    assert_eq!(row(&http, "S1", "A").await["reserved"], 1);
}

#[tokio::test]
async fn order_events_travel_in_the_feed_between_their_movements() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.leader_http().await;
    let follower = cluster.follower().await;
    create(&http, "S1", "A", 10).await;
    let address = cluster.nodes[follower].http_address.clone();
    let mut all = Stream::open(&address, "/feed?after=1").await;
    let mut paid = Stream::open(&address, "/feed?after=1&kind=ORDER_PAID").await;
    let mut of_store = Stream::open(&address, "/feed?after=1&storeId=S1").await;
    let id = order_id();
    http.post("/orders", json!({"orderId": id, "lines": [line("S1", "A", 2)]})).await.expect(201);
    let pay = json!({"paymentId": "p1", "outcome": "SUCCEEDED"});
    http.post(&format!("/orders/{id}/payment"), pay).await.expect(200);
    let kinds = |lines: Vec<Value>| -> Vec<String> {
        let kind = |line: &Value| line["record"]["kind"].as_str().unwrap_or_default().to_owned();
        lines.iter().map(kind).collect()
    };
    let records = all.records(4).await;
    assert!(records.iter().all(|line| line["record"]["orderId"] == json!(id)), "{records:?}");
    assert_eq!(kinds(records), ["RESERVED", "ORDER_PLACED", "CONFIRMED", "ORDER_PAID"]);
    assert_eq!(seqs(&paid.records(1).await), [5]);
    assert_eq!(kinds(of_store.records(2).await), ["RESERVED", "CONFIRMED"]);
}
