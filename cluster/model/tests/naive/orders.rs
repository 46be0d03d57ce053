//! Orders: placed, changed, paid, taken back, over, forgotten.

use holdfast_model::{
    Amount, ClusterTime, HoldId, Line, MovementKind, OrderAction, OrderEvent, OrderEventKind, OrderId,
    OrderStatus, OrderView, Outcome, Owner, Payment, PaymentId, PaymentOutcome, PaymentState, Reason, Record,
    Reference, Refusal, RowKey, Seq, ShortLine,
};

use super::holds::{Asked, EndedBy, merge};
use super::rows::signed;
use super::{Decision, Naive, Who};

#[derive(Clone)]
pub struct Order {
    pub id: OrderId,
    asked: Asked,
    reference: Option<Reference>,
    pub hold: HoldId,
    pub status: OrderStatus,
    payments: Vec<(Payment, Seq)>,
    made_seq: Seq,
    status_seq: Seq,
    pub ended_at: Option<ClusterTime>,
}

impl Order {
    pub fn is_refund_due(&self) -> bool {
        self.payments.iter().any(|(payment, _)| payment.state == PaymentState::RefundDue)
    }

    fn conflict(&self) -> Refusal {
        Refusal::OrderConflict { order: self.id, state: self.status }
    }
}

/// A payment as it is told.
struct Told {
    id: PaymentId,
    outcome: PaymentOutcome,
    amount: Option<Amount>,
    reacquire: bool,
}

impl Naive {
    pub(super) fn act_on_order(&mut self, id: OrderId, action: &OrderAction, who: &Who) -> Decision {
        match action {
            OrderAction::Place { hold, lines, ttl_ms, owner, reference } => {
                let terms = (*ttl_ms, owner.clone(), reference.clone());
                self.place(id, *hold, lines, terms, who)
            }
            OrderAction::ReplaceLines { hold, lines } => self.replace_lines(id, *hold, lines, who),
            OrderAction::Pay { payment, outcome, amount, reacquire } => {
                let id_of_payment = payment.clone();
                let told =
                    Told { id: id_of_payment, outcome: *outcome, amount: *amount, reacquire: *reacquire };
                self.pay(id, &told, who)
            }
            OrderAction::Cancel { .. } => self.cancel_order(id, who),
            OrderAction::Refund { payment } => self.refund(id, payment, who),
        }
    }

    fn find_order(&self, id: OrderId) -> Result<&Order, Refusal> {
        self.orders.iter().find(|order| order.id == id).ok_or(Refusal::UnknownOrder { order: id })
    }

    fn change_order(&mut self, id: OrderId, change: impl FnOnce(&mut Order)) {
        change(self.orders.iter_mut().find(|order| order.id == id).expect("the order was looked up"));
    }

    /// An order that something is about to happen to: it is over if its hold is.
    fn meet_order(&mut self, id: OrderId) -> Result<Order, Refusal> {
        let hold = self.find_order(id)?.hold;
        self.meet(hold).expect("an order keeps its hold");
        self.find_order(id).cloned()
    }

    pub fn order_view(&self, id: OrderId) -> Option<OrderView> {
        let order = self.find_order(id).ok()?;
        Some(OrderView {
            order: id,
            status: order.status,
            reference: order.reference.clone(),
            hold: self.hold_view(order.hold).expect("an order keeps its hold"),
            payments: order.payments.iter().map(|(payment, _)| payment.clone()).collect(),
        })
    }

    /// The orders that `wanted` names, in the order in which they were made.
    pub fn order_views(&self, wanted: impl Fn(&Order) -> bool) -> Vec<OrderView> {
        let mut wanted: Vec<&Order> = self.orders.iter().filter(|order| wanted(order)).collect();
        wanted.sort_by_key(|order| order.made_seq);
        wanted.iter().filter_map(|order| self.order_view(order.id)).collect()
    }

    fn order_done(&self, id: OrderId) -> Decision {
        Ok((Outcome::Order(self.order_view(id).expect("the order was looked up")), None))
    }

    fn order_again(&self, id: OrderId, seq: Seq) -> Decision {
        Ok((Outcome::Order(self.order_view(id).expect("the order was looked up")), Some(seq)))
    }

