//! The values that are taken out of a stream, in every form in which programs print them: as they
//! are, inside JSON, in base64 wherever they stand in what is encoded, and as part of an address.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

use crate::redact::{Match, Then, is_secret_name};

/// A value shorter than this many bytes is no secret: it would be found in innocent words.
pub const VALUE_BYTES_MIN: usize = 8;
/// A longer value is looked for in parts of this many bytes, so that little is held back.
const PART_BYTES_MAX: usize = 4096;
/// How many values are looked for at most.
const VALUES_MAX: usize = 1024;
/// The lengths of line into which programs break base64.
const LINE_CHARS: [usize; 2] = [76, 64];
/// How many lines of a value in base64 are looked for at most.
const LINES_MAX: usize = 32;

/// The values that are looked for; made once and shared by all streams of a run.
#[derive(Debug, Default, Clone)]
pub struct Values(Arc<Known>);

#[derive(Debug, Default, Clone)]
struct Known {
    /// By their first byte, and the longest first.
    values: Vec<Vec<u8>>,
    /// Where the values of each first byte begin, and where the last ones end.
    begins: Vec<usize>,
}

impl Values {
    /// The secrets among these variables, with the forms they take.
    #[must_use]
    pub fn of<'a>(variables: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let secret = |(name, value): (&str, &'a [u8])| is_secret_name(name).then_some(value);
        let secrets: Vec<&[u8]> = variables.into_iter().filter_map(secret).collect();
        let mut found = Self::default();
        found.add_all(&secrets);
        found
    }

    /// Adds a value and the forms it takes when it is printed otherwise than as it is.
    pub fn add(&mut self, value: &[u8]) {
        self.add_all(&[value]);
    }

    fn add_all(&mut self, values: &[&[u8]]) {
        let known = Arc::make_mut(&mut self.0);
        let values: Vec<&[u8]> = values.iter().map(|value| value.trim_ascii()).collect();
        let long = || values.iter().filter(|value| value.len() >= VALUE_BYTES_MIN);
        // Should there be too many: what is printed as it is comes first.
        let forms = long().flat_map(|value| plain(value));
        for form in forms.chain(long().flat_map(|value| encoded(value))) {
            for part in form.chunks(PART_BYTES_MAX) {
                let new = !known.values.iter().any(|known| known == part);
                if part.len() >= VALUE_BYTES_MIN && new && known.values.len() < VALUES_MAX {
                    known.values.push(part.to_vec());
                }
            }
        }
        known.sort();
    }

    /// The first two bytes of every value.
    pub(crate) fn first_pairs(&self) -> impl Iterator<Item = [u8; 2]> {
        self.0.values.iter().map(|value| [value[0], value[1]])
    }

    /// What of a known value begins here. The longest counts, and is waited for.
    pub(crate) fn find(&self, rest: &[u8]) -> Match {
        for value in self.0.beginning_with(rest) {
            if rest.starts_with(value) {
                return Match::Whole { keep: 0, len: value.len(), then: Then::Nothing };
            }
            if value.starts_with(rest) {
                return Match::Part { exact: rest.len() };
            }
        }
        Match::No
    }
}

impl Known {
    fn sort(&mut self) {
        self.values.sort_by_key(|value| (value[0], std::cmp::Reverse(value.len())));
        let before =
            |first: usize| self.values.partition_point(|value| usize::from(value[0]) < first);
        self.begins = (0..=256).map(before).collect();
    }

    /// The values with the first byte of `rest`, the longest first.
    fn beginning_with(&self, rest: &[u8]) -> &[Vec<u8>] {
        let range = rest.first().and_then(|first| {
            let first = usize::from(*first);
            Some(*self.begins.get(first)?..*self.begins.get(first + 1)?)
        });
        range.and_then(|range| self.values.get(range)).unwrap_or_default()
    }
}

/// A value as it is printed, and as it stands in JSON.
fn plain(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = vec![value.to_vec()];
    if value.contains(&b'\n') {
        // A terminal adds the carriage return.
        forms.push(String::from_utf8_lossy(value).replace('\n', "\r\n").into_bytes());
    }
    if let Ok(text) = std::str::from_utf8(value) {
        let once = escaped(text);
        forms.push(escaped(&once).into_bytes());
        forms.push(once.into_bytes());
        forms.push(ascii_only(&escaped(text)).into_bytes());
    }
    forms
}

