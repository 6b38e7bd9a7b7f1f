//! An expression that was read: what it needs, and the unit of what it gives.

use super::calls::needs_samples;
use super::error::Fault;
use super::functions::{Fun, Over};
use super::labels::Matcher;
use super::tree::{Combine, Expr, Kind, Of, Op, Select, Shift};
use super::{functions::Function, parse};

/// An expression that was read and checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub(super) text: String,
    pub(super) expr: Expr,
    pub(super) needs: Needs,
}

/// What an evaluation needs, as far as the expression tells.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Needs {
    /// The shortest range of samples.
    pub(super) shortest_ms: Option<i64>,
    /// How far before a moment it looks, look-back aside.
    pub(super) reach_ms: i64,
    /// The earliest moment it names itself.
    pub(super) named_ms: Option<i64>,
    /// Whether it takes the latest sample of a series somewhere.
    pub(super) latest: bool,
    /// Whether it ranks series.
    pub(super) ranks: bool,
    /// Functions that only samples can say exactly.
    pub(super) exact: Vec<&'static str>,
    /// Names of the signals it reads.
    pub(super) signals: Vec<String>,
}

impl Plan {
    /// Reads an expression.
    ///
    /// # Errors
    /// Where it is not of the language: what, where and what to write instead.
    pub fn read(text: &str) -> Result<Self, Fault> {
        let expr = parse::parse(text)?;
        let mut needs = Needs::default();
        needs.add(&expr, 0);
        Ok(Self { text: text.to_owned(), expr, needs })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names of the signals it reads, as far as it names them, each once.
    #[must_use]
    pub fn signals(&self) -> &[String] {
        &self.needs.signals
    }

    /// What a plain selector selects by; nothing for any other expression.
    #[must_use]
    pub fn selector(&self) -> Option<&[Matcher]> {
        match &self.expr.is {
            Kind::Select(select) if select.shift == Shift::default() => Some(&select.matchers),
            _ => None,
        }
    }

    /// The unit of what it gives, by the units of the signals it reads; empty where there is none, or
    /// none that could be named.
    #[must_use]
    pub fn unit(&self, unit_of: &dyn Fn(&str) -> Option<String>) -> String {
        unit(&self.expr, unit_of).unwrap_or_default()
    }
}

impl Needs {
    fn add(&mut self, expr: &Expr, before_ms: i64) {
        match &expr.is {
            Kind::Number(_) | Kind::Text(_) => {}
            Kind::Select(select) => {
                self.latest = true;
                self.named(select.name());
                self.shift(select.shift, before_ms);
            }
            Kind::Window(window) => {
                let before_ms = before_ms.saturating_add(window.range_ms);
                self.shift(window.shift, before_ms);
                match &window.of {
                    Of::Samples(matchers) => {
                        let shortest = self.shortest_ms.unwrap_or(i64::MAX);
                        self.shortest_ms = Some(shortest.min(window.range_ms));
                        let shift = Shift::default();
                        self.named(Select { matchers: matchers.clone(), shift }.name());
                    }
                    Of::Expr(of, _) => {
                        let offset_ms = window.shift.offset_ms.max(0);
                        self.add(of, before_ms.saturating_add(offset_ms));
                    }
                }
            }
            Kind::Call(function, arguments) => {
                if needs_samples(function) && !self.exact.contains(&function.name) {
                    self.exact.push(function.name);
                }
                arguments.iter().for_each(|argument| self.add(argument, before_ms));
            }
            Kind::Aggregate(aggregate) => {
                self.ranks |= matches!(aggregate.how, Combine::TopK | Combine::BottomK);
                self.add(&aggregate.of, before_ms);
                aggregate.parameter.iter().for_each(|it| self.add(it, before_ms));
            }
            Kind::Binary(binary) => {
                self.add(&binary.left, before_ms);
                self.add(&binary.right, before_ms);
            }
            Kind::Negate(of) => self.add(of, before_ms),
        }
    }

    fn named(&mut self, name: Option<&str>) {
        if let Some(name) = name.filter(|name| !self.signals.iter().any(|it| it == name)) {
            self.signals.push(name.to_owned());
        }
    }

