//! Numbers about the service in the text format of Prometheus.

use holdfast_service::counters;
use holdfast_service::metrics::Text;

counters! {
    /// Requests that the cluster carried out, and looks that it answered.
    done = "holdfast_order_requests_done_total";
    /// Requests that were refused, by the cluster or since they cannot be read.
    refused = "holdfast_order_requests_refused_total";
    /// Requests that no node took, or whose outcome is not known.
    failed = "holdfast_order_requests_failed_total";
    /// Refunds that their receiver took.
    announced = "holdfast_order_refunds_announced_total";
    /// Refunds that were announced and settled with the cluster.
    settled = "holdfast_order_refunds_settled_total";
    /// Attempts at a refund that failed.
    failed_attempts = "holdfast_order_refund_attempts_failed_total";
}

/// What stands at the moment.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Whether the service is ready.
    pub ready: bool,
    /// Requests that are being answered.
    pub requests: u64,
    /// Refunds whose last attempt failed.
    pub refunds_failing: u64,
}

/// The text of all numbers.
pub fn text(counters: &Counters, gauges: &Gauges) -> String {
    let mut out = Text::default();
    counters.write(&mut out);
    out.gauge("holdfast_order_ready", "Whether the service is ready.", u64::from(gauges.ready));
    out.gauge("holdfast_order_requests", "Requests that are being answered.", gauges.requests);
    out.gauge("holdfast_order_refunds_failing", "Refunds whose last attempt failed.", gauges.refunds_failing);
    out.into_string()
}
