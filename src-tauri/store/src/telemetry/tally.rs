//! Samples and what they amount to: first, minimum, maximum, sum, count and last.

use jiff::Timestamp;
use model::signal::Bucket;

/// One minute, the width of the second tier.
pub(super) const MINUTE_MS: i64 = 60_000;
/// One hour, the width of the third.
pub(super) const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The largest scaled number: beyond it, floating point skips whole numbers.
const SCALED_MAX: i64 = 1 << 53;
/// Half a resolution, and what floating point adds to it in the middle between two multiples.
const HALF: f64 = 0.500_000_1;
/// The bit that is a number's sign.
const SIGN: u64 = 1 << 63;

/// One sample: milliseconds since 1970, and what [`Scale::kept`] made of its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) value: i64,
}

/// Whether a kept value is a multiple of the resolution, and no floating-point number as it is.
pub(super) const fn is_multiple(value: i64) -> bool {
    -SCALED_MAX <= value && value <= SCALED_MAX
}

/// Sorts samples by time; of several at one moment, the one that came last stays.
pub(super) fn tidy(points: &mut Vec<Point>) {
    if points.is_sorted_by(|one, other| one.at < other.at) {
        return;
    }
    points.sort_by_key(|point| point.at);
    points.dedup_by(|later, earlier| {
        let same = later.at == earlier.at;
        if same {
            earlier.value = later.value;
        }
        same
    });
}

/// A floating-point number as a whole one: its magnitude's bits, with its sign.
const fn keep_bits(value: f64) -> i64 {
    let magnitude = (value.to_bits() & !SIGN).cast_signed();
    if value.is_sign_negative() { -magnitude } else { magnitude }
}

const fn given_bits(kept: i64) -> f64 {
    let sign = if kept < 0 { SIGN } else { 0 };
    f64::from_bits(kept.unsigned_abs() & !SIGN | sign)
}

/// Turns numbers into multiples of a resolution and back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale(pub(super) f64);

impl Scale {
    /// The nearest multiple; the number itself, as [`keep_bits`] writes it, where it is not finite or
    /// so large that what comes back of a multiple would be farther away than half a resolution. That is never taken for a multiple: it lies beyond 2^53,
    /// as the exponent is in the highest bits.
    pub(super) fn kept(self, value: f64) -> i64 {
        let scaled = (value / self.0).round();
        // NaN compares false.
        let is_near = scaled.abs() <= SCALED_MAX as f64
            && (self.number(scaled) - value).abs() <= self.0 * HALF;
        if is_near { scaled as i64 } else { keep_bits(value) }
    }

    /// The number that was kept.
    pub(super) fn given(self, kept: i64) -> f64 {
        if is_multiple(kept) { self.number(kept as f64) } else { given_bits(kept) }
    }

    /// The number that a (mean of) multiples stands for.
    pub(super) fn number(self, scaled: f64) -> f64 {
        let per_unit = (1.0 / self.0).round();
        // 123 / 10 is 12.3, while 123 * 0.1 is 12.300000000000001.
        if self.0 < 1.0 && (per_unit * self.0 - 1.0).abs() < 1e-9 {
            scaled / per_unit
        } else {
            scaled * self.0
        }
    }
}

/// What a set of samples amounts to, in multiples and therefore exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) first: Point,
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) sum: i128,
    pub(super) count: i64,
    pub(super) last: Point,
    /// Samples that are no multiples: not finite, or too large. They are in nothing else.
    pub(super) anomalies: i64,
}

