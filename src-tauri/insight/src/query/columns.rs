//! A stretch of time in the columns of a chart.
//!
//! Of a plain signal (shifted, scaled, rounded, but sample by sample) a column holds everything that
//! was measured in it, so that no peak is lost. Everything else is evaluated at up to ten moments of
//! each column, the last of them at its end.

use super::answer::{Across, Answered, Ask, Column, Row, lines};
use super::calls;
use super::error::QueryError;
use super::eval::{Grid, Line, Run, is_there};
use super::functions::Fun;
use super::source::{Stretch, Tier};
use super::tree::{Expr, Kind, Op, Select};

/// The most moments a column is evaluated at.
const MOMENTS_MAX: i64 = 10;
/// The shortest distance of such moments.
const MOMENT_MS: i64 = 1000;
/// The most columns of an answer, over all of its series.
const COLUMNS_MAX: u64 = 400_000;

pub(super) fn across(ask: Ask<'_>, across: Across) -> Result<Answered<Row>, QueryError> {
    let span_ms = (across.to_ms - across.from_ms).max(1);
    let wanted = i64::try_from(across.columns.max(1)).unwrap_or(i64::MAX);
    let step_ms = ceil_div(span_ms, wanted);
    let mut run = Run::new(&ask.plan.text, ask.source, ask.settings, ask.guard);
    run.ends = (across.from_ms, across.to_ms);
    run.tier = ask.tier(across.from_ms, step_ms)?;
    if let Some(plain) = plain(&ask.plan.expr) {
        if !plain.is_linear() && run.tier != Tier::Raw {
            // Only samples tell what such a function makes of each of them.
            run.tier = ask.tier(across.from_ms, 0)?;
        }
        if run.tier == Tier::Raw || plain.is_monotone() {
            let layout = Layout::of(across, wanted, run.tier);
            let series = plain.read(&mut run, layout, &ask.plan.expr)?;
            return finish(run, layout.step_ms, series);
        }
    }
    ask.note_tier(&mut run);
    let moments = moments(ask, step_ms, run.tier);
    match evaluated(ask, run, across, (step_ms, moments)) {
        // Fewer moments may do.
        Err(QueryError::TooMuch { what: "values" | "moments", .. }) if moments > 1 => {
            let mut run = Run::new(&ask.plan.text, ask.source, ask.settings, ask.guard);
            run.ends = (across.from_ms, across.to_ms);
            run.tier = ask.tier(across.from_ms, step_ms)?;
            ask.note_tier(&mut run);
            evaluated(ask, run, across, (step_ms, 1))
        }
        answered => answered,
    }
}

fn finish(run: Run<'_>, step_ms: i64, series: Vec<Row>) -> Result<Answered<Row>, QueryError> {
    let mut series = series;
    series.sort_by(|one, other| one.labels.cmp(&other.labels));
    Ok(Answered { tier: run.tier, step_ms, series, read: run.progress, notes: run.notes })
}

/// At how many moments of a column an expression is evaluated: so that no sample is passed over, as
/// far as that is possible.
fn moments(ask: Ask<'_>, step_ms: i64, tier: Tier) -> i64 {
    let needs = &ask.plan.needs;
    if needs.ranks {
        // Ranks that change within a column would only bring in more series.
        return 1;
    }
    let unit = tier.width_ms().max(MOMENT_MS);
    let seen = match needs.shortest_ms {
        _ if needs.latest => unit,
        Some(range_ms) => range_ms.max(unit),
        None => step_ms,
    };
    (step_ms / seen).clamp(1, MOMENTS_MAX)
}

fn evaluated(
    ask: Ask<'_>,
    mut run: Run<'_>,
    across: Across,
    (step_ms, moments): (i64, i64),
) -> Result<Answered<Row>, QueryError> {
    let unit = run.tier.width_ms().max(1);
    let apart_ms = ceil_div(ceil_div(step_ms, moments), unit) * unit;
    let step_ms = apart_ms * moments;
    let start_ms = across.from_ms.div_euclid(unit) * unit;
    // The first moment is the last millisecond of the first part; the very end is not passed.
    let count = ((across.to_ms + 1 - start_ms) / apart_ms).max(1);
    let grid = Grid {
        start_ms: start_ms + apart_ms - 1,
        step_ms: apart_ms,
        count: usize::try_from(count).unwrap_or(usize::MAX),
    };
    let lines = lines(run.eval(&ask.plan.expr, grid)?);
    room(lines.len(), count / moments + 1)?;
    let rows = lines.into_iter().map(|line| row(line, start_ms, step_ms, moments));
    let rows = rows.filter(|row| !row.columns.is_empty()).collect();
    finish(run, step_ms, rows)
}

