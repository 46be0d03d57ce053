//! A member's files are damaged while it is down: what was acknowledged is on all nodes, and the same on all.

use std::fs;
use std::path::Path;

use holdfast_e2e::{Cluster, eventually};
use serde_json::json;

/// So long that a leader which is started again at once comes back before anybody else stands for election.
const SLOW_ELECTIONS: [&str; 4] = ["--election-min-ms", "5000", "--election-max-ms", "6000"];

/// Turns a bit in the last record of the log.
fn damage_log_tail(dir: &Path) {
    let path = dir.join("log-00000000000000000001");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[last - 12] ^= 0x10;
    fs::write(&path, bytes).unwrap();
}

/// Turns a bit in the middle of the log.
fn damage_log_middle(dir: &Path) {
    let path = dir.join("log-00000000000000000001");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).unwrap();
}

async fn a_leader_comes_back_damaged(damage: fn(&Path)) {
    let mut cluster = Cluster::start_with(3, &SLOW_ELECTIONS).await;
    let leader = cluster.leader().await;
    for number in 0..20 {
        let body = json!({"storeId": "S1", "itemId": format!("I{number}"), "available": number});
        cluster.write(leader, "/admin/newSKU", &format!("before-{number}"), &body).await.expect(201);
    }
    cluster.equal_digests().await;
    cluster.nodes[leader].kill().await;
    damage(&cluster.nodes[leader].dir);
    cluster.start_node(leader);
    let node = &cluster.nodes[leader];
    eventually("the damage is told", || async { node.output().contains("the log is damaged").then_some(()) })
        .await;
    for number in 0..20 {
        let body = json!({"storeId": "S2", "itemId": format!("I{number}"), "available": number});
        cluster.write(leader, "/admin/newSKU", &format!("after-{number}"), &body).await.expect(201);
    }
    cluster.equal_digests().await;
    for index in 0..3 {
        let page = cluster.http(index).get("/movements?after=0&limit=100").await.expect(200);
        assert_eq!(page.body["movements"].as_array().unwrap().len(), 40, "node {}", index + 1);
    }
    cluster.audit().await;
}

/// It must not write other entries where its followers have those that it lost.
#[tokio::test]
async fn a_leader_that_lost_the_end_of_its_log_does_not_lead_on_in_its_term() {
    a_leader_comes_back_damaged(damage_log_tail).await;
}

#[tokio::test]
async fn a_leader_that_lost_half_of_its_log_does_not_lead_on_in_its_term() {
    a_leader_comes_back_damaged(damage_log_middle).await;
}
