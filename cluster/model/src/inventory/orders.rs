//! Orders: those that may be paid, and ended ones for as long as they are remembered.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::digest::{Bytes, Kind};
use super::paged::Paged;
use super::slab::{Identified, Slab};
use crate::{ClusterTime, HoldId, OrderId, OrderStatus, Payment, PaymentId, PaymentState, Reference, Seq};

/// A payment, and the event that last told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderPayment {
    pub payment: Payment,
    pub seq: u64,
}

/// One order. Whom it is for, its lines and its deadline are its hold's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: OrderId,
    /// Hash of what was asked for, to tell a repeat from another use of the id.
    pub content: u64,
    pub reference: Option<Reference>,
    /// The hold that it has now, which is remembered as long as the order.
    pub hold: HoldId,
    pub status: OrderStatus,
    /// In the order in which they first came.
    pub payments: Vec<OrderPayment>,
    /// The event of its making. No two orders share it, so it orders them.
    pub made_seq: u64,
    /// The event that brought it to where it stands.
    pub status_seq: u64,
    /// From when on it is remembered for the window of ended orders; none while it may be paid.
    pub ended_at: Option<ClusterTime>,
}

impl Identified for Order {
    fn uuid(&self) -> Uuid {
        self.id.uuid()
    }
}

impl Order {
    /// The payment with an id.
    pub fn payment(&self, id: &PaymentId) -> Option<&OrderPayment> {
        self.payments.iter().find(|known| known.payment.id == *id)
    }

    /// Keeps a payment, in the place of what was known of it.
    pub fn keep(&mut self, payment: Payment, seq: Seq) {
        let kept = OrderPayment { payment, seq: seq.0 };
        match self.payments.iter_mut().find(|known| known.payment.id == kept.payment.id) {
            Some(known) => *known = kept,
            None => self.payments.push(kept),
        }
    }

    /// How many of its payments are in a state.
    pub fn count(&self, state: PaymentState) -> usize {
        self.payments.iter().filter(|known| known.payment.state == state).count()
    }

    pub fn is_refund_due(&self) -> bool {
        self.count(PaymentState::RefundDue) > 0
    }

    /// When its window begins: none while it may be paid, or money is owed for it.
    fn over_since(&self) -> Option<ClusterTime> {
        self.ended_at.filter(|_| !self.is_refund_due())
    }

    /// The order's share of the digest: one hash for itself and one for each payment.
    pub fn digest(&self) -> u128 {
        let id = self.id.uuid().as_u128();
        let text = |text: &str| xxh3_128(text.as_bytes());
        let head = Bytes::new()
            .wide(id)
            .wide(self.reference.as_ref().map_or(0, |reference| text(reference.as_str())))
            .wide(self.hold.uuid().as_u128())
            .optional(self.ended_at.map(|at| at.0))
            .numbers(&[self.content, self.status as u64, self.made_seq, self.status_seq])
            .hash(Kind::Order);
        (0_u64..).zip(&self.payments).fold(head, |sum, (place, OrderPayment { payment, seq })| {
            let (amount, currency) = payment
                .amount
                .map_or((None, 0), |amount| (Some(amount.minor_units()), text(amount.currency().as_str())));
            let mut bytes = Bytes::new();
            bytes.wide(id).wide(text(payment.id.as_str())).wide(currency).optional(amount);
            sum.wrapping_add(bytes.numbers(&[place, payment.state as u64, *seq]).hash(Kind::Payment))
        })
    }
}

/// All orders, and the ways to find them.
#[derive(Default)]
pub struct Orders {
    orders: Slab<Order>,
    /// By status, in the order in which they were made.
    by_status: [BTreeSet<(u64, u32)>; OrderStatus::ALL.len()],
    /// Those for which money is owed, in the order in which they were made.
    refund_due: BTreeSet<(u64, u32)>,
    ended: BTreeSet<(ClusterTime, u64, u32)>,
}

impl Orders {
    pub fn find(&self, id: OrderId) -> Option<u32> {
        self.orders.find(id.uuid())
    }

    pub fn get(&self, ix: u32) -> &Order {
        self.orders.get(ix)
    }

    /// Adds an order whose id is new; returns its place.
    pub fn insert(&mut self, order: Order) -> u32 {
        let ix = self.orders.insert(order);
        self.list(ix);
        ix
    }

    /// Changes an order and keeps every index right.
    pub fn change(&mut self, ix: u32, change: impl FnOnce(&mut Order)) {
        self.unlist(ix);
        change(self.orders.get_mut(ix));
        self.list(ix);
    }

    /// Forgets an order.
    pub fn forget(&mut self, ix: u32) {
        self.unlist(ix);
        self.orders.remove(ix);
    }

    fn list(&mut self, ix: u32) {
        let order = self.orders.get(ix);
        let turn = (order.made_seq, ix);
        self.by_status[order.status as usize].insert(turn);
        if order.is_refund_due() {
            self.refund_due.insert(turn);
        }
        if let Some(at) = order.over_since() {
            self.ended.insert((at, order.made_seq, ix));
        }
    }