    fn shift(&mut self, shift: Shift, before_ms: i64) {
        let reach_ms = before_ms.saturating_add(shift.offset_ms);
        self.reach_ms = self.reach_ms.max(reach_ms);
        if let Some(super::tree::At::Ms(at_ms)) = shift.at {
            let earliest = at_ms.saturating_sub(reach_ms);
            self.named_ms = Some(self.named_ms.map_or(earliest, |named| named.min(earliest)));
        }
    }
}

fn unit(expr: &Expr, unit_of: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    match &expr.is {
        Kind::Number(_) | Kind::Text(_) => None,
        Kind::Select(select) => unit_of(select.name()?),
        Kind::Window(window) => match &window.of {
            Of::Samples(matchers) => {
                let select = Select { matchers: matchers.clone(), shift: Shift::default() };
                unit_of(select.name()?)
            }
            Of::Expr(of, _) => unit(of, unit_of),
        },
        Kind::Call(function, arguments) => called(function, arguments, unit_of),
        Kind::Aggregate(aggregate) => match aggregate.how {
            Combine::Count | Combine::Group | Combine::Stdvar => None,
            _ => unit(&aggregate.of, unit_of),
        },
        Kind::Negate(of) => unit(of, unit_of),
        Kind::Binary(binary) if binary.as_bool => None,
        Kind::Binary(binary) => {
            let (left, right) = (unit(&binary.left, unit_of), unit(&binary.right, unit_of));
            match (binary.op, left, right) {
                (op, left, _) if op.compares() || op == Op::And || op == Op::Unless => left,
                (Op::Add | Op::Sub | Op::Or | Op::Mod, Some(left), Some(right))
                    if left == right =>
                {
                    Some(left)
                }
                (Op::Add | Op::Sub | Op::Mul | Op::Div, Some(one), None) => Some(one),
                (Op::Add | Op::Sub | Op::Mul, None, Some(one)) => Some(one),
                _ => None,
            }
        }
    }
}

fn called(
    function: &Function,
    arguments: &[Expr],
    unit_of: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let of = || arguments.iter().find_map(|argument| unit(argument, unit_of));
    match function.is {
        Fun::Over(Over::Rate | Over::Irate | Over::Deriv) => {
            Some(format!("{}/s", of().unwrap_or_default()))
        }
        Fun::Over(Over::Changes | Over::Resets | Over::Count | Over::Present | Over::Stdvar) => {
            None
        }
        Fun::Over(_) | Fun::QuantileOverTime | Fun::PredictLinear | Fun::Round => of(),
        Fun::Clamp | Fun::ClampMin | Fun::ClampMax | Fun::Scalar | Fun::LabelReplace => of(),
        // Buckets count; what they are buckets of is the histogram itself.
        Fun::HistogramQuantile => arguments.get(1).and_then(|buckets| {
            let mut needs = Needs::default();
            needs.add(buckets, 0);
            needs.signals.iter().find_map(|name| unit_of(name.strip_suffix("_bucket")?))
        }),
        Fun::Each(each) => {
            use super::functions::Each::{Abs, Ceil, Floor};
            if matches!(each, Abs | Ceil | Floor) { of() } else { None }
        }
        Fun::Time | Fun::Timestamp => Some("s".to_owned()),
        Fun::AbsentOverTime | Fun::Absent | Fun::Vector => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_follows_the_expression() {
        let unit_of = |name: &str| match name {
            "bytes" | "sizes" => Some("B".to_owned()),
            "share" => Some("%".to_owned()),
            _ => None,
        };
        for (text, unit) in [
            ("bytes", "B"),
            ("rate(bytes[5m])", "B/s"),
            ("rate(what[5m])", "/s"),
            ("sum by (a) (increase(bytes[5m])) / 1024", "B"),
            ("bytes / bytes", ""),
            ("bytes - bytes offset 1h", "B"),
            ("bytes + share", ""),
            ("count(bytes)", ""),
            ("bytes > bool 5", ""),
            ("bytes > 5", "B"),
            ("histogram_quantile(0.9, sum by (le) (rate(sizes_bucket[5m])))", "B"),
            ("max_over_time(rate(bytes[1m])[1h:1m])", "B/s"),
            ("time() - timestamp(bytes)", "s"),
        ] {
            assert_eq!(Plan::read(text).unwrap().unit(&unit_of), unit, "{text}");
        }
    }

    #[test]
    fn what_an_expression_needs_is_seen_before_it_is_evaluated() {
        let plan =
            Plan::read("rate(a[5m] offset 1h) + max_over_time(b[10m:1m]) + c @ 100").unwrap();
        assert_eq!(plan.needs.shortest_ms, Some(300_000));
        assert_eq!(plan.needs.reach_ms, 3_900_000);
        assert_eq!(plan.needs.named_ms, Some(100_000));
        assert_eq!(plan.signals(), ["a", "b", "c"]);
        assert!(plan.needs.latest && !plan.needs.ranks);
        assert_eq!(plan.needs.exact, ["rate"]);
    }
}
