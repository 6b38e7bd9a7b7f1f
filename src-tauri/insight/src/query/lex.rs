//! Words, numbers, texts and signs of an expression, each with its place.

use super::error::{Fault, Span};

/// The longest expression, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4096;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lexeme {
    Number(f64),
    /// A length of time in milliseconds.
    Duration(i64),
    Text(String),
    Word(String),
    Sign(&'static str),
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) is: Lexeme,
    pub(super) span: Span,
}

/// Longer ones first.
const SIGNS: &[&str] = &[
    "==", "!=", ">=", "<=", "=~", "!~", "(", ")", "{", "}", "[", "]", ",", "@", "+", "-", "*", "/",
    "%", "^", ">", "<", "=", ":",
];
/// Units of a length of time, the largest first, as they must be written.
const UNITS: &[(&str, i64)] = &[
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];
/// The longest length of time: a hundred years.
const DURATION_MAX_MS: i64 = 100 * 365 * 86_400_000;

/// Takes an expression apart; the last token is [`Lexeme::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let what = format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(Fault::new(text, &(0..0), what).hint("ask for its parts one by one"));
    }
    let mut lexer = Lexer { text, at: 0, brackets: 0 };
    let mut tokens = Vec::new();
    loop {
        let token = lexer.next()?;
        let end = token.is == Lexeme::End;
        tokens.push(token);
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// How many square brackets are open: within them a colon is a sign.
    brackets: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn fault(&self, span: &Span, what: impl Into<String>) -> Fault {
        Fault::new(self.text, span, what)
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
            let comment = rest.get(blanks..).filter(|rest| rest.starts_with('#'));
            let comment = comment.map_or(0, |rest| rest.find('\n').unwrap_or(rest.len()));
            if blanks + comment == 0 {
                return;
            }
            self.at += blanks + comment;
        }
    }

    fn next(&mut self) -> Result<Token, Fault> {
        self.skip_blanks();
        let start = self.at;
        let Some(first) = self.rest().chars().next() else {
            return Ok(Token { is: Lexeme::End, span: start..start });
        };
        let dotted =
            first == '.' && self.rest()[1..].starts_with(|next: char| next.is_ascii_digit());
        let is = if first.is_ascii_digit() || dotted {
            self.number()?
        } else if first.is_ascii_alphabetic()
            || first == '_'
            || (first == ':' && self.brackets == 0)
        {
            self.word()
        } else if matches!(first, '"' | '\'' | '`') {
            self.string(first)?
        } else {
            let sign = SIGNS.iter().find(|sign| self.rest().starts_with(**sign));
            let Some(sign) = sign else {
                let span = start..start + first.len_utf8();
                let fault = self.fault(&span, format!("'{first}' has no meaning here"));
                return Err(match first {
                    '!' => fault.hint("not equal is written !=, no match !~"),
                    '&' | '|' => fault.hint("write and, or, unless"),
                    '$' => fault.hint("there are no variables; write the value"),
                    _ => fault,
                });
            };
            self.at += sign.len();
            match *sign {
                "[" => self.brackets += 1,
                "]" => self.brackets = self.brackets.saturating_sub(1),
                _ => {}
            }
            Lexeme::Sign(sign)
        };
        Ok(Token { is, span: start..self.at })
    }

    fn word(&mut self) -> Lexeme {
        let rest = self.rest();
        let end = rest
            .find(|next: char| !(next.is_ascii_alphanumeric() || next == '_' || next == ':'))
            .unwrap_or(rest.len());
        let word = rest[..end].to_owned();
        self.at += end;
        match word.to_ascii_lowercase().as_str() {
            "inf" => Lexeme::Number(f64::INFINITY),
            "nan" => Lexeme::Number(f64::NAN),
            _ => Lexeme::Word(word),
        }
    }

    fn number(&mut self) -> Result<Lexeme, Fault> {
        let rest = self.rest();
        let mut end = 0;
        let bytes = rest.as_bytes();
        while let Some(byte) = bytes.get(end) {
            let signed = matches!(byte, b'+' | b'-')
                && matches!(bytes.get(end.wrapping_sub(1)), Some(b'e' | b'E'))
                && !rest.starts_with("0x")
                && !rest.starts_with("0X");
            if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || signed) {
                break;
            }
            end += 1;
        }
        let written = &rest[..end];
        let span = self.at..self.at + end;
        let read = match duration(written) {
            Some(Ok(length)) => Ok(Lexeme::Duration(length)),
            Some(Err(what)) => Err(self.fault(&span, format!("'{written}' {what}"))),
            None => {
                number(written).map(Lexeme::Number).ok_or_else(|| self.not_a_number(&span, written))
            }
        };
        self.at += end;
        read
    }

    fn not_a_number(&self, span: &Span, written: &str) -> Fault {
        let fault =
            self.fault(span, format!("'{written}' is neither a number nor a length of time"));
        if written.len() > 1 && written.bytes().all(|byte| byte.is_ascii_digit()) {
            return fault.hint("a leading zero would make it octal; leave it out");
        }
        fault.hint("numbers are written 1, 2.5 or 1e3, lengths of time 30s, 5m, 1h30m or 7d")
    }

    fn string(&mut self, quote: char) -> Result<Lexeme, Fault> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let mut rest = self.rest().chars();
            match rest.next() {
                None => {
                    let fault = self.fault(&(start..self.text.len()), "the text does not end");
                    return Err(fault.hint(format!("end it with {quote}")));
                }
                Some('\n') if quote != '`' => {
                    let span = self.at..self.at + 1;
                    return Err(self.fault(&span, "a line ends within the text").hint("write \\n"));
                }
                Some(end) if end == quote => {
                    self.at += 1;
                    return Ok(Lexeme::Text(out));
                }
                Some('\\') if quote != '`' => self.escape(&mut out)?,
                Some(next) => {
                    out.push(next);
                    self.at += next.len_utf8();
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Fault> {
        let rest = self.rest();
        let kind = rest[1..].chars().next();
        let digits = |from: usize, len: usize, radix: u32| {
            let digits = rest.get(from..from + len)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            char::from_u32(u32::from_str_radix(digits, radix).ok().filter(|_| plain)?)
        };
        let (read, length) = match kind {
            Some('n') => (Some('\n'), 2),
            Some('t') => (Some('\t'), 2),
            Some('r') => (Some('\r'), 2),
            Some('a') => (Some('\u{7}'), 2),
            Some('b') => (Some('\u{8}'), 2),
            Some('f') => (Some('\u{c}'), 2),
            Some('v') => (Some('\u{b}'), 2),
            Some(same @ ('\\' | '"' | '\'')) => (Some(same), 2),
            // Beyond ASCII, \x and octal name bytes, not characters.
            Some('x') => (digits(2, 2, 16).filter(char::is_ascii), 4),
            Some('u') => (digits(2, 4, 16), 6),
            Some('U') => (digits(2, 8, 16), 10),
            Some('0'..='7') => (digits(1, 3, 8).filter(char::is_ascii), 4),
            _ => (None, 2),
        };
        let Some(read) = read else {
            let end = self.at + 1 + kind.map_or(0, char::len_utf8);
            let fault = self.fault(&(self.at..end), "this escape is not known");
            return Err(fault.hint("a backslash is written \\\\, or quote the text with `"));
        };
        out.push(read);
        self.at += length;
        Ok(())
    }
}

fn number(written: &str) -> Option<f64> {
    if let Some(digits) = written.strip_prefix("0x").or_else(|| written.strip_prefix("0X")) {
        let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        return i64::from_str_radix(digits, 16).ok().filter(|_| plain).map(|it| it as f64);
    }
    let octal = written.len() > 1
        && written.starts_with('0')
        && written.bytes().all(|byte| byte.is_ascii_digit());
    let plain = written.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let number: f64 = written.parse().ok().filter(|_| plain && !octal)?;
    number.is_finite().then_some(number)
}

/// A length of time; nothing where it is not written as one, and why not where it is too long.
pub(super) fn duration(written: &str) -> Option<Result<i64, &'static str>> {
    let mut rest = written;
    let mut total: i64 = 0;
    let mut allowed = UNITS;
    while !rest.is_empty() {
        let end = rest.find(|next: char| !next.is_ascii_digit()).filter(|end| *end > 0)?;
        let (digits, after) = rest.split_at(end);
        let unit_end = after.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        UNITS.iter().find(|(name, _)| *name == unit)?;
        let Some(place) = allowed.iter().position(|(name, _)| *name == unit) else {
            return Some(Err("has its units in another order than y, w, d, h, m, s, ms"));
        };
        let length = allowed[place].1;
        allowed = &allowed[place + 1..];
        let part = digits.parse::<i64>().ok().and_then(|many| many.checked_mul(length));
        total = part.and_then(|part| total.checked_add(part)).unwrap_or(i64::MAX);
        rest = after;
    }
    if written.is_empty() {
        return None;
    }
    Some(if total > DURATION_MAX_MS { Err("is longer than a hundred years") } else { Ok(total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexemes(text: &str) -> Vec<Lexeme> {
        tokens(text).unwrap().into_iter().map(|token| token.is).collect()
    }

    #[test]
    fn numbers_and_lengths_of_time_are_read_as_they_are_written() {
        for (text, number) in [
            ("1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("2.5e-1", 0.25),
            ("0x1F", 31.0),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(lexemes(text)[0], Lexeme::Number(number), "{text}");
        }
        for (text, length) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("150ms", 150),
            ("1w2d", 777_600_000),
            ("0s", 0),
        ] {
            assert_eq!(lexemes(text)[0], Lexeme::Duration(length), "{text}");
        }
        for text in [
            "5q",
            "1m1h",
            "0755",
            "1_000",
            "1e",
            "0xzz",
            "1e999",
            "300y",
            "5m5",
            "99999999999999999999s",
        ] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }

    #[test]
    fn texts_are_read_with_their_escapes() {
        for (text, read) in [
            (r#""a\"b\n""#, "a\"b\n"),
            (r"'it\'s'", "it's"),
            (r"`\d+`", r"\d+"),
            (r#""\x41\101\u00e9""#, "AAé"),
        ] {
            assert_eq!(lexemes(text)[0], Lexeme::Text(read.into()), "{text}");
        }
        for text in ["\"a", "'a\nb'", r#""\d""#, r#""\xff""#, r#""\u12""#, r#""\ud800""#] {
            assert!(tokens(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fault_is_placed_by_characters() {
        let fault = tokens("é + $x").unwrap_err();
        assert_eq!((fault.position, fault.length), (1, 1));
        let fault = tokens("'é' + $x").unwrap_err();
        assert_eq!((fault.position, fault.length), (7, 1), "{fault}");
        assert!(fault.hint.unwrap().contains("variables"));
    }
}
