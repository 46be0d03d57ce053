//! The sixth invariant: an order and its hold say the same, and so does the ledger; and what is kept for stores is whole.

use std::collections::BTreeMap;

use super::audit::Audit;
use super::frozen::Frozen;
use super::holds::Hold;
use super::orders::Order;
use super::registry::{LIVE_SECRETS, Subscription, are_numbered};
use super::replay::Replay;
use crate::{HoldId, HoldStatus, OrderStatus, PaymentState, Seq};

impl Frozen {
    /// Checks each order against its hold and its payments, and that no hold of an order is left over.
    pub(super) fn audit_orders(&self, audit: &mut Audit) {
        let mut kept: BTreeMap<HoldId, &Hold> =
            self.holds().filter(|hold| hold.is_kept()).map(|hold| (hold.id, hold)).collect();
        for order in self.orders() {
            audit.orders += 1;
            let id = order.id;
            match kept.remove(&order.hold).filter(|hold| hold.order == Some(id)) {
                Some(hold) if hold.status() == status_of_hold(order.status) => {}
                Some(hold) => audit.fault(6, || {
                    format!("order {id} is {:?}, its hold is {:?}", order.status, hold.status())
                }),
                None => audit.fault(6, || format!("order {id} has no hold of its own")),
            }
            if !is_whole(order) {
                audit.fault(6, || format!("order {id}: {:?} does not fit its payments", order.status));
            }
        }
        if let Some(hold) = kept.keys().next() {
            audit.fault(6, || format!("hold {hold} is of an order that is not there"));
        }
    }

    /// Checks that subscriptions and dead letters are numbered as they came, and that a subscription can be signed for.
    pub(super) fn audit_registry(&self, audit: &mut Audit) {
        let last = self.clock.last_number;
        if !are_numbered(self.subscriptions(), last) || !are_numbered(self.letters(), last) {
            audit.fault(0, || "a subscription or dead letter has a number that is not its own".to_owned());
        }
        let has_secrets = |known: &Subscription| (1..=LIVE_SECRETS).contains(&known.secrets.len());
        if let Some(known) = self.subscriptions().find(|known| !has_secrets(known)) {
            audit.fault(0, || format!("subscription {} has {} secrets", known.id, known.secrets.len()));
        }
    }

    /// Compares the orders that may be paid, and the payments that are owed, with what the ledger tells of them.
    pub(super) fn audit_told_orders(&self, audit: &mut Audit, replay: &Replay) {
        let first = replay.first_seq();
        let is_older = |seq: u64| Seq(seq) < first;
        let (mut placed, mut due) = (0, 0);
        for order in self.orders() {
            let is_told = replay.placed().contains(&order.id);
            placed += usize::from(is_told && order.status == OrderStatus::Placed);
            if order.status == OrderStatus::Placed && !is_told && !is_older(order.made_seq) {
                audit.fault(4, || format!("order {} may be paid, the ledger tells otherwise", order.id));
            }
            for known in order.payments.iter().filter(|known| known.payment.state == PaymentState::RefundDue)
            {
                let is_told = replay.due().contains(&(order.id, known.payment.id.clone()));
                due += usize::from(is_told);
                if !is_told && !is_older(known.seq) {
                    let (id, payment) = (order.id, &known.payment.id);
                    audit.fault(4, || format!("order {id}: {payment} is owed, the ledger tells otherwise"));
                }
            }
        }
        let more = replay.placed().len() - placed;
        if more > 0 {
            audit.fault(4, || format!("the ledger tells of {more} orders to be paid that are not there"));
        }
        let more = replay.due().len() - due;
        if more > 0 {
            audit.fault(4, || format!("the ledger tells of {more} payments owed that are not there"));
        }
    }
}

fn status_of_hold(status: OrderStatus) -> HoldStatus {
    match status {
        OrderStatus::Placed => HoldStatus::Held,
        OrderStatus::Paid => HoldStatus::Confirmed,
        OrderStatus::Cancelled => HoldStatus::Released,
        OrderStatus::Expired => HoldStatus::Expired,
    }
}

/// Whether one payment was accepted where the order was paid and none elsewhere, and it ended where it is not to be paid.
fn is_whole(order: &Order) -> bool {
    let is_paid = order.status == OrderStatus::Paid;
    order.count(PaymentState::Accepted) == usize::from(is_paid)
        && order.ended_at.is_none() == (order.status == OrderStatus::Placed)
}
