//! Batches in both encodings, and pages as streams.

mod support;

use futures_util::TryStreamExt;
use holdfast_sdk::Error;
use holdfast_sdk::api::{OCTET_STREAM, WireRequest};
use holdfast_sdk::model::{Command, HoldId, ItemId, Line, Outcome, Quantity, Reply, Seq, StoreId, codec};
use serde_json::json;
use support::{Act, Node, client, impatient, row};

fn commands() -> Vec<WireRequest> {
    let (store, item) = (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap());
    let line = Line { store: store.clone(), item: item.clone(), qty: Quantity::new(1).unwrap() };
    let hold = HoldId::from_uuid(uuid::Uuid::nil());
    let lines = vec![line];
    [
        Command::CreateSku { store, item, opening: 5 },
        Command::Reserve { hold, lines, ttl_ms: None, allow_partial: false, owner: None },
    ]
    .map(|command| WireRequest { command, idempotency_key: None })
    .to_vec()
}

fn replies(count: usize) -> Act {
    let reply = Reply { result: Ok(Outcome::Ticked), seq: Seq(1), replayed: false };
    Act::Answer(200, Vec::new(), codec::encode(&vec![reply; count]))
}

#[tokio::test]
async fn a_batch_is_repeated_with_the_same_ids_and_keys() {
    let node = Node::start([Act::Cut, replies(2)]).await;
    let answered = client(&[&node.address]).batch(commands()).await.unwrap();
    assert_eq!(answered.len(), 2);
    let seen = node.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, seen[1].body);
    assert_eq!(seen[0].header("content-type"), Some(OCTET_STREAM));
    let sent: Vec<WireRequest> = codec::decode(&seen[0].body).unwrap();
    assert!(sent[0].idempotency_key.is_some());
    let Command::Reserve { hold, .. } = &sent[1].command else { panic!("{:?}", sent[1]) };
    assert!(!hold.uuid().is_nil());
}

#[tokio::test]
async fn a_batch_with_too_few_replies_makes_no_sense() {
    let node = Node::start([replies(1)]).await;
    let error = client(&[&node.address]).batch(commands()).await.unwrap_err();
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[tokio::test]
async fn a_batch_as_json_is_repeated_only_when_all_of_it_may_be() {
    let answer = Act::json(&json!({"outcomes": []}));
    let bare = json!({"commands": [{"op": "adjust", "storeId": "S1", "itemId": "A", "delta": 1, "reason": "found"}]});
    let mut keyed = bare.clone();
    keyed["commands"][0]["idempotencyKey"] = json!("K1");
    let node = Node::start([Act::Cut, answer.clone()]).await;
    let error = client(&[&node.address]).batch_json(&bare).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
    assert_eq!(node.seen().len(), 1);
    let node = Node::start([Act::Cut, answer]).await;
    client(&[&node.address]).batch_json(&keyed).await.unwrap();
    assert_eq!(node.seen().len(), 2);
    assert_eq!(node.seen()[1].json(), keyed);
}

#[tokio::test]
async fn what_is_no_batch_is_not_sent() {
    let node = Node::start([Act::Cut]).await;
    let error =
        client(&[&node.address]).batch_json(&json!({"commands": [{"op": "steal"}]})).await.unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    assert!(node.seen().is_empty());
}

#[tokio::test]
async fn pages_are_fetched_as_they_are_needed() {
    let page = |rows: usize, next: Option<u64>| Act::json(&json!({"rows": vec![row(); rows], "next": next}));
    let node = Node::start([page(2, Some(7)), page(0, Some(9)), page(1, None)]).await;
    let store = StoreId::new("S1").unwrap();
    let client = client(&[&node.address]);
    let mut rows = client.rows_of_store(&store);
    assert_eq!(node.seen().len(), 0, "nothing is fetched before it is asked for");
    assert!(rows.try_next().await.unwrap().is_some());
    assert_eq!(node.seen().len(), 1);
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rest.len(), 2);
    let paths: Vec<String> = node.seen().into_iter().map(|request| request.path).collect();
    assert!(paths[1].ends_with("&after=7") && paths[2].ends_with("&after=9"), "{paths:?}");
}

#[tokio::test]
async fn a_page_that_cannot_be_had_ends_the_stream_with_an_error() {
    let node = Node::start([Act::json(&json!({"rows": [row()], "next": 7})), Act::Cut]).await;
    let client = holdfast_sdk::Client::new([&node.address], impatient()).unwrap();
    let mut rows = client.rows_of_store(&StoreId::new("S1").unwrap());
    assert!(rows.try_next().await.unwrap().is_some());
    assert!(matches!(rows.try_next().await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn an_id_with_a_plus_sign_reaches_the_node_as_it_is() {
    let node = Node::start([Act::json(&json!({"movements": [], "next": null}))]).await;
    let (store, item) = (StoreId::new("S+1").unwrap(), ItemId::new("A=B").unwrap());
    let client = client(&[&node.address]);
    let found: Vec<_> = client.movements(3, Some(&store), Some(&item)).try_collect().await.unwrap();
    assert!(found.is_empty());
    assert!(node.seen()[0].path.ends_with("&storeId=S%2B1&itemId=A=B&after=3"), "{}", node.seen()[0].path);
}
