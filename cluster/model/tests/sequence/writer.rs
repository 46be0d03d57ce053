//! Entries from drafts, with what the state and its ledger say now.

use holdfast_model::{
    Cause, ClusterTime, Command, CountBasis, Entry, Event, HoldId, Inventory, Key, Line, Movement,
    MovementKind, OrderAction, OrderId, Owner, PaymentOutcome, Quantity, Request, Seq, TransferId,
    fingerprint,
};

use super::{AHEAD, Draft, KeyDraft, STORES, Step, Twist, hold, order, transfer};

/// Fresh keys are numbered from here, beyond those that are drawn.
const FIRST_NEW_KEY: u64 = 1000;

/// Writes entries from steps, one after the other.
#[derive(Default)]
pub struct Writer {
    stamp: u64,
    sent: Vec<(Request, bool)>,
    /// How many ids were given to holds, to transfers and to orders: 1 to this number.
    holds: u128,
    transfers: u128,
    orders: u128,
    new_keys: u64,
}

/// What there is when an entry is written.
struct AtHand<'a> {
    inventory: &'a Inventory,
    ledger: &'a [Movement],
    holds: Made<HoldId>,
    transfers: Made<TransferId>,
    orders: Made<OrderId>,
}

/// What was made, the latest first.
struct Made<T> {
    all: Vec<T>,
    remembered: Vec<T>,
}

/// The nth latest up to this are counted round among those that are remembered; others among all.
const NEAR: usize = 4;

impl<T: Copy> Made<T> {
    fn new(all: Vec<T>, is_remembered: impl Fn(T) -> bool) -> Self {
        let remembered = all.iter().copied().filter(|&one| is_remembered(one)).collect();
        Self { all, remembered }
    }

    fn nth_latest(&self, nth: u128) -> Option<T> {
        let place = usize::try_from(nth.checked_sub(1)?).ok()?;
        if place < NEAR && !self.remembered.is_empty() {
            return self.remembered.get(place % self.remembered.len()).copied();
        }
        self.all.get(place).copied()
    }
}

impl Writer {
    /// Every hold that was named so far, and a few that were not.
    pub fn holds(&self) -> impl Iterator<Item = HoldId> + use<> {
        (0..=self.holds + 2).map(hold)
    }

    /// Every transfer that was named so far, and a few that were not.
    pub fn transfers(&self) -> impl Iterator<Item = TransferId> + use<> {
        (0..=self.transfers + 2).map(transfer)
    }

    /// Every order that was named so far, and a few that were not.
    pub fn orders(&self) -> impl Iterator<Item = OrderId> + use<> {
        (0..=self.orders + 2).map(order)
    }

    /// The entry of a step, with what `inventory` and its `ledger` say now.
    pub fn entry(&mut self, step: &Step, inventory: &Inventory, ledger: &[Movement]) -> Entry {
        let at_hand = AtHand {
            inventory,
            ledger,
            holds: Made::new(made_holds(ledger), |id| inventory.hold(id).is_some()),
            transfers: Made::new(made_transfers(ledger), |id| inventory.transfer(id).is_some()),
            orders: Made::new(made_orders(inventory), |_| true),
        };
        self.stamp = self.stamp.saturating_add_signed(step.passes_ms);
        let mut requests = Vec::new();
        for draft in &step.drafts {
            requests.extend(self.request(draft, &at_hand));
        }
        Entry { stamp: ClusterTime(self.stamp), utc_offset_ms: step.utc_offset_ms, requests }
    }

    fn request(&mut self, draft: &Draft, at_hand: &AtHand<'_>) -> Option<Request> {
        match draft {
            Draft::New { command, key, is_generated, actor } => {
                let mut command = command.clone();
                self.name_ids(&mut command, at_hand);
                look_up(&mut command, at_hand);
                let seen = fingerprint(&as_asked(&command, *is_generated));
                let key = key.map(|key| self.key(key, seen));
                let request = Request { command, key, actor: actor.clone() };
                self.sent.push((request.clone(), *is_generated));
                Some(request)
            }
            Draft::Again { back } => {
                let (mut request, is_generated) = self.sent.iter().rev().nth(*back)?.clone();
                if is_generated {
                    self.generate(&mut request.command);
                }
                Some(request)
            }
            Draft::Almost { back, twist } => {
                let (mut request, _) = self.sent.iter().rev().nth(*back)?.clone();
                change(&mut request.command, *twist);
                let seen = fingerprint(&as_asked(&request.command, false));
                request.key = Some(self.key(KeyDraft::New, seen));
                self.sent.push((request.clone(), false));
                Some(request)
            }
        }
    }

