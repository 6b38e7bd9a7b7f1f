//! Calls of functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::QueryError;
use super::eval::{Grid, Line, Run, Value, absent, is_there, mapped};
use super::functions::{Fun, Function, Over};
use super::labels::{Compare, Labels, NAME, whole};
use super::over;
use super::tree::{Expr, Kind, Of, Window};

/// The longest a label may become, in bytes: as long as the labels of a series may be in all.
const LABEL_BYTES_MAX: usize = 1024;

/// The label that holds the upper bound of a histogram's bucket.
const LE: &str = "le";

impl Run<'_> {
    /// Calls a function; how many arguments there are, and what they give, was checked before.
    pub(super) fn call(
        &mut self,
        function: &'static Function,
        arguments: &[Expr],
        expr: &Expr,
        grid: Grid,
    ) -> Result<Value, QueryError> {
        let lines = match (function.is, arguments) {
            (Fun::Time, _) => {
                let times = (0..grid.count).map(|place| grid.at(place) as f64 / 1000.0);
                return Ok(Value::Scalar(times.collect()));
            }
            (Fun::Scalar, [of]) => {
                let lines = self.vector(of, grid)?;
                return Ok(Value::Scalar(only_one(&lines, grid.count)));
            }
            (Fun::Vector, [of]) => {
                let values = self.scalar(of, grid)?;
                return Ok(Value::Vector(vec![Line { labels: Labels::default(), values }]));
            }
            (Fun::Over(function), [of]) => {
                let window = self.window(of)?;
                self.over_time(function, window, grid, &expr.span)?
            }
            (Fun::QuantileOverTime, [share, of]) => self.quantile_over(share, of, expr, grid)?,
            (Fun::PredictLinear, [of, ahead]) => self.predict(of, ahead, expr, grid)?,
            (Fun::AbsentOverTime, [of]) => {
                let window = self.window(of)?;
                let mut there = vec![false; grid.count];
                self.over_window(window, grid, (&expr.span, true), &mut |at| {
                    there[at.place] = true;
                    None
                })?;
                vec![missing(of, &there)]
            }
            (Fun::Absent, [of]) => {
                let mut there = vec![false; grid.count];
                for line in self.vector(of, grid)? {
                    let places = there.iter_mut().zip(&line.values);
                    places.for_each(|(there, value)| *there |= is_there(*value));
                }
                vec![missing(of, &there)]
            }
            (Fun::Timestamp, [of]) => match &of.is {
                Kind::Select(select) => {
                    let lines = self.select(select, grid, true)?;
                    mapped(lines, |_, value| Some(value))
                }
                _ => {
                    let lines = self.vector(of, grid)?;
                    mapped(lines, |place, _| Some(grid.at(place) as f64 / 1000.0))
                }
            },
            (Fun::HistogramQuantile, [share, of]) => {
                let shares = self.scalar(share, grid)?;
                histogram_quantile(&shares, &self.vector(of, grid)?)
            }
            (Fun::LabelReplace, [of, texts @ ..]) => self.label_replace(of, texts, grid)?,
            (_, [of, numbers @ ..]) => self.each(function.is, of, numbers, grid)?,
            (_, []) => Vec::new(),
        };
        Ok(Value::Vector(self.settle(lines, &expr.span)?))
    }

    fn window<'e>(&self, of: &'e Expr) -> Result<&'e Window, QueryError> {
        match &of.is {
            Kind::Window(window) => Ok(window),
            _ => Err(self.fault(&of.span, "a range of samples is expected here").into()),
        }
    }

    fn quantile_over(
        &mut self,
        share: &Expr,
        of: &Expr,
        expr: &Expr,
        grid: Grid,
    ) -> Result<Vec<Line>, QueryError> {
        let shares = self.scalar(share, grid)?;
        let window = self.window(of)?;
        let mut scratch = Vec::new();
        self.over_window(window, grid, (&expr.span, false), &mut |at| {
            scratch.clear();
            scratch.extend(at.samples.iter().map(|sample| sample.value));
            Some(over::quantile(shares[at.place], &mut scratch))
        })
    }

    fn predict(
        &mut self,
        of: &Expr,
        ahead: &Expr,
        expr: &Expr,
        grid: Grid,
    ) -> Result<Vec<Line>, QueryError> {
        let ahead = self.scalar(ahead, grid)?;
        let window = self.window(of)?;
        self.over_window(window, grid, (&expr.span, false), &mut |at| {
            let (slope, now) = over::line(at.samples, grid.at(at.place))?;
            Some(now + slope * ahead[at.place])
        })
    }

    /// Functions of each value by itself.
    fn each(
        &mut self,
        function: Fun,
        of: &Expr,
        numbers: &[Expr],
        grid: Grid,
    ) -> Result<Vec<Line>, QueryError> {
        let lines = self.vector(of, grid)?;
        let numbers = numbers.iter().map(|number| self.scalar(number, grid));
        let numbers: Vec<Vec<f64>> = numbers.collect::<Result<_, _>>()?;
        let number = |which: usize, place: usize| numbers.get(which).map(|it| it[place]);
        Ok(mapped(lines, |place, value| each(function, value, number(0, place), number(1, place))))
    }

    fn label_replace(
        &mut self,
        of: &Expr,
        texts: &[Expr],
        grid: Grid,
    ) -> Result<Vec<Line>, QueryError> {
        let text = |which: usize| match texts.get(which).map(|text| &text.is) {
            Some(Kind::Text(text)) => text.as_str(),
            _ => "",
        };
        let (to, replacement, from) = (text(0), text(1), text(2));
        let span = texts.last().map_or(of.span.clone(), |text| text.span.clone());
        let regex = whole(text(3)).map_err(|error| self.fault(&span, error.to_string()))?;
        let mut lines = self.vector(of, grid)?;
        for line in &mut lines {
            let value = line.labels.get(from).to_owned();
            if let Some(captures) = regex.captures(&value) {
                let mut replaced = String::new();
                captures.expand(replacement, &mut replaced);
                if replaced.len() > LABEL_BYTES_MAX {
                    let what = format!("a label would be {} bytes long", replaced.len());
                    let hint = format!("at most {LABEL_BYTES_MAX}; replace by less");
                    return Err(self.fault(&span, what).hint(hint).into());
                }
                line.labels.set(to, replaced);
            }
        }
        Ok(lines)
    }
}

