//! Small languages of the command line: `name{label="value"}` and `10m`.

use std::str::FromStr;
use std::time::Duration;

/// A signal with the labels its series must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Selector {
    /// The signal's name.
    pub(crate) name: String,
    /// Labels and their values.
    pub(crate) labels: Vec<(String, String)>,
}

/// A text that selects no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SelectorError {
    /// There is no name, or it has strange characters.
    #[error("'{0}' is not the name of a signal or label")]
    Name(String),
    /// The part in braces is cut short or followed by something.
    #[error("write name{{label=\"value\"}}; the part in braces does not end properly")]
    Braces,
    /// A label has no value in quotes.
    #[error("write {0}=\"value\", with the quotes")]
    Value(String),
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let text = text.trim();
        let Some((first, rest)) = text.split_once('{') else {
            return Ok(Self { name: name(text)?, labels: Vec::new() });
        };
        let mut rest = rest.trim_start();
        let mut labels = Vec::new();
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once('=').ok_or(SelectorError::Braces)?;
            let label = name(label)?;
            let (value, after) =
                quoted(after.trim_start()).ok_or_else(|| SelectorError::Value(label.clone()))?;
            labels.push((label, value));
            rest = after.trim_start();
            if let Some(more) = rest.strip_prefix(',') {
                rest = more.trim_start();
            } else if !rest.starts_with('}') {
                return Err(SelectorError::Braces);
            }
        }
        if rest != "}" {
            return Err(SelectorError::Braces);
        }
        Ok(Self { name: name(first)?, labels })
    }
}

fn name(text: &str) -> Result<String, SelectorError> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_');
    if fits { Ok(text.to_owned()) } else { Err(SelectorError::Name(text.to_owned())) }
}

/// Reads a text in quotes, in which a backslash takes the next character as it is.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.strip_prefix('"')?.char_indices();
    while let Some((at, ch)) = chars.next() {
        match ch {
            '"' => return Some((value, &text[at + 2..])),
            '\\' => value.push(chars.next()?.1),
            ch => value.push(ch),
        }
    }
    None
}

/// Reads a length of time such as `90`, `60s`, `10m`, `2h`, `7d`, `500ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const WRONG: &str = "write a time such as 60s, 10m, 2h or 7d";
    let digits = text.trim_end_matches(|ch: char| !ch.is_ascii_digit());
    let count: u64 = digits.parse().map_err(|_| WRONG)?;
    let unit_ms: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(WRONG),
    };
    let ms = count.checked_mul(unit_ms).ok_or(WRONG)?;
    if ms == 0 {
        return Err("the time must be longer than nothing");
    }
    Ok(Duration::from_millis(ms))
}

/// Writes a text so that it is one part of a path or a value of a query.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            // A part that is only dots would be a step in the path.
            b'.' if text.bytes().any(|byte| byte != b'.') => out.push('.'),
            byte => {
                // Writing into a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_read_as_it_is_written_in_a_query_language() {
        let check = |text: &str, name: &str, labels: &[(&str, &str)]| {
            let read: Selector = text.parse().unwrap();
            assert_eq!(read.name, name, "{text}");
            let seen: Vec<_> =
                read.labels.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect();
            assert_eq!(seen, labels, "{text}");
        };
        check("machine_cpu_percent", "machine_cpu_percent", &[]);
        check("x{}", "x", &[]);
        check(r#"x{agent="a1"}"#, "x", &[("agent", "a1")]);
        check(r#" x { a = "1" , b="}," , } "#, "x", &[("a", "1"), ("b", "},")]);
        check(r#"x{a="q\"\\"}"#, "x", &[("a", "q\"\\")]);
        check(r#"x{a="ä"}"#, "x", &[("a", "ä")]);
    }

    #[test]
    fn what_selects_nothing_is_refused() {
        for text in [
            "",
            "x y",
            "x{",
            "x{a}",
            "x{a=1}",
            "x{a=\"1\"",
            "x{a=\"1\"}y",
            "x{a=\"1\" b=\"2\"}",
            "{a=\"1\"}",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_is_read_with_its_unit() {
        let check = |text: &str, ms: Option<u64>| {
            assert_eq!(duration(text).ok(), ms.map(Duration::from_millis), "{text}");
        };
        check("60s", Some(60_000));
        check("60", Some(60_000));
        check("500ms", Some(500));
        check("10m", Some(600_000));
        check("7d", Some(604_800_000));
        check("0s", None);
        check("", None);
        check("m", None);
        check("1w", None);
        check("-1s", None);
        check("99999999999999999999s", None);
        check("18446744073709551615d", None);
    }

    #[test]
    fn no_name_leaves_its_place_in_a_path() {
        assert_eq!(encode("M-7K2P"), "M-7K2P");
        assert_eq!(encode("a/b?c=ä d"), "a%2Fb%3Fc%3D%C3%A4%20d");
        assert_eq!(encode(".."), "%2E%2E");
        assert_eq!(encode("v1.2"), "v1.2");
    }
}
