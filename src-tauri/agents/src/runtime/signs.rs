//! Signs: texts by which an agent tells that its provider makes it wait, or that it has to be logged in.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::conversation::cut;
use regex::{Captures, Regex, RegexSet, RegexSetBuilder};

use super::ways::Ways;

/// The most of a text that is looked at, in bytes.
const LOOKED_AT_BYTES_MAX: usize = 16 * 1024;
/// The most that is repeated of it, in bytes.
const SAID_BYTES_MAX: usize = 500;
/// The most memory one set of signs may take, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The longest wait that is believed, in seconds.
const WAIT_S_MAX: i64 = 7 * 24 * 3600;
/// The most parts of a wait, as in `1 h 30 m`.
const WAIT_PARTS_MAX: usize = 5;
/// Where a text says how long to wait.
static WAIT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)\b(?:retry|try again|wait|reset)[a-z _-]{0,20}[:= ]\s*(\d)").ok()
});
/// Where a text says at what time of the day the wait is over. What is no zone is no part of it.
static CLOCK: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?i)\b(?:retry|try again|wait|reset)[a-z _-]{0,20}\bat\s+(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*(am|pm)?\s*\(?([a-z]+(?:/[a-z_]+)*)?",
    )
    .ok()
});

/// The signs of one kind of agent.
#[derive(Debug, Clone)]
pub struct Signs {
    limit: RegexSet,
    login: RegexSet,
    error: RegexSet,
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
        let (limit, login) = (set(&ways.limit_signs), set(&ways.login_signs));
        Self { limit, login, error: set(&ways.error_signs) }
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

    /// Whether an answer is an error that the agent tells as if its model had said it.
    #[must_use]
    pub fn told_error(&self, text: &str) -> bool {
        self.error.is_match(beginning(text).trim_start())
    }

    /// Whether a text says that the agent has to be logged in.
    #[must_use]
    pub fn login(&self, text: &str) -> bool {
        self.login.is_match(beginning(text))
    }
}

/// Until when to wait. What is not understood for sure is not known: a wrong time would be taken for
/// an agent that does not come back.
fn until(text: &str, at: Timestamp) -> Option<Timestamp> {
    if let Some(found) = CLOCK.as_ref()?.captures(text) {
        return time_of_day(&found, at);
    }
    let start = WAIT.as_ref()?.captures(text)?.get(1)?.start();
    at.checked_add(SignedDuration::from_secs(seconds(&text[start..])?.min(WAIT_S_MAX))).ok()
}

/// The next time it is that late, where the text says in which zone.
fn time_of_day(found: &Captures<'_>, at: Timestamp) -> Option<Timestamp> {
    let hour: i8 = found.get(1)?.as_str().parse().ok()?;
    let minute = found.get(2).map_or(Ok(0), |minute| minute.as_str().parse::<i8>()).ok()?;
    let half = found.get(3).map(|half| half.as_str().to_ascii_lowercase());
    let hour = match (half.as_deref(), hour) {
        (Some("am"), 12) => 0,
        (Some("pm"), 1..=11) => hour + 12,
        (Some("am"), 1..=11) | (Some("pm"), 12) => hour,
        (None, 0..=23) if found.get(2).is_some() => hour,
        _ => return None,
    };
    let zone = match found.get(4)?.as_str() {
        name if ["utc", "gmt", "z"].contains(&name.to_ascii_lowercase().as_str()) => TimeZone::UTC,
        name => TimeZone::get(name).ok()?,
    };
    let now = at.to_zoned(zone);
    let then = now.with().hour(hour).minute(minute).second(0).subsec_nanosecond(0).build().ok()?;
    let then = if then <= now { then.tomorrow().ok()? } else { then };
    Some(then.timestamp())
}

/// The length of a wait such as `30`, `2 minutes`, `6m0s` or `1 hour and 5 min`, at the beginning of a
/// text, in seconds; nothing where a unit is not known.
fn seconds(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut all = 0_i64;
    for part in 0..WAIT_PARTS_MAX {
        let digits = rest.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = match rest[..digits].parse() {
            Ok(number) if digits <= 6 => number,
            _ if part > 0 => break,
            _ => return None,
        };
        rest = &rest[digits..];
        let fraction = rest.strip_prefix('.').map_or(0, |behind| {
            behind.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(behind.len())
        });
        rest = if fraction > 0 { &rest[fraction + 1..] } else { rest };
        // A date, or a time of the day.
        if rest.starts_with([':', '-', '/']) {
            return None;
        }
        let spaced = rest.trim_start_matches([' ', '\t']);
        let letters = spaced.find(|ch: char| !ch.is_alphabetic()).unwrap_or(spaced.len());
        let factor = match spaced[..letters].to_lowercase().as_str() {
            "" if part == 0 => return Some(number),
            "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => {
                return Some(all.saturating_add(number / 1000));
            }
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 24 * 3600,
            "w" | "week" | "weeks" => 7 * 24 * 3600,
            _ if part > 0 => break,
            _ => return None,
        };
        all = all.saturating_add(number.saturating_mul(factor));
        rest = spaced[letters..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        if !rest.starts_with(|ch: char| ch.is_ascii_digit()) {
            break;
        }
    }
    Some(all)
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
        // 1970-01-01T00:00Z, in seconds since then.
        let day = 24 * 3600;
        for (text, expected) in [
            ("try again in 3 days", Some(3 * day)),
            ("try again in 3d", Some(3 * day)),
            ("please wait 6m0s", Some(360)),
            ("retry in 1h30m", Some(5400)),
            ("retry after 1 hour and 5 minutes", Some(3900)),
            ("retry after 1.5s", Some(1)),
            ("try again in 20 ms", Some(0)),
            ("try again in 5 weeks", Some(7 * day)),
            ("resets at 15:00", None),
            ("resets at 15:00 UTC", Some(15 * 3600)),
            ("resets at 3pm", None),
            ("resets at 3pm (UTC)", Some(15 * 3600)),
            ("resets at 12:30 am GMT", Some(1800)),
            ("resets at 25:00 UTC", None),
            ("retry at 5", None),
            ("try again in 3 fortnights", None),
            ("try again in 3 requests", None),
            ("retry after 2026-01-01", None),
            ("retry after 30, please", Some(30)),
        ] {
            assert_eq!(until(&format!("rate limit: {text}")), Some(expected), "{text}");
        }
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
