//! The feed through nodes that come and go, and snapshots that are whole or not.

mod support;

use futures_util::{StreamExt, TryStreamExt};
use holdfast_sdk::api::{Cursor, ErrorCode, Problem, Row};
use holdfast_sdk::{Client, Error, FeedError, FeedEvent, FeedFilter};
use serde_json::{Value, json};
use support::{Act, Node, client, impatient, nobody, row};

const EPOCH: &str = "0197f1d2";

fn bookmark(seq: u64) -> String {
    format!("{}\n", json!({"cursor": format!("{EPOCH}.{seq}")}))
}

fn record(seq: u64) -> String {
    let record = json!({
        "seq": seq, "at": "2026-11-24T13:05:00.250Z", "kind": "SOLD", "storeId": "S1", "itemId": "A", "qty": 1,
        "available": 1, "reserved": 0, "onHand": 1, "version": 1, "prevSeq": 0
    });
    format!("{}\n", json!({"cursor": format!("{EPOCH}.{seq}"), "record": record}))
}

fn problem(code: ErrorCode) -> String {
    format!("{}\n", json!({"error": Problem::new(code, "told to")}))
}

/// A stream of these lines, which then ends.
fn lines(lines: impl IntoIterator<Item = String>) -> Act {
    Act::Answer(200, Vec::new(), lines.into_iter().collect::<String>().into_bytes())
}

/// The records that come first, by their sequences.
async fn seqs(client: &Client, after: &str, filter: &FeedFilter, count: usize) -> Vec<u64> {
    let feed = client.subscribe(Some(after.parse().unwrap()), filter);
    let records = feed.try_filter_map(|event| async move {
        Ok(match event {
            FeedEvent::Record { record, .. } => Some(record.seq()),
            FeedEvent::Bookmark { .. } => None,
        })
    });
    records.take(count).try_collect().await.unwrap()
}

