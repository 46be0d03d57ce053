//! The order service by black box: the life of an order, what is repeated or late, and what its death leaves.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use holdfast_e2e::{Answer, Cluster, Http, OrderService, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// How often the service is killed while orders go on.
const KILLS: usize = 4;
/// Buyers at the same time, and orders of each.
const BUYERS: usize = 4;
const ORDERS_EACH: usize = 25;

fn order_id() -> String {
    format!("O-{}", uuid::Uuid::now_v7())
}

fn lines(qty: u64) -> Value {
    json!([{"storeId": "S1", "itemId": "A", "qty": qty}])
}

async fn create(cluster: &Cluster, available: u64) {
    let body = json!({"storeId": "S1", "itemId": "A", "available": available});
    cluster.http(0).post("/admin/newSKU", body).await.expect(201);
}

async fn row(cluster: &Cluster) -> Value {
    cluster.http(0).get("/inventory/S1/items/A").await.expect(200).body
}

async fn pay(http: &Http, order: &str, payment: &str, outcome: &str) -> Answer {
    http.post(&format!("/orders/{order}/payment"), json!({"paymentId": payment, "outcome": outcome})).await
}

#[tokio::test]
async fn a_line_is_reserved_confirmed_and_released_and_never_held_for_ever() {
    let cluster = Cluster::start(3).await;
    let service = OrderService::start(&cluster, &[]).await;
    create(&cluster, 5).await;
    let (http, path) = (service.http(), "/inventory/S1/items/A");
    let held = http.post(&format!("{path}/reserve"), json!({"qty": 2})).await.expect(201);
    assert_eq!(held.body["expiresInMs"], 900_000);
    assert_ne!(held.header("holdfast-applied-seq"), "");
    let of_hold = |hold: &Answer| json!({"holdId": hold.body["holdId"]});
    let sold = http.post(&format!("{path}/confirm"), of_hold(&held)).await.expect(200);
    assert_eq!(sold.body["status"], "CONFIRMED");
    let held = http.post(&format!("{path}/reserve"), json!({"qty": 1})).await.expect(201);
    http.post(&format!("{path}/release"), of_hold(&held)).await.expect(200);
    http.post(&format!("{path}/confirm"), of_hold(&held)).await.expect_problem(409, "hold_released");
    http.post(&format!("{path}/reserve"), json!({"qty": 4})).await.expect_problem(409, "insufficient_stock");
    http.post(&format!("{path}/reserve"), json!({"qty": "2"})).await.expect_problem(400, "malformed");
    http.get("/nowhere").await.expect_problem(404, "unknown_route");
    assert_eq!(row(&cluster).await["available"], 3);
}

#[tokio::test]
async fn an_order_is_placed_changed_and_paid_whatever_comes_twice_or_out_of_order() {
    let cluster = Cluster::start(3).await;
    let service = OrderService::start(&cluster, &[]).await;
    create(&cluster, 5).await;
    let http = service.http();
    let body = json!({"lines": lines(2)});
    let placed = http.post_with_key("/orders", "basket-1", body.clone()).await.expect(201);
    let again = http.post_with_key("/orders", "basket-1", body).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body["orderId"], placed.body["orderId"]);
    http.post_with_key("/orders", "basket-1", json!({"lines": lines(1)}))
        .await
        .expect_problem(422, "idempotency_key_reused");
    let order = placed.body["orderId"].as_str().unwrap().to_owned();
    let put = |qty: u64| {
        let (http, path) = (http.clone(), format!("/orders/{order}/lines"));
        async move { http.send(Method::PUT, &path, &[], Some(json!({"lines": lines(qty)}))).await }
    };
    // Its own two do not count against it.
    put(5).await.expect(200);
    put(6).await.expect_problem(409, "insufficient_stock");
    assert_eq!(row(&cluster).await["reserved"], 5);
    assert_eq!(pay(&http, &order, "p1", "FAILED").await.expect(200).body["status"], "PLACED");
    let paid = pay(&http, &order, "p2", "SUCCEEDED").await.expect(200);
    assert_eq!(paid.body["status"], "PAID");
    assert_eq!(
        pay(&http, &order, "p2", "SUCCEEDED").await.expect(200).body["payments"],
        paid.body["payments"]
    );
    pay(&http, &order, "p2", "FAILED").await.expect_problem(409, "payment_exists");
    pay(&http, &order, "p2", "PERHAPS").await.expect_problem(400, "malformed");
    http.post(&format!("/orders/{order}/cancel"), json!({})).await.expect_problem(409, "order_conflict");
    assert_eq!(http.get(&format!("/orders/{order}")).await.expect(200).body["status"], "PAID");
    let other = http.post("/orders", json!({"lines": lines(1)})).await;
    other.expect_problem(409, "insufficient_stock");
    assert_eq!(http.get("/orders?status=PAID").await.expect(200).body["orders"].as_array().unwrap().len(), 1);
    http.get(&format!("/orders/{}", order_id())).await.expect_problem(404, "unknown_order");
    assert_eq!((&row(&cluster).await["sold"], &row(&cluster).await["reserved"]), (&json!(5), &json!(0)));
}

