//! Sees to the refunds that are due: announces each to whoever gives money back, and settles it with the cluster once
//! that one has taken it.
//!
//! The cluster's list says what is to be done, and the feed only when to look at it; so nothing has to be kept here, and
//! what a crash cut off is in the list of the next process. A refund is announced at least once, by each service that
//! runs, always under the payment's id as its idempotency key.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::Either;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use futures_util::{FutureExt, future};
use holdfast_api::{Order, Payment, RefundOrder, header, payment_state_name};
use holdfast_sdk::model::{OrderId, PaymentId, PaymentState};
use holdfast_sdk::{Client, FeedError, FeedEvent, FeedFilter};
use holdfast_service::metrics;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::config::RefundSettings;
use crate::metrics::Counters;

/// Refunds that are announced at the same time.
const AT_ONCE: usize = 8;

/// The record of the feed after which the list is longer.
const REFUND_DUE: &str = "ORDER_REFUND_DUE";

/// Before a feed that a node refused is asked for anew.
const FEED_AGAIN: Duration = Duration::from_secs(1);

/// A payment that is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Due {
    order: OrderId,
    payment: PaymentId,
}

/// A refund whose last attempt failed.
#[derive(Debug)]
struct Failing {
    attempts: u32,
    next: Instant,
}

/// Announces and settles refunds.
pub struct Refunds {
    client: Client,
    http: reqwest::Client,
    settings: RefundSettings,
    counters: Arc<Counters>,
    failing_count: Arc<AtomicU64>,
    failing: HashMap<Due, Failing>,
}

