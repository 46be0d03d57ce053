//! Transfers: sent, arrived, fallen short, taken back, forgotten.

use holdfast_model::{
    Cause, ClusterTime, Command, MovementKind, Outcome, Quantity, Refusal, RowKey, Seq, ShortLine,
    TransferId, TransferStatus, TransferView,
};

use super::rows::signed;
use super::{Decision, Naive, Who, key};

#[derive(Clone)]
pub struct Transfer {
    pub view: TransferView,
    at_once: bool,
    made_seq: Seq,
    last_seq: Seq,
    pub ended_at: Option<ClusterTime>,
}

impl Transfer {
    fn giver(&self) -> RowKey {
        key(&self.view.from, &self.view.item)
    }

    fn taker(&self) -> RowKey {
        key(&self.view.to, &self.view.item)
    }

    fn conflict(&self) -> Refusal {
        let TransferView { transfer, status, received, .. } = self.view;
        Refusal::TransferConflict { transfer, state: status, received }
    }
}

impl Naive {
    pub fn transfer_view(&self, id: TransferId) -> Option<TransferView> {
        self.find_transfer(id).ok().map(|transfer| transfer.view)
    }

    fn find_transfer(&self, id: TransferId) -> Result<Transfer, Refusal> {
        let found = self.transfers.iter().find(|transfer| transfer.view.transfer == id);
        found.cloned().ok_or(Refusal::UnknownTransfer { transfer: id })
    }

    fn transfer_outcome(&self, id: TransferId) -> Outcome {
        Outcome::Transfer(self.transfer_view(id).expect("the transfer was looked up"))
    }

    /// What is on its way to or from a row.
    pub(super) fn in_transit(&self, row: &RowKey) -> i128 {
        let touching =
            self.transfers.iter().filter(|transfer| transfer.giver() == *row || transfer.taker() == *row);
        touching.map(|transfer| i128::from(transfer.view.in_transit())).sum()
    }

    pub(super) fn ship(&mut self, command: &Command, who: Who) -> Decision {
        let Command::Transfer { transfer: id, item, from, to, qty, at_once, .. } = command else {
            unreachable!("only transfers come here")
        };
        let view = TransferView {
            transfer: *id,
            status: TransferStatus::Shipped,
            item: item.clone(),
            from: from.clone(),
            to: to.clone(),
            qty: qty.get(),
            received: 0,
            shortfall: 0,
            returned: 0,
        };
        let (made_seq, last_seq) = (Seq(0), Seq(0));
        let new = Transfer { view, at_once: *at_once, made_seq, last_seq, ended_at: None };
        if let Ok(known) = self.find_transfer(*id) {
            let content = |transfer: &Transfer| {
                (transfer.giver(), transfer.taker(), transfer.view.qty, transfer.at_once)
            };
            return if content(&known) == content(&new) {
                Ok((self.transfer_outcome(*id), Some(known.made_seq)))
            } else {
                Err(Refusal::TransferExists { transfer: *id, state: known.view.status })
            };
        }
        self.check_route(&new)?;
        self.unless_too_large(|naive| naive.send(new, &who))?;
        Ok((self.transfer_outcome(*id), None))
    }

    fn check_route(&mut self, new: &Transfer) -> Result<(), Refusal> {
        let (from, to) = (new.giver(), new.taker());
        if from == to {
            return Err(Refusal::SameStore);
        }
        let unknown = [&from, &to].into_iter().filter(|row| self.row(row).is_none());
        let unknown: Vec<RowKey> = unknown.cloned().collect();
        if !unknown.is_empty() {
            return Err(Refusal::UnknownItem { rows: unknown, omitted: 0 });
        }
        if self.known(&to)?.retired {
            return Err(Refusal::ItemRetired { rows: vec![to], omitted: 0 });
        }
        let qty = i128::from(new.view.qty);
        let sendable = self.sendable(&from) + self.due_on(&from);
        if sendable < qty {
            let available = signed(sendable.max(0));
            let line = ShortLine { row: from, requested: new.view.qty, available };
            return Err(Refusal::InsufficientStock { lines: vec![line], omitted: 0 });
        }
        self.expire_due_on(&from, |naive| naive.sendable(&from) >= qty);
        Ok(())
    }

    fn send(&mut self, new: Transfer, who: &Who) {
        let (id, qty) = (new.view.transfer, new.view.qty);
        let from = new.giver();
        self.transfers.push(new.clone());
        self.book(&from, MovementKind::TransferOut, i128::from(qty), Cause::Transfer { transfer: id }, who);
        if new.at_once {
            self.move_goods(&new, MovementKind::TransferIn, &new.taker(), qty, who, |view| {
                view.received = qty;
            });
        }
        let last_seq = self.last_seq();
        self.change_transfer(id, |transfer| (transfer.made_seq, transfer.last_seq) = (last_seq, last_seq));
    }

