//! What an expression means, after it was read and checked.

use super::error::Span;
use super::functions::Function;
use super::labels::Matcher;

/// What a part of an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// One number per moment.
    Scalar,
    /// A number per series and moment.
    Vector,
    /// The samples of a stretch of time, per series and moment.
    Range,
    /// A text.
    Text,
}

impl Gives {
    /// What it is called in messages.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Scalar => "a number",
            Self::Vector => "series",
            Self::Range => "a range of samples",
            Self::Text => "a text",
        }
    }
}

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub(super) is: Kind,
    pub(super) gives: Gives,
    pub(super) span: Span,
    /// How deep it is nested.
    pub(super) depth: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Number(f64),
    Text(String),
    Select(Select),
    Window(Box<Window>),
    Call(&'static Function, Vec<Expr>),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    Negate(Box<Expr>),
}

/// Which series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Select {
    pub(super) matchers: Vec<Matcher>,
    pub(super) shift: Shift,
}

impl Select {
    /// The name all of them have.
    pub(super) fn name(&self) -> Option<&str> {
        let equal = self.matchers.iter().find(|matcher| {
            matcher.label == super::labels::NAME && matcher.compare == super::labels::Compare::Equal
        });
        equal.map(|matcher| matcher.value.as_str())
    }
}

/// When, instead of at the moment of evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) offset_ms: i64,
    pub(super) at: Option<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Start,
    End,
    Ms(i64),
}

/// A stretch of time before each moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Window {
    pub(super) of: Of,
    pub(super) range_ms: i64,
    pub(super) shift: Shift,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Of {
    /// The samples as they were taken.
    Samples(Vec<Matcher>),
    /// An expression, evaluated every so many milliseconds.
    Expr(Expr, i64),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub(super) how: Combine,
    pub(super) parameter: Option<Expr>,
    pub(super) of: Expr,
    pub(super) grouping: Grouping,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}

/// How many series become few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Combine {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Group,
    Stddev,
    Stdvar,
    Quantile,
    TopK,
    BottomK,
}

impl Combine {
    pub(super) const ALL: [(&'static str, Self, &'static str); 11] = [
        ("sum", Self::Sum, "Their sum."),
        ("avg", Self::Avg, "Their mean."),
        ("min", Self::Min, "The smallest."),
        ("max", Self::Max, "The largest."),
        ("count", Self::Count, "How many there are."),
        ("group", Self::Group, "1 where there is any."),
        ("stddev", Self::Stddev, "Their standard deviation, of the whole population."),
        ("stdvar", Self::Stdvar, "Their variance, of the whole population."),
        (
            "quantile",
            Self::Quantile,
            "The value below which the share φ of them lies: `quantile(0.95, x)`.",
        ),
        ("topk", Self::TopK, "The k largest, as they are: `topk(10, x)`."),
        ("bottomk", Self::BottomK, "The k smallest, as they are: `bottomk(10, x)`."),
    ];

    pub(super) fn has_parameter(self) -> bool {
        matches!(self, Self::Quantile | Self::TopK | Self::BottomK)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Binary {
    pub(super) op: Op,
    pub(super) op_span: Span,
    pub(super) left: Expr,
    pub(super) right: Expr,
    pub(super) matching: Matching,
    /// 0 or 1 instead of leaving out what does not compare.
    pub(super) as_bool: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Equal,
    NotEqual,
    Greater,
    Less,
    AtLeast,
    AtMost,
    And,
    Or,
    Unless,
}

impl Op {
    pub(super) const ALL: [(&'static str, Self); 16] = [
        ("+", Self::Add),
        ("-", Self::Sub),
        ("*", Self::Mul),
        ("/", Self::Div),
        ("%", Self::Mod),
        ("^", Self::Pow),
        ("atan2", Self::Atan2),
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        (">", Self::Greater),
        ("<", Self::Less),
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        ("and", Self::And),
        ("or", Self::Or),
        ("unless", Self::Unless),
    ];

    /// How tightly it binds.
    pub(super) fn strength(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            op if op.compares() => 3,
            Self::Add | Self::Sub => 4,
            Self::Pow => 6,
            _ => 5,
        }
    }

    pub(super) fn compares(self) -> bool {
        use Op::{AtLeast, AtMost, Equal, Greater, Less, NotEqual};
        matches!(self, Equal | NotEqual | Greater | Less | AtLeast | AtMost)
    }

    pub(super) fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    pub(super) fn is_arithmetic(self) -> bool {
        !self.compares() && !self.is_set()
    }

    /// What two numbers become; a comparison gives the left one and whether it holds.
    pub(super) fn apply(self, left: f64, right: f64) -> (f64, bool) {
        match self {
            Self::Add => (left + right, true),
            Self::Sub => (left - right, true),
            Self::Mul => (left * right, true),
            Self::Div => (left / right, true),
            Self::Mod => (left % right, true),
            Self::Pow => (left.powf(right), true),
            Self::Atan2 => (left.atan2(right), true),
            Self::Equal => (left, left == right),
            Self::NotEqual => (left, left != right),
            Self::Greater => (left, left > right),
            Self::Less => (left, left < right),
            Self::AtLeast => (left, left >= right),
            Self::AtMost => (left, left <= right),
            Self::And | Self::Or | Self::Unless => (left, true),
        }
    }
}

/// Which series of two sides belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matching {
    /// Only these labels count; otherwise all but these.
    pub(super) on: bool,
    pub(super) labels: Vec<String>,
    pub(super) many: Many,
    /// Labels that are taken from the side that has one.
    pub(super) include: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Many {
    Neither,
    Left,
    Right,
}