/// What a feed ends with.
async fn end(client: &Client, after: &str) -> FeedError {
    let mut feed = client.subscribe(Some(after.parse().unwrap()), &FeedFilter::default());
    let error = loop {
        match feed.next().await.expect("a feed ends with an error") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(error.is_final());
    assert!(feed.next().await.is_none(), "it is over");
    error
}

#[tokio::test]
async fn a_stream_that_ends_is_taken_up_at_another_node_from_its_cursor() {
    for last in [
        problem(ErrorCode::Stopped),
        problem(ErrorCode::SlowReader),
        problem(ErrorCode::LedgerDamaged),
        String::new(),
        "{".to_owned(),
    ] {
        // Both begin alike, since either may be asked first.
        let first = || lines([bookmark(4), record(5), record(6), last.clone()]);
        let then = || lines([bookmark(6), record(7)]);
        let (one, two) = (Node::start([first(), then()]).await, Node::start([then()]).await);
        let three = Node::start([first()]).await;
        let nodes = client(&[&one.address]);
        assert_eq!(seqs(&nodes, "4", &FeedFilter::default(), 3).await, [5, 6, 7]);
        let paths: Vec<String> = one.seen().into_iter().map(|seen| seen.path).collect();
        assert_eq!(paths, ["/feed?after=4", "/feed?after=0197f1d2.6"], "{last:?}");
        assert_eq!(one.seen()[0].header("accept"), Some("application/x-ndjson"));
        // Whichever has its turn first, the other must serve before the end.
        let nodes = client(&[&two.address, &three.address]);
        assert_eq!(seqs(&nodes, "0197f1d2.4", &FeedFilter::default(), 3).await, [5, 6, 7]);
        assert!(!two.seen().is_empty() && !three.seen().is_empty());
    }
}

#[tokio::test]
async fn what_was_given_is_not_given_again_and_nothing_is_left_out() {
    let node = Node::start([
        lines([bookmark(0), record(1), record(2), record(2), record(1)]),
        lines([bookmark(2), record(4)]),
        lines([bookmark(3)]),
        lines([bookmark(2), record(3)]),
    ])
    .await;
    assert_eq!(seqs(&client(&[&node.address]), "0", &FeedFilter::default(), 3).await, [1, 2, 3]);
    assert_eq!(node.seen().len(), 4);
}

#[tokio::test]
async fn a_filtered_feed_goes_on_from_its_bookmark() {
    let node =
        Node::start([lines([bookmark(0), record(3), bookmark(9)]), lines([bookmark(9), record(12)])]).await;
    let filter = FeedFilter { stores: vec!["S+1".parse().unwrap()], ..FeedFilter::default() };
    assert_eq!(seqs(&client(&[&node.address]), "0", &filter, 2).await, [3, 12]);
    assert_eq!(node.seen()[1].path, "/feed?after=0197f1d2.9&storeId=S%2B1");
}

#[tokio::test]
async fn without_a_cursor_it_starts_where_the_first_node_says_that_now_is() {
    let node = Node::start([lines([bookmark(41)]), lines([bookmark(41), record(42)])]).await;
    let mut feed = client(&[&node.address]).subscribe(None, &FeedFilter::default());
    let first = feed.next().await.unwrap().unwrap();
    assert_eq!(first, FeedEvent::Bookmark { cursor: Cursor::new(EPOCH.parse().unwrap(), 41) });
    let mut next = feed.next().await.unwrap().unwrap();
    while matches!(next, FeedEvent::Bookmark { .. }) {
        next = feed.next().await.unwrap().unwrap();
    }
    assert_eq!(next.cursor().seq, 42);
    assert_eq!(
        node.seen().iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(),
        ["/feed", "/feed?after=0197f1d2.41"]
    );
}

#[tokio::test]
async fn a_cursor_that_cannot_be_gone_on_from_ends_it_with_what_to_do() {
    let refused = |code, name: &str, value: Value| {
        let problem = Problem::new(code, "told to").with(name, value);
        Act::Answer(code.status(), Vec::new(), serde_json::to_vec(&problem).unwrap())
    };
    let node = Node::start([refused(ErrorCode::CursorCompacted, "oldestSeq", json!(7))]).await;
    let error = end(&client(&[&node.address]), "1").await;
    assert!(matches!(error, FeedError::Compacted { oldest: 7 }), "{error:?}");
    let node = Node::start([refused(ErrorCode::CursorAhead, "lastSeq", json!(3))]).await;
    let error = end(&client(&[&node.address]), "9").await;
    assert!(matches!(error, FeedError::Ahead { last: 3 }), "{error:?}");
    let node = Node::start([refused(ErrorCode::CursorOtherEpoch, "epoch", json!("feed"))]).await;
    let error = end(&client(&[&node.address]), "0197f1d2.9").await;
    assert!(matches!(&error, FeedError::OtherEpoch { epoch } if epoch == "feed"), "{error:?}");
    let node = Node::start([Act::problem(ErrorCode::Malformed)]).await;
    let error = end(&client(&[&node.address]), "9").await;
    assert!(matches!(error, FeedError::Client(Error::Refused(_))), "{error:?}");
    // While it runs, too.
    let node = Node::start([lines([bookmark(1), record(2), problem(ErrorCode::CursorCompacted)])]).await;
    let error = end(&client(&[&node.address]), "1").await;
    assert!(matches!(error, FeedError::Compacted { .. }), "{error:?}");
}

#[tokio::test]
async fn while_no_node_serves_it_says_so_and_goes_on_when_one_does() {
    let full = Act::problem(ErrorCode::Overloaded);
    let node =
        Node::start(std::iter::repeat_n(full, 3).chain([Act::Cut, lines([bookmark(0), record(1)])])).await;
    assert_eq!(seqs(&client(&[&nobody().await, &node.address]), "0", &FeedFilter::default(), 1).await, [1]);
    let alone = Client::new([nobody().await], impatient()).unwrap();
    let mut feed = alone.subscribe(None, &FeedFilter::default());
    for _ in 0..2 {
        let error = feed.next().await.unwrap().unwrap_err();
        assert!(!error.is_final(), "{error:?}");
        assert!(matches!(error, FeedError::Client(Error::Unavailable { .. })), "{error:?}");
    }
}

fn head() -> String {
    format!(
        "{}\n",
        json!({"snapshot": {"cursor": "0197f1d2.7", "epoch": EPOCH, "seq": 7, "at": "2026-11-24T13:05:00.250Z"}})
    )
}

fn row_line() -> String {
    format!("{}\n", json!({"row": row()}))
}

fn end_line(rows: u64) -> String {
    format!("{}\n", json!({"end": {"rows": rows}}))
}

#[tokio::test]
async fn a_snapshot_is_whole_or_an_error() {
    let node = Node::start([
        Act::problem(ErrorCode::NoLeader),
        lines([head(), row_line(), row_line(), end_line(2)]),
    ])
    .await;
    let store = "S1".parse().unwrap();
    let snapshot = client(&[&node.address]).snapshot(Some(&store)).await.unwrap();
    assert_eq!((snapshot.head.cursor.to_string().as_str(), snapshot.head.seq), ("0197f1d2.7", 7));
    assert_eq!(snapshot.into_rows().try_collect::<Vec<Row>>().await.unwrap().len(), 2);
    assert_eq!(node.seen()[1].path, "/snapshot?storeId=S1");
    for broken in [
        vec![head(), row_line()],
        vec![head(), row_line(), end_line(2)],
        vec![head(), row_line(), "{\"ro".to_owned()],
        vec![head(), problem(ErrorCode::SlowReader)],
        vec![head(), head()],
    ] {
        let node = Node::start([lines(broken.clone())]).await;
        let snapshot = client(&[&node.address]).snapshot(None).await.unwrap();
        let rows: Result<Vec<Row>, Error> = snapshot.into_rows().try_collect().await;
        assert!(rows.is_err(), "{broken:?}");
    }
    let node = Node::start([Act::problem(ErrorCode::Malformed)]).await;
    let refused = client(&[&node.address]).snapshot(None).await.map(|snapshot| snapshot.head);
    assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
}
