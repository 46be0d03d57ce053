//! Buyers: each takes the next basket, holds it, and sells it or gives it back, until none is left.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_sdk::api::{
    Cancel, ConfirmHold, ErrorCode, NewHold, PayOrder, PlaceOrder, ReleaseHold, order_status_name,
};
use holdfast_sdk::model::{HoldId, OrderId, OrderStatus, Owner, PaymentId};
use holdfast_sdk::{Client, Error};
use indicatif::ProgressBar;
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::baskets::Basket;
use super::tally::{Operation, Tally, Trade};
use crate::Done;
use crate::failure::Failure;

/// How long a basket's hold lasts, in seconds: longer than any outage that a buyer waits out.
const TTL_SECONDS: u64 = 600;
/// How long a buyer goes on to ask when no answer comes. Each repeat is under the same id, so it has one effect.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between a call that was given up and the next.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What all buyers share.
pub struct Market {
    /// The cluster.
    pub client: Client,
    /// What is to be sold, in order.
    pub baskets: Vec<Basket>,
    /// Percent of the holds that are given back.
    pub release_percent: f64,
    /// Decides which ones.
    pub seed: u64,
    /// What is run once half of the baskets have been played.
    pub at_half: Option<String>,
    /// The order service, when baskets are orders.
    pub orders: Option<Client>,
    /// Follows the baskets.
    pub bar: ProgressBar,
    next: AtomicUsize,
    played: AtomicUsize,
}

impl Market {
    /// A market before its first buyer.
    pub fn new(client: Client, baskets: Vec<Basket>, bar: ProgressBar) -> Self {
        let (next, played) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self {
            client,
            baskets,
            release_percent: 0.0,
            seed: 0,
            at_half: None,
            orders: None,
            bar,
            next,
            played,
        }
    }

    /// What baskets are here.
    pub fn trade(&self) -> Trade {
        if self.orders.is_some() { Trade::Orders } else { Trade::Holds }
    }

    /// Lets so many buyers take all baskets.
    ///
    /// # Errors
    /// When a basket can neither be sold nor be refused for stock, or the program for half-time fails.
    pub async fn sell(self: Arc<Self>, buyers: usize) -> Result<Tally, Failure> {
        let mut tasks = JoinSet::new();
        for _ in 0..buyers {
            tasks.spawn(self.clone().buy());
        }
        let mut tally = Tally::new();
        while let Some(done) = tasks.join_next().await {
            tally.add(done.map_err(|error| Failure::Check(format!("a buyer ended early: {error}")))??);
        }
        Ok(tally)
    }

    async fn buy(self: Arc<Self>) -> Result<Tally, Failure> {
        let mut tally = Tally::new();
        loop {
            let place = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(basket) = self.baskets.get(place) else { return Ok(tally) };
            self.buy_one(place, basket, &mut tally).await.map_err(|error| of_basket(basket, error))?;
            self.bar.inc(1);
            if self.played.fetch_add(1, Ordering::Relaxed) + 1 == self.baskets.len().div_ceil(2) {
                self.half_time().await?;
            }
        }
    }

