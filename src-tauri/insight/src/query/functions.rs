//! The table of functions: their names, what they take, and what they say.

use super::tree::{Combine, Gives};

/// A function of the language.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What it takes, in order.
    pub takes: &'static [Gives],
    /// How many of these may be left out, from the end.
    pub optional: usize,
    /// What it gives.
    pub gives: Gives,
    /// What it says, in a sentence.
    pub says: &'static str,
    pub(super) is: Fun,
}

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fun {
    Over(Over),
    QuantileOverTime,
    PredictLinear,
    AbsentOverTime,
    Absent,
    Each(Each),
    Round,
    Clamp,
    ClampMin,
    ClampMax,
    Time,
    Timestamp,
    Scalar,
    Vector,
    HistogramQuantile,
    LabelReplace,
}

/// A number from the samples of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    Changes,
    Resets,
    Avg,
    Min,
    Max,
    Sum,
    Count,
    Last,
    Present,
    Stddev,
    Stdvar,
}

/// A number from a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Each {
    Abs,
    Ceil,
    Floor,
    Ln,
    Log2,
    Log10,
    Exp,
    Sqrt,
    Sgn,
}

impl Each {
    pub(super) fn apply(self, value: f64) -> f64 {
        match self {
            Self::Abs => value.abs(),
            Self::Ceil => value.ceil(),
            Self::Floor => value.floor(),
            Self::Ln => value.ln(),
            Self::Log2 => value.log2(),
            Self::Log10 => value.log10(),
            Self::Exp => value.exp(),
            Self::Sqrt => value.sqrt(),
            Self::Sgn if value == 0.0 || value.is_nan() => value,
            Self::Sgn => value.signum(),
        }
    }
}

const S: Gives = Gives::Scalar;
const V: Gives = Gives::Vector;
const R: Gives = Gives::Range;
const T: Gives = Gives::Text;

macro_rules! functions {
    ($($name:literal, [$($takes:ident),*], $optional:literal, $gives:ident, $is:expr, $says:literal;)*) => {
        &[$(Function {
            name: $name, takes: &[$($takes),*], optional: $optional, gives: $gives, says: $says, is: $is,
        }),*]
    };
}

/// Every function of the language.
pub const FUNCTIONS: &[Function] = functions![
    "rate", [R], 0, V, Fun::Over(Over::Rate), "How much a counter grows per second, starts from zero allowed for, stretched to the ends of the range.";
    "irate", [R], 0, V, Fun::Over(Over::Irate), "How much a counter grew per second between the last two samples.";
    "increase", [R], 0, V, Fun::Over(Over::Increase), "How much a counter grew, starts from zero allowed for, stretched to the ends of the range.";
    "delta", [R], 0, V, Fun::Over(Over::Delta), "How much a gauge changed, stretched to the ends of the range.";
    "idelta", [R], 0, V, Fun::Over(Over::Idelta), "How much a gauge changed between the last two samples.";
    "deriv", [R], 0, V, Fun::Over(Over::Deriv), "The slope of a gauge per second, by least squares.";
    "predict_linear", [R, S], 0, V, Fun::PredictLinear, "What a gauge will be in so many seconds, by least squares.";
    "changes", [R], 0, V, Fun::Over(Over::Changes), "How often the value changed.";
    "resets", [R], 0, V, Fun::Over(Over::Resets), "How often a counter started from zero again.";
    "avg_over_time", [R], 0, V, Fun::Over(Over::Avg), "The mean of the samples.";
    "min_over_time", [R], 0, V, Fun::Over(Over::Min), "The smallest sample.";
    "max_over_time", [R], 0, V, Fun::Over(Over::Max), "The largest sample.";
    "sum_over_time", [R], 0, V, Fun::Over(Over::Sum), "The sum of the samples.";
    "count_over_time", [R], 0, V, Fun::Over(Over::Count), "How many samples there are.";
    "last_over_time", [R], 0, V, Fun::Over(Over::Last), "The latest sample; keeps the name.";
    "present_over_time", [R], 0, V, Fun::Over(Over::Present), "1 where there is any sample.";
    "stddev_over_time", [R], 0, V, Fun::Over(Over::Stddev), "The standard deviation of the samples, of the whole population.";
    "stdvar_over_time", [R], 0, V, Fun::Over(Over::Stdvar), "The variance of the samples, of the whole population.";
    "quantile_over_time", [S, R], 0, V, Fun::QuantileOverTime, "The value below which the share φ of the samples lies, interpolated between neighbours: `quantile_over_time(0.95, x[1h])`.";
    "absent_over_time", [R], 0, V, Fun::AbsentOverTime, "1 where no series has a sample, with the labels that were asked for.";
    "absent", [V], 0, V, Fun::Absent, "1 where there is no series, with the labels that were asked for.";
    "abs", [V], 0, V, Fun::Each(Each::Abs), "Without its sign.";
    "ceil", [V], 0, V, Fun::Each(Each::Ceil), "Rounded up.";
    "floor", [V], 0, V, Fun::Each(Each::Floor), "Rounded down.";
    "round", [V, S], 1, V, Fun::Round, "Rounded to a multiple of the second, 1 unless given; halves up.";
    "clamp", [V, S, S], 0, V, Fun::Clamp, "Not below the second and not above the third.";
    "clamp_min", [V, S], 0, V, Fun::ClampMin, "Not below the second.";
    "clamp_max", [V, S], 0, V, Fun::ClampMax, "Not above the second.";
    "ln", [V], 0, V, Fun::Each(Each::Ln), "The natural logarithm.";
    "log2", [V], 0, V, Fun::Each(Each::Log2), "The logarithm to base 2.";
    "log10", [V], 0, V, Fun::Each(Each::Log10), "The logarithm to base 10.";
    "exp", [V], 0, V, Fun::Each(Each::Exp), "e to the power of it.";
    "sqrt", [V], 0, V, Fun::Each(Each::Sqrt), "The square root.";
    "sgn", [V], 0, V, Fun::Each(Each::Sgn), "-1, 0 or 1, as its sign is.";
    "time", [], 0, S, Fun::Time, "The moment of evaluation, in seconds since 1970.";
    "timestamp", [V], 0, V, Fun::Timestamp, "When the sample was taken, in seconds since 1970.";
    "scalar", [V], 0, S, Fun::Scalar, "The value of the only series as a number; NaN where there is not exactly one.";
    "vector", [S], 0, V, Fun::Vector, "A number as a series without labels.";
    "histogram_quantile", [S, V], 0, V, Fun::HistogramQuantile, "The value below which the share φ of what was observed lies, from buckets with the label `le`.";
    "label_replace", [V, T, T, T, T], 0, V, Fun::LabelReplace, "Sets a label from another by a regular expression: `label_replace(x, \"to\", \"$1\", \"from\", \"(.*)-.*\")`.";
];

