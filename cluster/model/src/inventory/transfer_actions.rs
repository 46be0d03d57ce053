//! Goods on their way from one store to another.

use xxhash_rust::xxh3::Xxh3;

use super::rows::{Row, signed};
use super::transfers::Transfer;
use super::{By, Decision, Done, Inventory, RowName, Step};
use crate::{
    Cause, ItemId, MAX_TOTAL, MovementKind, Outcome, Quantity, Refusal, Seq, ShortLine, StoreId, TransferId,
    TransferStatus,
};

/// What goes where.
#[derive(Clone, Copy)]
pub struct Route<'a> {
    pub item: &'a ItemId,
    pub from: &'a StoreId,
    pub to: &'a StoreId,
}

impl Inventory {
    pub(super) fn transfer_goods(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: TransferId,
        route: Route<'_>,
        qty: Quantity,
        at_once: bool,
    ) -> Decision {
        let content = content_hash(route, qty, at_once);
        if let Some(ix) = self.transfers.find(id) {
            return self.same_transfer(ix, content);
        }
        let (from, to) = self.rows_of_route(route)?;
        let qty = qty.get();
        self.check_sendable(step, from, qty)?;
        self.check_room(from, -signed(qty), self.rows.get(from).transferred_out + qty)?;
        if at_once {
            self.check_room(to, signed(qty), self.rows.get(to).transferred_in + qty)?;
        }
        self.book(step, by, from, (MovementKind::TransferOut, signed(qty), cause_of(id)), |row| {
            row.available -= signed(qty);
            row.transferred_out += qty;
        });
        if at_once {
            self.arrive(step, by, to, qty, id);
        }
        let seq = self.clock.last_seq.0;
        let transfer = Transfer {
            id,
            content,
            from,
            to,
            status: if at_once { TransferStatus::Received } else { TransferStatus::Shipped },
            qty,
            received: if at_once { qty } else { 0 },
            shortfall: 0,
            returned: 0,
            made_seq: seq,
            last_seq: seq,
            ended_at: at_once.then_some(self.clock.now),
        };
        self.sums.transfers = self.sums.transfers.wrapping_add(self.transfer_digest(&transfer));
        let ix = self.transfers.insert(transfer);
        Ok(Done::now(self.transfer_outcome(ix)))
    }

    /// The answer to a second use of a transfer's id.
    fn same_transfer(&self, ix: u32, content: u64) -> Decision {
        let known = self.transfers.get(ix);
        if known.content == content {
            Ok(Done::before(self.transfer_outcome(ix), Seq(known.made_seq)))
        } else {
            Err(Refusal::TransferExists { transfer: known.id, state: known.status })
        }
    }

    pub(super) fn receive_transfer(
        &mut self,
        step: &mut Step,
        by: By<'_>,
        id: TransferId,
        qty: Option<Quantity>,
        has_key: bool,
    ) -> Decision {
        if qty.is_some() && !has_key {
            return Err(Refusal::KeyRequired);
        }
        let ix = self.known_transfer(id)?;
        let transfer = self.transfers.get(ix);
        match (transfer.status, qty) {
            (TransferStatus::Received, None) if transfer.shortfall == 0 => return Ok(self.repeat(ix)),
            (TransferStatus::Cancelled, _) | (TransferStatus::Received, None) => {
                return Err(conflict(transfer));
            }
            (TransferStatus::Shipped, _) | (TransferStatus::Received, Some(_)) => {}
        }
        let (to, remaining) = (transfer.to, transfer.in_transit());
        let qty = qty.map_or(remaining, Quantity::get);
        if qty > remaining {
            return Err(Refusal::OverReceipt { transfer: id, remaining });
        }
        self.check_room(to, signed(qty), self.rows.get(to).transferred_in + qty)?;
        self.arrive(step, by, to, qty, id);
        Ok(self.moved(ix, TransferStatus::Received, |transfer| transfer.received += qty))
    }

