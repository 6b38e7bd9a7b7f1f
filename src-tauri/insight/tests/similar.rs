//! Pairs of missions as people write them: which are nearly one, and which are only of a kind.

use std::collections::BTreeSet;

use insight::similar::{NEAR, SHINGLES_MAX, Shingles, similarity, twins};
use proptest::prelude::*;

const LOGIN: &str = "After a wrong password the form stays disabled until the page is loaded \
    again. Find out why the button is not enabled when the request fails, fix it, and add a test \
    that fails without the fix. Keep the texts of the messages as they are.";
const DOCUMENT: &str = "Read the module, write a line of documentation for each public item, say \
    units and errors, and do not change any code. The build must stay free of warnings and the \
    existing tests must pass without a change.";

fn compare(a: (&str, &str), b: (&str, &str)) -> f64 {
    similarity(&Shingles::of(a.0, a.1), &Shingles::of(b.0, b.1))
}

#[test]
fn a_mission_whose_text_is_nearly_one_that_exists_is_a_twin() {
    let check = |a: (&str, &str), b: (&str, &str)| {
        let found = compare(a, b);
        assert!(found >= NEAR + 0.05, "{found:.2}: {a:?} and {b:?}");
    };
    check(("Fix the login form", LOGIN), ("Fix the login form", LOGIN));
    check(("Fix the login form", LOGIN), ("Login form stays disabled", LOGIN));
    check(("Fix the login form", LOGIN), ("FIX the  login form!", &LOGIN.to_uppercase()));
    let more = format!("{LOGIN} Tell me when it is done.");
    check(("Fix the login form", LOGIN), ("Fix the login form", &more));
    let fewer = LOGIN.replace("Keep the texts of the messages as they are.", "");
    check(("Fix the login form", LOGIN), ("Fix the login form", &fewer));
    let corrected = LOGIN.replace("page is loaded", "browser is started");
    check(("Fix the login form", LOGIN), ("Fix login form", &corrected));
    let with_issue = format!("{LOGIN} See issue 311.");
    check(("Fix the login form", LOGIN), ("Fix the login form (issue 311)", &with_issue));
    check(("Fix the flaky test of the parser", ""), ("Fix the flaky parser test", ""));
    check(("Update the README", "for version 2"), ("Update README", "for version 2"));
    check(("Fix issue 12", ""), ("fix issue 12.", ""));
    check(("修复登录页面的错误并添加测试", ""), ("修复登录页面的错误,添加测试", ""));
    // One number of many was corrected: still the same work.
    let list: Vec<_> = (1..30).map(|n| format!("check src/part{n}.rs for leaks")).collect();
    let corrected = list.join(", ").replace("part7.", "part77.");
    check(("Find the leaks", &list.join(", ")), ("Find the leaks", &corrected));
}

#[test]
fn a_mission_of_the_same_kind_is_no_twin() {
    let check = |a: (&str, &str), b: (&str, &str)| {
        let found = compare(a, b);
        assert!(found <= NEAR - 0.05, "{found:.2}: {a:?} and {b:?}");
    };
    check(("Fix issue 12", ""), ("Fix issue 13", ""));
    check(("Fix issue #12", "See the tracker."), ("Fix issue #13", "See the tracker."));
    check(("Fix the issue", "It is number 12"), ("Fix the issue", "It is number 13"));
    // A template over many files: in the title, in the brief, or both.
    check(("Document src/lexer.rs", DOCUMENT), ("Document src/parser.rs", DOCUMENT));
    let on = |file: &str| format!("Work on {file} only. {DOCUMENT}");
    check(("Document a module", &on("src/a.rs")), ("Document a module", &on("src/b.rs")));
    check(("Document `SpanReader`", DOCUMENT), ("Document `SpanWriter`", DOCUMENT));
    check(("Step 1 of the migration", DOCUMENT), ("Step 2 of the migration", DOCUMENT));
    check(("Upgrade tokio to 1.53", ""), ("Upgrade tokio to 1.54", ""));
    check(("Fix the login form", ""), ("Fix the search form", "with the new index"));
    check(("Fix the login form", LOGIN), ("Fix the login form", DOCUMENT));
    check(("Fix the login form", LOGIN), ("Fix the login form", ""));
    check(("Translate to French", "all texts of the app"), ("Write tests", "for the app"));
    check(("", ""), ("", ""));
    check(("...", "!"), ("...", "!"));
}

