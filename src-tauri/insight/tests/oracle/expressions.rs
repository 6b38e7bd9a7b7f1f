//! Random expressions of the language.

/// Random numbers from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below a number.
    pub(crate) fn below(&mut self, end: i64) -> i64 {
        i64::try_from(self.next() % end.unsigned_abs()).expect("below an i64")
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[usize::try_from(self.below(from.len() as i64)).expect("small")]
    }
}

/// Series at each moment; `odd` leaves out what the versions of Prometheus differ in.
pub(crate) fn vector(dice: &mut Dice, depth: u32, odd: bool) -> String {
    if depth == 0 {
        return select(dice, odd);
    }
    let below = depth - 1;
    match dice.below(14) {
        0 => select(dice, odd),
        1..=4 => over_time(dice, below, odd),
        5..=7 => aggregate(dice, below, odd),
        8 => with_number(dice, below, odd),
        9 => matched(dice, below, odd),
        10 => {
            let op = dice.pick(&["and", "or", "unless"]);
            let on = dice.pick(&["", "on (a)", "on (b)", "ignoring (b)", "on (a, b)"]);
            format!("({}) {op} {on} ({})", vector(dice, below, odd), vector(dice, below, odd))
        }
        11 | 12 => each(dice, below, odd),
        _ => special(dice, below, odd),
    }
}

fn matchers(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "",
        "",
        "{a=\"a1\"}",
        "{a!=\"a1\"}",
        "{a=~\"a[01]\"}",
        "{b!~\"x.*\"}",
        "{b=\"y\",a=~\"a.+\"}",
        "{a=\"none\"}",
        "{color=\"\"}",
    ])
}

fn shift(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "",
        "",
        "",
        "",
        "",
        " offset 5m",
        " offset -90s",
        " offset 17m",
        " @ 1700003000",
        " @ end()",
        " @ start() offset 1m",
    ])
}

fn select(dice: &mut Dice, odd: bool) -> String {
    let name = if odd { "odd" } else { dice.pick(&["g", "c", "g", "odd"]) };
    format!("{name}{}{}", matchers(dice), shift(dice))
}

fn window(dice: &mut Dice, below: u32, odd: bool) -> String {
    let (range, shift) = (dice.pick(&["30s", "1m", "5m", "17m", "1h", "10m30s"]), shift(dice));
    if below > 0 && dice.below(5) == 0 && !odd {
        let step = dice.pick(&["", "30s", "1m", "7m"]);
        return format!("({})[{range}:{step}]{shift}", vector(dice, below - 1, odd));
    }
    let name = if odd { "odd" } else { dice.pick(&["g", "c", "c"]) };
    format!("{name}{}[{range}]{shift}", matchers(dice))
}

fn over_time(dice: &mut Dice, below: u32, odd: bool) -> String {
    let function = dice.pick(if odd {
        &[
            "delta",
            "deriv",
            "changes",
            "avg_over_time",
            "max_over_time",
            "stddev_over_time",
            "last_over_time",
        ]
    } else {
        &[
            "rate",
            "rate",
            "increase",
            "increase",
            "delta",
            "irate",
            "idelta",
            "deriv",
            "changes",
            "resets",
            "avg_over_time",
            "min_over_time",
            "max_over_time",
            "sum_over_time",
            "count_over_time",
            "last_over_time",
            "present_over_time",
            "stddev_over_time",
            "stdvar_over_time",
            "absent_over_time",
        ]
    });
    let window = window(dice, below, odd);
    match dice.below(8) {
        0 => format!(
            "quantile_over_time({}, {window})",
            dice.pick(&["0.5", "0.95", "0", "1", "-1", "2"])
        ),
        // Of a fixed moment, version 2 predicts from samples that move on all the same.
        1 if !window.contains('@') => format!("predict_linear({window}, 600)"),
        _ => format!("{function}({window})"),
    }
}

fn grouping(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "",
        "by (a)",
        "by (b)",
        "without (a)",
        "without (b)",
        "by ()",
        "by (a, b)",
        "by (none)",
    ])
}

