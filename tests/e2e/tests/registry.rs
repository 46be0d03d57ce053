//! Subscriptions and dead letters by black box: kept by the cluster, through restarts, for whoever serves the stores.

use holdfast_e2e::Cluster;
use reqwest::Method;
use serde_json::{Value, json};

fn secret(of: &str) -> String {
    format!("whsec_{}", of.repeat(32))
}

fn id(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::now_v7())
}

/// What the files of a directory say.
fn written_by(dir: &std::path::Path) -> String {
    let files = std::fs::read_dir(dir).expect("the directory of logs");
    let texts = files.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a text"));
    texts.collect()
}

async fn restart(cluster: &mut Cluster) {
    let http = cluster.leader_http().await;
    http.post("/cluster/snapshot", json!({})).await.expect(200);
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    for index in 0..3 {
        cluster.start_node(index);
    }
    cluster.leader().await;
}

#[tokio::test]
async fn subscriptions_are_kept_with_secrets_that_only_those_see_who_ask() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    let (first, second) = (id("W"), id("W"));
    let body = |id: &str, store: &str, secret: String| json!({"subscriptionId": id, "storeId": store, "url": "https://shop.example/hook", "secret": secret});
    let made = http.post("/subscriptions", body(&first, "S1", secret("A"))).await.expect(201);
    assert_eq!(made.body, json!({"subscriptionId": first}));
    http.post("/subscriptions", body(&second, "S2", secret("A"))).await.expect(201);
    let again = http.post("/subscriptions", body(&first, "S1", secret("A"))).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    http.post("/subscriptions", body(&first, "S2", secret("A")))
        .await
        .expect_problem(409, "subscription_exists");
    // Another secret: both are good from now on.
    http.post("/subscriptions", body(&first, "S1", secret("B"))).await.expect(201);
    let wrong = http.post("/subscriptions", body(&id("W"), "S1", "whsec_short".to_owned())).await;
    let wrong = wrong.expect_problem(400, "malformed");
    assert!(!wrong.body["detail"].as_str().unwrap().contains("short"), "{wrong:?}");

    restart(&mut cluster).await;
    let http = cluster.follower_http().await;
    let plain = http.get("/subscriptions?storeId=S1").await.expect(200).body;
    assert_eq!(plain["subscriptions"][0]["subscriptionId"], json!(first));
    assert_eq!(plain["subscriptions"][0].get("secrets"), None);
    let page = http.get("/subscriptions?limit=1&secrets=1").await.expect(200).body;
    assert_eq!(page["subscriptions"][0]["secrets"], json!([secret("B"), secret("A")]));
    let rest = http.get(&format!("/subscriptions?after={}", page["next"])).await.expect(200).body;
    assert_eq!((&rest["subscriptions"][0]["subscriptionId"], &rest["next"]), (&json!(second), &Value::Null));
    for node in &cluster.nodes {
        let log = written_by(&node.dir.join("log"));
        assert!(!log.is_empty() && !log.contains(&"A".repeat(32)), "no secret is written to a log: {log}");
    }
    http.get("/subscriptions?secrets=yes").await.expect_problem(400, "malformed");

    let path = format!("/subscriptions/{first}");
    assert_eq!(http.get(&path).await.expect(200).body.get("secrets"), None);
    http.send(Method::DELETE, &path, &[("Idempotency-Key", "k")], None).await.expect(200);
    http.send(Method::DELETE, &path, &[("Idempotency-Key", "k")], None).await.expect(200);
    http.send(Method::DELETE, &path, &[], None).await.expect_problem(404, "unknown_subscription");
    http.get(&path).await.expect_problem(404, "unknown_subscription");
    let limit = json!({"maxSubscriptions": 1});
    http.send(Method::PUT, "/config", &[], Some(limit)).await.expect(200);
    let full = http.post("/subscriptions", body(&id("W"), "S1", secret("A"))).await;
    assert_eq!(full.header("retry-after"), "1");
    full.expect_problem(503, "subscriptions_full");
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn dead_letters_are_kept_whole_until_they_are_removed() {
    let mut cluster = Cluster::start(3).await;
    let http = cluster.follower_http().await;
    let letter = |id: &str, store: &str, reason: &str, body: &str| json!({"deadLetterId": id, "storeId": store, "direction": "FROM_STORE", "reason": reason, "bodyBase64": body});
    let (first, second) = (id("D"), id("D"));
    http.post("/dead-letters", letter(&first, "S1", "not JSON", "AP8K")).await.expect(201);
    http.post("/dead-letters", letter(&second, "S2", "no such item", "")).await.expect(201);
    http.post("/dead-letters", letter(&first, "S1", "not JSON", "AP8K")).await.expect(200);
    http.post("/dead-letters", letter(&first, "S1", "not JSON", "AAAA"))
        .await
        .expect_problem(409, "dead_letter_exists");
    http.post("/dead-letters", letter(&id("D"), "S1", "r", "not base64"))
        .await
        .expect_problem(400, "malformed");
    http.post(&format!("/dead-letters/{first}/requeue"), json!({})).await.expect(200);

    restart(&mut cluster).await;
    let http = cluster.follower_http().await;
    let page = http.get("/dead-letters?storeId=S1").await.expect(200).body;
    let kept = &page["deadLetters"][0];
    assert_eq!((&kept["bodyBase64"], &kept["status"]), (&json!("AP8K"), &json!("REQUEUED")));
    // Tried in vain: it waits again, and says why.
    http.post("/dead-letters", letter(&first, "S1", "still not JSON", "AP8K")).await.expect(201);
    let kept = http.get(&format!("/dead-letters/{first}")).await.expect(200).body;
    assert_eq!((&kept["status"], &kept["reason"]), (&json!("DEAD"), &json!("still not JSON")));
    let page = http.get("/dead-letters?limit=1").await.expect(200).body;
    let rest = http.get(&format!("/dead-letters?after={}", page["next"])).await.expect(200).body;
    assert_eq!(rest["deadLetters"][0]["deadLetterId"], json!(second));

    let limits = json!({"maxDeadLetterBytes": 2, "maxDeadLetters": 2});
    http.send(Method::PUT, "/config", &[], Some(limits)).await.expect(200);
    http.post("/dead-letters", letter(&id("D"), "S1", "r", "AP8K"))
        .await
        .expect_problem(413, "dead_letter_too_large");
    http.post("/dead-letters", letter(&id("D"), "S1", "r", ""))
        .await
        .expect_problem(503, "dead_letters_full");
    http.send(Method::DELETE, &format!("/dead-letters/{first}"), &[], None).await.expect(200);
    http.post("/dead-letters", letter(&id("D"), "S1", "r", "")).await.expect(201);
    let path = format!("/dead-letters/{first}/requeue");
    http.post(&path, json!({})).await.expect_problem(404, "unknown_dead_letter");
    assert_eq!(http.get("/cluster").await.expect(200).body["deadLetters"], 2);
    cluster.equal_digests().await;
    cluster.audit().await;
}
