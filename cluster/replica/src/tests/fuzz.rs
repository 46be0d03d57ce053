//! What peers send and what lies on disk, damaged or made up: refused, at a known cost.

use bytes::Bytes;
use holdfast_fuzz::{anything, cases, damaged, edits, peak_bytes, within};
use holdfast_model::{Seq, codec};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Serialize;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::inventory;
use crate::Member;
use crate::file_disk::FileDisk;
use crate::identity::Identity;
use crate::network::{Channel, Network};
use crate::snapshot::{SnapshotHead, Snapshots};
use crate::tcp::{self, Detours, TcpNetwork};
use crate::types::{ClusterId, LogIdRecord, MembershipRecord, PayloadRecord, Peer, VoteRecord};
use crate::wire::{
    Answer, Append, AppendAnswer, Ask, Blob, EntryRecord, Envelope, ProbeAnswer, Refused, VoteAsk,
};

/// Memory for each byte of a message.
const FACTOR: u64 = 32;

/// Loading a snapshot takes a window on the file, and a state of some rows, in bytes.
const SNAPSHOT_BYTES: u64 = 8 << 20;

const ID: Option<LogIdRecord> = Some(LogIdRecord { term: 7, index: 300 });

const VOTE: VoteRecord = VoteRecord { term: 7, node: 2, committed: true };

fn peer() -> Peer {
    let address = |port: u16| format!("127.0.0.1:{port}");
    Peer { member: Member { id: 2, peer: address(8187), http: address(8182) }, incarnation: 77 }
}

fn membership() -> MembershipRecord {
    let peers = (1..=3).map(|id| (id, peer())).collect();
    MembershipRecord { log_id: ID, voters: vec![[1, 2, 3].into(), [1, 2].into()], peers }
}

fn asks() -> Vec<Vec<u8>> {
    let blob = || Blob(Bytes::from_static(b"some bytes"));
    let entry = |payload| EntryRecord { log_id: ID.unwrap(), payload, bytes: blob() };
    let entries = vec![
        entry(PayloadRecord::Blank),
        entry(PayloadRecord::Normal),
        entry(PayloadRecord::Membership(membership())),
    ];
    let vote = || VoteAsk { vote: VOTE, last: ID, leadership_transfer: true };
    let asks = [
        Ask::Probe { founders: vec![peer().member; 3] },
        Ask::Join,
        Ask::Append(Append { vote: VOTE, prev: ID, entries, commit: ID }),
        Ask::PreVote(vote()),
        Ask::Vote(vote()),
        Ask::TransferLeader { from_leader: VOTE, last: ID },
        Ask::ReadIndex,
        Ask::SnapshotPart { name: "snapshot-1-1".to_owned(), offset: 7, bytes: blob(), install: Some(VOTE) },
        Ask::LedgerBlocks { after: Seq(1), upto: Seq(9) },
    ];
    let envelope =
        |ask| Envelope { cluster: Some(ClusterId(5)), from: peer(), to: 1, to_incarnation: 9, ask };
    asks.into_iter().map(|ask| codec::encode(&envelope(ask))).collect()
}

fn answers() -> Vec<Vec<u8>> {
    let probe = ProbeAnswer {
        me: peer(),
        cluster: Some(ClusterId(5)),
        membership: Some(membership()),
        founders: vec![peer().member],
    };
    let answers = [
        Answer::Probe(probe),
        Answer::NotLeader(Some(peer().member)),
        Answer::Append(AppendAnswer::Partial(ID)),
        Answer::Append(AppendAnswer::HigherVote(VOTE)),
        Answer::Vote { vote: VOTE, granted: true, last: ID },
        Answer::TransferRefused("no".to_owned()),
        Answer::ReadIndex(9),
        Answer::LedgerBlocks(vec![(Seq(1), Blob(Bytes::from_static(b"block"))); 3]),
        Answer::Refused(Refused::Invalid("no".to_owned())),
    ];
    answers.iter().map(codec::encode).collect()
}

fn read_as_message(bytes: &[u8]) {
    drop(within(FACTOR, bytes, codec::decode::<Envelope>));
    drop(within(FACTOR, bytes, codec::decode::<Answer>));
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn a_damaged_message_is_refused_or_read(whole in select([asks(), answers()].concat()), edits in edits()) {
        read_as_message(&damaged(&whole, &edits));
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in anything()) {
        read_as_message(&bytes);
        read_as_message(&[&[codec::FORMAT], &bytes[..]].concat());
    }
}

/// A message of which a list of tiny elements makes up nearly all: `count` is written over its length.
fn long_list(whole: &impl Serialize, length_at_end: usize, element: &[u8], count: u32) -> Vec<u8> {
    let mut bytes = codec::encode(whole);
    bytes.truncate(bytes.len() - length_at_end);
    bytes.push(252);
    bytes.extend_from_slice(&count.to_le_bytes());
    (0..count).for_each(|_| bytes.extend_from_slice(element));
    bytes
}

