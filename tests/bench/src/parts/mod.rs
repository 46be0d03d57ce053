//! The parts of a run, one a file: what is started, what is measured against what, and what is checked.

mod batch;
mod budget;
mod failover;
mod feed;
mod growth;
mod hot;
mod latency;
mod order;
mod peers;
mod read;
mod reserve;

use clap::ValueEnum;
use serde::Serialize;

use crate::failure::Result;
use crate::room::Room;
use crate::rounds::Series;
use crate::stats::Spread;

/// A part by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// Single reservations, spread over all rows
    Reserve,
    /// The same on one row
    Hot,
    /// Many reservations a request
    Batch,
    /// Rows that are looked at
    Read,
    /// Reservations through the order service
    Order,
    /// One connection, and half of what is possible at fixed times
    Latency,
    /// Reservations while the feed is read
    Feed,
    /// The leader is killed under load
    Failover,
    /// Many rows against few
    Growth,
    /// What a reservation costs along its way
    Budget,
}

/// How two series compare, round by round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ratio {
    /// What is compared.
    pub name: String,
    /// The ratio.
    pub spread: Spread,
    /// What it is to be: at least, or at most.
    pub goal: Option<Goal>,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Goal {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// What a part came to.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Which part.
    pub part: Part,
    /// What was measured.
    pub series: Vec<Series>,
    /// How it compares.
    pub ratios: Vec<Ratio>,
    /// What was checked, in words.
    pub checks: Vec<String>,
}

impl Figures {
    /// Figures without comparisons.
    pub fn new(part: Part, series: Vec<Series>, checks: Vec<String>) -> Self {
        Self { part, series, ratios: Vec::new(), checks }
    }

    /// Compares two series by name.
    ///
    /// # Panics
    /// When a name is none of a series.
    pub fn compare(&mut self, left: &str, right: &str, goal: Option<Goal>) {
        let of = |name| {
            let found = self.series.iter().find(|series| series.name == name);
            found.unwrap_or_else(|| panic!("{name} is measured")).values()
        };
        if let Some(spread) = Spread::of_ratios(&of(left), &of(right)) {
            self.ratios.push(Ratio { name: format!("{left} / {right}"), spread, goal });
        }
    }

    /// Holds a series itself against a goal.
    pub fn hold(&mut self, name: &str, goal: Goal) {
        let series = self.series.iter().find(|series| series.name == name);
        if let Some((series, spread)) = series.and_then(|series| Some((series, series.spread()?))) {
            let name = format!("{name}, {}", series.unit);
            self.ratios.push(Ratio { name, spread, goal: Some(goal) });
        }
    }
}

impl Part {
    /// All of them, in the order in which they are measured.
    pub fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// Measures it.
    ///
    /// # Errors
    /// When something does not start, a request fails, or a check does.
    pub async fn measure(self, room: &Room) -> Result<Figures> {
        match self {
            Self::Reserve => reserve::measure(room).await,
            Self::Hot => hot::measure(room).await,
            Self::Batch => batch::measure(room).await,
            Self::Read => read::measure(room).await,
            Self::Order => order::measure(room).await,
            Self::Latency => latency::measure(room).await,
            Self::Feed => feed::measure(room).await,
            Self::Failover => failover::measure(room).await,
            Self::Growth => growth::measure(room).await,
            Self::Budget => budget::measure(room).await,
        }
    }
}

impl Goal {
    /// Whether a figure is what it is to be.
    pub fn is_met(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Sample;

    #[test]
    fn series_are_compared_by_name() {
        let series = |name: &str, values: [f64; 2]| Series {
            samples: values.map(Sample::of).to_vec(),
            ..Series::new(name, "/s")
        };
        let all = vec![series("a", [10.0, 30.0]), series("b", [1.0, 2.0])];
        let mut figures = Figures::new(Part::Reserve, all, Vec::new());
        figures.compare("a", "b", Some(Goal::AtLeast(12.0)));
        figures.hold("b", Goal::AtMost(2.0));
        assert_eq!(figures.ratios[0].spread.median, 12.5);
        assert!(figures.ratios[0].goal.unwrap().is_met(12.5) && !Goal::AtLeast(12.6).is_met(12.5));
        assert_eq!(figures.ratios[1].name, "b, /s");
        assert!(Goal::AtMost(2.0).is_met(1.5));
    }
}
