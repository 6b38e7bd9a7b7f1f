//! What a command prints: text with aligned columns for people, JSON for programs.

use std::io::{self, BufWriter, IsTerminal, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::failure::Failure;

/// The widest column of a table, in characters; what is longer is cut.
const COLUMN_CHARS_MAX: usize = 60;

/// The longest value a complaint quotes, in characters.
const QUOTE_CHARS_MAX: usize = 200;

/// Where a command prints to.
pub(crate) struct Out {
    to: Box<dyn Write>,
    json: bool,
    terminal: bool,
    colour: bool,
}

impl Out {
    /// Standard output.
    pub(crate) fn stdout(json: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            to: Box::new(BufWriter::new(io::stdout())),
            json,
            terminal,
            colour: terminal && !plain,
        }
    }

    /// Whether programs read it.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Hands on what was printed.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.to.flush()?)
    }

    /// Prints one line of JSON.
    pub(crate) fn value(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.to, value).map_err(io::Error::from)?;
        Ok(self.to.write_all(b"\n")?)
    }

    /// Prints bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.to.write_all(bytes)?)
    }

    /// Prints a line of our own words.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.to, "{}", harmless(text))?)
    }

    /// Prints what an agent printed; on a terminal, only its text and colours get through.
    pub(crate) fn transcript(
        &mut self,
        text: &str,
        terminal: &mut Sanitizer,
    ) -> Result<(), Failure> {
        if self.terminal {
            let clean = terminal.clean(text);
            self.to.write_all(clean.as_bytes())?;
        } else {
            self.to.write_all(text.as_bytes())?;
        }
        self.flush()
    }

    /// Prints a patch: as it is for a program, harmless and coloured for a terminal.
    pub(crate) fn patch(&mut self, text: &str) -> Result<(), Failure> {
        if !self.terminal {
            return self.raw(text.as_bytes());
        }
        for line in text.lines() {
            let colour = match line.as_bytes() {
                [b'+', ..] => "\x1b[32m",
                [b'-', ..] => "\x1b[31m",
                [b'@', b'@', ..] => "\x1b[36m",
                _ => "",
            };
            match colour.is_empty() || !self.colour {
                true => writeln!(self.to, "{}", harmless(line))?,
                false => writeln!(self.to, "{colour}{}\x1b[0m", harmless(line))?,
            }
        }
        Ok(())
    }

    /// Prints names and values, one pair a line; empty values are left out.
    pub(crate) fn pairs(&mut self, pairs: &[(&str, String)]) -> Result<(), Failure> {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
            let name = self.dim(&format!("{name:width$}"));
            writeln!(self.to, "{name}  {}", harmless(value))?;
        }
        Ok(())
    }

    /// Prints a table with aligned columns.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| cut(&harmless(cell))).collect()).collect();
        let widths: Vec<usize> = (0..head.len())
            .map(|column| {
                rows.iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .chain([head[column].len()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let titles: Vec<String> = head.iter().map(ToString::to_string).collect();
        let title = self.dim(&aligned(&titles, &widths));
        writeln!(self.to, "{title}")?;
        for row in &rows {
            writeln!(self.to, "{}", aligned(row, &widths))?;
        }
        Ok(())
    }

    fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Prints why a command failed; if even that cannot be printed, there is nobody to tell.
pub(crate) fn complain(failure: &Failure, json: bool) {
    let _ = match json {
        true => writeln!(io::stderr(), "{}", failure.to_json()),
        false => writeln!(io::stderr(), "{failure}"),
    };
}

/// Prints a remark for people beside the output.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "hivekeeper: {text}");
}

fn aligned(row: &[String], widths: &[usize]) -> String {
    let mut line = String::new();
    for (cell, width) in row.iter().zip(widths) {
        if !line.is_empty() {
            line.push_str("  ");
        }
        line.push_str(cell);
        line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
    }
    line.trim_end().to_owned()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= COLUMN_CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(COLUMN_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

/// Text of a complaint: what could disturb or deceive is named, and what is quoted at length is cut.
pub(crate) fn quotable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, piece) in text.split('\'').enumerate() {
        if at > 0 {
            shown.push('\'');
        }
        for (taken, ch) in piece.chars().enumerate() {
            // What stands between two quotes is somebody else's words.
            if at % 2 == 1 && taken == QUOTE_CHARS_MAX {
                shown.push('…');
                break;
            }
            if is_harmful(ch) || ch == '\t' {
                shown.push_str(&format!("‹U+{:04X}›", u32::from(ch)));
            } else {
                shown.push(ch);
            }
        }
    }
    shown
}

/// Shows what could disturb a terminal or deceive a reader instead of doing it.
fn harmless(text: &str) -> String {
    text.chars().map(|ch| if is_harmful(ch) { '\u{fffd}' } else { ch }).collect()
}

/// Control characters, and those that turn the direction of writing or take no space.
fn is_harmful(ch: char) -> bool {
    (ch.is_control() && ch != '\t')
        || matches!(ch, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Lets text, line ends and colours through to a terminal and drops every other command to it,
/// also where a command is cut in two pieces.
#[derive(Debug, Default)]
pub(crate) struct Sanitizer {
    state: Escape,
    held: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Escape {
    #[default]
    Text,
    /// After ESC.
    Began,
    /// Within ESC [ … up to its final letter.
    Control,
    /// Within a string that a terminal would act on, up to BEL or ESC \.
    Words,
    /// After ESC within such a string.
    WordsEnd,
}

/// The longest colour command that is let through.
const COLOUR_CHARS_MAX: usize = 64;

impl Sanitizer {
    fn clean(&mut self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for ch in text.chars() {
            self.step(ch, &mut clean);
        }
        clean
    }

    fn step(&mut self, ch: char, clean: &mut String) {
        match self.state {
            Escape::Text => match ch {
                '\x1b' => self.state = Escape::Began,
                '\u{9b}' => self.begin_control(),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => self.state = Escape::Words,
                '\n' | '\t' => clean.push(ch),
                '\r' => {}
                ch if is_harmful(ch) => clean.push('\u{fffd}'),
                ch => clean.push(ch),
            },
            Escape::Began => match ch {
                '[' => self.begin_control(),
                ']' | 'P' | 'X' | '^' | '_' => self.state = Escape::Words,
                ' '..='/' => {}
                _ => self.state = Escape::Text,
            },
            Escape::Control => match ch {
                '0'..='9' | ';' | ':' if self.held.len() < COLOUR_CHARS_MAX => self.held.push(ch),
                'm' => {
                    clean.push_str("\x1b[");
                    clean.push_str(&self.held);
                    clean.push('m');
                    self.state = Escape::Text;
                }
                '\x1b' => self.state = Escape::Began,
                '@'..='~' => self.state = Escape::Text,
                '\n' => {
                    clean.push(ch);
                    self.state = Escape::Text;
                }
                // A command with anything else in it is no colour: let its end pass unseen.
                _ => self.state = Escape::Control,
            },
            Escape::Words => match ch {
                '\x07' | '\u{9c}' => self.state = Escape::Text,
                '\x1b' => self.state = Escape::WordsEnd,
                _ => {}
            },
            Escape::WordsEnd => {
                self.state = if ch == '\\' { Escape::Text } else { Escape::Words };
            }
        }
    }

    fn begin_control(&mut self) {
        self.held.clear();
        self.state = Escape::Control;
    }
}

/// A point in time on this machine's clock.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A number of bytes in a unit that suits it.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut rest = count as f64;
    while rest >= 1024.0 && unit + 1 < UNITS.len() {
        rest /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{rest:.1} {}", UNITS[unit]) }
}

/// A size in memory, in a unit that suits it.
pub(crate) fn size(count: usize) -> String {
    bytes(u64::try_from(count).unwrap_or(u64::MAX))
}

/// A length of time in the two units that suit it.
pub(crate) fn span(seconds: f64) -> String {
    // Rounded to whole seconds; what is negative or no number counts as nothing.
    let whole = seconds.max(0.0).round() as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole} s"),
        (0, 0, minutes) if minutes < 10 && !whole.is_multiple_of(60) => {
            format!("{minutes} min {} s", whole % 60)
        }
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A share in percent, or nothing.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{share:.1} %"))
}

/// The word a serialised enum is known by in interfaces.
pub(crate) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_long_cells_cut() {
        let widths = [4, 3];
        assert_eq!(aligned(&["ab".into(), "c".into()], &widths), "ab    c");
        assert_eq!(cut(&"x".repeat(80)).chars().count(), COLUMN_CHARS_MAX);
        assert_eq!(cut("short"), "short");
    }

    #[test]
    fn nothing_of_ours_commands_a_terminal_or_turns_its_writing() {
        assert_eq!(harmless("a\x1b]0;x\x07b\u{202e}c"), "a\u{fffd}]0;x\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn a_complaint_names_what_could_deceive_and_cuts_what_it_quotes() {
        let check = |text: &str, expected: &str| assert_eq!(quotable(text), expected, "{text:?}");
        check("there is no agent 'ann'", "there is no agent 'ann'");
        check("'a\x1b[2J\u{202e}b\nc'", "'a‹U+001B›[2J‹U+202E›b‹U+000A›c'");
        check("👩\u{200d}🚀", "👩\u{200d}🚀");
        let (long, cut) = ("ä".repeat(300), "ä".repeat(200));
        check(&format!("x '{long}' y '{long}'"), &format!("x '{cut}…' y '{cut}…'"));
        check(&long, &long);
    }

    #[test]
    fn of_an_agents_output_text_and_colours_get_through_and_nothing_else() {
        let check = |pieces: &[&str], expected: &str| {
            let mut sanitizer = Sanitizer::default();
            let clean: String = pieces.iter().map(|piece| sanitizer.clean(piece)).collect();
            assert_eq!(clean, expected, "{pieces:?}");
        };
        check(&["plain\n\ttext"], "plain\n\ttext");
        check(&["\x1b[1;31mred\x1b[0m"], "\x1b[1;31mred\x1b[0m");
        check(&["\x1b[1;3", "1mred"], "\x1b[1;31mred");
        check(&["a\x1b[2Jb\x1b[?25lc"], "abc");
        check(&["a\x1b]52;c;c2VjcmV0\x07b"], "ab");
        check(&["a\x1b]8;;http://x\x1b\\b"], "ab");
        check(&["a\x1bP1$r0m\x1b\\b"], "ab");
        check(&["a\x1b[6nb"], "ab");
        check(&["a\u{9b}2Jb\u{9d}0;t\u{9c}c"], "abc");
        check(&["bell\x07 back\x08"], "bell\u{fffd} back\u{fffd}");
        check(&["win\r\n"], "win\n");
    }

    #[test]
    fn a_length_of_time_is_shown_in_units_that_suit_it() {
        assert_eq!(span(0.2), "0 s");
        assert_eq!(span(59.6), "1 min");
        assert_eq!(span(61.0), "1 min 1 s");
        assert_eq!(span(754.0), "12 min");
        assert_eq!(span(3_700.0), "1 h 1 min");
        assert_eq!(span(200_000.0), "2 d 7 h");
        assert_eq!(span(f64::NAN), "0 s");
    }

    #[test]
    fn bytes_are_shown_in_a_unit_that_suits_them() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }
}
