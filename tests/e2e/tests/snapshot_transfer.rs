//! A member that is sent a snapshot, or the one that sends it, is killed before it is whole: it is begun again, and nothing
//! is left of what had come.

use std::time::Duration;

use holdfast_e2e::{Cluster, Http, PATIENCE, eventually};
use serde_json::json;

/// Rows of a snapshot of several parts.
const ROWS: u64 = 40_000;
const BATCH: u64 = 2000;

/// So often it is tried to be quicker than a transfer: one is enough.
const TRIES: u64 = 10;

/// What dies.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Dies {
    Receiver,
    Sender,
}

/// A cluster that is asked for more than once.
struct Shop {
    cluster: Cluster,
    rows: u64,
}

impl Shop {
    async fn open() -> Self {
        let mut shop = Self { cluster: Cluster::start(3).await, rows: 0 };
        for _ in 0..ROWS / BATCH {
            shop.write(BATCH).await;
        }
        shop
    }

    /// Makes so many rows.
    async fn write(&mut self, count: u64) {
        let rows: Vec<_> = (self.rows..self.rows + count)
            .map(|row| json!({"op": "createSku", "storeId": "S1", "itemId": format!("{row:0>64}"), "available": row}))
            .collect();
        let leader = self.cluster.leader().await;
        let body = json!({"commands": rows});
        self.cluster.write(leader, "/batch", &format!("batch-{}", self.rows), &body).await.expect(200);
        self.rows += count;
    }

    /// Kills a follower; the others go on until they cannot send it what it lacks but by a snapshot.
    async fn leave_one_behind(&mut self) -> usize {
        let down = self.cluster.follower().await;
        let last = number(&self.cluster.http(down), "lastLogIndex").await;
        self.cluster.nodes[down].kill().await;
        let others: Vec<Http> =
            (0..3).filter(|&index| index != down).map(|index| self.cluster.http(index)).collect();
        for _ in 0..2 {
            self.write(1).await;
            self.cluster.equal_digests().await;
            for other in &others {
                other.post("/cluster/snapshot", json!({})).await.expect(200);
            }
        }
        for other in &others {
            eventually("what it lacks is cut from the logs", || async {
                (number(other, "purgedIndex").await > last).then_some(())
            })
            .await;
        }
        down
    }

    /// Files of a member that are being received.
    fn received(&self, index: usize) -> usize {
        let files = std::fs::read_dir(&self.cluster.nodes[index].dir).into_iter().flatten().flatten();
        files.filter(|file| file.file_name().to_string_lossy().contains("-received-")).count()
    }

    /// A member that is behind comes back and somebody dies while it is sent a snapshot. Whether that was in time.
    async fn cut_off(&mut self, dies: Dies) -> bool {
        let down = self.leave_one_behind().await;
        let sender = self.cluster.leader().await;
        self.cluster.start_node(down);
        let coming = async {
            while self.received(down) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, coming).await.expect("a snapshot comes");
        let victim = if dies == Dies::Receiver { down } else { sender };
        self.cluster.nodes[victim].kill().await;
        let is_cut = self.received(down) > 0;
        if dies == Dies::Sender {
            // The two that are left go on before it is back.
            self.write(1).await;
            self.cluster.equal_digests().await;
        }
        self.cluster.start_node(victim);
        self.cluster.equal_digests().await;
        self.check(down).await;
        is_cut
    }

    /// The member has everything, by a snapshot, and nothing else.
    async fn check(&mut self, down: usize) {
        let leader = self.cluster.leader_http().await;
        let http = self.cluster.http(down);
        assert!(number(&http, "snapshotIndex").await >= number(&leader, "purgedIndex").await);
        assert_eq!(self.received(down), 0, "nothing is left of what was cut off");
        let path = format!("/movements?after={}&limit=1", self.rows - 1);
        eventually("its ledger is whole", || async {
            let first = http.get("/movements?after=0&limit=1").await;
            let last = http.get(&path).await;
            (first.body["movements"][0]["seq"] == 1 && last.body["movements"][0]["seq"] == self.rows)
                .then_some(())
        })
        .await;
    }
}

async fn number(http: &Http, name: &str) -> u64 {
    http.get("/cluster").await.expect(200).body[name].as_u64().expect("a number")
}

async fn is_begun_again(dies: Dies) {
    let mut shop = Shop::open().await;
    let mut is_cut = false;
    for _ in 0..TRIES {
        is_cut = shop.cut_off(dies).await;
        if is_cut {
            break;
        }
    }
    assert!(is_cut, "the transfer was always over before the {dies:?} was dead");
    shop.cluster.audit().await;
}

#[tokio::test]
async fn a_snapshot_whose_receiver_dies_is_sent_again() {
    is_begun_again(Dies::Receiver).await;
}

#[tokio::test]
async fn a_snapshot_whose_sender_dies_is_sent_by_the_next_leader() {
    is_begun_again(Dies::Sender).await;
}
