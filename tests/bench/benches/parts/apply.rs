//! `Inventory::apply`, by command, on ten thousand rows.

use std::hint::black_box;

use holdfast_sdk::model::{
    ClusterTime, Command, Entry, HoldId, Inventory, ItemId, Key, Line, OrderAction, OrderId, PaymentId,
    PaymentOutcome, Quantity, Reason, ReceiptKind, Request, StoreId, TransferId, fingerprint,
};
use uuid::Uuid;

use super::{COMMANDS, Named, Part};

/// Rows that commands are spread over.
pub const ROWS: u64 = 10_000;
/// Milliseconds between two entries.
const STEP_MS: u64 = 1;
/// A hold that does not end while anything is measured.
const LONG_MS: u64 = 3_600_000;
/// Opening stock: more than any run takes.
const PLENTY: u64 = 1 << 40;

/// A command, made from a number that is not used again.
type Make = fn(u64) -> Command;

pub fn parts() -> Vec<Named> {
    macro_rules! part {
        ($name:literal, $before:expr, $measured:expr) => {
            Named { name: $name, commands: COMMANDS, make: || Box::new(Apply::new($before, $measured, None)) }
        };
    }
    vec![
        part!("apply create", None, create),
        part!("apply reserve", None, reserve),
        part!("apply reserve on one row", None, reserve_hot),
        part!("apply reserve of three lines", None, reserve_three),
        part!("apply reserve refused", None, reserve_too_much),
        Named {
            name: "apply reserve with a key",
            commands: COMMANDS,
            make: || Box::new(Apply::new(None, reserve, Some(keyed))),
        },
        part!("apply reserve again", Some(reserve), reserve),
        part!("apply confirm", Some(reserve), |n| Command::Confirm {
            hold: hold(n),
            lines: None,
            reacquire: false
        }),
        part!("apply release", Some(reserve), |n| Command::Release {
            hold: hold(n),
            lines: None,
            reason: None
        }),
        part!("apply extend", Some(reserve), |n| Command::Extend { hold: hold(n), ttl_ms: 2 * LONG_MS }),
        part!("apply expire", Some(reserve_briefly), |_| Command::Tick),
        part!("apply adjust", None, adjust),
        part!("apply count", None, count),
        part!("apply sale", None, sale),
        part!("apply receive", None, receive),
        part!("apply transfer", None, transfer),
        part!("apply place order", None, place),
        part!("apply pay order", Some(place), pay),
        part!("apply cancel order", Some(place), |n| order(n, OrderAction::Cancel { reason: None })),
    ]
}

/// Entries of one kind of command.
struct Apply {
    inventory: Inventory,
    before: Option<Make>,
    measured: Make,
    key: Option<fn(u64, &Command) -> Key>,
    next: u64,
    entry: Entry,
}

impl Apply {
    fn new(before: Option<Make>, measured: Make, key: Option<fn(u64, &Command) -> Key>) -> Self {
        Self { inventory: stocked(), before, measured, key, next: ROWS, entry: Entry::default() }
    }
}

impl Part for Apply {
    fn ready(&mut self) {
        let numbers = self.next..self.next + COMMANDS;
        self.next = numbers.end;
        let stamp = self.inventory.now().0 + STEP_MS;
        if let Some(before) = self.before {
            self.inventory.apply(&entry(stamp, numbers.clone().map(before)));
        }
        self.entry = entry(stamp + STEP_MS, numbers.clone().map(self.measured));
        if let Some(key) = self.key {
            for (request, number) in self.entry.requests.iter_mut().zip(numbers) {
                request.key = Some(key(number, &request.command));
            }
        }
    }

    fn run(&mut self) {
        black_box(self.inventory.apply(black_box(&self.entry)));
    }
}

/// A state with all rows.
pub fn stocked() -> Inventory {
    let mut inventory = Inventory::new();
    stocking().for_each(|entry| drop(inventory.apply(&entry)));
    inventory
}

/// The entries that make all rows.
pub fn stocking() -> impl Iterator<Item = Entry> {
    let at_once = 1000;
    (0..ROWS / at_once).map(move |part| entry(0, (part * at_once..(part + 1) * at_once).map(create)))
}

