//! A shelf as one thread alone would keep it: the sequential model that the checks compare with.
//!
//! It shares no code with the product. The time of holds is not in it: that a hold ends is an operation like any other.

use std::collections::BTreeMap;

use crate::op::{
    Answer, HoldSeen, HoldStatus, Lines, Op, OrderSeen, OrderStatus, PaymentStatus, Reply, RowSeen,
};

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Not held.
    pub available: i64,
    /// Held.
    pub reserved: u64,
    /// Change counter.
    pub version: u64,
    received: u64,
    adjusted: i64,
    sold: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Hold {
    lines: Lines,
    ttl_seconds: Option<u64>,
    status: HoldStatus,
    order: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Order {
    status: OrderStatus,
    payments: BTreeMap<u64, PaymentStatus>,
}

/// All that is known of a shelf.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Shelf {
    rows: [Option<Row>; 2],
    holds: BTreeMap<u64, Hold>,
    orders: BTreeMap<u64, Order>,
    /// First answers under a key or to an event.
    told: BTreeMap<u64, Reply>,
}

fn signed(qty: u64) -> i64 {
    i64::try_from(qty).expect("clients ask for small quantities")
}

fn refused(code: &str) -> Answer {
    Answer { reply: Reply::Refused(code.to_owned()), repeated: false }
}

const fn now(reply: Reply) -> Answer {
    Answer { reply, repeated: false }
}

const fn before(reply: Reply) -> Answer {
    Answer { reply, repeated: true }
}

impl Shelf {
    /// A row, once it was made.
    #[must_use]
    pub fn row(&self, item: usize) -> Option<&Row> {
        self.rows[item].as_ref()
    }

    /// How much open holds with an end have of a row.
    #[must_use]
    pub fn may_end(&self, item: usize) -> i64 {
        let ending = |hold: &&Hold| hold.status == HoldStatus::Held && hold.ttl_seconds.is_some();
        self.holds.values().filter(ending).map(|hold| signed(hold.lines[item])).sum()
    }

    /// Carries out an operation. The answer's `last_seq` is 0: a shelf knows no sequence.
    pub fn apply(&mut self, op: &Op) -> Answer {
        match *op {
            Op::Create { item, opening } => self.create(item, opening),
            Op::Reserve { hold, lines, ttl_seconds } => self.reserve(hold, lines, ttl_seconds),
            Op::Confirm { hold } => self.end(hold, HoldStatus::Confirmed),
            Op::Release { hold } => self.end(hold, HoldStatus::Released),
            Op::Adjust { key, item, delta } => self.once(key, |shelf| shelf.adjust(item, delta)),
            Op::Sale { event, item, qty } => self.event(event, |shelf| {
                shelf.change(item, |row| {
                    row.available -= signed(qty);
                    row.sold += qty;
                })
            }),
            Op::Receive { event, item, qty } => self.event(event, |shelf| {
                shelf.change(item, |row| {
                    row.available += signed(qty);
                    row.received += qty;
                })
            }),
            Op::Place { order, lines, ttl_seconds } => self.place(order, lines, ttl_seconds),
            Op::Pay { order, payment } => self.pay(order, payment),
            Op::Cancel { order } => self.cancel(order),
            Op::ReadRow { item, .. } => now(self.show_row(item)),
            Op::ReadHold { hold } => now(self.show_hold(hold)),
            Op::ReadOrder { order } => now(self.show_order(order)),
            Op::Expire { hold } => self.expire(hold),
        }
    }

    fn create(&mut self, item: usize, opening: u64) -> Answer {
        if self.rows[item].is_some() {
            return refused("sku_exists");
        }
        let row =
            Row { available: signed(opening), reserved: 0, version: 1, received: 0, adjusted: 0, sold: 0 };
        self.rows[item] = Some(row);
        now(self.show_row(item))
    }

    /// What is known under a key is answered as it was, a refusal too.
    fn once(&mut self, key: u64, act: impl FnOnce(&mut Self) -> Reply) -> Answer {
        if let Some(reply) = self.told.get(&key) {
            return before(reply.clone());
        }
        let reply = act(self);
        self.told.insert(key, reply.clone());
        now(reply)
    }

