//! Sixth invariant: an order stands where its hold stands and where its events say; money for which nothing was sold is
//! owed until it is given back.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_model::{
    HoldStatus, Inventory, OrderEvent, OrderEventKind, OrderId, OrderStatus, OrderView, PaymentId,
    PaymentState, Record,
};

use super::Seen;

/// What the events told of one order.
#[derive(Default)]
struct Told {
    status: Option<OrderStatus>,
    payments: BTreeMap<PaymentId, PaymentState>,
}

/// What the events told of every order.
#[derive(Default)]
pub struct Orders {
    told: BTreeMap<OrderId, Told>,
}

impl Orders {
    pub fn check(&mut self, seen: &Seen<'_>, inventory: &Inventory) {
        for record in seen.records {
            if let Record::Order(event) = record {
                self.take(event);
            }
        }
        for order in &seen.orders {
            check_hold(order, inventory);
            self.check_told(order);
        }
        self.check_owed(&seen.orders);
        check_movements(seen);
    }

    fn take(&mut self, event: &OrderEvent) {
        let told = self.told.entry(event.order).or_default();
        let (status, state) = match event.kind {
            OrderEventKind::Placed => {
                // A forgotten id may be used anew.
                *told = Told::default();
                (Some(OrderStatus::Placed), None)
            }
            OrderEventKind::LinesReplaced => (Some(OrderStatus::Placed), None),
            OrderEventKind::Paid => (Some(OrderStatus::Paid), Some(PaymentState::Accepted)),
            OrderEventKind::Cancelled => (Some(OrderStatus::Cancelled), None),
            OrderEventKind::Expired => (Some(OrderStatus::Expired), None),
            OrderEventKind::PaymentFailed => (told.status, Some(PaymentState::Failed)),
            OrderEventKind::RefundDue => (told.status, Some(PaymentState::RefundDue)),
            OrderEventKind::Refunded => (told.status, Some(PaymentState::Refunded)),
        };
        assert_eq!(status, Some(event.status), "sixth invariant: the status of {event:?}");
        assert_eq!(state.is_some(), event.payment.is_some(), "sixth invariant: the payment of {event:?}");
        told.status = status;
        if let (Some(payment), Some(state)) = (event.payment.clone(), state) {
            let before = told.payments.insert(payment, state);
            let follows = match state {
                PaymentState::Failed => before.is_none(),
                PaymentState::Accepted | PaymentState::RefundDue => {
                    matches!(before, None | Some(PaymentState::Failed))
                }
                PaymentState::Refunded => before == Some(PaymentState::RefundDue),
            };
            assert!(follows, "sixth invariant: {event:?} after {before:?}");
        }
    }

    fn check_told(&self, order: &OrderView) {
        let told = self.told.get(&order.order).expect("sixth invariant: its events tell of it");
        assert_eq!(told.status, Some(order.status), "sixth invariant: what is told of {order:?}");
        let payments: BTreeMap<PaymentId, PaymentState> =
            order.payments.iter().map(|payment| (payment.id.clone(), payment.state)).collect();
        assert_eq!(told.payments, payments, "sixth invariant: the payments of {order:?}");
        let accepted = payments.values().filter(|state| **state == PaymentState::Accepted).count();
        assert_eq!(accepted, usize::from(order.status == OrderStatus::Paid), "sixth invariant: {order:?}");
    }

    /// No order is forgotten while it may be paid, or money is owed for it.
    fn check_owed(&self, orders: &[OrderView]) {
        let known: BTreeSet<OrderId> = orders.iter().map(|order| order.order).collect();
        for (id, told) in &self.told {
            let is_owed = told.payments.values().any(|state| *state == PaymentState::RefundDue);
            let may_be_paid = told.status == Some(OrderStatus::Placed);
            assert!(known.contains(id) || !is_owed && !may_be_paid, "sixth invariant: {id} is forgotten");
        }
    }
}

fn check_hold(order: &OrderView, inventory: &Inventory) {
    let hold = inventory.hold(order.hold.hold).expect("sixth invariant: an order keeps its hold");
    assert_eq!(hold, order.hold, "sixth invariant: the hold of {order:?}");
    assert_eq!(hold.order, Some(order.order), "sixth invariant: the order of {hold:?}");
    let expected = match order.status {
        OrderStatus::Placed => HoldStatus::Held,
        OrderStatus::Paid => HoldStatus::Confirmed,
        OrderStatus::Cancelled => HoldStatus::Released,
        OrderStatus::Expired => HoldStatus::Expired,
    };
    assert_eq!(hold.status, expected, "sixth invariant: {order:?}");
    let is_whole = hold.lines.iter().all(|line| line.granted == line.requested);
    assert!(is_whole, "sixth invariant: an order has all of its lines: {order:?}");
}

/// An event comes right after the movements of the same change, and movements of an order's hold name the order.
fn check_movements(seen: &Seen<'_>) {
    for hold in seen.holds.iter().filter(|hold| hold.order.is_some()) {
        for movement in seen.made {
            if let holdfast_model::Cause::Hold { hold: id, order, .. } = movement.cause
                && id == hold.hold
            {
                assert_eq!(order, hold.order, "sixth invariant: the order of {movement:?}");
            }
        }
    }
}