/// How addresses are written: what stands as it is beside letters and digits, whether hexadecimal
/// digits are capitals, and whether a space is a plus sign. As the standard says, and as JavaScript,
/// Python and forms of pages do it.
const IN_ADDRESSES: [(&[u8], bool, bool); 5] = [
    (b"-._~", true, false),
    (b"-._~", false, false),
    (b"-_.!~*'()", true, false),
    (b"-._~/", true, false),
    (b"*-._", true, true),
];

/// A value in base64 and as part of an address.
fn encoded(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = in_base64(value);
    forms.extend(IN_ADDRESSES.map(|(kept, upper, plus)| in_percents(value, kept, upper, plus)));
    forms
}

/// What stands in base64 wherever the value does: alone, or behind 0, 1 or 2 other bytes of a group of
/// three, where its outermost characters depend on what is around it too.
fn in_base64(value: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for (whole, inside) in [(&STANDARD, &STANDARD_NO_PAD), (&URL_SAFE, &URL_SAFE_NO_PAD)] {
        let alone = whole.encode(value);
        for length in LINE_CHARS {
            if alone.len() > length {
                let lines = alone.as_bytes().chunks(length).take(LINES_MAX);
                forms.extend(lines.map(<[u8]>::to_vec));
            }
        }
        forms.push(alone.into_bytes());
        for before in 0..3 {
            let bytes = [vec![0; before], value.to_vec()].concat();
            let text = inside.encode(&bytes).into_bytes();
            let (from, to) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
            forms.push(text.get(from..to).unwrap_or_default().to_vec());
        }
    }
    forms
}

fn in_percents(value: &[u8], kept: &[u8], upper: bool, plus: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len() * 3);
    for byte in value {
        match byte {
            b' ' if plus => text.push(b'+'),
            byte if byte.is_ascii_alphanumeric() || kept.contains(byte) => text.push(*byte),
            byte if upper => text.extend(format!("%{byte:02X}").bytes()),
            byte => text.extend(format!("%{byte:02x}").bytes()),
        }
    }
    text
}

