//! A snapshot on its way from one real member to another is cut off at any part: it is begun again, the member catches up
//! by it, and nothing is left of what had come.

use std::time::Duration;

use holdfast_model::Seq;
use holdfast_replica::Replica;
use tokio::time::sleep;

use super::partial;
use super::wired::{Cut, Exchange, PATIENCE, TIMING, Three, Wired, live, member, until};

/// Rows of a state that travels in several parts.
const ROWS: u64 = 30_000;

/// Three members with many rows.
async fn filled() -> Three {
    let mut three = Three::start(&Default::default(), 0, Exchange::default()).await;
    three.write(ROWS).await;
    three
}

impl Three {
    /// A follower misses so much that the others have cut it from their logs.
    async fn leave_one_behind(&mut self) -> usize {
        let leader = self.leader().await;
        let behind = (leader + 1) % 3;
        self.exchange().away.insert(member(behind as u64 + 1).peer);
        let others: Vec<Replica<Wired>> =
            (0..3).filter(|&index| index != behind).map(|index| self.members[index].clone()).collect();
        for _ in 0..2 {
            self.write(1).await;
            for other in &others {
                until("the others have it", || other.applied_seq().0 == self.rows).await;
                other.snapshot(PATIENCE).await.unwrap();
            }
        }
        let last = self.members[behind].status().last_log_index;
        until("their logs are cut", || others.iter().all(|other| other.status().purged_index > last)).await;
        behind
    }

    /// Lets it come back, to be sent a snapshot of which the messages from `from` on are cut, so many times.
    fn come_back(&self, behind: usize, from: u64, cut: Cut, times: u64) {
        let mut exchange = self.exchange();
        exchange.large = 0;
        exchange.cut = Some((from.., cut, times));
        exchange.away.remove(&member(behind as u64 + 1).peer);
    }

    /// It has everything, by a snapshot, and nothing is left of what was cut off.
    async fn has_caught_up(&self, behind: usize) {
        let member = &self.members[behind];
        until("it has caught up", || member.applied_seq().0 == self.rows).await;
        let leader = &self.members[self.leader().await];
        assert!(member.status().snapshot_index >= leader.status().purged_index, "it was sent no snapshot");
        assert_eq!(member.status().digest, leader.status().digest);
        assert_eq!(partial(&self.disks[behind]), [""; 0]);
        until("its ledger is whole", || {
            member.movements(Seq(0), usize::MAX).is_ok_and(|records| records.len() as u64 == self.rows)
        })
        .await;
    }
}

/// How many parts the last snapshot has.
fn parts(three: &Three, of: usize) -> u64 {
    three.members[of].status().snapshot_size_bytes.div_ceil(1 << 20)
}

/// Each part of a snapshot is cut off once, and then the first one of the next attempt as well.
fn cut_off_everywhere(cut: Cut) {
    live(async {
        let mut three = filled().await;
        let mut at = 1;
        loop {
            let behind = three.leave_one_behind().await;
            let parts = parts(&three, three.leader().await);
            assert!(parts > 2, "{parts} parts");
            three.come_back(behind, at, cut, 2);
            three.has_caught_up(behind).await;
            // Once it has all, its answer does not matter any more.
            let is_enough = matches!(cut, Cut::Answer) && at == parts;
            let is_again = three.exchange().large >= at + parts;
            assert!(is_again || is_enough, "{cut:?} at {at} of {parts}: nothing was sent again");
            if at == parts {
                break;
            }
            at += 1;
        }
    });
}

#[test]
fn one_of_which_any_part_does_not_arrive_is_begun_again() {
    cut_off_everywhere(Cut::Request);
}

#[test]
fn one_of_which_any_answer_does_not_arrive_is_begun_again() {
    cut_off_everywhere(Cut::Answer);
}

#[test]
fn one_of_which_any_part_is_lost_in_silence_is_begun_again() {
    cut_off_everywhere(Cut::Silence);
}

#[test]
fn one_whose_sender_is_gone_comes_from_the_next_leader() {
    live(async {
        let mut three = filled().await;
        for at in 1..=3 {
            let behind = three.leave_one_behind().await;
            let sender = three.leader().await;
            three.come_back(behind, at, Cut::Sender, 1);
            until("the sender is cut off", || three.is_away(sender)).await;
            three.write(1).await;
            assert_ne!(three.leader().await, sender);
            three.has_caught_up(behind).await;
            three.exchange().away.clear();
            let sender = three.members[sender].clone();
            until("all have everything", || sender.applied_seq().0 == three.rows).await;
        }
    });
}

#[test]
fn one_that_stops_coming_is_given_up_and_takes_no_room() {
    live(async {
        let mut three = filled().await;
        let behind = three.leave_one_behind().await;
        three.come_back(behind, 2, Cut::Silence, u64::MAX);
        let disk = three.disks[behind].clone();
        until("a part has come", || !partial(&disk).is_empty()).await;
        sleep(TIMING.bulk_timeout()).await;
        assert_eq!(partial(&disk).len(), 1, "its sender may still wait for an answer");
        sleep(TIMING.part_patience() - TIMING.bulk_timeout() + Duration::from_secs(1)).await;
        assert_eq!(partial(&disk), [""; 0]);
        three.come_back(behind, 1, Cut::Silence, 0);
        three.has_caught_up(behind).await;
    });
}
