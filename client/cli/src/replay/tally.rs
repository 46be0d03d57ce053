//! What buyers have seen, and how it is told.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use comfy_table::Table;
use hdrhistogram::Histogram;
use holdfast_sdk::api::Problem;
use holdfast_sdk::model::ItemId;
use serde_json::{Value, json};

use super::baskets::{Basket, RowName};
use crate::tables::{histogram, latency, millis, numbers, record, table};

/// How many of the most missed items are told.
const MOST_MISSED: usize = 10;

/// What baskets are to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trade {
    /// Holds, which are confirmed or released.
    Holds,
    /// Orders, which are paid or cancelled.
    Orders,
}

/// What a buyer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A hold or an order.
    Take,
    /// Its sale.
    Sell,
    /// Its end without one.
    GiveBack,
}

impl Operation {
    const ALL: [Self; 3] = [Self::Take, Self::Sell, Self::GiveBack];

    const fn name(self, trade: Trade) -> &'static str {
        match (trade, self) {
            (Trade::Holds, Self::Take) => "reserve",
            (Trade::Holds, Self::Sell) => "confirm",
            (Trade::Holds, Self::GiveBack) => "release",
            (Trade::Orders, Self::Take) => "place",
            (Trade::Orders, Self::Sell) => "pay",
            (Trade::Orders, Self::GiveBack) => "cancel",
        }
    }
}

/// What buyers have seen.
pub struct Tally {
    /// Baskets that were held and sold.
    pub baskets_sold: u64,
    /// Baskets that were refused since stock was short.
    pub refused: u64,
    /// Baskets that were held and given back.
    pub released: u64,
    /// Units that were sold.
    pub units: u64,
    /// Units that were sold of each row.
    pub sold: BTreeMap<RowName, u64>,
    /// Units that refused baskets lacked, by item.
    missed: BTreeMap<ItemId, u64>,
    /// How long each operation took with all its attempts, in microseconds.
    micros: [Histogram<u64>; 3],
}

impl Tally {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            baskets_sold: 0,
            refused: 0,
            released: 0,
            units: 0,
            sold: BTreeMap::new(),
            missed: BTreeMap::new(),
            micros: [histogram(), histogram(), histogram()],
        }
    }

    /// Takes in what another buyer has seen.
    pub fn add(&mut self, other: Self) {
        self.baskets_sold += other.baskets_sold;
        self.refused += other.refused;
        self.released += other.released;
        self.units += other.units;
        for (row, units) in other.sold {
            *self.sold.entry(row).or_default() += units;
        }
        for (item, units) in other.missed {
            *self.missed.entry(item).or_default() += units;
        }
        for (mine, theirs) in self.micros.iter_mut().zip(other.micros) {
            mine.add(theirs).expect("histograms of one kind add up");
        }
    }

    /// An operation that began at `since` is over.
    pub fn note(&mut self, operation: Operation, since: Instant) {
        record(&mut self.micros[operation as usize], since.elapsed());
    }

    /// A basket was sold.
    pub fn note_sale(&mut self, basket: &Basket) {
        self.baskets_sold += 1;
        for line in &basket.lines {
            let units = line.qty.get();
            self.units += units;
            *self.sold.entry((line.store_id.clone(), line.item_id.clone())).or_default() += units;
        }
    }

    /// A basket was refused; the problem names every line that was short.
    pub fn note_refusal(&mut self, problem: &Problem) {
        self.refused += 1;
        let lines = problem.more.get("lines").and_then(Value::as_array);
        for line in lines.into_iter().flatten() {
            let units = |name: &str| line[name].as_u64().unwrap_or_default();
            if let Some(item) = line["itemId"].as_str().and_then(|item| ItemId::new(item).ok()) {
                *self.missed.entry(item).or_default() +=
                    units("requested").saturating_sub(units("available"));
            }
        }
    }

    /// The items of which refused baskets lacked most, with how many units.
    fn most_missed(&self) -> Vec<(&ItemId, u64)> {
        let mut missed: Vec<_> = self.missed.iter().map(|(item, units)| (item, *units)).collect();
        missed.sort_by_key(|(item, units)| (std::cmp::Reverse(*units), *item));
        missed.truncate(MOST_MISSED);
        missed
    }

    fn all_micros(&self) -> Histogram<u64> {
        let mut all = histogram();
        for micros in &self.micros {
            all.add(micros).expect("histograms of one kind add up");
        }
        all
    }
}

/// What a replay did.
pub struct Report {
    /// What the buyers have seen.
    pub tally: Tally,
    /// Lines of the file.
    pub lines: u64,
    /// Lines that cannot be sold.
    pub lines_rejected: u64,
    /// Baskets that were played.
    pub baskets: u64,
    /// Baskets with nothing that can be sold.
    pub baskets_rejected: u64,
    /// How long all buyers took together.
    pub elapsed: Duration,
    /// What baskets were.
    pub trade: Trade,
}

