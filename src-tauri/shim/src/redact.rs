//! Takes secrets out of a stream before it reaches a file, wherever the stream is cut into pieces.
//!
//! Two kinds are known: values that are secrets because a variable of the environment calls them so,
//! in every form in which programs print them ([`Values`]), and shapes that only tokens have. What
//! might still become one when more bytes come is held back; [`Redactor::let_go`] gives it up when none
//! come, except for eight bytes or more of a known value, which wait for the next byte however long
//! that takes. A secret of which the beginning was let go loses its rest. A line that is JSON stays
//! JSON. Text without secrets passes byte by byte as it is.

use crate::json_line::JsonLine;
use crate::shape::{self, Class, Shape};
pub use crate::values::{VALUE_BYTES_MIN, Values};

/// Stands in the place of a secret.
pub const REDACTED: &str = "«redacted»";
/// How much of a private key is taken out before its end is no longer believed in, in bytes.
const KEY_BYTES_MAX: usize = 64 * 1024;

/// Parts of names that call a value a secret.
const SECRET_NAMES: &[&str] = &[
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "CREDENTIAL",
    "_PWD",
    "_KEY",
    "_PAT",
];
/// Ends of names that say that the value only leads to a secret, or counts something.
const HARMLESS_ENDS: &[&str] =
    &["_FILE", "_PATH", "_DIR", "_SOCK", "_URL", "_ID", "_NAME", "_TOKENS", "_COUNT", "_PATTERN"];

/// Whether a variable's name calls its value a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let named = SECRET_NAMES.iter().any(|part| match part.strip_prefix('_') {
        Some(_) => name.ends_with(part) || name.contains(&format!("{part}_")),
        None => name.contains(part),
    });
    named && !HARMLESS_ENDS.iter().any(|end| name.ends_with(end))
}

/// What is looked for at a place of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Match {
    /// Nothing begins here.
    No,
    /// Something may begin here: `exact` bytes of a known value, or 0 of a shape.
    Part { exact: usize },
    /// A secret of `len` bytes, of which the first `keep` are none.
    Whole { keep: usize, len: usize, then: Then },
}

/// What follows a secret that was recognised by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Nothing.
    Nothing,
    /// More of its characters.
    More(Class),
    /// The body of a private key.
    Key,
}

#[derive(Debug)]
enum Mode {
    Looking,
    Swallowing(Class),
    Key(Key),
}

/// What a secret may begin with, so that almost every byte is passed at a glance.
#[derive(Debug)]
struct Starts {
    first: [bool; 256],
    /// A bit for every pair of first bytes.
    pairs: Vec<u64>,
    shapes: Vec<(u8, Vec<&'static Shape>)>,
}

impl Starts {
    fn new(values: &Values) -> Self {
        let mut starts = Self { first: [false; 256], pairs: vec![0; 1024], shapes: Vec::new() };
        for pair in values.first_pairs().chain(shape::first_pairs()) {
            starts.first[usize::from(pair[0])] = true;
            let (word, bit) = place(pair[0], pair[1]);
            starts.pairs[word] |= bit;
        }
        for first in 0..=u8::MAX {
            let shapes: Vec<_> = Shape::beginning_with(first).collect();
            if !shapes.is_empty() {
                starts.shapes.push((first, shapes));
            }
        }
        starts
    }

    /// The next place from `at` on where something may begin.
    fn next(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        while let Some(byte) = bytes.get(at) {
            if self.first[usize::from(*byte)] {
                let Some(second) = bytes.get(at + 1) else {
                    return Some(at);
                };
                let (word, bit) = place(*byte, *second);
                if self.pairs[word] & bit != 0 {
                    return Some(at);
                }
            }
            at += 1;
        }
        None
    }