    /// Writes down what happened to an order, which is so already.
    fn tell(&mut self, id: OrderId, kind: OrderEventKind, payment: Option<&Payment>, who: &Who) -> Seq {
        let (seq, order) = (self.last_seq().next(), self.find_order(id).expect("the order was looked up"));
        let event = OrderEvent {
            seq,
            at: self.now,
            at_utc: self.now.to_utc(self.utc_offset_ms.unwrap_or(0)),
            kind,
            order: id,
            status: order.status,
            hold: order.hold,
            payment: payment.map(|payment| payment.id.clone()),
            amount: payment.and_then(|payment| payment.amount),
            actor: who.actor.clone(),
            reason: who.reason.clone(),
            reference: order.reference.clone().filter(|_| kind == OrderEventKind::Placed),
        };
        self.ledger.push(Record::Order(event));
        seq
    }

    fn turn(
        &mut self,
        id: OrderId,
        status: OrderStatus,
        kind: OrderEventKind,
        payment: Option<&Payment>,
        who: &Who,
    ) {
        let now = self.now;
        self.change_order(id, |order| (order.status, order.ended_at) = (status, Some(now)));
        let seq = self.tell(id, kind, payment, who);
        self.change_order(id, |order| order.status_seq = seq);
    }

    pub(super) fn expire_order(&mut self, id: OrderId) {
        self.turn(id, OrderStatus::Expired, OrderEventKind::Expired, None, &Who::default());
    }

    fn place(
        &mut self,
        id: OrderId,
        hold: HoldId,
        lines: &[Line],
        (ttl_ms, owner, reference): (Option<u64>, Option<Owner>, Option<Reference>),
        who: &Who,
    ) -> Decision {
        let merged = merge(lines);
        let asked = Asked { lines: merged.clone().unwrap_or_default(), ttl_ms, allow_partial: false, owner };
        if let Ok(order) = self.meet_order(id) {
            let is_same = order.asked == asked && order.reference == reference;
            return if is_same {
                self.order_again(id, order.made_seq)
            } else {
                Err(Refusal::OrderExists { order: id, state: order.status })
            };
        }
        self.check_new_hold(hold)?;
        merged?;
        self.check_shape(&asked)?;
        self.check_goods(&asked.lines, &[])?;
        let deadline = ttl_ms.map(|ttl_ms| self.now.plus(ttl_ms));
        self.claim(&asked.lines, |naive| naive.take_goods(hold, asked.clone(), id, deadline, who))?;
        let (status, seq) = (OrderStatus::Placed, Seq(0));
        let order = Order {
            id,
            asked,
            reference,
            hold,
            status,
            payments: Vec::new(),
            made_seq: seq,
            status_seq: seq,
            ended_at: None,
        };
        self.orders.push(order);
        let seq = self.tell(id, OrderEventKind::Placed, None, who);
        self.change_order(id, |order| (order.made_seq, order.status_seq) = (seq, seq));
        self.order_done(id)
    }

    fn check_new_hold(&mut self, hold: HoldId) -> Result<(), Refusal> {
        match self.meet(hold) {
            Ok(known) => Err(Refusal::HoldExists { hold, state: known.status() }),
            Err(_) => Ok(()),
        }
    }

    /// How many of a row can be had by an order that has some of it already.
    fn to_be_had_by(&self, own: &[(RowKey, u64)], row: &RowKey) -> i128 {
        i128::from(of_row(own, row)) + self.to_be_had(row).max(0)
    }

