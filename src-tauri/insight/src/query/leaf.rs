//! The leaves of an expression: series as they are, and functions of stretches of time.

use super::error::{QueryError, Span};
use super::eval::{Grid, Line, Lookback, Run, absent, is_there, of_sums};
use super::functions::Over;
use super::over::{self, Around, Meaning};
use super::source::{Sample, Stretch, Tier};
use super::tree::{Of, Select, Window};

/// The longest a sample counts as present: as in Prometheus.
const LOOKBACK_MS: i64 = 300_000;
/// The shortest.
const LOOKBACK_MS_MIN: i64 = 15_000;
/// How many of its intervals a series may miss before it counts as ended.
const INTERVALS: i64 = 4;
/// Intervals that are looked at to find the usual one.
const INTERVALS_SEEN: usize = 255;

/// What a window function sees at one moment.
pub(super) struct At<'s> {
    /// The moment's place in the grid.
    pub(super) place: usize,
    /// The samples of the stretch, at least one.
    pub(super) samples: &'s [Sample],
    pub(super) around: Around,
}

impl Run<'_> {
    /// The latest sample of each series at each moment, or when it was taken.
    pub(super) fn select(
        &mut self,
        select: &Select,
        grid: Grid,
        when: bool,
    ) -> Result<Vec<Line>, QueryError> {
        let found = self.find(&select.matchers)?;
        let moments = self.shifted(grid, select.shift);
        let farthest = match self.settings.lookback {
            Lookback::Fixed(length_ms) => length_ms.max(self.tier.width_ms() * 3 / 2),
            Lookback::Gaps => LOOKBACK_MS.max(self.tier.width_ms() * 3 / 2),
        };
        let within = Stretch {
            from_ms: self.settings.meaning.begin(moments.start_ms, farthest),
            to_ms: moments.last(),
        };
        let mut lines = Vec::new();
        self.samples(&found, within, &mut |run, place, samples| {
            let lookback = match run.settings.lookback {
                Lookback::Fixed(_) => farthest,
                Lookback::Gaps => usual_gap(samples, run.tier, farthest),
            };
            let mut next = 0;
            let values = (0..moments.count).map(|place| {
                let now = moments.at(place);
                while samples.get(next).is_some_and(|sample| sample.at_ms <= now) {
                    next += 1;
                }
                let begin = run.settings.meaning.begin(now, lookback);
                let last = next.checked_sub(1).and_then(|last| samples.get(last));
                let last = last.filter(|sample| sample.at_ms >= begin);
                last.map_or_else(absent, |sample| {
                    if when { sample.at_ms as f64 / 1000.0 } else { sample.value }
                })
            });
            let values: Vec<f64> = values.collect();
            if values.iter().any(|value| is_there(*value)) {
                run.room(lines.len(), moments.count)?;
                lines.push(Line { labels: found[place].labels.clone(), values });
            }
            Ok(())
        })?;
        Ok(lines)
    }

    /// Refuses to keep more lines than one part of an expression may have.
    fn room(&self, lines: usize, moments: usize) -> Result<(), QueryError> {
        let max = self.settings.limits.values;
        let found = (lines as u64 + 1).saturating_mul(moments as u64 + 16);
        if found > max {
            return Err(QueryError::TooMuch { what: "values", found, max });
        }
        Ok(())
    }

    /// A function of the samples of a stretch before each moment.
    pub(super) fn over_time(
        &mut self,
        function: Over,
        window: &Window,
        grid: Grid,
        span: &Span,
    ) -> Result<Vec<Line>, QueryError> {
        let rollup = self.tier != Tier::Raw && matches!(window.of, Of::Samples(_));
        if rollup && of_sums(function) {
            return self.over_rollups(function, window, grid, span);
        }
        let keeps_name = function == Over::Last;
        if matches!(function, Over::Rate | Over::Increase) {
            return self.over_counter(function, window, grid, span);
        }
        self.over_window(window, grid, (span, keeps_name), &mut |at| {
            over::over(function, at.samples, at.around)
        })
    }

    /// Any function of the samples of a stretch before each moment.
    pub(super) fn over_window(
        &mut self,
        window: &Window,
        grid: Grid,
        (span, keeps_name): (&Span, bool),
        say: &mut dyn FnMut(At<'_>) -> Option<f64>,
    ) -> Result<Vec<Line>, QueryError> {
        let range_ms = self.widened(window);
        let moments = self.shifted(grid, window.shift);
        let mut lines = Vec::new();
        self.each_series(window, moments, range_ms, &mut |run, labels, samples| {
            let mut slide = Slide::default();
            let mut values = Vec::with_capacity(moments.count);
            for place in 0..moments.count {
                let end_ms = moments.at(place);
                let around = Around { end_ms, range_ms, meaning: run.settings.meaning };
                let (from, to) = slide.to(samples, |sample| sample.at_ms, around);
                run.worked(to - from)?;
                let samples = &samples[from..to];
                let value = (from < to).then(|| say(At { place, samples, around })).flatten();
                values.push(value.unwrap_or_else(absent));
            }
            run.room(lines.len(), moments.count)?;
            let labels = if keeps_name { labels } else { labels.unnamed() };
            lines.push(Line { labels, values });
            Ok(())
        })?;
        self.settle(lines, span)
    }

    /// The growth of counters: what was lost by starting again is summed up once per series, so that
    /// a long range costs no more than a short one.
    fn over_counter(
        &mut self,
        function: Over,
        window: &Window,
        grid: Grid,
        span: &Span,
    ) -> Result<Vec<Line>, QueryError> {
        let range_ms = self.widened(window);
        let moments = self.shifted(grid, window.shift);
        let mut lines = Vec::new();
        self.each_series(window, moments, range_ms, &mut |run, labels, samples| {
            let mut lost = 0.0;
            let mut steady = true;
            let mut before = f64::NEG_INFINITY;
            let sums = samples.iter().map(|sample| {
                steady &= sample.value.is_finite();
                if sample.value < before {
                    lost += before;
                }
                before = sample.value;
                lost
            });
            let resets: Vec<f64> = sums.collect();
            let mut slide = Slide::default();
            let values = (0..moments.count).map(|place| {
                let end_ms = moments.at(place);
                let around = Around { end_ms, range_ms, meaning: run.settings.meaning };
                let (from, to) = slide.to(samples, |sample| sample.at_ms, around);
                if to < from + 2 {
                    return absent();
                }
                let within = &samples[from..to];
                let value = if steady {
                    let grown = (within[to - from - 1].value - within[0].value)
                        + (resets[to - 1] - resets[from]);
                    over::stretched(function, within, grown, around)
                } else {
                    over::over(function, within, around)
                };
                value.unwrap_or_else(absent)
            });
            let values: Vec<f64> = values.collect();
            run.worked(samples.len() + moments.count)?;
            run.room(lines.len(), moments.count)?;
            lines.push(Line { labels: labels.unnamed(), values });
            Ok(())
        })?;
        self.settle(lines, span)
    }

    /// A function of the sums of a stretch before each moment.
    fn over_rollups(
        &mut self,
        function: Over,
        window: &Window,
        grid: Grid,
        span: &Span,
    ) -> Result<Vec<Line>, QueryError> {
        let Of::Samples(matchers) = &window.of else { return Ok(Vec::new()) };
        let range_ms = self.widened(window);
        let moments = self.shifted(grid, window.shift);
        let found = self.find(matchers)?;
        let within =
            Stretch { from_ms: moments.start_ms.saturating_sub(range_ms), to_ms: moments.last() };
        let mut lines = Vec::new();
        self.sums(&found, within, &mut |run, place, sums| {
            let mut slide = Slide::default();
            let mut values = Vec::with_capacity(moments.count);
            for place in 0..moments.count {
                let end_ms = moments.at(place);
                let around = Around { end_ms, range_ms, meaning: Meaning::Three };
                let (from, to) = slide.to(sums, |sums| sums.last_at_ms, around);
                run.worked(to - from)?;
                let value = over::over_sums(function, &sums[from..to]);
                values.push(value.unwrap_or_else(absent));
            }
            run.room(lines.len(), moments.count)?;
            lines.push(Line { labels: found[place].labels.unnamed(), values });
            Ok(())
        })?;
        self.settle(lines, span)
    }

    /// The length of a range: at least two of the stretches that are read.
    fn widened(&mut self, window: &Window) -> i64 {
        let least = self.tier.width_ms() * 2;
        if window.range_ms >= least || !matches!(window.of, Of::Samples(_)) {
            return window.range_ms;
        }
        self.note(format!(
            "ranges shorter than {} min were widened: of that time, or at that width, values by the {} are read",
            least / 60_000,
            if self.tier == Tier::Minute { "minute" } else { "hour" },
        ));
        least
    }

    /// Reads, or evaluates, what a window looks at.
    fn each_series(
        &mut self,
        window: &Window,
        moments: Grid,
        range_ms: i64,
        each: PerSeries<'_, Self>,
    ) -> Result<(), QueryError> {
        let within = Stretch {
            from_ms: self.settings.meaning.begin(moments.start_ms, range_ms),
            to_ms: moments.last(),
        };
        let (expr, step_ms) = match &window.of {
            Of::Samples(matchers) => {
                let found = self.find(matchers)?;
                return self.samples(&found, within, &mut |run, place, samples| {
                    each(run, found[place].labels.clone(), samples)
                });
            }
            Of::Expr(expr, step_ms) => (expr, *step_ms),
        };
        // The moments of a subquery are the multiples of its step, wherever the question begins.
        let first =
            within.from_ms.div_euclid(step_ms) + i64::from(within.from_ms.rem_euclid(step_ms) != 0);
        let last = within.to_ms.div_euclid(step_ms);
        let Ok(count) = usize::try_from(last.saturating_sub(first).saturating_add(1)) else {
            return Ok(());
        };
        let grid = Grid { start_ms: first.saturating_mul(step_ms), step_ms, count };
        for line in self.vector(expr, grid)? {
            let values = line.values.iter().enumerate().filter(|(_, value)| is_there(**value));
            let samples =
                values.map(|(place, value)| Sample { at_ms: grid.at(place), value: *value });
            let samples: Vec<Sample> = samples.collect();
            self.worked(samples.len())?;
            each(self, line.labels, &samples)?;
        }
        Ok(())
    }
}