    fn shapes(&self, first: u8) -> &[&'static Shape] {
        let found = self.shapes.iter().find(|(byte, _)| *byte == first);
        found.map_or(&[], |(_, shapes)| shapes)
    }
}

/// Where in the table a pair has its bit.
const fn place(first: u8, second: u8) -> (usize, u64) {
    let number = (first as usize) << 8 | second as usize;
    (number / 64, 1 << (number % 64))
}

/// Takes the secrets out of one stream.
#[derive(Debug)]
pub struct Redactor {
    values: Values,
    starts: Starts,
    mode: Mode,
    /// What may still become a secret.
    held: Vec<u8>,
    /// How many bytes of `held` are out already.
    out_already: usize,
    /// The bytes before `held`, as far as they matter.
    before: Vec<u8>,
    line: JsonLine,
    /// How many secrets were taken out.
    pub taken: u64,
}

impl Redactor {
    /// Looks for these values and for the known shapes.
    #[must_use]
    pub fn new(values: Values) -> Self {
        let starts = Starts::new(&values);
        Self {
            values,
            starts,
            mode: Mode::Looking,
            held: Vec::new(),
            out_already: 0,
            before: Vec::new(),
            line: JsonLine::default(),
            taken: 0,
        }
    }

    /// Takes the next piece of the stream and appends what is known to be harmless to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.advance(bytes, false, out);
    }

    /// Whether something is held back that [`Redactor::let_go`] would give up.
    #[must_use]
    pub fn holds(&self) -> bool {
        matches!(self.mode, Mode::Looking)
            && self.held.len() > self.out_already
            && self.held_of_value() < VALUE_BYTES_MIN
    }

    /// Appends what is held back: nothing came for a while, and a prompt may be among it.
    pub fn let_go(&mut self, out: &mut Vec<u8>) {
        if self.holds() {
            let held = &self.held[self.out_already..];
            self.line.feed(held);
            out.extend_from_slice(held);
            self.out_already = self.held.len();
        }
    }

    /// The stream has ended: what never became a secret is appended, all but a beginning of a known
    /// value that is long enough to tell something.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.advance(&[], true, out);
    }

    /// What is left of `text` without its secrets; nothing where it has none.
    #[must_use]
    pub fn cleaned(values: &Values, text: &str) -> Option<String> {
        let mut redactor = Self::new(values.clone());
        let mut out = Vec::new();
        redactor.push(text.as_bytes(), &mut out);
        redactor.finish(&mut out);
        (redactor.taken > 0).then(|| String::from_utf8_lossy(&out).into_owned())
    }

    fn held_of_value(&self) -> usize {
        match self.values.find(&self.held) {
            Match::Part { exact } => exact,
            _ => 0,
        }
    }

    fn advance(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) {
        let mut held = std::mem::take(&mut self.held);
        if held.is_empty() {
            let used = self.work(bytes, last, out);
            held.extend_from_slice(&bytes[used..]);
            self.remember(&bytes[..used]);
        } else {
            held.extend_from_slice(bytes);
            let used = self.work(&held, last, out);
            self.out_already = self.out_already.saturating_sub(used);
            self.remember(&held[..used]);
            held.drain(..used);
        }
        self.held = held;
    }

    fn remember(&mut self, used: &[u8]) {
        let from = used.len().saturating_sub(shape::BEFORE_BYTES);
        self.before.extend_from_slice(&used[from..]);
        let surplus = self.before.len().saturating_sub(shape::BEFORE_BYTES);
        self.before.drain(..surplus);
    }

    /// Works through `bytes` and says how many need not be seen again.
    fn work(&mut self, bytes: &[u8], last: bool, out: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            match &mut self.mode {
                Mode::Looking => match self.look(bytes, at, last, out) {
                    (next, true) => at = next,
                    (next, false) => return next,
                },
                Mode::Swallowing(class) => {
                    at += bytes[at..].iter().take_while(|byte| class.has(**byte)).count();
                    if at < bytes.len() {
                        self.mode = Mode::Looking;
                    }
                }
                Mode::Key(key) => {
                    at += match key.take(&bytes[at..], last) {
                        (used, false) if at + used == bytes.len() => used,
                        (used, false) => return at + used,
                        (used, true) => {
                            if key.at_line_start() {
                                self.line.feed(b"\n");
                                out.push(b'\n');
                            }
                            self.mode = Mode::Looking;
                            used
                        }
                    };
                }
            }
        }
        at
    }

    /// Passes bytes on up to the next secret or what may become one; says where it stands then, and
    /// whether to go on.
    fn look(&mut self, bytes: &[u8], from: usize, last: bool, out: &mut Vec<u8>) -> (usize, bool) {
        let mut at = from;
        while let Some(found) = self.starts.next(bytes, at) {
            at = found;
            let (keep, len, then) = match self.candidate(bytes, at) {
                Match::Whole { keep, len, then } => (keep, len, then),
                Match::Part { exact } if last && exact >= VALUE_BYTES_MIN => {
                    (0, bytes.len() - at, Then::Nothing)
                }
                Match::Part { .. } if !last => {
                    self.pass(bytes, from, at, out);
                    return (at, false);
                }
                Match::Part { .. } | Match::No => {
                    at += 1;
                    continue;
                }
            };
            self.pass(bytes, from, at + keep, out);
            let begin = (at + keep).max(self.out_already).min(at + len);
            self.line.replace(&bytes[begin..at + len], out);
            self.taken += 1;
            self.mode = match then {
                Then::Nothing => Mode::Looking,
                Then::More(class) => Mode::Swallowing(class),
                Then::Key => Mode::Key(Key::default()),
            };
            return (at + len, true);
        }
        self.pass(bytes, from, bytes.len(), out);
        (bytes.len(), true)
    }

    fn candidate(&self, bytes: &[u8], at: usize) -> Match {
        let rest = &bytes[at..];
        match self.values.find(rest) {
            Match::No => {}
            found => return found,
        }
        let mut best = Match::No;
        for shape in self.starts.shapes(rest[0]) {
            match shape.find(rest) {
                Match::No => {}
                _ if shape.wants_edge() && !self.edge(bytes, at) => {}
                found @ Match::Whole { .. } => return found,
                part => best = part,
            }
        }
        best
    }

    /// Whether a word may begin at `at`.
    fn edge(&self, bytes: &[u8], at: usize) -> bool {
        if at >= shape::BEFORE_BYTES {
            return shape::is_edge(&bytes[at - shape::BEFORE_BYTES..at]);
        }
        let mut before = self.before.clone();
        before.extend_from_slice(&bytes[..at]);
        shape::is_edge(&before[before.len().saturating_sub(shape::BEFORE_BYTES)..])
    }

    /// Appends what is no secret, and is not out already.
    fn pass(&mut self, bytes: &[u8], from: usize, to: usize, out: &mut Vec<u8>) {
        let from = from.max(self.out_already);
        if from < to {
            self.line.feed(&bytes[from..to]);
            out.extend_from_slice(&bytes[from..to]);
        }
    }
}

