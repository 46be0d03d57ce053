//! Who is asked: redirects, what answers say of the leader, dead and silent nodes.

mod support;

use holdfast_sdk::Error;
use holdfast_sdk::api::{Adjust, ErrorCode};
use holdfast_sdk::model::{ItemId, Reason, StoreId};
use support::{Act, Node, client, client_of_silent, held, hold, impatient, nobody, row};

fn s1_a() -> (StoreId, ItemId) {
    (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap())
}

fn adjust() -> Adjust {
    let reason = Reason::new("found one").unwrap();
    Adjust { delta: 1, reason, reference: None, expected_version: None }
}

#[tokio::test]
async fn a_redirect_is_followed_once_and_the_leader_remembered() {
    let leader = Node::start([Act::json(&held())]).await;
    let follower = Node::start([Act::redirect(&leader.address)]).await;
    let client = client(&[&follower.address, &leader.address]);
    client.hold(hold()).await.unwrap();
    client.hold(hold()).await.unwrap();
    assert_eq!(follower.seen().len(), 1);
    assert_eq!(follower.seen()[0].header("holdfast-redirect"), Some("1"));
    assert_eq!(leader.seen().len(), 2);
    assert_eq!(leader.seen()[0].path, "/holds", "the call's own path is kept");
}

#[tokio::test]
async fn a_leader_that_is_no_endpoint_is_followed_too() {
    let leader = Node::start([Act::json(&held())]).await;
    let follower = Node::start([Act::redirect(&leader.address)]).await;
    client(&[&follower.address]).hold(hold()).await.unwrap();
    assert_eq!(leader.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_tells_who_leads() {
    let (store, item) = s1_a();
    let leader = Node::start([Act::json(&row())]).await;
    let follower = Node::start([Act::json(&row()).with("holdfast-leader", &leader.address)]).await;
    let client = client(&[&follower.address, &follower.address]);
    client.row(&store, &item).await.unwrap();
    client.adjust(&store, &item, &adjust()).await.unwrap();
    assert_eq!((follower.seen().len(), leader.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_dead_node_is_passed_over() {
    let alive = Node::start([Act::json(&held())]).await;
    let dead = nobody().await;
    client(&[&dead, &alive.address]).hold(hold()).await.unwrap();
    assert_eq!(alive.seen().len(), 1);
}

#[tokio::test]
async fn a_leader_that_dies_is_replaced_by_the_next() {
    let next = Node::start([Act::json(&held())]).await;
    let dead = nobody().await;
    let old = Node::start([Act::redirect(&dead)]).await;
    client(&[&old.address, &next.address]).hold(hold()).await.unwrap();
    assert_eq!((old.seen().len(), next.seen().len()), (1, 1));
}

#[tokio::test]
async fn a_silent_node_is_given_up_for_the_next() {
    let alive = Node::start([Act::json(&held())]).await;
    let silent = Node::start([Act::Silent]).await;
    client_of_silent(&[&silent.address, &alive.address]).hold(hold()).await.unwrap();
    assert!(!silent.seen().is_empty());
    assert_eq!(silent.seen()[0].body, alive.seen()[0].body, "the same hold id");
}

#[tokio::test]
async fn nodes_that_name_each_other_are_not_asked_without_end() {
    let (one, two) = Node::start_two(|one, two| ([Act::redirect(two)], [Act::redirect(one)])).await;
    let client = holdfast_sdk::Client::new([&one.address, &two.address], impatient()).unwrap();
    let error = client.hold(hold()).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    // Four attempts between two waits, and waits of 10 ms on average at first, doubling: far below what 600 ms of
    // unbraked redirects on loopback would be.
    let asked = one.seen().len() + two.seen().len();
    assert!((8..200).contains(&asked), "{asked}");
}

#[tokio::test]
async fn a_node_without_a_leader_is_asked_again_until_it_has_one() {
    let node = Node::start([
        Act::problem(ErrorCode::NoLeader),
        Act::problem(ErrorCode::NoLeader),
        Act::json(&held()),
    ])
    .await;
    client(&[&node.address]).hold(hold()).await.unwrap();
    assert_eq!(node.seen().len(), 3);
}

#[tokio::test]
async fn one_node_is_asked_once_and_about_itself() {
    let node = Node::start([Act::problem(ErrorCode::LedgerRebuilding)]).await;
    let error = client(&[&node.address]).audit_of(&node.address).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, ErrorCode::LedgerRebuilding);
    assert_eq!(node.seen().len(), 1);
}
