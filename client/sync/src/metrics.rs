//! Numbers about the service in the text format of Prometheus.

use holdfast_service::counters;
use holdfast_service::metrics::Text;

counters! {
    /// Records of the feed that were taken into the view.
    records = "holdfast_sync_records_total";
    /// Transactions of the view.
    batches = "holdfast_sync_batches_total";
    /// Views that were built from a snapshot.
    rebuilds = "holdfast_sync_rebuilds_total";
    /// Messages that a receiver took.
    delivered = "holdfast_sync_messages_delivered_total";
    /// Movements in messages that a receiver took.
    movements_delivered = "holdfast_sync_movements_delivered_total";
    /// Attempts to deliver a message that failed.
    failed_attempts = "holdfast_sync_failed_attempts_total";
    /// Resets that a receiver took.
    resets = "holdfast_sync_resets_total";
    /// Messages and events that became dead letters.
    dead_letters = "holdfast_sync_dead_letters_total";
    /// Events of stores that were applied.
    events_applied = "holdfast_sync_events_applied_total";
    /// Events of stores that had been applied before.
    events_repeated = "holdfast_sync_events_repeated_total";
    /// Events of stores that became dead letters.
    events_refused = "holdfast_sync_events_refused_total";
}

/// What stands at the moment.
#[derive(Debug, Default)]
pub struct Gauges {
    /// The last record in the view.
    pub seq: u64,
    /// How far the view is behind, in milliseconds; none while there is no view.
    pub lag_ms: Option<u64>,
    /// Whether the service is ready.
    pub ready: bool,
    /// Rows in the view.
    pub rows: u64,
    /// Bytes of the view on disk.
    pub view_size_bytes: u64,
    /// Streams to stores that are open.
    pub streams: u64,
    /// Subscriptions that are served.
    pub subscriptions: u64,
    /// Subscriptions whose receiver does not take messages.
    pub circuits_open: u64,
}

/// The text of all numbers.
pub fn text(counters: &Counters, gauges: &Gauges) -> String {
    let mut out = Text::default();
    counters.write(&mut out);
    out.gauge("holdfast_sync_seq", "The last record of the feed in the view.", gauges.seq);
    if let Some(lag_ms) = gauges.lag_ms {
        out.gauge("holdfast_sync_lag_milliseconds", "How far the view is behind the cluster.", lag_ms);
    }
    out.gauge("holdfast_sync_ready", "Whether the service is ready.", u64::from(gauges.ready));
    out.gauge("holdfast_sync_rows", "Rows in the view.", gauges.rows);
    out.gauge("holdfast_sync_view_size_bytes", "Bytes of the view on disk.", gauges.view_size_bytes);
    out.gauge("holdfast_sync_streams", "Streams to stores that are open.", gauges.streams);
    out.gauge("holdfast_sync_subscriptions", "Subscriptions that are served.", gauges.subscriptions);
    out.gauge(
        "holdfast_sync_circuits_open",
        "Subscriptions whose receiver does not take messages.",
        gauges.circuits_open,
    );
    out.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_help_its_type_and_its_value() {
        let counters = Counters::default();
        holdfast_service::metrics::add(&counters.records, 3);
        let text = text(&counters, &Gauges { seq: 7, ready: true, ..Gauges::default() });
        let expected = "# HELP holdfast_sync_records_total Records of the feed that were taken into the view.\n\
                        # TYPE holdfast_sync_records_total counter\nholdfast_sync_records_total 3\n";
        assert!(text.starts_with(expected), "{text}");
        assert!(text.contains("\nholdfast_sync_seq 7\n") && text.contains("\nholdfast_sync_ready 1\n"));
        assert!(!text.contains("lag"), "no number is made up: {text}");
    }
}
