//! A directory belongs to one member of one cluster, whoever asks at once and wherever it is cut short.

use std::sync::Barrier;

use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::identity::Identity;
use holdfast_replica::types::ClusterId;
use tempfile::TempDir;

use super::{CRASHES, MemoryDisk, partial};

/// Founds two clusters at the same moment; how that went.
fn found_both<'a>(
    [one, other]: [&'a Identity<FileDisk>; 2],
    clusters: [ClusterId; 2],
) -> [std::io::Result<()>; 2] {
    let barrier = Barrier::new(2);
    let found = |identity: &'a Identity<FileDisk>, cluster| {
        barrier.wait();
        identity.found(cluster)
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| found(one, clusters[0]));
        let second = found(other, clusters[1]);
        [first.join().unwrap(), second]
    })
}

#[test]
fn of_two_clusters_that_are_founded_at_once_one_is_refused() {
    for round in 0..200 {
        let dir = TempDir::new().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let first = Identity::open_or_create(disk.clone(), 1, 7).unwrap();
        let second = Identity::open(disk.clone(), 1).unwrap();
        // By two tasks of a process, and by two who know nothing of each other.
        let identities = if round % 2 == 0 { [&first, &first] } else { [&first, &second] };
        let clusters = [ClusterId(1), ClusterId(2)];
        let founded = found_both(identities, clusters);
        let winners: Vec<ClusterId> = clusters
            .into_iter()
            .zip(&founded)
            .filter(|(_, result)| result.is_ok())
            .map(|(id, _)| id)
            .collect();
        assert_eq!(winners.len(), 1, "round {round}: {founded:?}");
        let left = Identity::open(disk.clone(), 1).unwrap();
        assert_eq!((left.cluster(), left.incarnation()), (Some(winners[0]), 7));
        assert_eq!(partial(&disk), [""; 0]);
    }
}

#[test]
fn the_same_cluster_may_be_founded_twice_at_once() {
    for _ in 0..100 {
        let dir = TempDir::new().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        let identity = Identity::open_or_create(disk, 1, 7).unwrap();
        let founded = found_both([&identity; 2], [ClusterId(5); 2]);
        assert!(founded.iter().all(Result::is_ok), "{founded:?}");
    }
}

#[test]
fn what_another_one_wrote_meanwhile_counts() {
    let disk = MemoryDisk::default();
    let first = Identity::open_or_create(disk.clone(), 1, 7).unwrap();
    let second = Identity::open(disk.clone(), 1).unwrap();
    first.found(ClusterId(1)).unwrap();
    let error = second.found(ClusterId(2)).unwrap_err().to_string();
    assert!(error.contains("belongs to cluster"), "{error}");
    second.found(ClusterId(1)).unwrap();
    assert_eq!(second.cluster(), Some(ClusterId(1)));
}

#[test]
fn what_could_not_be_written_can_be_tried_again() {
    let disk = MemoryDisk::default();
    let identity = Identity::open_or_create(disk.clone(), 1, 7).unwrap();
    disk.limit_room(Some(3));
    assert_eq!(identity.found(ClusterId(1)).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!((identity.cluster(), partial(&disk).len()), (None, 0));
    disk.limit_room(None);
    identity.found(ClusterId(1)).unwrap();
}

#[test]
fn a_crash_at_any_step_leaves_the_old_one_or_the_new_one() {
    for crash in CRASHES {
        let mut deaths = 0;
        loop {
            let disk = MemoryDisk::default();
            let identity = Identity::open_or_create(disk.clone(), 1, 7).unwrap();
            disk.die_after(deaths);
            let founded = identity.found(ClusterId(5)).is_ok();
            disk.crash(crash);
            let left = Identity::open_or_create(disk.clone(), 1, 8).unwrap();
            assert_eq!(left.incarnation(), 7, "after {deaths} steps, {crash:?}");
            assert!(left.cluster() == Some(ClusterId(5)) || (left.cluster().is_none() && !founded));
            assert_eq!(partial(&disk), [""; 0]);
            left.found(ClusterId(5)).unwrap();
            if founded {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 4, "{deaths}");
    }
}

#[test]
fn a_crash_while_it_is_made_leaves_it_or_an_empty_directory() {
    for crash in CRASHES {
        let mut deaths = 0;
        loop {
            let disk = MemoryDisk::default();
            disk.die_after(deaths);
            let made = Identity::open_or_create(disk.clone(), 1, 7).is_ok();
            disk.crash(crash);
            let left = Identity::open_or_create(disk.clone(), 1, 8).unwrap();
            assert!(left.incarnation() == 7 || (left.incarnation() == 8 && !made));
            assert_eq!(partial(&disk), [""; 0]);
            if made {
                break;
            }
            deaths += 1;
        }
        assert!(deaths > 4, "{deaths}");
    }
}
