//! Finds what looks like a secret in a line of text, and takes it out.
//!
//! Two kinds of rules: shapes that only a token of a known service has, and values that a name such
//! as `api_key` calls a secret. The second kind also needs a value that looks random. What people
//! write in the place of a secret (`xxxx`, `${TOKEN}`, `<your key>`) is none. A secret without a
//! known shape and without a telling name is not found.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};

/// The most memory one compiled pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Of a value that only its name calls a secret, the least entropy, in bits for each character.
const ENTROPY_MIN: f64 = 3.0;
/// As many equal characters in a row stand in a placeholder, never in a token.
const RUN_MAX: usize = 5;
/// Stands in the first line of a private key.
const KEY_BEGINS: &str = "PRIVATE KEY";
/// What may stand before a private key's body.
const KEY_HEADERS: &[&str] =
    &["Charset:", "Comment:", "DEK-Info:", "Hash:", "Proc-Type:", "Version:"];
/// Words that people write in the place of a secret.
const PLACEHOLDERS: &[&str] = &[
    "changeme",
    "dummy",
    "example",
    "fake",
    "insert",
    "password",
    "placeholder",
    "redacted",
    "replace",
    "sample",
    "secret",
    "todo",
    "your",
];

/// What looks like a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// What it looks like, in words a person reads.
    pub rule: &'static str,
    /// Where it begins, in bytes of the line.
    pub start: usize,
    /// Where it ends, in bytes of the line.
    pub end: usize,
}

/// How much a match must look like a secret beyond its shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Its shape says it all.
    Shape,
    /// It is not one of the texts people write in the place of a secret.
    Token,
    /// It also looks random: only its name says that it is a secret.
    Random,
}

/// A rule. The group `s` of its pattern, or all of it, is the secret; it consists of ASCII.
struct Rule {
    name: &'static str,
    pattern: &'static str,
    proof: Proof,
}

const fn rule(name: &'static str, proof: Proof, pattern: &'static str) -> Rule {
    Rule { name, pattern, proof }
}

/// Names by which a value is called a secret; `{K}` in a pattern.
const NAMES: &str = r"(?:api[_-]?key|apikey|secret|token|passw(?:or)?d|pwd|credentials?|private[_-]?key|access[_-]?key|auth[_-]?key|encryption[_-]?key)(?:[_-]?(?:key|value|prod|live|dev|test|base))?";