    /// Whether all of the lines can be had.
    fn check_goods(&self, lines: &[(RowKey, u64)], own: &[(RowKey, u64)]) -> Result<(), Refusal> {
        let unknown: Vec<RowKey> =
            lines.iter().map(|(row, _)| row).filter(|row| self.row(row).is_none()).cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownItem { rows: unknown, omitted: 0 });
        }
        let retired = lines
            .iter()
            .filter(|(row, qty)| self.row(row).is_some_and(|found| found.retired) && *qty > of_row(own, row));
        let retired: Vec<RowKey> = retired.map(|(row, _)| row.clone()).collect();
        if !retired.is_empty() {
            return Err(Refusal::ItemRetired { rows: retired, omitted: 0 });
        }
        match self.short_of(lines, own) {
            short if short.is_empty() => Ok(()),
            short => Err(Refusal::InsufficientStock { lines: short, omitted: 0 }),
        }
    }

    fn short_of(&self, lines: &[(RowKey, u64)], own: &[(RowKey, u64)]) -> Vec<ShortLine> {
        let short = lines.iter().filter(|(row, qty)| self.to_be_had_by(own, row) < i128::from(*qty));
        let named = short.map(|(row, qty)| ShortLine {
            row: row.clone(),
            requested: *qty,
            available: signed(self.to_be_had_by(own, row)),
        });
        named.collect()
    }

    fn take_goods(
        &mut self,
        hold: HoldId,
        asked: Asked,
        order: OrderId,
        deadline: Option<ClusterTime>,
        who: &Who,
    ) {
        let lines = asked.lines.iter().map(|(row, qty)| holdfast_model::HoldLineView {
            row: row.clone(),
            requested: *qty,
            granted: *qty,
            reserved: *qty,
            confirmed: 0,
            released: 0,
            expired: 0,
        });
        let lines = lines.collect();
        self.make(hold, asked, (Some(order), deadline), lines, who);
    }

    fn replace_lines(&mut self, id: OrderId, hold: HoldId, lines: &[Line], who: &Who) -> Decision {
        let order = self.meet_order(id);
        let merged = merge(lines);
        let (order, merged) = (order?, merged?);
        let known =
            self.find(hold).ok().filter(|known| known.order == Some(id) && known.asked.lines == merged);
        if let Some(known) = known {
            return self.order_again(id, known.made_seq.next());
        }
        if order.status != OrderStatus::Placed {
            return Err(order.conflict());
        }
        let old = self.find(order.hold).expect("an order keeps its hold").clone();
        if old.asked.lines == merged {
            return self.order_again(id, old.made_seq.next());
        }
        self.check_new_hold(hold)?;
        let asked =
            Asked { lines: merged, ttl_ms: None, allow_partial: false, owner: old.asked.owner.clone() };
        self.check_shape(&asked)?;
        let own = self.open_lines(order.hold);
        self.check_goods(&asked.lines, &own)?;
        let more = asked.lines.iter().map(|(row, qty)| (row.clone(), qty.saturating_sub(of_row(&own, row))));
        let more: Vec<(RowKey, u64)> = more.collect();
        let reason = Reason::new("the order's lines were replaced").expect("a reason");
        let giving_back = Who { reason: Some(reason), ..who.clone() };
        self.claim(&more, |naive| {
            naive.give_back(order.hold, &own, &giving_back);
            naive.take_goods(hold, asked, id, old.deadline, who);
        })?;
        self.change_order(id, |order| order.hold = hold);
        self.tell(id, OrderEventKind::LinesReplaced, None, who);
        self.order_done(id)
    }

    fn pay(&mut self, id: OrderId, told: &Told, who: &Who) -> Decision {
        let order = self.meet_order(id)?;
        let known = order.payments.iter().find(|(payment, _)| payment.id == told.id);
        if let Some((payment, seq)) = known {
            let before = match payment.state {
                PaymentState::Failed => PaymentOutcome::Failed,
                PaymentState::Accepted | PaymentState::RefundDue | PaymentState::Refunded => {
                    PaymentOutcome::Succeeded
                }
            };
            let goes_through = (before, told.outcome) == (PaymentOutcome::Failed, PaymentOutcome::Succeeded);
            if before == told.outcome && payment.amount == told.amount {
                return self.order_again(id, *seq);
            }
            if !goes_through {
                return Err(Refusal::PaymentExists { payment: told.id.clone(), state: payment.state });
            }
        }
        let limit = self.config.max_order_payments;
        if told.outcome == PaymentOutcome::Failed && order.payments.len() as u64 >= limit {
            return Err(Refusal::TooManyPayments { limit });
        }
        let is_sold = told.outcome == PaymentOutcome::Succeeded && self.sell_order(&order, told, who);
        let (state, kind) = match (told.outcome, is_sold) {
            (PaymentOutcome::Failed, _) => (PaymentState::Failed, OrderEventKind::PaymentFailed),
            (PaymentOutcome::Succeeded, true) => (PaymentState::Accepted, OrderEventKind::Paid),
            (PaymentOutcome::Succeeded, false) => (PaymentState::RefundDue, OrderEventKind::RefundDue),
        };
        let payment = Payment { id: told.id.clone(), state, amount: told.amount };
        if is_sold {
            self.turn(id, OrderStatus::Paid, kind, Some(&payment), who);
        } else {
            self.tell(id, kind, Some(&payment), who);
        }
        self.keep_payment(id, payment);
        self.order_done(id)
    }

    /// Whether the goods could be sold.
    fn sell_order(&mut self, order: &Order, told: &Told, who: &Who) -> bool {
        let hold = self.find(order.hold).expect("an order keeps its hold").clone();
        match order.status {
            OrderStatus::Placed => {
                let open = self.open_lines(hold.id);
                self.unless_too_large(|naive| naive.sell(hold.id, &open, EndedBy::Confirm, who)).is_ok()
            }
            OrderStatus::Expired => told.reacquire && self.reacquire(&hold, None, who.clone()).is_ok(),
            OrderStatus::Paid | OrderStatus::Cancelled => false,
        }
    }

    /// Keeps a payment with the event that was told last.
    fn keep_payment(&mut self, id: OrderId, payment: Payment) {
        let seq = self.last_seq();
        self.change_order(id, |order| {
            match order.payments.iter_mut().find(|(known, _)| known.id == payment.id) {
                Some(known) => *known = (payment, seq),
                None => order.payments.push((payment, seq)),
            }
        });
    }

    fn cancel_order(&mut self, id: OrderId, who: &Who) -> Decision {
        let order = self.meet_order(id)?;
        match order.status {
            OrderStatus::Cancelled | OrderStatus::Expired => self.order_again(id, order.status_seq),
            OrderStatus::Paid => Err(order.conflict()),
            OrderStatus::Placed => {
                let open = self.open_lines(order.hold);
                self.give_back(order.hold, &open, who);
                self.turn(id, OrderStatus::Cancelled, OrderEventKind::Cancelled, None, who);
                self.order_done(id)
            }
        }
    }

    fn give_back(&mut self, hold: HoldId, parts: &[(RowKey, u64)], who: &Who) {
        self.change(hold, parts, Some(EndedBy::Release), MovementKind::Released, who, |line, qty| {
            line.reserved -= qty;
            line.released += qty;
        });
    }

    fn refund(&mut self, id: OrderId, payment: &PaymentId, who: &Who) -> Decision {
        let order = self.meet_order(id)?;
        let known = order.payments.iter().find(|(known, _)| known.id == *payment);
        let unknown = || Refusal::UnknownPayment { order: id, payment: payment.clone() };
        let (known, seq) = known.ok_or_else(unknown)?;
        match known.state {
            PaymentState::Refunded => return self.order_again(id, *seq),
            PaymentState::RefundDue => {}
            PaymentState::Failed | PaymentState::Accepted => {
                return Err(Refusal::RefundNotDue { payment: payment.clone(), state: known.state });
            }
        }
        let refunded = Payment { state: PaymentState::Refunded, ..known.clone() };
        self.tell(id, OrderEventKind::Refunded, Some(&refunded), who);
        self.keep_payment(id, refunded);
        let now = self.now;
        self.change_order(id, |order| order.ended_at = order.ended_at.map(|_| now));
        self.order_done(id)
    }

    /// Forgets up to `limit` orders whose window is over, those that ended first before others; but none for which
    /// money is owed.
    pub(super) fn forget_orders(&mut self, limit: usize) {
        for _ in 0..limit {
            let over = self.orders.iter().filter(|order| !order.is_refund_due());
            let over = over.filter_map(|order| Some((order.ended_at?, order.made_seq, order.id, order.hold)));
            match over.min() {
                Some((at, _, id, hold)) if self.is_over(at) => {
                    self.orders.retain(|order| order.id != id);
                    self.holds.retain(|known| known.id != hold);
                }
                _ => return,
            }
        }
    }
}

fn of_row(lines: &[(RowKey, u64)], row: &RowKey) -> u64 {
    lines.iter().find(|(other, _)| other == row).map_or(0, |(_, qty)| *qty)
}
