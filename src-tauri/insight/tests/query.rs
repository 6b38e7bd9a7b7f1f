//! The language of questions: what it takes, what it refuses and where, and what it means.
#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::cell::Cell;

use insight::query::{
    Across, Ask, Column, Compare, Guard, InMemory, Labels, Limits, Lookback, Matcher, Plan,
    Progress, QueryError, Settings, Stop, Tier, Unguarded,
};
use proptest::prelude::*;

const MINUTE: i64 = 60_000;

fn labels(name: &str, pairs: &[(&str, &str)]) -> Labels {
    Labels::new(pairs.iter().copied().chain([("__name__", name)]))
}

/// One sample a second, from 1 s to `seconds`.
fn seconds(source: &mut InMemory, labels: &Labels, seconds: i64, value: impl Fn(i64) -> f64) {
    for second in 1..=seconds {
        source.add(labels, second * 1000, value(second));
    }
}

fn shop() -> InMemory {
    let mut source = InMemory::default();
    for (agent, slope) in [("a1", 1.0), ("a2", 2.0), ("b1", 4.0)] {
        let team = if agent.starts_with('a') { "red" } else { "blue" };
        let pairs = [("agent", agent), ("team", team)];
        seconds(&mut source, &labels("work_total", &pairs), 600, |second| slope * second as f64);
        seconds(&mut source, &labels("load", &pairs), 600, |second| slope * (second % 60) as f64);
    }
    seconds(&mut source, &labels("size", &[("team", "red")]), 600, |_| 10.0);
    source
}

fn ask<'a>(plan: &'a Plan, source: &'a InMemory) -> Ask<'a> {
    Ask { plan, source, settings: Settings::default(), guard: &Unguarded }
}

