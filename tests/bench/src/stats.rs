//! What several rounds come to.

use serde::Serialize;

/// The least, the middle and the most of some figures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// The least.
    pub min: f64,
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The most.
    pub max: f64,
}

impl Spread {
    /// That of figures; none of no figures.
    ///
    /// # Panics
    /// When one is not a number.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(|left, right| left.partial_cmp(right).expect("a measurement is a number"));
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { min, median, max })
    }

    /// That of the ratios of two series, round by round: what both had in common with the machine cancels out. Rounds in
    /// which only one was measured, or the second was 0, count for nothing.
    pub fn of_ratios(left: &[f64], right: &[f64]) -> Option<Self> {
        let pairs = left.iter().zip(right).filter(|(_, right)| **right > 0.0);
        Self::of(pairs.map(|(left, right)| left / right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        let of = |figures: &[f64]| Spread::of(figures.iter().copied()).unwrap();
        assert_eq!(of(&[3.0, 1.0, 2.0]), Spread { min: 1.0, median: 2.0, max: 3.0 });
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]), Spread { min: 1.0, median: 2.5, max: 4.0 });
        assert_eq!(of(&[7.0]), Spread { min: 7.0, median: 7.0, max: 7.0 });
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        // The machine was half as fast in the second round, and the ratio does not tell.
        let ratios = Spread::of_ratios(&[100.0, 50.0], &[10.0, 5.0]).unwrap();
        assert_eq!(ratios, Spread { min: 10.0, median: 10.0, max: 10.0 });
        assert_eq!(Spread::of_ratios(&[1.0, 2.0, 3.0], &[1.0, 0.0]).unwrap().max, 1.0);
        assert_eq!(Spread::of_ratios(&[1.0], &[]), None);
    }
}
