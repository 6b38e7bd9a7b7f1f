//! The shapes that tokens of known services have, recognised by their first bytes.
//!
//! These are the ones worth finding in a stream at the speed of the disk; `agents::secrets` knows
//! more of them and looks at whole lines.

use crate::redact::{Match, Then};

/// How many bytes before a word matter for whether it begins there.
pub(crate) const BEFORE_BYTES: usize = 16;
/// How far a digit is looked for before a word is held to be none, in bytes.
const BODY_BYTES_MAX: usize = 128;
/// The longest first part of a JSON web token, in bytes.
const JWT_HEAD_BYTES_MAX: usize = 512;
/// The longest name of a kind of key, in bytes.
const KEY_NAME_BYTES_MAX: usize = 48;

/// Characters that a token is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Letters, digits, `_`.
    Word,
    /// Letters, digits, `_`, `-`.
    Dashed,
    /// Capital letters and digits.
    Capitals,
    /// Letters, digits, `_`, `-`, `.`.
    Dotted,
    /// What may stand in an `Authorization` header.
    Header,
}

impl Class {
    pub(crate) const fn has(self, byte: u8) -> bool {
        match self {
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Self::Dashed => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Header => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-' | b'.' | b'~' | b'+' | b'/' | b'=')
            }
        }
    }
}

/// One shape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    /// A telling beginning and so many characters.
    Prefix { prefix: &'static [u8], class: Class, min: usize },
    /// A short beginning that needs a digit behind it and no letter before it.
    Word { prefix: &'static [u8], class: Class, min: usize },
    /// `Bearer` and a token.
    Bearer,
    /// A JSON web token.
    Jwt,
    /// A private key.
    Key,
}

const fn prefix(prefix: &'static [u8], class: Class, min: usize) -> Shape {
    Shape::Prefix { prefix, class, min }
}

const KEY_BEGIN: &[u8] = b"-----BEGIN ";
const BEARER: &[u8] = b"bearer";
const SHAPES: &[Shape] = &[
    Shape::Word { prefix: b"sk-", class: Class::Dashed, min: 20 },
    prefix(b"sk_live_", Class::Word, 16),
    prefix(b"rk_live_", Class::Word, 16),
    prefix(b"ghp_", Class::Word, 20),
    prefix(b"gho_", Class::Word, 20),
    prefix(b"ghu_", Class::Word, 20),
    prefix(b"ghs_", Class::Word, 20),
    prefix(b"ghr_", Class::Word, 20),
    prefix(b"github_pat_", Class::Word, 20),
    prefix(b"glpat-", Class::Dashed, 20),
    prefix(b"AKIA", Class::Capitals, 16),
    prefix(b"ASIA", Class::Capitals, 16),
    prefix(b"AIza", Class::Dashed, 30),
    prefix(b"GOCSPX-", Class::Dashed, 20),
    prefix(b"xoxa-", Class::Dashed, 10),
    prefix(b"xoxb-", Class::Dashed, 10),
    prefix(b"xoxp-", Class::Dashed, 10),
    prefix(b"xoxr-", Class::Dashed, 10),
    prefix(b"xoxs-", Class::Dashed, 10),
    prefix(b"npm_", Class::Word, 36),
    prefix(b"hf_", Class::Word, 34),
    // Our own.
    Shape::Word { prefix: b"hk_", class: Class::Word, min: 40 },
    Shape::Bearer,
    Shape::Jwt,
    Shape::Key,
];

/// Every pair of bytes with which a shape begins.
pub(crate) fn first_pairs() -> impl Iterator<Item = [u8; 2]> {
    SHAPES.iter().flat_map(|shape| match shape {
        Shape::Prefix { prefix, .. } | Shape::Word { prefix, .. } => vec![[prefix[0], prefix[1]]],
        Shape::Bearer => vec![*b"be", *b"bE", *b"Be", *b"BE"],
        Shape::Jwt => vec![*b"ey"],
        Shape::Key => vec![*b"--"],
    })
}

impl Shape {
    pub(crate) fn beginning_with(first: u8) -> impl Iterator<Item = &'static Self> {
        SHAPES.iter().filter(move |shape| shape.firsts().contains(&first))
    }

    fn firsts(&self) -> &'static [u8] {
        match self {
            Self::Prefix { prefix, .. } | Self::Word { prefix, .. } => &prefix[..1],
            Self::Bearer => b"bB",
            Self::Jwt => b"e",
            Self::Key => b"-",
        }
    }

    /// Whether a letter before it makes it an ordinary word.
    pub(crate) const fn wants_edge(&self) -> bool {
        matches!(self, Self::Word { .. } | Self::Bearer)
    }

    /// What of this shape begins with `rest`. The answer for more bytes never takes back a
    /// [`Match::Whole`] or a [`Match::No`]: so it does not matter where the stream is cut.
    pub(crate) fn find(&self, rest: &[u8]) -> Match {
        match self {
            Self::Prefix { prefix, class, min } => match after(rest, prefix) {
                Ok(body) => counted(body, prefix.len(), 0, (*class, *min), false),
                Err(found) => found,
            },
            Self::Word { prefix, class, min } => match after(rest, prefix) {
                Ok(body) => counted(body, prefix.len(), 0, (*class, *min), true),
                Err(found) => found,
            },
            Self::Bearer => bearer(rest),
            Self::Jwt => jwt(rest),
            Self::Key => key(rest),
        }
    }
}