    fn unlist(&mut self, ix: u32) {
        let order = self.orders.get(ix);
        let turn = (order.made_seq, ix);
        self.by_status[order.status as usize].remove(&turn);
        self.refund_due.remove(&turn);
        if let Some(at) = order.over_since() {
            self.ended.remove(&(at, order.made_seq, ix));
        }
    }

    /// The order whose window began first.
    pub fn first_ended(&self) -> Option<(ClusterTime, u32)> {
        self.ended.first().map(|&(at, _, ix)| (at, ix))
    }

    /// Up to `limit` orders made after the event `after`, in the order in which they were made.
    pub fn page(&self, status: Option<OrderStatus>, after: u64, limit: usize) -> Vec<u32> {
        let wanted = OrderStatus::ALL.into_iter().filter(|&one| status.is_none_or(|status| status == one));
        let mut found: Vec<(u64, u32)> =
            wanted.flat_map(|one| after_in(&self.by_status[one as usize], after).take(limit)).collect();
        found.sort_unstable();
        found.truncate(limit);
        found.into_iter().map(|(_, ix)| ix).collect()
    }

    /// The same of the orders for which money is owed.
    pub fn page_of_refunds(&self, after: u64, limit: usize) -> Vec<u32> {
        after_in(&self.refund_due, after).take(limit).map(|(_, ix)| ix).collect()
    }

    pub fn count(&self, status: OrderStatus) -> u64 {
        self.by_status[status as usize].len() as u64
    }

    pub fn len(&self) -> u64 {
        self.orders.len() as u64
    }

    pub fn refund_due_count(&self) -> u64 {
        self.refund_due.len() as u64
    }

    /// The orders without the ways to find them: enough for a frozen state.
    pub fn frozen(&self) -> Paged<Option<Order>> {
        self.orders.places()
    }
}

fn after_in(index: &BTreeSet<(u64, u32)>, after: u64) -> impl Iterator<Item = (u64, u32)> {
    index.range((Bound::Excluded((after, u32::MAX)), Bound::Unbounded)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(made_seq: u64, status: OrderStatus, ended_at: Option<u64>) -> Order {
        Order {
            id: OrderId::from_uuid(Uuid::from_u128(u128::from(made_seq))),
            content: 0,
            reference: None,
            hold: HoldId::from_uuid(Uuid::from_u128(u128::from(made_seq))),
            status,
            payments: Vec::new(),
            made_seq,
            status_seq: made_seq,
            ended_at: ended_at.map(ClusterTime),
        }
    }

    fn pay(order: &mut Order, state: PaymentState) {
        let payment = Payment { id: PaymentId::new("p").unwrap(), state, amount: None };
        order.keep(payment, Seq(9));
    }

    #[test]
    fn orders_are_listed_as_they_were_made_whatever_places_they_have() {
        let mut orders = Orders::default();
        let first = orders.insert(order(4, OrderStatus::Paid, Some(7)));
        orders.insert(order(5, OrderStatus::Placed, None));
        orders.forget(first);
        for (made_seq, status) in
            [(6, OrderStatus::Expired), (8, OrderStatus::Placed), (9, OrderStatus::Cancelled)]
        {
            let ended_at = (status != OrderStatus::Placed).then_some(made_seq);
            orders.insert(order(made_seq, status, ended_at));
        }
        let made = |page: Vec<u32>| page.into_iter().map(|ix| orders.get(ix).made_seq).collect::<Vec<_>>();
        assert_eq!(made(orders.page(None, 0, 9)), [5, 6, 8, 9]);
        assert_eq!(made(orders.page(None, 5, 2)), [6, 8]);
        assert_eq!(made(orders.page(Some(OrderStatus::Placed), 0, 9)), [5, 8]);
        assert_eq!(made(orders.page(Some(OrderStatus::Placed), 5, 9)), [8]);
        assert_eq!(made(orders.page(Some(OrderStatus::Paid), 0, 9)), [0_u64; 0]);
        assert_eq!((orders.len(), orders.count(OrderStatus::Placed)), (4, 2));
    }

    #[test]
    fn an_order_is_not_over_while_money_is_owed_for_it() {
        let mut orders = Orders::default();
        let ix = orders.insert(order(4, OrderStatus::Expired, Some(7)));
        assert_eq!(orders.first_ended(), Some((ClusterTime(7), ix)));
        orders.change(ix, |order| pay(order, PaymentState::RefundDue));
        assert_eq!((orders.first_ended(), orders.refund_due_count()), (None, 1));
        assert_eq!(orders.page_of_refunds(0, 9), [ix]);
        assert_eq!(orders.page_of_refunds(4, 9), [0_u32; 0]);
        orders.change(ix, |order| pay(order, PaymentState::Refunded));
        assert_eq!((orders.first_ended(), orders.refund_due_count()), (Some((ClusterTime(7), ix)), 0));
    }

    #[test]
    fn the_digest_depends_on_every_payment() {
        let mut one = order(1, OrderStatus::Paid, None);
        let empty = one.digest();
        pay(&mut one, PaymentState::Failed);
        let failed = one.digest();
        pay(&mut one, PaymentState::Accepted);
        assert!(empty != failed && failed != one.digest());
        assert_eq!(one.payments.len(), 1);
    }
}
