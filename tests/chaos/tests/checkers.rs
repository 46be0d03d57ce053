//! The checks themselves: a right history passes, and one that is wrong in a known way is refused by name.

use holdfast_chaos::check::check;
use holdfast_chaos::consumer::hash;
use holdfast_chaos::history::{End, Event};
use holdfast_chaos::op::{Answer, ITEMS, Op, Reply};
use holdfast_chaos::shelf::Shelf;
use holdfast_chaos::wire::{hold_id, order_id};
use serde_json::{Value, json};

const MS: u64 = 1_000_000;

/// What a correct cluster of one shelf would have done, one call after the other.
#[derive(Default)]
struct Story {
    events: Vec<Event>,
    ledger: Vec<Value>,
    shelf: Shelf,
    at: u64,
    calls: u64,
    last_seq: [u64; 2],
}

impl Story {
    /// Two rows with ten of each.
    fn begun() -> Self {
        let mut story = Self::default();
        for item in 0..2 {
            story.tell(Op::Create { item, opening: 10 });
        }
        story
    }

    /// A call that is answered as it should be; returns the number of it.
    fn tell(&mut self, op: Op) -> u64 {
        let answer = self.act(&op);
        self.add(op, End::Answered { answer, applied_seq: self.ledger.len() as u64 })
    }

    /// A call that ends so, whatever was done.
    fn add(&mut self, op: Op, end: End) -> u64 {
        let call = self.calls;
        self.calls += 1;
        self.events.push(Event::Call { at: self.at, call, shelf: 1, node: 0, life: 1, op });
        self.events.push(Event::End { at: self.at + MS, call, life: 1, end });
        self.at += 2 * MS;
        call
    }

    /// Carries out an operation and writes down what it did.
    fn act(&mut self, op: &Op) -> Answer {
        let before = [0, 1].map(|item| self.shelf.row(item).map_or(0, |row| row.version));
        let mut answer = self.shelf.apply(op);
        let (kind, event) = kinds(op);
        for item in 0..2 {
            let Some(row) = self.shelf.row(item).filter(|row| row.version > before[item]) else { continue };
            let seq = self.ledger.len() as u64 + 1;
            let mut record = json!({
                "seq": seq, "kind": kind, "storeId": "S1", "itemId": ITEMS[item], "qty": row.available,
                "available": row.available, "reserved": row.reserved, "version": row.version,
                "prevSeq": self.last_seq[item],
            });
            self.name(op, &mut record);
            self.ledger.push(record);
            self.last_seq[item] = seq;
        }
        let is_new = !answer.repeated && !matches!(answer.reply, Reply::Refused(_) | Reply::Short(_));
        if let (true, Some(kind)) = (is_new, event) {
            let mut record = json!({"seq": self.ledger.len() as u64 + 1, "kind": kind});
            self.name(op, &mut record);
            self.ledger.push(record);
        }
        if let (Reply::Row(row), Some(item)) = (&mut answer.reply, row_of(op)) {
            row.last_seq = self.last_seq[item];
        }
        answer
    }

    fn name(&self, op: &Op, record: &mut Value) {
        match op {
            Op::Reserve { hold, .. } | Op::Confirm { hold } | Op::Release { hold } | Op::Expire { hold } => {
                record["holdId"] = hold_id(*hold).into();
            }
            Op::Place { order, .. } | Op::Pay { order, .. } | Op::Cancel { order } => {
                record["holdId"] = hold_id(*order).into();
                record["orderId"] = order_id(*order).into();
            }
            Op::Adjust { key: number, .. }
            | Op::Sale { event: number, .. }
            | Op::Receive { event: number, .. } => {
                record["reference"] = number.to_string().into();
            }
            _ => {}
        }
        if let Op::Pay { payment, .. } = op {
            record["paymentId"] = format!("p{payment}").into();
        }
    }

    /// The answer to a call.
    fn answer(&mut self, call: u64) -> (&mut Answer, &mut u64) {
        let is_meant = |event: &&mut Event| matches!(event, Event::End { call: other, .. } if *other == call);
        match self.events.iter_mut().find(is_meant) {
            Some(Event::End { end: End::Answered { answer, applied_seq }, .. }) => (answer, applied_seq),
            _ => panic!("call {call} was not answered"),
        }
    }

    /// A consumer is given records by their sequence.
    fn deliver(&mut self, seqs: &[u64]) {
        let records = seqs.iter().map(|&seq| (seq, hash(&self.ledger[seq as usize - 1]))).collect();
        self.events.push(Event::Feed { consumer: "first".to_owned(), node: 0, records });
    }

    #[track_caller]
    fn passes(&self) {
        let report = check(&self.events, &self.ledger);
        assert_eq!(report.violations, Vec::<String>::new());
        assert_eq!((report.undecided, report.linearizable), (0, 1));
    }

    #[track_caller]
    fn is_refused_as(&self, kinds: &[&str]) {
        let report = check(&self.events, &self.ledger);
        for kind in kinds {
            let is_told = report.violations.iter().any(|violation| violation.starts_with(kind));
            assert!(is_told, "{kind} in {:?}", report.violations);
        }
    }
}

