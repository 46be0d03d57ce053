//! Checks that the invariants hold in a frozen state: on a running cluster, and after every step of a test.

use std::collections::BTreeMap;

use super::frozen::Frozen;
use super::replay::{Replay, ToldOpen};
use super::rows::{self, Row, RowNames};
use crate::Seq;

/// How many violations an audit tells at most: the first ones say what is wrong.
const MAX_VIOLATIONS: usize = 100;

/// In place of names where two rows are known to have the same.
const NAMELESS: RowNames = RowNames { store: 0, item: 0 };

/// One invariant that does not hold somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which of the invariants: 1 a row's sums, 2 what is reserved, 3 a hold's ends, 4 the ledger, 5 keys, 6 orders. 0
    /// for the digest, and for what is kept for stores.
    pub invariant: u8,
    /// Where and how, in words.
    pub detail: String,
}

/// What an audit looked at and found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// Rows that were checked.
    pub rows: u64,
    /// Holds that were checked.
    pub holds: u64,
    /// Orders that were checked.
    pub orders: u64,
    /// Records of the ledger that were replayed, 0 when the ledger was not part of it.
    pub movements: u64,
    /// What does not hold, the first hundred of it.
    pub violations: Vec<Violation>,
}

impl Audit {
    pub(super) fn fault(&mut self, invariant: u8, detail: impl FnOnce() -> String) {
        if self.violations.len() < MAX_VIOLATIONS {
            self.violations.push(Violation { invariant, detail: detail() });
        }
    }
}

