//! Orders, at a node or at the order service.

use super::{Document, RESERVE};
use crate::{
    Cancel, ErrorCode as Code, Order, OrderPage, PayOrder, PlaceOrder, RefundOrder, ReplaceOrderLines,
};

/// The life of an order.
pub fn describe_orders(document: &mut Document) {
    document.tag("Orders");
    document
        .post("/orders", "placeOrder", "Places an order and holds its goods")
        .takes::<PlaceOrder>()
        .changes()
        .creates::<Order>("The order")
        .refuses(RESERVE)
        .refuses(&[Code::OrderExists]);
    document
        .get("/orders", "orders", "Orders, all or by status")
        .query_of(
            "status",
            &["PLACED", "PAID", "CANCELLED", "EXPIRED", "REFUND_DUE"],
            "Only those that stand there; `REFUND_DUE`: those for which money is owed.",
        )
        .query::<u64>("after", "`next` of the page before.")
        .pages()
        .looks()
        .answers::<OrderPage>(200, "Some orders.");
    document
        .get("/orders/{orderId}", "order", "One order")
        .looks()
        .answers::<Order>(200, "The order.")
        .refuses(&[Code::UnknownOrder]);
    document
        .put("/orders/{orderId}/lines", "replaceOrderLines", "Other lines for an order")
        .takes::<ReplaceOrderLines>()
        .changes()
        .answers::<Order>(200, "The order.")
        .refuses(RESERVE)
        .refuses(&[Code::UnknownOrder, Code::OrderConflict]);
    money(document);
}

fn money(document: &mut Document) {
    document
        .post("/orders/{orderId}/payment", "payOrder", "How a payment went")
        .takes::<PayOrder>()
        .changes()
        .answers::<Order>(200, "The order.")
        .refuses(&[Code::UnknownOrder, Code::PaymentExists, Code::TooManyPayments, Code::OrderConflict]);
    document
        .post("/orders/{orderId}/cancel", "cancelOrder", "Takes an order back before it is paid")
        .may_take::<Cancel>()
        .changes()
        .answers::<Order>(200, "The order.")
        .refuses(&[Code::UnknownOrder, Code::OrderConflict]);
    document
        .post("/orders/{orderId}/refund", "refundOrder", "A payment was given back")
        .takes::<RefundOrder>()
        .changes()
        .answers::<Order>(200, "The order.")
        .refuses(&[Code::UnknownOrder, Code::UnknownPayment, Code::RefundNotDue]);
}
