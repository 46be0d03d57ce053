//! Rows, holds, transfers and records of the ledger as tables.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use holdfast_sdk::api::{Hold, HoldLine, Record, Row, Transfer};
use serde_json::{Value, json};

/// Longer durations are counted as this one, so that a histogram stays small.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// An empty table with a header.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// A table of one row.
pub fn one_row(header: &[&str], row: Vec<String>) -> Table {
    let mut table = table(header);
    table.add_row(row);
    numbers(table, 0)
}

/// Puts the columns from `first` on to the right.
pub fn numbers(mut table: Table, first: usize) -> Table {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Stock rows.
pub fn rows(rows: &[Row]) -> Table {
    let mut table = table(&[
        "store",
        "item",
        "available",
        "reserved",
        "on hand",
        "sellable",
        "sold",
        "version",
        "seq",
        "flags",
    ]);
    for row in rows {
        let flags = [(row.oversold, "oversold"), (row.retired, "retired")];
        let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
        table.add_row(vec![
            row.store_id.clone(),
            row.item_id.clone(),
            row.available.to_string(),
            row.reserved.to_string(),
            row.on_hand.to_string(),
            row.sellable.to_string(),
            row.sold.to_string(),
            row.version.to_string(),
            row.last_seq.to_string(),
            flags.join(" "),
        ]);
    }
    numbers(table, 2)
}

/// A hold's lines.
pub fn hold(hold: &Hold) -> Table {
    hold_lines(&hold.lines)
}

/// Lines of a hold or an order.
pub fn hold_lines(lines: &[HoldLine]) -> Table {
    let mut table =
        table(&["store", "item", "requested", "granted", "reserved", "confirmed", "released", "expired"]);
    for line in lines {
        let counts =
            [line.requested, line.granted, line.reserved, line.confirmed, line.released, line.expired];
        let names = [line.store_id.clone(), line.item_id.clone()];
        table.add_row(names.into_iter().chain(counts.iter().map(u64::to_string)).collect::<Vec<_>>());
    }
    numbers(table, 2)
}

/// A transfer.
pub fn transfer(transfer: &Transfer) -> Table {
    let mut table = table(&[
        "transfer",
        "status",
        "item",
        "from",
        "to",
        "qty",
        "received",
        "in transit",
        "shortfall",
        "returned",
    ]);
    table.add_row(vec![
        transfer.transfer_id.clone(),
        transfer.status.clone(),
        transfer.item_id.clone(),
        transfer.from_store_id.clone(),
        transfer.to_store_id.clone(),
        transfer.qty.to_string(),
        transfer.received.to_string(),
        transfer.in_transit.to_string(),
        transfer.shortfall.to_string(),
        transfer.returned.to_string(),
    ]);
    numbers(table, 5)
}

/// Records of the ledger.
pub fn records(records: &[Record]) -> Table {
    let mut table = table(&[
        "seq",
        "at",
        "kind",
        "store",
        "item",
        "qty",
        "available",
        "reserved",
        "version",
        "by",
        "reason",
    ]);
    for record in records {
        table.add_row(match record {
            Record::Movement(movement) => {
                let by = movement.order_id.as_ref().or(movement.hold_id.as_ref());
                let by = by.or(movement.transfer_id.as_ref()).or(movement.event_id.as_ref());
                vec![
                    movement.seq.to_string(),
                    movement.at.clone(),
                    movement.kind.clone(),
                    movement.store_id.clone(),
                    movement.item_id.clone(),
                    movement.qty.to_string(),
                    movement.available.to_string(),
                    movement.reserved.to_string(),
                    movement.version.to_string(),
                    by.cloned().unwrap_or_default(),
                    movement.reason.clone().unwrap_or_default(),
                ]
            }
            Record::Order(event) => {
                let mut row = vec![event.seq.to_string(), event.at.clone(), event.kind.clone()];
                row.resize(9, String::new());
                row.extend([event.order_id.clone(), event.reason.clone().unwrap_or_default()]);
                row
            }
        });
    }
    table
}

/// A histogram of durations in microseconds, with three significant digits, that grows to whatever comes.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three significant digits are allowed");
    histogram.auto(true);
    histogram
}

/// Adds a duration to a histogram of microseconds.
pub fn record(micros: &mut Histogram<u64>, taken: Duration) {
    let taken = taken.min(LONGEST).as_micros();
    micros
        .record(u64::try_from(taken).unwrap_or(u64::MAX))
        .expect("a histogram that grows takes every duration");
}

/// A quantile of a histogram of microseconds, in milliseconds.
pub fn millis(micros: &Histogram<u64>, quantile: f64) -> f64 {
    micros.value_at_quantile(quantile) as f64 / 1000.0
}

/// The latencies of a histogram of microseconds, for programs.
pub fn latency(micros: &Histogram<u64>) -> Value {
    json!({
        "count": micros.len(), "p50": millis(micros, 0.5), "p90": millis(micros, 0.9), "p99": millis(micros, 0.99),
        "p999": millis(micros, 0.999), "max": millis(micros, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let mut micros = histogram();
        for millis in 1..=100 {
            record(&mut micros, Duration::from_millis(millis));
        }
        record(&mut micros, Duration::MAX);
        let told = latency(&micros);
        assert_eq!(told["count"], 101);
        let near =
            |name: &str, expected: f64| (told[name].as_f64().unwrap() - expected).abs() < expected / 100.0;
        assert!(near("p50", 51.0) && near("p99", 100.0) && near("max", 86_400_000.0), "{told}");
    }

    #[test]
    fn an_empty_histogram_has_latencies_of_zero() {
        assert_eq!(latency(&histogram())["max"], 0.0);
    }
}