#[test]
fn twins_come_nearest_first_and_no_more_than_asked_for() {
    let new = Shingles::of("Fix the login form", LOGIN);
    let known = || {
        [
            (1, Shingles::of("Write the manual", DOCUMENT)),
            (2, Shingles::of("The login form stays disabled", LOGIN)),
            (3, Shingles::of("Fix the login form", LOGIN)),
            (4, Shingles::of("Fix the login form", LOGIN)),
        ]
        .into_iter()
    };
    let keys = |limit| twins(&new, known(), limit).iter().map(|(key, _)| *key).collect::<Vec<_>>();
    assert_eq!(keys(9), [3, 4, 2]);
    assert_eq!(keys(2), [3, 4]);
    assert_eq!(keys(1), [3]);
    assert!(keys(0).is_empty());
}

#[test]
fn a_cut_sketch_estimates_the_share_closely() {
    // Numbers spelled in letters, so that no word is a mark.
    let word = |n: usize| n.to_string().bytes().map(|b| (b - b'0' + b'a') as char).collect();
    let text = |from: usize, to: usize| (from..to).map(word).collect::<Vec<String>>().join(" ");
    for shared in [0, 10_000, 20_000, 30_000, 39_000] {
        let found = compare(("", &text(0, 40_000)), ("", &text(40_000 - shared, 80_000 - shared)));
        let exact = (shared as f64) / (80_000 - shared) as f64;
        assert!((found - exact).abs() < 0.03, "{found} instead of {exact}");
    }
    const { assert!(SHINGLES_MAX == 4_096) };
}

/// Broder's definition for texts of at least 24 plain words, without hashes or sketches.
fn reference(a: &[&str], b: &[&str]) -> f64 {
    let set = |words: &[&str]| words.windows(3).map(|w| w.join(" ")).collect::<BTreeSet<_>>();
    let (a, b) = (set(a), set(b));
    a.intersection(&b).count() as f64 / a.union(&b).count() as f64
}

proptest! {
    #[test]
    fn similarity_is_the_share_of_common_shingles(
        a in prop::collection::vec(prop::sample::select(vec!["ant", "bee", "cow", "doe"]), 24..60),
        b in prop::collection::vec(prop::sample::select(vec!["ant", "bee", "cow", "elk"]), 24..60),
    ) {
        let found = compare(("", &a.join(" ")), ("", &b.join(", ")));
        prop_assert!((found - reference(&a, &b)).abs() < 1e-12);
    }

    #[test]
    fn similarity_has_no_direction_and_stays_between_nothing_and_all(
        a: (String, String),
        b: (String, String),
        words in prop::collection::vec("[a-c]{1,2}|[0-9]|src/[a-c]\\.rs", 0..90),
    ) {
        let mixed = format!("{} {}", a.1, words.join(" "));
        for (a, b) in [((&*a.0, &*a.1), (&*b.0, &*b.1)), ((&*a.0, &*mixed), (&*b.0, &*mixed))] {
            let found = compare(a, b);
            prop_assert!((0.0..=1.0).contains(&found));
            prop_assert_eq!(found.to_bits(), compare(b, a).to_bits());
        }
        let whole = compare((&a.0, &mixed), (&a.0, &mixed));
        prop_assert!(whole == 1.0 || (whole == 0.0 && words.is_empty()));
    }
}

#[test]
fn hashes_are_the_same_on_every_machine() {
    let shown = format!("{:?}", Shingles::of("Fix", ""));
    let number = shown.split("hashes: [").nth(1).unwrap().split(']').next().unwrap();
    // Computed by FNV-1a and SplitMix64's finaliser in another language.
    assert_eq!(number, "6548317544537333863");
}
