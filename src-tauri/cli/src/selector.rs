//! Small languages of the command line: times such as `10m`, and parts of paths.

use std::time::Duration;

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