impl Refunds {
    /// Before the first look.
    ///
    /// # Errors
    /// When there can be no HTTP client.
    pub fn new(
        client: Client,
        settings: RefundSettings,
        counters: Arc<Counters>,
        failing_count: Arc<AtomicU64>,
    ) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(settings.timeout)
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, http, settings, counters, failing_count, failing: HashMap::new() })
    }

    /// Does so for ever.
    pub async fn run(mut self) {
        let mut news = News::new(self.client.clone());
        // What the list has is seen only by a look after the feed has begun.
        news.wait().await;
        loop {
            let again = self.look().await;
            let timer = match again {
                Some(moment) => Either::Left(sleep_until(moment)),
                None => Either::Right(future::pending()),
            };
            tokio::select! {
                () = news.wait() => {}
                () = timer => {}
            }
        }
    }

    /// Tries everything in the list whose time has come; says when to look again even if nothing happens.
    async fn look(&mut self) -> Option<Instant> {
        let (client, http, settings) = (&self.client, &self.http, &self.settings);
        let (counters, failing) = (&self.counters, &self.failing);
        let started = Instant::now();
        let is_waiting = |due: &Due| failing.get(due).is_some_and(|failing: &Failing| failing.next > started);
        let mut tried = due(client)
            .map(|found| async move {
                match found {
                    Ok((due, _)) if is_waiting(&due) => Ok((due, None)),
                    Ok((due, told)) => {
                        let done = finish(client, http, settings, counters, &due, told).await;
                        Ok((due, Some(done)))
                    }
                    Err(error) => Err(error),
                }
            })
            .buffer_unordered(AT_ONCE);
        let (mut seen, mut is_whole) = (Vec::new(), true);
        while let Some(one) = tried.next().await {
            match one {
                Ok(one) => seen.push(one),
                Err(error) => {
                    tracing::warn!(error, "the refunds that are due cannot be listed; that is tried again");
                    is_whole = false;
                }
            }
        }
        drop(tried);
        self.note(seen, is_whole)
    }

    /// Remembers what failed, and forgets what is no longer due.
    fn note(&mut self, seen: Vec<(Due, Option<Result<(), String>>)>, is_whole: bool) -> Option<Instant> {
        let mut failing = if is_whole { HashMap::new() } else { std::mem::take(&mut self.failing) };
        for (due, done) in seen {
            let before = self.failing.remove(&due).or_else(|| failing.remove(&due));
            match (done, before) {
                (Some(Ok(())), _) => {}
                (None, before) => failing.extend(before.map(|before| (due, before))),
                (Some(Err(reason)), before) => {
                    metrics::one(&self.counters.failed_attempts);
                    let attempts = before.map_or(0, |before| before.attempts).saturating_add(1);
                    if attempts == 1 {
                        let Due { order, payment } = &due;
                        tracing::warn!(%order, %payment, reason, "a refund failed; it is tried again");
                    }
                    failing.insert(due, Failing { attempts, next: self.next_attempt(attempts) });
                }
            }
        }
        self.failing = failing;
        self.failing_count.store(self.failing.len() as u64, Ordering::Relaxed);
        let next = self.failing.values().map(|failing| failing.next).min();
        let list_again = (!is_whole).then(|| Instant::now() + self.settings.first_backoff);
        next.into_iter().chain(list_again).min()
    }

    /// Doubles with each attempt; half of it is random, so that refunds which failed together do not come back together.
    fn next_attempt(&self, attempts: u32) -> Instant {
        let doubled = self.settings.first_backoff.saturating_mul(1 << (attempts - 1).min(20));
        let wait = doubled.min(self.settings.max_backoff);
        Instant::now() + wait.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// Every payment that is to be given back, with what its receiver is told; ends after an error.
fn due(client: &Client) -> impl Stream<Item = Result<(Due, Value), String>> + use<> {
    let orders = client.orders(Some(payment_state_name(PaymentState::RefundDue)));
    orders.flat_map(|order| {
        stream::iter(match order {
            Ok(order) => {
                order.payments.iter().filter(|payment| is_due(payment)).map(|p| told(&order, p)).collect()
            }
            Err(error) => vec![Err(error.to_string())],
        })
    })
}

fn is_due(payment: &Payment) -> bool {
    payment.status == payment_state_name(PaymentState::RefundDue)
}

fn told(order: &Order, payment: &Payment) -> Result<(Due, Value), String> {
    let senseless =
        |error: &dyn std::fmt::Display| format!("the list has a payment without a sense: {error}");
    let due = Due {
        order: order.order_id.parse().map_err(|error| senseless(&error))?,
        payment: payment.payment_id.parse().map_err(|error| senseless(&error))?,
    };
    let body = json!({
        "orderId": order.order_id, "paymentId": payment.payment_id, "amountMinor": payment.amount_minor,
        "currency": payment.currency, "reference": order.reference,
    });
    Ok((due, body))
}

/// Announces a refund and, once it was taken, settles it. Between the two a crash leaves it due: then it is announced
/// again, under the same key.
async fn finish(
    client: &Client,
    http: &reqwest::Client,
    settings: &RefundSettings,
    counters: &Counters,
    due: &Due,
    told: Value,
) -> Result<(), String> {
    let Due { order, payment } = due;
    let request = http.post(settings.url.clone()).header(header::IDEMPOTENCY_KEY, payment.as_str());
    let answer = request.json(&told).send().await.map_err(|error| error.without_url().to_string())?;
    let status = answer.status();
    if !status.is_success() {
        return Err(format!("the receiver answered {status}"));
    }
    // An answer that breaks off may be one of something in between.
    answer.bytes().await.map_err(|error| error.without_url().to_string())?;
    metrics::one(&counters.announced);
    let settled = client.refund_order(*order, &RefundOrder { payment_id: payment.clone() }).await;
    settled.map_err(|error| format!("it was taken, but not settled: {error}"))?;
    metrics::one(&counters.settled);
    Ok(())
}

/// Tells when the list may be longer.
struct News {
    client: Client,
    feed: BoxStream<'static, Result<FeedEvent, FeedError>>,
    /// The feed has said where it begins.
    has_begun: bool,
}

impl News {
    fn new(client: Client) -> Self {
        let feed = Self::from_now(&client);
        Self { client, feed, has_begun: false }
    }

    fn from_now(client: &Client) -> BoxStream<'static, Result<FeedEvent, FeedError>> {
        let filter = FeedFilter { kinds: vec![REFUND_DUE.to_owned()], ..FeedFilter::default() };
        client.subscribe(None, &filter).boxed()
    }

    /// Returns once after the feed has begun, and then for each time that something was due, however much.
    async fn wait(&mut self) {
        loop {
            let event = self.feed.next().await;
            if self.is_news(event) {
                break;
            }
        }
        while let Some(event) = self.feed.next().now_or_never() {
            self.is_news(event);
        }
    }

    fn is_news(&mut self, event: Option<Result<FeedEvent, FeedError>>) -> bool {
        match event {
            Some(Ok(FeedEvent::Record { .. })) => {
                self.has_begun = true;
                true
            }
            Some(Ok(FeedEvent::Bookmark { .. })) => !std::mem::replace(&mut self.has_begun, true),
            Some(Err(error)) if !error.is_final() => {
                tracing::warn!(%error, "the feed does not answer; it is asked again");
                false
            }
            // It cannot go on from where it was: what was missed is in the list when another one has begun.
            Some(Err(_)) | None => {
                let pause = stream::once(sleep(FEED_AGAIN)).filter_map(|()| future::ready(None));
                self.feed = pause.chain(Self::from_now(&self.client)).boxed();
                self.has_begun = false;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refunds() -> Refunds {
        let settings = RefundSettings {
            url: "http://127.0.0.1:9/refunds".parse().unwrap(),
            timeout: Duration::from_secs(1),
            first_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_millis(1000),
        };
        let client = Client::new(["127.0.0.1:9"], holdfast_sdk::Options::default()).unwrap();
        Refunds::new(client, settings, Arc::default(), Arc::default()).unwrap()
    }

    fn due(payment: &str) -> Due {
        Due { order: OrderId::from_uuid(uuid::Uuid::from_u128(7)), payment: payment.parse().unwrap() }
    }

    fn failed() -> Option<Result<(), String>> {
        Some(Err("no".to_owned()))
    }

    #[tokio::test]
    async fn what_fails_waits_longer_each_time_up_to_the_longest() {
        let mut refunds = refunds();
        for attempts in 1..=40 {
            let before = Instant::now();
            let next = refunds.note(vec![(due("p1"), failed())], true).unwrap();
            assert_eq!(refunds.failing[&due("p1")].attempts, attempts);
            let longest = Duration::from_millis(100 << (attempts - 1).min(10)).min(Duration::from_secs(1));
            assert!(next >= before + longest / 2);
        }
        assert!(refunds.note(vec![(due("p1"), Some(Ok(())))], true).is_none());
        assert!(refunds.failing.is_empty());
    }

    #[tokio::test]
    async fn what_is_no_longer_listed_is_forgotten_only_when_the_whole_list_was_seen() {
        let mut refunds = refunds();
        refunds.note(vec![(due("p1"), failed()), (due("p2"), failed())], true);
        assert!(refunds.note(vec![(due("p1"), None)], false).is_some());
        assert_eq!((refunds.failing.len(), refunds.failing[&due("p1")].attempts), (2, 1));
        refunds.note(vec![(due("p1"), None)], true);
        assert_eq!((refunds.failing.len(), refunds.failing_count.load(Ordering::Relaxed)), (1, 1));
        assert!(refunds.note(Vec::new(), true).is_none(), "nothing is left to wait for");
    }

    #[test]
    fn only_what_is_owed_is_announced_with_all_that_is_known_of_it() {
        let order: Order = serde_json::from_value(json!({
            "orderId": due("p1").order.to_string(), "status": "PAID", "holdId": "H", "expiresAt": null, "expiresInMs": null,
            "owner": null, "reference": "customer 7", "refundDue": true, "lines": [],
            "payments": [{"paymentId": "p1", "status": "ACCEPTED"},
                {"paymentId": "p2", "status": "REFUND_DUE", "amountMinor": 5, "currency": "EUR"}],
        }))
        .unwrap();
        let owed: Vec<_> = order.payments.iter().filter(|payment| is_due(payment)).collect();
        let (found, body) = told(&order, owed[0]).unwrap();
        assert_eq!((owed.len(), found), (1, due("p2")));
        assert_eq!((&body["amountMinor"], &body["reference"]), (&json!(5), &json!("customer 7")));
    }
}