    async fn buy_one(&self, place: usize, basket: &Basket, tally: &mut Tally) -> Result<(), Error> {
        let id = Uuid::now_v7();
        let started = Instant::now();
        let taken = match &self.orders {
            Some(orders) => self.order(orders, id, basket).await,
            None => self.hold(id, basket).await,
        };
        tally.note(Operation::Take, started);
        match taken {
            Ok(()) => {}
            Err(Error::Refused(problem)) if problem.code == ErrorCode::InsufficientStock => {
                tally.note_refusal(&problem);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        let started = Instant::now();
        let is_released = is_released(self.seed, self.release_percent, place);
        match &self.orders {
            Some(orders) => end_order(orders, id, is_released).await?,
            None => self.end_hold(HoldId::from_uuid(id), is_released).await?,
        }
        if is_released {
            tally.released += 1;
            tally.note(Operation::GiveBack, started);
        } else {
            tally.note_sale(basket);
            tally.note(Operation::Sell, started);
        }
        Ok(())
    }

    async fn hold(&self, id: Uuid, basket: &Basket) -> Result<(), Error> {
        let body = NewHold {
            lines: basket.lines.clone(),
            ttl_seconds: Some(TTL_SECONDS),
            hold_id: Some(HoldId::from_uuid(id)),
            owner: Owner::new(&basket.id).ok(),
            allow_partial: false,
        };
        patiently(|| self.client.hold(body.clone())).await.map(|_| ())
    }

    async fn end_hold(&self, hold: HoldId, is_released: bool) -> Result<(), Error> {
        if is_released {
            let body = ReleaseHold { lines: None, reason: None };
            patiently(|| self.client.release(hold, &body)).await?;
        } else {
            let body = ConfirmHold { lines: None, reacquire: false };
            patiently(|| self.client.confirm(hold, &body)).await?;
        }
        Ok(())
    }

    /// Hold and order have the same number.
    async fn order(&self, orders: &Client, id: Uuid, basket: &Basket) -> Result<(), Error> {
        let body = PlaceOrder {
            lines: basket.lines.clone(),
            ttl_seconds: Some(TTL_SECONDS),
            order_id: Some(OrderId::from_uuid(id)),
            hold_id: Some(HoldId::from_uuid(id)),
            owner: Owner::new(&basket.id).ok(),
            reference: None,
        };
        patiently(|| orders.place_order(body.clone())).await.map(|_| ())
    }

    /// Runs the program for half-time; the other buyers go on. What it prints goes to standard error, since standard
    /// output is the replay's own.
    async fn half_time(&self) -> Done {
        let Some(program) = &self.at_half else { return Ok(()) };
        let ran = Command::new("sh").arg("-c").arg(program).stdin(Stdio::null()).output().await;
        let output = ran.map_err(|error| Failure::Usage(format!("--at-half cannot be run: {error}")))?;
        for line in [&output.stdout, &output.stderr].iter().flat_map(|text| text.split(|&byte| byte == b'\n'))
        {
            if !line.is_empty() {
                self.bar.suspend(|| eprintln!("{}", String::from_utf8_lossy(line)));
            }
        }
        if output.status.success() {
            Ok(())
        } else {
            Err(Failure::Check(format!("the program for half-time failed: {}", output.status)))
        }
    }
}

/// Pays an order, or takes it back. One that was paid and is not sold is no sale.
async fn end_order(orders: &Client, id: Uuid, is_released: bool) -> Result<(), Error> {
    let order = OrderId::from_uuid(id);
    if is_released {
        return patiently(|| orders.cancel_order(order, &Cancel { reason: None })).await.map(|_| ());
    }
    let payment_id =
        PaymentId::new(format!("pay-{id}")).map_err(|error| Error::Invalid(error.to_string()))?;
    let body = PayOrder {
        payment_id,
        outcome: "SUCCEEDED".to_owned(),
        amount_minor: None,
        currency: None,
        reacquire: false,
    };
    let paid = patiently(|| orders.pay_order(order, &body)).await?;
    if paid.status == order_status_name(OrderStatus::Paid) {
        Ok(())
    } else {
        Err(Error::Protocol(format!("{order} was paid, and is {}", paid.status)))
    }
}

/// Repeats a call that no node answered for certain.
async fn patiently<T, F: Future<Output = Result<T, Error>>>(mut call: impl FnMut() -> F) -> Result<T, Error> {
    let started = Instant::now();
    loop {
        match call().await {
            Err(error) if error.may_pass() && started.elapsed() < PATIENCE => {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            done => return done,
        }
    }
}

fn of_basket(basket: &Basket, error: Error) -> Failure {
    match error {
        Error::Refused(problem) => {
            Failure::Check(format!("basket {}: {}: {}", basket.id, problem.code.as_str(), problem.detail))
        }
        other => Failure::Sdk(other.about(&format!("it was about basket {}", basket.id))),
    }
}

/// Whether a basket is given back: the same ones for the same seed, whichever buyer takes them.
fn is_released(seed: u64, percent: f64, place: usize) -> bool {
    // Far apart seeds for neighbouring places: the golden ratio as a fraction of 2^64.
    let seed = seed.wrapping_add((place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    fastrand::Rng::with_seed(seed).f64() * 100.0 < percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_the_percentage_is_released_and_the_seed_says_which() {
        let released =
            |seed| (0..10_000).filter(move |&place| is_released(seed, 5.0, place)).collect::<Vec<_>>();
        assert!((400..600).contains(&released(1).len()), "{}", released(1).len());
        assert_eq!(released(1), released(1));
        assert_ne!(released(1), released(2));
        assert!((0..1000).all(|place| !is_released(1, 0.0, place) && is_released(1, 100.0, place)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_while_it_may_pass() {
        let mut outcomes = vec![
            Ok(7),
            Err(Error::OutcomeUnknown("cut off".to_owned())),
            Err(Error::Unavailable { detail: "nobody".to_owned(), problem: None }),
        ];
        let done = patiently(|| std::future::ready(outcomes.pop().unwrap())).await;
        assert_eq!(done.ok(), Some(7));
        assert!(outcomes.is_empty());
        let mut calls = 0;
        let done: Result<(), Error> = patiently(|| {
            calls += 1;
            std::future::ready(Err(Error::Protocol("nonsense".to_owned())))
        })
        .await;
        assert!(matches!(done, Err(Error::Protocol(_))));
        assert_eq!(calls, 1);
    }
}