fn aggregate(dice: &mut Dice, below: u32, odd: bool) -> String {
    let grouping = grouping(dice);
    match dice.below(8) {
        // Ranks of equal values are nobody's promise: samples of a gauge differ.
        0 => {
            let how = dice.pick(&["topk", "bottomk"]);
            let number = dice.pick(&["1", "2", "3", "0", "100"]);
            format!("{how} {grouping} ({number}, odd{}{})", matchers(dice), shift(dice))
        }
        1 => {
            let share = dice.pick(&["0.5", "0.9", "0", "1", "-0.5", "1.5"]);
            format!("quantile {grouping} ({share}, {})", vector(dice, below, odd))
        }
        _ => {
            let how =
                dice.pick(&["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group"]);
            format!("{how} {grouping} ({})", vector(dice, below, odd))
        }
    }
}

fn number(dice: &mut Dice, odd: bool) -> String {
    match dice.below(6) {
        0 => "time()".to_owned(),
        1 => format!("scalar({})", vector(dice, 0, odd)),
        2 => "-3".to_owned(),
        3 => "(2 ^ 3 % 5)".to_owned(),
        _ => dice.pick(&["0", "1", "50", "0.5", "1e3", "NaN", "Inf"]).to_owned(),
    }
}

fn operator(dice: &mut Dice) -> &'static str {
    dice.pick(&[
        "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "== bool", "> bool",
        "<= bool",
    ])
}

fn with_number(dice: &mut Dice, below: u32, odd: bool) -> String {
    let (number, op, series) = (number(dice, odd), operator(dice), vector(dice, below, odd));
    match dice.below(5) {
        0 => format!("-({series})"),
        1 | 2 => format!("{number} {op} ({series})"),
        _ => format!("({series}) {op} {number}"),
    }
}

fn matched(dice: &mut Dice, below: u32, odd: bool) -> String {
    let op = operator(dice);
    let (left, right) = (vector(dice, below, odd), vector(dice, below, odd));
    match dice.below(7) {
        0 => format!("({left}) {op} on (a, b) ({right})"),
        1 => format!("({left}) {op} ignoring (color) ({right})"),
        2 => format!("({left}) {op} on (b) group_left (color) info"),
        3 => format!("info {op} on (b) group_right ({right})"),
        4 => format!("({left}) {op} on (a) group_left sum by (a) ({right})"),
        5 => format!("({left}) {op} on (a) ({right})"),
        _ => format!("({left}) {op} ({right})"),
    }
}

fn each(dice: &mut Dice, below: u32, odd: bool) -> String {
    let series = vector(dice, below, odd);
    match dice.below(6) {
        0 => format!("round({series}, {})", dice.pick(&["0.5", "10", "3"])),
        1 => format!("clamp({series}, {}, {})", number(dice, odd), number(dice, odd)),
        2 => format!("{}({series}, {})", dice.pick(&["clamp_min", "clamp_max"]), number(dice, odd)),
        3 => format!("round({series})"),
        _ => {
            let function = dice.pick(&[
                "abs",
                "ceil",
                "floor",
                "ln",
                "log2",
                "log10",
                "exp",
                "sqrt",
                "sgn",
                "timestamp",
            ]);
            format!("{function}({series})")
        }
    }
}

fn special(dice: &mut Dice, below: u32, odd: bool) -> String {
    match dice.below(7) {
        0 => format!("absent({})", vector(dice, below, odd)),
        1 if !odd => {
            let share = dice.pick(&["0.5", "0.9", "0", "1", "0.99", "2", "-1"]);
            let by = dice.pick(&["by (le)", "by (a, le)"]);
            format!("histogram_quantile({share}, sum {by} (rate(h_bucket[5m])))")
        }
        2 => {
            let pattern = dice.pick(&["\"a(.)\"", "\"(.*)\"", "\"none\"", "\"a[12]\""]);
            let to = dice.pick(&["to", "a", "b"]);
            format!(
                "label_replace({}, \"{to}\", \"x${{1}}y\", \"a\", {pattern})",
                vector(dice, below, odd)
            )
        }
        3 => format!("vector({})", number(dice, odd)),
        4 => format!("absent_over_time({})", window(dice, 0, odd)),
        _ => format!("timestamp({})", select(dice, odd)),
    }
}