/// Where in a private key the stream is.
#[derive(Debug, Default)]
struct Key {
    taken: usize,
    /// The last eight bytes.
    recent: u64,
    /// Whether this line is a header such as `Comment:`, which may hold anything.
    header: bool,
    /// After `-----END`: how many of the last dashes have come.
    ending: Option<u8>,
}

impl Key {
    /// Takes what belongs to the key; says how much that is and whether the key is over.
    fn take(&mut self, bytes: &[u8], last: bool) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            let step = if let Some(dashes) = &mut self.ending {
                match byte {
                    b'-' => {
                        *dashes += 1;
                        if *dashes == 5 {
                            self.recent = 0;
                            return (at + 1, true);
                        }
                        1
                    }
                    b'A'..=b'Z' | b'0'..=b'9' | b' ' if *dashes == 0 => 1,
                    _ => return (at, true),
                }
            } else if byte == b'\\' {
                match bytes.get(at + 1) {
                    Some(b'n' | b'r') => {
                        self.header = false;
                        2
                    }
                    Some(b't' | b'u' | b'\\' | b'/') => 2,
                    None if !last => return (at, false),
                    _ => return (at, true),
                }
            } else if self.body(byte) {
                1
            } else {
                return (at, true);
            };
            for byte in &bytes[at..at + step] {
                self.recent = self.recent << 8 | u64::from(*byte);
            }
            if self.recent == u64::from_be_bytes(*b"-----END") {
                self.ending = Some(0);
            }
            at += step;
            self.taken += step;
            if self.taken > KEY_BYTES_MAX {
                return (at, true);
            }
        }
        (at, false)
    }

    fn body(&mut self, byte: u8) -> bool {
        match byte {
            b'\n' => self.header = false,
            b':' => self.header = true,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => {}
            b'+' | b'/' | b'=' | b',' | b'-' | b'\r' => {}
            b'"' => return false,
            b' '..=b'~' | b'\t' => return self.header,
            _ => return false,
        }
        true
    }

    const fn at_line_start(&self) -> bool {
        self.recent & 0xff == b'\n' as u64
    }
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
