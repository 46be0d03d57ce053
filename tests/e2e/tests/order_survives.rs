//! Order services are killed again and again, and leaders with them, while orders are played through two of them. In the
//! end every order stands as its buyer was told, nothing is reserved for ever, nothing was sold twice, and each refund was
//! asked for under one key.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use holdfast_e2e::{Answer, Cluster, Http, OrderService, Refunder, eventually};
use reqwest::Method;
use serde_json::{Value, json};

/// How often a service is killed; HOLDFAST_ORDER_KILLS=50 for the long form.
const KILLS: usize = 12;
/// A leader dies with so many of the services.
const KILLS_PER_LEADER: usize = 4;
/// Orders that are begun between two kills, at least.
const ORDERS_PER_KILL: usize = 20;
const BUYERS: usize = 8;

/// There is enough of the first, and not nearly of the second.
const PLENTY: &str = "PLENTY";
const SCARCE: &str = "SCARCE";
const STOCK: [(&str, u64); 2] = [(PLENTY, 1_000_000), (SCARCE, 40)];

/// Seconds that a buyer has: some orders expire while their buyers wait for a service.
const TTL_SECONDS: &str = "8";

fn kills() -> usize {
    std::env::var("HOLDFAST_ORDER_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

fn order_id() -> String {
    format!("O-{}", uuid::Uuid::now_v7())
}

/// What a buyer was told last of an order.
#[derive(Debug, Clone)]
struct Told {
    status: String,
    item: &'static str,
    qty: u64,
    /// What became of each payment.
    payments: BTreeMap<String, String>,
}

/// What all buyers were told.
#[derive(Debug, Default)]
struct Books {
    /// Orders that were placed, and those that were refused for want of stock.
    orders: BTreeMap<String, Told>,
    refused: Vec<String>,
    /// Sold without an order, by item.
    sold_by_holds: BTreeMap<&'static str, u64>,
}

/// One who buys through whichever service answers.
struct Buyer {
    services: Vec<Http>,
    number: usize,
    books: Books,
}

impl Buyer {
    /// Asks until there is an answer that tells what has become of it. Repeats have one effect, by the id or the key in
    /// them.
    async fn insist(&self, method: Method, path: &str, key: Option<&str>, body: &Value) -> Answer {
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        let turn = AtomicUsize::new(fastrand::usize(..2));
        eventually("a service answers", || async {
            let http = &self.services[turn.fetch_add(1, Ordering::Relaxed) % self.services.len()];
            let answer = http.send(method.clone(), path, &headers, Some(body.clone())).await;
            (answer.status != 0 && answer.status != 503).then_some(answer)
        })
        .await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.insist(Method::POST, path, None, &body).await
    }

    /// Places an order, by its own id or by a key; none when there is not enough.
    async fn place(&mut self, item: &'static str, qty: u64) -> Option<String> {
        let lines = json!([{"storeId": "S1", "itemId": item, "qty": qty}]);
        let (id, by_key) = (order_id(), self.number.is_multiple_of(3));
        let body = if by_key { json!({"lines": lines}) } else { json!({"lines": lines, "orderId": id}) };
        let answer = self.insist(Method::POST, "/orders", by_key.then_some(id.as_str()), &body).await;
        if answer.status == 409 {
            answer.expect_problem(409, "insufficient_stock");
            if !by_key {
                self.books.refused.push(id);
            }
            return None;
        }
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let id = answer.body["orderId"].as_str().expect("an id").to_owned();
        self.note(&id, item, qty, &answer.body);
        Some(id)
    }

    fn note(&mut self, id: &str, item: &'static str, qty: u64, order: &Value) {
        let payments = order["payments"].as_array().into_iter().flatten();
        let payments = payments.map(|one| (text(&one["paymentId"]), text(&one["status"]))).collect();
        let told = Told { status: text(&order["status"]), item, qty, payments };
        self.books.orders.insert(id.to_owned(), told);
    }

    /// Tells how a payment went, more than once.
    async fn pay(&mut self, id: &str, item: &'static str, qty: u64, outcome: &str) {
        let payment = format!("{outcome}-{id}");
        let body = json!({"paymentId": payment, "outcome": outcome, "amountMinor": 5, "currency": "EUR"});
        for _ in 0..=fastrand::usize(..2) {
            let answer = self.post(&format!("/orders/{id}/payment"), body.clone()).await.expect(200);
            self.note(id, item, qty, &answer.body);
        }
    }

    /// Cancels an order, unless it has ended otherwise meanwhile.
    async fn cancel(&mut self, id: &str, item: &'static str, qty: u64) {
        let answer = self.post(&format!("/orders/{id}/cancel"), json!({})).await;
        match answer.status {
            200 => self.note(id, item, qty, &answer.body),
            _ => drop(answer.expect_problem(409, "order_conflict")),
        }
    }

    /// Orders more of the same; none when the order has ended meanwhile, or there is not enough.
    async fn take_more(&mut self, id: &str, item: &'static str, qty: u64) -> Option<u64> {
        let more = qty + 1;
        // A repeat under the same key is not a second change.
        let (key, lines) =
            (format!("more-{id}"), json!({"lines": [{"storeId": "S1", "itemId": item, "qty": more}]}));
        let answer =
            self.insist(Method::PUT, &format!("/orders/{id}/lines"), Some(key.as_str()), &lines).await;
        if answer.status == 409 {
            return None;
        }
        self.note(id, item, more, &answer.expect(200).body);
        Some(more)
    }

    /// A line without an order: it is sold, given back, or left alone.
    async fn hold(&mut self) {
        let hold = format!("H-{}", uuid::Uuid::now_v7());
        let path = |action: &str| format!("/inventory/S1/items/{PLENTY}/{action}");
        let held = self.post(&path("reserve"), json!({"qty": 2, "holdId": hold})).await;
        assert!(matches!(held.status, 200 | 201), "{held:?}");
        let action = ["confirm", "release", ""][fastrand::usize(..3)];
        if action.is_empty() {
            return;
        }
        let ended = self.post(&path(action), json!({"holdId": hold})).await;
        match (action, ended.status) {
            ("confirm", 200) => *self.books.sold_by_holds.entry(PLENTY).or_default() += 2,
            ("confirm", _) => drop(ended.expect_problem(409, "hold_expired")),
            _ => assert!(matches!(ended.status, 200 | 409), "{ended:?}"),
        }
    }

    /// One order from its beginning to its end.
    async fn buy(&mut self) {
        let item = if self.number.is_multiple_of(2) { PLENTY } else { SCARCE };
        let Some(id) = self.place(item, 1).await else { return };
        match fastrand::u8(..8) {
            0 => self.cancel(&id, item, 1).await,
            // Its buyer never comes back: it expires.
            1 => {}
            // The money comes when the order is no more.
            2 => {
                self.cancel(&id, item, 1).await;
                self.pay(&id, item, 1, "SUCCEEDED").await;
            }
            3 => {
                self.pay(&id, item, 1, "FAILED").await;
                self.pay(&id, item, 1, "SUCCEEDED").await;
            }
            4 => {
                let qty = self.take_more(&id, item, 1).await.unwrap_or(1);
                self.pay(&id, item, qty, "SUCCEEDED").await;
            }
            5 => self.hold().await,
            _ => self.pay(&id, item, 1, "SUCCEEDED").await,
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Buys until it is over.
async fn shop(services: Vec<Http>, numbers: Arc<AtomicUsize>, is_over: Arc<AtomicBool>) -> Books {
    let mut buyer = Buyer { services, number: 0, books: Books::default() };
    while !is_over.load(Ordering::Relaxed) {
        buyer.number = numbers.fetch_add(1, Ordering::Relaxed);
        buyer.buy().await;
    }
    buyer.books
}

/// Kills one service or the other, or both, and now and then the leader with them, while orders are begun.
async fn kill_often(cluster: &mut Cluster, services: &mut [OrderService], numbers: &AtomicUsize) {
    let mut dead = None;
    for kill in 1..=kills() {
        let next = numbers.load(Ordering::Relaxed) + ORDERS_PER_KILL + fastrand::usize(..ORDERS_PER_KILL);
        eventually("so many orders have begun", || async {
            (numbers.load(Ordering::Relaxed) >= next).then_some(())
        })
        .await;
        let both = fastrand::u8(..4) == 0;
        let first = fastrand::usize(..services.len());
        for (index, service) in services.iter_mut().enumerate() {
            if both || index == first {
                service.kill().await;
            }
        }
        if let Some(index) = dead.take() {
            cluster.start_node(index);
        }
        if kill % KILLS_PER_LEADER == 0 {
            let leader = cluster.leader().await;
            cluster.nodes[leader].kill().await;
            dead = Some(leader);
        }
        for (index, service) in services.iter_mut().enumerate() {
            if both || index == first {
                service.run();
            }
        }
    }
    if let Some(index) = dead {
        cluster.start_node(index);
    }
}

async fn create(cluster: &mut Cluster, item: &str, available: u64) {
    let body = json!({"storeId": "S1", "itemId": item, "available": available});
    cluster.leader_http().await.post("/admin/newSKU", body).await.expect(201);
}

async fn row(node: &Http, item: &str) -> Value {
    node.get(&format!("/inventory/S1/items/{item}")).await.expect(200).body
}

/// All orders of the cluster, by id.
async fn orders(node: &Http) -> BTreeMap<String, Value> {
    let (mut all, mut path) = (BTreeMap::new(), "/orders?limit=1000".to_owned());
    loop {
        let page = node.get(&path).await.expect(200).body;
        for order in page["orders"].as_array().expect("orders") {
            all.insert(text(&order["orderId"]), order.clone());
        }
        match &page["next"] {
            Value::Null => return all,
            next => path = format!("/orders?limit=1000&after={}", next.to_string().trim_matches('"')),
        }
    }
}

/// Waits until nothing is under way any more: all that nobody paid has expired, and all that is owed was given back.
async fn settled(node: &Http) {
    eventually("what nobody paid has expired, and what is owed is settled", || async {
        let status = node.get("/cluster").await;
        let is_open = |name: &str| status.body[name].as_u64() != Some(0);
        (!["ordersPlaced", "refundsDue", "holdsOpen"].into_iter().any(is_open)).then_some(())
    })
    .await;
}

/// Compares an order with what its buyer was told: only time, and a refund, may have changed it since.
fn assert_told(id: &str, told: &Told, order: &Value) {
    let status = text(&order["status"]);
    let has_expired = told.status == "PLACED" && status == "EXPIRED";
    let is_expected = status == told.status || has_expired;
    assert!(is_expected, "{id}: {told:?}, but it is {order}");
    let payments: BTreeMap<String, String> = order["payments"]
        .as_array()
        .expect("payments")
        .iter()
        .map(|one| (text(&one["paymentId"]), text(&one["status"])))
        .collect();
    assert_eq!(payments.keys().collect::<Vec<_>>(), told.payments.keys().collect::<Vec<_>>(), "{id}");
    for (payment, was) in &told.payments {
        let is = payments[payment].as_str();
        let was = if was == "REFUND_DUE" { "REFUNDED" } else { was };
        assert_eq!(is, was, "{payment}: {told:?}");
    }
}

#[tokio::test]
async fn two_services_and_leaders_that_die_at_any_moment_leave_every_order_as_its_buyer_was_told() {
    let mut cluster = Cluster::start(3).await;
    for (item, available) in STOCK {
        create(&mut cluster, item, available).await;
    }
    let refunder = Refunder::start(204).await;
    let flags = [
        ["--order-ttl-seconds", TTL_SECONDS],
        ["--hold-ttl-seconds", TTL_SECONDS],
        ["--refund-url", &refunder.url],
        ["--refund-backoff-ms", "20"],
        ["--refund-backoff-max-ms", "200"],
    ]
    .concat();
    let mut services =
        [OrderService::start(&cluster, &flags).await, OrderService::start(&cluster, &flags).await];
    let (numbers, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut buyers = tokio::task::JoinSet::new();
    for _ in 0..BUYERS {
        let https = services.iter().map(|service| service.http()).collect();
        buyers.spawn(shop(https, numbers.clone(), is_over.clone()));
    }
    kill_often(&mut cluster, &mut services, &numbers).await;
    is_over.store(true, Ordering::Relaxed);
    let mut books = Books::default();
    for mut one in buyers.join_all().await {
        books.orders.append(&mut one.orders);
        books.refused.append(&mut one.refused);
        for (item, qty) in one.sold_by_holds {
            *books.sold_by_holds.entry(item).or_default() += qty;
        }
    }
    let node = cluster.leader_http().await;
    settled(&node).await;

    let all = orders(&node).await;
    assert_eq!(all.keys().collect::<Vec<_>>(), books.orders.keys().collect::<Vec<_>>(), "one order each");
    books.orders.iter().for_each(|(id, told)| assert_told(id, told, &all[id]));
    for id in &books.refused {
        node.get(&format!("/orders/{id}")).await.expect_problem(404, "unknown_order");
    }
    for (item, opening) in STOCK {
        let paid: u64 = books
            .orders
            .values()
            .filter(|told| told.item == item && told.status == "PAID")
            .map(|told| told.qty)
            .sum();
        let sold = paid + books.sold_by_holds.get(item).copied().unwrap_or(0);
        let stock = row(&node, item).await;
        assert_eq!((&stock["sold"], &stock["reserved"]), (&json!(sold), &json!(0)), "{stock}");
        assert_eq!(stock["available"], json!(opening - sold), "{stock}");
        assert!(sold > 0, "nothing was sold of {item}");
    }
    let asked = refunder.asked();
    let owed: Vec<&String> = books
        .orders
        .values()
        .flat_map(|told| &told.payments)
        .filter(|(_, status)| matches!(status.as_str(), "REFUND_DUE" | "REFUNDED"))
        .map(|(payment, _)| payment)
        .collect();
    let mut keys: Vec<&String> = owed.clone();
    keys.sort();
    assert_eq!(asked.keys().collect::<Vec<_>>(), keys, "each that is owed was asked for under its own key");
    assert!(asked.values().all(|times| times.iter().all(|told| *told == times[0])), "always for the same");
    assert!(
        !owed.is_empty() && !books.refused.is_empty(),
        "{} owed, {} refused",
        owed.len(),
        books.refused.len()
    );
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn a_refund_that_was_taken_when_the_service_died_is_asked_for_again_under_the_same_key() {
    let mut cluster = Cluster::start(3).await;
    create(&mut cluster, PLENTY, 10).await;
    let refunder = Refunder::start(204).await;
    refunder.hesitate();
    let flags = ["--refund-url", &refunder.url, "--refund-timeout-ms", "60000", "--refund-backoff-ms", "20"];
    let mut service = OrderService::start(&cluster, &flags).await;
    let (http, id) = (service.http(), order_id());
    let lines = json!([{"storeId": "S1", "itemId": PLENTY, "qty": 1}]);
    http.post("/orders", json!({"orderId": id, "lines": lines})).await.expect(201);
    http.post(&format!("/orders/{id}/cancel"), json!({})).await.expect(200);
    let paid = json!({"paymentId": "p1", "outcome": "SUCCEEDED", "amountMinor": 5, "currency": "EUR"});
    http.post(&format!("/orders/{id}/payment"), paid).await.expect(200);
    let asked = || async { (!refunder.asked().is_empty()).then_some(()) };
    eventually("the refund is asked for", asked).await;
    // Nobody can settle it now; it is taken all the same, and the service knows that when it dies.
    for node in &mut cluster.nodes {
        node.kill().await;
    }
    refunder.answer(204);
    eventually("the service has heard that it was taken", || async {
        let numbers = http.get("/metrics").await.text;
        let is_taken =
            |line: &str| line.starts_with("holdfast_order_refunds_announced_total ") && !line.ends_with(" 0");
        numbers.lines().any(is_taken).then_some(())
    })
    .await;
    service.kill().await;
    for index in 0..cluster.nodes.len() {
        cluster.start_node(index);
    }
    let node = cluster.leader_http().await;
    let order = node.get(&format!("/orders/{id}")).await.expect(200);
    assert_eq!(order.body["payments"][0]["status"], "REFUND_DUE", "it was not settled: {order:?}");
    service.run();
    eventually("it is settled", || async {
        let order = node.get(&format!("/orders/{id}")).await.body;
        (order["payments"][0]["status"] == "REFUNDED").then_some(())
    })
    .await;
    let asked = refunder.asked();
    assert_eq!(asked.keys().collect::<Vec<_>>(), ["p1"], "under the payment's id alone");
    assert!(asked["p1"].len() > 1 && asked["p1"].iter().all(|told| *told == asked["p1"][0]), "{asked:?}");
    cluster.audit().await;
}
