//! A disk that is really full: the node says so, stops, and has everything that it acknowledged once there is room.

use holdfast_e2e::{Cluster, PATIENCE, SmallDisk, eventually};
use serde_json::{Value, json};

/// Rows in a batch, and the bytes of an item's name: a batch is small enough for many to fit.
const BATCH: u64 = 100;
const NAME_BYTES: usize = 64;

/// Much more than fits, so that a disk which is never full is noticed.
const MOST_BATCHES: u64 = 10_000;

fn batch(number: u64) -> Value {
    let rows = (number * BATCH..(number + 1) * BATCH).map(|row| {
        let item = format!("{row:0>NAME_BYTES$}");
        json!({"op": "createSku", "storeId": "S1", "itemId": item, "available": row})
    });
    json!({"commands": rows.collect::<Vec<_>>()})
}

/// Writes until that is not answered any more; returns how many rows were acknowledged.
async fn fill(cluster: &Cluster) -> u64 {
    let http = cluster.http(0);
    for number in 0..MOST_BATCHES {
        let answer = http.post_with_key("/batch", &format!("batch-{number}"), batch(number)).await;
        if answer.status != 200 {
            return number * BATCH;
        }
        let outcomes = answer.body["outcomes"].as_array().unwrap();
        let is_made = |outcome: &&Value| outcome["status"] == 201 || outcome["replayed"] == true;
        let failed = outcomes.iter().find(|outcome| !is_made(outcome));
        assert_eq!(failed, None, "of batch {number}");
    }
    panic!("the disk is never full");
}

/// What the node says when the disk is full: the same in its log and as its last word, and nothing else in between.
fn assert_one_clear_message(output: &str) {
    assert!(!output.contains("panicked"), "{output}");
    let complaints: Vec<&str> =
        output.lines().filter(|line| line.contains("No space left on device")).collect();
    let last = complaints.last().unwrap_or_else(|| panic!("it says nothing: {output}"));
    let said = last.trim_start_matches("holdfast-node: ").trim_start_matches("stopped: ");
    assert!(!said.contains("std::io"), "{said}");
    assert!(complaints.len() <= 2 && complaints.iter().all(|line| line.ends_with(said)), "{complaints:#?}");
}

/// Fills a disk of `mib` MiB with a node on it, and makes it larger again.
async fn fill_and_make_room(mib: u32) {
    let mut cluster = Cluster::prepare(1, &["--snapshot-min-log-mib", "1"]);
    let Some(disk) = SmallDisk::mount(&cluster.nodes[0].dir, mib).await else { return };
    cluster.nodes[0].run_on(&disk);
    cluster.start_node(0);
    cluster.leader().await;
    let acknowledged = fill(&cluster).await;
    assert!(acknowledged > 0);
    assert_eq!(cluster.nodes[0].wait().await, 1);
    let output = cluster.nodes[0].output();
    assert_one_clear_message(&output);

    // While there is no room it does not start, or not for long, and says why.
    cluster.start_node(0);
    let ends = async {
        while cluster.nodes[0].runs() {
            fill(&cluster).await;
        }
    };
    tokio::time::timeout(PATIENCE, ends).await.expect("it finds the disk full again");
    assert_ne!(cluster.nodes[0].wait().await, 0);
    assert_one_clear_message(&cluster.nodes[0].output()[output.len()..]);

    disk.resize(256).await;
    cluster.start_node(0);
    cluster.leader().await;
    let http = cluster.http(0);
    let last = eventually("the node reads its ledger", || async {
        let page = http.get(&format!("/movements?after={}&limit=1", acknowledged - 1)).await;
        (page.status == 200).then_some(page.body)
    })
    .await;
    assert_eq!(last["movements"][0]["seq"], acknowledged, "{last}");
    let audit = http.get("/audit").await.expect(200).body;
    assert_eq!(audit["violations"], json!([]));
    assert!(audit["movements"].as_u64() >= Some(acknowledged), "{audit}");
    // What was not acknowledged can be asked for again.
    let number = acknowledged / BATCH;
    http.post_with_key("/batch", &format!("batch-{number}"), batch(number)).await.expect(200);
}

/// The log, the ledger or a snapshot is the first to find it full, as the size has it.
#[tokio::test]
async fn a_node_on_a_full_disk_says_so_stops_and_has_lost_nothing() {
    for mib in [6, 10, 12, 14] {
        fill_and_make_room(mib).await;
    }
}