/// The answer at one moment, as text.
fn at(source: &InMemory, text: &str, at_s: i64) -> Vec<String> {
    let plan = Plan::read(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
    let answer =
        ask(&plan, source).at(at_s * 1000).unwrap_or_else(|error| panic!("{text}: {error}"));
    let shown = |labels: &Labels| -> String {
        let pairs: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    };
    answer.series.iter().map(|it| format!("{} {}", shown(&it.labels), it.points[0].1)).collect()
}

#[test]
fn expressions_mean_what_prometheus_means() {
    let source = shop();
    for (text, expected) in [
        ("1 + 2 * 3 ^ 2 ^ 0.5 % 5", vec![" 5.4576087756748315"]),
        ("-2 ^ 2", vec![" -4"]),
        ("load{agent='a1'}", vec!["__name__=load,agent=a1,team=red 30"]),
        ("load{agent=~'a.*', agent!='a2'}", vec!["__name__=load,agent=a1,team=red 30"]),
        ("sum by (team) (rate(work_total[1m]))", vec!["team=blue 4", "team=red 3"]),
        ("sum without (agent) (load)", vec!["team=blue 120", "team=red 90"]),
        ("increase(work_total{agent='b1'}[1m])", vec!["agent=b1,team=blue 240"]),
        ("topk(1, load)", vec!["__name__=load,agent=b1,team=blue 120"]),
        (
            "topk(2, load)",
            vec!["__name__=load,agent=b1,team=blue 120", "__name__=load,agent=a2,team=red 60"],
        ),
        (
            "bottomk by (team) (1, load)",
            vec!["__name__=load,agent=b1,team=blue 120", "__name__=load,agent=a1,team=red 30"],
        ),
        ("count(load)", vec![" 3"]),
        ("quantile(0.5, load)", vec![" 60"]),
        (
            "load > 50",
            vec!["__name__=load,agent=a2,team=red 60", "__name__=load,agent=b1,team=blue 120"],
        ),
        ("load{agent='a1'} > bool 50", vec!["agent=a1,team=red 0"]),
        ("50 < load{agent='a2'}", vec!["__name__=load,agent=a2,team=red 60"]),
        (
            "load * on (team) group_left size",
            vec!["agent=a1,team=red 300", "agent=a2,team=red 600"],
        ),
        (
            "load and on (team) size",
            vec!["__name__=load,agent=a1,team=red 30", "__name__=load,agent=a2,team=red 60"],
        ),
        ("load unless on (team) size", vec!["__name__=load,agent=b1,team=blue 120"]),
        (
            "size or load{agent='b1'}",
            vec!["__name__=load,agent=b1,team=blue 120", "__name__=size,team=red 10"],
        ),
        ("absent(load{agent='zz'})", vec!["agent=zz 1"]),
        ("absent(load)", vec![]),
        ("absent_over_time(load{agent='zz', team=~'r.*'}[5m])", vec!["agent=zz 1"]),
        ("load{agent='a1'} offset 1m", vec!["__name__=load,agent=a1,team=red 30"]),
        ("load{agent='a1'} @ 45", vec!["__name__=load,agent=a1,team=red 45"]),
        ("max_over_time(load{agent='a1'}[1m])", vec!["agent=a1,team=red 59"]),
        ("count_over_time(load{agent='a1'}[1m])", vec!["agent=a1,team=red 60"]),
        ("last_over_time(load{agent='a1'}[1m])", vec!["__name__=load,agent=a1,team=red 30"]),
        ("quantile_over_time(0.5, load{agent='a1'}[1m])", vec!["agent=a1,team=red 29.5"]),
        ("max_over_time(rate(work_total{agent='a1'}[1m])[2m:30s])", vec!["agent=a1,team=red 1"]),
        ("scalar(size) + 1", vec![" 11"]),
        ("vector(1) + 1", vec![" 2"]),
        ("time() - timestamp(size)", vec!["team=red 0"]),
        ("clamp(size, 12, 11)", vec![]),
        ("round(size / 3, 0.5)", vec!["team=red 3.5"]),
        (
            "label_replace(size, 'crew', '$1-x', 'team', '(r.).*')",
            vec!["__name__=size,crew=re-x,team=red 10"],
        ),
        ("sum(load) # the whole", vec![" 210"]),
    ] {
        assert_eq!(at(&source, text, 330), expected, "{text}");
    }
}

#[test]
fn what_the_language_does_not_have_is_refused_with_its_place() {
    for (text, position, says) in [
        ("", 1, "empty"),
        ("load[5m]", 1, "range of samples"),
        ("'x'", 1, "a text"),
        ("rate(load)", 6, "x[5m]"),
        ("rates(load[5m])", 1, "did you mean rate?"),
        ("holt_winters(load[5m], 0.5, 0.5)", 1, "predict_linear"),
        ("sum(load) by (a) by (b)", 18, "operator"),
        ("load{a=b}", 8, "quotes"),
        ("load{a=~'('}", 9, "unclosed"),
        ("load{a=~'(a{999}){999}'}", 9, "more than"),
        ("{a=~'.*'}", 1, "every series"),
        ("load > 1 > bool", 16, "ends"),
        ("1 > 2", 3, "bool"),
        ("1 and load", 1, "series"),
        ("load + on(a) 1", 6, "two sides"),
        ("load group_left load", 6, "operator"),
        ("load + group_left load", 8, "on("),
        ("load[5m:0s]", 6, "step"),
        ("load[5m][5m]", 1, "selector"),
        ("load offset 5", 13, "5s"),
        ("sum(load) offset 5m", 11, "selector"),
        ("load @ 1 @ 2", 10, "second"),
        ("topk(load)", 1, "2 arguments"),
        ("topk(load, 2)", 12, "series"),
        ("sum(load[5m])", 5, "_over_time"),
        ("abs(1)", 5, "vector("),
        ("by", 1, "__name__"),
        ("load load", 6, "operator"),
        ("(load", 6, "')'"),
        ("load{__name__='x'}", 6, "twice"),
        ("label_replace(load, '9', '', 'a', 'b')", 21, "label"),
        ("läd", 2, "no meaning"),
        ("5m", 1, "offset"),
    ] {
        let fault = Plan::read(text).expect_err(text);
        let said = format!("{fault} {}", fault.hint.clone().unwrap_or_default());
        assert!(said.contains(says), "{text}: {said}");
        assert_eq!(fault.position, position, "{text}: {said}");
    }
    for text in [
        &"(".repeat(3000),
        &"-".repeat(3000),
        &"a[5m:1m]".repeat(150),
        &format!("a{}", "+a".repeat(500)),
    ] {
        assert!(Plan::read(text).is_err());
    }
}

#[test]
fn series_that_cannot_be_told_apart_are_refused() {
    let source = shop();
    for (text, says) in [
        ("load + on (team) load", "match the same series"),
        ("load{agent=~'a.'} + on (team) size", "several series of the left side"),
        ("sum by (team) (load) - on () group_left load", "match the same series"),
        ("rate({__name__=~'load|work_total'}[1m])", "same labels"),
        ("abs({agent='a1'})", "same labels"),
    ] {
        let plan = Plan::read(text).unwrap();
        let error = ask(&plan, &source).at(330_000).unwrap_err();
        let QueryError::Fault(fault) = error else { panic!("{text}: {error}") };
        assert!(fault.what.contains(says) && fault.hint.is_some(), "{text}: {fault}");
    }
}

#[test]
fn a_gap_is_a_gap_and_fixed_lookback_is_prometheus_own() {
    let mut source = InMemory::default();
    let own = labels("x", &[]);
    for second in (0..60).chain(120..180) {
        source.add(&own, second * 1000, 1.0);
    }
    let plan = Plan::read("sum(x)").unwrap();
    let there = |lookback: Lookback| -> Vec<i64> {
        let settings = Settings { lookback, ..Settings::default() };
        let answer = Ask { settings, ..ask(&plan, &source) }.steps(0, 240_000, 10_000).unwrap();
        answer.series[0].points.iter().map(|(at_ms, _)| at_ms / 1000).collect()
    };
    let gaps = there(Lookback::Gaps);
    assert!(gaps.contains(&70) && !gaps.contains(&80) && !gaps.contains(&110), "{gaps:?}");
    assert!(gaps.contains(&120) && !gaps.contains(&200), "{gaps:?}");
    assert_eq!(there(Lookback::Fixed(300_000)).len(), 25);
}

#[test]
fn ranges_leave_their_beginning_out() {
    let mut source = InMemory::default();
    seconds(&mut source, &labels("x", &[]), 600, |_| 1.0);
    assert_eq!(at(&source, "count_over_time(x[5m])", 600), [" 300"]);
}

#[test]
fn a_column_holds_everything_that_was_measured_in_it() {
    let mut source = InMemory::default();
    let own = labels("x", &[("a", "1")]);
    seconds(&mut source, &own, 599, |second| if second == 301 { 99.0 } else { 1.0 });
    for (text, peak, low, name) in [
        ("x", 99.0, 1.0, "x"),
        ("x * 2 + 1", 199.0, 3.0, ""),
        ("-x", -1.0, -99.0, ""),
        ("abs(-x)", 99.0, 1.0, ""),
    ] {
        let plan = Plan::read(text).unwrap();
        let across = Across { from_ms: 0, to_ms: 599_999, columns: 10 };
        let answer = ask(&plan, &source).across(across).unwrap();
        // What is not linear is made of samples.
        let tier = if text.starts_with("abs") { Tier::Raw } else { Tier::Minute };
        let seen = (answer.tier, answer.step_ms, answer.series.len());
        assert_eq!(seen, (tier, 60_000, 1), "{text}");
        let row = &answer.series[0];
        assert_eq!(row.labels.name(), name);
        let most = row.columns.iter().map(|it| it.max).fold(f64::MIN, f64::max);
        let least = row.columns.iter().map(|it| it.min).fold(f64::MAX, f64::min);
        assert_eq!((most, least), (peak, low), "{text}");
        assert_eq!(row.columns.iter().map(|it| it.count).sum::<u64>(), 599, "{text}");
    }
}

#[test]
fn columns_are_equal_to_a_recount_of_the_samples() {
    let mut source = InMemory::default();
    let own = labels("x", &[]);
    seconds(&mut source, &own, 1000, |second| ((second * 7919) % 1000) as f64 / 10.0);
    let plan = Plan::read("x").unwrap();
    for (from_ms, to_ms, columns) in
        [(0, 1_000_000, 100), (1500, 77_777, 7), (5000, 5000, 3), (-50_000, 2_000_000, 600)]
    {
        let answer = ask(&plan, &source).across(Across { from_ms, to_ms, columns }).unwrap();
        assert_eq!(answer.tier, Tier::Raw);
        let found = answer.series.first().map(|row| row.columns.clone()).unwrap_or_default();
        assert!(found.len() <= columns);
        let (_, all) = source.iter().next().unwrap();
        let all: Vec<_> = all.iter().filter(|it| (from_ms..=to_ms).contains(&it.at_ms)).collect();
        assert_eq!(found.iter().map(|it| it.count).sum::<u64>(), all.len() as u64);
        for column in found {
            let last = to_ms - (to_ms - from_ms - 1).max(0) % answer.step_ms - 1;
            let end = if column.at_ms >= last { to_ms } else { column.at_ms + answer.step_ms - 1 };
            let own: Vec<f64> = all
                .iter()
                .filter(|it| (column.at_ms..=end).contains(&it.at_ms))
                .map(|it| it.value)
                .collect();
            let mean = own.iter().sum::<f64>() / own.len() as f64;
            let expected = Column {
                at_ms: column.at_ms,
                min: own.iter().copied().fold(f64::MAX, f64::min),
                max: own.iter().copied().fold(f64::MIN, f64::max),
                mean,
                last: *own.last().unwrap(),
                count: own.len() as u64,
            };
            assert_eq!(column, expected);
        }
    }
}

#[test]
fn a_peak_between_columns_is_seen_by_a_rate_too() {
    let mut source = InMemory::default();
    let jump = |second: i64| if second >= 1777 { 6000.0 } else { 0.0 };
    seconds(&mut source, &labels("x_total", &[]), 3600, jump);
    let plan = Plan::read("rate(x_total[1m])").unwrap();
    let settings = Settings::default();
    let across = Across { from_ms: 0, to_ms: 3_600_000, columns: 6 };
    let answer = Ask { settings, ..ask(&plan, &source) }.across(across).unwrap();
    let columns = &answer.series[0].columns;
    assert_eq!((columns.len(), answer.step_ms), (6, 600_000));
    assert!(columns[2].max > 99.0 && columns[2].min == 0.0, "{columns:?}");
    assert!(columns[3].max == 0.0);
}

#[test]
fn where_samples_are_gone_rollups_answer_and_say_so() {
    let mut source = InMemory::default();
    seconds(&mut source, &labels("x", &[]), 7200, |second| (second % 60) as f64);
    source.forget_samples_before(3_600_000);
    let plan = Plan::read("max_over_time(x[5m])").unwrap();
    let old = ask(&plan, &source).at(30 * MINUTE).unwrap();
    assert_eq!((old.tier, old.series[0].points[0].1), (Tier::Minute, 59.0));
    let new = ask(&plan, &source).at(90 * MINUTE).unwrap();
    assert_eq!((new.tier, new.series[0].points[0].1), (Tier::Raw, 59.0));
    let plan = Plan::read("stddev_over_time(x[30s])").unwrap();
    let old = ask(&plan, &source).at(30 * MINUTE).unwrap();
    assert!(old.notes.iter().any(|note| note.contains("widened")), "{:?}", old.notes);
    assert!(old.notes.iter().any(|note| note.contains("first and last value of each minute")));
}

#[test]
fn percentiles_over_a_window_equal_a_reference_computation() {
    let mut source = InMemory::default();
    seconds(&mut source, &labels("x", &[]), 3600, |second| ((second * 7919) % 3593) as f64 / 7.0);
    let mut sorted: Vec<f64> =
        (1801..=3600_i64).map(|second| ((second * 7919) % 3593) as f64 / 7.0).collect();
    sorted.sort_by(f64::total_cmp);
    for share in [0.5, 0.95, 0.99] {
        let rank = share * (sorted.len() - 1) as f64;
        let (low, high) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
        let reference = low + (high - low) * rank.fract();
        let plan = Plan::read(&format!("quantile_over_time({share}, x[30m])")).unwrap();
        let answer = ask(&plan, &source).at(3_600_000).unwrap();
        assert!((answer.series[0].points[0].1 - reference).abs() < 1e-9, "{share}");
    }
}

/// Ends an evaluation at the second look.
struct Impatient(Cell<u32>);

impl Guard for Impatient {
    fn check(&self, _: &Progress) -> Result<(), Stop> {
        self.0.set(self.0.get() + 1);
        if self.0.get() > 2 { Err(Stop::Deadline { deadline_ms: 7 }) } else { Ok(()) }
    }
}

#[test]
fn an_evaluation_is_bounded_and_can_be_ended() {
    let source = shop();
    let plan = Plan::read("sum(rate(work_total[1m])) + sum(load)").unwrap();
    let guard = Impatient(Cell::new(0));
    let ended = Ask { guard: &guard, ..ask(&plan, &source) }.at(330_000).unwrap_err();
    assert!(matches!(ended, QueryError::Stopped(Stop::Deadline { deadline_ms: 7 })), "{ended}");
    let full = Limits::default();
    for (limits, what) in [
        (Limits { series: 2, ..full }, "series"),
        (Limits { samples: 100, ..full }, "samples"),
        (Limits { values: 100, ..full }, "values"),
        (Limits { moments: 10, ..full }, "moments"),
    ] {
        let settings = Settings { limits, ..Settings::default() };
        let error = Ask { settings, ..ask(&plan, &source) }.steps(0, 600_000, 1000).unwrap_err();
        assert!(
            matches!(error, QueryError::TooMuch { what: found, .. } if found == what),
            "{error}"
        );
    }
}

#[test]
fn no_expression_makes_more_than_it_may() {
    // A label that grows by each replacement.
    let once = |of: &str, from: &str| {
        let by = "$0".repeat(40);
        format!("label_replace({of}, \"a\", \"{by}\", \"{from}\", \".*\")")
    };
    let grown = once(&once(&once("load", "__name__"), "a"), "a");
    let source = shop();
    let plan = Plan::read(&grown).unwrap();
    let error = ask(&plan, &source).at(330_000).unwrap_err();
    assert!(error.to_string().contains("bytes long"), "{error}");

    // Each series against another one at each moment.
    let mut source = InMemory::default();
    for agent in 0..60_i64 {
        let name = agent.to_string();
        seconds(&mut source, &labels("turn", &[("agent", &name)]), 600, |second| {
            if second % 60 == agent { 2.0 } else { 1.0 }
        });
    }
    let first = "label_replace(topk(1, turn), \"who\", \"$1\", \"agent\", \"(.*)\")";
    let limits = Limits { values: 400_000, ..Limits::default() };
    let settings = Settings { limits, ..Settings::default() };
    let answered = |text: &str| {
        let plan = Plan::read(text).unwrap();
        Ask { settings, ..ask(&plan, &source) }.steps(1000, 600_000, 1000)
    };
    let shares = answered(&format!("turn / on() group_left() {first}")).unwrap();
    assert_eq!(shares.series.len(), 60);
    let each = answered(&format!("turn / on() group_left(who) {first}")).unwrap_err();
    assert!(matches!(each, QueryError::TooMuch { what: "values", .. }), "{each}");

    // More moments of more series than a page can show.
    let mut source = InMemory::default();
    for agent in 0..1400 {
        seconds(&mut source, &labels("turn", &[("agent", &agent.to_string())]), 1, |_| 1.0);
    }
    let plan = Plan::read("turn").unwrap();
    let error = ask(&plan, &source).steps(1000, 300_000, 1000).unwrap_err();
    assert!(matches!(error, QueryError::TooMuch { what: "columns", .. }), "{error}");
}

#[test]
fn ranges_that_cannot_be_are_refused() {
    let source = shop();
    let plan = Plan::read("load").unwrap();
    assert!(matches!(ask(&plan, &source).steps(10, 0, 1), Err(QueryError::BadRange(_))));
    assert!(matches!(ask(&plan, &source).steps(0, 10, 0), Err(QueryError::BadRange(_))));
    assert!(matches!(ask(&plan, &source).at(i64::MAX), Err(QueryError::BadRange(_))));
    // 1970, and ten years by the millisecond.
    assert!(ask(&plan, &source).at(0).unwrap().series.is_empty());
    let years = ask(&plan, &source).steps(0, 315_360_000_000, 1).unwrap_err();
    assert!(matches!(years, QueryError::TooMuch { what: "moments", .. }));
}

#[test]
fn a_matcher_looks_at_labels_as_a_selector_does() {
    let matcher = Matcher::new("a", Compare::NotEqual, "x").unwrap();
    assert!(matcher.takes(&Labels::default()) && !matcher.takes(&Labels::new([("a", "x")])));
}

#[test]
fn the_page_of_the_language_lists_its_functions() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/query.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- functions: written by the tests -->", "<!-- /functions -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let expected = format!("{before}{begin}\n{}{end}{after}", insight::query::reference());
    if std::env::var_os("HIVEKEEPER_UPDATE_DOCS").is_some() {
        std::fs::write(path, &expected).unwrap();
    } else {
        assert!(page == expected, "write it anew: HIVEKEEPER_UPDATE_DOCS=1 cargo test -p insight");
    }
}

