//! Reads in a command's output how many checks ran.
//!
//! Lines are taken as a terminal shows them: without colours, and of a line that is written again
//! after a carriage return only the last version. White space in the pattern stands for any amount
//! of it. Several lines add up: some tools print one for each part.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use regex::bytes::{Regex, RegexBuilder};

/// The part of a line that is looked at, in bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The most memory the pattern may take, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// Stands in a pattern where the number stands in the line.
const NUMBER: &str = "{n}";

/// The line that proves how many checks ran.
pub(super) struct Proof {
    line: Regex,
    colours: Regex,
}

impl Proof {
    /// Reads a pattern such as `{n} passed`; nothing where it cannot be used.
    pub(super) fn new(pattern: &str) -> Option<Self> {
        let (before, after) = pattern.trim().split_once(NUMBER)?;
        let (before, after) = (spaced(before), spaced(after));
        let line = format!(r"{before}([0-9]+(?:[,_'][0-9]{{3}})*){after}");
        let compiled = |pattern: &str| {
            RegexBuilder::new(pattern).unicode(false).size_limit(PATTERN_BYTES_MAX).build().ok()
        };
        let colours = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])";
        Some(Self { line: compiled(&line)?, colours: compiled(colours)? })
    }

    /// The sum of the numbers in a file; nothing where no line has one.
    pub(super) fn count_in(&self, file: &Path) -> std::io::Result<Option<u64>> {
        self.count(BufReader::with_capacity(LINE_BYTES_MAX, File::open(file)?))
    }

    fn count(&self, mut reader: impl BufRead) -> std::io::Result<Option<u64>> {
        let (mut sum, mut line) = (None::<u64>, Shown::default());
        loop {
            let piece = reader.fill_buf()?;
            let over = piece.is_empty();
            for byte in piece {
                if *byte == b'\n' {
                    sum = self.add(sum, line.take());
                } else {
                    line.push(*byte);
                }
            }
            let used = piece.len();
            reader.consume(used);
            if over {
                return Ok(self.add(sum, line.take()));
            }
        }
    }

    fn add(&self, sum: Option<u64>, line: Vec<u8>) -> Option<u64> {
        match self.number(&line) {
            Some(number) => Some(sum.unwrap_or(0).saturating_add(number)),
            None => sum,
        }
    }

    fn number(&self, line: &[u8]) -> Option<u64> {
        let plain = self.colours.replace_all(line, b"".as_slice());
        let digits = self.line.captures(&plain)?.get(1)?.as_bytes().iter();
        let digits = digits.filter(|byte| byte.is_ascii_digit());
        Some(digits.fold(0u64, |number, digit| {
            number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
        }))
    }
}

/// A text as a pattern for itself, with white space for any amount of it.
fn spaced(text: &str) -> String {
    let mut pattern = String::new();
    let mut in_space = false;
    for ch in text.chars() {
        if !ch.is_whitespace() {
            pattern.push_str(&regex::escape(ch.encode_utf8(&mut [0; 4])));
        } else if !in_space {
            pattern.push_str(r"\s+");
        }
        in_space = ch.is_whitespace();
    }
    pattern
}

/// A line as far as a terminal would show it.
#[derive(Default)]
struct Shown {
    bytes: Vec<u8>,
    /// Whether what comes next is written over what is there.
    returned: bool,
}

impl Shown {
    fn push(&mut self, byte: u8) {
        if byte == b'\r' {
            self.returned = true;
            return;
        }
        if std::mem::take(&mut self.returned) {
            self.bytes.clear();
        }
        if self.bytes.len() < LINE_BYTES_MAX {
            self.bytes.push(byte);
        }
    }

    fn take(&mut self) -> Vec<u8> {
        self.returned = false;
        std::mem::take(&mut self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(pattern: &str, text: &[u8]) -> Option<u64> {
        Proof::new(pattern).unwrap().count(BufReader::with_capacity(7, text)).unwrap()
    }

    #[test]
    fn the_number_is_read_as_the_tools_print_it() {
        let check = |pattern: &str, text: &str, expect: Option<u64>| {
            assert_eq!(count(pattern, text.as_bytes()), expect, "{pattern} in {text:?}");
        };
        let cargo = "test result: ok. 12 passed; 0 failed\n\ntest result: ok. 3 passed; 0 failed\n";
        check("{n} passed", cargo, Some(15));
        check("test result: ok. {n} passed", cargo, Some(15));
        check("{n} tests run", "Summary [ 1.2s] 34 tests run: 34 passed, 0 skipped", Some(34));
        check(
            "Tests {n} passed",
            "\x1b[2m      Tests \x1b[22m \x1b[1m\x1b[32m8 passed\x1b[39m (8)\n",
            Some(8),
        );
        check("OK ({n} tests)", "\r\nOK (7 tests)\r\n", Some(7));
        check("passed: {n}", "passed: 1,234 of them\n", Some(1234));
        check("{n} passed", "1 passed\r2 passed\r3 passed\n", Some(3));
        check("{n} passed", "==== 0 passed ====\n", Some(0));
        check("{n} passed", "all passed, 5 failed\n", None);
        check("{n} passed", "", None);
        check("{n} passed", "99999999999999999999999 passed\n1 passed", Some(u64::MAX));
        check("ä {n}", "ä 4", Some(4));
        assert!(Proof::new("passed").is_none());
    }

    #[test]
    fn bytes_that_are_no_text_and_lines_without_an_end_hide_nothing() {
        let mut bytes = vec![0xff; 3 * LINE_BYTES_MAX];
        bytes.extend_from_slice(b"\n\0\xfe 6 passed \xff\nx");
        assert_eq!(count("{n} passed", &bytes), Some(6));
    }

    proptest! {
        #[test]
        fn a_proof_is_found_wherever_it_stands(
            before in "[^0-9,_'\r\n\u{1b}]{0,30}", after in "[^\r\n]{0,30}", n in 0..u64::MAX,
            word in "[a-z(){}.*+?|\\\\]{1,8}",
        ) {
            prop_assume!(!word.contains("{n}"));
            let text = format!("noise\n{before}{n} {word}{after}\nnoise");
            let pattern = format!("{{n}} {word}");
            prop_assert_eq!(count(&pattern, text.as_bytes()), Some(n));
        }

        #[test]
        fn no_output_and_no_pattern_panics(
            bytes in prop::collection::vec(any::<u8>(), 0..200), pattern in ".{0,20}"
        ) {
            if let Some(proof) = Proof::new(&pattern) {
                proof.count(bytes.as_slice()).unwrap();
            }
        }
    }
}
