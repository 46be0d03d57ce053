//! A plot of a part: a bar for the median of each series, and a line from its least to its most.

use std::fmt::Write;

use super::table::figure;
use crate::parts::Figures;
use crate::rounds::Series;
use crate::stats::Spread;

/// Colours on one background.
pub struct Theme {
    /// `light` or `dark`.
    pub name: &'static str,
    text: &'static str,
    own: &'static str,
    other: &'static str,
    whisker: &'static str,
}

/// For light and for dark pages.
pub const THEMES: [Theme; 2] = [
    Theme { name: "light", text: "#1f2328", own: "#2f6f9f", other: "#b0b7c0", whisker: "#1f2328" },
    Theme { name: "dark", text: "#e6edf3", own: "#5aa6dd", other: "#5b636d", whisker: "#e6edf3" },
];

/// Series of the peers start with one of these.
const PEERS: [&str; 2] = ["PostgreSQL", "etcd"];

const WIDTH: f64 = 760.0;
const LABELS: f64 = 270.0;
const FIGURES: f64 = 90.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;

/// The plot of the series that have the unit of the first one.
pub fn bars(figures: &Figures, theme: &Theme) -> String {
    let unit = figures.series.first().map_or("", |series| series.unit);
    let shown: Vec<(&Series, Spread)> = figures
        .series
        .iter()
        .filter(|series| series.unit == unit)
        .filter_map(|series| Some((series, series.spread()?)))
        .collect();
    let most = shown.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max);
    let height = ROW * (shown.len() as f64 + 1.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"{}\">\n",
        theme.text
    );
    for (place, (series, spread)) in shown.iter().enumerate() {
        bar(&mut svg, ROW * place as f64, series, spread, most, theme);
    }
    let note = format!("median and range of the rounds, {}", unit_in_words(unit));
    text(&mut svg, LABELS, ROW * shown.len() as f64, "start", &note);
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, top: f64, series: &Series, spread: &Spread, most: f64, theme: &Theme) {
    let scale = |value: f64| if most > 0.0 { value / most * (WIDTH - LABELS - FIGURES) } else { 0.0 };
    let is_peer = PEERS.iter().any(|peer| series.name.starts_with(peer));
    let colour = if is_peer { theme.other } else { theme.own };
    let (length, bar_top, middle) = (scale(spread.median), top + (ROW - BAR) / 2.0, top + ROW / 2.0);
    text(svg, LABELS - 8.0, top, "end", &series.name);
    line(
        svg,
        &format!(
            "<rect x=\"{LABELS}\" y=\"{bar_top}\" width=\"{length:.1}\" height=\"{BAR}\" fill=\"{colour}\"/>"
        ),
    );
    let (from, to) = (LABELS + scale(spread.min), LABELS + scale(spread.max));
    let whisker = format!("stroke=\"{}\" stroke-width=\"1.5\"", theme.whisker);
    line(svg, &format!("<line x1=\"{from:.1}\" y1=\"{middle}\" x2=\"{to:.1}\" y2=\"{middle}\" {whisker}/>"));
    text(svg, WIDTH, top, "end", &figure(spread.median));
}

fn text(svg: &mut String, x: f64, top: f64, anchor: &str, text: &str) {
    let y = top + ROW / 2.0 + 4.5;
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    line(svg, &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"));
}

fn line(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes all that is written to it");
}

fn unit_in_words(unit: &str) -> &str {
    match unit {
        "/s" => "a second; more is better",
        "ms" => "milliseconds; less is better",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parts::Part;
    use crate::rounds::Sample;

    fn series(name: &str, unit: &'static str, values: &[f64]) -> Series {
        Series { samples: values.iter().copied().map(Sample::of).collect(), ..Series::new(name, unit) }
    }

    #[test]
    fn a_bar_is_as_long_as_its_median() {
        let all = vec![
            series("a <b>", "/s", &[50.0, 100.0]),
            series("etcd put", "/s", &[25.0]),
            series("lag", "ms", &[9.0]),
        ];
        let plot = bars(&Figures::new(Part::Feed, all, Vec::new()), &THEMES[0]);
        assert!(plot.contains("width=\"300.0\"") && plot.contains("width=\"100.0\""), "{plot}");
        assert!(plot.contains("a &lt;b>") && plot.contains(THEMES[0].other));
        assert!(!plot.contains("lag"), "another unit has another scale");
        assert_eq!(plot.matches("<rect").count(), 2);
    }

    #[test]
    fn nothing_measured_is_an_empty_plot() {
        let plot = bars(&Figures::new(Part::Feed, Vec::new(), Vec::new()), &THEMES[1]);
        assert!(plot.starts_with("<svg") && plot.ends_with("</svg>\n") && !plot.contains("NaN"));
        let zero = bars(&Figures::new(Part::Feed, vec![series("z", "/s", &[0.0])], Vec::new()), &THEMES[1]);
        assert!(!zero.contains("NaN"));
    }
}