fn row_of(op: &Op) -> Option<usize> {
    match op {
        Op::Create { item, .. }
        | Op::Adjust { item, .. }
        | Op::Sale { item, .. }
        | Op::Receive { item, .. }
        | Op::ReadRow { item, .. } => Some(*item),
        _ => None,
    }
}

/// What the ledger calls it: the movements, and what follows for an order.
fn kinds(op: &Op) -> (&'static str, Option<&'static str>) {
    match op {
        Op::Create { .. } => ("CREATED", None),
        Op::Reserve { .. } => ("RESERVED", None),
        Op::Confirm { .. } => ("CONFIRMED", None),
        Op::Release { .. } => ("RELEASED", None),
        Op::Adjust { .. } => ("ADJUSTED", None),
        Op::Sale { .. } => ("SOLD", None),
        Op::Receive { .. } => ("RECEIVED", None),
        Op::Place { .. } => ("RESERVED", Some("ORDER_PLACED")),
        Op::Pay { .. } => ("CONFIRMED", Some("ORDER_PAID")),
        Op::Cancel { .. } => ("RELEASED", Some("ORDER_CANCELLED")),
        Op::Expire { .. } => ("EXPIRED", None),
        Op::ReadRow { .. } | Op::ReadHold { .. } | Op::ReadOrder { .. } => ("", None),
    }
}

fn read(item: usize) -> Op {
    Op::ReadRow { item, local: false }
}

fn reserve(hold: u64, qty: u64) -> Op {
    Op::Reserve { hold, lines: [qty, 0], ttl_seconds: None }
}

/// Something of everything.
fn busy() -> Story {
    let mut story = Story::begun();
    for op in [
        Op::Reserve { hold: 1, lines: [3, 2], ttl_seconds: None },
        Op::Confirm { hold: 1 },
        Op::Confirm { hold: 1 },
        Op::Adjust { key: 2, item: 0, delta: -2 },
        Op::Adjust { key: 2, item: 0, delta: -2 },
        Op::Adjust { key: 3, item: 0, delta: -90 },
        Op::Sale { event: 4, item: 1, qty: 1 },
        Op::Receive { event: 5, item: 1, qty: 7 },
        Op::Place { order: 6, lines: [1, 1], ttl_seconds: None },
        Op::Pay { order: 6, payment: 7 },
        Op::Place { order: 8, lines: [0, 1], ttl_seconds: None },
        Op::Cancel { order: 8 },
        reserve(9, 1),
        Op::Release { hold: 9 },
        reserve(10, 90),
        read(0),
        Op::ReadHold { hold: 9 },
        Op::ReadOrder { order: 8 },
        Op::ReadRow { item: 1, local: true },
    ] {
        story.tell(op);
    }
    story
}

#[test]
fn a_right_history_passes() {
    let mut story = busy();
    let all: Vec<u64> = (1..=story.ledger.len() as u64).collect();
    let (first, second) = all.split_at(5);
    story.deliver(first);
    story.deliver(second);
    story.passes();
}

#[test]
fn a_call_of_unknown_outcome_may_have_been_done_or_not() {
    let mut done = Story::begun();
    done.act(&reserve(1, 4));
    done.add(reserve(1, 4), End::Unknown);
    done.tell(read(0));
    done.passes();
    let mut not_done = Story::begun();
    not_done.add(reserve(1, 4), End::Unknown);
    not_done.tell(read(0));
    not_done.passes();
    // Long after it was given up.
    let mut late = Story::begun();
    late.add(reserve(1, 4), End::Unknown);
    late.tell(read(0));
    late.act(&reserve(1, 4));
    late.tell(read(0));
    late.passes();
}

#[test]
fn a_lost_write_is_noticed() {
    let mut story = Story::begun();
    let before = story.shelf.clone();
    let ledger = story.ledger.clone();
    story.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    (story.shelf, story.ledger) = (before, ledger);
    story.is_refused_as(&["lost"]);
    // And by who reads, though no ledger tells.
    story.last_seq[0] = 1;
    story.tell(read(0));
    story.is_refused_as(&["lost", "not linearizable"]);
}

#[test]
fn a_stale_read_is_noticed() {
    let mut story = Story::begun();
    let fresh = story.tell(read(0));
    let (old, applied) = story.answer(fresh);
    let (old, applied) = (old.clone(), *applied);
    story.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    story.add(read(0), End::Answered { answer: old.clone(), applied_seq: applied });
    story.is_refused_as(&["stale read", "not linearizable"]);
    // A local read may be.
    let mut local = Story::begun();
    local.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    local.add(Op::ReadRow { item: 0, local: true }, End::Answered { answer: old, applied_seq: applied });
    local.passes();
}

#[test]
fn a_local_read_that_never_was_or_goes_back_is_noticed() {
    let local = Op::ReadRow { item: 0, local: true };
    let mut story = Story::begun();
    let early = story.tell(local.clone());
    let (old, applied) = story.answer(early);
    let (old, applied) = (old.clone(), *applied);
    story.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    let call = story.tell(local.clone());
    if let Reply::Row(row) = &mut story.answer(call).0.reply {
        row.available += 1;
    }
    story.is_refused_as(&["read"]);
    let mut back = Story::begun();
    back.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    back.tell(local.clone());
    back.add(local, End::Answered { answer: old, applied_seq: applied });
    back.is_refused_as(&["back in time"]);
}