    /// Gives a command the ids that are generated for it.
    fn generate(&mut self, command: &mut Command) {
        match command {
            Command::Reserve { hold: id, .. } => *id = self.new_hold(),
            Command::Order { order: id, action: OrderAction::Place { hold, .. } } => {
                self.orders += 1;
                (*id, *hold) = (order(self.orders), self.new_hold());
            }
            Command::Order { action: OrderAction::ReplaceLines { hold, .. }, .. } => *hold = self.new_hold(),
            _ => {}
        }
    }

    fn new_hold(&mut self) -> HoldId {
        self.holds += 1;
        hold(self.holds)
    }

    fn key(&mut self, key: KeyDraft, seen: u64) -> Key {
        let number = match key {
            KeyDraft::Number(number) => u64::from(number),
            KeyDraft::New => {
                self.new_keys += 1;
                FIRST_NEW_KEY + self.new_keys
            }
        };
        Key::new("sequence", None, &number.to_string(), seen)
    }

    /// Turns "the nth latest" into an id; what was never made gets one that nothing has.
    fn name_ids(&mut self, command: &mut Command, at_hand: &AtHand<'_>) {
        match command {
            Command::Reserve { hold: id, .. } if *id == hold(0) => *id = self.new_hold(),
            Command::Order { order: id, action } => self.name_order(id, action, at_hand),
            Command::Transfer { transfer: id, .. } if *id == transfer(0) => {
                self.transfers += 1;
                *id = transfer(self.transfers);
            }
            Command::Reserve { hold: id, .. }
            | Command::Confirm { hold: id, .. }
            | Command::Release { hold: id, .. }
            | Command::Extend { hold: id, .. } => {
                let nth = id.uuid().as_u128();
                *id = at_hand.holds.nth_latest(nth).unwrap_or_else(|| hold(named_last(nth, self.holds)));
            }
            Command::Transfer { transfer: id, .. }
            | Command::ReceiveTransfer { transfer: id, .. }
            | Command::CloseTransfer { transfer: id, .. }
            | Command::CancelTransfer { transfer: id, .. } => {
                let nth = id.uuid().as_u128();
                *id = at_hand
                    .transfers
                    .nth_latest(nth)
                    .unwrap_or_else(|| transfer(named_last(nth, self.transfers)));
            }
            _ => {}
        }
    }
}

impl Writer {
    /// Turns "the nth latest" into the id of an order, and of the hold that comes with it.
    fn name_order(&mut self, id: &mut OrderId, action: &mut OrderAction, at_hand: &AtHand<'_>) {
        let nth = id.uuid().as_u128();
        *id = if matches!(action, OrderAction::Place { .. }) && nth == 0 {
            self.orders += 1;
            order(self.orders)
        } else {
            at_hand.orders.nth_latest(nth).unwrap_or_else(|| order(named_last(nth, self.orders)))
        };
        if let OrderAction::Place { hold: id, .. } | OrderAction::ReplaceLines { hold: id, .. } = action {
            let nth = id.uuid().as_u128();
            *id = at_hand.holds.nth_latest(nth).unwrap_or_else(|| self.new_hold());
        }
    }
}

/// The id that was named last for 0, else one that was never given.
fn named_last(nth: u128, last: u128) -> u128 {
    if nth == 0 { last } else { 0 }
}

/// Changes one small thing of a command that names its own id.
fn change(command: &mut Command, twist: Twist) {
    match (command, twist) {
        (
            Command::Reserve { owner, .. } | Command::Order { action: OrderAction::Place { owner, .. }, .. },
            Twist::Owner,
        ) => {
            *owner = if owner.is_some() { None } else { Some(Owner::new("other").expect("an owner")) };
        }
        (Command::Order { action: OrderAction::Pay { outcome, .. }, .. }, Twist::Flag) => {
            *outcome = match outcome {
                PaymentOutcome::Succeeded => PaymentOutcome::Failed,
                PaymentOutcome::Failed => PaymentOutcome::Succeeded,
            };
        }
        (
            Command::Reserve { ttl_ms, .. }
            | Command::Order { action: OrderAction::Place { ttl_ms, .. }, .. },
            Twist::Time,
        ) => {
            *ttl_ms = if ttl_ms.is_some() { None } else { Some(0) };
        }
        (
            Command::Reserve { allow_partial: flag, .. } | Command::Transfer { at_once: flag, .. },
            Twist::Flag,
        ) => {
            *flag = !*flag;
        }
        (
            Command::Count { event: Some(event), .. }
            | Command::RecordSale { event: Some(event), .. }
            | Command::Receive { event: Some(event), .. },
            Twist::Time,
        ) => event.occurred_at.0 = event.occurred_at.0.saturating_add(1),
        _ => {}
    }
}