#[tokio::test]
async fn two_services_that_get_the_same_order_at_once_place_it_once() {
    let mut cluster = Cluster::start(3).await;
    let (one, two) = (OrderService::start(&cluster, &[]).await, OrderService::start(&cluster, &[]).await);
    create(&cluster, 100).await;
    for number in 0..10 {
        let (key, body) = (format!("basket-{number}"), json!({"lines": lines(2)}));
        let (first, second) = (one.http(), two.http());
        let (first, second) = tokio::join!(
            first.post_with_key("/orders", &key, body.clone()),
            second.post_with_key("/orders", &key, body.clone())
        );
        assert_eq!(first.body["orderId"], second.body["orderId"], "{first:?} {second:?}");
        let order = first.body["orderId"].as_str().unwrap().to_owned();
        let (first, second) = (one.http(), two.http());
        let path = format!("/orders/{order}/cancel");
        let (paid, cancelled) =
            tokio::join!(pay(&first, &order, "p1", "SUCCEEDED"), second.post(&path, json!({})));
        // One of them came first: the goods are sold, or the money is owed.
        let is_sold = paid.body["status"] == "PAID";
        assert_eq!((is_sold, paid.status), (cancelled.status == 409, 200), "{paid:?} {cancelled:?}");
        assert_eq!(paid.body["refundDue"], !is_sold);
    }
    let row = row(&cluster).await;
    assert_eq!(row["reserved"], 0);
    cluster.audit().await;
}

/// What a receiver of refunds has been told: the keys.
type Told = Arc<Mutex<Vec<String>>>;

async fn take_refund(State(told): State<Told>, headers: HeaderMap) -> StatusCode {
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default();
    told.lock().unwrap().push(key.to_owned());
    StatusCode::NO_CONTENT
}

#[tokio::test]
async fn a_late_payment_sells_what_is_still_there_and_is_given_back_otherwise() {
    let cluster = Cluster::start(3).await;
    // Nobody listens there yet.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/refunds");
    let flags = ["--refund-url", &url, "--refund-backoff-ms", "20", "--refund-backoff-max-ms", "100"];
    let mut service = OrderService::start(&cluster, &flags).await;
    create(&cluster, 5).await;
    let http = service.http();
    let (lucky, late) = (order_id(), order_id());
    for order in [&lucky, &late] {
        let body = json!({"orderId": order, "lines": lines(2), "ttlSeconds": 1});
        http.post("/orders", body).await.expect(201);
    }
    for order in [&lucky, &late] {
        eventually("the order expires", || async {
            let status = http.get(&format!("/orders/{order}")).await.body["status"].clone();
            (status == "EXPIRED").then_some(())
        })
        .await;
    }
    assert_eq!(pay(&http, &lucky, "p1", "SUCCEEDED").await.expect(200).body["status"], "PAID");
    http.post("/inventory/S1/items/A/reserve", json!({"qty": 3})).await.expect(201);
    let owed = pay(&http, &late, "p2", "SUCCEEDED").await.expect(200);
    assert_eq!((&owed.body["status"], &owed.body["refundDue"]), (&json!("EXPIRED"), &json!(true)));
    // Its process dies with the refund open; the next one finds it in the cluster's list.
    service.kill().await;
    let told = Told::default();
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let app = Router::new().route("/refunds", post(take_refund)).with_state(told.clone());
    let receiver = tokio::spawn(async move { axum::serve(listener, app).await });
    service.run().await;
    eventually("the refund is settled", || async {
        let list = http.get("/orders?status=REFUND_DUE").await.body["orders"].clone();
        (list == json!([])).then_some(())
    })
    .await;
    let order = http.get(&format!("/orders/{late}")).await.expect(200);
    assert_eq!(order.body["payments"][0]["status"], "REFUNDED");
    let told = told.lock().unwrap().clone();
    assert!(!told.is_empty() && told.iter().all(|key| key == "p2"), "{told:?}");
    receiver.abort();
}

/// Sends until there is an answer that says what became of it: the ids are in the request, so that a repeat is safe.
async fn patiently(http: &Http, path: &str, body: &Value) -> Answer {
    eventually("an answer", || async {
        let answer = http.post(path, body.clone()).await;
        (answer.status != 0 && answer.status != 503).then_some(answer)
    })
    .await
}

/// Places orders and pays or cancels them; returns how many units it paid for.
async fn buy(http: Http) -> u64 {
    let mut paid = 0;
    for number in 0..ORDERS_EACH {
        let (order, qty) = (order_id(), 1 + number as u64 % 3);
        let hold = format!("H-{}", uuid::Uuid::now_v7());
        let body = json!({"orderId": order, "holdId": hold, "lines": lines(qty)});
        let placed = patiently(&http, "/orders", &body).await;
        assert!(matches!(placed.status, 200 | 201), "{placed:?}");
        let (path, body) = if number % 4 == 3 {
            (format!("/orders/{order}/cancel"), json!({}))
        } else {
            paid += qty;
            (
                format!("/orders/{order}/payment"),
                json!({"paymentId": format!("p-{order}"), "outcome": "SUCCEEDED"}),
            )
        };
        patiently(&http, &path, &body).await.expect(200);
    }
    paid
}

#[tokio::test]
async fn a_service_that_is_killed_again_and_again_sells_nothing_twice_and_leaves_nothing_reserved() {
    let mut cluster = Cluster::start(3).await;
    let mut service = OrderService::start(&cluster, &[]).await;
    create(&cluster, 100_000).await;
    let mut buyers = tokio::task::JoinSet::new();
    for _ in 0..BUYERS {
        buyers.spawn(buy(service.http()));
    }
    for kill in 1..=KILLS {
        // At some moment of the work: so many orders have been placed.
        let http = cluster.http(0);
        eventually("orders go on", || async {
            let seq = http.get("/cluster").await.body["appliedSeq"].as_u64()?;
            (seq > (kill * 40) as u64).then_some(())
        })
        .await;
        service.kill().await;
        service.run().await;
    }
    let paid: u64 = buyers.join_all().await.into_iter().sum();
    let row = row(&cluster).await;
    assert_eq!((&row["sold"], &row["reserved"]), (&json!(paid), &json!(0)));
    assert_eq!(cluster.http(0).get("/orders?status=PLACED").await.expect(200).body["orders"], json!([]));
    cluster.equal_digests().await;
    cluster.audit().await;
}