impl Tally {
    pub(super) fn of(point: Point) -> Self {
        let multiple = is_multiple(point.value);
        let value = if multiple { point.value } else { 0 };
        let point = Point { at: point.at, value };
        Self {
            first: point,
            min: value,
            max: value,
            sum: value.into(),
            count: multiple.into(),
            last: point,
            anomalies: (!multiple).into(),
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let anomalies = self.anomalies.saturating_add(other.anomalies);
        if other.count == 0 {
            self.anomalies = anomalies;
            return;
        }
        if self.count == 0 {
            *self = Self { anomalies, ..other };
            return;
        }
        self.anomalies = anomalies;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = self.sum.saturating_add(other.sum);
        self.count = self.count.saturating_add(other.count);
        if other.first.at < self.first.at {
            self.first = other.first;
        }
        if other.last.at >= self.last.at {
            self.last = other.last;
        }
    }

    fn merge_into(self, slot: &mut Option<Self>) {
        match slot {
            Some(tally) => tally.merge(self),
            None => *slot = Some(self),
        }
    }
}

/// Stretches of one width, each named by its number since 1970, in order.
pub(super) type Stretches = Vec<(i64, Tally)>;

/// Groups samples, sorted by time, into stretches of `width_ms`.
pub(super) fn group(points: &[Point], width_ms: i64) -> Stretches {
    let mut groups: Stretches = Vec::new();
    for point in points {
        add(&mut groups, point.at.div_euclid(width_ms), Tally::of(*point));
    }
    groups
}

/// Groups minutes, in order, into hours.
pub(super) fn hours_of(minutes: &[(i64, Tally)]) -> Stretches {
    let mut hours: Stretches = Vec::new();
    for (minute, tally) in minutes {
        add(&mut hours, minute.div_euclid(60), *tally);
    }
    hours
}

/// Adds to the last stretch, or begins another.
pub(super) fn add(groups: &mut Stretches, number: i64, tally: Tally) {
    match groups.last_mut() {
        Some((last, all)) if *last == number => all.merge(tally),
        _ => groups.push((number, tally)),
    }
}

/// The grid of a range: `count` buckets of `step_ms` from `start_ms` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    /// The latest moment that belongs to the range, included.
    pub(super) end_ms: i64,
    pub(super) count: usize,
}

impl Grid {
    /// Both ends are included; a sample at the very end belongs to the last bucket.
    pub(super) fn of_samples(from_ms: i64, to_ms: i64, points: usize) -> Self {
        let span = to_ms.saturating_sub(from_ms).max(1);
        let step_ms = ceil_div(span, points as i64);
        Self { start_ms: from_ms, step_ms, end_ms: to_ms, count: ceil_div(span, step_ms) as usize }
    }

    /// The range is widened to full stretches, and buckets are whole ones.
    pub(super) fn of_stretches(from_ms: i64, to_ms: i64, points: usize, width_ms: i64) -> Self {
        let first = from_ms.div_euclid(width_ms);
        let stretches = to_ms.div_euclid(width_ms) - first + 1;
        let step = ceil_div(stretches, points as i64);
        Self {
            start_ms: first * width_ms,
            step_ms: step * width_ms,
            end_ms: (first + stretches) * width_ms - 1,
            count: ceil_div(stretches, step) as usize,
        }
    }

    fn index(&self, at_ms: i64) -> Option<usize> {
        if at_ms < self.start_ms || at_ms > self.end_ms {
            return None;
        }
        let index = (at_ms - self.start_ms) / self.step_ms;
        usize::try_from(index).ok().map(|index| index.min(self.count - 1))
    }
}

fn ceil_div(value: i64, by: i64) -> i64 {
    value.div_euclid(by) + i64::from(value.rem_euclid(by) != 0)
}

/// The buckets of one series, filled sample by sample or stretch by stretch.
#[derive(Debug)]
pub(super) struct Buckets {
    grid: Grid,
    slots: Vec<Option<Tally>>,
}

impl Buckets {
    pub(super) fn new(grid: Grid) -> Self {
        Self { slots: vec![None; grid.count], grid }
    }

    /// Adds samples in any order; those outside of the range are left out.
    pub(super) fn add_points(&mut self, points: &[Point]) {
        for point in points {
            if let Some(index) = self.grid.index(point.at) {
                Tally::of(*point).merge_into(&mut self.slots[index]);
            }
        }
    }

    /// Adds stretches to the buckets they begin in.
    pub(super) fn add_stretches(&mut self, stretches: &[(i64, Tally)], width_ms: i64) {
        for (number, tally) in stretches {
            if let Some(index) = self.grid.index(number.saturating_mul(width_ms)) {
                tally.merge_into(&mut self.slots[index]);
            }
        }
    }