fn made_holds(ledger: &[Movement]) -> Vec<HoldId> {
    let made = ledger.iter().rev().filter(|movement| movement.kind == MovementKind::Reserved);
    distinct(made.filter_map(|movement| match movement.cause {
        Cause::Hold { hold, .. } => Some(hold),
        _ => None,
    }))
}

fn made_transfers(ledger: &[Movement]) -> Vec<TransferId> {
    let made = ledger.iter().rev().filter(|movement| movement.kind == MovementKind::TransferOut);
    distinct(made.filter_map(|movement| match movement.cause {
        Cause::Transfer { transfer } => Some(transfer),
        _ => None,
    }))
}

fn made_orders(inventory: &Inventory) -> Vec<OrderId> {
    let made = inventory.orders(None, None, usize::MAX).items;
    made.iter().rev().map(|order| order.order).collect()
}

fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// Fills in what a caller has read, or a leader looks up.
fn look_up(command: &mut Command, at_hand: &AtHand<'_>) {
    let inventory = at_hand.inventory;
    let last = inventory.last_seq();
    match command {
        Command::Confirm { hold, lines: Some(lines), .. }
        | Command::Release { hold, lines: Some(lines), .. } => {
            take_rows_of(*hold, lines, inventory);
        }
        Command::Adjust { store, item, expected_version: Some(version), .. }
        | Command::SetPolicy { store, item, expected_version: Some(version), .. } => {
            let now = inventory.row(store, item).map_or(0, |row| row.version);
            *version = version.saturating_add(now);
        }
        Command::Count { store, item, as_of: Some(CountBasis { seq, on_hand }), .. } => {
            *seq = counted_back(*seq, last);
            let is_of_row = |movement: &&Movement| movement.store == *store && movement.item == *item;
            let then =
                at_hand.ledger.iter().filter(is_of_row).take_while(|movement| movement.seq <= *seq).last();
            *on_hand = on_hand.or(then.map(Movement::on_hand));
        }
        Command::TrimLedger { before } => *before = counted_back(*before, last).next(),
        _ => {}
    }
    if let Command::Count { event: Some(event), .. }
    | Command::RecordSale { event: Some(event), .. }
    | Command::Receive { event: Some(event), .. } = command
    {
        happen(event, inventory);
    }
}

/// Most lines of a part are lines of the hold: all but those that were drawn for the last store. Those for the first
/// ask for no more than there is.
fn take_rows_of(id: HoldId, lines: &mut [Line], inventory: &Inventory) {
    let Some(view) = inventory.hold(id) else { return };
    for (place, line) in lines.iter_mut().enumerate().filter(|(_, line)| line.store.as_str() != STORES[2]) {
        let held = &view.lines[place % view.lines.len()];
        if line.store.as_str() == STORES[0] {
            let most = line.qty.get().min(held.reserved.max(held.expired));
            line.qty = Quantity::new(most).unwrap_or(line.qty);
        }
        (line.store, line.item) = (held.row.store.clone(), held.row.item.clone());
    }
}

fn happen(event: &mut Event, inventory: &Inventory) {
    let now = inventory.now().to_utc(inventory.utc_offset_ms().unwrap_or(0));
    event.occurred_at.0 = event.occurred_at.0.saturating_add(now.0);
}

fn counted_back(back: Seq, last: Seq) -> Seq {
    if back.0 == AHEAD { last.next() } else { Seq(last.0.saturating_sub(back.0)) }
}

/// A command as its caller gave it: before the leader made an id or looked anything up.
fn as_asked(command: &Command, is_generated: bool) -> Command {
    let mut asked = command.clone();
    match &mut asked {
        Command::Reserve { hold: id, .. }
        | Command::Order { action: OrderAction::ReplaceLines { hold: id, .. }, .. }
            if is_generated =>
        {
            *id = hold(0);
        }
        Command::Order { order: id, action: OrderAction::Place { hold: of, .. } } if is_generated => {
            (*id, *of) = (order(0), hold(0));
        }
        Command::Count { as_of: Some(basis), .. } => basis.on_hand = None,
        _ => {}
    }
    asked
}
