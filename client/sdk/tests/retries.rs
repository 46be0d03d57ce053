//! What is repeated, what is not, and under which id or key.

mod support;

use std::time::{Duration, Instant};

use holdfast_sdk::api::{Adjust, ConfirmHold, ErrorCode, ReleaseHold, Sale};
use holdfast_sdk::model::{HoldId, ItemId, Reason, StoreId};
use holdfast_sdk::{Client, Error};
use serde_json::json;
use support::{Act, Node, client, held, hold, impatient, nobody, row};

fn s1_a() -> (StoreId, ItemId) {
    (StoreId::new("S1").unwrap(), ItemId::new("A").unwrap())
}

fn adjust() -> Adjust {
    let reason = Reason::new("found one").unwrap();
    Adjust { delta: 1, reason, reference: None, expected_version: None }
}

#[tokio::test]
async fn a_hold_is_repeated_under_the_id_that_it_was_given() {
    for trouble in [Act::Cut, Act::Half, Act::problem(ErrorCode::OutcomeUnknown)] {
        let node = Node::start([trouble.clone(), trouble, Act::json(&held())]).await;
        client(&[&node.address]).hold(hold()).await.unwrap();
        let seen = node.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen[0].json()["holdId"].as_str().unwrap().starts_with("H-"));
        assert!(seen.iter().all(|request| request.body == seen[0].body && request.key().is_none()));
    }
}

#[tokio::test]
async fn a_caller_s_own_hold_id_stays() {
    let node = Node::start([Act::json(&held())]).await;
    let id: HoldId = "H-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5".parse().unwrap();
    let mut body = hold();
    body.hold_id = Some(id);
    client(&[&node.address]).hold(body).await.unwrap();
    assert_eq!(node.seen()[0].json()["holdId"], id.to_string());
}

#[tokio::test]
async fn a_change_without_an_id_of_its_own_keeps_its_key_over_nodes_and_attempts() {
    let (store, item) = s1_a();
    let second = Node::start([Act::Half, Act::json(&row())]).await;
    let first = Node::start([Act::Cut, Act::redirect(&second.address)]).await;
    let client = client(&[&first.address, &second.address]);
    client.adjust(&store, &item, &adjust()).await.unwrap();
    client.adjust(&store, &item, &adjust()).await.unwrap();
    let seen: Vec<_> = first.seen().into_iter().chain(second.seen()).collect();
    let keys: std::collections::BTreeSet<_> = seen.iter().map(|request| request.key().unwrap()).collect();
    assert_eq!(keys.len(), 2, "one key for each call: {keys:?}");
    assert!(seen.len() > 3, "the first call took several attempts");
}

#[tokio::test]
async fn the_whole_of_a_hold_needs_no_key_and_a_part_has_one() {
    let id: HoldId = "H-0197f1d2-5a3b-7c4d-8e9f-a0b1c2d3e4f5".parse().unwrap();
    let node = Node::start([Act::json(&held())]).await;
    let client = client(&[&node.address]);
    let lines = Some(hold().lines);
    client.confirm(id, &ConfirmHold { lines: None, reacquire: false }).await.unwrap();
    client.release(id, &ReleaseHold { lines: None, reason: None }).await.unwrap();
    client.confirm(id, &ConfirmHold { lines: lines.clone(), reacquire: false }).await.unwrap();
    client.release(id, &ReleaseHold { lines, reason: None }).await.unwrap();
    client.extend(id, 60).await.unwrap();
    let keyed: Vec<bool> = node.seen().iter().map(|request| request.key().is_some()).collect();
    assert_eq!(keyed, [false, false, true, true, true]);
}

#[tokio::test]
async fn a_store_s_event_is_known_by_its_id_and_a_plain_sale_by_a_key() {
    let (store, item) = s1_a();
    let node = Node::start([Act::json(&row())]).await;
    let client = client(&[&node.address]);
    let event: Sale =
        serde_json::from_value(json!({"qty": 1, "eventId": "E1", "occurredAt": "2026-11-24T13:05:00Z"}))
            .unwrap();
    let plain: Sale = serde_json::from_value(json!({"qty": 1})).unwrap();
    client.sale(&store, &item, &event).await.unwrap();
    client.sale(&store, &item, &plain).await.unwrap();
    let keyed: Vec<bool> = node.seen().iter().map(|request| request.key().is_some()).collect();
    assert_eq!(keyed, [false, true]);
}

