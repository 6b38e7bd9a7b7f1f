//! Names of series in as little memory as they can be, and the choice of series by their labels.

use std::collections::BTreeMap;

use model::signal::SeriesKey;
use regex::{Regex, RegexBuilder};

/// The most labels of a series.
const LABELS_MAX: usize = 16;
/// The longest name and labels together.
pub(super) const KEY_LEN_MAX: usize = 1024;
/// Stands between the parts of a key.
const SEPARATOR: char = '\0';
/// The label by which a pattern asks for the signal's name.
const NAME: &str = "__name__";
/// Bytes a pattern's automaton may take.
const PATTERN_SIZE_MAX: usize = 256 << 10;
/// The longest pattern.
const PATTERN_LEN_MAX: usize = 1024;

/// Writes a key as one text: the name, and each label and value, in order. Says `false` where it
/// has too many labels, is too long, or has a separator in it.
pub(super) fn write_key(key: &SeriesKey, out: &mut String) -> bool {
    out.clear();
    out.push_str(&key.name);
    for part in key.labels.iter().flat_map(|(label, value)| [label, value]) {
        out.push(SEPARATOR);
        out.push_str(part);
    }
    let separators = out.chars().filter(|it| *it == SEPARATOR).count();
    out.len() <= KEY_LEN_MAX && key.labels.len() <= LABELS_MAX && separators == 2 * key.labels.len()
}

/// The signal's name of a written key.
pub(super) fn name_of(text: &str) -> &str {
    text.split(SEPARATOR).next().unwrap_or(text)
}

/// The labels of a written key, in order.
fn labels_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut parts = text.split(SEPARATOR).skip(1);
    std::iter::from_fn(move || Some((parts.next()?, parts.next()?)))
}

/// The key a text was written from.
pub(super) fn read_key(text: &str) -> SeriesKey {
    let labels = labels_of(text).map(|(label, value)| (label.to_owned(), value.to_owned()));
    SeriesKey { name: name_of(text).to_owned(), labels: labels.collect() }
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOp {
    /// `=`: the label is the text.
    Equal,
    /// `!=`: it is not.
    NotEqual,
    /// `=~`: the whole label matches the pattern.
    Match,
    /// `!~`: it does not.
    NotMatch,
}

/// Why a pattern is refused.
#[derive(Debug, thiserror::Error)]
pub enum BadPattern {
    /// It is longer than a pattern may be.
    #[error("match series by a pattern of {len} characters: at most {max} are allowed")]
    TooLong {
        /// How long it is.
        len: usize,
        /// How long it may be.
        max: usize,
    },
    /// It is no regular expression, or one that takes too much memory.
    #[error("match series by a pattern: {reason}")]
    Wrong {
        /// What is wrong with it.
        reason: String,
    },
}

/// One condition on a label. A label that a series does not have counts as empty, as in Prometheus.
#[derive(Debug, Clone)]
pub struct Matcher {
    label: String,
    op: MatchOp,
    value: String,
    pattern: Option<Regex>,
}

impl Matcher {
    /// Makes a condition; the label `__name__` is the signal's name.
    ///
    /// # Errors
    /// When a pattern is too long, too large, or no regular expression.
    pub fn new(label: &str, op: MatchOp, value: &str) -> Result<Self, BadPattern> {
        let is_pattern = matches!(op, MatchOp::Match | MatchOp::NotMatch);
        if is_pattern && value.len() > PATTERN_LEN_MAX {
            return Err(BadPattern::TooLong { len: value.len(), max: PATTERN_LEN_MAX });
        }
        let wrong = |error: regex::Error| BadPattern::Wrong { reason: error.to_string() };
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(PATTERN_SIZE_MAX)
                .dfa_size_limit(PATTERN_SIZE_MAX)
                .build()
                .map_err(wrong)
        };
        // By itself first: `a)(b` is none, though it would be one within our brackets.
        let anchored = || build(value).and_then(|_| build(&format!("^(?s:{value})$")));
        let pattern = is_pattern.then(anchored).transpose()?;
        Ok(Self { label: label.to_owned(), op, value: value.to_owned(), pattern })
    }

    fn accepts(&self, value: &str) -> bool {
        let matches = || self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(value));
        match self.op {
            MatchOp::Equal => self.value == value,
            MatchOp::NotEqual => self.value != value,
            MatchOp::Match => matches(),
            MatchOp::NotMatch => !matches(),
        }
    }
}

