//! Labels of a series, and what selects among them.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

/// The label that holds a series' name.
pub const NAME: &str = "__name__";
/// The longest regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024;
/// What a compiled regular expression may take, in bytes.
const REGEX_SIZE_MAX: usize = 256 << 10;
/// What its cache may take while it matches, in bytes.
const REGEX_CACHE_MAX: usize = 1 << 20;
/// How deep a regular expression may be nested.
const REGEX_DEPTH_MAX: u32 = 50;

/// The labels of a series, sorted by name, its own name among them. Empty values are left out: no
/// label and an empty one are the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(Arc<str>, Arc<str>)>);

impl Labels {
    /// Takes labels in any order; of several with one name the last counts.
    pub fn new<N: Into<Arc<str>>, V: Into<Arc<str>>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut labels = Self::default();
        for (name, value) in pairs {
            labels.set(name, value);
        }
        labels
    }

    /// The value of a label; empty where there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.place(name).map_or("", |place| &*self.0[place].1)
    }

    /// The name of the series; empty where it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get(NAME)
    }

    /// Every label in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Sets a label; an empty value takes it away.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        let (name, value) = (name.into(), value.into());
        match (self.place(&name), value.is_empty()) {
            (Ok(place), true) => drop(self.0.remove(place)),
            (Ok(place), false) => self.0[place].1 = value,
            (Err(_), true) => {}
            (Err(place), false) => self.0.insert(place, (name, value)),
        }
    }

    /// Only the labels of these names.
    #[must_use]
    pub fn only(&self, names: &[String]) -> Self {
        let wanted = |name: &Arc<str>| names.iter().any(|it| **it == **name);
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }

    /// All but the labels of these names.
    #[must_use]
    pub fn without(&self, names: &[String]) -> Self {
        let wanted = |name: &Arc<str>| !names.iter().any(|it| **it == **name);
        Self(self.0.iter().filter(|(name, _)| wanted(name)).cloned().collect())
    }

    /// All but the name of the series.
    #[must_use]
    pub fn unnamed(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| &**name != NAME).cloned().collect())
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| (**own).cmp(name))
    }
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, the whole value.
    Match,
    /// `!~`, the whole value.
    NoMatch,
}

/// What a label must be.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label's name.
    pub label: String,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub value: String,
    regex: Option<Regex>,
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.label, self.compare, &self.value) == (&other.label, other.compare, &other.value)
    }
}

impl Matcher {
    /// A matcher.
    ///
    /// # Errors
    /// When the regular expression is wrong or too large, in words.
    pub fn new(label: &str, compare: Compare, value: &str) -> Result<Self, BadRegex> {
        let regex = matches!(compare, Compare::Match | Compare::NoMatch);
        Ok(Self {
            label: label.to_owned(),
            compare,
            value: value.to_owned(),
            regex: regex.then(|| whole(value)).transpose()?,
        })
    }

    /// Whether a value passes.
    #[must_use]
    pub fn passes(&self, value: &str) -> bool {
        let found = self.regex.as_ref().is_some_and(|regex| regex.is_match(value));
        match self.compare {
            Compare::Equal => value == self.value,
            Compare::NotEqual => value != self.value,
            Compare::Match => found,
            Compare::NoMatch => !found,
        }
    }

    /// Whether these labels pass.
    #[must_use]
    pub fn takes(&self, labels: &Labels) -> bool {
        self.passes(labels.get(&self.label))
    }
}

/// Why a regular expression is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRegex {
    /// It is too long.
    #[error("the regular expression is longer than {REGEX_BYTES_MAX} bytes")]
    Long,
    /// It would take too much memory.
    #[error("the regular expression would take more than {REGEX_SIZE_MAX} bytes")]
    Large,
    /// It is not one.
    #[error("the regular expression cannot be read: {0}")]
    Wrong(String),
}

/// A regular expression that must match the whole text.
pub(super) fn whole(pattern: &str) -> Result<Regex, BadRegex> {
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(BadRegex::Long);
    }
    // By itself first, so that `a)|(b` does not slip through between the brackets around it.
    build(pattern)?;
    build(&format!("^(?s:{pattern})$"))
}

fn build(pattern: &str) -> Result<Regex, BadRegex> {
    let built = RegexBuilder::new(pattern)
        .size_limit(REGEX_SIZE_MAX)
        .dfa_size_limit(REGEX_CACHE_MAX)
        .nest_limit(REGEX_DEPTH_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => BadRegex::Large,
        error => BadRegex::Wrong(last_line(&error.to_string())),
    })
}

/// The library draws the place over several lines; the last says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(text).trim();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_matches_the_whole_value() {
        let matcher = Matcher::new("a", Compare::Match, "x|y.").unwrap();
        for (value, passes) in
            [("x", true), ("ya", true), ("y\n", true), ("xx", false), ("", false)]
        {
            assert_eq!(matcher.passes(value), passes, "{value:?}");
        }
        let matcher = Matcher::new("a", Compare::NoMatch, "x.*").unwrap();
        assert!(matcher.passes("") && !matcher.passes("xyz"));
    }

    #[test]
    fn a_hostile_regular_expression_is_refused() {
        assert_eq!(whole(&"a".repeat(2000)).unwrap_err(), BadRegex::Long);
        assert_eq!(whole("(a{1000}){1000}").unwrap_err(), BadRegex::Large);
        assert!(matches!(whole("a)|(b").unwrap_err(), BadRegex::Wrong(_)));
        assert!(matches!(
            whole(&format!("{}a{}", "(".repeat(80), ")".repeat(80))).unwrap_err(),
            BadRegex::Wrong(_)
        ));
        assert!(matches!(whole("(?=a)").unwrap_err(), BadRegex::Wrong(_)));
        // What takes other libraries for ever is linear here.
        assert!(!whole("(a+)+b").unwrap().is_match(&"a".repeat(10_000)));
    }

    #[test]
    fn an_empty_label_is_none() {
        let mut labels = Labels::new([("b", "2"), ("a", "1"), ("c", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        labels.set("a", "");
        assert_eq!(labels, Labels::new([("b", "2")]));
        assert_eq!(labels.get("a"), "");
    }
}
