//! A change that a node passes on to the leader, over a network that fails half-way.

use holdfast_e2e::{Cluster, eventually};
use reqwest::Method;
use serde_json::json;
use tokio::io::copy;
use tokio::net::{TcpListener, TcpStream};

/// Where requests for `target` are taken and no answer ever comes back: the first is passed on and carried out, the
/// connection breaks then, and there are no others.
async fn swallow_answer(target: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_owned();
    tokio::spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        drop(listener);
        let (mut request, answer) = near.into_split();
        let (from_leader, mut to_leader) = TcpStream::connect(target).await.unwrap().into_split();
        tokio::select! {
            _ = copy(&mut request, &mut to_leader) => {}
            _ = from_leader.readable() => {}
        }
        // The leader has answered.
        drop((request, answer));
    });
    address
}

#[tokio::test]
async fn an_answer_that_got_lost_is_never_told_as_nothing_done() {
    let mut cluster = Cluster::prepare(3, &[]);
    let listing = cluster.listing();
    let mut via = Vec::new();
    for node in &cluster.nodes {
        via.push(format!("{}={}", node.http_address, swallow_answer(&node.http_address).await));
    }
    let via = via.join(",");
    for node in &mut cluster.nodes {
        node.start(&["--cluster", &listing, "--via", &via]);
    }
    let leader = cluster.leader().await;
    let new = json!({"storeId": "S1", "itemId": "A", "available": 5});
    cluster.http(leader).post("/admin/newSKU", new).await.expect(201);
    let asked = cluster.follower().await;
    let hold = "H-01981c50-0000-7000-8000-000000000001";
    let body = json!({"lines": [{"storeId": "S1", "itemId": "A", "qty": 1}], "holdId": hold});
    let follower = cluster.http(asked);
    let answer = tokio::spawn(async move { follower.send(Method::POST, "/holds", &[], Some(body)).await });
    let look = format!("/holds/{hold}?consistency=local");
    let http = cluster.http(leader);
    eventually("the leader has done it", || async { (http.get(&look).await.status == 200).then_some(()) })
        .await;
    // From here on the node that was asked finds nobody who could do it once more.
    let others: Vec<usize> = (0..3).filter(|&index| index != asked).collect();
    for &index in &others {
        cluster.nodes[index].kill().await;
    }
    answer.await.unwrap().expect_problem(503, "outcome_unknown");
    for &index in &others {
        cluster.start_node(index);
    }
    let http = cluster.leader_http().await;
    eventually("it was done", || async { (http.get(&look).await.status == 200).then_some(()) }).await;
}
