//! Orders: placed, changed, paid, taken back, given their money back. Each changes an order and its hold together.

use xxhash_rust::xxh3::Xxh3;

use super::holds::EndedBy;
use super::lines::{Merged, merge};
use super::orders::Order;
use super::reserve::{Ask, content_hash};
use super::{By, Decision, Done, Inventory, Step};
use crate::{
    Amount, HoldId, Line, OrderAction, OrderEvent, OrderEventKind, OrderId, OrderStatus, Outcome, Payment,
    PaymentId, PaymentOutcome, PaymentState, Reason, Record, Reference, Refusal, Seq,
};

/// What the movements say that give back the goods of replaced lines.
const LINES_REPLACED: &str = "the order's lines were replaced";

/// What an order is asked for: the fields of [`OrderAction::Place`].
struct Placing<'a> {
    ask: Ask<'a>,
    reference: Option<&'a Reference>,
}

/// What is said of a payment: the fields of [`OrderAction::Pay`].
struct Paying<'a> {
    payment: &'a PaymentId,
    outcome: PaymentOutcome,
    amount: Option<Amount>,
    reacquire: bool,
}

impl Paying<'_> {
    fn in_state(&self, state: PaymentState) -> Payment {
        Payment { id: self.payment.clone(), state, amount: self.amount }
    }
}

impl Inventory {
    pub(super) fn act_on_order(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: OrderId,
        action: &OrderAction,
    ) -> Decision {
        match action {
            OrderAction::Place { hold, lines, ttl_ms, owner, reference } => {
                let (hold, ttl_ms, owner) = (*hold, *ttl_ms, owner.as_ref());
                let ask = Ask { hold, lines, ttl_ms, allow_partial: false, owner, order: Some(id) };
                self.place_order(step, by, id, &Placing { ask, reference: reference.as_ref() })
            }
            OrderAction::ReplaceLines { hold, lines } => self.replace_lines(step, by, id, *hold, lines),
            OrderAction::Pay { payment, outcome, amount, reacquire } => {
                let (outcome, amount, reacquire) = (*outcome, *amount, *reacquire);
                self.pay_order(step, by, id, &Paying { payment, outcome, amount, reacquire })
            }
            OrderAction::Cancel { reason } => {
                self.cancel_order(step, By { reason: reason.as_ref(), ..by }, id)
            }
            OrderAction::Refund { payment } => self.refund(step, by, id, payment),
        }
    }

    fn place_order(&mut self, step: &mut Step, by: By<'_>, id: OrderId, placing: &Placing<'_>) -> Decision {
        let Placing { ask, reference } = placing;
        let merged = merge(ask.lines);
        if let Some(ix) = self.meet_order(step, id) {
            let known = self.orders.get(ix);
            let is_same = merged
                .is_ok_and(|merged| known.content == order_content(content_hash(ask, &merged), *reference));
            return if is_same {
                Ok(Done::before(self.order_outcome(ix), Seq(known.made_seq)))
            } else {
                Err(Refusal::OrderExists { order: id, state: known.status })
            };
        }
        self.check_new_hold(step, ask.hold)?;
        let merged = merged?;
        self.check_shape(merged.len(), ask.ttl_ms)?;
        let (content, goods) = (content_hash(ask, &merged), goods_content(ask, &merged));
        let mut claims = self.claims(merged, None)?;
        self.grant(step, &mut claims, false)?;
        self.make_hold(step, by, ask, (goods, self.deadline_of(ask.ttl_ms)), &claims);
        let seq = self.clock.last_seq.next();
        let order = Order {
            id,
            content: order_content(content, *reference),
            reference: reference.cloned(),
            hold: ask.hold,
            status: OrderStatus::Placed,
            payments: Vec::new(),
            made_seq: seq.0,
            status_seq: seq.0,
            ended_at: None,
        };
        self.sums.orders = self.sums.orders.wrapping_add(order.digest());
        let ix = self.orders.insert(order);
        self.tell(step, By { reference: *reference, ..by }, ix, OrderEventKind::Placed, None);
        Ok(Done::now(self.order_outcome(ix)))
    }

    /// A hold's id that an order brings along must be new: another use of it is not the order's.
    fn check_new_hold(&mut self, step: &mut Step, id: HoldId) -> Result<(), Refusal> {
        match self.meet_hold(step, id) {
            Some(ix) => Err(Refusal::HoldExists { hold: id, state: self.holds.get(ix).status() }),
            None => Ok(()),
        }
    }

