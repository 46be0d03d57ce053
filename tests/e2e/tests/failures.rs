//! Nodes are killed, restarted, wiped and replaced; nothing acknowledged is lost, and nothing happens twice.

use holdfast_e2e::{Answer, Cluster, eventually};
use serde_json::{Value, json};

async fn create(cluster: &Cluster, index: usize, item: &str, available: u64) {
    let body = json!({"storeId": "S1", "itemId": item, "available": available});
    let answer = cluster.write(index, "/admin/newSKU", &format!("new-{item}"), &body).await;
    assert!(was_made(&answer), "{answer:?}");
}

fn hold_id() -> String {
    format!("H-{}", uuid::Uuid::now_v7())
}

/// It was made now, or by an attempt whose outcome was not known.
fn was_made(answer: &Answer) -> bool {
    answer.status == 201 || (answer.status == 200 && answer.header("idempotency-replayed") == "true")
}

async fn reserve(cluster: &Cluster, index: usize, item: &str, qty: u64) -> (String, Value) {
    let hold = hold_id();
    let path = format!("/inventory/S1/items/{item}/reserve");
    let answer = cluster.write(index, &path, &hold, &json!({"qty": qty, "holdId": hold})).await;
    assert!(was_made(&answer), "{answer:?}");
    (hold, answer.body)
}

async fn row(cluster: &Cluster, index: usize, item: &str) -> Value {
    let http = cluster.http(index);
    eventually("a row is read", || async {
        let answer = http.get(&format!("/inventory/S1/items/{item}")).await;
        (answer.status == 200).then_some(answer.body)
    })
    .await
}

#[tokio::test]
async fn each_single_node_is_killed_and_restarted() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 1000).await;
    for index in 0..3 {
        cluster.nodes[index].kill().await;
        let leader = cluster.leader().await;
        reserve(&cluster, leader, "A", 1).await;
        cluster.start_node(index);
        cluster.equal_digests().await;
        assert_eq!(row(&cluster, index, "A").await["reserved"], index as u64 + 1);
    }
    cluster.audit().await;
}

#[tokio::test]
async fn all_three_are_killed_and_restarted() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 10).await;
    let (hold, _) = reserve(&cluster, 0, "A", 4).await;
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    for index in 0..3 {
        cluster.start_node(index);
    }
    let leader = cluster.leader().await;
    let seen = row(&cluster, leader, "A").await;
    assert_eq!((&seen["available"], &seen["reserved"]), (&json!(6), &json!(4)));
    let confirmed = cluster.write(leader, &format!("/holds/{hold}/confirm"), "confirm", &json!({})).await;
    assert_eq!(confirmed.expect(200).body["status"], "CONFIRMED");
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn a_write_during_an_election_is_answered_by_the_new_leader() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 10).await;
    let leader = cluster.leader().await;
    let follower = cluster.follower().await;
    cluster.nodes[leader].kill().await;
    // Sent at once, while nobody leads: the follower keeps it until somebody does.
    let hold = hold_id();
    let answer =
        cluster.http(follower).post("/inventory/S1/items/A/reserve", json!({"qty": 2, "holdId": hold})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(row(&cluster, follower, "A").await["reserved"], 2);
}

#[tokio::test]
async fn one_key_has_one_effect_on_all_nodes_and_over_a_leader_change() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 100).await;
    let path = "/inventory/S1/items/A/adjust";
    let body = json!({"delta": -7, "reason": "broken"});
    let clients: Vec<_> = (0..3).map(|index| cluster.http(index)).collect();
    let (a, b, c) = tokio::join!(
        clients[0].post_with_key(path, "k", body.clone()),
        clients[1].post_with_key(path, "k", body.clone()),
        clients[2].post_with_key(path, "k", body.clone()),
    );
    let replayed =
        [&a, &b, &c].iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
    assert_eq!(replayed, 2, "{a:?} {b:?} {c:?}");
    let leader = cluster.leader().await;
    cluster.nodes[leader].kill().await;
    let new_leader = cluster.leader().await;
    let again = cluster.write(new_leader, path, "k", &body).await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body["available"], 93);
    assert_eq!(row(&cluster, new_leader, "A").await["available"], 93);
}

