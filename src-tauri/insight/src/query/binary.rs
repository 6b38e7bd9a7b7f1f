//! Operators between numbers and series.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::calls::shown;
use super::error::QueryError;
use super::eval::{Grid, Line, Run, Value, absent, is_there};
use super::labels::{Labels, NAME};
use super::tree::{Binary, Many, Matching, Op};

/// Places of the series of either side that belong together.
type Sides = (Vec<usize>, Vec<usize>);

impl Run<'_> {
    /// What an operator gives.
    pub(super) fn binary(&mut self, binary: &Binary, grid: Grid) -> Result<Value, QueryError> {
        let left = self.eval(&binary.left, grid)?;
        let right = self.eval(&binary.right, grid)?;
        let span = &binary.op_span;
        let lines = match (left, right) {
            (Value::Scalar(left), Value::Scalar(right)) => {
                let pairs = left.into_iter().zip(right);
                let values = pairs.map(|(left, right)| {
                    let (value, holds) = binary.op.apply(left, right);
                    if binary.op.compares() { f64::from(holds) } else { value }
                });
                return Ok(Value::Scalar(values.collect()));
            }
            (Value::Vector(lines), Value::Scalar(numbers)) => {
                against(binary, lines, &numbers, false)
            }
            (Value::Scalar(numbers), Value::Vector(lines)) => {
                against(binary, lines, &numbers, true)
            }
            (Value::Vector(left), Value::Vector(right)) if binary.op.is_set() => {
                set(binary, left, right, grid.count)
            }
            (Value::Vector(left), Value::Vector(right)) => {
                self.matched(binary, &left, &right, grid.count)?
            }
        };
        Ok(Value::Vector(self.settle(lines, span)?))
    }

    fn matched(
        &mut self,
        binary: &Binary,
        left: &[Line],
        right: &[Line],
        count: usize,
    ) -> Result<Vec<Line>, QueryError> {
        let some = |lines: &[Line]| -> Vec<bool> {
            (0..count).map(|it| lines.iter().any(|line| is_there(line.values[it]))).collect()
        };
        let (some_left, some_right) = (some(left), some(right));
        let both: Vec<bool> =
            some_left.into_iter().zip(some_right).map(|(left, right)| left && right).collect();
        let mut lines = Vec::new();
        for sides in pairs(&binary.matching, left, right).into_values() {
            self.worked((sides.0.len() + sides.1.len()) * count)?;
            self.match_group(binary, (left, right), &sides, &both, &mut lines)?;
        }
        Ok(lines)
    }

    /// One group of series with the same values of the labels that count.
    fn match_group(
        &mut self,
        binary: &Binary,
        (left, right): (&[Line], &[Line]),
        sides: &Sides,
        both: &[bool],
        lines: &mut Vec<Line>,
    ) -> Result<(), QueryError> {
        let swapped = binary.matching.many == Many::Right;
        // The side that may have many, and the one that has one.
        let (many, ones) = if swapped { (&sides.1, &sides.0) } else { (&sides.0, &sides.1) };
        let (many_lines, one_lines) = if swapped { (right, left) } else { (left, right) };
        let one = self.one_of(binary, ones, one_lines, both)?;
        let mut taken = vec![false; both.len()];
        for many in many {
            let many = &many_lines[*many];
            self.worked(both.len())?;
            // What the other side is called may change from moment to moment.
            let mut results: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
            for (place, value) in many.values.iter().enumerate().filter(|(_, it)| is_there(**it)) {
                let Some(other) = one[place] else { continue };
                let number = one_lines[other].values[place];
                let (lhs, rhs) = if swapped { (number, *value) } else { (*value, number) };
                let (mut value, holds) = binary.op.apply(lhs, rhs);
                if binary.as_bool {
                    value = f64::from(holds);
                } else if !holds {
                    continue;
                }
                if binary.matching.many == Many::Neither
                    && std::mem::replace(&mut taken[place], true)
                {
                    let what =
                        format!("several series of the left side match {}", shown(&many.labels));
                    let hint =
                        "add on(...) or ignoring(...) with group_left, or aggregate the left side";
                    return Err(self.fault(&binary.op_span, what).hint(hint).into());
                }
                // Only labels that are taken over tell the results of one series apart.
                let place_of = if binary.matching.include.is_empty() { 0 } else { other };
                let values = match results.entry(place_of) {
                    Entry::Occupied(values) => values.into_mut(),
                    Entry::Vacant(free) => {
                        self.charge(both.len())?;
                        free.insert(vec![absent(); both.len()])
                    }
                };
                values[place] = value;
            }
            for (place_of, values) in results {
                // Where none is taken over, the labels of the other side are not looked at.
                let labels = result_labels(binary, &many.labels, &one_lines[place_of].labels);
                lines.push(Line { labels, values });
            }
        }
        Ok(())
    }

    /// Which series of the side that has one is there at each moment.
    fn one_of(
        &self,
        binary: &Binary,
        ones: &[usize],
        lines: &[Line],
        both: &[bool],
    ) -> Result<Vec<Option<usize>>, QueryError> {
        let mut one = vec![None; both.len()];
        for (place, found) in one.iter_mut().enumerate().filter(|(place, _)| both[*place]) {
            for candidate in ones.iter().filter(|it| is_there(lines[**it].values[place])) {
                if let Some(first) = found.replace(*candidate) {
                    let labels = (shown(&lines[first].labels), shown(&lines[*candidate].labels));
                    let what = format!(
                        "{} and {} match the same series of the other side",
                        labels.0, labels.1
                    );
                    let hint = "match on more labels, or aggregate that side";
                    return Err(self.fault(&binary.op_span, what).hint(hint).into());
                }
            }
        }
        Ok(one)
    }
}