#[test]
fn a_unit_that_is_sold_twice_is_noticed() {
    let mut story = Story::begun();
    story.tell(reserve(1, 10));
    let first = story.calls - 1;
    let sold = story.answer(first).0.clone();
    let at = story.ledger.len() as u64;
    story.add(reserve(2, 10), End::Answered { answer: sold, applied_seq: at });
    story.is_refused_as(&["lost", "not linearizable"]);
    // With a ledger that agrees.
    let mut record = story.ledger[2].clone();
    record["seq"] = 4.into();
    record["holdId"] = hold_id(2).into();
    record["available"] = (-10).into();
    record["reserved"] = 20.into();
    record["version"] = 3.into();
    record["prevSeq"] = 3.into();
    story.ledger.push(record);
    story.is_refused_as(&["replay", "not linearizable"]);
}

#[test]
fn what_is_done_again_is_noticed() {
    let receive = Op::Receive { event: 1, item: 0, qty: 4 };
    let mut story = Story::begun();
    story.tell(receive.clone());
    let mut again = story.ledger[2].clone();
    again["seq"] = 4.into();
    again["available"] = 18.into();
    again["version"] = 3.into();
    again["prevSeq"] = 3.into();
    story.ledger.push(again);
    story.is_refused_as(&["replay"]);
    // Both callers are told that it was they who did it.
    let mut twice = Story::begun();
    let call = twice.tell(receive.clone());
    let answer = twice.answer(call).0.clone();
    twice.add(receive, End::Answered { answer, applied_seq: 3 });
    twice.is_refused_as(&["twice", "not linearizable"]);
}

#[test]
fn half_of_a_hold_is_noticed() {
    let mut story = Story::begun();
    story.tell(Op::Reserve { hold: 1, lines: [3, 2], ttl_seconds: None });
    story.ledger.pop();
    story.is_refused_as(&["replay"]);
}

#[test]
fn what_was_said_not_to_have_been_done_must_not_be_in_the_ledger() {
    let mut story = Story::begun();
    story.act(&reserve(1, 4));
    story.add(reserve(1, 4), End::NotDone("no_leader".to_owned()));
    story.is_refused_as(&["uncalled"]);
}

#[test]
fn a_ledger_whose_order_is_not_that_of_time_is_noticed() {
    // Two rows, so that no row's own history tells.
    let mut story = Story::begun();
    story.tell(Op::Receive { event: 1, item: 0, qty: 4 });
    story.tell(Op::Receive { event: 2, item: 1, qty: 4 });
    story.ledger.swap(2, 3);
    story.ledger[2]["seq"] = 3.into();
    story.ledger[3]["seq"] = 4.into();
    story.is_refused_as(&["real time"]);
}

#[test]
fn a_hold_that_ends_before_its_time_is_noticed() {
    let hold = Op::Reserve { hold: 1, lines: [3, 0], ttl_seconds: Some(1) };
    let mut story = Story::begun();
    story.tell(hold.clone());
    story.act(&Op::Expire { hold: 1 });
    story.tell(Op::Confirm { hold: 1 });
    story.is_refused_as(&["not linearizable"]);
    let mut in_time = Story::begun();
    in_time.tell(hold);
    in_time.at += 1000 * MS;
    in_time.act(&Op::Expire { hold: 1 });
    in_time.tell(Op::Confirm { hold: 1 });
    in_time.passes();
}

#[test]
fn a_feed_that_skips_repeats_or_alters_a_record_is_noticed() {
    let mut skips = busy();
    skips.deliver(&[1, 2, 4]);
    skips.is_refused_as(&["feed order"]);
    let mut repeats = busy();
    repeats.deliver(&[1, 2]);
    repeats.deliver(&[2, 3]);
    repeats.is_refused_as(&["feed order"]);
    let mut alters = busy();
    alters.events.push(Event::Feed { consumer: "first".to_owned(), node: 0, records: vec![(1, 7)] });
    alters.is_refused_as(&["feed content"]);
    // More than was ever committed.
    let mut ahead = busy();
    let end = ahead.ledger.len() as u64;
    let all: Vec<u64> = (1..=end).collect();
    ahead.deliver(&all);
    ahead.events.push(Event::Feed { consumer: "first".to_owned(), node: 0, records: vec![(end + 1, 7)] });
    ahead.is_refused_as(&["feed order", "feed content"]);
}

#[test]
fn a_feed_that_refuses_its_own_cursor_is_noticed() {
    let refused =
        |code: &str| Event::FeedRefused { consumer: "first".to_owned(), node: 0, code: code.to_owned() };
    let mut story = busy();
    story.events.push(refused("cursor_ahead"));
    story.is_refused_as(&["feed refused"]);
    let mut excused = busy();
    excused.events.push(refused("no_leader"));
    excused.passes();
}
