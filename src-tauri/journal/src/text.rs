//! Texts of people and agents as harmless Markdown, and figures as words.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// What is written where there is nothing to write.
pub(crate) const NONE: &str = "—";

/// One line of text inside Markdown: it shows every character and forms no markup.
pub(crate) fn inline(text: &str) -> String {
    let line = one_line(text);
    if line.is_empty() {
        return NONE.to_owned();
    }
    let mut out = String::with_capacity(line.len() + 8);
    let mut before = None;
    let mut rest = line.chars().peekable();
    while let Some(ch) = rest.next() {
        if needs_escape(ch, before, rest.peek().copied()) {
            out.push('\\');
        }
        out.push(ch);
        before = Some(ch);
    }
    unlisted(out)
}

/// Characters with a meaning in the middle of a line; `_` has one only at the edge of a word.
fn needs_escape(ch: char, before: Option<char>, after: Option<char>) -> bool {
    let word = |ch: Option<char>| ch.is_some_and(char::is_alphanumeric);
    match ch {
        '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '!' | '^' | '$' => true,
        '_' => !(word(before) && word(after)),
        _ => false,
    }
}

/// Takes the meaning from what would begin a list, a heading or a rule at the start of a line.
fn unlisted(line: String) -> String {
    if line.starts_with(['-', '+', '=']) {
        return format!("\\{line}");
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0 && line[digits..].starts_with(['.', ')']) {
        return format!("{}\\{}", &line[..digits], &line[digits..]);
    }
    line
}

/// A name such as a branch or a hash as code, where it has only harmless characters.
pub(crate) fn code(text: &str) -> String {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || "._/@:=+-".contains(ch);
    if !text.is_empty() && text.chars().all(plain) {
        return format!("`{text}`");
    }
    inline(text)
}

/// Several lines of text as a block of code that they cannot leave.
pub(crate) fn block(text: &str) -> String {
    let shown = visible(&without_ansi(text));
    let longest = shown.split(|ch| ch != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{}\n{fence}\n", shown.trim_end())
}

/// The end of a text, at most so many lines and bytes, and whether something was left out.
pub(crate) fn tail(text: &str, lines_max: usize, bytes_max: usize) -> (&str, bool) {
    let text = text.trim_end();
    let mut start = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let newlines = text[start..].rmatch_indices('\n');
    if let Some((at, _)) = newlines.take(lines_max).nth(lines_max - 1) {
        start += at + 1;
    }
    (&text[start..], start > 0)
}

/// The beginning of a text, at most so many bytes, and whether something was left out.
pub(crate) fn head(text: &str, bytes_max: usize) -> (&str, bool) {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], end < text.len())
}

/// A text on one line, every space one blank, every control character shown.
pub(crate) fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    visible(&words.join(" "))
}

/// Shows characters that hide or reorder text, and keeps line breaks and tabs.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.replace("\r\n", "\n").chars() {
        match ch {
            '\n' | '\t' => out.push(ch),
            '\r' => out.push('\n'),
            ch if is_hidden(ch) => {
                let _ = write!(out, "‹U+{:04X}›", u32::from(ch));
            }
            ch => out.push(ch),
        }
    }
    out
}

/// Control characters, zero-width characters, and those that turn the direction of a text.
fn is_hidden(ch: char) -> bool {
    ch.is_control()
        || matches!(
            u32::from(ch),
            0x00AD | 0x061C | 0x180E | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x2069 | 0xFEFF
        )
        || matches!(u32::from(ch), 0xE0000..=0xE007F)
}

