//! Evaluates an expression at every moment of a grid, series by series.
//!
//! A series has a number or nothing at each moment; nothing is a bit pattern of its own, which is not
//! a number but unlike all others. What is read of one series is given up before the next one is
//! read, so that memory is bounded by what is kept: series times moments.

use std::collections::BTreeMap;

use super::error::{Fault, QueryError, Span, Stop};
use super::functions::Over;
use super::labels::Labels;
use super::labels::Matcher;
use super::over::Meaning;
use super::source::{Found, Sample};
use super::source::{Source, Stretch, Sums, Tier};
use super::tree::{Expr, Gives, Kind, Shift};

/// The bits of a value that is not there.
const ABSENT: u64 = 0x7ff8_0000_0000_0b5e;
/// Samples looked at between two looks at the guard.
const WORK_BETWEEN_CHECKS: usize = 1 << 20;

/// A value that is not there.
pub(super) fn absent() -> f64 {
    f64::from_bits(ABSENT)
}

/// Whether a value is there.
pub(super) fn is_there(value: f64) -> bool {
    value.to_bits() != ABSENT
}

/// How long a sample counts as the present value after it was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lookback {
    /// As long as four of the series' own usual intervals last, 15 s to 5 min: a gap is a gap.
    #[default]
    Gaps,
    /// So many milliseconds; Prometheus' own are 300,000.
    Fixed(i64),
}

/// How much one question may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Series one selector may find.
    pub series: usize,
    /// Samples (or sums) that may be read in all.
    pub samples: u64,
    /// Values that may be kept in all: series times moments, for each part of the expression.
    pub values: u64,
    /// Moments an expression may be evaluated at.
    pub moments: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { series: 20_000, samples: 200_000_000, values: 12_000_000, moments: 20_000 }
    }
}

/// How questions are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// Which of Prometheus' major versions is meant where they differ.
    pub meaning: Meaning,
    /// How long a sample counts as present.
    pub lookback: Lookback,
    /// How much one question may take.
    pub limits: Limits,
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Series that were found.
    pub series_found: u64,
    /// Of which so many were read.
    pub series_read: u64,
    /// Samples (or sums) that were read.
    pub samples_read: u64,
}

/// Watches an evaluation, and may end it.
pub trait Guard {
    /// Is told how far it has come.
    ///
    /// # Errors
    /// To end it.
    fn check(&self, progress: &Progress) -> Result<(), Stop>;
}

/// A guard that never ends anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unguarded;

impl Guard for Unguarded {
    fn check(&self, _: &Progress) -> Result<(), Stop> {
        Ok(())
    }
}

/// Moments at which an expression is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grid {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    pub(super) count: usize,
}

impl Grid {
    pub(super) fn at(&self, place: usize) -> i64 {
        self.start_ms.saturating_add((place as i64).saturating_mul(self.step_ms))
    }

    pub(super) fn last(&self) -> i64 {
        self.at(self.count.saturating_sub(1))
    }
}

/// A series at the moments of a grid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) labels: Labels,
    pub(super) values: Vec<f64>,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Line>),
}