/// An entry of commands.
pub fn entry(stamp: u64, commands: impl Iterator<Item = Command>) -> Entry {
    let request = |command| Request { command, key: None, actor: None };
    Entry { stamp: ClusterTime(stamp), utc_offset_ms: None, requests: commands.map(request).collect() }
}

pub fn store() -> StoreId {
    "S1".parse().expect("letters and digits")
}

pub fn item(number: u64) -> ItemId {
    format!("ITEM-{number}").parse().expect("letters and digits")
}

/// A row that is there, other ones for numbers that follow each other.
fn row(number: u64) -> ItemId {
    item(number * 7919 % ROWS)
}

fn id(number: u64) -> Uuid {
    Uuid::from_u128(1 << 64 | u128::from(number))
}

fn hold(number: u64) -> HoldId {
    HoldId::from_uuid(id(number))
}

fn one() -> Quantity {
    Quantity::new(1).expect("1 is a quantity")
}

fn line(item: ItemId) -> Line {
    Line { store: store(), item, qty: one() }
}

fn create(number: u64) -> Command {
    Command::CreateSku { store: store(), item: item(number), opening: PLENTY }
}

fn reserve_lines(number: u64, lines: Vec<Line>, ttl_ms: u64) -> Command {
    Command::Reserve { hold: hold(number), lines, ttl_ms: Some(ttl_ms), allow_partial: false, owner: None }
}

pub fn reserve(number: u64) -> Command {
    reserve_lines(number, vec![line(row(number))], LONG_MS)
}

fn reserve_briefly(number: u64) -> Command {
    reserve_lines(number, vec![line(row(number))], STEP_MS)
}

fn reserve_hot(number: u64) -> Command {
    reserve_lines(number, vec![line(item(0))], LONG_MS)
}

fn reserve_three(number: u64) -> Command {
    reserve_lines(number, (0..3).map(|more| line(row(number + more))).collect(), LONG_MS)
}

fn reserve_too_much(number: u64) -> Command {
    let qty = Quantity::new(2 * PLENTY).expect("within the largest total");
    reserve_lines(number, vec![Line { qty, ..line(row(number)) }], LONG_MS)
}

fn keyed(number: u64, command: &Command) -> Key {
    Key::new("/reserve", None, &number.to_string(), fingerprint(command))
}

fn adjust(number: u64) -> Command {
    let reason: Reason = "found".parse().expect("letters");
    Command::Adjust {
        store: store(),
        item: row(number),
        delta: 1,
        reason,
        reference: None,
        expected_version: None,
    }
}

fn count(number: u64) -> Command {
    let (store, item) = (store(), row(number));
    Command::Count {
        store,
        item,
        counted: PLENTY - number,
        as_of: None,
        reason: None,
        reference: None,
        event: None,
    }
}

fn sale(number: u64) -> Command {
    let (store, item) = (store(), row(number));
    Command::RecordSale { store, item, qty: one(), reason: None, reference: None, event: None }
}

fn receive(number: u64) -> Command {
    let (store, item, kind) = (store(), row(number), ReceiptKind::Delivery);
    Command::Receive { store, item, qty: one(), kind, reason: None, reference: None, event: None }
}

/// Both stores need the row: it goes and comes between rows that the first command of a run makes.
fn transfer(number: u64) -> Command {
    let to: StoreId = "S2".parse().expect("letters and digits");
    if number.is_multiple_of(2) {
        return Command::CreateSku { store: to, item: row(number), opening: 0 };
    }
    Command::Transfer {
        transfer: TransferId::from_uuid(id(number)),
        item: row(number - 1),
        from: store(),
        to,
        qty: one(),
        at_once: true,
        reason: None,
        reference: None,
    }
}

fn order(number: u64, action: OrderAction) -> Command {
    Command::Order { order: OrderId::from_uuid(id(number)), action }
}

fn place(number: u64) -> Command {
    let (hold, lines) = (hold(number), vec![line(row(number))]);
    order(number, OrderAction::Place { hold, lines, ttl_ms: Some(LONG_MS), owner: None, reference: None })
}

fn pay(number: u64) -> Command {
    let payment: PaymentId = format!("P{number}").parse().expect("letters and digits");
    let outcome = PaymentOutcome::Succeeded;
    order(number, OrderAction::Pay { payment, outcome, amount: None, reacquire: false })
}