/// What others have and we do not, with what to write instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("count_values", "count by (label) counts series by a label"),
    ("sort", "the answer is sorted by labels; topk sorts by value"),
    ("sort_desc", "topk sorts by value"),
    ("holt_winters", "predict_linear follows a trend"),
    ("double_exponential_smoothing", "predict_linear follows a trend"),
    ("mad_over_time", "stddev_over_time says how far values are apart"),
    ("histogram_avg", "write rate(x_sum[5m]) / rate(x_count[5m])"),
    ("histogram_sum", "a histogram's sum is the series x_sum"),
    ("histogram_count", "a histogram's count is the series x_count"),
    ("label_join", "label_replace sets a label from another"),
    ("deg", "multiply by 57.29577951308232"),
    ("rad", "divide by 57.29577951308232"),
    ("pi", "write 3.141592653589793"),
    ("limitk", "topk takes the largest"),
    ("mean", "the mean of series is avg, of samples avg_over_time"),
    ("median", "write quantile(0.5, x) or quantile_over_time(0.5, x[1h])"),
    ("percentile", "write quantile(0.95, x) or quantile_over_time(0.95, x[1h])"),
];

/// Looks a function up.
pub(super) fn by_name(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

/// What to write instead of a function that is not there.
pub(super) fn instead_of(name: &str) -> String {
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(other, _)| *other == name) {
        return (*hint).to_owned();
    }
    let all = FUNCTIONS.iter().map(|function| function.name);
    let all = all.chain(Combine::ALL.iter().map(|(name, _, _)| *name));
    let near = all.map(|own| (distance(name, own), own)).min();
    match near {
        Some((far, own)) if far <= 2 => format!("did you mean {own}?"),
        _ => "docs/query.md lists the functions".to_owned(),
    }
}

/// How many letters differ (Levenshtein), of short names.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().take(64).enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let changed = before + usize::from(a != *b);
            before = row[j + 1];
            row[j + 1] = changed.min(before + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

/// The tables of docs/query.md, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from("| function | says |\n|---|---|\n");
    for function in FUNCTIONS {
        let takes = function.takes.iter().enumerate().map(|(place, gives)| {
            let word = match gives {
                Gives::Scalar => "number",
                Gives::Vector => "series",
                Gives::Range => "series[range]",
                Gives::Text => "\"text\"",
            };
            let optional = place + function.optional >= function.takes.len();
            if optional { format!("[{word}]") } else { word.to_owned() }
        });
        let takes: Vec<_> = takes.collect();
        text.push_str(&format!(
            "| `{}({})` | {} |\n",
            function.name,
            takes.join(", "),
            function.says
        ));
    }
    text.push_str("\n| over series | says |\n|---|---|\n");
    for (name, _, says) in Combine::ALL {
        text.push_str(&format!("| `{name}` | {says} |\n"));
    }
    text
}