/// A few bytes can stand for a large element: no list is read further than one of that kind can be.
#[test]
fn lists_that_are_too_long_are_not_read_to_their_end() {
    let envelope = |ask| Envelope { cluster: None, from: peer(), to: 0, to_incarnation: 0, ask };
    let probe = envelope(Ask::Probe { founders: Vec::new() });
    let append = envelope(Ask::Append(Append { vote: VOTE, prev: None, entries: Vec::new(), commit: None }));
    let count = 1 << 20;
    for bytes in [
        long_list(&probe, 1, &[0, 0, 0], count),
        // The entries stand before what is committed.
        long_list(&append, 2, &[0, 0, 0, 0], count),
        long_list(&Answer::LedgerBlocks(Vec::new()), 1, &[0, 0], count),
    ] {
        let error = within(2, &bytes, |bytes| {
            let envelope = codec::decode::<Envelope>(bytes).map(drop);
            envelope.and(codec::decode::<Answer>(bytes).map(drop))
        });
        assert!(error.is_err());
        let is_too_long = |error: codec::CodecError| error.to_string().contains(codec::TOO_MANY);
        let errors = [codec::decode::<Envelope>(&bytes).err(), codec::decode::<Answer>(&bytes).err()];
        assert!(errors.into_iter().flatten().any(is_too_long));
    }
    let record = MembershipRecord::default();
    for bytes in [long_list(&record, 1, &[0, 0, 0, 0, 0], count), long_list(&record, 2, &[0], count)] {
        let error = within(2, &bytes, codec::decode::<MembershipRecord>).unwrap_err().to_string();
        assert!(error.contains(codec::TOO_MANY), "{error}");
    }
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn a_damaged_identity_is_refused(edits in edits(), bytes in anything()) {
        let dir = TempDir::new().unwrap();
        let disk = FileDisk::open(dir.path()).unwrap();
        Identity::open_or_create(disk.clone(), 1, 77).unwrap().found(ClusterId(5)).unwrap();
        let file = dir.path().join("identity");
        let whole = std::fs::read(&file).unwrap();
        for bytes in [damaged(&whole, &edits), bytes] {
            std::fs::write(&file, &bytes).unwrap();
            let opened = Identity::open(disk.clone(), 1);
            prop_assert!(opened.is_err() || bytes == whole);
        }
    }

    #[test]
    fn a_damaged_snapshot_is_refused(edits in edits()) {
        let (dir, name, whole) = snapshot();
        let bytes = damaged(&whole, &edits);
        std::fs::write(dir.path().join(&name), &bytes).unwrap();
        prop_assert!(load(&dir, &name).is_none() || bytes == whole);
    }

    /// A member that errs can send a snapshot whose checksums are right.
    #[test]
    fn a_snapshot_that_says_something_else_is_refused_whatever_its_checksums(edits in edits(), record in any::<Index>()) {
        let (dir, name, whole) = snapshot();
        let mut records = split(&whole);
        let at = record.index(records.len());
        records[at] = damaged(&records[at], &edits);
        std::fs::write(dir.path().join(&name), join(&records)).unwrap();
        let digest = inventory(40).0.digest();
        prop_assert!(load(&dir, &name).is_none_or(|found| found == digest));
    }
}

/// A snapshot of a few rows: where it lies, and what is in it.
fn snapshot() -> (TempDir, String, Vec<u8>) {
    let dir = TempDir::new().unwrap();
    let frozen = inventory(40).0.freeze();
    let head =
        SnapshotHead { last: ID, membership: membership(), seq: frozen.last_seq(), digest: frozen.digest() };
    let name =
        Snapshots::open(FileDisk::open(dir.path()).unwrap()).unwrap().write(head, &frozen).unwrap().name;
    let bytes = std::fs::read(dir.path().join(&name)).unwrap();
    (dir, name, bytes)
}

/// The digest of the state that a snapshot gives; none when it is refused.
fn load(dir: &TempDir, name: &str) -> Option<holdfast_model::Digest> {
    let snapshots = Snapshots::open(FileDisk::open(dir.path()).unwrap()).unwrap();
    let (loaded, taken) = peak_bytes(|| snapshots.load(name));
    assert!(taken < SNAPSHOT_BYTES, "{taken} bytes of memory");
    loaded.ok().map(|(_, inventory)| inventory.digest())
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (record, rest) = rest[4..].split_at(length);
        records.push(record.to_vec());
        bytes = rest;
    }
    records
}

fn join(records: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend_from_slice(&u32::try_from(record.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
        bytes.extend_from_slice(record);
    }
    bytes
}

/// Says `bytes` to a port for peers; then a real peer is answered there.
async fn say_to_peers(bytes: &[u8]) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let echo = |message: Bytes| async move { message };
    let serving = tokio::spawn(tcp::serve(listener, echo, std::future::pending()));
    let mut stream = TcpStream::connect(&address).await.unwrap();
    // It may hang up before it has heard everything.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.len() <= bytes.len(), "no more is answered than was asked");
    let asked = Bytes::from_static(b"a message");
    let patience = Duration::from_secs(60);
    let network = TcpNetwork::new(Detours::new());
    let answered = network.call(&address, Channel::Control, asked.clone(), patience).await;
    assert_eq!(answered.unwrap(), asked);
    assert!(!serving.is_finished());
    serving.abort();
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn whatever_is_said_to_the_port_for_peers_it_goes_on(edits in edits(), bytes in anything(), is_damaged in any::<bool>()) {
        let frame = [b"HOLDFAST\x01\x02".as_slice(), &9_u32.to_le_bytes(), b"a message", &2_u32.to_le_bytes(), b"ab"];
        let bytes = if is_damaged { damaged(&frame.concat(), &edits) } else { bytes };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(say_to_peers(&bytes));
    }
}
