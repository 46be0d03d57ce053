//! What goes to disk: an entry to the log, records to the ledger, a state to a snapshot and back. Files are in memory
//! where `/dev/shm` is there, and every job of the log is done by whoever asks for it, so that all of it is counted.

use std::future::Future;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use holdfast_replica::disk::{Disk, Job, Lane};
use holdfast_replica::file_disk::FileDisk;
use holdfast_replica::ledger::Ledger;
use holdfast_replica::log::{Limits, Log};
use holdfast_replica::network::{Channel, Network};
use holdfast_replica::snapshot::{SnapshotHead, Snapshots};
use holdfast_replica::types::{Host, LogIdRecord, MembershipRecord, Proposal, Types, VoteRecord};
use holdfast_sdk::model::{Entry, Inventory, Record, codec};
use openraft::EntryPayload;
use openraft::alias::EntryOf;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft_rt_tokio::TokioRuntime;
use tempfile::TempDir;

use super::apply::{ROWS, entry, reserve, stocked};
use super::codec::reservations;
use super::{COMMANDS, Named, Part, Work};

pub fn parts() -> Vec<Named> {
    vec![
        Named { name: "append an entry to the log", commands: COMMANDS, make: || Box::new(LogAppend::new()) },
        Named {
            name: "append a block to the ledger",
            commands: COMMANDS,
            make: || Box::new(LedgerAppend::new()),
        },
        Named { name: "write a snapshot", commands: ROWS, make: || Box::new(write_snapshot()) },
        Named { name: "load a snapshot", commands: ROWS, make: || Box::new(load_snapshot()) },
    ]
}

fn directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    made.expect("room for a directory")
}

/// Files whose lane does a job at once.
#[derive(Debug, Clone)]
struct AtOnce(FileDisk);

struct Here;

impl Lane for Here {
    fn push(&self, job: Job) {
        job();
    }
}

impl Disk for AtOnce {
    type File = <FileDisk as Disk>::File;
    type Lane = Here;

    fn create(&self, name: &str) -> io::Result<Self::File> {
        self.0.create(name)
    }

    fn create_new(&self, name: &str) -> io::Result<Self::File> {
        self.0.create_new(name)
    }

    fn open(&self, name: &str) -> io::Result<Self::File> {
        self.0.open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.0.sync_dir()
    }

    fn lane(&self) -> Here {
        Here
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }
}

/// A log calls nobody.
#[derive(Clone)]
struct NoNetwork;

impl Network for NoNetwork {
    async fn call(&self, address: &str, _: Channel, _: Bytes, _: Duration) -> io::Result<Bytes> {
        Err(io::Error::new(io::ErrorKind::Unsupported, format!("{address} cannot be called")))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Alone;

impl Host for Alone {
    type Runtime = TokioRuntime;
    type Disk = AtOnce;
    type Network = NoNetwork;
}

/// One entry after another, each written and synced.
struct LogAppend {
    log: Log<Alone>,
    bytes: Bytes,
    next: u64,
    entry: Option<EntryOf<Types<Alone>>>,
    _dir: TempDir,
}

/// Nothing here waits for anything but the caller.
fn done<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().expect("the lane does every job at once")
}

impl LogAppend {
    fn new() -> Self {
        let dir = directory();
        let disk = AtOnce(FileDisk::open(dir.path()).expect("a directory"));
        let mut log = Log::open_with(disk, Limits::default()).expect("an empty log");
        let vote = VoteRecord { term: 1, node: 1, committed: true }.vote::<Alone>();
        done(log.save_vote(&vote)).expect("a vote is saved");
        let bytes = codec::encode(&reservations()).into();
        Self { log, bytes, next: 1, entry: None, _dir: dir }
    }
}

impl Part for LogAppend {
    fn ready(&mut self) {
        let id = LogIdRecord { term: 1, index: self.next }.log_id::<Alone>();
        self.next += 1;
        let proposal = Proposal { bytes: self.bytes.clone(), entry: None };
        self.entry = Some(RaftEntry::new(id, EntryPayload::Normal(proposal)));
    }

    fn run(&mut self) {
        let (sender, receiver) = Types::<Alone>::oneshot();
        done(self.log.append(self.entry.take(), IOFlushed::signal(sender))).expect("it is taken");
        done(receiver).expect("it is told").expect("it is durable");
    }
}

/// The records of one entry after another.
struct LedgerAppend {
    inventory: Inventory,
    ledger: Ledger,
    next: u64,
    records: Vec<Record>,
    _dir: TempDir,
}

impl LedgerAppend {
    fn new() -> Self {
        let dir = directory();
        let (ledger, _) = Ledger::open(dir.path()).expect("an empty ledger");
        let mut inventory = Inventory::new();
        let mut records = Vec::new();
        for applied in super::apply::stocking().map(|entry| inventory.apply(&entry)) {
            records.extend(applied.records);
        }
        ledger.append(&records).expect("room");
        Self { inventory, ledger, next: 0, records: Vec::new(), _dir: dir }
    }
}

impl Part for LedgerAppend {
    fn ready(&mut self) {
        let numbers = self.next..self.next + COMMANDS;
        self.next = numbers.end;
        let entry: Entry = entry(self.inventory.now().0 + 1, numbers.map(reserve));
        self.records = self.inventory.apply(&entry).records;
    }

    fn run(&mut self) {
        self.ledger.append(black_box(&self.records)).expect("room");
    }
}

/// A state, and where its snapshots go.
struct Kept {
    snapshots: Snapshots<FileDisk>,
    inventory: Inventory,
    head: SnapshotHead,
    dir: TempDir,
}

impl Kept {
    fn new() -> Self {
        let dir = directory();
        let disk = FileDisk::open(dir.path()).expect("a directory");
        let inventory = stocked();
        let head = SnapshotHead {
            last: Some(LogIdRecord { term: 1, index: 1 }),
            membership: MembershipRecord::default(),
            seq: inventory.last_seq(),
            digest: inventory.digest(),
        };
        Self { snapshots: Snapshots::open(disk).expect("an empty directory"), inventory, head, dir }
    }
}

fn write_snapshot() -> impl Part {
    let kept = Kept::new();
    Work(move || {
        let Kept { snapshots, inventory, head, dir } = &kept;
        let _stays = dir;
        black_box(snapshots.write(head.clone(), &inventory.freeze()).expect("room"));
    })
}

fn load_snapshot() -> impl Part {
    let kept = Kept::new();
    let file = kept.snapshots.write(kept.head.clone(), &kept.inventory.freeze()).expect("room");
    let (snapshots, dir) = (Arc::new(kept.snapshots), kept.dir);
    Work(move || {
        let _stays = &dir;
        black_box(snapshots.load(&file.name).expect("it is whole"));
    })
}