/// One value by itself; nothing where the bounds leave no room.
pub(super) fn each(
    function: Fun,
    value: f64,
    first: Option<f64>,
    second: Option<f64>,
) -> Option<f64> {
    match (function, first, second) {
        (Fun::Each(function), _, _) => Some(function.apply(value)),
        (Fun::Round, to, _) => {
            let per_unit = 1.0 / to.unwrap_or(1.0);
            Some((value * per_unit + 0.5).floor() / per_unit)
        }
        (Fun::ClampMin, Some(least), _) => Some(not_below(least, value)),
        (Fun::ClampMax, Some(most), _) => Some(not_above(most, value)),
        (Fun::Clamp, Some(least), Some(most)) if most < least => None,
        (Fun::Clamp, Some(least), Some(most)) => Some(not_below(least, not_above(most, value))),
        _ => None,
    }
}

/// The larger of two; not a number wins over all but infinity, as in Go.
fn not_below(least: f64, value: f64) -> f64 {
    let unknown = (least.is_nan() || value.is_nan()) && least.max(value) != f64::INFINITY;
    if unknown { f64::NAN } else { value.max(least) }
}

/// The smaller of two; not a number wins over all but minus infinity.
fn not_above(most: f64, value: f64) -> f64 {
    let unknown = (most.is_nan() || value.is_nan()) && most.min(value) != f64::NEG_INFINITY;
    if unknown { f64::NAN } else { value.min(most) }
}