/// What tells groups of series apart.
fn signature(matching: &Matching, labels: &Labels) -> Labels {
    if matching.on {
        return labels.only(&matching.labels);
    }
    let mut names = matching.labels.clone();
    names.push(NAME.to_owned());
    labels.without(&names)
}

fn pairs(matching: &Matching, left: &[Line], right: &[Line]) -> BTreeMap<Labels, Sides> {
    let mut groups: BTreeMap<Labels, Sides> = BTreeMap::new();
    for (place, line) in left.iter().enumerate() {
        groups.entry(signature(matching, &line.labels)).or_default().0.push(place);
    }
    for (place, line) in right.iter().enumerate() {
        groups.entry(signature(matching, &line.labels)).or_default().1.push(place);
    }
    groups
}

fn result_labels(binary: &Binary, many: &Labels, one: &Labels) -> Labels {
    let matching = &binary.matching;
    let mut labels = many.clone();
    if binary.op.is_arithmetic() || binary.as_bool {
        labels = labels.unnamed();
    }
    match (matching.many, matching.on) {
        (Many::Neither, true) => labels.only(&matching.labels),
        (Many::Neither, false) => labels.without(&matching.labels),
        _ => {
            for name in &matching.include {
                labels.set(name.as_str(), one.get(name));
            }
            labels
        }
    }
}

/// Series against a number of each moment.
fn against(binary: &Binary, lines: Vec<Line>, numbers: &[f64], swapped: bool) -> Vec<Line> {
    let mut all = lines;
    for line in &mut all {
        if binary.op.is_arithmetic() || binary.as_bool {
            line.labels = line.labels.unnamed();
        }
        for (value, number) in line.values.iter_mut().zip(numbers) {
            if !is_there(*value) {
                continue;
            }
            let (left, right) = if swapped { (*number, *value) } else { (*value, *number) };
            let (result, holds) = binary.op.apply(left, right);
            *value = match (binary.op.compares(), binary.as_bool) {
                (true, true) => f64::from(holds),
                // What is compared is kept as it is, whichever side it stands on.
                (true, false) if holds => *value,
                (true, false) => absent(),
                (false, _) => result,
            };
        }
    }
    all
}

/// `and`, `or` and `unless`.
fn set(binary: &Binary, left: Vec<Line>, right: Vec<Line>, count: usize) -> Vec<Line> {
    let groups = pairs(&binary.matching, &left, &right);
    let mut sides = (left, right);
    for (lefts, rights) in groups.values() {
        let there = |lines: &[Line], which: &[usize]| -> Vec<bool> {
            let any = |place: usize| which.iter().any(|it| is_there(lines[*it].values[place]));
            (0..count).map(any).collect()
        };
        // Where the other side has something, or nothing, this one goes.
        let (lines, which, gone): (_, _, Vec<bool>) = match binary.op {
            Op::Or => {
                let gone = there(&sides.0, lefts);
                (&mut sides.1, rights, gone)
            }
            Op::Unless => {
                let gone = there(&sides.1, rights);
                (&mut sides.0, lefts, gone)
            }
            _ => {
                let gone = there(&sides.1, rights).into_iter().map(|there| !there).collect();
                (&mut sides.0, lefts, gone)
            }
        };
        for line in which {
            let places = lines[*line].values.iter_mut().zip(&gone);
            places.filter(|(_, gone)| **gone).for_each(|(value, _)| *value = absent());
        }
    }
    let (mut left, right) = sides;
    if binary.op == Op::Or {
        left.extend(right);
    }
    left
}
