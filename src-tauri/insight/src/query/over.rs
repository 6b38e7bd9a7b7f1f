//! Numbers from the samples of a stretch of time, with Prometheus' meaning.

use super::functions::Over;
use super::source::{Sample, Sums};

/// Which of Prometheus' major versions is meant where they differ.
///
/// They differ in whether a sample at the very beginning of a range belongs to it, and in how far a
/// counter is stretched towards a beginning that it cannot have had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Meaning {
    /// Version 3: the beginning of a range is left out, so that 5m hold 300 samples of one a second.
    #[default]
    Three,
    /// Version 2: both ends belong to a range.
    Two,
}

impl Meaning {
    /// The first moment of the range that ends at `end_ms`.
    pub(super) fn begin(self, end_ms: i64, range_ms: i64) -> i64 {
        let begin = end_ms.saturating_sub(range_ms);
        match self {
            Self::Three => begin.saturating_add(1),
            Self::Two => begin,
        }
    }
}

/// A stretch of time in which samples are looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) end_ms: i64,
    pub(super) range_ms: i64,
    pub(super) meaning: Meaning,
}

/// What a function says of samples, sorted by time; nothing where they do not suffice.
pub(super) fn over(function: Over, samples: &[Sample], around: Around) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let values = samples.iter().map(|sample| sample.value);
    let pairs = samples.windows(2).map(|pair| (pair[0].value, pair[1].value));
    Some(match function {
        Over::Rate | Over::Increase => {
            let resets: f64 = pairs.filter(|(one, next)| next < one).map(|(one, _)| one).sum();
            let grown = last.value - first.value + resets;
            return stretched(function, samples, grown, around);
        }
        Over::Delta => return stretched(function, samples, last.value - first.value, around),
        Over::Irate | Over::Idelta => return latest_pair(function, samples),
        Over::Deriv => line(samples, first.at_ms)?.0,
        Over::Changes => {
            let same = |(one, next): &(f64, f64)| one == next || (one.is_nan() && next.is_nan());
            pairs.filter(|pair| !same(pair)).count() as f64
        }
        Over::Resets => pairs.filter(|(one, next)| next < one).count() as f64,
        Over::Avg => mean(values),
        Over::Min => values.fold(f64::NAN, smaller),
        Over::Max => values.fold(f64::NAN, larger),
        Over::Sum => sum(values),
        Over::Count => samples.len() as f64,
        Over::Last => last.value,
        Over::Present => 1.0,
        Over::Stddev => variance(values).sqrt(),
        Over::Stdvar => variance(values),
    })
}

/// The same of sums by the minute or hour; nothing where only samples can say it.
pub(super) fn over_sums(function: Over, sums: &[Sums]) -> Option<f64> {
    let count = sums.iter().map(|it| it.count as f64).sum::<f64>();
    let last = sums.last()?;
    Some(match function {
        Over::Avg => sum(sums.iter().map(|it| it.sum)) / count,
        Over::Min => sums.iter().map(|it| it.min).fold(f64::NAN, smaller),
        Over::Max => sums.iter().map(|it| it.max).fold(f64::NAN, larger),
        Over::Sum => sum(sums.iter().map(|it| it.sum)),
        Over::Count => count,
        Over::Last => last.last,
        Over::Present => 1.0,
        _ => return None,
    })
}

/// Not a number gives way to any number.
pub(super) fn smaller(kept: f64, next: f64) -> f64 {
    if next < kept || kept.is_nan() { next } else { kept }
}

/// Not a number gives way to any number.
pub(super) fn larger(kept: f64, next: f64) -> f64 {
    if next > kept || kept.is_nan() { next } else { kept }
}

/// A difference between the first and the last sample, stretched to the ends of the range: as far
/// as the samples lie apart on average, and half of it beyond where the range goes on.
pub(super) fn stretched(
    function: Over,
    samples: &[Sample],
    difference: f64,
    around: Around,
) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    if samples.len() < 2 {
        return None;
    }
    let begin_ms = around.end_ms.saturating_sub(around.range_ms);
    let mut to_start = (first.at_ms - begin_ms) as f64 / 1000.0;
    let to_end = (around.end_ms - last.at_ms) as f64 / 1000.0;
    let sampled = (last.at_ms - first.at_ms) as f64 / 1000.0;
    let apart = sampled / (samples.len() - 1) as f64;
    let far = apart * 1.1;
    if around.meaning == Meaning::Three && to_start >= far {
        to_start = apart / 2.0;
    }
    if function != Over::Delta && difference > 0.0 && first.value >= 0.0 {
        // A counter was not below zero, so it is not stretched beyond where it would have been.
        to_start = to_start.min(sampled * (first.value / difference));
    }
    if around.meaning == Meaning::Two && to_start >= far {
        to_start = apart / 2.0;
    }
    let to_end = if to_end >= far { apart / 2.0 } else { to_end };
    let mut factor = (sampled + to_start + to_end) / sampled;
    if function == Over::Rate {
        factor /= around.range_ms as f64 / 1000.0;
    }
    Some(difference * factor)
}

