//! Suggestions and estimates: named, counted, and silent where nothing was measured.

use insight::history::{
    Basis, Candidate, Past, Share, Spread, error_percent, estimate, record_of, suggest,
};
use proptest::prelude::*;

fn past(agent: &'static str, label: &str, accepted: bool, minutes: f64) -> Past<&'static str> {
    let labels = vec![label.to_owned()];
    Past { agent, labels, accepted, duration_s: minutes * 60.0, cost_usd: None }
}

fn many(agent: &'static str, label: &str, accepted: usize, of: usize) -> Vec<Past<&'static str>> {
    (0..of).map(|n| past(agent, label, n < accepted, 4.0)).collect()
}

fn labels(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn ranked(
    names: &[&'static str],
    of: &[&str],
    past: &[Past<&'static str>],
) -> Vec<(String, String)> {
    let candidates: Vec<_> =
        names.iter().map(|name| Candidate { agent: *name, name: (*name).to_owned() }).collect();
    suggest(&candidates, &labels(of), past).into_iter().map(|s| (s.name, s.because)).collect()
}

#[test]
fn each_suggestion_names_the_measured_history_or_says_that_there_is_none_yet() {
    let mut known = many("ada", "tests", 9, 11);
    known.extend(many("bob", "docs", 3, 4));
    known.push(Past { cost_usd: Some(0.4), ..past("cleo", "tests", true, 135.0) });
    let check = |name: &'static str, of: &[&str], because: &str| {
        assert_eq!(ranked(&[name], of, &known)[0].1, because);
    };
    check("ada", &["tests"], "accepted 9 of 11 missions labelled 'tests' (median 4 min)");
    check("ada", &[], "accepted 9 of 11 missions (median 4 min)");
    check(
        "bob",
        &["tests", "ui"],
        "no history yet for 'tests' or 'ui'; accepted 3 of 4 missions of other kinds (median 4 min)",
    );
    check(
        "cleo",
        &["docs"],
        "no history yet for 'docs'; accepted 1 of 1 mission of other kinds (median 2 h 15 min, $0.40)",
    );
    check(
        "cleo",
        &["tests", "ui", "a", "b", "c"],
        "accepted 1 of 1 mission labelled 'tests', 'ui', 'a' or 2 others (median 2 h 15 min, $0.40)",
    );
    check("dan", &["tests"], "no history yet");
    check("dan", &[], "no history yet");
}

#[test]
fn the_agent_with_the_best_proven_rate_comes_first() {
    let check = |known: &[Past<&'static str>], expect: &[&str]| {
        let found = ranked(&["ada", "bob", "cleo"], &["tests"], known);
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, expect, "{found:?}");
    };
    // Nothing known: by name.
    check(&[], &["ada", "bob", "cleo"]);
    // Nine of ten prove more than one of one; nothing is better than only failures.
    let mut known = many("ada", "tests", 0, 3);
    known.extend(many("bob", "tests", 1, 1));
    known.extend(many("cleo", "tests", 9, 10));
    check(&known, &["cleo", "bob", "ada"]);
    let mut known = many("ada", "tests", 0, 3);
    known.extend(many("cleo", "tests", 1, 9));
    check(&known, &["cleo", "bob", "ada"]);
    // What was done under other labels does not count where there is history with this one.
    let mut known = many("ada", "docs", 30, 30);
    known.extend(many("ada", "tests", 1, 5));
    known.extend(many("bob", "tests", 4, 5));
    check(&known, &["bob", "ada", "cleo"]);
    // Equal rates: the quicker first.
    let known = [past("ada", "tests", true, 9.0), past("cleo", "tests", true, 2.0)];
    check(&known, &["cleo", "ada", "bob"]);
}

#[test]
fn a_suggestion_says_on_what_it_rests() {
    let known = many("ada", "tests", 2, 3);
    let candidate = [Candidate { agent: "ada", name: "ada".to_owned() }];
    let basis = |of: &[&str]| suggest(&candidate, &labels(of), &known)[0].basis;
    assert_eq!(basis(&["tests"]), Basis::Labels);
    assert_eq!(basis(&["docs"]), Basis::All);
    let unknown = [Candidate { agent: "bob", name: "bob".to_owned() }];
    let found = &suggest(&unknown, &labels(&["tests"]), &known)[0];
    assert_eq!(found.basis, Basis::Nothing);
    assert_eq!((found.record.n, found.record.success), (0, None));
    assert_eq!((found.record.duration_s, found.record.cost_usd), (None, None));
}

#[test]
fn an_estimate_needs_three_accepted_missions_and_names_them() {
    let check = |of: &[&str], known: &[Past<&'static str>], expect: Option<(f64, usize, &str)>| {
        let found = estimate(&labels(of), known);
        let found = found.as_ref().map(|e| (e.p50_s, e.n, e.of.as_str()));
        assert_eq!(found, expect);
    };
    check(&["tests"], &[], None);
    check(&["tests"], &many("ada", "tests", 2, 9), None);
    let three = many("ada", "tests", 3, 9);
    check(&["tests"], &three, Some((240.0, 3, "accepted missions labelled 'tests'")));
    check(&["docs"], &three, Some((240.0, 3, "all accepted missions")));
    check(&[], &three, Some((240.0, 3, "all accepted missions")));
    let spread: Vec<_> = (0..=10).map(|n| past("ada", "tests", true, f64::from(n))).collect();
    let found = estimate(&labels(&["tests"]), &spread).unwrap();
    assert_eq!((found.p10_s, found.p50_s, found.p90_s), (60.0, 300.0, 540.0));
}

#[test]
fn the_error_of_an_estimate_is_a_share_of_the_estimate() {
    let check = |estimate, actual, expect| assert_eq!(error_percent(estimate, actual), expect);
    check(100.0, 150.0, Some(50.0));
    check(100.0, 75.0, Some(-25.0));
    check(100.0, 100.0, Some(0.0));
    check(0.0, 10.0, None);
    check(-1.0, 10.0, None);
    check(f64::NAN, 10.0, None);
    check(10.0, f64::INFINITY, None);
}

#[test]
fn the_interval_of_a_share_agrees_with_r() {
    // R: prop.test(hits, n, correct = FALSE)$conf.int
    let check = |hits, n, low: f64, high: f64| {
        let share = Share::of(hits, n).unwrap();
        assert!((share.low - low).abs() < 5e-4 && (share.high - high).abs() < 5e-4, "{share:?}");
    };
    check(9, 11, 0.5230, 0.9486);
    check(0, 10, 0.0, 0.2775);
    check(10, 10, 0.7225, 1.0);
    check(1, 1, 0.2065, 1.0);
    check(50, 100, 0.4038, 0.5962);
    assert_eq!(Share::of(0, 0), None);
}

#[test]
fn what_failed_or_is_no_duration_does_not_count_as_one() {
    let known = [
        past("ada", "tests", false, 0.1),
        past("ada", "tests", true, 4.0),
        past("ada", "tests", true, f64::NAN),
        past("ada", "tests", true, -1.0),
        Past { cost_usd: Some(f64::NAN), ..past("ada", "tests", false, 1.0) },
        Past { cost_usd: Some(2.0), ..past("ada", "tests", false, 1.0) },
    ];
    let record = record_of(&known);
    assert_eq!((record.n, record.accepted), (6, 3));
    assert_eq!(record.duration_s, Some(Spread { p10: 240.0, p50: 240.0, p90: 240.0, n: 1 }));
    assert_eq!(record.cost_usd, Some(Spread { p10: 2.0, p50: 2.0, p90: 2.0, n: 1 }));
}

prop_compose! {
    fn any_past()(
        agent in 0u8..4,
        labels in prop::collection::vec("[abc]", 0..3),
        accepted: bool,
        duration_s: f64,
        cost_usd: Option<f64>,
    ) -> Past<u8> {
        Past { agent, labels, accepted, duration_s, cost_usd }
    }
}

proptest! {
    #[test]
    fn every_candidate_is_suggested_once_and_in_order(
        known in prop::collection::vec(any_past(), 0..30),
        of in prop::collection::vec("[abcd]", 0..5),
    ) {
        let candidates: Vec<_> =
            (0..5).map(|agent| Candidate { agent, name: agent.to_string() }).collect();
        let found = suggest(&candidates, &of, &known);
        let mut agents: Vec<_> = found.iter().map(|s| s.agent).collect();
        agents.sort_unstable();
        prop_assert_eq!(agents, [0, 1, 2, 3, 4]);
        let low: Vec<_> = found.iter().map(|s| s.record.success.map_or(0.0, |s| s.low)).collect();
        prop_assert!(low.windows(2).all(|pair| pair[0] >= pair[1]));
        for one in &found {
            prop_assert_eq!(one.record.n == 0, one.basis == Basis::Nothing);
            prop_assert_eq!(one.record.n == 0, one.because == "no history yet");
        }
        if let Some(found) = estimate(&of, &known) {
            prop_assert!(found.n >= 3);
            prop_assert!(found.p10_s <= found.p50_s && found.p50_s <= found.p90_s);
        }
    }

    #[test]
    fn an_interval_holds_its_share(hits in 0usize..400, more in 0usize..400) {
        if let Some(share) = Share::of(hits, hits + more) {
            prop_assert!(0.0 <= share.low && share.low <= share.rate);
            prop_assert!(share.rate <= share.high && share.high <= 1.0);
        }
    }

    #[test]
    fn no_numbers_panic(estimate: f64, actual: f64, values: Vec<f64>) {
        prop_assert!(error_percent(estimate, actual).is_none_or(f64::is_finite));
        let usable = values.iter().filter(|v| v.is_finite() && **v >= 0.0).count();
        prop_assert_eq!(Spread::of(values).map_or(0, |spread| spread.n), usable);
    }
}
