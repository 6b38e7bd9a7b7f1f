//! Follows a stream closely enough to know how to take something out of a line of JSON.

use crate::redact::REDACTED;

/// Where in a line the stream is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    LineStart,
    /// In a line that is not JSON.
    Plain,
    /// In JSON, between strings.
    Outside,
    /// In a string.
    Inside,
}

/// Follows lines; those that begin with `{` or `[` are JSON.
#[derive(Debug, Clone, Default)]
pub(crate) struct JsonLine {
    place: Place,
    /// How many bytes of an escape are still to come; [`AFTER_BACKSLASH`] right after `\`.
    escape: u8,
}

const AFTER_BACKSLASH: u8 = 0xff;

impl JsonLine {
    /// Follows bytes that are passed on.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            match self.place {
                Place::Plain => match bytes[at..].iter().position(|byte| *byte == b'\n') {
                    Some(end) => {
                        at += end + 1;
                        self.place = Place::LineStart;
                    }
                    None => return,
                },
                Place::Inside if self.escape == 0 => {
                    let telling = |byte: &u8| matches!(byte, b'"' | b'\\' | b'\n');
                    match bytes[at..].iter().position(telling) {
                        Some(end) => {
                            self.step(bytes[at + end]);
                            at += end + 1;
                        }
                        None => return,
                    }
                }
                _ => {
                    self.step(bytes[at]);
                    at += 1;
                }
            }
        }
    }

    fn step(&mut self, byte: u8) {
        if byte == b'\n' {
            *self = Self::default();
            return;
        }
        match (self.place, byte) {
            (Place::LineStart, b' ' | b'\t' | b'\r') => {}
            (Place::LineStart, b'{' | b'[') => self.place = Place::Outside,
            (Place::LineStart, _) => self.place = Place::Plain,
            (Place::Outside, b'"') => self.place = Place::Inside,
            (Place::Inside, _) if self.escape == AFTER_BACKSLASH => {
                self.escape = if byte == b'u' { 4 } else { 0 };
            }
            (Place::Inside, _) if self.escape > 0 => self.escape -= 1,
            (Place::Inside, b'\\') => self.escape = AFTER_BACKSLASH,
            (Place::Inside, b'"') => self.place = Place::Outside,
            _ => {}
        }
    }

    /// Appends what stands for `secret` at this place, so that JSON stays JSON.
    pub(crate) fn replace(&mut self, secret: &[u8], out: &mut Vec<u8>) {
        // The rest of an escape that began before is no secret.
        let begun = match (self.escape, secret.first()) {
            (AFTER_BACKSLASH, Some(b'u')) => 5,
            (AFTER_BACKSLASH, _) => 1,
            (left, _) => usize::from(left),
        };
        let (begun, secret) = secret.split_at(begun.min(secret.len()));
        self.feed(begun);
        out.extend_from_slice(begun);
        if secret.is_empty() {
            return;
        }
        let json_value = self.place == Place::LineStart && matches!(secret[0], b'{' | b'[');
        let before = if json_value { Place::Outside } else { self.place };
        if before == Place::Outside && secret.iter().all(u8::is_ascii_digit) {
            // Part of a number: what stands for it must be one too.
            out.extend(std::iter::repeat_n(b'9', secret.len()));
            return;
        }
        self.feed(secret);
        if before == Place::Outside {
            out.push(b'"');
        }
        out.extend_from_slice(REDACTED.as_bytes());
        match (before, self.place) {
            (Place::Outside | Place::Inside, Place::Outside) => out.push(b'"'),
            (Place::Inside, Place::Inside) if self.escape > 0 => {
                let from = secret.iter().rposition(|byte| *byte == b'\\').unwrap_or(secret.len());
                out.extend_from_slice(&secret[from..]);
            }
            _ => {}
        }
        if secret.ends_with(b"\n") {
            out.push(b'\n');
        } else if secret.contains(&b'\n') {
            self.place = Place::Plain;
        }
    }
}
