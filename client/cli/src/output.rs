//! What is printed: tables for people, JSON for programs.

use clap::ValueEnum;
use comfy_table::{CellAlignment, Table, presets};
use hdrhistogram::Histogram;
use holdfast_sdk::api::{Hold, Movement, Row, Transfer};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Prints in one of the ways.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Prints in this way.
    pub fn new(format: Format) -> Self {
        Self { format }
    }

    /// Whether programs read along.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints a value as JSON, or what `table` makes of it.
    pub fn print<T: Serialize>(&self, value: &T, table: impl FnOnce(&T) -> Table) {
        if self.is_json() {
            let text = serde_json::to_string_pretty(value);
            println!("{}", text.expect("what this program prints has plain keys"));
        } else {
            println!("{}", table(value));
        }
    }

    /// Prints a row.
    pub fn row(&self, row: &Row) {
        self.print(row, |row| rows_table(std::slice::from_ref(row)));
    }

    /// Prints rows.
    pub fn rows(&self, rows: &Vec<Row>) {
        self.print(rows, |rows| rows_table(rows));
    }

    /// Prints a hold.
    pub fn hold(&self, hold: &Hold) {
        self.print(hold, hold_table);
        if !self.is_json() {
            let left = hold.expires_in_ms.map_or("no end".to_owned(), |ms| format!("{ms} ms left"));
            println!("{} {} {left}", hold.hold_id, hold.status);
        }
    }

    /// Prints a transfer.
    pub fn transfer(&self, transfer: &Transfer) {
        self.print(transfer, |transfer| {
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
            ]);
            numbers(table, 5)
        });
    }

    /// Prints movements.
    pub fn movements(&self, movements: &Vec<Movement>) {
        self.print(movements, |movements| {
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
            ]);
            for movement in movements {
                let by = movement
                    .hold_id
                    .as_ref()
                    .or(movement.transfer_id.as_ref())
                    .or(movement.event_id.as_ref());
                table.add_row(vec![
                    movement.seq.to_string(),
                    movement.at.clone(),
                    movement.kind.clone(),
                    movement.store_id.clone(),
                    movement.item_id.clone(),
                    movement.qty.to_string(),
                    movement.available.to_string(),
                    movement.reserved.to_string(),
                    movement.version.to_string(),
                    by.or(movement.reason.as_ref()).cloned().unwrap_or_default(),
                ]);
            }
            table
        });
    }

    /// A progress bar; silent when programs read along.
    pub fn progress(&self, total: u64, what: &'static str) -> ProgressBar {
        if self.is_json() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {pos}/{len} {per_sec} {eta}");
        let bar = ProgressBar::new(total).with_message(what);
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}

/// A histogram of durations in microseconds, with three significant digits.
pub fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(3).expect("three significant digits are allowed");
    histogram.auto(true);
    histogram
}

/// An empty table with a header.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// Puts the columns from `first` on to the right.
pub fn numbers(mut table: Table, first: usize) -> Table {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn rows_table(rows: &[Row]) -> Table {
    let mut table =
        table(&["store", "item", "available", "reserved", "on hand", "sellable", "sold", "version", "flags"]);
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
            flags.join(" "),
        ]);
    }
    numbers(table, 2)
}

fn hold_table(hold: &Hold) -> Table {
    let mut table =
        table(&["store", "item", "requested", "granted", "reserved", "confirmed", "released", "expired"]);
    for line in &hold.lines {
        let counts =
            [line.requested, line.granted, line.reserved, line.confirmed, line.released, line.expired];
        let names = [line.store_id.clone(), line.item_id.clone()];
        table.add_row(names.into_iter().chain(counts.iter().map(u64::to_string)).collect::<Vec<_>>());
    }
    numbers(table, 2)
}
