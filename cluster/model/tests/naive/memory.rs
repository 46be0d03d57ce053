//! What is remembered of keys and events: whole replies, with the little that the packed ones leave out.

use holdfast_model::{
    ClusterTime, Command, Event, EventId, Outcome, Policy, Refusal, Reply, Request, RowView, Seq, StoreId,
};

use super::Naive;

/// What each remembered key or event counts for in its table.
const RECORD_BYTES: u64 = 64;
/// Rows that a remembered refusal names.
const KEPT_ROWS: usize = 13;
/// Short lines that a remembered refusal names.
const KEPT_LINES: usize = 3;

#[derive(Clone)]
pub struct KeyMemory {
    id: u128,
    fingerprint: u64,
    at: ClusterTime,
    reply: Reply,
}

#[derive(Clone)]
pub struct EventMemory {
    id: (StoreId, EventId),
    told: Command,
    at: ClusterTime,
    reply: Reply,
}

/// The event of a command and the store that tells it.
fn event_of(command: &Command) -> Option<(&StoreId, &Event)> {
    match command {
        Command::Count { store, event: Some(event), .. }
        | Command::RecordSale { store, event: Some(event), .. }
        | Command::Receive { store, event: Some(event), .. } => Some((store, event)),
        _ => None,
    }
}

/// What the store told, without what was looked up for it.
fn told(command: &Command) -> Command {
    let mut told = command.clone();
    if let Command::Count { as_of: Some(basis), .. } = &mut told {
        basis.on_hand = None;
    }
    told
}

fn refused(refusal: Refusal) -> Reply {
    Reply { result: Err(refusal), seq: Seq(0), replayed: false }
}

impl Naive {
    /// The answer to a request whose key says it; none when it has no key, or a new one.
    pub(super) fn answer_of_key(&self, request: &Request) -> Option<Reply> {
        let key = request.key?;
        if let Some(known) = self.keys.iter().find(|known| known.id == key.id) {
            let is_same = known.fingerprint == key.fingerprint;
            let again = || self.again(&known.reply, &request.command);
            return Some(if is_same { again() } else { refused(Refusal::KeyReused) });
        }
        let cap_bytes = self.config.key_table_cap_bytes;
        let is_full = (self.keys.len() as u64 + 1) * RECORD_BYTES > cap_bytes;
        is_full.then(|| refused(Refusal::KeyTableFull { cap_bytes }))
    }

    pub(super) fn remember_key(&mut self, request: &Request, reply: &Reply) {
        let Some(key) = request.key else { return };
        let is_kept = !matches!(
            reply.result,
            Err(Refusal::EventTableFull { .. }
                | Refusal::SubscriptionsFull { .. }
                | Refusal::DeadLettersFull { .. })
        );
        if is_kept {
            let (id, fingerprint, at, reply) = (key.id, key.fingerprint, self.now, reply.clone());
            self.keys.push(KeyMemory { id, fingerprint, at, reply });
            self.keep(&request.command);
        }
    }

    /// Starts the window of an ended hold, transfer or order again: a key now tells of it.
    fn keep(&mut self, command: &Command) {
        let now = self.now;
        match command {
            Command::Reserve { hold: id, .. }
            | Command::Confirm { hold: id, .. }
            | Command::Release { hold: id, .. }
            | Command::Extend { hold: id, .. } => {
                let ended = self.holds.iter_mut().filter(|hold| hold.id == *id);
                ended.for_each(|hold| hold.ended = hold.ended.map(|(by, _)| (by, now)));
            }
            Command::Transfer { transfer: id, .. }
            | Command::ReceiveTransfer { transfer: id, .. }
            | Command::CloseTransfer { transfer: id, .. }
            | Command::CancelTransfer { transfer: id, .. } => {
                let ended = self.transfers.iter_mut().filter(|transfer| transfer.view.transfer == *id);
                ended.for_each(|transfer| transfer.ended_at = transfer.ended_at.map(|_| now));
            }
            Command::Order { order: id, .. } => {
                let ended = self.orders.iter_mut().filter(|order| order.id == *id);
                ended.for_each(|order| order.ended_at = order.ended_at.map(|_| now));
            }
            _ => {}
        }
    }

    /// Whether what ended at `at` is old enough, and no key is left that may tell of it.
    pub(super) fn is_over(&self, at: ClusterTime) -> bool {
        let key_is_left = self.keys.iter().any(|known| known.at <= at);
        self.now.since(at) > self.config.ended_window_ms && !key_is_left
    }

