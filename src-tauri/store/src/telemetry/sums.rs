//! Samples and what they amount to: minimum, maximum, sum, count and latest.

use jiff::Timestamp;
use model::signal::Bucket;

/// One minute, the width of the second tier.
pub(super) const MINUTE_MS: i64 = 60_000;
/// The largest scaled number: beyond it, floating point skips whole numbers.
const SCALED_MAX: f64 = 9_007_199_254_740_992.0;

/// One sample: milliseconds since 1970, and a multiple of the signal's resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Point {
    pub(super) at: i64,
    pub(super) value: i64,
}

/// Turns numbers into multiples of a resolution and back.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scale(pub(super) f64);

impl Scale {
    /// The nearest multiple, unless the number is not finite or too large to be exact.
    pub(super) fn scaled(self, value: f64) -> Option<i64> {
        let scaled = (value / self.0).round();
        // NaN compares false.
        (scaled.abs() <= SCALED_MAX).then_some(scaled as i64)
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

/// What a set of samples amounts to. The sum is a float: whole and exact below 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sums {
    pub(super) min: i64,
    pub(super) max: i64,
    pub(super) sum: f64,
    pub(super) count: i64,
    pub(super) last: Point,
}

impl Sums {
    pub(super) fn of(point: Point) -> Self {
        Self { min: point.value, max: point.value, sum: point.value as f64, count: 1, last: point }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
        if other.last.at >= self.last.at {
            self.last = other.last;
        }
    }

    fn merge_into(self, slot: &mut Option<Self>) {
        match slot {
            Some(sums) => sums.merge(self),
            None => *slot = Some(self),
        }
    }
}

/// Groups samples, sorted by time, by the minute.
pub(super) fn by_minute(points: &[Point]) -> Vec<(i64, Sums)> {
    let mut minutes: Vec<(i64, Sums)> = Vec::new();
    for point in points {
        let minute = point.at.div_euclid(MINUTE_MS);
        match minutes.last_mut() {
            Some((last, sums)) if *last == minute => sums.merge(Sums::of(*point)),
            _ => minutes.push((minute, Sums::of(*point))),
        }
    }
    minutes
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

    /// The range is widened to full minutes, and buckets are whole minutes.
    pub(super) fn of_minutes(from_ms: i64, to_ms: i64, points: usize) -> Self {
        let first = from_ms.div_euclid(MINUTE_MS);
        let minutes = to_ms.div_euclid(MINUTE_MS) - first + 1;
        let step = ceil_div(minutes, points as i64);
        Self {
            start_ms: first * MINUTE_MS,
            step_ms: step * MINUTE_MS,
            end_ms: (first + minutes) * MINUTE_MS - 1,
            count: ceil_div(minutes, step) as usize,
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

/// The buckets of one series, filled sample by sample or rollup by rollup.
#[derive(Debug)]
pub(super) struct Buckets {
    grid: Grid,
    slots: Vec<Option<Sums>>,
}

impl Buckets {
    pub(super) fn new(grid: Grid) -> Self {
        Self { slots: vec![None; grid.count], grid }
    }

    /// Adds samples in any order; those outside of the range are left out.
    pub(super) fn add_points(&mut self, points: &[Point]) {
        for point in points {
            if let Some(index) = self.grid.index(point.at) {
                Sums::of(*point).merge_into(&mut self.slots[index]);
            }
        }
    }

    /// Adds samples to the buckets of their minutes.
    pub(super) fn add_minutes(&mut self, minutes: &[(i64, Sums)]) {
        for (minute, sums) in minutes {
            let start = minute.saturating_mul(MINUTE_MS);
            if let Some(index) = self.grid.index(start) {
                sums.merge_into(&mut self.slots[index]);
            }
        }
    }

    /// Adds a whole chunk at once, if all of it falls into one bucket.
    pub(super) fn add_whole(&mut self, first_at: i64, sums: Sums) -> bool {
        let (first, last) = (self.grid.index(first_at), self.grid.index(sums.last.at));
        match first {
            Some(index) if first == last => {
                sums.merge_into(&mut self.slots[index]);
                true
            }
            _ => false,
        }
    }

    /// The buckets that hold samples, oldest first, in the signal's unit.
    pub(super) fn finish(self, scale: Scale) -> Vec<Bucket> {
        let grid = self.grid;
        let filled = self.slots.into_iter().enumerate();
        let filled = filled.filter_map(|(index, sums)| Some((index, sums?)));
        filled
            .filter_map(|(index, sums)| {
                let start_ms = grid.start_ms + index as i64 * grid.step_ms;
                Some(Bucket {
                    at: Timestamp::from_millisecond(start_ms).ok()?,
                    min: scale.number(sums.min as f64),
                    max: scale.number(sums.max as f64),
                    mean: scale.number(sums.sum / sums.count as f64),
                    last: scale.number(sums.last.value as f64),
                    count: sums.count.unsigned_abs(),
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
        for (resolution, number) in [(0.1, 12.3), (0.1, -0.7), (1024.0, 4096.0), (1.0, 9.0e15)] {
            let scale = Scale(resolution);
            let scaled = scale.scaled(number).expect("fits");
            assert_eq!(scale.number(scaled as f64), number);
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300] {
            assert_eq!(Scale(0.1).scaled(number), None, "{number}");
        }
    }

    #[test]
    fn a_grid_has_at_most_the_points_asked_for() {
        for (from, to, points) in
            [(0, 0, 1), (0, 60_000, 60), (5, 1_000_003, 7), (-90_000, 30, 2000)]
        {
            for grid in [Grid::of_samples(from, to, points), Grid::of_minutes(from, to, points)] {
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

    proptest! {
        #[test]
        fn minutes_and_samples_give_the_same_buckets(
            points in prop::collection::vec((0_i64..7_200_000, -5000_i64..5000), 1..400),
            asked in 1_usize..100,
        ) {
            let mut points: Vec<Point> = points.into_iter().map(|(at, value)| Point { at, value }).collect();
            points.sort_by_key(|point| point.at);
            let grid = Grid::of_minutes(0, 7_200_000, asked);
            let (mut by_points, mut by_minutes) = (Buckets::new(grid), Buckets::new(grid));
            by_points.add_points(&points);
            by_minutes.add_minutes(&by_minute(&points));
            prop_assert_eq!(by_points.finish(Scale(1.0)), by_minutes.finish(Scale(1.0)));
        }
    }
}