/// Takes the samples of one series, by its labels.
type PerSeries<'f, R> =
    &'f mut dyn FnMut(&mut R, super::labels::Labels, &[Sample]) -> Result<(), QueryError>;

/// Two ends that only move on.
#[derive(Debug, Default)]
struct Slide {
    from: usize,
    to: usize,
}

impl Slide {
    fn to<T>(&mut self, all: &[T], at: impl Fn(&T) -> i64, around: Around) -> (usize, usize) {
        let begin = around.meaning.begin(around.end_ms, around.range_ms);
        while all.get(self.to).is_some_and(|it| at(it) <= around.end_ms) {
            self.to += 1;
        }
        while self.from < self.to && at(&all[self.from]) < begin {
            self.from += 1;
        }
        (self.from, self.to)
    }
}

/// How long a sample of this series counts as present.
fn usual_gap(samples: &[Sample], tier: Tier, farthest: i64) -> i64 {
    let pairs = samples.windows(2).take(INTERVALS_SEEN);
    let mut apart: Vec<i64> = pairs.map(|pair| pair[1].at_ms - pair[0].at_ms).collect();
    if apart.is_empty() {
        return farthest;
    }
    let middle = apart.len() / 2;
    let (_, usual, _) = apart.select_nth_unstable(middle);
    let gap = match tier {
        Tier::Raw => usual.saturating_mul(INTERVALS).max(LOOKBACK_MS_MIN),
        tier => usual.saturating_mul(3) / 2 + tier.width_ms() / 2,
    };
    gap.min(farthest)
}