/// A choice of series: those that meet every condition.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Makes a choice; without conditions it is all series.
    #[must_use]
    pub fn new(matchers: Vec<Matcher>) -> Self {
        Self { matchers }
    }

    /// All series of a signal.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::labelled(name, &BTreeMap::new())
    }

    /// The series of a signal with these labels; they may have more.
    #[must_use]
    pub fn labelled(name: &str, labels: &BTreeMap<String, String>) -> Self {
        let equal = |label: &str, value: &str| Matcher {
            label: label.to_owned(),
            op: MatchOp::Equal,
            value: value.to_owned(),
            pattern: None,
        };
        let labels = labels.iter().map(|(label, value)| equal(label, value));
        Self { matchers: std::iter::once(equal(NAME, name)).chain(labels).collect() }
    }

    /// Whether a written key is chosen.
    pub(super) fn accepts(&self, text: &str) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = if matcher.label == NAME {
                name_of(text)
            } else {
                let found = labels_of(text).find(|(label, _)| *label == matcher.label);
                found.map_or("", |(_, value)| value)
            };
            matcher.accepts(value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(name: &str, labels: &[(&str, &str)]) -> SeriesKey {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        SeriesKey { name: name.to_owned(), labels: labels.collect() }
    }

    #[test]
    fn series_are_chosen_as_prometheus_chooses_them() {
        let mut text = String::new();
        assert!(write_key(&key("cpu", &[("agent", "ada"), ("kind", "")]), &mut text));
        use MatchOp::{Equal, Match, NotEqual, NotMatch};
        for (label, op, value, expected) in [
            ("__name__", Equal, "cpu", true),
            ("__name__", Match, "c.u", true),
            ("__name__", Match, "c", false),
            ("agent", Equal, "ada", true),
            ("agent", NotEqual, "ada", false),
            ("agent", Match, "a|ada", true),
            ("agent", NotMatch, "a.*", false),
            ("kind", Equal, "", true),
            ("other", Equal, "", true),
            ("other", NotEqual, "x", true),
            ("other", Match, ".+", false),
        ] {
            let matcher = Matcher::new(label, op, value).expect("a good pattern");
            let found = Selector::new(vec![matcher]).accepts(&text);
            assert_eq!(found, expected, "{label} {op:?} {value}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused() {
        for pattern in ["(", "a)(b", "[z-a]", "(a{1000}){1000}", &"a".repeat(5000)] {
            let refused = Matcher::new("agent", MatchOp::Match, pattern);
            assert!(refused.is_err(), "{pattern}");
        }
        // Exponential for engines that try one way after the other.
        let matcher = Matcher::new("agent", MatchOp::Match, "(a*)*b").expect("a fine pattern");
        let mut text = String::new();
        assert!(write_key(&key("cpu", &[("agent", &"a".repeat(900))]), &mut text));
        assert!(!Selector::new(vec![matcher]).accepts(&text));
    }

    #[test]
    fn keys_that_are_too_much_are_refused() {
        let mut text = String::new();
        assert!(!write_key(&key("cpu", &[("agent", &"x".repeat(2000))]), &mut text));
        assert!(!write_key(&key("cpu", &[("agent", "a\0b")]), &mut text));
        let many: Vec<(String, String)> =
            (0..17).map(|at| (format!("l{at}"), "x".to_owned())).collect();
        let many = SeriesKey { name: "cpu".to_owned(), labels: many.into_iter().collect() };
        assert!(!write_key(&many, &mut text));
    }

    proptest! {
        #[test]
        fn keys_come_back(
            name in "[a-z_]{1,20}",
            labels in prop::collection::btree_map("[^\0]{0,12}", "[^\0]{0,12}", 0..6),
        ) {
            let key = SeriesKey { name, labels };
            let mut text = String::new();
            prop_assert!(write_key(&key, &mut text));
            prop_assert_eq!(read_key(&text), key);
        }

        #[test]
        fn any_pattern_is_taken_or_refused(pattern in any::<String>(), value in any::<String>()) {
            if let Ok(matcher) = Matcher::new("agent", MatchOp::Match, &pattern) {
                let _ = Selector::new(vec![matcher]).accepts(&format!("cpu\0agent\0{value}"));
            }
        }
    }
}
