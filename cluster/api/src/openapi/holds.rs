//! Holds of many lines, and transfers.

use super::{Document, RESERVE};
use crate::{
    Cancel, Close, ConfirmHold, ErrorCode as Code, Extend, Hold, NewHold, NewTransfer, ReceiveTransfer,
    ReleaseHold, Transfer,
};

/// What selling a hold is refused with.
pub(super) const CONFIRM: &[Code] = &[
    Code::UnknownHold,
    Code::UnknownItem,
    Code::HoldExpired,
    Code::HoldReleased,
    Code::HoldConfirmed,
    Code::HoldOfOrder,
    Code::ExceedsHold,
    Code::InsufficientStock,
    Code::IdempotencyKeyRequired,
    Code::NoLines,
    Code::TooManyLines,
    Code::QuantityOutOfRange,
];

/// What giving back a hold is refused with.
pub(super) const RELEASE: &[Code] = &[
    Code::UnknownHold,
    Code::HoldExpired,
    Code::HoldReleased,
    Code::HoldConfirmed,
    Code::HoldOfOrder,
    Code::ExceedsHold,
    Code::IdempotencyKeyRequired,
    Code::NoLines,
    Code::TooManyLines,
    Code::QuantityOutOfRange,
];

/// Holds over any rows.
pub fn describe_holds(document: &mut Document) {
    document.tag("Holds");
    document
        .post("/holds", "createHold", "A hold of many lines, all or none")
        .takes::<NewHold>()
        .changes()
        .creates::<Hold>("The hold")
        .refuses(RESERVE);
    document
        .get("/holds/{holdId}", "hold", "One hold")
        .looks()
        .answers::<Hold>(200, "The hold.")
        .refuses(&[Code::UnknownHold]);
    document
        .post("/holds/{holdId}/confirm", "confirmHold", "Sells a hold, or lines of it")
        .may_take::<ConfirmHold>()
        .changes()
        .answers::<Hold>(200, "The hold.")
        .refuses(CONFIRM);
    document
        .post("/holds/{holdId}/release", "releaseHold", "Gives back a hold, or lines of it")
        .may_take::<ReleaseHold>()
        .changes()
        .answers::<Hold>(200, "The hold.")
        .refuses(RELEASE);
    document
        .post("/holds/{holdId}/extend", "extendHold", "Lets a hold last longer")
        .takes::<Extend>()
        .changes()
        .answers::<Hold>(200, "The hold.")
        .refuses(&[
            Code::UnknownHold,
            Code::HoldExpired,
            Code::HoldReleased,
            Code::HoldConfirmed,
            Code::TtlOutOfRange,
        ]);
}

/// Goods on their way between stores.
pub(super) fn describe_transfers(document: &mut Document) {
    document.tag("Transfers");
    document
        .post("/transfers", "createTransfer", "Goods from one store to another")
        .takes::<NewTransfer>()
        .changes()
        .creates::<Transfer>("The transfer")
        .refuses(&[
            Code::UnknownItem,
            Code::ItemRetired,
            Code::InsufficientStock,
            Code::TransferExists,
            Code::SameStore,
            Code::QuantityOutOfRange,
        ]);
    document
        .get("/transfers/{transferId}", "transfer", "One transfer")
        .looks()
        .answers::<Transfer>(200, "The transfer.")
        .refuses(&[Code::UnknownTransfer]);
    document
        .post("/transfers/{transferId}/receive", "receiveTransfer", "Books an arrival, whole or in part")
        .may_take::<ReceiveTransfer>()
        .changes()
        .answers::<Transfer>(200, "The transfer.")
        .refuses(&[
            Code::UnknownTransfer,
            Code::UnknownItem,
            Code::TransferConflict,
            Code::OverReceipt,
            Code::IdempotencyKeyRequired,
        ]);
    document
        .post("/transfers/{transferId}/close", "closeTransfer", "Ends one whose rest will not arrive")
        .takes::<Close>()
        .changes()
        .answers::<Transfer>(200, "The transfer.")
        .refuses(&[Code::UnknownTransfer, Code::UnknownItem, Code::TransferConflict]);
    document
        .post("/transfers/{transferId}/cancel", "cancelTransfer", "Takes one back")
        .may_take::<Cancel>()
        .changes()
        .answers::<Transfer>(200, "The transfer.")
        .refuses(&[Code::UnknownTransfer, Code::UnknownItem, Code::TransferConflict]);
}
