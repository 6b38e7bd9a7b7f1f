//! Many series become few.

use std::collections::BTreeMap;

use super::error::QueryError;
use super::eval::{Grid, Line, Run, absent, is_there};
use super::labels::{Labels, NAME};
use super::over::{self, Exact};
use super::tree::{Aggregate, Combine, Grouping};

impl Run<'_> {
    /// Combines series group by group.
    pub(super) fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        grid: Grid,
    ) -> Result<Vec<Line>, QueryError> {
        let parameter = aggregate.parameter.as_ref();
        let parameter = parameter.map(|it| self.scalar(it, grid)).transpose()?;
        let lines = self.vector(&aggregate.of, grid)?;
        let mut groups: BTreeMap<Labels, Vec<Line>> = BTreeMap::new();
        for line in lines {
            let group = match &aggregate.grouping {
                Grouping::By(names) => line.labels.only(names),
                Grouping::Without(names) => {
                    let mut names = names.clone();
                    names.push(NAME.to_owned());
                    line.labels.without(&names)
                }
            };
            groups.entry(group).or_default().push(line);
        }
        let parameter = parameter.unwrap_or_default();
        let mut combined = Vec::new();
        for (labels, lines) in groups {
            self.worked(lines.len() * grid.count)?;
            match aggregate.how {
                Combine::TopK | Combine::BottomK => {
                    let top = aggregate.how == Combine::TopK;
                    combined.extend(extremes(lines, &parameter, top, grid.count));
                }
                Combine::Quantile => {
                    let values = columns(&lines, grid.count, |place, values| {
                        over::quantile(parameter[place], values)
                    });
                    combined.push(Line { labels, values });
                }
                how => combined.push(Line { labels, values: folded(how, &lines, grid.count) }),
            }
        }
        Ok(combined)
    }
}

/// One value of each moment, from the values of several series at it.
fn columns(
    lines: &[Line],
    count: usize,
    mut say: impl FnMut(usize, &mut [f64]) -> f64,
) -> Vec<f64> {
    let mut scratch = Vec::with_capacity(lines.len());
    let values = (0..count).map(|place| {
        scratch.clear();
        scratch.extend(lines.iter().map(|line| line.values[place]).filter(|it| is_there(*it)));
        if scratch.is_empty() { absent() } else { say(place, &mut scratch) }
    });
    values.collect()
}

/// One value of each moment, series after series.
fn folded(how: Combine, lines: &[Line], count: usize) -> Vec<f64> {
    match how {
        Combine::Sum | Combine::Avg => summed(how == Combine::Avg, lines, count),
        Combine::Min => reduced(lines, count, over::smaller),
        Combine::Max => reduced(lines, count, over::larger),
        Combine::Stddev => columns(lines, count, |_, values| spread(values).sqrt()),
        Combine::Stdvar => columns(lines, count, |_, values| spread(values)),
        Combine::Count => columns(lines, count, |_, values| values.len() as f64),
        // The others have ways of their own; what is there makes a group.
        _ => columns(lines, count, |_, _| 1.0),
    }
}

fn spread(values: &[f64]) -> f64 {
    over::variance(values.iter().copied())
}

fn summed(mean: bool, lines: &[Line], count: usize) -> Vec<f64> {
    let mut sums = vec![(Exact::default(), 0_u32); count];
    for line in lines {
        for (sum, value) in sums.iter_mut().zip(&line.values).filter(|(_, it)| is_there(**it)) {
            sum.0.add(*value);
            sum.1 += 1;
        }
    }
    let total = |(sum, many): (Exact, u32)| match (many, mean) {
        (0, _) => absent(),
        (_, false) => sum.total(),
        (many, true) => sum.total() / f64::from(many),
    };
    let totals: Vec<f64> = sums.into_iter().map(total).collect();
    if !mean || totals.iter().all(|total| !total.is_infinite()) {
        return totals;
    }
    // The sum may be too large for a number where the mean is not.
    columns(lines, count, |_, values| over::mean(values.iter().copied()))
}

fn reduced(lines: &[Line], count: usize, choose: fn(f64, f64) -> f64) -> Vec<f64> {
    let mut kept = vec![absent(); count];
    for line in lines {
        for (kept, value) in kept.iter_mut().zip(&line.values).filter(|(_, it)| is_there(**it)) {
            *kept = if is_there(*kept) { choose(*kept, *value) } else { *value };
        }
    }
    kept
}

/// The largest or smallest of each moment, as they are; the largest first where there is but one
/// moment. Not a number comes last in both.
fn extremes(lines: Vec<Line>, wanted: &[f64], top: bool, count: usize) -> Vec<Line> {
    let mut kept: Vec<Vec<f64>> = lines.iter().map(|_| vec![absent(); count]).collect();
    let mut order: Vec<usize> = Vec::new();
    for (place, wanted) in wanted.iter().enumerate().take(count) {
        order.clear();
        order.extend((0..lines.len()).filter(|line| is_there(lines[*line].values[place])));
        // Not a number compares false.
        let wanted = if *wanted >= 1.0 { *wanted as usize } else { 0 };
        let value = |line: &usize| lines[*line].values[place];
        let by_rank = |one: &usize, other: &usize| {
            let (left, right) = (value(one), value(other));
            let by_size = if top { right.total_cmp(&left) } else { left.total_cmp(&right) };
            let by_size = if left == right { std::cmp::Ordering::Equal } else { by_size };
            left.is_nan().cmp(&right.is_nan()).then(by_size).then(one.cmp(other))
        };
        if wanted < order.len() && wanted > 0 {
            order.select_nth_unstable_by(wanted - 1, by_rank);
        }
        order.truncate(wanted);
        order.sort_unstable_by(by_rank);
        for line in &order {
            kept[*line][place] = value(line);
        }
    }
    let labels = lines.into_iter().map(|line| line.labels);
    let mut all: Vec<Option<Line>> =
        labels.zip(kept).map(|(labels, values)| Some(Line { labels, values })).collect();
    if count == 1 {
        return order.iter().filter_map(|line| all[*line].take()).collect();
    }
    let some = |line: &Line| line.values.iter().any(|value| is_there(*value));
    all.into_iter().flatten().filter(some).collect()
}
