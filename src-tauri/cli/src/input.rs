//! What is read besides the command line: texts from files, and answers of a person.

use std::io::{self, IsTerminal as _, Read, Write as _};

use crate::failure::Failure;
use crate::out::quotable;

/// A text that is given as it is, named as a file, or comes through standard input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    /// What it is, such as "the brief".
    pub(crate) what: &'static str,
    /// The text itself, `@FILE`, or `-`.
    pub(crate) given: &'a str,
    /// The most it may hold, in bytes.
    pub(crate) bytes_max: usize,
    /// What to do when it holds more.
    pub(crate) too_large: &'static str,
}

impl Source<'_> {
    /// Reads it.
    pub(crate) fn read(&self) -> Result<String, Failure> {
        let (from, mut source): (String, Box<dyn Read>) = match self.given.strip_prefix('@') {
            Some(file) => (file.to_owned(), Box::new(self.open(file)?)),
            None if self.given == "-" => ("standard input".to_owned(), Box::new(io::stdin())),
            None => return Ok(self.given.to_owned()),
        };
        let operation = format!("read {} from {from}", self.what);
        let mut bytes = Vec::new();
        source
            .by_ref()
            .take(self.bytes_max as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| Failure::new(&operation).because(&error))?;
        if bytes.len() > self.bytes_max {
            let most = crate::out::size(self.bytes_max).replace(".0 ", " ");
            return Err(Failure::new(&operation)
                .since(format!("it is larger than {most}"))
                .hint(self.too_large));
        }
        String::from_utf8(bytes).map_err(|_| {
            Failure::new(&operation)
                .since("it is not UTF-8 text")
                .hint("save it as UTF-8, such as with 'iconv -t UTF-8'")
        })
    }

    fn open(&self, file: &str) -> Result<std::fs::File, Failure> {
        std::fs::File::open(file).map_err(|error| {
            Failure::new(format!("read {} from {file}", self.what)).because(&error).hint(
                "check the path: @ before it means a file; a text that itself begins with @ is \
                     given on standard input, with - in its place",
            )
        })
    }
}

/// Whether a person can be asked something.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a person yes or no; anything but yes is no.
pub(crate) fn agrees(question: &str) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::new("ask on the terminal").because(&error);
    let mut terminal = io::stderr();
    write!(terminal, "{} [y/N] ", quotable(question)).map_err(failed)?;
    terminal.flush().map_err(failed)?;
    let mut answer = String::new();
    io::BufRead::read_line(&mut io::stdin().lock().take(ANSWER_BYTES_MAX), &mut answer)
        .map_err(failed)?;
    Ok(is_yes(&answer))
}

/// The longest answer that is looked at, in bytes.
const ANSWER_BYTES_MAX: u64 = 100;

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

/// Has something confirmed that cannot be taken back by the next command, unless it was already.
pub(crate) fn confirm(operation: &str, question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !can_ask() {
        return Err(Failure::new(operation)
            .since("nobody confirmed it")
            .kind("unconfirmed")
            .hint("add --yes; nothing was changed"));
    }
    if agrees(question)? {
        return Ok(());
    }
    Err(Failure::new(operation)
        .since("you said no")
        .kind("unconfirmed")
        .hint("nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(given: &str) -> Source<'_> {
        Source { what: "the brief", given, bytes_max: 1024, too_large: "make it shorter" }
    }

    #[test]
    fn a_text_is_itself_or_the_file_it_names() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("brief.md");
        std::fs::write(&file, "do it").unwrap();
        let named = format!("@{}", file.display());
        assert_eq!(source("plain").read().unwrap(), "plain");
        assert_eq!(source(&named).read().unwrap(), "do it");
        let gone = source("@/nowhere/at/all").read().unwrap_err().to_string();
        assert!(gone.contains("/nowhere/at/all"), "{gone}");
        std::fs::write(&file, vec![b'x'; 1024]).unwrap();
        assert_eq!(source(&named).read().unwrap().len(), 1024);
        std::fs::write(&file, vec![b'x'; 1025]).unwrap();
        let large = source(&named).read().unwrap_err().to_string();
        assert!(large.contains("than 1 KiB") && large.contains("make it shorter"), "{large}");
        std::fs::write(&file, b"\xff").unwrap();
        assert!(source(&named).read().unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn only_yes_is_yes() {
        for yes in ["y\n", " Yes\r\n", "Y"] {
            assert!(is_yes(yes), "{yes:?}");
        }
        for no in ["", "\n", "n", "no", "yep", "ye", "j"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }

    #[test]
    fn what_was_confirmed_already_asks_nobody() {
        assert!(confirm("delete it", "Delete it?", true).is_ok());
    }
}
