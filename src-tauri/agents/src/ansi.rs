//! Takes control sequences out of what programs print, colours aside.
//!
//! The window does the same in `ui/src/state/ansi.ts`, which decides what a person sees and knows the
//! same sequences; this is for text that leaves the program in another way: search, exports, answers
//! to other agents. Both work line by line: a sequence never reaches over a line end.

use std::sync::LazyLock;

use regex::{Captures, Regex};

// CSI with its parameters and final byte; OSC; DCS, SOS, PM and APC; every other escape.
static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?m)\x1b(?:\[([0-9;:<=>?]*)([ -/]*[@-~])",
        r"|\][^\x07\x1b\n]*(?:\x07|\x1b\\|$)",
        r"|[PX^_][^\x1b\n]*(?:\x1b\\|$)",
        r"|[ -/]*[0-~]|$)"
    ))
    .expect("a constant that a test compiles")
});

/// The text with its colours and without any other control sequence or character.
#[must_use]
pub fn colours_only(text: &str) -> String {
    let kept = SEQUENCE.replace_all(text, |found: &Captures<'_>| {
        let parameters = found.get(1).map_or("", |parameters| parameters.as_str());
        let colour = found.get(2).is_some_and(|last| last.as_str() == "m")
            && parameters.chars().all(|c| c.is_ascii_digit() || matches!(c, ';' | ':'));
        // Marked, because what is left of escapes elsewhere is dropped below.
        if colour { format!("\u{1b}[{parameters}m") } else { String::new() }
    });
    let mut out = String::with_capacity(kept.len());
    let mut rest = kept.as_ref();
    while let Some(found) = SEQUENCE.find(rest) {
        out.extend(rest[..found.start()].chars().filter(is_text));
        if found.as_str().ends_with('m') && found.as_str().starts_with("\u{1b}[") {
            out.push_str(found.as_str());
        }
        rest = &rest[found.end()..];
    }
    out.extend(rest.chars().filter(is_text));
    out
}

/// The text without any control sequence or character.
#[must_use]
pub fn plain(text: &str) -> String {
    SEQUENCE.replace_all(text, "").chars().filter(is_text).collect()
}

fn is_text(character: &char) -> bool {
    !character.is_control() || matches!(character, '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_stay_and_everything_else_goes() {
        let check = |text: &str, coloured: &str, bare: &str| {
            assert_eq!(colours_only(text), coloured, "{text:?}");
            assert_eq!(plain(text), bare, "{text:?}");
        };
        check("\u{1b}[1;31mred\u{1b}[0m", "\u{1b}[1;31mred\u{1b}[0m", "red");
        check("\u{1b}[2J\u{1b}[Htop", "top", "top");
        check("\u{1b}]0;title\u{7}x\u{1b}]8;;http://a\u{1b}\\y", "xy", "xy");
        check("\u{1b}]52;c;c2VjcmV0\nnext", "\nnext", "\nnext");
        check("\u{1b}P1$r0m\u{1b}\\z", "z", "z");
        check("\u{1b}[6n\u{1b}[>4;1ma\u{8}b\u{9b}31mc", "ab31mc", "ab31mc");
        check("tab\tline\r\nend\u{1b}", "tab\tline\r\nend", "tab\tline\r\nend");
    }

    proptest! {
        #[test]
        fn nothing_but_colours_is_left(text in "[\u{1b}\\[\\]0-9;mHJ\u{7}\\\\Pa\n\u{9b}?]{0,60}") {
            let out = colours_only(&text);
            let mut rest = out.as_str();
            while let Some(at) = rest.find('\u{1b}') {
                let end = rest[at..].find('m').map(|end| at + end);
                prop_assert!(end.is_some(), "{:?}", out);
                let inner = &rest[at + 1..end.unwrap()];
                prop_assert!(inner.starts_with('['), "{:?}", out);
                prop_assert!(inner[1..].chars().all(|c| c.is_ascii_digit() || c == ';' || c == ':'));
                rest = &rest[end.unwrap() + 1..];
            }
            let bare = plain(&text);
            prop_assert!(!bare.contains('\x1b'));
            prop_assert_eq!(colours_only(&out), out.clone());
        }
    }
}