fn row(line: Line, start_ms: i64, step_ms: i64, moments: i64) -> Row {
    let per_column = usize::try_from(moments).unwrap_or(1).max(1);
    let columns = line.values.chunks(per_column).enumerate().filter_map(|(place, values)| {
        let mut sum = Gathered::default();
        values.iter().filter(|it| is_there(**it)).for_each(|it| sum.add(*it));
        sum.column(start_ms + place as i64 * step_ms)
    });
    Row { columns: columns.collect(), labels: line.labels }
}

/// Refuses more columns, or moments, than an answer may have.
pub(super) fn room(series: usize, columns: i64) -> Result<(), QueryError> {
    let found = (series as u64).saturating_mul(columns.unsigned_abs());
    if found > COLUMNS_MAX {
        return Err(QueryError::TooMuch { what: "columns", found, max: COLUMNS_MAX });
    }
    Ok(())
}

fn ceil_div(value: i64, by: i64) -> i64 {
    value.div_euclid(by) + i64::from(value.rem_euclid(by) != 0)
}

/// Columns of a plain signal: both ends are included, and what lies at the very end belongs to the
/// last one. By the minute and hour the range is widened to whole ones.
#[derive(Debug, Clone, Copy)]
struct Layout {
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    count: usize,
}

impl Layout {
    fn of(across: Across, wanted: i64, tier: Tier) -> Self {
        let unit = tier.width_ms().max(1);
        let start_ms = across.from_ms.div_euclid(unit) * unit;
        let end_ms = if tier == Tier::Raw {
            across.to_ms
        } else {
            across.to_ms.div_euclid(unit) * unit + unit - 1
        };
        let span = (end_ms - start_ms + i64::from(tier != Tier::Raw)).max(1);
        let step_ms = ceil_div(ceil_div(span, wanted), unit) * unit;
        let count = usize::try_from(ceil_div(span, step_ms)).unwrap_or(1).max(1);
        Self { start_ms, end_ms, step_ms, count }
    }

    fn place(&self, at_ms: i64) -> Option<usize> {
        if at_ms < self.start_ms || at_ms > self.end_ms {
            return None;
        }
        let place = usize::try_from((at_ms - self.start_ms) / self.step_ms).ok()?;
        Some(place.min(self.count - 1))
    }
}

/// Values of one column.
#[derive(Debug, Clone, Copy, Default)]
struct Gathered {
    min: f64,
    max: f64,
    sum: f64,
    last: f64,
    count: u64,
}

impl Gathered {
    fn add(&mut self, value: f64) {
        self.add_all(Self { min: value, max: value, sum: value, last: value, count: 1 });
    }

    fn add_all(&mut self, more: Self) {
        if self.count == 0 {
            *self = more;
            return;
        }
        self.min = super::over::smaller(self.min, more.min);
        self.max = super::over::larger(self.max, more.max);
        self.sum += more.sum;
        self.last = more.last;
        self.count += more.count;
    }

    fn column(self, at_ms: i64) -> Option<Column> {
        let Self { min, max, sum, last, count } = self;
        (count > 0).then(|| Column { at_ms, min, max, mean: sum / count as f64, last, count })
    }
}

/// A signal, and what is done to each of its samples.
struct Plain<'e> {
    select: &'e Select,
    /// From the inside to the outside.
    changes: Vec<Change>,
}

/// What is done to a sample.
#[derive(Debug, Clone, Copy)]
enum Change {
    Negate,
    Call(Fun, Option<f64>, Option<f64>),
    /// An operator, its number, and whether that stands on the left.
    Operate(Op, f64, bool),
}

impl Change {
    fn apply(self, value: f64) -> Option<f64> {
        match self {
            Self::Negate => Some(-value),
            Self::Call(function, first, second) => calls::each(function, value, first, second),
            Self::Operate(op, number, true) => Some(op.apply(number, value).0),
            Self::Operate(op, number, false) => Some(op.apply(value, number).0),
        }
    }

    /// Whether the mean of what it gives is what it gives of the mean.
    fn is_linear(self) -> bool {
        match self {
            Self::Negate => true,
            Self::Call(..) => false,
            Self::Operate(Op::Div, number, swapped) => !swapped && number != 0.0,
            Self::Operate(op, _, _) => matches!(op, Op::Add | Op::Sub | Op::Mul),
        }
    }

    /// Whether the ends of a range of values become the ends of what it gives.
    fn is_monotone(self) -> bool {
        match self {
            Self::Call(Fun::Each(each), _, _) => each != super::functions::Each::Abs,
            Self::Call(..) => true,
            change => change.is_linear(),
        }
    }
}