impl Report {
    fn requests_per_second(&self) -> f64 {
        self.tally.all_micros().len() as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// For programs.
    pub fn value(&self) -> Value {
        let Self { tally, .. } = self;
        let missed: Vec<Value> =
            tally.most_missed().iter().map(|(item, units)| json!({"itemId": item, "units": units})).collect();
        let all = tally.all_micros();
        let each: serde_json::Map<String, Value> = Operation::ALL
            .map(|operation| {
                (operation.name(self.trade).to_owned(), latency(&tally.micros[operation as usize]))
            })
            .into_iter()
            .collect();
        json!({
            "lines": self.lines, "linesRejected": self.lines_rejected,
            "baskets": self.baskets, "basketsRejected": self.baskets_rejected,
            "basketsSold": tally.baskets_sold, "basketsRefusedForStock": tally.refused, "basketsReleased": tally.released,
            "unitsSold": tally.units, "mostMissed": missed,
            "requests": all.len(), "seconds": self.elapsed.as_secs_f64(), "requestsPerSecond": self.requests_per_second(),
            "latencyMs": latency(&all), "latencyMsByOperation": each,
        })
    }

    /// For people.
    pub fn tables(&self) -> [Table; 3] {
        [self.count_table(), self.missed_table(), self.latency_table()]
    }

    fn count_table(&self) -> Table {
        let Self { tally, .. } = self;
        let mut counts = table(&["replay", ""]);
        for (name, count) in [
            ("lines", self.lines),
            ("lines rejected", self.lines_rejected),
            ("baskets rejected", self.baskets_rejected),
            ("baskets played", self.baskets),
            ("baskets sold", tally.baskets_sold),
            ("baskets refused for stock", tally.refused),
            ("baskets released", tally.released),
            ("units sold", tally.units),
            ("requests", tally.all_micros().len()),
        ] {
            counts.add_row(vec![name.to_owned(), count.to_string()]);
        }
        counts.add_row(vec!["seconds".to_owned(), format!("{:.2}", self.elapsed.as_secs_f64())]);
        counts.add_row(vec!["requests per second".to_owned(), format!("{:.0}", self.requests_per_second())]);
        numbers(counts, 1)
    }

    fn missed_table(&self) -> Table {
        let mut missed = table(&["most missed item", "units short"]);
        for (item, units) in self.tally.most_missed() {
            missed.add_row(vec![item.to_string(), units.to_string()]);
        }
        numbers(missed, 1)
    }

    fn latency_table(&self) -> Table {
        let mut latencies = table(&["latency", "requests", "p50 ms", "p99 ms", "max ms"]);
        let all = self.tally.all_micros();
        let each = Operation::ALL
            .map(|operation| (operation.name(self.trade), &self.tally.micros[operation as usize]));
        for (name, micros) in each.into_iter().chain([("all", &all)]) {
            let mut cells = vec![name.to_owned(), micros.len().to_string()];
            cells.extend([0.5, 0.99, 1.0].map(|quantile| format!("{:.2}", millis(micros, quantile))));
            latencies.add_row(cells);
        }
        numbers(latencies, 1)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_sdk::api::ErrorCode;

    use super::*;

    fn refusal(lines: &[(&str, u64, i64)]) -> Problem {
        let line = |(item, requested, available): &(&str, u64, i64)| json!({"storeId": "S1", "itemId": item, "requested": requested, "available": available});
        Problem::new(ErrorCode::InsufficientStock, "short")
            .with("lines", lines.iter().map(line).collect::<Vec<_>>())
    }

    #[test]
    fn the_most_missed_items_come_first() {
        let (mut one, mut two) = (Tally::new(), Tally::new());
        one.note_refusal(&refusal(&[("A", 3, 1), ("B", 10, 0)]));
        two.note_refusal(&refusal(&[("A", 9, 0), ("C", 1, 0)]));
        one.add(two);
        let told: Vec<_> = one.most_missed().iter().map(|(item, units)| (item.as_str(), *units)).collect();
        assert_eq!(told, [("A", 11), ("B", 10), ("C", 1)]);
        assert_eq!(one.refused, 2);
        for number in 0..20 {
            one.note_refusal(&refusal(&[(&format!("X{number}"), 1, 0)]));
        }
        assert_eq!(one.most_missed().len(), MOST_MISSED);
    }

    #[test]
    fn a_report_of_nothing_can_be_told() {
        let report = Report {
            tally: Tally::new(),
            lines: 0,
            lines_rejected: 0,
            baskets: 0,
            baskets_rejected: 0,
            elapsed: Duration::ZERO,
            trade: Trade::Holds,
        };
        assert_eq!(report.value()["requestsPerSecond"], 0.0);
        assert!(report.tables()[0].to_string().contains("baskets sold"));
    }
}