/// Words the language is made of, in any order.
fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "load",
        "work_total",
        "rate",
        "sum",
        "by",
        "without",
        "topk",
        "(",
        ")",
        "[5m]",
        "[1h:1m]",
        "{",
        "}",
        "agent",
        "=",
        "=~",
        "!~",
        "'a.*'",
        "\"x\"",
        ",",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%",
        "==",
        "bool",
        ">",
        "and",
        "or",
        "unless",
        "on",
        "ignoring",
        "group_left",
        "offset",
        "5m",
        "@",
        "start()",
        "end()",
        "1",
        "0.5",
        "1e308",
        "NaN",
        "Inf",
        "quantile_over_time",
        "histogram_quantile",
        "absent",
        "time()",
        "label_replace",
        "#",
        "\n",
        "atan2",
        "clamp",
        "scalar",
        "vector",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_the_parser(text in ".{0,80}") {
        let _ = Plan::read(&text);
    }

    #[test]
    fn no_expression_panics_the_evaluator(text in words()) {
        if let Ok(plan) = Plan::read(&text) {
            let source = shop();
            let settings = Settings {
                limits: Limits { series: 50, samples: 100_000, values: 100_000, moments: 200 },
                ..Settings::default()
            };
            let ask = Ask { settings, ..ask(&plan, &source) };
            let _ = ask.at(330_000);
            let _ = ask.across(Across { from_ms: 0, to_ms: 700_000, columns: 13 });
        } else {
            let fault = Plan::read(&text).unwrap_err();
            prop_assert!(fault.position >= 1 && fault.position <= text.chars().count() + 1);
        }
    }
}
