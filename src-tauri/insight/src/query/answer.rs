//! Questions and answers: at one moment, at even steps, and in the columns of a chart.

use super::columns;
use super::error::QueryError;
use super::eval::{Grid, Guard, Line, Progress, Run, Settings, Value, is_there};
use super::labels::Labels;
use super::plan::Plan;
use super::source::{Source, Tier};

/// The furthest moment of a question from 1970, in milliseconds: the year 9999.
const MOMENT_MAX_MS: i64 = 253_402_300_799_000;
/// How far before a moment samples may still count as present.
const LOOKBACK_MS: i64 = 300_000;

/// What is asked, of whom, and who watches.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The expression.
    pub plan: &'a Plan,
    /// Where series come from.
    pub source: &'a dyn Source,
    /// How it is answered.
    pub settings: Settings,
    /// Who may end it.
    pub guard: &'a dyn Guard,
}

/// A series at several moments.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// Its labels.
    pub labels: Labels,
    /// Moments in milliseconds since 1970, and the values at them; moments without one are left out.
    pub points: Vec<(i64, f64)>,
}

/// What a column of a chart holds of one series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Column {
    /// Its beginning, in milliseconds since 1970.
    pub at_ms: i64,
    /// The smallest value.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Their mean.
    pub mean: f64,
    /// The latest.
    pub last: f64,
    /// How many there are.
    pub count: u64,
}

/// A series in columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its labels.
    pub labels: Labels,
    /// The columns that hold values, oldest first.
    pub columns: Vec<Column>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered<T> {
    /// How finely what was measured was read.
    pub tier: Tier,
    /// How far moments, or the beginnings of columns, are apart; 0 for a single moment.
    pub step_ms: i64,
    /// The series.
    pub series: Vec<T>,
    /// What was read for it.
    pub read: Progress,
    /// What one should know of it.
    pub notes: Vec<String>,
}

/// A stretch of time in so many columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Across {
    /// Its beginning, in milliseconds since 1970.
    pub from_ms: i64,
    /// Its end, included.
    pub to_ms: i64,
    /// How many columns at most.
    pub columns: usize,
}

impl Ask<'_> {
    /// The value at one moment.
    ///
    /// # Errors
    /// When the expression does not fit the series, it takes too much, or it is ended.
    pub fn at(self, at_ms: i64) -> Result<Answered<Points>, QueryError> {
        check(at_ms, at_ms)?;
        self.evaluated(Grid { start_ms: at_ms, step_ms: 1, count: 1 }, (at_ms, 0))
    }

    /// The values from one moment to another, `step_ms` apart, as Prometheus answers.
    ///
    /// # Errors
    /// As [`Ask::at`], and when the range is empty or has no step.
    pub fn steps(
        self,
        from_ms: i64,
        to_ms: i64,
        step_ms: i64,
    ) -> Result<Answered<Points>, QueryError> {
        check(from_ms, to_ms)?;
        if step_ms < 1 {
            return Err(QueryError::BadRange("the step must be longer than 0"));
        }
        let count = (to_ms - from_ms) / step_ms + 1;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.evaluated(Grid { start_ms: from_ms, step_ms, count }, (to_ms, step_ms))
    }

    /// A stretch of time in columns: of plain signals everything that was measured, of everything else
    /// values at several moments of each column.
    ///
    /// # Errors
    /// As [`Ask::at`], and when the range is empty.
    pub fn across(self, across: Across) -> Result<Answered<Row>, QueryError> {
        check(across.from_ms, across.to_ms)?;
        columns::across(self, across)
    }

    fn evaluated(
        self,
        grid: Grid,
        (to_ms, step_ms): (i64, i64),
    ) -> Result<Answered<Points>, QueryError> {
        let mut run = Run::new(&self.plan.text, self.source, self.settings, self.guard);
        run.ends = (grid.start_ms, to_ms);
        // As fine as there is: only what is gone is answered by coarser values.
        run.tier = self.tier(grid.start_ms, 0)?;
        self.note_tier(&mut run);
        let lines = lines(run.eval(&self.plan.expr, grid)?);
        if grid.count > 1 {
            columns::room(lines.len(), i64::try_from(grid.count).unwrap_or(i64::MAX))?;
        }
        let mut series: Vec<Points> = lines.into_iter().map(|line| points(line, grid)).collect();
        if grid.count > 1 {
            series.sort_by(|one, other| one.labels.cmp(&other.labels));
        }
        Ok(Answered { tier: run.tier, step_ms, series, read: run.progress, notes: run.notes })
    }

    /// How finely to read: as coarse as the distance of moments allows, and as far back as asked.
    pub(super) fn tier(&self, from_ms: i64, step_ms: i64) -> Result<Tier, QueryError> {
        let needs = &self.plan.needs;
        let fits = |tier: Tier| {
            let long = needs.shortest_ms.is_none_or(|shortest| shortest >= 4 * tier.width_ms());
            step_ms >= tier.width_ms() && long && needs.exact.iter().all(|name| is_growth(name))
        };
        let wanted = [Tier::Hour, Tier::Minute].into_iter().find(|tier| fits(*tier));
        let back_ms = needs.reach_ms + if needs.latest { LOOKBACK_MS } else { 0 };
        let earliest = from_ms.saturating_sub(back_ms).min(needs.named_ms.unwrap_or(i64::MAX));
        self.source.finest(wanted.unwrap_or(Tier::Raw), earliest)
    }

    pub(super) fn note_tier(&self, run: &mut Run<'_>) {
        let stretch = match run.tier {
            Tier::Raw => return,
            Tier::Minute => "minute",
            Tier::Hour => "hour",
        };
        for name in &self.plan.needs.exact {
            run.note(format!("{name} is computed of the first and last value of each {stretch}"));
        }
    }
}

/// Whether the first and last values of coarser stretches say the same of a counter.
fn is_growth(name: &str) -> bool {
    matches!(name, "rate" | "increase" | "delta")
}

fn check(from_ms: i64, to_ms: i64) -> Result<(), QueryError> {
    if from_ms > to_ms {
        return Err(QueryError::BadRange("the range ends before it begins"));
    }
    if from_ms < -MOMENT_MAX_MS || to_ms > MOMENT_MAX_MS {
        return Err(QueryError::BadRange("the range reaches beyond the year 9999"));
    }
    Ok(())
}

/// A number is a series without labels.
pub(super) fn lines(value: Value) -> Vec<Line> {
    match value {
        Value::Scalar(values) => vec![Line { labels: Labels::default(), values }],
        Value::Vector(lines) => lines,
    }
}

fn points(line: Line, grid: Grid) -> Points {
    let values = line.values.into_iter().enumerate().filter(|(_, value)| is_there(*value));
    let points = values.map(|(place, value)| (grid.at(place), value)).collect();
    Points { labels: line.labels, points }
}
