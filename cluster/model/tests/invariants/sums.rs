//! First invariant: a row's sums give what is on hand; over all stores an item's transfers come out even; nothing is
//! below zero without a reason.

use std::collections::BTreeSet;

use holdfast_model::{ItemId, Movement, MovementKind, RowView, TransferView};

use super::{Seen, row_of};

pub fn check(seen: &Seen<'_>) {
    for row in &seen.rows {
        check_row(row);
        check_sign(row, seen.ledger);
    }
    let items: BTreeSet<&ItemId> = seen.ledger.iter().map(|movement| &movement.item).collect();
    for item in items {
        check_item(item, seen);
    }
}

fn check_row(row: &RowView) {
    let came = i128::from(row.opening)
        + i128::from(row.received)
        + i128::from(row.adjusted)
        + i128::from(row.counted)
        + i128::from(row.transferred_in);
    let on_hand = came - i128::from(row.transferred_out) - i128::from(row.sold);
    assert_eq!(on_hand, i128::from(row.on_hand()), "first invariant: sums of {row:?}");
    let parts = i128::from(row.available) + i128::from(row.reserved);
    assert_eq!(on_hand, parts, "first invariant: available and reserved of {row:?}");
}

/// Available is below zero only where goods were promised ahead, or a fact took more than there was.
fn check_sign(row: &RowView, ledger: &[Movement]) {
    if row.available >= 0 {
        return;
    }
    let of_row = ledger.iter().filter(|movement| row_of(movement) == row.row);
    let is_reason = |movement: &Movement| {
        matches!(movement.kind, MovementKind::Sold | MovementKind::Counted | MovementKind::Policy)
    };
    let since_made = of_row.rev().take_while(|movement| movement.kind != MovementKind::Created);
    assert!(since_made.into_iter().any(is_reason), "first invariant: below zero without a reason: {row:?}");
}

/// What left stores for others has arrived, is under way, or fell short.
fn check_item(item: &ItemId, seen: &Seen<'_>) {
    let total = |kind: MovementKind| -> i128 {
        let of_kind = seen.ledger.iter().filter(|movement| movement.item == *item && movement.kind == kind);
        of_kind.map(|movement| i128::from(movement.qty)).sum()
    };
    let open = seen.transfers.iter().filter(|transfer| transfer.item == *item);
    let under_way: i128 = open.map(TransferView::in_transit).map(i128::from).sum();
    let gone = total(MovementKind::TransferOut) - total(MovementKind::TransferIn);
    let known = under_way + total(MovementKind::Shortfall);
    assert_eq!(gone, known, "first invariant: transfers of {item}");
}