/// What follows `prefix`, or the answer where it is not all there.
fn after<'a>(rest: &'a [u8], prefix: &[u8]) -> Result<&'a [u8], Match> {
    match rest.strip_prefix(prefix) {
        Some(body) => Ok(body),
        None if prefix.starts_with(rest) => Err(Match::Part { exact: 0 }),
        None => Err(Match::No),
    }
}

/// Whether `body` begins with enough characters of a token.
fn counted(
    body: &[u8],
    prefix: usize,
    keep: usize,
    (class, min): (Class, usize),
    digit: bool,
) -> Match {
    let run = body.iter().take(BODY_BYTES_MAX).take_while(|byte| class.has(**byte)).count();
    if run >= min && (!digit || body[..run].iter().any(u8::is_ascii_digit)) {
        return Match::Whole { keep, len: prefix + run, then: Then::More(class) };
    }
    if run == body.len() && run < BODY_BYTES_MAX { Match::Part { exact: 0 } } else { Match::No }
}

fn bearer(rest: &[u8]) -> Match {
    let word = rest.len().min(BEARER.len());
    if !rest[..word].eq_ignore_ascii_case(&BEARER[..word]) {
        return Match::No;
    }
    let spaces = rest[word..].iter().take(8).take_while(|byte| **byte == b' ').count();
    let prefix = word + spaces;
    if prefix == rest.len() {
        return Match::Part { exact: 0 };
    }
    if spaces == 0 {
        return Match::No;
    }
    counted(&rest[prefix..], prefix, prefix, (Class::Header, 16), true)
}

fn jwt(rest: &[u8]) -> Match {
    let head = match after(rest, b"eyJ") {
        Ok(body) => {
            let room = body.iter().take(JWT_HEAD_BYTES_MAX);
            3 + room.take_while(|byte| Class::Dashed.has(**byte)).count()
        }
        Err(found) => return found,
    };
    match rest.get(head) {
        None => return Match::Part { exact: 0 },
        Some(b'.') if head >= 13 => {}
        _ => return Match::No,
    }
    let body = &rest[head + 1..];
    let run = body.iter().take(10).take_while(|byte| Class::Dashed.has(**byte)).count();
    match run {
        10 => Match::Whole { keep: 0, len: head + 11, then: Then::More(Class::Dotted) },
        _ if run == body.len() => Match::Part { exact: 0 },
        _ => Match::No,
    }
}

fn key(rest: &[u8]) -> Match {
    let body = match after(rest, KEY_BEGIN) {
        Ok(body) => body,
        Err(found) => return found,
    };
    let name = body
        .iter()
        .take(KEY_NAME_BYTES_MAX)
        .take_while(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || **byte == b' ')
        .count();
    let (name, dashes) = body.split_at(name);
    let lines = b"-----";
    if !dashes.starts_with(lines) {
        let open = lines.starts_with(dashes);
        return if open { Match::Part { exact: 0 } } else { Match::No };
    }
    if !name.ends_with(b"PRIVATE KEY") && !name.ends_with(b"PRIVATE KEY BLOCK") {
        return Match::No;
    }
    let len = KEY_BEGIN.len() + name.len() + lines.len();
    Match::Whole { keep: 0, len, then: Then::Key }
}

/// Whether a word begins after these bytes: no letter before it, or one that belongs to an escape
/// (`\n` in JSON, a colour of the terminal).
pub(crate) fn is_edge(before: &[u8]) -> bool {
    let Some((last, head)) = before.split_last() else {
        return true;
    };
    if !last.is_ascii_alphanumeric() && *last != b'_' {
        return true;
    }
    if head.last() == Some(&b'\\') {
        return true;
    }
    if before.len() >= 6 && before[before.len() - 6..].starts_with(b"\\u") {
        return true;
    }
    let digits =
        head.iter().rev().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    *last == b'm' && head[..head.len() - digits].last() == Some(&b'[')
}