fn latest_pair(function: Over, samples: &[Sample]) -> Option<f64> {
    let [.., before, last] = samples else { return None };
    let rate = function == Over::Irate;
    let reset = rate && last.value < before.value;
    let difference = if reset { last.value } else { last.value - before.value };
    let apart_ms = last.at_ms - before.at_ms;
    match (rate, apart_ms) {
        (false, _) => Some(difference),
        (true, 0) => None,
        (true, apart_ms) => Some(difference / (apart_ms as f64 / 1000.0)),
    }
}

/// Slope per second and value at `zero_ms` of the line of least squares through samples.
pub(super) fn line(samples: &[Sample], zero_ms: i64) -> Option<(f64, f64)> {
    let first = samples.first()?;
    if samples.len() < 2 {
        return None;
    }
    if samples.iter().all(|sample| sample.value == first.value) {
        let flat = if first.value.is_infinite() { f64::NAN } else { 0.0 };
        return Some((flat, if flat.is_nan() { flat } else { first.value }));
    }
    let (mut x, mut y) = (Exact::default(), Exact::default());
    let (mut xy, mut x2) = (Exact::default(), Exact::default());
    for sample in samples {
        let seconds = (sample.at_ms - zero_ms) as f64 / 1000.0;
        x.add(seconds);
        y.add(sample.value);
        xy.add(seconds * sample.value);
        x2.add(seconds * seconds);
    }
    let n = samples.len() as f64;
    let (x, y, xy, x2) = (x.total(), y.total(), xy.total(), x2.total());
    let slope = (xy - x * y / n) / (x2 - x * x / n);
    Some((slope, y / n - slope * x / n))
}

/// A sum that keeps what rounding would lose (Neumaier 1974).
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Exact {
    sum: f64,
    lost: f64,
}

impl Exact {
    pub(super) fn add(&mut self, value: f64) {
        let next = self.sum + value;
        if next.is_infinite() {
            self.lost = 0.0;
        } else if self.sum.abs() >= value.abs() {
            self.lost += (self.sum - next) + value;
        } else {
            self.lost += (value - next) + self.sum;
        }
        self.sum = next;
    }

    pub(super) fn total(self) -> f64 {
        if self.sum.is_infinite() { self.sum } else { self.sum + self.lost }
    }
}

pub(super) fn sum(values: impl Iterator<Item = f64>) -> f64 {
    let mut exact = Exact::default();
    values.for_each(|value| exact.add(value));
    exact.total()
}

/// The mean; where the sum is too large for a number, step by step.
pub(super) fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let mut count = 0.0;
    let mut exact = Exact::default();
    for value in values.clone() {
        exact.add(value);
        count += 1.0;
    }
    let total = exact.total();
    if total.is_finite() || values.clone().any(|value| !value.is_finite()) {
        return total / count;
    }
    values.map(|value| value / count).sum()
}

/// The variance of a whole population. Values are taken relative to the first, so that those that are
/// large and close together lose nothing.
pub(super) fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let Some(first) = values.clone().next() else { return f64::NAN };
    let apart = values.map(|value| value - first);
    let middle = mean(apart.clone());
    let (squares, count) = apart.fold((Exact::default(), 0.0), |(mut squares, count), value| {
        squares.add((value - middle) * (value - middle));
        (squares, count + 1.0)
    });
    squares.total() / count
}