#[tokio::test]
async fn a_caller_s_own_key_goes_with_each_change() {
    let (store, item) = s1_a();
    let node = Node::start([Act::json(&row())]).await;
    let client = client(&[&node.address]);
    client.with_key("K 1").unwrap().adjust(&store, &item, &adjust()).await.unwrap();
    assert_eq!(node.seen()[0].key(), Some("K 1"));
    for bad in ["", "a\nb", "\u{e4}", &"x".repeat(256)] {
        assert!(matches!(client.with_key(bad), Err(Error::Invalid(_))), "{bad:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_final() {
    let node = Node::start([Act::problem(ErrorCode::InsufficientStock)]).await;
    let error = client(&[&node.address]).hold(hold()).await.unwrap_err();
    let Error::Refused(problem) = error else { panic!("{error}") };
    assert_eq!(problem.code, ErrorCode::InsufficientStock);
    assert_eq!(node.seen().len(), 1);
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_says_that_nothing_was_done() {
    let node = Node::start([Act::problem(ErrorCode::NoLeader)]).await;
    let client = Client::new([&node.address, &nobody().await], impatient()).unwrap();
    let started = Instant::now();
    let error = client.hold(hold()).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert_eq!(error.problem().unwrap().code, ErrorCode::NoLeader);
    assert!(error.may_pass());
}

#[tokio::test]
async fn what_may_have_been_done_stays_unknown_whatever_later_attempts_say() {
    let node = Node::start([Act::Cut, Act::problem(ErrorCode::NoLeader)]).await;
    let client = Client::new([&node.address], impatient()).unwrap();
    let error = client.hold(hold()).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
    assert!(node.seen().len() > 2);
}

#[tokio::test]
async fn a_look_has_no_outcome_to_be_unknown() {
    let (store, item) = s1_a();
    let node = Node::start([Act::Cut]).await;
    let client = Client::new([&node.address], impatient()).unwrap();
    let error = client.row(&store, &item).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_removal_that_may_have_been_done_is_not_repeated() {
    let node = Node::start([Act::problem(ErrorCode::MembershipBusy), Act::Cut]).await;
    let error = client(&[&node.address]).remove_member(3).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
    assert_eq!(node.seen().len(), 2, "what was not taken is sent again, what was cut off is not");
}

#[tokio::test]
async fn a_full_node_is_left_alone_for_as_long_as_it_asks() {
    let full = Act::problem(ErrorCode::Overloaded).with("retry-after", "1");
    let node = Node::start([full, Act::json(&held())]).await;
    let started = Instant::now();
    client(&[&node.address]).hold(hold()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_gateway_s_error_may_hide_an_effect_and_is_repeated_under_the_same_id() {
    let broken = Act::Answer(502, Vec::new(), b"<html>bad gateway</html>".to_vec());
    let node = Node::start([broken.clone(), Act::json(&held())]).await;
    client(&[&node.address]).hold(hold()).await.unwrap();
    assert_eq!(node.seen()[0].body, node.seen()[1].body);
    let node = Node::start([broken]).await;
    let error = Client::new([&node.address], impatient()).unwrap().hold(hold()).await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown(_)), "{error}");
}

#[tokio::test]
async fn an_answer_outside_the_contract_is_told_as_such() {
    for nonsense in [
        Act::Answer(200, Vec::new(), b"<html>hello</html>".to_vec()),
        Act::Answer(404, Vec::new(), b"not here".to_vec()),
        Act::Answer(307, Vec::new(), Vec::new()),
        Act::Answer(307, vec![("location", "ftp://elsewhere/".to_owned())], Vec::new()),
    ] {
        let node = Node::start([nonsense.clone()]).await;
        let error = client(&[&node.address]).hold(hold()).await.unwrap_err();
        assert!(matches!(error, Error::Protocol(_)), "{nonsense:?}: {error}");
        assert_eq!(node.seen().len(), 1);
    }
}
