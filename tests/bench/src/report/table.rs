//! Figures as tables, which read as well on a terminal as in a page.

use crate::parts::{Figures, Goal};
use crate::rounds::Series;

/// What is seen beside a figure: its name, and the heading of its column.
const BESIDE: [(&str, &str); 7] = [
    ("p50Ms", "p50 ms"),
    ("p99Ms", "p99 ms"),
    ("leaderMicros", "leader µs"),
    ("followerMicros", "follower µs"),
    ("orderMicros", "order service µs"),
    ("loadMicros", "load µs"),
    ("failed", "failed"),
];

/// The comparisons of a part, or what was measured where nothing is compared.
pub fn compared(figures: &Figures) -> String {
    if figures.ratios.is_empty() { series(figures) } else { ratios(figures) }
}

/// The comparisons of a part.
fn ratios(figures: &Figures) -> String {
    let header = ["compared", "least", "median", "most", "to reach", ""].map(str::to_owned).to_vec();
    let rows = figures.ratios.iter().map(|ratio| {
        let spread = [ratio.spread.min, ratio.spread.median, ratio.spread.max].map(figure);
        let (goal, verdict) = match ratio.goal {
            None => (String::new(), ""),
            Some(goal) => {
                (words(goal), if goal.is_met(ratio.spread.median) { "reached" } else { "**not reached**" })
            }
        };
        [vec![ratio.name.clone()], spread.to_vec(), vec![goal, verdict.to_owned()]].concat()
    });
    table(header, rows.collect())
}

/// What was measured in a part, with the medians of what was seen beside it.
pub fn series(figures: &Figures) -> String {
    let is_seen = |name: &str| figures.series.iter().any(|series| series.spread_of(name).is_some());
    let beside: Vec<(&str, &str)> = BESIDE.into_iter().filter(|(name, _)| is_seen(name)).collect();
    let mut header = ["measured", "unit", "least", "median", "most"].map(str::to_owned).to_vec();
    header.extend(beside.iter().map(|(_, heading)| (*heading).to_owned()));
    let row = |series: &Series| {
        let spread = series.spread()?;
        let mut cells = vec![series.name.clone(), series.unit.to_owned()];
        cells.extend([spread.min, spread.median, spread.max].map(figure));
        let seen = |(name, _): &(&str, &str)| series.spread_of(name).map(|spread| figure(spread.median));
        cells.extend(beside.iter().map(|column| seen(column).unwrap_or_default()));
        Some(cells)
    };
    table(header, figures.series.iter().filter_map(row).collect())
}

fn words(goal: Goal) -> String {
    match goal {
        Goal::AtLeast(least) => format!("≥ {}", figure(least)),
        Goal::AtMost(most) => format!("≤ {}", figure(most)),
    }
}

/// Three digits or so, with thousands set apart.
pub fn figure(value: f64) -> String {
    if value.abs() >= 100.0 {
        let digits = format!("{value:.0}");
        let grouped = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy);
        grouped.collect::<Vec<_>>().join(",").replacen("-,", "-", 1)
    } else if value.abs() >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn table(header: Vec<String>, rows: Vec<Vec<String>>) -> String {
    let width = |place: usize| {
        let column = std::iter::once(&header).chain(&rows).map(|row| row[place].chars().count());
        column.max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(
            |(place, (cell, &width))| {
                if place == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            },
        );
        format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
    };
    let rule = widths.iter().enumerate().map(|(place, &width)| {
        if place == 0 { "-".repeat(width) } else { format!("{}:", "-".repeat(width - 1)) }
    });
    let rule = format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "));
    [vec![line(&header), rule], rows.iter().map(line).collect()].concat().concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Part;
    use crate::rounds::Sample;

    fn figures() -> Figures {
        let mut fast = Sample::of(12_000.0);
        fast.note("p50Ms", 1.5);
        let series = vec![
            Series { samples: vec![fast], ..Series::new("fast", "/s") },
            Series { samples: vec![Sample::of(3000.0)], ..Series::new("slow", "/s") },
        ];
        let mut figures = Figures::new(Part::Hot, series, Vec::new());
        figures.compare("fast", "slow", Some(Goal::AtLeast(5.0)));
        figures.compare("slow", "fast", None);
        figures
    }

    #[test]
    fn ratios_tell_what_was_to_be_reached() {
        let text = ratios(&figures());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[2], "| fast / slow |  4.00 |   4.00 | 4.00 |   ≥ 5.00 | **not reached** |");
        assert_eq!(lines[3], "| slow / fast |  0.25 |   0.25 | 0.25 |          |                 |");
    }

    #[test]
    fn columns_are_there_when_something_was_seen() {
        let text = series(&figures());
        assert!(text.starts_with("| measured | unit |  least | median |   most | p50 ms |\n"), "{text}");
        assert!(text.contains("| fast     |   /s | 12,000 | 12,000 | 12,000 |   1.50 |"), "{text}");
        assert!(text.contains("| slow     |   /s |  3,000 |  3,000 |  3,000 |        |"), "{text}");
    }

    #[test]
    fn figures_have_about_three_digits() {
        let cases =
            [(0.0, "0.00"), (1.234, "1.23"), (45.67, "45.7"), (999.6, "1,000"), (1_234_567.0, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
        assert_eq!(figure(-123.0), "-123");
    }
}
