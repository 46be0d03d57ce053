//! All members are killed and start again: none answers a read from before what was acknowledged.

use std::time::Duration;

use super::wired::{Exchange, Three, live, until};
use super::{CRASHES, MemoryDisk};

#[test]
fn no_read_is_answered_before_it_is_known_what_was_committed() {
    let disks: [MemoryDisk; 3] = Default::default();
    let rows = live(async {
        let mut three = Three::start(&disks, 0, Exchange::default()).await;
        for _ in 0..5 {
            three.write(1).await;
        }
        three.rows
    });
    disks.iter().for_each(|disk| disk.crash(CRASHES[3]));
    live(async {
        // Whoever led before can show that a majority follows it, but not that its last entries are committed.
        let exchange = Exchange { holds_entries_back: true, ..Exchange::default() };
        let three = Three::start(&disks, rows, exchange).await;
        for member in &three.members {
            let read = member.read_barrier(Duration::from_secs(5)).await;
            let seen = member.applied_seq().0;
            assert!(read.is_err() || seen == rows, "an up-to-date read saw {seen} rows of {rows}");
        }
        three.exchange().holds_entries_back = false;
        for member in &three.members {
            member.read_barrier(Duration::from_secs(5)).await.expect("somebody leads");
            until("it has everything", || member.applied_seq().0 == rows).await;
        }
    });
}