    /// An event is remembered when it was taken: one that was refused may be corrected.
    fn event(&mut self, event: u64, act: impl FnOnce(&mut Self) -> Reply) -> Answer {
        let answer = self.once(event, act);
        if matches!(answer.reply, Reply::Refused(_)) {
            self.told.remove(&event);
        }
        answer
    }

    fn adjust(&mut self, item: usize, delta: i64) -> Reply {
        if self.rows[item].as_ref().is_some_and(|row| delta < 0 && row.available + delta < 0) {
            return Reply::Refused("below_zero".to_owned());
        }
        self.change(item, |row| {
            row.available += delta;
            row.adjusted += delta;
        })
    }

    fn change(&mut self, item: usize, change: impl FnOnce(&mut Row)) -> Reply {
        if let Some(row) = &mut self.rows[item] {
            change(row);
            row.version += 1;
        }
        self.show_row(item)
    }

    fn reserve(&mut self, hold: u64, lines: Lines, ttl_seconds: Option<u64>) -> Answer {
        if let Some(known) = self.holds.get(&hold) {
            return if (known.lines, known.ttl_seconds) == (lines, ttl_seconds) {
                before(self.show_hold(hold))
            } else {
                refused("hold_exists")
            };
        }
        match self.take(hold, lines, ttl_seconds, false) {
            Ok(()) => now(self.show_hold(hold)),
            Err(no) => now(no),
        }
    }

    /// Makes a hold of all lines, or says which are short.
    fn take(&mut self, hold: u64, lines: Lines, ttl_seconds: Option<u64>, order: bool) -> Result<(), Reply> {
        let asked = (0..2).filter(|&item| lines[item] > 0);
        if asked.clone().any(|item| self.rows[item].is_none()) {
            return Err(Reply::Refused("unknown_item".to_owned()));
        }
        let mut short = [None, None];
        for item in asked.clone() {
            let available = self.row(item).map_or(0, |row| row.available);
            if available < signed(lines[item]) {
                short[item] = Some(available.max(0));
            }
        }
        if short != [None, None] {
            return Err(Reply::Short(short));
        }
        for item in asked {
            self.change(item, |row| {
                row.available -= signed(lines[item]);
                row.reserved += lines[item];
            });
        }
        self.holds.insert(hold, Hold { lines, ttl_seconds, status: HoldStatus::Held, order });
        Ok(())
    }

    fn end(&mut self, hold: u64, status: HoldStatus) -> Answer {
        let Some(known) = self.holds.get(&hold) else { return refused("unknown_hold") };
        if known.order {
            return refused("hold_of_order");
        }
        match (known.status, status) {
            (HoldStatus::Held, _) => {
                self.settle(hold, status);
                now(self.show_hold(hold))
            }
            (is, wanted) if is == wanted => before(self.show_hold(hold)),
            // Nothing is left to give back, and that is what was wanted.
            (HoldStatus::Expired, HoldStatus::Released) => before(self.show_hold(hold)),
            (HoldStatus::Expired, _) => refused("hold_expired"),
            (HoldStatus::Released, _) => refused("hold_released"),
            (HoldStatus::Confirmed, _) => refused("hold_confirmed"),
        }
    }

    /// Ends an open hold.
    fn settle(&mut self, hold: u64, status: HoldStatus) {
        let known = self.holds.get_mut(&hold).expect("it was looked up");
        known.status = status;
        let lines = known.lines;
        for item in (0..2).filter(|&item| lines[item] > 0) {
            self.change(item, |row| {
                row.reserved -= lines[item];
                if status == HoldStatus::Confirmed {
                    row.sold += lines[item];
                } else {
                    row.available += signed(lines[item]);
                }
            });
        }
    }

    fn expire(&mut self, hold: u64) -> Answer {
        if self.holds.get(&hold).is_some_and(|known| known.status == HoldStatus::Held) {
            self.settle(hold, HoldStatus::Expired);
            if let Some(order) = self.orders.get_mut(&hold) {
                order.status = OrderStatus::Expired;
            }
            return now(self.show_hold(hold));
        }
        before(self.show_hold(hold))
    }

