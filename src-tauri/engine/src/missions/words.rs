//! The words of missions, checked: what a person writes must read as what it is.

use std::collections::BTreeSet;

use model::gate::GateSpec;
use model::mission::{BRIEF_BYTES_MAX, GATES_MAX, LIST_MAX, TITLE_CHARS_MAX, WORDS_CHARS_MAX};
use model::refusal::Refusal;

use super::invalid;

/// Refuses what cannot be read in one line, or reads differently from what it is.
pub(crate) fn legible(what: &str, text: &str) -> Result<(), Refusal> {
    if text.chars().any(char::is_control) {
        return Err(
            invalid(format!("the {what} holds control characters")).hint("write it in one line")
        );
    }
    // Joiners are left alone: scripts and emoji need them.
    let invisible = |ch: &char| {
        matches!(ch, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    match text.chars().find(invisible) {
        Some(ch) => Err(invalid(format!(
            "the {what} holds the invisible character U+{:04X}",
            u32::from(ch)
        ))
        .hint("type it anew without it")),
        None => Ok(()),
    }
}

pub(crate) fn checked_title(title: &str) -> Result<String, Refusal> {
    let title = title.trim();
    if title.is_empty() {
        return Err(invalid("the title is empty").hint("say in one line what is to be done"));
    }
    legible("title", title)?;
    if title.chars().count() > TITLE_CHARS_MAX {
        return Err(invalid(format!("the title is longer than {TITLE_CHARS_MAX} characters"))
            .hint("put the details into the brief"));
    }
    Ok(title.to_owned())
}

pub(crate) fn checked_brief(brief: &str) -> Result<String, Refusal> {
    if brief.trim().is_empty() {
        return Err(invalid("the brief is empty")
            .hint("say what is to be done; the agent gets this text and nothing else"));
    }
    if brief.contains('\0') {
        return Err(invalid("the brief holds a NUL character, which no program can be given")
            .hint("remove it; a file that is no text is better named than pasted"));
    }
    if brief.len() > BRIEF_BYTES_MAX {
        return Err(invalid(format!(
            "the brief has {} bytes; the limit is {BRIEF_BYTES_MAX} (1 MiB)",
            brief.len()
        ))
        .hint("put long material into a file of the repository and name it in the brief"));
    }
    Ok(brief.to_owned())
}

/// One line of text of bounded length.
pub(crate) fn text_line(what: &str, text: &str, chars_max: usize) -> Result<String, Refusal> {
    let text = text.trim();
    legible(what, text)?;
    if text.is_empty() {
        return Err(invalid(format!("the {what} is empty")).hint("leave it out, or say something"));
    }
    if text.chars().count() > chars_max {
        return Err(invalid(format!("the {what} is longer than {chars_max} characters"))
            .hint("put the details into the brief"));
    }
    Ok(text.to_owned())
}

/// A list of short lines, each once, in the order they came.
pub(crate) fn text_lines(what: &str, lines: &[String]) -> Result<Vec<String>, Refusal> {
    if lines.len() > LIST_MAX {
        return Err(invalid(format!("there are {} {what} entries", lines.len()))
            .hint(format!("at most {LIST_MAX}")));
    }
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines {
        let line = text_line(what, line, WORDS_CHARS_MAX)?;
        if seen.insert(line.clone()) {
            kept.push(line);
        }
    }
    Ok(kept)
}

pub(crate) fn checked_gates(lines: &[String]) -> Result<Vec<GateSpec>, Refusal> {
    if lines.len() > GATES_MAX {
        return Err(too_many_gates(lines.len()));
    }
    lines
        .iter()
        .map(|line| GateSpec::parse(line).map_err(|err| invalid(err.to_string()).hint(err.hint())))
        .collect()
}

/// More gates than a mission can have.
pub(crate) fn too_many_gates(count: usize) -> Refusal {
    invalid(format!("{count} gates are too many, those of the policy included"))
        .hint(format!("at most {GATES_MAX}; join commands with &&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_reads_differently_from_what_it_is_is_refused_by_name() {
        let check = |text: &str, words: Option<&str>| {
            let refused = legible("name", text).err().map(|refusal| refusal.message);
            assert_eq!(refused.as_deref(), words, "{text:?}");
        };
        check("Ann", None);
        check("مريم و", None);
        check("👩\u{200d}🚀 می\u{200c}خواهم", None);
        check("a\u{202e}b", Some("the name holds the invisible character U+202E"));
        check("a\u{2069}", Some("the name holds the invisible character U+2069"));
        check("\u{feff}a", Some("the name holds the invisible character U+FEFF"));
        check("a\u{200b}b", Some("the name holds the invisible character U+200B"));
        check("a\u{61c}b", Some("the name holds the invisible character U+061C"));
        check("a\nb", Some("the name holds control characters"));
    }

    #[test]
    fn a_brief_no_program_can_be_given_is_refused() {
        assert!(checked_brief("a\0b").unwrap_err().message.contains("NUL"));
        assert!(checked_brief("a\nb").is_ok());
    }

    #[test]
    fn a_refused_gate_says_what_to_write_for_its_kind() {
        let check = |line: &str, message: &str, hint: &str| {
            let refusal = checked_gates(&[line.to_owned()]).unwrap_err();
            assert_eq!(refusal.message, message);
            assert!(refusal.hint.as_deref().is_some_and(|it| it.contains(hint)), "{refusal:?}");
        };
        check("command:", "the 'command' gate names nothing to check", "cargo test");
        check("file: ", "the 'file' gate names nothing to check", "file: out.txt");
        check("file: .", "'.' is a directory, not a file", "name a file in it");
        check("make", "the gate 'make' does not begin with its kind", "file: out.txt");
    }
}