/// One evaluation.
pub(super) struct Run<'a> {
    pub(super) text: &'a str,
    pub(super) source: &'a dyn Source,
    pub(super) settings: Settings,
    pub(super) guard: &'a dyn Guard,
    pub(super) tier: Tier,
    /// The ends of the question, as `start()` and `end()` name them.
    pub(super) ends: (i64, i64),
    pub(super) progress: Progress,
    pub(super) notes: Vec<String>,
    values: u64,
    work: usize,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        text: &'a str,
        source: &'a dyn Source,
        settings: Settings,
        guard: &'a dyn Guard,
    ) -> Self {
        Self {
            text,
            source,
            settings,
            guard,
            tier: Tier::Raw,
            ends: (0, 0),
            progress: Progress::default(),
            notes: Vec::new(),
            values: 0,
            work: 0,
        }
    }

    pub(super) fn fault(&self, span: &Span, what: impl Into<String>) -> Fault {
        Fault::new(self.text, span, what)
    }

    /// Says something of the answer, once.
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The value of an expression at every moment.
    pub(super) fn eval(&mut self, expr: &Expr, grid: Grid) -> Result<Value, QueryError> {
        if grid.count > self.settings.limits.moments {
            return Err(QueryError::TooMuch {
                what: "moments",
                found: grid.count as u64,
                max: self.settings.limits.moments as u64,
            });
        }
        self.guard.check(&self.progress)?;
        let value = match &expr.is {
            Kind::Number(number) => Value::Scalar(vec![*number; grid.count]),
            Kind::Select(select) => Value::Vector(self.select(select, grid, false)?),
            Kind::Call(function, arguments) => self.call(function, arguments, expr, grid)?,
            Kind::Aggregate(aggregate) => Value::Vector(self.aggregate(aggregate, grid)?),
            Kind::Binary(binary) => self.binary(binary, grid)?,
            Kind::Negate(of) => self.negate(of, expr, grid)?,
            Kind::Window(_) | Kind::Text(_) => {
                let what = format!("{} is not a value", expr.gives.words());
                return Err(self.fault(&expr.span, what).into());
            }
        };
        let kept = match &value {
            Value::Scalar(values) => values.len(),
            // The labels take about as much as some values.
            Value::Vector(lines) => lines.len() * (grid.count + 16),
        };
        self.charge(kept)?;
        Ok(value)
    }

    pub(super) fn vector(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<Line>, QueryError> {
        match self.eval(expr, grid)? {
            Value::Vector(lines) => Ok(lines),
            Value::Scalar(_) => Err(self.fault(&expr.span, "series are expected here").into()),
        }
    }

    pub(super) fn scalar(&mut self, expr: &Expr, grid: Grid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            Value::Vector(_) => Err(self.fault(&expr.span, "a number is expected here").into()),
        }
    }

    fn negate(&mut self, of: &Expr, expr: &Expr, grid: Grid) -> Result<Value, QueryError> {
        if of.gives == Gives::Scalar {
            let values = self.scalar(of, grid)?;
            return Ok(Value::Scalar(values.into_iter().map(|value| -value).collect()));
        }
        let lines = self.vector(of, grid)?;
        let lines = mapped(lines, |_, value| Some(-value));
        Ok(Value::Vector(self.settle(lines, &expr.span)?))
    }

    pub(super) fn charge(&mut self, values: usize) -> Result<(), QueryError> {
        self.values += values as u64;
        let max = self.settings.limits.values;
        if self.values > max {
            return Err(QueryError::TooMuch { what: "values", found: self.values, max });
        }
        Ok(())
    }

    /// Puts series of the same labels together, and leaves out those that have no value at all.
    pub(super) fn settle(&self, lines: Vec<Line>, span: &Span) -> Result<Vec<Line>, QueryError> {
        let mut settled: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
        for Line { labels, values } in lines {
            if !values.iter().any(|value| is_there(*value)) {
                continue;
            }
            let Some(kept) = settled.get_mut(&labels) else {
                settled.insert(labels, values);
                continue;
            };
            for (kept, value) in kept.iter_mut().zip(values) {
                if is_there(*kept) && is_there(value) {
                    let fault = self.fault(span, "two series of the result have the same labels");
                    let hint = "the name is dropped; aggregate with sum by (...) first, or select one name";
                    return Err(fault.hint(hint).into());
                }
                if is_there(value) {
                    *kept = value;
                }
            }
        }
        Ok(settled.into_iter().map(|(labels, values)| Line { labels, values }).collect())
    }

    /// The series that pass every matcher.
    pub(super) fn find(&mut self, matchers: &[Matcher]) -> Result<Vec<Found>, QueryError> {
        let found = self.source.select(matchers)?;
        let max = self.settings.limits.series;
        if found.len() > max {
            return Err(QueryError::TooMuch {
                what: "series",
                found: found.len() as u64,
                max: max as u64,
            });
        }
        self.progress.series_found += found.len() as u64;
        self.guard.check(&self.progress)?;
        Ok(found)
    }

    /// Notes that a series was read.
    pub(super) fn seen(&mut self, samples: usize) -> Result<(), QueryError> {
        self.progress.series_read += 1;
        self.progress.samples_read += samples as u64;
        let max = self.settings.limits.samples;
        if self.progress.samples_read > max {
            let found = self.progress.samples_read;
            return Err(QueryError::TooMuch { what: "samples", found, max });
        }
        self.worked(samples + 4096)
    }

    /// Notes that samples were looked at.
    pub(super) fn worked(&mut self, samples: usize) -> Result<(), QueryError> {
        self.work += samples;
        if self.work >= WORK_BETWEEN_CHECKS {
            self.work = 0;
            self.guard.check(&self.progress)?;
        }
        Ok(())
    }

    /// The moments that a shifted selector looks at instead of those of a grid.
    pub(super) fn shifted(&self, grid: Grid, shift: Shift) -> Grid {
        use super::tree::At;
        let at = shift.at.map(|at| match at {
            At::Start => self.ends.0,
            At::End => self.ends.1,
            At::Ms(at_ms) => at_ms,
        });
        let (start_ms, step_ms) = at.map_or((grid.start_ms, grid.step_ms), |at_ms| (at_ms, 0));
        Grid { start_ms: start_ms.saturating_sub(shift.offset_ms), step_ms, count: grid.count }
    }

    /// Reads samples, or what stands for them where only sums are read: the first and the last of
    /// each stretch.
    pub(super) fn samples(
        &mut self,
        found: &[Found],
        within: Stretch,
        each: Per<'_, Self, Sample>,
    ) -> Result<(), QueryError> {
        let ids: Vec<u64> = found.iter().map(|found| found.id).collect();
        let source = self.source;
        if self.tier == Tier::Raw {
            return source.samples(&ids, within, &mut |place, samples| {
                self.seen(samples.len())?;
                each(self, place, samples)
            });
        }
        let inside = |sample: &Sample| (within.from_ms..=within.to_ms).contains(&sample.at_ms);
        self.sums(found, within, &mut |run, place, sums| {
            let mut samples = Vec::with_capacity(sums.len() * 2);
            for sums in sums {
                let first = Sample { at_ms: sums.first_at_ms, value: sums.first };
                let last = Sample { at_ms: sums.last_at_ms, value: sums.last };
                let only = first.at_ms == last.at_ms;
                samples.extend(Some(first).filter(|it| !only && inside(it)));
                samples.extend(Some(last).filter(inside));
            }
            each(run, place, &samples)
        })
    }

    /// Reads sums by the minute or hour.
    pub(super) fn sums(
        &mut self,
        found: &[Found],
        within: Stretch,
        each: Per<'_, Self, Sums>,
    ) -> Result<(), QueryError> {
        let ids: Vec<u64> = found.iter().map(|found| found.id).collect();
        let (source, tier) = (self.source, self.tier);
        // A stretch that began before reaches into the range.
        let from_ms = within.from_ms.saturating_sub(tier.width_ms()).saturating_add(1);
        source.sums(&ids, Stretch { from_ms, ..within }, tier, &mut |place, sums| {
            self.seen(sums.len())?;
            each(self, place, sums)
        })
    }
}

/// Takes what was read of one series, by its place among those that were found.
pub(super) type Per<'f, R, T> = &'f mut dyn FnMut(&mut R, usize, &[T]) -> Result<(), QueryError>;

/// Whether a function can be said of sums as exactly as of samples.
pub(super) fn of_sums(function: Over) -> bool {
    use Over::{Avg, Count, Max, Min, Present, Sum};
    matches!(function, Avg | Min | Max | Sum | Count | Present)
}

/// Every value through a function of its moment's place; the names go, as what is computed is no
/// longer the signal.
pub(super) fn mapped(
    lines: Vec<Line>,
    mut map: impl FnMut(usize, f64) -> Option<f64>,
) -> Vec<Line> {
    let mut all = lines;
    for line in &mut all {
        line.labels = line.labels.unnamed();
        for (place, value) in line.values.iter_mut().enumerate() {
            if is_there(*value) {
                *value = map(place, *value).unwrap_or_else(absent);
            }
        }
    }
    all
}
