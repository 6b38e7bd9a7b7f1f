//! Prometheus itself is asked the same: random expressions over random series, the same data.
//!
//! Where there is no Prometheus the test says so and passes; scripts/promtool.sh fetches one.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it cannot do"
)]

mod expressions;
mod prometheus;

use std::collections::BTreeMap;

use expressions::Dice;
use insight::query::{
    Ask, InMemory, Labels, Lookback, Meaning, Plan, QueryError, Settings, Unguarded,
};
use prometheus::{Answer, Prometheus};

/// When the data begins, in seconds since 1970: on a whole hour.
const BEGIN_S: i64 = 1_699_999_200;
/// How long it is, in seconds.
const LENGTH_S: i64 = 3 * 3600;
/// How many expressions are compared unless `ORACLE_CASES` says so.
const CASES: usize = 600;

fn labels(name: &str, pairs: &[(&str, String)]) -> Labels {
    let pairs = pairs.iter().map(|(name, value)| (*name, value.as_str()));
    Labels::new(pairs.chain([("__name__", name)]))
}

/// Gauges, counters and a histogram, with gaps, resets and values that are not numbers; those called
/// `odd` are taken at moments that no range begins or ends at.
fn data(dice: &mut Dice) -> InMemory {
    let mut source = InMemory::default();
    for a in 0..4 {
        for b in ["x", "y"] {
            let pairs = [("a", format!("a{a}")), ("b", b.to_owned())];
            let every = [5, 10, 15, 60][a];
            let shift = dice.below(5);
            let mut total = 0.0;
            let mut level = 50.0;
            for second in (shift..LENGTH_S).step_by(usize::try_from(every).unwrap()) {
                level += dice.share() * 10.0 - 5.0;
                total += if dice.below(4) == 0 { dice.share() * 100.0 } else { 1.0 };
                if dice.below(300) == 0 {
                    total = dice.share();
                }
                let gap = (second / 600) % 9 == a as i64 + 1;
                if gap || dice.below(40) == 0 {
                    continue;
                }
                let at_ms = (BEGIN_S + second) * 1000;
                let level_now = match dice.below(400) {
                    0 => f64::NAN,
                    1 => f64::INFINITY,
                    _ => (level * 1000.0).round() / 1000.0,
                };
                source.add(&labels("g", &pairs), at_ms, level_now);
                source.add(&labels("c", &pairs), at_ms, (total * 1000.0).round() / 1000.0);
                source.add(&labels("odd", &pairs), at_ms + 137, (level * 1000.0).round() / 1000.0);
            }
        }
    }
    for b in ["x", "y"] {
        let info = labels("info", &[("b", b.to_owned()), ("color", format!("{b}{b}"))]);
        (0..LENGTH_S)
            .step_by(30)
            .for_each(|second| source.add(&info, (BEGIN_S + second) * 1000, 1.0));
    }
    histogram(&mut source, dice);
    source
}

fn histogram(source: &mut InMemory, dice: &mut Dice) {
    for a in 0..2 {
        let mut counts = [0.0; 5];
        for second in (0..LENGTH_S).step_by(15) {
            for _ in 0..dice.below(5) {
                let from = usize::try_from(dice.below(5)).unwrap();
                counts[from..].iter_mut().for_each(|count| *count += 1.0);
            }
            for (bound, count) in ["0.1", "0.5", "1", "5", "+Inf"].iter().zip(counts) {
                let pairs = [("a", format!("a{a}")), ("le", (*bound).to_owned())];
                source.add(&labels("h_bucket", &pairs), (BEGIN_S + second) * 1000, count);
            }
        }
    }
}

/// What we answer, in the form Prometheus' answer is read into.
fn ours(
    source: &InMemory,
    text: &str,
    meaning: Meaning,
    step_ms: i64,
) -> Result<Answer, QueryError> {
    let plan = Plan::read(text)?;
    let settings = Settings { meaning, lookback: Lookback::Fixed(300_000), ..Settings::default() };
    let ask = Ask { plan: &plan, source, settings, guard: &Unguarded };
    let (from_ms, to_ms) = window();
    let answer = if step_ms == 0 { ask.at(to_ms)? } else { ask.steps(from_ms, to_ms, step_ms)? };
    let series = answer.series.into_iter().map(|series| {
        let labels: BTreeMap<String, String> =
            series.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        (labels, series.points)
    });
    Ok(series.collect())
}

