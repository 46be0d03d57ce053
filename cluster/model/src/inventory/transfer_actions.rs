//! Goods on their way from one store to another.

use xxhash_rust::xxh3::Xxh3;

use super::expiry::signed;
use super::transfers::Transfer;
use super::{By, Decision, Done, Inventory, Step};
use crate::{
    Cause, ItemId, MAX_TOTAL, MovementKind, Outcome, Quantity, Refusal, RowKey, Seq, ShortLine, StoreId,
    TransferId, TransferStatus,
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
        if let Some(known) = self.transfers.get(id) {
            return if known.content == content {
                Ok(Done::before(self.transfer_outcome(id), Seq(known.made_seq)))
            } else {
                Err(Refusal::TransferExists { transfer: id, state: known.status })
            };
        }
        let (from, to) = self.rows_of_route(route)?;
        let qty = qty.get();
        self.check_sendable(step, from, qty)?;
        self.check_room(from, -signed(qty), self.rows.get(from).transferred_out + qty)?;
        if at_once {
            self.check_room(to, signed(qty), self.rows.get(to).transferred_in + qty)?;
        }
        let cause = Cause::Transfer { transfer: id };
        self.book(step, by, from, (MovementKind::TransferOut, signed(qty), cause), |row| {
            row.available -= signed(qty);
            row.transferred_out += qty;
        });
        if at_once {
            self.arrive(step, by, to, qty, id);
        }
        let transfer = Transfer {
            content,
            item: self.rows.get(from).item,
            from: self.rows.get(from).store,
            to: self.rows.get(to).store,
            status: if at_once { TransferStatus::Received } else { TransferStatus::Shipped },
            qty,
            received: if at_once { qty } else { 0 },
            shortfall: 0,
            returned: 0,
            made_seq: self.clock.last_seq.0,
            last_seq: self.clock.last_seq.0,
            ended_at: at_once.then_some(self.clock.now),
        };
        self.put_transfer(id, transfer);
        Ok(Done::now(self.transfer_outcome(id)))
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
        let mut transfer = self.known_transfer(id)?;
        let remaining = transfer.in_transit();
        match (transfer.status, qty) {
            (TransferStatus::Received, None) if transfer.shortfall == 0 => {
                return Ok(Done::before(self.transfer_outcome(id), Seq(transfer.last_seq)));
            }
            (TransferStatus::Cancelled, _) | (TransferStatus::Received, None) => {
                return Err(conflict(id, &transfer));
            }
            (TransferStatus::Shipped, _) | (TransferStatus::Received, Some(_)) => {}
        }
        let qty = qty.map_or(remaining, Quantity::get);
        if qty > remaining {
            return Err(Refusal::OverReceipt { transfer: id, remaining });
        }
        let to = self.row_of(transfer.to, transfer.item)?;
        self.check_room(to, signed(qty), self.rows.get(to).transferred_in + qty)?;
        self.arrive(step, by, to, qty, id);
        transfer.received += qty;
        self.end_when_done(id, transfer);
        Ok(Done::now(self.transfer_outcome(id)))
    }

    pub(super) fn close_transfer(&mut self, step: &mut Step, by: By<'_>, id: TransferId) -> Decision {
        let mut transfer = self.known_transfer(id)?;
        match transfer.status {
            TransferStatus::Received if transfer.shortfall > 0 => {
                return Ok(Done::before(self.transfer_outcome(id), Seq(transfer.last_seq)));
            }
            TransferStatus::Received | TransferStatus::Cancelled => return Err(conflict(id, &transfer)),
            TransferStatus::Shipped => {}
        }
        let rest = transfer.in_transit();
        let to = self.row_of(transfer.to, transfer.item)?;
        let fallen_short = self.transfers.shortfalls.get(&transfer.item).copied().unwrap_or_default();
        if fallen_short + rest > MAX_TOTAL {
            return Err(Refusal::QuantityOutOfRange { row: Some(self.row_key(to)) });
        }
        let cause = Cause::Transfer { transfer: id };
        self.book(step, by, to, (MovementKind::Shortfall, signed(rest), cause), |_| {});
        transfer.shortfall = rest;
        self.add_shortfall(transfer.item, rest);
        self.end_when_done(id, transfer);
        Ok(Done::now(self.transfer_outcome(id)))
    }

    pub(super) fn cancel_transfer(&mut self, step: &mut Step, by: By<'_>, id: TransferId) -> Decision {
        let mut transfer = self.known_transfer(id)?;
        match transfer.status {
            TransferStatus::Cancelled => {
                return Ok(Done::before(self.transfer_outcome(id), Seq(transfer.last_seq)));
            }
            TransferStatus::Received => return Err(conflict(id, &transfer)),
            TransferStatus::Shipped if transfer.received > 0 => return Err(conflict(id, &transfer)),
            TransferStatus::Shipped => {}
        }
        let from = self.row_of(transfer.from, transfer.item)?;
        self.check_room(from, signed(transfer.qty), self.rows.get(from).transferred_in + transfer.qty)?;
        self.arrive(step, by, from, transfer.qty, id);
        transfer.returned = transfer.qty;
        transfer.status = TransferStatus::Cancelled;
        transfer.ended_at = Some(self.clock.now);
        transfer.last_seq = self.clock.last_seq.0;
        self.put_transfer(id, transfer);
        Ok(Done::now(self.transfer_outcome(id)))
    }

    fn rows_of_route(&self, route: Route<'_>) -> Result<(u32, u32), Refusal> {
        if route.from == route.to {
            return Err(Refusal::SameStore);
        }
        let found = [route.from, route.to].map(|store| (store, self.find_row(store, route.item)));
        let missing = found.iter().filter(|(_, row)| row.is_none());
        let key = |store: &StoreId| RowKey { store: store.clone(), item: route.item.clone() };
        let rows: Vec<RowKey> = missing.map(|(store, _)| key(store)).collect();
        let [(_, Some(from)), (_, Some(to))] = found else {
            return Err(Refusal::UnknownItem { rows, omitted: 0 });
        };
        if self.rows.get(to).retired {
            return Err(Refusal::ItemRetired { rows: vec![key(route.to)], omitted: 0 });
        }
        Ok((from, to))
    }

    fn check_sendable(&mut self, step: &mut Step, from: u32, qty: u64) -> Result<(), Refusal> {
        let is_short = |inventory: &Self| inventory.rows.get(from).sendable() < signed(qty);
        if is_short(self) {
            self.expire_due_on(step, &[from]);
        }
        if is_short(self) {
            let available = self.rows.get(from).sendable().max(0);
            let line = ShortLine { row: self.row_key(from), requested: qty, available };
            return Err(Refusal::InsufficientStock { lines: vec![line], omitted: 0 });
        }
        Ok(())
    }

    fn arrive(&mut self, step: &mut Step, by: By<'_>, row: u32, qty: u64, id: TransferId) {
        let cause = Cause::Transfer { transfer: id };
        self.book(step, by, row, (MovementKind::TransferIn, signed(qty), cause), |row| {
            row.available += signed(qty);
            row.transferred_in += qty;
        });
    }

    fn end_when_done(&mut self, id: TransferId, mut transfer: Transfer) {
        transfer.last_seq = self.clock.last_seq.0;
        if transfer.in_transit() == 0 {
            transfer.status = TransferStatus::Received;
            transfer.ended_at = Some(self.clock.now);
        }
        self.put_transfer(id, transfer);
    }

    fn known_transfer(&self, id: TransferId) -> Result<Transfer, Refusal> {
        self.transfers.get(id).cloned().ok_or(Refusal::UnknownTransfer { transfer: id })
    }

    /// A row with goods under way to it cannot be taken away, so it is there.
    fn row_of(&self, store: u32, item: u32) -> Result<u32, Refusal> {
        self.rows.find(store, item).ok_or_else(|| {
            let row = RowKey { store: self.stores.text(store).clone(), item: self.items.text(item).clone() };
            Refusal::UnknownItem { rows: vec![row], omitted: 0 }
        })
    }

    fn transfer_outcome(&self, id: TransferId) -> Outcome {
        Outcome::Transfer(self.transfer(id).expect("it was just looked at"))
    }
}

fn conflict(id: TransferId, transfer: &Transfer) -> Refusal {
    Refusal::TransferConflict { transfer: id, state: transfer.status, received: transfer.received }
}

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
