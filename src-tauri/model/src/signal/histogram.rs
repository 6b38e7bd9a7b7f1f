//! Counting values by size, from any thread, without waiting.

use std::sync::atomic::{AtomicU64, Ordering};

/// Sums are kept in millionths of the unit.
const PARTS: f64 = 1e6;

/// How many values lay below each of some bounds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One more than there are bounds: what lies above all of them.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram as it was at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Counted {
    /// The upper bounds with how many values lay at or below each; the last one is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// All values together.
    pub sum: f64,
    /// How many values there were.
    pub count: u64,
}

impl Histogram {
    /// Without values; `bounds` must rise.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value. What is no number is not counted, and what is negative counts as zero.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is not negative, and a cast of what is too large gives the largest"
    )]
    pub fn observe(&self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let value = value.max(0.0);
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((value * PARTS).round() as u64, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "sums stay far below 2^53 millionths in practice"
    )]
    pub fn counted(&self) -> Counted {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut count = 0;
        let buckets = bounds.zip(&self.counts).map(|(bound, counted)| {
            count += counted.load(Ordering::Relaxed);
            (bound, count)
        });
        let buckets = buckets.collect();
        Counted { buckets, sum: self.sum.load(Ordering::Relaxed) as f64 / PARTS, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted_at_or_below_each_bound() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for value in [0.0, 0.1, 0.100_001, 1.0, 5.0, -3.0, f64::NAN, f64::INFINITY] {
            histogram.observe(value);
        }
        let counted = histogram.counted();
        assert_eq!(counted.buckets, [(0.1, 3), (1.0, 5), (f64::INFINITY, 6)]);
        assert_eq!(counted.count, 6);
        assert!((counted.sum - 6.200_001).abs() < 1e-9, "{}", counted.sum);
    }
}