/// What is asked for, in milliseconds.
fn window() -> (i64, i64) {
    ((BEGIN_S + 1800) * 1000, (BEGIN_S + 9000) * 1000)
}

fn close(one: f64, other: f64, precision: f64) -> bool {
    one == other
        || (one.is_nan() && other.is_nan())
        || (one - other).abs() <= precision * one.abs().max(other.abs()).max(1.0)
}

/// Whether version 2 says 0 where there is no number: of the spread of one that is not finite.
fn spread_of_one(text: &str, own: f64, other: f64) -> bool {
    text.contains("std") && own.is_nan() && other == 0.0
}

/// What differs, in words.
fn difference(text: &str, ours: &Answer, theirs: &Answer) -> Option<String> {
    // Their variances lose a digit where values are large and close together.
    let precision = if text.contains("std") { 1e-8 } else { 1e-9 };
    let alone = |one: &Answer, other: &Answer| {
        one.keys().find(|labels| !other.contains_key(*labels)).cloned()
    };
    if let Some(labels) = alone(ours, theirs) {
        return Some(format!("only we have {labels:?}: {:?}", ours[&labels].first()));
    }
    if let Some(labels) = alone(theirs, ours) {
        return Some(format!("only they have {labels:?}: {:?}", theirs[&labels].first()));
    }
    for (labels, own) in ours {
        let other = &theirs[labels];
        let same = |one: &(i64, f64), other: &(i64, f64)| {
            let close = close(one.1, other.1, precision) || spread_of_one(text, one.1, other.1);
            one.0 == other.0 && close
        };
        if let Some((one, other)) = own.iter().zip(other).find(|(one, other)| !same(one, other)) {
            return Some(format!("{labels:?}: we say {one:?}, they say {other:?}"));
        }
        if own.len() != other.len() {
            return Some(format!("{labels:?}: {} points, they have {}", own.len(), other.len()));
        }
    }
    None
}

#[test]
fn prometheus_itself_answers_the_same() {
    let seed: u64 = std::env::var("SEED").map_or(7, |seed| seed.parse().unwrap());
    let cases: usize = std::env::var("ORACLE_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let mut dice = Dice(seed);
    let source = data(&mut dice);
    let Some(prometheus) = Prometheus::start(&source) else { return };
    let (mut answered, mut refused, mut wrong) = (0, 0, Vec::new());
    for case in 0..cases {
        let odd = case % 5 == 4;
        let text = expressions::vector(&mut dice, 3, odd);
        let step_ms = [0, 15_000, 60_000, 420_000][usize::try_from(dice.below(4)).unwrap()];
        let theirs = prometheus.ask(&text, window(), step_ms);
        // Where no sample stands at an end of a range, both versions mean the same.
        let meanings: &[Meaning] =
            if odd { &[Meaning::Two, Meaning::Three] } else { &[Meaning::Two] };
        for meaning in meanings {
            match (ours(&source, &text, *meaning, step_ms), &theirs) {
                (Ok(ours), Ok(theirs)) => {
                    answered += 1;
                    let differs = difference(&text, &ours, theirs);
                    wrong.extend(differs.map(|what| format!("{text} [{step_ms}]: {what}")));
                }
                (Err(_), Err(_)) => refused += 1,
                (Ok(_), Err(error)) => {
                    wrong.push(format!("{text} [{step_ms}]: they refuse: {error}"))
                }
                (Err(error), Ok(_)) => {
                    wrong.push(format!("{text} [{step_ms}]: we refuse: {error}"))
                }
            }
        }
    }
    eprintln!("{answered} answers compared, {refused} refused by both");
    assert!(wrong.is_empty(), "seed {seed}: {} of {cases}\n{}", wrong.len(), wrong.join("\n"));
    assert!(
        answered * 2 > cases,
        "too few of the expressions were answered: {answered} of {cases}"
    );
}
