//! Signs: texts by which an agent tells that its provider makes it wait, or that it has to be logged in.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use model::conversation::cut;
use regex::{Regex, RegexSet, RegexSetBuilder};

use super::ways::Ways;

/// The most of a text that is looked at, in bytes.
const LOOKED_AT_BYTES_MAX: usize = 16 * 1024;
/// The most that is repeated of it, in bytes.
const SAID_BYTES_MAX: usize = 500;
/// The most memory one set of signs may take, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest wait that is believed, in seconds.
const WAIT_S_MAX: i64 = 7 * 24 * 3600;
/// Where a text says how long to wait.
static WAIT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:retry|try again|wait|reset)[a-z _-]{0,20}[:= ]\s*(\d{1,6})(?:\.\d+)?\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?)?\b",
    )
    .ok()
});

/// The signs of one kind of agent.
#[derive(Debug, Clone)]
pub struct Signs {
    limit: RegexSet,
    login: RegexSet,
}

/// A provider that makes an agent wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Until when, where that was said.
    pub until: Option<Timestamp>,
    /// What was said, shortened.
    pub said: String,
}

impl Signs {
    /// The signs a preset names; a pattern that cannot be read is no sign.
    #[must_use]
    pub fn of(ways: &Ways) -> Self {
        Self { limit: set(&ways.limit_signs), login: set(&ways.login_signs) }
    }

    /// Whether a text read at `at` says that the provider makes the agent wait.
    #[must_use]
    pub fn limit(&self, text: &str, at: Timestamp) -> Option<Wait> {
        let text = beginning(text);
        if !self.limit.is_match(text) {
            return None;
        }
        Some(Wait { until: until(text, at), said: cut(text.trim(), SAID_BYTES_MAX) })
    }

    /// Whether a text says that the agent has to be logged in.
    #[must_use]
    pub fn login(&self, text: &str) -> bool {
        self.login.is_match(beginning(text))
    }
}

fn until(text: &str, at: Timestamp) -> Option<Timestamp> {
    let found = WAIT.as_ref()?.captures(text)?;
    let number: i64 = found.get(1)?.as_str().parse().ok()?;
    let unit = found.get(2).map_or("s", |unit| unit.as_str()).to_ascii_lowercase();
    let seconds = match unit.as_str() {
        "ms" | "millisecond" | "milliseconds" => number / 1000,
        "h" | "hour" | "hours" => number.saturating_mul(3600),
        unit if unit.starts_with('m') => number.saturating_mul(60),
        _ => number,
    };
    at.checked_add(SignedDuration::from_secs(seconds.min(WAIT_S_MAX))).ok()
}

fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKED_AT_BYTES_MAX)]
}

fn set(patterns: &[String]) -> RegexSet {
    let build = |patterns: &[&String]| {
        RegexSetBuilder::new(patterns).size_limit(PATTERN_BYTES_MAX).build().ok()
    };
    let all: Vec<&String> = patterns.iter().collect();
    build(&all).unwrap_or_else(|| {
        let readable: Vec<&String> =
            patterns.iter().filter(|pattern| build(&[*pattern]).is_some()).collect();
        build(&readable).unwrap_or_else(RegexSet::empty)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static SIGNS: std::sync::LazyLock<Signs> = std::sync::LazyLock::new(|| {
        Signs::of(&Ways {
            limit_signs: vec!["(?i)rate.?limit".to_owned(), "(".to_owned()],
            login_signs: vec!["(?i)not logged in".to_owned()],
            ..Ways::default()
        })
    });

    #[test]
    fn a_wait_is_told_with_its_end_where_that_is_said() {
        let at = Timestamp::UNIX_EPOCH;
        let until =
            |text: &str| SIGNS.limit(text, at).map(|wait| wait.until.map(|end| end.as_second()));
        assert_eq!(until("all is well, retry after 5 s"), None);
        assert_eq!(until("Rate limit reached"), Some(None));
        assert_eq!(until("rate limited: retry after 30"), Some(Some(30)));
        assert_eq!(until("rate-limit; Retry-After: 7"), Some(Some(7)));
        assert_eq!(until("rate limit, please try again in 2 minutes"), Some(Some(120)));
        assert!(SIGNS.login("You are not logged in."));
        assert!(!SIGNS.login("logged in"));
    }

    proptest! {
        #[test]
        fn no_text_stops_the_reading_of_signs(text: String) {
            let _ = SIGNS.limit(&text, Timestamp::MAX);
            let _ = SIGNS.limit(&format!("rate limit {text} retry in {text} 999999 hours"), Timestamp::MAX);
            let _ = SIGNS.login(&text);
        }
    }
}