    /// The answer to a request whose event says it; none when it has no event, or a new one.
    pub(super) fn answer_of_event(&self, request: &Request) -> Option<Reply> {
        let (store, event) = event_of(&request.command)?;
        let id = (store.clone(), event.id.clone());
        if let Some(known) = self.events.iter().find(|known| known.id == id) {
            let is_same = known.told == told(&request.command);
            let again = || self.again(&known.reply, &request.command);
            return Some(if is_same { again() } else { refused(Refusal::EventExists) });
        }
        let window_ms = self.config.event_window_ms;
        if let Some(offset) = self.utc_offset_ms {
            let oldest = i128::from(self.now.to_utc(offset).0) - i128::from(window_ms);
            if i128::from(event.occurred_at.0) < oldest {
                return Some(refused(Refusal::EventTooOld { window_ms }));
            }
        }
        let cap_bytes = self.config.event_table_cap_bytes;
        let is_full = (self.events.len() as u64 + 1) * RECORD_BYTES > cap_bytes;
        is_full.then(|| refused(Refusal::EventTableFull { cap_bytes }))
    }

    pub(super) fn remember_event(&mut self, request: &Request, reply: &Reply) {
        let Some((store, event)) = event_of(&request.command) else { return };
        if reply.result.is_ok() {
            let (id, told) = ((store.clone(), event.id.clone()), told(&request.command));
            self.events.push(EventMemory { id, told, at: self.now, reply: reply.clone() });
        }
    }

    /// Forgets what is older than its window, at most so much of each kind for an entry with so many requests.
    pub(super) fn forget(&mut self, requests: usize) {
        let limit = 64 + 2 * requests;
        let (now, window) = (self.now, self.config.key_window_ms);
        let over = self.keys.iter().take_while(|known| now.since(known.at) > window).count();
        self.keys.drain(..over.min(limit));
        let window = self.config.event_window_ms;
        let over = self.events.iter().take_while(|known| now.since(known.at) > window).count();
        self.events.drain(..over.min(limit));
        self.forget_holds(limit);
        self.forget_transfers(limit);
        self.forget_orders(limit);
    }

    /// What a remembered reply says when it is given again.
    fn again(&self, reply: &Reply, command: &Command) -> Reply {
        let result = match &reply.result {
            Ok(Outcome::Row(row)) => Ok(Outcome::Row(self.row_again(row))),
            Ok(Outcome::Removed(row)) => Ok(Outcome::Removed(self.row_again(row))),
            Ok(Outcome::Hold(hold)) => {
                Ok(Outcome::Hold(self.hold_view(hold.hold).expect("a key keeps its hold")))
            }
            Ok(Outcome::Transfer(transfer)) => {
                let found = self.transfer_view(transfer.transfer);
                Ok(Outcome::Transfer(found.expect("a key keeps its transfer")))
            }
            Ok(Outcome::Order(order)) => {
                Ok(Outcome::Order(self.order_view(order.order).expect("a key keeps its order")))
            }
            Ok(Outcome::Configured(_)) => Ok(Outcome::Configured(self.config.clone())),
            Ok(outcome) => Ok(outcome.clone()),
            Err(refusal) => Err(refusal_again(refusal, command)),
        };
        Reply { result, seq: reply.seq, replayed: true }
    }

    /// The row as it stands with the balances of then; a row that is gone has nothing else.
    fn row_again(&self, then: &RowView) -> RowView {
        let gone = || RowView {
            policy: Policy::default(),
            retired: false,
            opening: 0,
            received: 0,
            adjusted: 0,
            counted: 0,
            transferred_in: 0,
            transferred_out: 0,
            sold: 0,
            ..then.clone()
        };
        RowView {
            available: then.available,
            reserved: then.reserved,
            version: then.version,
            last_seq: then.last_seq,
            ..self.row_view(&then.row).unwrap_or_else(gone)
        }
    }
}

/// A refusal with no more rows and lines than are kept of it.
fn refusal_again(refusal: &Refusal, command: &Command) -> Refusal {
    match refusal {
        Refusal::UnknownItem { rows, .. } => {
            let (rows, omitted) = kept(rows, KEPT_ROWS);
            Refusal::UnknownItem { rows, omitted }
        }
        Refusal::ItemRetired { rows, .. } => {
            let (rows, omitted) = kept(rows, KEPT_ROWS);
            Refusal::ItemRetired { rows, omitted }
        }
        Refusal::InsufficientStock { lines, .. } => {
            // The confirmation of a whole hold does not say what it asked for, which leaves room for one line.
            let is_whole = matches!(command, Command::Confirm { lines: None, .. });
            let (lines, omitted) = kept(lines, if is_whole { 1 } else { KEPT_LINES });
            Refusal::InsufficientStock { lines, omitted }
        }
        Refusal::ExceedsHold { hold, lines, .. } => {
            let (lines, omitted) = kept(lines, KEPT_LINES);
            Refusal::ExceedsHold { hold: *hold, lines, omitted }
        }
        other => other.clone(),
    }
}

/// The first `most` of `things`, and how many more there were.
fn kept<T: Clone>(things: &[T], most: usize) -> (Vec<T>, u32) {
    let kept: Vec<T> = things.iter().take(most).cloned().collect();
    let omitted = u32::try_from(things.len() - kept.len()).expect("few lines");
    (kept, omitted)
}