/// Drops the sequences by which programs colour their output (ECMA-48) or set titles.
fn without_ansi(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(ch) = rest.next() {
        if ch != '\u{1b}' {
            out.push(ch);
            continue;
        }
        match rest.next_if(|ch| matches!(ch, '[' | ']')) {
            Some('[') => while rest.next().is_some_and(|ch| !('@'..='~').contains(&ch)) {},
            Some(_) => {
                while let Some(ch) = rest.next() {
                    if ch == '\u{7}' || (ch == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            None => {
                rest.next();
            }
        }
    }
    out
}

/// A stretch of time in at most two units: `850 ms`, `3 min 12 s`, `2 h 5 min`.
pub(crate) fn duration(span: SignedDuration) -> String {
    let ms = span.as_millis().max(0);
    let (s, min, h) = (ms / 1_000, ms / 60_000, ms / 3_600_000);
    match () {
        () if ms < 1_000 => format!("{ms} ms"),
        () if s < 10 => format!("{}.{} s", s, ms % 1_000 / 100),
        () if min < 1 => format!("{s} s"),
        () if h < 1 => format!("{min} min {} s", s % 60),
        () if h < 48 => format!("{h} h {} min", min % 60),
        () => format!("{} d {} h", h / 24, h % 24),
    }
}

/// A stretch of time given in milliseconds.
pub(crate) fn duration_ms(ms: u64) -> String {
    duration(SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)))
}

/// A size in powers of 1,024.
#[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
pub(crate) fn bytes(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// A point in time, to the second, with its zone.
pub(crate) fn time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// A number with its noun: `1 file`, `2 files`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_forms_no_markup() {
        let check = |text: &str, expect: &str| assert_eq!(inline(text), expect, "{text}");
        check("fix the parser", "fix the parser");
        check("keep snake_case_names", "keep snake_case_names");
        check("_emphasis_ **strong**", r"\_emphasis\_ \*\*strong\*\*");
        check("a | b", r"a \| b");
        check("<img src=x onerror=alert(1)>", r"\<img src=x onerror=alert(1)\>");
        check("[link](javascript:alert(1))", r"\[link\](javascript:alert(1))");
        check("line\n# heading", r"line \# heading");
        check("- item", r"\- item");
        check("1. item", r"1\. item");
        check("===", r"\===");
        check("&lt;b&gt;", r"\&lt;b\&gt;");
        check(r"back\slash", r"back\\slash");
        check("left\u{202e}right", "left‹U+202E›right");
        check("  \n ", "—");
    }

    #[test]
    fn a_block_of_code_cannot_be_left() {
        assert_eq!(block("a\nb\n\n"), "```text\na\nb\n```\n");
        assert_eq!(block("```\n<b>"), "````text\n```\n<b>\n````\n");
        assert_eq!(block("\u{1b}[31mred\u{1b}[0m\u{7}"), "```text\nred‹U+0007›\n```\n");
        assert_eq!(block("\u{1b}]0;title\u{7}x\ry"), "```text\nx\ny\n```\n");
    }

    #[test]
    fn a_name_is_code_only_when_it_is_harmless() {
        assert_eq!(code("hive/M-7K2P-1"), "`hive/M-7K2P-1`");
        assert_eq!(code("a`b"), r"a\`b");
        assert_eq!(code(""), "—");
    }

    #[test]
    fn the_end_of_a_text_is_cut_at_lines_bytes_and_characters() {
        assert_eq!(tail("a\nb\nc\n", 2, 100), ("b\nc", true));
        assert_eq!(tail("a\nb", 2, 100), ("a\nb", false));
        assert_eq!(tail("äöü", 9, 3), ("ü", true));
        assert_eq!(tail("", 9, 3), ("", false));
        assert_eq!(head("äöü", 3), ("ä", true));
        assert_eq!(head("ab", 3), ("ab", false));
    }

    #[test]
    fn figures_read_as_words() {
        let check = |ms: i64, expect: &str| {
            assert_eq!(duration(SignedDuration::from_millis(ms)), expect);
        };
        check(0, "0 ms");
        check(850, "850 ms");
        check(1_250, "1.2 s");
        check(59_999, "59 s");
        check(192_000, "3 min 12 s");
        check(7_500_000, "2 h 5 min");
        check(200_000_000, "2 d 7 h");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1_572_864), "1.5 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
        assert_eq!(count(1, "file", "files"), "1 file");
    }
}
