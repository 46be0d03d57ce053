//! Stock rows.

use super::answers::RowAt;
use super::{Document, LEDGER, RESERVE};
use crate::{
    Adjust, Confirm, Count, ErrorCode as Code, Hold, NewSku, Policy, Receive, Release, Reserve, Retire, Row,
    RowPage, Sale,
};

/// What an event of a store is refused with.
const EVENT: &[Code] = &[Code::UnknownItem, Code::EventExists, Code::EventTooOld, Code::EventTableFull];

/// Rows: made, looked at, corrected, counted, sold from and received into.
pub fn describe_stock(document: &mut Document) {
    document.tag("Stock");
    document
        .post("/admin/newSKU", "createSku", "A new row")
        .takes::<NewSku>()
        .changes()
        .creates::<Row>("The row")
        .refuses(&[Code::SkuExists]);
    rows(document);
    facts(document);
    document
        .post("/inventory/{storeId}/items/{itemId}/adjust", "adjust", "Corrects what is available")
        .takes::<Adjust>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(&[Code::UnknownItem, Code::BelowZero, Code::VersionConflict]);
    document
        .put("/inventory/{storeId}/items/{itemId}/policy", "setPolicy", "What may be sold of a row")
        .may_take::<Policy>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(&[Code::UnknownItem, Code::VersionConflict]);
    document
        .post("/inventory/{storeId}/items/{itemId}/retire", "retire", "A row takes no new holds")
        .may_take::<Retire>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(&[Code::UnknownItem]);
    document
        .delete("/inventory/{storeId}/items/{itemId}", "removeRow", "Takes an empty row away")
        .changes()
        .answers::<Row>(200, "The row as it was.")
        .refuses(&[Code::UnknownItem, Code::NotEmpty, Code::UnsupportedMediaType]);
}

fn rows(document: &mut Document) {
    document
        .get("/inventory/{storeId}/items/{itemId}", "row", "One row, now or as it was")
        .query::<u64>("atSeq", "Right after this movement.")
        .looks()
        .answers_one_of::<Row, RowAt>(200, "The row; as it was when `atSeq` was given.")
        .refuses(&[Code::UnknownItem])
        .refuses(LEDGER);
    document
        .get("/inventory/{storeId}/items", "rowsOfStore", "A store's rows")
        .query::<u64>("after", "`next` of the page before.")
        .pages()
        .looks()
        .answers::<RowPage>(200, "Some rows.");
    document
        .get("/items/{itemId}", "rowsOfItem", "An item in every store")
        .query::<u64>("after", "`next` of the page before.")
        .pages()
        .looks()
        .answers::<RowPage>(200, "Some rows.");
}

fn facts(document: &mut Document) {
    document
        .post("/inventory/{storeId}/items/{itemId}/sale", "recordSale", "A sale that has happened")
        .takes::<Sale>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(EVENT);
    document
        .post("/inventory/{storeId}/items/{itemId}/receive", "receive", "Goods that have arrived")
        .takes::<Receive>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(EVENT);
    document
        .post("/inventory/{storeId}/items/{itemId}/count", "count", "A stocktake")
        .takes::<Count>()
        .changes()
        .answers::<Row>(200, "The row.")
        .refuses(EVENT)
        .refuses(LEDGER);
}

/// Holds of one line, made and ended at its row.
pub fn describe_holds_of_a_row(document: &mut Document) {
    document.tag("Stock");
    document
        .post("/inventory/{storeId}/items/{itemId}/reserve", "reserve", "A hold of one line")
        .takes::<Reserve>()
        .changes()
        .creates::<Hold>("The hold")
        .refuses(RESERVE);
    document
        .post("/inventory/{storeId}/items/{itemId}/confirm", "confirm", "Sells a hold of this row, or a part")
        .takes::<Confirm>()
        .changes()
        .answers::<Hold>(200, "The hold.")
        .refuses(super::holds::CONFIRM);
    document
        .post(
            "/inventory/{storeId}/items/{itemId}/release",
            "release",
            "Gives back a hold of this row, or a part",
        )
        .takes::<Release>()
        .changes()
        .answers::<Hold>(200, "The hold.")
        .refuses(super::holds::RELEASE);
}