#[tokio::test]
async fn a_hold_expires_while_nobody_leads() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 5).await;
    let hold = hold_id();
    let body = json!({"qty": 5, "holdId": hold, "ttlSeconds": 2});
    cluster.write(0, "/inventory/S1/items/A/reserve", &hold, &body).await.expect(201);
    let survivor = cluster.follower().await;
    // It may be the one that the majority did without.
    cluster.equal_digests().await;
    let others: Vec<usize> = (0..3).filter(|&index| index != survivor).collect();
    // Stopped, not killed: steady clocks go on, and only those that run measure the cluster's time.
    for &index in &others {
        cluster.nodes[index].signal("STOP").await;
    }
    let local = format!("/holds/{hold}?consistency=local");
    let http = cluster.http(survivor);
    eventually("the deadline passes", || async {
        let seen = http.get(&local).await;
        (seen.body["expiresInMs"] == 0).then_some(())
    })
    .await;
    assert_eq!(http.get("/readyz").await.status, 503, "nobody leads");
    for &index in &others {
        cluster.nodes[index].signal("CONT").await;
    }
    let leader = cluster.leader().await;
    let confirm = cluster.write(leader, &format!("/holds/{hold}/confirm"), "late", &json!({})).await;
    confirm.expect_problem(409, "hold_expired");
    assert_eq!(row(&cluster, leader, "A").await["available"], 5);
}

#[tokio::test]
async fn follower_reads_are_never_older_than_an_earlier_answer() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 1000).await;
    let leader = cluster.leader().await;
    for round in 1..=50_u64 {
        reserve(&cluster, leader, "A", 1).await;
        for index in 0..3 {
            assert_eq!(row(&cluster, index, "A").await["reserved"], round, "node {}", index + 1);
        }
    }
}

#[tokio::test]
async fn two_wiped_nodes_do_not_found_a_second_cluster() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 5).await;
    cluster.equal_digests().await;
    let last_log_index = cluster.http(2).get("/cluster").await.expect(200).body["lastLogIndex"].clone();
    for index in 0..3 {
        cluster.nodes[index].kill().await;
    }
    for index in 0..2 {
        std::fs::remove_dir_all(&cluster.nodes[index].dir).unwrap();
        cluster.start_node(index);
    }
    // Alone they wait: the third may be alive.
    for index in 0..2 {
        let node = &cluster.nodes[index];
        eventually("a wiped node has heard of the other and misses the third alone", || async {
            let output = node.output();
            let waits = |line: &str| {
                line.contains("waiting for the peers") && line.contains("member 3 does not answer")
            };
            let other_answers = |line: &str| !line.contains("member 1") && !line.contains("member 2");
            output.lines().any(|line| waits(line) && other_answers(line)).then_some(())
        })
        .await;
    }
    let http = cluster.http(0);
    assert_eq!(http.get("/readyz").await.status, 503);
    // Once it is back they learn that their directories are not the ones that it knows, and stop.
    cluster.start_node(2);
    for index in 0..2 {
        assert_ne!(cluster.nodes[index].wait().await, 0);
        let output = cluster.nodes[index].output();
        assert!(output.contains("another data directory"), "{output}");
    }
    assert!(cluster.nodes[2].runs());
    assert_eq!(cluster.http(2).get("/readyz").await.status, 503);
    // It keeps its log, though alone it cannot know what of its end was committed.
    let status = cluster.http(2).get("/cluster").await.expect(200);
    assert_eq!(status.body["lastLogIndex"], last_log_index);
}

#[tokio::test]
async fn a_node_that_was_down_through_a_snapshot_catches_up() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 100_000).await;
    let down = cluster.follower().await;
    let last = cluster.http(down).get("/cluster").await.expect(200).body["lastLogIndex"].as_u64();
    cluster.nodes[down].kill().await;
    let leader = cluster.leader().await;
    let http = cluster.http(leader);
    // Two snapshots: the log is cut to the older one, so that entries alone no longer do.
    for _ in 0..3 {
        for _ in 0..20 {
            reserve(&cluster, leader, "A", 1).await;
        }
        http.post("/cluster/snapshot", json!({})).await.expect(200);
    }
    let cut = eventually("what it lacks is cut from the log", || async {
        let purged = http.get("/cluster").await.body["purgedIndex"].as_u64();
        purged.filter(|_| purged > last)
    })
    .await;
    cluster.start_node(down);
    cluster.equal_digests().await;
    let status = cluster.http(down).get("/cluster").await.expect(200).body;
    assert!(status["snapshotIndex"].as_u64() >= Some(cut), "it was sent no snapshot: {status}");
    assert_eq!(row(&cluster, down, "A").await["reserved"], 60);
    // Its ledger is whole as well, though it never saw those entries.
    let followed = cluster.http(down);
    eventually("the ledger is rebuilt", || async {
        let page = followed.get("/movements?after=0&limit=1000").await;
        (page.status == 200 && page.body["movements"].as_array().is_some_and(|rows| rows.len() == 61))
            .then_some(())
    })
    .await;
    cluster.audit().await;
}

