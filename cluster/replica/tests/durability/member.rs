//! A whole member, alone in its cluster, on a disk that goes after each single step of its life: identity, vote, append,
//! ledger, snapshot, purge. Started again, it has everything that it acknowledged, and its ledger tells the same.
//!
//! Time is the runtime's own and passes as fast as nothing is left to do, so that every run is the same.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_model::{Replay, Seq, UtcMillis};
use holdfast_replica::disk::Disk;
use holdfast_replica::ledger::SledPlace;
use holdfast_replica::log::Limits;
use holdfast_replica::{LedgerError, Member, Options, Parts, Replica, StartError, Timing};
use tempfile::TempDir;

use super::{CRASHES, Crash, InMemory, MemoryDisk, NoNetwork, create, partial};

/// Long enough for an election, and for what goes on in the background.
const PATIENCE: Duration = Duration::from_secs(5);

/// Long enough for the log to be cut, or for a gap of the ledger to be given up.
const HOUSEKEEPING: Duration = Duration::from_millis(700);

/// Rows that are made before each of the snapshots, and after the last.
const ROWS: [u64; 4] = [3, 2, 2, 2];

fn options() -> Options {
    let me = Member { id: 1, peer: "here:1".to_owned(), http: "here:2".to_owned() };
    Options {
        cluster: vec![me.clone()],
        me,
        dir: "/nonexistent".into(),
        join: Vec::new(),
        timing: Timing { heartbeat_ms: 50, election_min_ms: 200, election_max_ms: 400 },
        max_queue: 100,
        max_entry_commands: 10,
        // Snapshots are taken when the test asks for one.
        snapshot_min_log_bytes: u64::MAX,
    }
}

async fn start(disk: &MemoryDisk, ledger_dir: &Path) -> Result<Replica<InMemory>, StartError> {
    let last = AtomicU64::new(0);
    let parts = Parts {
        disk: disk.clone(),
        ledger: Arc::new(SledPlace::new(ledger_dir)),
        log_limits: Limits::default(),
        network: NoNetwork,
        wall: Arc::new(|| UtcMillis(0)),
        random: Arc::new(move || u128::from(last.fetch_add(1, Ordering::Relaxed)) + 7),
        witness: None,
    };
    Replica::start_on(options(), parts).await
}

/// One life of a member: everything of it is gone afterwards, as after a kill.
fn live<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(life)
}

/// Rows that were acknowledged, as long as the disk is there. Whether the end was reached.
async fn work(disk: &MemoryDisk, ledger_dir: &Path) -> (u64, bool) {
    let mut acknowledged = 0;
    let Ok(replica) = start(disk, ledger_dir).await else { return (0, false) };
    for (round, rows) in (1..).zip(ROWS) {
        for _ in 0..rows {
            match replica.submit(&[create(acknowledged + 1)], PATIENCE).await {
                Ok(submitted) => assert!(submitted.replies[0].result.is_ok()),
                Err(_) => return (acknowledged, false),
            }
            acknowledged += 1;
        }
        if round < ROWS.len() {
            if replica.snapshot(PATIENCE).await.is_err() {
                return (acknowledged, false);
            }
            tokio::time::sleep(HOUSEKEEPING).await;
        }
    }
    (acknowledged, disk.is_alive())
}

/// The whole ledger, replayed against the state.
fn audit(replica: &Replica<InMemory>) -> Result<(), LedgerError> {
    assert_eq!(replica.ledger_start(), Seq(1), "a part of the ledger was given up");
    let mut replay = Replay::default();
    for movement in replica.movements(Seq(0), usize::MAX)? {
        replay.apply(&movement).unwrap();
    }
    let audit = replica.read(|inventory| inventory.freeze().audit_with(&replay));
    assert_eq!(audit.violations, []);
    assert_eq!(replay.last_seq(), replica.applied_seq());
    Ok(())
}

async fn check(disk: &MemoryDisk, ledger_dir: &Path, acknowledged: u64) {
    let replica = start(disk, ledger_dir).await.unwrap();
    replica.read_barrier(PATIENCE).await.unwrap();
    // What was under way may be there as well, but nothing else.
    let rows = replica.applied_seq().0;
    assert!((acknowledged..=acknowledged + 1).contains(&rows), "{rows} rows of {acknowledged}");
    tokio::time::sleep(HOUSEKEEPING).await;
    audit(&replica).unwrap();
    assert_eq!(partial(disk), [""; 0]);
    replica.submit(&[create(rows + 1)], PATIENCE).await.unwrap();
    replica.snapshot(PATIENCE).await.unwrap();
    audit(&replica).unwrap();
}

/// Copies the files of a database, as the disk would have them if everything after this were lost.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).into_iter().flatten() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a crash takes beside what was not synced.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Nothing,
    /// What the ledger had not flushed when the last snapshot was begun.
    OfLedger,
    /// The newest snapshot, which is damaged.
    OfSnapshot,
}

fn damage_newest_snapshot(disk: &MemoryDisk) {
    let names = disk.list().unwrap();
    if let Some(name) = names.iter().rfind(|name| name.starts_with("snapshot-") && !name.contains("partial"))
    {
        let mut bytes = disk.get(name);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.put(name, &bytes);
    }
}

/// A life that ends after `deaths` steps of the disk, and one after it. Whether the first reached its end.
fn die_after(deaths: u64, crash: Crash, loss: Loss) -> bool {
    let dir = TempDir::new().unwrap();
    let (ledger, flushed) = (dir.path().join("ledger"), dir.path().join("flushed"));
    let disk = MemoryDisk::default();
    std::fs::create_dir(&flushed).unwrap();
    let (from, to) = (ledger.clone(), flushed.clone());
    disk.before_create(move |name| {
        // The ledger must be durable by now: what is in it later may be lost.
        if name.starts_with("snapshot-") {
            copy(&from, &to);
        }
    });
    disk.die_after(deaths);
    let (acknowledged, is_done) = live(work(&disk, &ledger));
    disk.crash(crash);
    let ledger = if loss == Loss::OfLedger { flushed } else { ledger };
    if loss == Loss::OfSnapshot {
        damage_newest_snapshot(&disk);
    }
    live(check(&disk, &ledger, acknowledged));
    is_done
}

/// Every step of a life once, with the kinds of crash in turn.
fn die_everywhere(loss: Loss) {
    let mut deaths = 0;
    while !die_after(deaths, CRASHES[usize::try_from(deaths).unwrap() % CRASHES.len()], loss) {
        deaths += 1;
    }
    assert!(deaths > 60, "{deaths} steps are too few to be a life");
}

#[test]
fn a_crash_after_any_step_loses_nothing_that_was_acknowledged() {
    die_everywhere(Loss::Nothing);
}

#[test]
fn a_crash_after_any_step_that_takes_what_the_ledger_had_not_flushed_loses_nothing_either() {
    die_everywhere(Loss::OfLedger);
}

#[test]
fn after_a_crash_after_any_step_the_log_reaches_back_to_the_older_snapshot() {
    die_everywhere(Loss::OfSnapshot);
}