fn plain(expr: &Expr) -> Option<Plain<'_>> {
    let number = |expr: &Expr| match expr.is {
        Kind::Number(number) => Some(number),
        _ => None,
    };
    let (of, change) = match &expr.is {
        Kind::Select(select) if select.shift.at.is_none() => {
            return Some(Plain { select, changes: Vec::new() });
        }
        Kind::Negate(of) => (&**of, Change::Negate),
        Kind::Call(function, arguments) => {
            let (of, numbers) = arguments.split_first()?;
            let changes = matches!(
                function.is,
                Fun::Each(_) | Fun::Round | Fun::Clamp | Fun::ClampMin | Fun::ClampMax
            );
            if !changes || numbers.iter().any(|it| number(it).is_none()) {
                return None;
            }
            let number = |place: usize| numbers.get(place).and_then(number);
            (of, Change::Call(function.is, number(0), number(1)))
        }
        Kind::Binary(binary) if binary.op.is_arithmetic() => {
            match (number(&binary.left), number(&binary.right)) {
                (None, Some(right)) => (&binary.left, Change::Operate(binary.op, right, false)),
                (Some(left), None) => (&binary.right, Change::Operate(binary.op, left, true)),
                _ => return None,
            }
        }
        _ => return None,
    };
    let mut plain = plain(of)?;
    plain.changes.push(change);
    Some(plain)
}

impl Plain<'_> {
    fn is_linear(&self) -> bool {
        self.changes.iter().all(|change| change.is_linear())
    }

    fn is_monotone(&self) -> bool {
        self.changes.iter().all(|change| change.is_monotone())
    }

    fn apply(&self, value: f64) -> Option<f64> {
        self.changes.iter().try_fold(value, |value, change| change.apply(value))
    }

    fn read(&self, run: &mut Run<'_>, layout: Layout, expr: &Expr) -> Result<Vec<Row>, QueryError> {
        let found = run.find(&self.select.matchers)?;
        let offset_ms = self.select.shift.offset_ms;
        let within = Stretch {
            from_ms: layout.start_ms.saturating_sub(offset_ms),
            to_ms: layout.end_ms.saturating_sub(offset_ms),
        };
        let mut rows: Vec<Row> = Vec::new();
        let mut keep = |place: usize, gathered: Vec<Gathered>| -> Result<(), QueryError> {
            let at = |place: usize| layout.start_ms + place as i64 * layout.step_ms;
            let columns = gathered.into_iter().enumerate();
            let columns: Vec<Column> =
                columns.filter_map(|(place, sum)| sum.column(at(place))).collect();
            if columns.is_empty() {
                return Ok(());
            }
            room(rows.len() + 1, layout.count as i64)?;
            let labels: &super::labels::Labels = &found[place].labels;
            let named = self.changes.is_empty();
            let labels = if named { labels.clone() } else { labels.unnamed() };
            rows.push(Row { labels, columns });
            Ok(())
        };
        if run.tier == Tier::Raw {
            run.samples(&found, within, &mut |_, place, samples| {
                let mut gathered = vec![Gathered::default(); layout.count];
                for sample in samples {
                    let column = layout.place(sample.at_ms.saturating_add(offset_ms));
                    if let (Some(column), Some(value)) = (column, self.apply(sample.value)) {
                        gathered[column].add(value);
                    }
                }
                keep(place, gathered)
            })?;
        } else {
            if !self.is_linear() {
                run.note("means are computed of the means of what was rolled up".to_owned());
            }
            run.sums(&found, within, &mut |_, place, sums| {
                let mut gathered = vec![Gathered::default(); layout.count];
                for sums in sums {
                    let column = layout.place(sums.at_ms.saturating_add(offset_ms));
                    if let (Some(column), Some(changed)) = (column, self.changed(sums)) {
                        gathered[column].add_all(changed);
                    }
                }
                keep(place, gathered)
            })?;
        }
        self.distinct(run, rows, expr)
    }

    fn changed(&self, sums: &super::source::Sums) -> Option<Gathered> {
        let (one, other) = (self.apply(sums.min)?, self.apply(sums.max)?);
        Some(Gathered {
            min: one.min(other),
            max: one.max(other),
            sum: self.apply(sums.sum / sums.count as f64)? * sums.count as f64,
            last: self.apply(sums.last)?,
            count: sums.count,
        })
    }

    /// Without their names, two series may be the same.
    fn distinct(&self, run: &Run<'_>, rows: Vec<Row>, expr: &Expr) -> Result<Vec<Row>, QueryError> {
        let mut rows = rows;
        rows.sort_by(|one, other| one.labels.cmp(&other.labels));
        if rows.windows(2).any(|pair| pair[0].labels == pair[1].labels) {
            let fault = run.fault(&expr.span, "two series of the result have the same labels");
            return Err(fault.hint("the name is dropped; select one name").into());
        }
        Ok(rows)
    }
}