/// Text as it stands inside a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Every other character by its number, as many JSON writers do it.
fn ascii_only(text: &str) -> String {
    use std::fmt::Write;
    let mut plain = String::new();
    let mut units = [0; 2];
    for character in text.chars() {
        if character.is_ascii() {
            plain.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                let _ = write!(plain, "\\u{unit:04x}");
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redact::Redactor;

    fn redacted(values: &Values, text: &[u8], cuts: &[usize]) -> Vec<u8> {
        let mut redactor = Redactor::new(values.clone());
        let (mut out, mut from) = (Vec::new(), 0);
        for cut in cuts {
            let to = (*cut).clamp(from, text.len());
            redactor.push(&text[from..to], &mut out);
            from = to;
        }
        redactor.push(&text[from..], &mut out);
        redactor.finish(&mut out);
        out
    }

    fn of(secret: &[u8]) -> Values {
        Values::of([("DEPLOY_PASSWORD", secret)])
    }

    #[test]
    fn forms_that_programs_print_a_secret_in_are_taken_out() {
        let secret = "correct horse/battery+staple?";
        let values = of(secret.as_bytes());
        for (text, expect) in [
            // printf %s SECRET | base64, and with a line end as echo has it
            ("Y29ycmVjdCBob3JzZS9iYXR0ZXJ5K3N0YXBsZT8=", "«redacted»"),
            ("Y29ycmVjdCBob3JzZS9iYXR0ZXJ5K3N0YXBsZT8K", "«redacted»8K"),
            // user:SECRET, as it stands in an Authorization header
            ("dXNlcjpjb3JyZWN0IGhvcnNlL2JhdHRlcnkrc3RhcGxlPw==", "dXNlcjp«redacted»w=="),
            ("a=correct%20horse%2Fbattery%2Bstaple%3F&b", "a=«redacted»&b"),
            ("a=correct%20horse%2fbattery%2bstaple%3f&b", "a=«redacted»&b"),
            ("a=correct+horse%2Fbattery%2Bstaple%3F&b", "a=«redacted»&b"),
            ("a=correct%20horse/battery%2Bstaple%3F&b", "a=«redacted»&b"),
            ("correct weather", "correct weather"),
        ] {
            let out = redacted(&values, text.as_bytes(), &[]);
            assert_eq!(String::from_utf8_lossy(&out), expect, "{text}");
        }
    }

    #[test]
    fn a_long_secret_in_base64_is_found_though_it_is_broken_into_lines() {
        let secret = "q8Zt".repeat(40);
        let text = STANDARD.encode(&secret);
        for length in LINE_CHARS {
            let lines: Vec<&str> = (0..text.len())
                .step_by(length)
                .map(|from| &text[from..text.len().min(from + length)])
                .collect();
            let out = redacted(&of(secret.as_bytes()), (lines.join("\n") + "\n").as_bytes(), &[]);
            let expect = "«redacted»\n".repeat(lines.len());
            assert_eq!(String::from_utf8_lossy(&out), expect, "{length}");
        }
    }

    #[test]
    fn however_many_there_are_what_is_printed_as_it_is_comes_first() {
        let many: Vec<(String, Vec<u8>)> = (0..VALUES_MAX)
            .map(|n| (format!("KEY_{n}_TOKEN"), format!("secret number {n:04}").into_bytes()))
            .collect();
        let values = Values::of(many.iter().map(|(name, value)| (name.as_str(), value.as_slice())));
        for (_, secret) in &many {
            assert_eq!(redacted(&values, secret, &[]), "«redacted»".as_bytes());
        }
        assert_eq!(values.0.values.len(), VALUES_MAX);
    }

    /// What a decoder makes of the characters of base64 in `text`, at each of the four places at which
    /// a group may begin.
    fn decoded(text: &[u8]) -> Vec<Vec<u8>> {
        let plain = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        };
        let digits: Vec<u8> = text.iter().map(plain).collect();
        let runs = digits.split(|byte| !byte.is_ascii_alphanumeric() && !b"+/".contains(byte));
        let runs: Vec<&[u8]> = runs.collect();
        (0..4)
            .flat_map(|skip| {
                runs.iter().filter_map(move |run| {
                    let run = run.get(skip..)?;
                    STANDARD_NO_PAD.decode(&run[..run.len() / 4 * 4]).ok()
                })
            })
            .collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_secret_can_be_decoded_from_what_is_kept_wherever_it_stood_and_was_cut(
            secret in prop::collection::vec(any::<u8>(), 12..80),
            before in prop::collection::vec(any::<u8>(), 0..20),
            after in prop::collection::vec(any::<u8>(), 0..20),
            address in any::<bool>(),
            mut cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            prop_assume!(secret.trim_ascii().len() == secret.len());
            cuts.sort_unstable();
            let all = [before.clone(), secret.clone(), after].concat();
            let text = if address { URL_SAFE.encode(&all) } else { STANDARD.encode(&all) };
            let values = of(&secret);
            let whole = redacted(&values, text.as_bytes(), &[]);
            prop_assert_eq!(&redacted(&values, text.as_bytes(), &cuts), &whole);
            let singly: Vec<usize> = (0..text.len()).collect();
            prop_assert_eq!(&redacted(&values, text.as_bytes(), &singly), &whole);
            // Without redaction it would be found in this way.
            let of_secret = |part: &[u8]| secret.windows(part.len()).any(|own| own == part);
            let holds = |text: &[u8]| {
                decoded(text).iter().any(|found| found.windows(secret.len() - 2).any(of_secret))
            };
            prop_assert!(holds(text.as_bytes()));
            prop_assert!(!holds(&whole), "{}", String::from_utf8_lossy(&whole));
        }

        #[test]
        fn no_secret_is_kept_as_part_of_an_address_wherever_it_was_cut(
            secret in "[ -~é]{6,40}x[ -~é]{1,9}", kept in 0usize..5, cut in 0usize..200,
        ) {
            let secret = secret.trim().to_owned();
            prop_assume!(secret.len() >= VALUE_BYTES_MIN);
            let form = encoded(secret.as_bytes()).into_iter().rev().nth(kept).unwrap();
            let text = [b"?a=", form.as_slice(), b"&b=1"].concat();
            let out = redacted(&of(secret.as_bytes()), &text, &[cut]);
            prop_assert!(!out.windows(form.len()).any(|part| part == form));
            prop_assert_eq!(&redacted(&of(secret.as_bytes()), &text, &[]), &out);
        }
    }
}