    fn replace_lines(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: OrderId,
        hold: HoldId,
        lines: &[Line],
    ) -> Decision {
        let found = self.meet_order(step, id);
        let merged = merge(lines);
        let ix = found.ok_or(Refusal::UnknownOrder { order: id })?;
        let old = self.hold_of(ix);
        let merged = merged?;
        let had = self.holds.get(old);
        let (owner, deadline) = (had.owner.clone(), had.deadline);
        let ask =
            Ask { hold, lines, ttl_ms: None, allow_partial: false, owner: owner.as_ref(), order: Some(id) };
        let content = goods_content(&ask, &merged);
        // The lines that it has already, or had under this very hold: a repeat.
        if let Some(known) = self.holds.find(hold).map(|known| self.holds.get(known))
            && known.order == Some(id)
            && known.content == content
        {
            return Ok(Done::before(self.order_outcome(ix), Seq(known.made_seq).next()));
        }
        self.check_placed(ix)?;
        if had.content == content {
            return Ok(Done::before(self.order_outcome(ix), Seq(had.made_seq).next()));
        }
        self.check_new_hold(step, hold)?;
        self.check_shape(merged.len(), None)?;
        let mut claims = self.claims(merged, Some(old))?;
        self.grant(step, &mut claims, false)?;
        let reason = Reason::new(LINES_REPLACED).ok();
        let giving_back = By { reason: reason.as_ref(), ..by };
        self.give_back_parts(step, giving_back, old, None, EndedBy::Replacement)?;
        self.make_hold(step, by, &ask, (content, deadline), &claims);
        self.change_order(ix, |order| order.hold = hold);
        self.tell(step, by, ix, OrderEventKind::LinesReplaced, None);
        Ok(Done::now(self.order_outcome(ix)))
    }

    fn pay_order(&mut self, step: &mut Step, by: By<'_>, id: OrderId, paying: &Paying<'_>) -> Decision {
        let ix = self.known_order(step, id)?;
        if let Some(known) = self.orders.get(ix).payment(paying.payment) {
            let (state, amount) = (known.payment.state, known.payment.amount);
            let had_failed = state == PaymentState::Failed;
            let is_same = had_failed == (paying.outcome == PaymentOutcome::Failed);
            if is_same && amount == paying.amount {
                return Ok(Done::before(self.order_outcome(ix), Seq(known.seq)));
            }
            // One that failed may go through after all; nothing else may change.
            if is_same || !had_failed {
                return Err(Refusal::PaymentExists { payment: paying.payment.clone(), state });
            }
        }
        match paying.outcome {
            PaymentOutcome::Succeeded => self.take_money(step, by, ix, paying),
            PaymentOutcome::Failed => self.note_failure(step, by, ix, paying)?,
        }
        Ok(Done::now(self.order_outcome(ix)))
    }

    /// Sells the goods for a payment, or keeps it as owed to the buyer. Never refused: the money is there.
    fn take_money(&mut self, step: &mut Step, by: By<'_>, ix: u32, paying: &Paying<'_>) {
        let hold = self.hold_of(ix);
        let is_sold = match self.orders.get(ix).status {
            OrderStatus::Placed => self.sell_parts(step, by, hold, None).is_ok(),
            OrderStatus::Expired if paying.reacquire => self.reacquire(step, by, hold, None).is_ok(),
            OrderStatus::Expired | OrderStatus::Paid | OrderStatus::Cancelled => false,
        };
        if is_sold {
            let payment = paying.in_state(PaymentState::Accepted);
            self.turn(ix, OrderStatus::Paid);
            self.keep_payment(step, by, ix, payment, OrderEventKind::Paid);
        } else {
            let payment = paying.in_state(PaymentState::RefundDue);
            self.keep_payment(step, by, ix, payment, OrderEventKind::RefundDue);
        }
    }

    fn note_failure(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        paying: &Paying<'_>,
    ) -> Result<(), Refusal> {
        let limit = self.config.max_order_payments;
        if self.orders.get(ix).payments.len() as u64 >= limit {
            return Err(Refusal::TooManyPayments { limit });
        }
        let payment = paying.in_state(PaymentState::Failed);
        self.keep_payment(step, by, ix, payment, OrderEventKind::PaymentFailed);
        Ok(())
    }

    fn cancel_order(&mut self, step: &mut Step, by: By<'_>, id: OrderId) -> Decision {
        let ix = self.known_order(step, id)?;
        let order = self.orders.get(ix);
        match order.status {
            OrderStatus::Cancelled | OrderStatus::Expired => {
                return Ok(Done::before(self.order_outcome(ix), Seq(order.status_seq)));
            }
            OrderStatus::Paid | OrderStatus::Placed => self.check_placed(ix)?,
        }
        self.give_back_parts(step, by, self.hold_of(ix), None, EndedBy::Release)?;
        self.turn(ix, OrderStatus::Cancelled);
        self.tell(step, by, ix, OrderEventKind::Cancelled, None);
        Ok(Done::now(self.order_outcome(ix)))
    }