#[tokio::test]
async fn a_ledger_that_one_member_lost_is_fetched_from_the_others() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 100).await;
    for _ in 0..20 {
        reserve(&cluster, 0, "A", 1).await;
    }
    cluster.equal_digests().await;
    let lost = cluster.follower().await;
    cluster.http(lost).post("/cluster/snapshot", json!({})).await.expect(200);
    cluster.nodes[lost].kill().await;
    std::fs::remove_dir_all(cluster.nodes[lost].dir.join("ledger")).unwrap();
    cluster.start_node(lost);
    let http = cluster.http(lost);
    eventually("the ledger is rebuilt", || async {
        let page = http.get("/movements?after=0&limit=1000").await;
        (page.status == 200 && page.body["movements"].as_array().is_some_and(|rows| rows.len() == 21))
            .then_some(())
    })
    .await;
    cluster.audit().await;
}

#[tokio::test]
async fn a_ledger_that_no_member_has_any_more_starts_anew_and_the_store_goes_on() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 100).await;
    for _ in 0..20 {
        reserve(&cluster, 0, "A", 1).await;
    }
    cluster.equal_digests().await;
    for index in 0..3 {
        cluster.http(index).post("/cluster/snapshot", json!({})).await.expect(200);
    }
    for index in 0..3 {
        cluster.nodes[index].kill().await;
        std::fs::remove_dir_all(cluster.nodes[index].dir.join("ledger")).unwrap();
    }
    // While one is away it may have what the others miss, and nothing is given up.
    for index in 0..2 {
        cluster.start_node(index);
    }
    let leader = cluster.leader().await;
    reserve(&cluster, leader, "A", 1).await;
    let http = cluster.http(leader);
    let node = &cluster.nodes[leader];
    eventually("it is said what is missing and who may have it", || async {
        let output = node.output();
        let says =
            |line: &str| line.contains("movements are missing in the ledger") && line.contains("member 3");
        output.lines().any(says).then_some(())
    })
    .await;
    http.get("/movements?after=0").await.expect_problem(503, "ledger_rebuilding");
    // Snapshots go on meanwhile.
    http.post("/cluster/snapshot", json!({})).await.expect(200);

    cluster.start_node(2);
    for index in 0..3 {
        let http = cluster.http(index);
        let compacted = eventually("the rest is given up", || async {
            let answer = http.get("/movements?after=0").await;
            (answer.status == 410).then_some(answer)
        })
        .await;
        compacted.expect_problem(410, "cursor_compacted");
        let page = eventually("what came after is there", || async {
            let page = http.get("/movements?after=21").await;
            (page.status == 200).then_some(page.body)
        })
        .await;
        assert_eq!(page["movements"][0]["seq"], 22, "{page}");
        let node = &cluster.nodes[index];
        let told = || node.output().matches("are lost: no member has them").count();
        // The loss is answered for before it is written down.
        eventually("the loss is told", || async { (told() > 0).then_some(()) }).await;
        assert_eq!(told(), 1, "{}", node.output());
    }
    reserve(&cluster, 0, "A", 1).await;
    cluster.equal_digests().await;
    cluster.audit().await;
}

#[tokio::test]
async fn a_fourth_joins_and_the_old_leader_is_removed() {
    let mut cluster = Cluster::start(3).await;
    create(&cluster, 0, "A", 10).await;
    let old = cluster.leader().await;
    let fourth = cluster.add_node(4);
    let follower = cluster.follower().await;
    let contact = cluster.nodes[follower].peer_address.clone();
    cluster.nodes[fourth].start(&["--join", &contact]);
    let http = cluster.http(old);
    eventually("the fourth has a vote", || async {
        let status = http.get("/cluster").await;
        let members = status.body["members"].as_array()?.clone();
        members.iter().any(|member| member["id"] == 4 && member["voter"] == true).then_some(())
    })
    .await;
    let path = format!("/cluster/members/{}", cluster.nodes[old].id);
    let any = cluster.http(fourth);
    eventually("the old leader is removed", || async {
        let answer = any.send(reqwest::Method::DELETE, &path, &[], None).await;
        matches!(answer.status, 200 | 204 | 404 | 422).then_some(())
    })
    .await;
    cluster.nodes[old].kill().await;
    let leader = cluster.leader().await;
    assert_ne!(leader, old);
    reserve(&cluster, leader, "A", 3).await;
    let status = cluster.http(leader).get("/cluster").await.expect(200);
    let ids: Vec<u64> = status.body["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|member| member["id"].as_u64())
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    assert!(ids.contains(&4) && !ids.contains(&cluster.nodes[old].id), "{ids:?}");
    cluster.equal_digests().await;
}