    fn place(&mut self, order: u64, lines: Lines, ttl_seconds: Option<u64>) -> Answer {
        if self.orders.contains_key(&order) {
            return before(self.show_order(order));
        }
        if let Err(no) = self.take(order, lines, ttl_seconds, true) {
            return now(no);
        }
        self.orders.insert(order, Order { status: OrderStatus::Placed, payments: BTreeMap::new() });
        now(self.show_order(order))
    }

    fn pay(&mut self, order: u64, payment: u64) -> Answer {
        let Some(known) = self.orders.get_mut(&order) else { return refused("unknown_order") };
        if known.payments.contains_key(&payment) {
            return before(self.show_order(order));
        }
        if known.status == OrderStatus::Placed {
            known.status = OrderStatus::Paid;
            known.payments.insert(payment, PaymentStatus::Accepted);
            self.settle(order, HoldStatus::Confirmed);
        } else {
            known.payments.insert(payment, PaymentStatus::RefundDue);
        }
        now(self.show_order(order))
    }

    fn cancel(&mut self, order: u64) -> Answer {
        let Some(known) = self.orders.get_mut(&order) else { return refused("unknown_order") };
        match known.status {
            OrderStatus::Placed => {
                known.status = OrderStatus::Cancelled;
                self.settle(order, HoldStatus::Released);
                now(self.show_order(order))
            }
            OrderStatus::Cancelled | OrderStatus::Expired => before(self.show_order(order)),
            OrderStatus::Paid => refused("order_conflict"),
        }
    }

    fn show_row(&self, item: usize) -> Reply {
        match self.row(item) {
            None => Reply::Refused("unknown_item".to_owned()),
            Some(row) => Reply::Row(RowSeen {
                available: row.available,
                reserved: row.reserved,
                version: row.version,
                last_seq: 0,
                received: row.received,
                adjusted: row.adjusted,
                sold: row.sold,
            }),
        }
    }

    fn lines(&self, hold: u64) -> Option<(HoldStatus, [[u64; 4]; 2])> {
        let known = self.holds.get(&hold)?;
        let place = match known.status {
            HoldStatus::Held => 0,
            HoldStatus::Confirmed => 1,
            HoldStatus::Released => 2,
            HoldStatus::Expired => 3,
        };
        let mut lines = [[0; 4]; 2];
        for (line, qty) in lines.iter_mut().zip(known.lines) {
            line[place] = qty;
        }
        Some((known.status, lines))
    }

    fn show_hold(&self, hold: u64) -> Reply {
        match self.lines(hold) {
            None => Reply::Refused("unknown_hold".to_owned()),
            Some((status, lines)) => Reply::Hold(HoldSeen { status, lines }),
        }
    }

    fn show_order(&self, order: u64) -> Reply {
        match (self.orders.get(&order), self.lines(order)) {
            (Some(known), Some((_, lines))) => {
                Reply::Order(OrderSeen { status: known.status, lines, payments: known.payments.clone() })
            }
            _ => Reply::Refused("unknown_order".to_owned()),
        }
    }
}

impl Answer {
    /// Whether this answer of the cluster is what `shelf`, as it stood before the operation, makes of it.
    #[must_use]
    pub fn agrees(&self, expected: &Self, shelf: &Shelf) -> bool {
        match (&self.reply, &expected.reply) {
            // A repeat has the balances of then and the counters of now.
            (Reply::Row(seen), Reply::Row(row)) if expected.repeated => {
                let balances = |row: &RowSeen| (row.available, row.reserved, row.version);
                self.repeated && balances(seen) == balances(row)
            }
            (Reply::Row(seen), Reply::Row(row)) => {
                !self.repeated && RowSeen { last_seq: 0, ..seen.clone() } == *row
            }
            // Holds that are due but not ended count as available.
            (Reply::Short(seen), Reply::Short(short)) => {
                (0..2).all(|item| match (seen[item], short[item]) {
                    (None, None) => true,
                    (Some(seen), Some(_)) => {
                        let available = shelf.row(item).map_or(0, |row| row.available);
                        seen >= available.max(0) && seen <= (available + shelf.may_end(item)).max(0)
                    }
                    // It is short, but for what is due.
                    (None, Some(_)) => shelf.may_end(item) > 0,
                    (Some(_), None) => false,
                })
            }
            (seen, reply) => self.repeated == expected.repeated && seen == reply,
        }
    }
}