    fn refund(&mut self, step: &mut Step, by: By<'_>, id: OrderId, payment: &PaymentId) -> Decision {
        let ix = self.known_order(step, id)?;
        let known = self.orders.get(ix).payment(payment);
        let known = known.ok_or_else(|| Refusal::UnknownPayment { order: id, payment: payment.clone() })?;
        match known.payment.state {
            PaymentState::RefundDue => {}
            PaymentState::Refunded => return Ok(Done::before(self.order_outcome(ix), Seq(known.seq))),
            state @ (PaymentState::Failed | PaymentState::Accepted) => {
                return Err(Refusal::RefundNotDue { payment: payment.clone(), state });
            }
        }
        let refunded = Payment { state: PaymentState::Refunded, ..known.payment.clone() };
        let now = self.clock.now;
        self.keep_payment(step, by, ix, refunded, OrderEventKind::Refunded);
        self.change_order(ix, |order| order.ended_at = order.ended_at.map(|_| now));
        Ok(Done::now(self.order_outcome(ix)))
    }

    /// An order's hold was over before it was paid.
    pub(super) fn expire_order(&mut self, step: &mut Step, id: OrderId) {
        if let Some(ix) = self.orders.find(id) {
            self.turn(ix, OrderStatus::Expired);
            self.tell(step, By::default(), ix, OrderEventKind::Expired, None);
        }
    }

    /// The order with an id, expired first when its hold is due: no command meets an order that is over but not ended.
    fn meet_order(&mut self, step: &mut Step, id: OrderId) -> Option<u32> {
        let ix = self.orders.find(id)?;
        self.expire_if_due(step, self.hold_of(ix));
        Some(ix)
    }

    fn known_order(&mut self, step: &mut Step, id: OrderId) -> Result<u32, Refusal> {
        self.meet_order(step, id).ok_or(Refusal::UnknownOrder { order: id })
    }

    /// The place of an order's hold.
    ///
    /// # Panics
    /// When it is not there: it is forgotten along with the order.
    pub(super) fn hold_of(&self, ix: u32) -> u32 {
        self.holds.find(self.orders.get(ix).hold).expect("an order keeps its hold")
    }

    fn check_placed(&self, ix: u32) -> Result<(), Refusal> {
        let order = self.orders.get(ix);
        match order.status {
            OrderStatus::Placed => Ok(()),
            state @ (OrderStatus::Paid | OrderStatus::Cancelled | OrderStatus::Expired) => {
                Err(Refusal::OrderConflict { order: order.id, state })
            }
        }
    }

    /// Brings an order to where the next event says that it stands.
    fn turn(&mut self, ix: u32, status: OrderStatus) {
        let (now, seq) = (self.clock.now, self.clock.last_seq.next());
        self.change_order(ix, |order| {
            order.status = status;
            order.status_seq = seq.0;
            order.ended_at = Some(now);
        });
    }

    /// Keeps a payment as the next event tells it, and tells it.
    fn keep_payment(&mut self, step: &mut Step, by: By<'_>, ix: u32, payment: Payment, kind: OrderEventKind) {
        let seq = self.clock.last_seq.next();
        self.change_order(ix, |order| order.keep(payment.clone(), seq));
        self.tell(step, by, ix, kind, Some(&payment));
    }

    /// Writes down what happened to an order, as it stands after it.
    fn tell(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        ix: u32,
        kind: OrderEventKind,
        payment: Option<&Payment>,
    ) {
        let seq = self.clock.last_seq.next();
        self.clock.last_seq = seq;
        let (at, order) = (self.clock.now, self.orders.get(ix));
        step.records.push(Record::Order(OrderEvent {
            seq,
            at,
            at_utc: at.to_utc(self.clock.utc_offset_ms.unwrap_or_default()),
            kind,
            order: order.id,
            status: order.status,
            hold: order.hold,
            payment: payment.map(|payment| payment.id.clone()),
            amount: payment.and_then(|payment| payment.amount),
            actor: by.actor.cloned(),
            reason: by.reason.cloned(),
            reference: by.reference.cloned(),
        }));
    }

    /// Changes an order and its share of the digest.
    pub(super) fn change_order(&mut self, ix: u32, change: impl FnOnce(&mut Order)) {
        let before = self.orders.get(ix).digest();
        self.orders.change(ix, change);
        let after = self.orders.get(ix).digest();
        self.sums.orders = self.sums.orders.wrapping_sub(before).wrapping_add(after);
    }

    fn order_outcome(&self, ix: u32) -> Outcome {
        Outcome::Order(self.order_view(self.orders.get(ix)))
    }
}

/// Hash of an order's goods alone: what its hold is known by, whoever it is for and however long it lasts.
fn goods_content(ask: &Ask<'_>, merged: &[Merged<'_>]) -> u64 {
    content_hash(&Ask { ttl_ms: None, owner: None, ..*ask }, merged)
}

/// Hash of what an order is asked for, given that of its hold.
fn order_content(hold: u64, reference: Option<&Reference>) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&hold.to_le_bytes());
    hash.update(reference.map_or(&[], |reference| reference.as_str().as_bytes()));
    hash.digest()
}
