//! Events of the stores: each counts once, whatever is repeated, reordered or cut off, and what cannot count is kept.

use holdfast_e2e::{Cluster, Http, Sync, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A shop with a row A of 100.
struct Shop {
    cluster: Cluster,
    leader: Http,
    sync: Sync,
    /// A moment that is not too long ago for the cluster.
    when: String,
}

async fn start(nodes: u64) -> Shop {
    let mut cluster = Cluster::start(nodes).await;
    let leader = cluster.leader_http().await;
    let body = json!({"storeId": "S1", "itemId": "A", "available": 100});
    leader.post("/admin/newSKU", body).await.expect(201);
    let sync = Sync::start(&cluster, &[]).await;
    let movements = leader.get("/movements?limit=1").await.expect(200).body;
    let when = movements["movements"][0]["at"].as_str().unwrap().to_owned();
    Shop { cluster, leader, sync, when }
}

impl Shop {
    fn event(&self, id: &str, kind: &str, more: &Value) -> Value {
        let mut event = json!({"eventId": id, "occurredAt": self.when, "type": kind, "itemId": "A"});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    }
}

async fn on_hand(leader: &Http) -> i64 {
    leader.get("/inventory/S1/items/A").await.expect(200).body["onHand"].as_i64().unwrap()
}

fn statuses(body: &Value) -> Vec<String> {
    let results = body["results"].as_array().expect("results");
    results.iter().map(|result| result["status"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn as_many_impossible_events_as_a_request_may_have_are_all_kept() {
    let shop = start(3).await;
    let events: Vec<Value> =
        (0..10_000).map(|number| shop.event(&format!("e{number}"), "SALE", &json!({}))).collect();
    let answered = shop.sync.http().post("/stores/S1/events", json!(events)).await.expect(207).body;
    let results = answered["results"].as_array().unwrap();
    assert!(results.iter().all(|result| result["status"] == "DEAD_LETTERED"), "{}", results[0]);
    let kept = shop.leader.get("/cluster").await.expect(200).body;
    assert_eq!((results.len(), &kept["deadLetters"]), (10_000, &json!(10_000)));
}

#[tokio::test]
async fn every_kind_of_event_counts_once() {
    let shop = start(1).await;
    let (leader, http) = (&shop.leader, shop.sync.http());
    let path = "/stores/S1/events";
    let sale = shop.event("e1", "SALE", &json!({"qty": 5}));
    let one = http.post(path, sale.clone()).await.expect(200).body;
    assert_eq!((statuses(&one), &one["results"][0]["eventId"]), (vec!["APPLIED".to_owned()], &json!("e1")));
    let all = json!([
        shop.event("e2", "RECEIPT", &json!({"qty": 7, "reference": "note 7"})),
        sale,
        shop.event("e3", "RETURN", &json!({"qty": 1, "reason": "too small"})),
        shop.event("e3", "RETURN", &json!({"qty": 1, "reason": "too small"})),
    ]);
    let many = http.post(path, all.clone()).await.expect(200).body;
    assert_eq!(statuses(&many), ["APPLIED", "REPEATED", "APPLIED", "REPEATED"]);
    assert_eq!(
        many["results"][1]["seq"], one["results"][0]["seq"],
        "a repeat names the movement of the first time"
    );
    assert_eq!(on_hand(leader).await, 103);
    let mut reversed = all.as_array().unwrap().clone();
    reversed.reverse();
    let again = http.post(path, json!({"events": reversed})).await.expect(200).body;
    assert_eq!(statuses(&again), ["REPEATED"; 4]);
    let count = shop.event("e4", "COUNT", &json!({"counted": 90}));
    http.post(path, count).await.expect(200);
    assert_eq!(on_hand(leader).await, 90);
    let oversold = shop.event("e5", "SALE", &json!({"qty": 500}));
    http.post(path, oversold).await.expect(200);
    assert_eq!(on_hand(leader).await, -410, "a sale is a fact");
    assert_eq!(statuses(&http.post(path, json!([])).await.expect(200).body), [] as [String; 0]);
}

#[tokio::test]
async fn what_cannot_be_applied_is_kept_whole_once_and_can_be_tried_again() {
    let shop = start(1).await;
    let (leader, http) = (&shop.leader, shop.sync.http());
    let path = "/stores/S1/events";
    let mut unknown = shop.event("e1", "SALE", &json!({"qty": 5}));
    unknown["itemId"] = json!("B");
    let malformed = shop.event("e2", "SALE", &json!({"qty": "five"}));
    let old = json!({"eventId": "e3", "occurredAt": "2001-01-01T00:00:00Z", "type": "SALE", "itemId": "A", "qty": 1});
    let fine = shop.event("e4", "SALE", &json!({"qty": 1}));
    let sent = json!([unknown, malformed, old, fine, 7]);
    for (round, last) in ["APPLIED", "REPEATED"].into_iter().enumerate() {
        let answer = http.post(path, sent.clone()).await.expect(207).body;
        let expected = ["DEAD_LETTERED", "DEAD_LETTERED", "DEAD_LETTERED", last, "DEAD_LETTERED"];
        assert_eq!(statuses(&answer), expected, "round {round}");
        assert_eq!(answer["results"][0]["problem"]["code"], "unknown_item");
        assert_eq!(answer["results"][2]["problem"]["code"], "event_too_old");
    }
    let listed = http.get("/dlq?storeId=S1").await.expect(200).body;
    let letters = listed["letters"].as_array().unwrap().clone();
    assert_eq!(letters.len(), 4, "each is kept once: {listed}");
    assert!(letters.iter().all(|letter| letter["direction"] == "FROM_STORE"));
    let kept =
        |event: &Value| letters.iter().find(|letter| letter["body"] == *event).expect("it is kept whole");
    assert!(kept(&malformed)["reason"].as_str().unwrap().contains("malformed"));
    assert_eq!(http.get("/dlq?storeId=S2").await.expect(200).body["letters"], json!([]));

    let replay = format!("/dlq/{}/replay", kept(&unknown)["letterId"].as_str().unwrap());
    http.post(&replay, json!({})).await.expect_problem(404, "unknown_item");
    let body = json!({"storeId": "S1", "itemId": "B", "available": 9});
    leader.post("/admin/newSKU", body).await.expect(201);
    let replayed = http.post(&replay, json!({})).await.expect(200).body;
    assert_eq!(replayed["result"]["status"], "APPLIED");
    assert_eq!(leader.get("/inventory/S1/items/B").await.expect(200).body["onHand"], 4);
    http.post(&replay, json!({})).await.expect_problem(404, "unknown_dead_letter");
    let again = http.post(path, json!([unknown])).await.expect(200).body;
    assert_eq!(statuses(&again), ["REPEATED"]);

    let delete = format!("/dlq/{}", kept(&malformed)["letterId"].as_str().unwrap());
    http.send(Method::DELETE, &delete, &[], None).await.expect(200);
    http.send(Method::DELETE, &delete, &[], None).await.expect_problem(404, "unknown_dead_letter");
    let page = http.get("/dlq?limit=1").await.expect(200).body;
    let next = page["next"].as_u64().expect("there is another");
    let rest = http.get(&format!("/dlq?limit=1&after={next}")).await.expect(200).body;
    assert_ne!(page["letters"], rest["letters"]);
    assert_eq!(rest["next"], Value::Null);
}

#[tokio::test]
async fn a_body_that_is_not_what_it_should_be_is_answered_in_words() {
    let shop = start(1).await;
    let (leader, http) = (&shop.leader, shop.sync.http());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |kind: &'static str, body: Vec<u8>| {
        let url = format!("http://{}/stores/S1/events", shop.sync.address);
        let request = client.post(url).header("content-type", kind).body(body);
        async move {
            let response = request.send().await.expect("an answer");
            let status = response.status().as_u16();
            (status, response.json::<Value>().await.expect("a problem"))
        }
    };
    let (status, problem) = post("application/json", b"{\"eventId\": \"e1\", ".to_vec()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("malformed")));
    let letter = problem["deadLetterId"].as_str().expect("it is kept").to_owned();
    let kept = http.get("/dlq").await.expect(200).body["letters"].clone();
    assert_eq!((&kept[0]["letterId"], &kept[0]["body"]), (&json!(letter), &json!("{\"eventId\": \"e1\", ")));
    let (status, problem) = post("text/plain", b"{}".to_vec()).await;
    assert_eq!((status, &problem["code"]), (415, &json!("unsupported_media_type")));
    let (status, problem) = post("application/json", Vec::new()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("malformed")));
    let (status, problem) = post("application/json", vec![b' '; (8 << 20) + 1]).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    let many: Vec<Value> = (0..10_001).map(Value::from).collect();
    let (status, problem) = post("application/json", Value::from(many).to_string().into_bytes()).await;
    assert_eq!((status, &problem["code"]), (413, &json!("too_large")));
    http.post("/stores/%2F/events", json!([])).await.expect_problem(400, "malformed");
    assert_eq!(http.get("/dlq").await.expect(200).body["letters"].as_array().unwrap().len(), 1);
    assert_eq!(on_hand(leader).await, 100);
}

#[tokio::test]
async fn events_that_are_cut_off_and_sent_again_over_a_leader_change_count_once() {
    let mut shop = start(3).await;
    let path = "/stores/S1/events";
    let all: Vec<Value> = (0..60).map(|n| shop.event(&format!("e{n}"), "SALE", &json!({"qty": 1}))).collect();
    // Half of a body: nothing may come of it.
    let body = Value::from(all.clone()).to_string();
    let mut half = TcpStream::connect(&shop.sync.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..body.len() / 2]
    );
    half.write_all(head.as_bytes()).await.unwrap();
    drop(half);
    let leader = shop.cluster.leader().await;
    let address = shop.sync.address.clone();
    // Each sender sends everything again and again until all of it has been applied.
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (http, all) = (Http::new(&address), all.clone());
            tokio::spawn(async move {
                for part in all.chunks(10) {
                    eventually("a part is applied", || async {
                        let answer = http.post(path, Value::from(part.to_vec())).await;
                        let is_done = |status: &String| status == "APPLIED" || status == "REPEATED";
                        (answer.status == 200 && statuses(&answer.body).iter().all(is_done)).then_some(())
                    })
                    .await;
                }
            })
        })
        .collect();
    shop.cluster.nodes[leader].kill().await;
    shop.sync.kill().await;
    shop.sync.run();
    for sender in senders {
        sender.await.unwrap();
    }
    shop.cluster.start_node(leader);
    let leader = shop.cluster.leader_http().await;
    assert_eq!(on_hand(&leader).await, 40);
    shop.cluster.audit().await;
}