    fn change_transfer(&mut self, id: TransferId, change: impl FnOnce(&mut Transfer)) {
        let found = self.transfers.iter_mut().find(|transfer| transfer.view.transfer == id);
        change(found.expect("the transfer was looked up"));
    }

    /// Books what happened to goods that were under way. When none are left, the transfer has ended.
    fn move_goods(
        &mut self,
        transfer: &Transfer,
        kind: MovementKind,
        row: &RowKey,
        qty: u64,
        who: &Who,
        change: impl FnOnce(&mut TransferView),
    ) {
        let id = transfer.view.transfer;
        self.book(row, kind, i128::from(qty), Cause::Transfer { transfer: id }, who);
        let (now, last_seq) = (self.now, self.last_seq());
        self.change_transfer(id, |transfer| {
            change(&mut transfer.view);
            transfer.last_seq = last_seq;
            if transfer.view.in_transit() == 0 {
                let is_back = transfer.view.returned > 0;
                transfer.view.status =
                    if is_back { TransferStatus::Cancelled } else { TransferStatus::Received };
                transfer.ended_at = Some(now);
            }
        });
    }

    pub(super) fn arrive(
        &mut self,
        id: TransferId,
        qty: Option<Quantity>,
        has_key: bool,
        who: Who,
    ) -> Decision {
        if qty.is_some() && !has_key {
            return Err(Refusal::KeyRequired);
        }
        let transfer = self.find_transfer(id)?;
        let remaining = transfer.view.in_transit();
        if transfer.view.status == TransferStatus::Cancelled {
            return Err(transfer.conflict());
        }
        if transfer.view.status == TransferStatus::Received && qty.is_none() {
            return if transfer.view.shortfall == 0 {
                Ok((self.transfer_outcome(id), Some(transfer.last_seq)))
            } else {
                Err(transfer.conflict())
            };
        }
        let qty = qty.map_or(remaining, Quantity::get);
        if qty > remaining {
            return Err(Refusal::OverReceipt { transfer: id, remaining });
        }
        let to = transfer.taker();
        self.unless_too_large(|naive| {
            naive
                .move_goods(&transfer, MovementKind::TransferIn, &to, qty, &who, |view| view.received += qty);
        })?;
        Ok((self.transfer_outcome(id), None))
    }

    pub(super) fn close(&mut self, id: TransferId, who: Who) -> Decision {
        let transfer = self.find_transfer(id)?;
        if transfer.view.status == TransferStatus::Received && transfer.view.shortfall > 0 {
            return Ok((self.transfer_outcome(id), Some(transfer.last_seq)));
        }
        if transfer.view.status != TransferStatus::Shipped {
            return Err(transfer.conflict());
        }
        let (to, rest) = (transfer.taker(), transfer.view.in_transit());
        self.unless_too_large(|naive| {
            naive.move_goods(&transfer, MovementKind::Shortfall, &to, rest, &who, |view| {
                view.shortfall = rest;
            });
        })?;
        Ok((self.transfer_outcome(id), None))
    }

    pub(super) fn cancel(&mut self, id: TransferId, who: Who) -> Decision {
        let transfer = self.find_transfer(id)?;
        if transfer.view.status == TransferStatus::Cancelled {
            return Ok((self.transfer_outcome(id), Some(transfer.last_seq)));
        }
        if transfer.view.status == TransferStatus::Received || transfer.view.received > 0 {
            return Err(transfer.conflict());
        }
        let (from, qty) = (transfer.giver(), transfer.view.qty);
        self.unless_too_large(|naive| {
            naive.move_goods(&transfer, MovementKind::TransferIn, &from, qty, &who, |view| {
                view.returned = qty;
            });
        })?;
        Ok((self.transfer_outcome(id), None))
    }

    /// Forgets up to `limit` ended transfers whose window is over, those that ended first before others.
    pub(super) fn forget_transfers(&mut self, limit: usize) {
        for _ in 0..limit {
            let ended = self
                .transfers
                .iter()
                .filter_map(|transfer| Some((transfer.ended_at?, transfer.made_seq, transfer.view.transfer)));
            match ended.min() {
                Some((at, _, id)) if self.is_over(at) => {
                    self.transfers.retain(|transfer| transfer.view.transfer != id);
                }
                _ => return,
            }
        }
    }
}