const RULES: &[Rule] = &[
    rule("AWS access key", Proof::Token, r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b"),
    rule(
        "AWS secret key",
        Proof::Random,
        r#"(?i)\baws.{0,20}?(?:secret|key).{0,20}?["'`=: ](?P<s>[A-Z0-9/+]{40})(?:[^A-Z0-9/+=]|$)"#,
    ),
    rule("GitHub token", Proof::Token, r"\bgh[pousr]_[A-Za-z0-9]{36,}\b"),
    rule("GitHub token", Proof::Token, r"\bgithub_pat_[A-Za-z0-9_]{22,}\b"),
    rule("GitLab token", Proof::Token, r"\bgl(?:pat|ptt|dt|rt|cbt|ft)-[A-Za-z0-9_-]{20,}"),
    rule("Slack token", Proof::Token, r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    rule("Slack token", Proof::Token, r"\bxapp-[0-9]-[A-Za-z0-9-]{20,}"),
    rule(
        "Slack webhook",
        Proof::Token,
        r"\bhooks\.slack\.com/services/(?P<s>T[A-Z0-9]{8,12}/B[A-Z0-9]{8,12}/[A-Za-z0-9]{20,40})",
    ),
    rule("Stripe key", Proof::Token, r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,}\b"),
    rule("Stripe webhook secret", Proof::Token, r"\bwhsec_[A-Za-z0-9+/]{24,}"),
    rule("Anthropic key", Proof::Token, r"\bsk-ant-[A-Za-z0-9_-]{20,}"),
    rule("OpenAI key", Proof::Random, r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}"),
    rule("Google API key", Proof::Token, r"\bAIza[A-Za-z0-9_-]{35}"),
    rule("Google client secret", Proof::Token, r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
    rule("Google access token", Proof::Token, r"\bya29\.[A-Za-z0-9_-]{30,}"),
    rule(
        "JSON web token",
        Proof::Token,
        r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    ),
    rule("Hivekeeper token", Proof::Shape, r"\bhk_[a-z]_[A-Za-z0-9_]{32,}"),
    rule("npm token", Proof::Token, r"\bnpm_[A-Za-z0-9]{36}\b"),
    rule("PyPI token", Proof::Token, r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    rule("Hugging Face token", Proof::Token, r"\bhf_[A-Za-z0-9]{34}\b"),
    rule("SendGrid key", Proof::Token, r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    rule("DigitalOcean token", Proof::Token, r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    rule("Telegram bot token", Proof::Token, r"(?:\b|bot)(?P<s>[0-9]{8,10}:AA[A-Za-z0-9_-]{33})"),
    // A program that reads keys has the header too, but a quote behind it.
    rule(
        "private key",
        Proof::Shape,
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:(?:\\r)?\\n|[ \t]*[A-Za-z0-9+/=]{16}|[ \t\r]*$)[A-Za-z0-9+/=\\ ]*(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----)?",
    ),
    rule(
        "password in an address",
        Proof::Token,
        r##"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[!#-&(-.0-9;-?A-~]{0,64}:(?P<s>[!#-&(-.0-;=?A-~]{3,128})@[A-Za-z0-9\[]"##,
    ),
    rule("bearer token", Proof::Random, r"(?i)\bbearer\s{1,8}(?P<s>[A-Z0-9_.~+/=-]{20,})"),
    rule(
        "value called a secret",
        Proof::Random,
        r#"(?i){K}["'`]?\s{0,8}(?::\s{0,8}[&'a-z<>]{1,24}\s{0,8})?(?::=|=>|=|:)\s{0,8}(?:b|r|f)?["'`](?P<s>[!#-&(-_a-~]{12,})["'`]"#,
    ),
    // Without quotes, as in settings; what could be code is left alone.
    rule(
        "value called a secret",
        Proof::Random,
        r"^\s{0,40}(?:export\s{1,8}|[-+]\s{0,8})?(?:[A-Z][A-Z0-9_]{0,60}_)?(?i:{K})\s{0,8}[=:]\s{0,8}(?P<s>[A-Za-z0-9+/_=~-]{16,})\s*$",
    ),
];

/// The rules, compiled.
struct Compiled {
    any: RegexSet,
    each: Vec<Regex>,
}

static COMPILED: LazyLock<Compiled> = LazyLock::new(|| {
    let patterns: Vec<String> =
        RULES.iter().map(|rule| rule.pattern.replace("{K}", NAMES)).collect();
    let any = RegexSetBuilder::new(&patterns)
        .unicode(false)
        .size_limit(PATTERN_BYTES_MAX * 4)
        .build()
        .expect("every pattern is a constant that a test compiles");
    let each = patterns
        .iter()
        .map(|pattern| {
            RegexBuilder::new(pattern)
                .unicode(false)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .expect("every pattern is a constant that a test compiles")
        })
        .collect();
    Compiled { any, each }
});

/// The first thing in a line that looks like a secret.
#[must_use]
pub fn find(text_line: &str) -> Option<Found> {
    find_from(text_line.as_bytes(), 0)
}

/// As [`find`], in bytes that need not be text, and not before `from`.
pub(crate) fn find_from(line: &[u8], from: usize) -> Option<Found> {
    let compiled = &*COMPILED;
    let mut first: Option<Found> = None;
    for index in compiled.any.matches(line) {
        let rule = &RULES[index];
        let mut at = from;
        while let Some(groups) =
            (at <= line.len()).then(|| compiled.each[index].captures_at(line, at)).flatten()
        {
            let Some(secret) = groups.name("s").or_else(|| groups.get(0)) else {
                break;
            };
            if is_secret(secret.as_bytes(), rule.proof) {
                let (start, end) = (secret.start(), secret.end());
                // Of two that begin together, the longer one hides more.
                if first.is_none_or(|first| {
                    (start, std::cmp::Reverse(end)) < (first.start, std::cmp::Reverse(first.end))
                }) {
                    first = Some(Found { rule: rule.name, start, end });
                }
                break;
            }
            at = secret.end().max(at + 1);
        }
    }
    first
}

fn is_secret(value: &[u8], proof: Proof) -> bool {
    match proof {
        Proof::Shape => true,
        Proof::Token => !is_placeholder(value),
        Proof::Random => !is_placeholder(value) && looks_random(value),
    }
}

/// Whether a value is what people write in the place of a secret.
fn is_placeholder(value: &[u8]) -> bool {
    let lower = String::from_utf8_lossy(value).to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| lower.contains(word))
        || lower.starts_with(['$', '%', '{', '<', '['])
        || ["${", "{{", "}}", "%s", "...", "$("].iter().any(|mark| lower.contains(mark))
        || lower.starts_with("pass") && lower.len() < 8
        || longest_run(value) > RUN_MAX
        || counts_up(value)
}

fn longest_run(value: &[u8]) -> usize {
    value.chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or(0)
}

/// Whether most characters follow the one before, as in `abcdefgh12345678`.
fn counts_up(value: &[u8]) -> bool {
    let steps = value.windows(2).filter(|pair| pair[0].checked_add(1) == Some(pair[1])).count();
    value.len() >= 8 && steps * 2 > value.len()
}

/// Whether a value has digits and letters, and uses many different ones.
fn looks_random(value: &[u8]) -> bool {
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let calls_something = value.contains(&b'(');
    digits >= 2
        && value.iter().any(u8::is_ascii_alphabetic)
        && entropy(value) >= ENTROPY_MIN
        && !calls_something
        && !is_path(value)
}

/// Whether a value is a path or an address: several words between slashes or dots.
fn is_path(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value);
    let digits = |part: &str| part.bytes().filter(u8::is_ascii_digit).count();
    let word = |part: &str| part.len() <= 12 && (part.len() <= 4 || digits(part) <= part.len() / 3);
    ["/", ".", "::", "-", "_"].iter().any(|mark| {
        let parts: Vec<&str> = text.split(mark).collect();
        parts.len() >= 3 && parts.iter().all(|part| word(part))
    }) || text.contains("://")
}

/// Bits for each character, by how often each one stands in the value.
fn entropy(value: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in value {
        counts[usize::from(*byte)] += 1;
    }
    let total = f64::from(u32::try_from(value.len()).unwrap_or(u32::MAX));
    counts
        .iter()
        .filter(|count| **count > 0)
        .map(|count| f64::from(*count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// The text with everything that looks like a secret taken out of it, private keys of several
/// lines included.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut clean: Option<String> = None;
    let mut in_key = false;
    let mut done = 0;
    for line in text.split_inclusive('\n') {
        let begin = done;
        done += line.len();
        let content = line.trim_end_matches(['\n', '\r']);
        if in_key {
            let out = clean.get_or_insert_with(|| text[..begin].to_owned());
            if content.contains("-----END") {
                in_key = false;
                continue;
            }
            if is_key_body(content) {
                continue;
            }
            in_key = false;
            push_redacted(out, line);
            continue;
        }
        match find(content) {
            None => {
                if let Some(out) = &mut clean {
                    out.push_str(line);
                }
            }
            Some(_) => {
                let out = clean.get_or_insert_with(|| text[..begin].to_owned());
                push_redacted(out, line);
                in_key = content.contains(KEY_BEGINS) && !content.contains("-----END");
            }
        }
    }
    clean.map_or(Cow::Borrowed(text), Cow::Owned)
}

/// Whether a line may stand inside of a private key.
fn is_key_body(line: &str) -> bool {
    let line = line.trim();
    let base64 = line.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
    base64 || KEY_HEADERS.iter().any(|header| line.starts_with(header))
}

/// Adds one line without its secrets.
fn push_redacted(out: &mut String, line: &str) {
    let content = line.trim_end_matches(['\n', '\r']);
    let mut from = 0;
    while let Some(found) = find_from(content.as_bytes(), from) {
        // What a rule sees first may lie inside of what another one saw.
        let start = found.start.max(from);
        out.push_str(&content[from..start]);
        out.push_str("[removed: ");
        out.push_str(found.rule);
        out.push(']');
        from = found.end;
    }
    out.push_str(&line[from..]);
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