    pub(super) fn close_transfer(&mut self, step: &mut Step, by: By<'_>, id: TransferId) -> Decision {
        let ix = self.known_transfer(id)?;
        let transfer = self.transfers.get(ix);
        match transfer.status {
            TransferStatus::Received if transfer.shortfall > 0 => return Ok(self.repeat(ix)),
            TransferStatus::Received | TransferStatus::Cancelled => return Err(conflict(transfer)),
            TransferStatus::Shipped => {}
        }
        let (to, rest) = (transfer.to, transfer.in_transit());
        let item = self.rows.get(to).item;
        if self.transfers.sums(item).shortfall + rest > MAX_TOTAL {
            return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(to)) });
        }
        self.book(step, by, to, (MovementKind::Shortfall, signed(rest), cause_of(id)), |_| {});
        self.change_sums(item, |sums| sums.shortfall += rest);
        Ok(self.moved(ix, TransferStatus::Received, |transfer| transfer.shortfall = rest))
    }

    pub(super) fn cancel_transfer(&mut self, step: &mut Step, by: By<'_>, id: TransferId) -> Decision {
        let ix = self.known_transfer(id)?;
        let transfer = self.transfers.get(ix);
        match transfer.status {
            TransferStatus::Cancelled => return Ok(self.repeat(ix)),
            TransferStatus::Received => return Err(conflict(transfer)),
            TransferStatus::Shipped if transfer.received > 0 => return Err(conflict(transfer)),
            TransferStatus::Shipped => {}
        }
        let (from, qty) = (transfer.from, transfer.qty);
        self.check_room(from, signed(qty), self.rows.get(from).transferred_in + qty)?;
        self.arrive(step, by, from, qty, id);
        Ok(self.moved(ix, TransferStatus::Cancelled, |transfer| transfer.returned = qty))
    }

    fn rows_of_route(&self, route: Route<'_>) -> Result<(u32, u32), Refusal> {
        if route.from == route.to {
            return Err(Refusal::SameStore);
        }
        let names = [route.from, route.to].map(|store| RowName { store, item: route.item });
        let [Some(from), Some(to)] = names.map(|name| self.find_row(name.store, name.item)) else {
            let missing = names.iter().filter(|name| self.find_row(name.store, name.item).is_none());
            return Err(Refusal::UnknownItem { rows: missing.map(|name| name.key()).collect(), omitted: 0 });
        };
        if self.rows.get(to).retired {
            return Err(Refusal::ItemRetired { rows: vec![self.row_key(to)], omitted: 0 });
        }
        Ok((from, to))
    }

    fn check_sendable(&mut self, step: &mut Step, from: u32, qty: u64) -> Result<(), Refusal> {
        let fits = |row: &Row| row.sendable() >= signed(qty);
        if fits(self.rows.get(from)) {
            return Ok(());
        }
        let sendable = self.rows.get(from).sendable().saturating_add_unsigned(self.due_on(from));
        if sendable < signed(qty) {
            let line = ShortLine { row: self.row_key(from), requested: qty, available: sendable.max(0) };
            return Err(Refusal::InsufficientStock { lines: vec![line], omitted: 0 });
        }
        self.expire_due_on(step, from, fits);
        Ok(())
    }

    fn arrive(&mut self, step: &mut Step, by: By<'_>, row: u32, qty: u64, id: TransferId) {
        self.book(step, by, row, (MovementKind::TransferIn, signed(qty), cause_of(id)), |row| {
            row.available += signed(qty);
            row.transferred_in += qty;
        });
    }

    /// Changes a transfer after its movement, and ends it as `end` when nothing is under way any more.
    fn moved(&mut self, ix: u32, end: TransferStatus, change: impl FnOnce(&mut Transfer)) -> Done {
        let (now, last_seq) = (self.clock.now, self.clock.last_seq.0);
        self.change_transfer(ix, |transfer| {
            change(transfer);
            transfer.last_seq = last_seq;
            if transfer.in_transit() == 0 {
                transfer.status = end;
                transfer.ended_at = Some(now);
            }
        });
        Done::now(self.transfer_outcome(ix))
    }

    /// The answer to a repeat of the action that ended a transfer.
    fn repeat(&self, ix: u32) -> Done {
        Done::before(self.transfer_outcome(ix), Seq(self.transfers.get(ix).last_seq))
    }

    fn known_transfer(&self, id: TransferId) -> Result<u32, Refusal> {
        self.transfers.find(id).ok_or(Refusal::UnknownTransfer { transfer: id })
    }

    fn transfer_outcome(&self, ix: u32) -> Outcome {
        Outcome::Transfer(self.transfer_view(self.transfers.get(ix)))
    }
}

fn conflict(transfer: &Transfer) -> Refusal {
    let (id, state, received) = (transfer.id, transfer.status, transfer.received);
    Refusal::TransferConflict { transfer: id, state, received }
}

fn cause_of(id: TransferId) -> Cause {
    Cause::Transfer { transfer: id }
}

/// Hash of what a transfer is asked for.
fn content_hash(route: Route<'_>, qty: Quantity, at_once: bool) -> u64 {
    let mut hash = Xxh3::new();
    for text in [route.item.as_str(), route.from.as_str(), route.to.as_str()] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(&qty.get().to_le_bytes());
    hash.update(&[u8::from(at_once)]);
    hash.digest()
}
