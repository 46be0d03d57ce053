//! A node is killed while it writes its log, its ledger and snapshots, again and again.

use std::sync::atomic::{AtomicU64, Ordering};

use holdfast_e2e::{Cluster, Http, eventually};
use serde_json::{Value, json};

/// Rows in a batch: about a dozen of them and the log has outgrown the last snapshot.
const BATCH: u64 = 500;

/// After how many more batches each kill comes; the node starts several snapshots in between.
const KILLS: [u64; 5] = [20, 7, 26, 11, 33];

fn batch(number: u64) -> Value {
    let rows = (number * BATCH..(number + 1) * BATCH).map(
        |row| json!({"op": "createSku", "storeId": "S1", "itemId": format!("{row:0>64}"), "available": row}),
    );
    json!({"commands": rows.collect::<Vec<_>>()})
}

/// Writes batches until one is not answered; counts those that were.
async fn write(http: &Http, acknowledged: &AtomicU64) {
    loop {
        let number = acknowledged.load(Ordering::SeqCst);
        let answer = http.post_with_key("/batch", &format!("batch-{number}"), batch(number)).await;
        if answer.status != 200 {
            return;
        }
        acknowledged.store(number + 1, Ordering::SeqCst);
    }
}

/// The files of the node that were not finished.
fn unfinished(cluster: &Cluster) -> Vec<String> {
    let files = std::fs::read_dir(&cluster.nodes[0].dir).unwrap().map(|file| file.unwrap().file_name());
    let names = files.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".partial")).collect()
}

#[tokio::test]
async fn a_node_that_is_killed_while_it_takes_snapshots_has_everything_that_it_acknowledged() {
    let mut cluster = Cluster::start_with(1, &["--snapshot-min-log-mib", "1"]).await;
    let http = cluster.http(0);
    let acknowledged = AtomicU64::new(0);
    for more in KILLS {
        let enough = acknowledged.load(Ordering::SeqCst) + more;
        let kill = async {
            eventually("enough is written", || async {
                (acknowledged.load(Ordering::SeqCst) >= enough).then_some(())
            })
            .await;
            cluster.nodes[0].kill().await;
        };
        tokio::join!(write(&http, &acknowledged), kill);
        cluster.start_node(0);
        cluster.leader().await;
        let rows = acknowledged.load(Ordering::SeqCst) * BATCH;
        let page = http.get(&format!("/movements?after={}&limit=1", rows - 1)).await.expect(200);
        assert_eq!(page.body["movements"][0]["seq"], rows);
        cluster.audit().await;
        // One may just be written.
        eventually("nothing unfinished is left", || async { unfinished(&cluster).is_empty().then_some(()) })
            .await;
    }
    let status = http.get("/cluster").await.expect(200).body;
    assert!(status["snapshotIndex"].as_u64() > Some(0), "{status}");
}
