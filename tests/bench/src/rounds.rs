//! Rounds: the same cases one after another, each round in the other direction, so that all see the same machine.

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::future::LocalBoxFuture;
use serde::Serialize;

use crate::failure::Result;
use crate::load::Ran;
use crate::process::cpu_micros;
use crate::stats::Spread;

/// One figure, and what else was seen while it was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// The figure, in the unit of its series.
    pub value: f64,
    /// Latencies in milliseconds, processor time in microseconds for each request, and the like, by name.
    pub beside: BTreeMap<String, f64>,
}

impl Sample {
    /// A figure alone.
    pub fn of(value: f64) -> Self {
        Self { value, beside: BTreeMap::new() }
    }

    /// How often something was done in a second.
    pub fn rate(ran: &Ran) -> Self {
        let mut sample = Self::of(ran.per_second());
        sample.note("p50Ms", ran.p50_ms);
        sample.note("p99Ms", ran.p99_ms);
        sample.note("loadMicros", ran.cpu_micros as f64 / ran.ok.max(1) as f64);
        sample.note("failed", ran.failed() as f64);
        sample.note("answerBytes", ran.bytes as f64 / ran.ok.max(1) as f64);
        sample
    }

    /// Keeps something that was seen beside the figure, unless it is 0: what was not measured.
    pub fn note(&mut self, name: &str, value: f64) {
        if value > 0.0 {
            *self.beside.entry(name.to_owned()).or_default() += value;
        }
    }
}

/// The same figure from every round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// What was measured.
    pub name: String,
    /// `/s` or `ms`, or what else it counts in.
    pub unit: &'static str,
    /// One for each round.
    pub samples: Vec<Sample>,
}

impl Series {
    /// A series without samples.
    pub fn new(name: impl Into<String>, unit: &'static str) -> Self {
        Self { name: name.into(), unit, samples: Vec::new() }
    }

    /// Its figures, round by round.
    pub fn values(&self) -> Vec<f64> {
        self.samples.iter().map(|sample| sample.value).collect()
    }

    /// The spread of its figures.
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(self.values())
    }

    /// The spread of what was seen beside them.
    pub fn spread_of(&self, name: &str) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| sample.beside.get(name).copied()))
    }
}

/// One thing to measure, as often as there are rounds.
pub struct Case<'a, S> {
    name: &'static str,
    unit: &'static str,
    work: Work<'a, S>,
}

/// Measures once.
type Work<'a, S> = Box<dyn for<'s> Fn(&'s mut S) -> LocalBoxFuture<'s, Result<Sample>> + 'a>;

impl<'a, S> Case<'a, S> {
    /// How often something is done in a second, on servers `S`.
    pub fn rate(
        name: &'static str,
        work: impl for<'s> Fn(&'s mut S) -> LocalBoxFuture<'s, Result<Sample>> + 'a,
    ) -> Self {
        Self { name, unit: "/s", work: Box::new(work) }
    }

    /// How many milliseconds something takes.
    pub fn millis(
        name: &'static str,
        work: impl for<'s> Fn(&'s mut S) -> LocalBoxFuture<'s, Result<Sample>> + 'a,
    ) -> Self {
        Self { name, unit: "ms", work: Box::new(work) }
    }
}

/// Measures every case in every round, forwards and backwards by turns.
///
/// # Errors
/// The first failure of a case.
pub async fn alternate<S>(rounds: usize, servers: &mut S, cases: &[Case<'_, S>]) -> Result<Vec<Series>> {
    let mut all: Vec<Series> = cases.iter().map(|case| Series::new(case.name, case.unit)).collect();
    for round in 0..rounds {
        for place in in_turn(round, cases.len()) {
            let sample = (cases[place].work)(servers).await?;
            tell(round, &all[place], &sample);
            all[place].samples.push(sample);
        }
    }
    Ok(all)
}

/// The order of a round.
pub fn in_turn(round: usize, count: usize) -> Vec<usize> {
    let forwards = 0..count;
    if round.is_multiple_of(2) { forwards.collect() } else { forwards.rev().collect() }
}

/// Says on standard error what was measured just now.
pub fn tell(round: usize, series: &Series, sample: &Sample) {
    let Series { name, unit, .. } = series;
    eprintln!("  round {}  {name:<36} {:>12.1} {unit}", round + 1, sample.value);
}

/// The rate of a load, with the processor time of servers for each request, by their part in the work.
///
/// # Errors
/// When the load fails.
pub async fn with_cpu(
    processes: Vec<(String, u32)>,
    load: impl Future<Output = Result<Ran>>,
) -> Result<(Ran, Sample)> {
    let read = || processes.iter().map(|(_, pid)| cpu_micros(*pid)).collect::<Vec<_>>();
    let before = read();
    let ran = load.await?;
    let mut sample = Sample::rate(&ran);
    for (((role, _), before), after) in processes.iter().zip(before).zip(read()) {
        let taken = after.saturating_sub(before) as f64 / ran.ok.max(1) as f64;
        let alike = processes.iter().filter(|(other, _)| other == role).count();
        sample.note(&format!("{role}Micros"), taken / alike as f64);
    }
    Ok((ran, sample))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn rounds_go_to_and_fro() {
        let case = |name: &'static str| {
            Case::rate(name, move |seen: &mut Vec<&str>| {
                seen.push(name);
                async { Ok(Sample::of(1.0)) }.boxed_local()
            })
        };
        let mut seen = Vec::new();
        let all = alternate(3, &mut seen, &[case("a"), case("b")]).await.unwrap();
        assert_eq!(seen, ["a", "b", "b", "a", "a", "b"]);
        assert_eq!(all.iter().map(|series| series.samples.len()).collect::<Vec<_>>(), [3, 3]);
    }

    #[test]
    fn what_was_not_measured_is_not_told() {
        let sample = Sample::rate(&Ran { ok: 10, seconds: 2.0, p50_ms: 1.0, ..Ran::default() });
        assert_eq!(sample.value, 5.0);
        assert_eq!(sample.beside.keys().collect::<Vec<_>>(), ["p50Ms"]);
        let series = Series { samples: vec![sample], ..Series::new("x", "/s") };
        assert_eq!(series.spread_of("p50Ms").unwrap().median, 1.0);
        assert_eq!(series.spread_of("p99Ms"), None);
    }
}
