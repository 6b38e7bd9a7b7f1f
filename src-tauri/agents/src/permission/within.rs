//! Lines within a command: what it gives to other shells, or may.
//!
//! What is found here is enough to forbid, never to allow.

use super::shell::{COMMANDS_MAX, Command, Line, SHELLS, STARTERS, Word, read_into};

/// Programs that take a whole line as one word, and run it.
const LINE_TAKERS: &[&str] = &["env", "eval", "su", "watch", "parallel", "script", "flock"];

/// Reads the lines that a command may give to other shells, whatever else it does: behind an option
/// with a `c` of a shell that stands anywhere in it, as one word of a program that runs lines, and
/// what a shell is given to read. What a shell reads from elsewhere is not known.
pub(super) fn read(command: &Command, depth: u8, all: &mut Line) {
    let program = command.words.first().map(base).unwrap_or_default();
    for (at, word) in command.words.iter().enumerate() {
        let line = split_string(&word.text);
        let is_line = line != word.text || line.contains(char::is_whitespace);
        if at > 0 && is_line && LINE_TAKERS.contains(&program) {
            read_as_line(line, depth, all);
        }
        if !SHELLS.contains(&base(word)) {
            continue;
        }
        let mut behind = command.words[at + 1..].iter().skip_while(|word| !runs_line(word));
        if let (Some(_), Some(line)) = (behind.next(), behind.next()) {
            read_as_line(&line.text, depth, all);
        }
        if at == 0 || STARTERS.contains(&program) {
            all.opaque |= command.piped || command.fed.is_some() || !command.reads.is_empty();
            if let Some(text) = &command.fed {
                read_as_line(text, depth, all);
            }
        }
    }
}

fn read_as_line(line: &str, depth: u8, all: &mut Line) {
    let mut inner = Line::default();
    read_into(line, depth + 1, &mut inner);
    let room = COMMANDS_MAX.saturating_sub(all.within.len());
    all.within.extend(inner.commands.into_iter().chain(inner.within).take(room));
}

fn base(word: &Word) -> &str {
    word.text.rsplit('/').next().unwrap_or_default()
}

/// The line behind `-S` of `env`, where it stands in the same word.
fn split_string(word: &str) -> &str {
    if let Some(line) = word.strip_prefix("--split-string=") {
        return line;
    }
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    letters.and_then(|letters| letters.split_once('S')).map_or(word, |(_, line)| line)
}

/// Whether an option of a shell says that the next word is a line to run.
fn runs_line(word: &Word) -> bool {
    let letters = word.text.strip_prefix('-').filter(|letters| !letters.starts_with('-'));
    letters.is_some_and(|letters| letters.contains('c'))
}