impl Frozen {
    /// Checks invariants 1 to 3, 5 and 6 on every row, hold, transfer, order and key, and that the digest is the sum of its
    /// records.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let mut audit = Audit::default();
        let reserved = self.audit_holds(&mut audit);
        self.audit_rows(&mut audit, &reserved);
        self.audit_items(&mut audit);
        self.audit_keys(&mut audit);
        self.audit_orders(&mut audit);
        self.audit_registry(&mut audit);
        if self.recomputed() != self.sums {
            audit.fault(0, || "the digest is not the sum of the records".to_owned());
        }
        audit
    }

    /// As [`Self::audit`], and invariant 4 against a ledger that was replayed from [`Self::ledger_start`], or before, up to
    /// [`Self::last_seq`]. Of what is older than the start of a trimmed ledger, the balances are checked, not the sums.
    #[must_use]
    pub fn audit_with(&self, replay: &Replay) -> Audit {
        self.audit_from(self.ledger_start(), replay)
    }

    /// As [`Self::audit_with`], of a ledger that was replayed from `start`, or before: one of which more is gone than was
    /// trimmed.
    #[must_use]
    pub fn audit_from(&self, start: Seq, replay: &Replay) -> Audit {
        let mut audit = self.audit();
        audit.movements = (replay.last_seq().0 + 1).saturating_sub(replay.first_seq().0);
        if !replay.covers(start) || replay.last_seq() != self.last_seq() {
            let [first, last] = [replay.first_seq(), replay.last_seq()];
            let end = self.last_seq();
            audit.fault(4, || format!("records {first} to {last} were replayed of {start} to {end}"));
            return audit;
        }
        self.audit_told_rows(&mut audit, replay);
        self.audit_told_holds(&mut audit, replay);
        self.audit_told_shortfalls(&mut audit, replay);
        self.audit_told_orders(&mut audit, replay);
        audit
    }

    /// Compares each row with what the ledger tells of it.
    fn audit_told_rows(&self, audit: &mut Audit, replay: &Replay) {
        let mut met = 0;
        for row in self.rows.iter().filter(|row| !row.removed) {
            let key = rows::key(row, &self.stores, &self.items);
            let same = match replay.rows().get(&key) {
                None => row.last_seq < replay.first_seq().0,
                Some(told) => {
                    met += usize::from(!told.maybe_gone);
                    let told_row = &told.row;
                    let balances = |row: &Row| (row.available, row.reserved, row.version, row.last_seq);
                    let same_sums = || {
                        told_row.digest(NAMELESS)
                            == Row { number: told_row.number, ..row.clone() }.digest(NAMELESS)
                    };
                    balances(told_row) == balances(row) && (!told.whole || same_sums())
                }
            };
            if !same {
                audit.fault(4, || format!("row {}/{}: the ledger tells otherwise", key.store, key.item));
            }
        }
        let told = replay.rows().values().filter(|told| !told.maybe_gone).count();
        if told != met {
            audit.fault(4, || format!("the ledger tells of {} rows that are not there", told - met));
        }
        if replay.first_seq() == Seq(1) && replay.stock_digest() != self.sums.stock {
            audit.fault(4, || "the ledger does not give the stock part of the digest".to_owned());
        }
    }

    /// Compares what each line of a hold reserves with what the ledger tells of it.
    fn audit_told_holds(&self, audit: &mut Audit, replay: &Replay) {
        let mut met = 0;
        for hold in self.holds() {
            let is_older = hold.made_seq < replay.first_seq().0 + hold.lines().len() as u64;
            let is_older = is_older && replay.first_seq() > Seq(1);
            for line in hold.lines().iter().filter(|line| line.reserved > 0) {
                let key = rows::key(self.rows.get(line.row), &self.stores, &self.items);
                let same = match replay.open().get(&(hold.id, key)) {
                    Some(ToldOpen::Exactly(open)) => {
                        met += 1;
                        *open == line.reserved
                    }
                    Some(ToldOpen::Less(_)) | None => is_older,
                };
                if !same {
                    let (id, reserved) = (hold.id, line.reserved);
                    audit.fault(4, || format!("hold {id}: {reserved} reserved, the ledger tells otherwise"));
                }
            }
        }
        let told = replay.open().values().filter(|told| matches!(told, ToldOpen::Exactly(_))).count();
        if told != met {
            audit.fault(4, || format!("the ledger tells of {} open lines that are not there", told - met));
        }
    }

    /// Compares what fell short of each item with what the ledger tells.
    fn audit_told_shortfalls(&self, audit: &mut Audit, replay: &Replay) {
        for (number, item) in (0_u32..).zip(self.items.iter()) {
            let known = (number as usize) < self.item_sums.len();
            let shortfall = if known { self.item_sums.get(number).shortfall } else { 0 };
            let told = replay.shortfall(item);
            let same = if replay.first_seq() == Seq(1) { told == shortfall } else { told <= shortfall };
            if !same {
                audit.fault(4, || format!("item {item}: {shortfall} fell short, the ledger tells {told}"));
            }
        }
    }

    /// Checks each hold; returns what open lines reserve of each row.
    fn audit_holds(&self, audit: &mut Audit) -> BTreeMap<u32, u128> {
        let mut reserved = BTreeMap::new();
        for hold in self.holds() {
            audit.holds += 1;
            for line in hold.lines() {
                *reserved.entry(line.row).or_default() += u128::from(line.reserved);
                if !line.is_whole() {
                    audit.fault(3, || format!("hold {}: a line has more ends than units", hold.id));
                }
            }
            if hold.is_open() != hold.ended_by.is_none() {
                audit.fault(3, || format!("hold {}: {:?} does not fit its lines", hold.id, hold.status()));
            }
        }
        reserved
    }

    fn audit_rows(&self, audit: &mut Audit, reserved: &BTreeMap<u32, u128>) {
        for (ix, row) in (0_u32..).zip(self.rows.iter()) {
            audit.rows += u64::from(!row.removed);
            let key = || {
                let key = rows::key(row, &self.stores, &self.items);
                format!("row {}/{}", key.store, key.item)
            };
            if i128::from(row.on_hand()) != row.accounted() {
                let (on_hand, accounted) = (row.on_hand(), row.accounted());
                audit.fault(1, || format!("{}: on hand {on_hand}, accounted for {accounted}", key()));
            }
            let held = reserved.get(&ix).copied().unwrap_or_default();
            if u128::from(row.reserved) != held {
                audit.fault(2, || format!("{}: reserved {}, holds have {held}", key(), row.reserved));
            }
            if row.removed && (row.available != 0 || row.reserved != 0) {
                audit.fault(1, || format!("{}: taken away, but not empty", key()));
            }
        }
    }

    /// Per item over all stores: what left for other stores has arrived, is under way, or fell short.
    fn audit_items(&self, audit: &mut Audit) {
        let mut open: BTreeMap<u32, i128> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| !row.removed) {
            *open.entry(row.item).or_default() += row.net_out();
        }
        for transfer in self.transfers() {
            let item = self.rows.get(transfer.from).item;
            *open.entry(item).or_default() -= i128::from(transfer.in_transit());
        }
        for (item, sums) in self.item_sums() {
            *open.entry(item).or_default() += sums.net_out - i128::from(sums.shortfall);
        }
        for (item, balance) in open.into_iter().filter(|&(_, balance)| balance != 0) {
            audit.fault(1, || {
                format!("item {}: {balance} left stores and went nowhere", self.items.text(item))
            });
        }
    }

    fn audit_keys(&self, audit: &mut Audit) {
        for (name, table) in [("key", &self.keys), ("event", &self.events)] {
            let mut ids: Vec<u128> = table.iter().map(|record| record.id).collect();
            ids.sort_unstable();
            if ids.windows(2).any(|pair| pair[0] == pair[1]) {
                audit.fault(5, || format!("a {name} is remembered twice"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ClusterTime, Command, Entry, HoldId, Inventory, ItemId, Line, Movement, OrderAction, OrderEvent,
        OrderEventKind, OrderId, OrderStatus, PaymentId, PaymentOutcome, Quantity, Reason, Record, Request,
        StoreId, TransferId,
    };

    fn store(name: &str) -> StoreId {
        StoreId::new(name).unwrap()
    }

    fn item() -> ItemId {
        ItemId::new("A").unwrap()
    }

    fn hold(number: u128) -> HoldId {
        HoldId::from_uuid(uuid::Uuid::from_u128(number))
    }

    fn line(name: &str, qty: u64) -> Line {
        Line { store: store(name), item: item(), qty: Quantity::new(qty).unwrap() }
    }

    fn reserve(number: u128, lines: Vec<Line>) -> Command {
        let (ttl_ms, owner) = (Some(100), None);
        Command::Reserve { hold: hold(number), lines, ttl_ms, allow_partial: false, owner }
    }

    fn retire(name: &str, remove: bool) -> Command {
        Command::RetireSku { store: store(name), item: item(), remove }
    }

    fn create(name: &str, opening: u64) -> Command {
        Command::CreateSku { store: store(name), item: item(), opening }
    }

    fn ship(number: u128, at_once: bool) -> Command {
        Command::Transfer {
            transfer: TransferId::from_uuid(uuid::Uuid::from_u128(number)),
            item: item(),
            from: store("S1"),
            to: store("S2"),
            qty: Quantity::new(3).unwrap(),
            at_once,
            reason: None,
            reference: None,
        }
    }

    /// Commands by the time at which they come: rows that go and come again, holds that end in every way or stay open.
    fn story() -> Vec<(u64, Command)> {
        let confirm = |number, lines, reacquire| Command::Confirm { hold: hold(number), lines, reacquire };
        let lost = Reason::new("lost").unwrap();
        vec![
            (0, create("S1", 20)),
            (0, create("S2", 5)),
            (0, create("S3", 0)),
            (0, retire("S3", false)),
            (1, reserve(1, vec![line("S1", 2), line("S2", 3)])),
            (1, reserve(2, vec![line("S1", 4)])),
            (2, confirm(1, Some(vec![line("S2", 1)]), false)),
            (3, Command::Extend { hold: hold(2), ttl_ms: 5000 }),
            (4, Command::Release { hold: hold(1), lines: Some(vec![line("S1", 1)]), reason: None }),
            (5, retire("S3", true)),
            (6, create("S3", 2)),
            (7, ship(1, true)),
            (8, ship(2, false)),
            (101, confirm(1, None, true)),
            (
                102,
                Command::CloseTransfer {
                    transfer: TransferId::from_uuid(uuid::Uuid::from_u128(2)),
                    reason: lost,
                },
            ),
            (103, Command::Confirm { hold: hold(2), lines: Some(vec![line("S1", 1)]), reacquire: false }),
            (104, reserve(3, vec![line("S3", 2), line("S1", 1)])),
        ]
        .into_iter()
        .chain(order_story())
        .collect()
    }

    /// Orders that are paid, taken back, over, changed or still to be paid, and money that is owed or was given back.
    fn order_story() -> Vec<(u64, Command)> {
        let act = |number, action| Command::Order {
            order: OrderId::from_uuid(uuid::Uuid::from_u128(number)),
            action,
        };
        let place = |number: u128, qty| {
            let (lines, ttl_ms) = (vec![line("S1", qty)], Some(100));
            let (hold, owner, reference) = (hold(100 + number), None, None);
            act(number, OrderAction::Place { hold, lines, ttl_ms, owner, reference })
        };
        let payment = |text| PaymentId::new(text).unwrap();
        let pay = |number, text, outcome| {
            let (payment, amount, reacquire) = (payment(text), None, false);
            act(number, OrderAction::Pay { payment, outcome, amount, reacquire })
        };
        vec![
            (105, place(1, 1)),
            (105, place(2, 1)),
            (105, place(3, 1)),
            (106, act(1, OrderAction::ReplaceLines { hold: hold(111), lines: vec![line("S2", 1)] })),
            (107, pay(1, "a", PaymentOutcome::Failed)),
            (108, pay(1, "b", PaymentOutcome::Succeeded)),
            (109, act(2, OrderAction::Cancel { reason: None })),
            (110, pay(2, "c", PaymentOutcome::Succeeded)),
            (210, pay(3, "d", PaymentOutcome::Succeeded)),
            (211, act(3, OrderAction::Refund { payment: payment("d") })),
            (212, place(4, 1)),
            (213, pay(1, "e", PaymentOutcome::Succeeded)),
        ]
    }

    fn apply(inventory: &mut Inventory, at: u64, command: Command, key: u64) -> Vec<Record> {
        let key = Some(crate::Key { id: u128::from(key), fingerprint: 0 });
        let requests = vec![Request { command, key, actor: None }];
        let applied = inventory.apply(&Entry { stamp: ClusterTime(at), utc_offset_ms: None, requests });
        assert!(applied.replies[0].result.is_ok(), "{:?}", applied.replies[0]);
        applied.records
    }

    fn told() -> (Inventory, Vec<Record>) {
        let mut inventory = Inventory::new();
        let mut records = Vec::new();
        for (key, (at, command)) in (0..).zip(story()) {
            records.extend(apply(&mut inventory, at, command, key));
        }
        (inventory, records)
    }

    fn replay(first: Seq, records: &[Record]) -> Result<Replay, Violation> {
        let mut replay = Replay::starting_at(first);
        for record in records.iter().filter(|record| record.seq() >= first) {
            replay.apply(record)?;
        }
        Ok(replay)
    }

    #[test]
    fn a_ledger_is_audited_from_wherever_it_was_trimmed() {
        let (mut inventory, records) = told();
        for before in 1..=inventory.last_seq().0 + 1 {
            let before = Seq(before);
            apply(&mut inventory, 213, Command::TrimLedger { before }, 1000 + before.0);
            let replay = replay(before, &records).unwrap();
            let audit = inventory.freeze().audit_with(&replay);
            assert_eq!(audit.violations, [], "from {before}");
            assert_eq!(audit.movements, inventory.last_seq().0 + 1 - before.0);
        }
    }

    #[test]
    fn a_ledger_that_tells_otherwise_is_seen() {
        let (inventory, records) = told();
        let frozen = inventory.freeze();
        let is_seen = |records: &[Record]| match replay(Seq(1), records) {
            Ok(replay) => !frozen.audit_with(&replay).violations.is_empty(),
            Err(_) => true,
        };
        assert!(!is_seen(&records));
        let changes: [fn(&mut Movement); 5] = [
            |movement| movement.qty += 1,
            |movement| movement.available += 1,
            |movement| movement.version += 1,
            |movement| movement.prev_seq = movement.prev_seq.next(),
            |movement| movement.item = ItemId::new("B").unwrap(),
        ];
        let order_changes: [fn(&mut OrderEvent); 3] = [
            |event| event.kind = other_kind(event.kind),
            |event| event.status = other_status(event.status),
            |event| event.order = OrderId::from_uuid(uuid::Uuid::from_u128(77)),
        ];
        for place in 0..records.len() {
            let (of_movement, of_order) = match records[place] {
                Record::Movement(_) => (changes.len(), 0),
                Record::Order(_) => (0, order_changes.len()),
            };
            for change in 0..of_movement + of_order {
                let mut changed = records.clone();
                match &mut changed[place] {
                    Record::Movement(movement) => changes[change](movement),
                    Record::Order(event) => order_changes[change](event),
                }
                assert!(is_seen(&changed), "{:?}", changed[place]);
            }
            let mut fewer = records.clone();
            fewer.remove(place);
            assert!(is_seen(&fewer), "without {:?}", records[place]);
        }
    }

    fn other_kind(kind: OrderEventKind) -> OrderEventKind {
        match kind {
            OrderEventKind::Placed => OrderEventKind::LinesReplaced,
            OrderEventKind::LinesReplaced | OrderEventKind::PaymentFailed => OrderEventKind::Placed,
            OrderEventKind::Paid => OrderEventKind::Cancelled,
            OrderEventKind::Cancelled => OrderEventKind::Expired,
            OrderEventKind::Expired => OrderEventKind::Paid,
            OrderEventKind::RefundDue => OrderEventKind::Refunded,
            OrderEventKind::Refunded => OrderEventKind::RefundDue,
        }
    }

    fn other_status(status: OrderStatus) -> OrderStatus {
        if status == OrderStatus::Placed { OrderStatus::Cancelled } else { OrderStatus::Placed }
    }
}