/// The value below which the share `share` of the values lies, interpolated between neighbours; not
/// a number sorts below everything.
pub(super) fn quantile(share: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    let rank = share * (values.len() - 1) as f64;
    let (low, weight) = (rank.floor() as usize, rank - rank.floor());
    let by_size =
        |one: &f64, other: &f64| other.is_nan().cmp(&one.is_nan()).then(one.total_cmp(other));
    let (_, below, above) = values.select_nth_unstable_by(low, by_size);
    let below = *below;
    let above = above.iter().copied().min_by(by_size).unwrap_or(below);
    below * (1.0 - weight) + above * weight
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: &[(i64, f64)]) -> Vec<Sample> {
        values.iter().map(|(at_s, value)| Sample { at_ms: at_s * 1000, value: *value }).collect()
    }

    fn at(function: Over, values: &[(i64, f64)], end_s: i64, range_s: i64) -> Option<f64> {
        let around =
            Around { end_ms: end_s * 1000, range_ms: range_s * 1000, meaning: Meaning::Three };
        over(function, &samples(values), around)
    }

    #[test]
    fn a_counter_is_stretched_to_the_ends_of_the_range() {
        // Ten seconds apart, growing by one a second: five seconds are missing at either end.
        let steady = [(5, 105.0), (15, 115.0), (25, 125.0), (35, 135.0), (45, 145.0), (55, 155.0)];
        assert_eq!(at(Over::Increase, &steady, 60, 60), Some(60.0));
        assert_eq!(at(Over::Rate, &steady, 60, 60), Some(1.0));
        assert_eq!(at(Over::Delta, &steady, 60, 60), Some(60.0));
        // It began within the range: half a distance at most is added.
        assert_eq!(at(Over::Increase, &steady, 60, 600), Some(60.0));
        // From 2 on it cannot have come from further than two seconds before.
        let young = [(30, 2.0), (40, 12.0), (50, 22.0)];
        assert_eq!(at(Over::Increase, &young, 50, 30), Some(22.0));
        assert_eq!(at(Over::Delta, &young, 50, 30), Some(30.0));
        assert_eq!(at(Over::Increase, &[(50, 3.0)], 60, 60), None);
    }

    #[test]
    fn a_counter_that_starts_again_goes_on() {
        let reset = [(0, 10.0), (10, 20.0), (20, 5.0), (30, 15.0)];
        assert_eq!(at(Over::Increase, &reset, 30, 30), Some(25.0));
        assert_eq!(at(Over::Resets, &reset, 30, 30), Some(1.0));
        assert_eq!(at(Over::Irate, &reset[..3], 30, 30), Some(0.5));
        assert_eq!(at(Over::Idelta, &reset[..3], 30, 30), Some(-15.0));
    }

    #[test]
    fn not_a_number_gives_way_and_is_one_value() {
        let nan = f64::NAN;
        let values = [(0, nan), (1, nan), (2, 3.0), (3, 1.0), (4, nan)];
        assert_eq!(at(Over::Min, &values, 4, 9), Some(1.0));
        assert_eq!(at(Over::Max, &values, 4, 9), Some(3.0));
        assert_eq!(at(Over::Changes, &values, 4, 9), Some(3.0));
        assert!(at(Over::Sum, &values, 4, 9).unwrap().is_nan());
        assert!(at(Over::Max, &values[..2], 4, 9).unwrap().is_nan());
        assert_eq!(at(Over::Count, &values, 4, 9), Some(5.0));
    }

    #[test]
    fn a_line_is_fitted_and_a_flat_one_has_no_slope() {
        assert_eq!(at(Over::Deriv, &[(0, 1.0), (10, 6.0), (20, 11.0)], 20, 30), Some(0.5));
        assert_eq!(at(Over::Deriv, &[(0, 7.0), (10, 7.0)], 20, 30), Some(0.0));
        assert_eq!(at(Over::Deriv, &[(0, 7.0)], 20, 30), None);
        let (slope, value) = line(&samples(&[(0, 1.0), (10, 6.0)]), 20_000).unwrap();
        assert_eq!((slope, value), (0.5, 11.0));
    }

    #[test]
    fn means_do_not_overflow_and_sums_do_not_forget() {
        assert_eq!(mean([f64::MAX, f64::MAX].into_iter()), f64::MAX);
        assert_eq!(mean([f64::INFINITY, 1.0].into_iter()), f64::INFINITY);
        assert!(mean([f64::INFINITY, f64::NEG_INFINITY].into_iter()).is_nan());
        assert_eq!(sum([1e100, 1.0, -1e100].into_iter()), 1.0);
        assert_eq!(variance([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()), 4.0);
    }

    #[test]
    fn a_share_outside_of_nought_to_one_is_infinite() {
        let mut values = [3.0, 1.0, 2.0, 4.0];
        assert_eq!(quantile(0.5, &mut values), 2.5);
        assert_eq!(quantile(1.0, &mut values), 4.0);
        assert_eq!(quantile(-0.1, &mut values), f64::NEG_INFINITY);
        assert_eq!(quantile(1.1, &mut values), f64::INFINITY);
        assert!(quantile(f64::NAN, &mut values).is_nan() && quantile(0.5, &mut []).is_nan());
        assert!(quantile(0.0, &mut [f64::NAN, 1.0]).is_nan());
    }
}