    /// The buckets that hold numbers, oldest first, in the signal's unit.
    pub(super) fn finish(self, scale: Scale) -> Vec<Bucket> {
        let grid = self.grid;
        let filled = self.slots.into_iter().enumerate();
        let filled = filled.filter_map(|(index, tally)| Some((index, tally?)));
        filled
            .filter(|(_, tally)| tally.count > 0)
            .filter_map(|(index, tally)| {
                let start_ms = grid.start_ms + index as i64 * grid.step_ms;
                Some(Bucket {
                    at: Timestamp::from_millisecond(start_ms).ok()?,
                    min: scale.number(tally.min as f64),
                    max: scale.number(tally.max as f64),
                    mean: scale.number(tally.sum as f64 / tally.count as f64),
                    last: scale.number(tally.last.value as f64),
                    count: tally.count.unsigned_abs(),
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_come_back_as_they_are_written() {
        for (resolution, number) in [
            (0.1, 12.3),
            (0.1, -0.7),
            (1024.0, 4096.0),
            (1.0, 9.0e15),
            (1.0, -9_007_199_254_740_992.0),
        ] {
            let scale = Scale(resolution);
            let kept = scale.kept(number);
            assert!(is_multiple(kept));
            assert_eq!(scale.given(kept), number);
        }
        let odd_nan = f64::from_bits(0x7ff8_dead_beef_0001);
        for number in [f64::NAN, odd_nan, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e19]
        {
            let kept = Scale(0.1).kept(number);
            assert!(!is_multiple(kept), "{number}");
            assert_eq!(Scale(0.1).given(kept).to_bits(), number.to_bits(), "{number}");
        }
    }

    #[test]
    fn a_grid_has_at_most_the_points_asked_for() {
        for (from, to, points) in
            [(0, 0, 1), (0, 60_000, 60), (5, 1_000_003, 7), (-90_000, 30, 2000)]
        {
            let samples = Grid::of_samples(from, to, points);
            let minutes = Grid::of_stretches(from, to, points, MINUTE_MS);
            let hours = Grid::of_stretches(from, to, points, HOUR_MS);
            for grid in [samples, minutes, hours] {
                assert!(grid.count >= 1 && grid.count <= points, "{grid:?}");
                assert_eq!(
                    grid.index(from),
                    Some(((from - grid.start_ms) / grid.step_ms) as usize)
                );
                assert!(grid.index(to).is_some(), "{grid:?}");
                assert_eq!(grid.index(grid.end_ms + 1), None, "{grid:?}");
            }
        }
        assert_eq!(Grid::of_samples(0, 60_000, 60).step_ms, 1000);
    }

    #[test]
    fn of_samples_at_one_moment_the_last_stays() {
        let at = |at, value| Point { at, value };
        let mut points = vec![at(3, 1), at(1, 2), at(3, 4), at(2, 5), at(1, 6)];
        tidy(&mut points);
        assert_eq!(points, [at(1, 6), at(2, 5), at(3, 4)]);
    }

    fn kept() -> impl Strategy<Value = i64> {
        prop_oneof![20 => -5000_i64..5000, 1 => Just(Scale(1.0).kept(f64::NAN))]
    }

    proptest! {
        #[test]
        fn whatever_is_kept_is_at_most_half_a_resolution_away(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            for resolution in [0.000_001, 0.1, 1.0, 1024.0] {
                let scale = Scale(resolution);
                let given = scale.given(scale.kept(number));
                let same = given.to_bits() == number.to_bits();
                prop_assert!(same || (given - number).abs() <= resolution * 0.500_001, "{number}: {given}");
            }
        }

        #[test]
        fn minutes_and_samples_give_the_same_buckets(
            points in prop::collection::vec((0_i64..7_200_000, kept()), 1..400),
            asked in 1_usize..100,
        ) {
            let points = points.into_iter().map(|(at, value)| Point { at, value });
            let mut points: Vec<Point> = points.collect();
            tidy(&mut points);
            let grid = Grid::of_stretches(0, 7_200_000, asked, MINUTE_MS);
            let (mut by_points, mut by_minutes) = (Buckets::new(grid), Buckets::new(grid));
            by_points.add_points(&points);
            let minutes = group(&points, MINUTE_MS);
            by_minutes.add_stretches(&minutes, MINUTE_MS);
            prop_assert_eq!(by_points.finish(Scale(1.0)), by_minutes.finish(Scale(1.0)));
            prop_assert_eq!(hours_of(&minutes), group(&points, HOUR_MS));
        }
    }
}