/// The value of the only series at each moment.
fn only_one(lines: &[Line], count: usize) -> Vec<f64> {
    let at = |place: usize| {
        let mut there =
            lines.iter().map(|line| line.values[place]).filter(|value| is_there(*value));
        match (there.next(), there.next()) {
            (Some(value), None) => value,
            _ => f64::NAN,
        }
    };
    (0..count).map(at).collect()
}

/// 1 at the moments at which nothing is there, with the labels that were asked for.
fn missing(of: &Expr, there: &[bool]) -> Line {
    let matchers = match &of.is {
        Kind::Select(select) => select.matchers.as_slice(),
        Kind::Window(window) => match &window.of {
            Of::Samples(matchers) => matchers.as_slice(),
            Of::Expr(..) => &[],
        },
        _ => &[],
    };
    let mut labels = Labels::default();
    for matcher in matchers.iter().filter(|matcher| matcher.label != NAME) {
        let others = matchers.iter().filter(|other| other.label == matcher.label).count();
        if matcher.compare == Compare::Equal && others == 1 {
            labels.set(matcher.label.as_str(), matcher.value.as_str());
        }
    }
    let values = there.iter().map(|there| if *there { absent() } else { 1.0 });
    Line { labels, values: values.collect() }
}

/// The value below which a share of what was observed lies, from the buckets of histograms.
fn histogram_quantile(shares: &[f64], lines: &[Line]) -> Vec<Line> {
    let mut histograms: BTreeMap<Labels, Vec<(f64, &Line)>> = BTreeMap::new();
    let apart = [LE.to_owned(), NAME.to_owned()];
    for line in lines {
        if let Some(bound) = bound(line.labels.get(LE)) {
            histograms.entry(line.labels.without(&apart)).or_default().push((bound, line));
        }
    }
    let histograms = histograms.into_iter().map(|(labels, buckets)| {
        let values = shares.iter().enumerate().map(|(place, share)| {
            let now = buckets.iter().map(|(bound, line)| (*bound, line.values[place]));
            let mut now: Vec<(f64, f64)> = now.filter(|(_, count)| is_there(*count)).collect();
            if now.is_empty() { absent() } else { within_buckets(*share, &mut now) }
        });
        Line { labels, values: values.collect() }
    });
    histograms.collect()
}

/// Bounds as Prometheus writes and reads them.
fn bound(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    text.parse().ok().filter(|_| plain && !text.is_empty())
}

fn within_buckets(share: f64, buckets: &mut Vec<(f64, f64)>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if !(0.0..=1.0).contains(&share) {
        return if share < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        return f64::NAN;
    }
    buckets.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    // Counts of buckets that were read at slightly different moments may shrink; they are levelled.
    let mut most = f64::NEG_INFINITY;
    for (_, count) in buckets.iter_mut() {
        most = if *count > most { *count } else { most };
        *count = most;
    }
    let (Some((_, observed)), 2..) = (buckets.last().copied(), buckets.len()) else {
        return f64::NAN;
    };
    if observed == 0.0 || observed.is_nan() {
        return f64::NAN;
    }
    let rank = share * observed;
    let last = buckets.len() - 1;
    let at = buckets[..last].iter().position(|(_, count)| *count >= rank).unwrap_or(last);
    if at == last {
        return buckets[last - 1].0;
    }
    let (end, count) = buckets[at];
    let (start, below) = match at.checked_sub(1).map(|before| buckets[before]) {
        None if end <= 0.0 => return end,
        None => (0.0, 0.0),
        Some(before) => before,
    };
    start + (end - start) * ((rank - below) / (count - below))
}

/// Labels as messages show them.
pub(super) fn shown(labels: &Labels) -> Arc<str> {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", ")).into()
}

/// Whether a window function needs samples to be exact.
pub(super) fn needs_samples(function: &Function) -> bool {
    match function.is {
        Fun::Over(function) => !super::eval::of_sums(function) && function != Over::Last,
        Fun::QuantileOverTime | Fun::PredictLinear => true,
        _ => false,
    }
}
