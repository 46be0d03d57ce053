//! Real files: what the log relies on, and error texts that name the file and what was done to it.

use std::io;
use std::path::Path;

use holdfast_replica::disk::{Disk, DiskFile, Lane, read_whole, replace};
use holdfast_replica::file_disk::FileDisk;
use tempfile::TempDir;

fn disk() -> (TempDir, FileDisk) {
    let dir = TempDir::new().unwrap();
    let disk = FileDisk::open(dir.path()).unwrap();
    (dir, disk)
}

#[test]
fn what_is_appended_is_read_back() {
    let (_dir, disk) = disk();
    let mut file = disk.create("a").unwrap();
    file.append(b"hello ").unwrap();
    file.append(b"world").unwrap();
    file.sync().unwrap();
    let mut again = disk.open("a").unwrap();
    again.append(b"!").unwrap();
    assert_eq!(file.size().unwrap(), 12);
    let mut buffer = [0; 20];
    assert_eq!(file.read_at(6, &mut buffer).unwrap(), 6);
    assert_eq!(&buffer[..6], b"world!");
    assert_eq!(file.read_at(100, &mut buffer).unwrap(), 0);
    assert_eq!(read_whole(&disk, "a").unwrap(), b"hello world!");
    drop(disk.create("a").unwrap());
    assert_eq!(read_whole(&disk, "a").unwrap(), b"");
}

#[test]
fn names_are_listed_in_order_and_only_files_are() {
    let (dir, disk) = disk();
    for name in ["b", "a", "c"] {
        drop(disk.create(name).unwrap());
    }
    std::fs::create_dir(dir.path().join("log-00000000000000000001")).unwrap();
    assert_eq!(disk.list().unwrap(), ["a", "b", "c"]);
    disk.rename("c", "a").unwrap();
    disk.remove("b").unwrap();
    disk.sync_dir().unwrap();
    assert_eq!(disk.list().unwrap(), ["a"]);
    replace(&disk, "a", b"new").unwrap();
    assert_eq!(read_whole(&disk, "a").unwrap(), b"new");
    assert_eq!(disk.list().unwrap(), ["a"]);
}

#[test]
fn an_error_names_the_file_and_what_was_done_to_it() {
    let (dir, disk) = disk();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let cases: [(io::Result<()>, &str); 3] = [
        (disk.open("absent").map(drop), "open"),
        (disk.remove("absent"), "remove"),
        (disk.rename("absent", "other"), "rename"),
    ];
    for (result, doing) in cases {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().starts_with(&format!("cannot {doing} {}", path("absent"))), "{error}");
    }
    let error = FileDisk::open(Path::new("/nonexistent/directory")).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/directory"), "{error}");
}

/// `/dev/full` is a disk on which nothing fits.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_from_other_errors() {
    let (dir, disk) = disk();
    std::os::unix::fs::symlink("/dev/full", dir.path().join("full")).unwrap();
    let error = disk.open("full").unwrap().append(b"anything").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let text = error.to_string();
    assert!(text.starts_with("cannot write ") && text.contains("No space left on device"), "{text}");
}

#[test]
fn a_lane_runs_its_jobs_in_order_and_to_the_end() {
    let (_dir, disk) = disk();
    let lane = disk.lane();
    let (sender, done) = std::sync::mpsc::channel();
    for job in 0..1000 {
        let sender = sender.clone();
        lane.push(Box::new(move || sender.send(job).unwrap()));
    }
    // Dropping it waits for them.
    drop(lane);
    assert_eq!(done.try_iter().collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_job_may_drop_its_own_lane() {
    let (_dir, disk) = disk();
    let lane = std::sync::Arc::new(disk.lane());
    let (sender, done) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let held = lane.clone();
    lane.push(Box::new(move || {
        wait.recv().unwrap();
        drop(held);
        sender.send(()).unwrap();
    }));
    drop(lane);
    go.send(()).unwrap();
    done.recv().unwrap();
}

#[tokio::test]
async fn work_off_the_executor_gives_its_result() {
    let (_dir, disk) = disk();
    let inside = disk.clone();
    let names = disk.run(move || inside.list()).await.unwrap();
    assert_eq!(names, [""; 0]);
}
