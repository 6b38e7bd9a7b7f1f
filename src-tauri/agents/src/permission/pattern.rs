//! Patterns: what a rule fits, as one line of text.
//!
//! ```text
//! run: git status *      the program and words; a last * stands for any further words that name no
//!                        credentials, and of options for those only that are known to be harmless
//! run: *                 any program with any words that name no credentials
//! run: =make && ./x      exactly this line
//! run: =cd DIR && make   likewise, also where the agent names DIR beside the command: no other rule
//!                        for programs allows one that runs outside of the worktree
//! edit: src/**           files below the worktree; with a leading / any files
//! edit: =PATH            exactly the path that the agent names
//! read: docs/**          likewise, and so is read: =PATH
//! tool: NAME             a tool by its name, whatever it is given; * stands for any characters
//! tool: =NAME            exactly this name, and only where nothing else tells what it does
//! fetch: example.org     a host; *.example.org stands for those below it
//! ```

use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};
use model::inbox::PermissionAsk;

use super::options::{is_deep, is_harmless, is_option};
use super::parts::{self, Part};
use super::places::{Place, leads_out, names_secret, stays_plain};
use super::shell::{self, Command, STARTERS, Word};

/// The longest pattern, in bytes.
pub const PATTERN_BYTES_MAX: usize = 4096;
/// What a rule fits.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Run {
        words: Vec<Glob>,
        any_more: bool,
    },
    Line(String),
    Edit(Files),
    Read(Files),
    /// A tool; `whatever` it is given, or only where that is neither a command, a file nor a host.
    Tool {
        name: Glob,
        whatever: bool,
    },
    /// A file by the path the agent named, and by nothing else.
    Path {
        path: String,
        edit: bool,
    },
    Fetch {
        host: String,
        below: bool,
    },
}

#[derive(Debug, Clone)]
struct Files {
    glob: GlobMatcher,
    absolute: bool,
}

/// A text in which `*` may stand for any characters.
#[derive(Debug, Clone)]
enum Glob {
    Exact(String),
    Parts(Vec<String>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not begin with one of the known words.
    #[error("'{0}' is no pattern: begin with 'run:', 'edit:', 'read:', 'tool:' or 'fetch:'")]
    Kind(String),
    /// Nothing follows the word.
    #[error("the pattern '{0}' names nothing: write what it fits behind the colon")]
    Empty(String),
    /// It is too long.
    #[error("the pattern is longer than {PATTERN_BYTES_MAX} bytes")]
    TooLong,
    /// It holds more than one command, or something a shell would replace.
    #[error(
        "the pattern '{0}' is more than one plain command: write one program with its words, or \
         begin with '=' to fit exactly this line"
    )]
    NotOneCommand(String),
    /// Its files cannot be matched.
    #[error("the pattern '{pattern}' does not describe files: {why}")]
    Files {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// It is no host.
    #[error("the pattern '{0}' names no host: write one such as 'example.org' or '*.example.org'")]
    Host(String),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Says what is wrong with it, and how it is written.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let text = text.trim();
        if text.len() > PATTERN_BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let Some((kind, rest)) = text.split_once(':') else {
            return Err(PatternError::Kind(text.to_owned()));
        };
        let rest = rest.trim();
        let known = matches!(kind, "run" | "edit" | "read" | "tool" | "fetch");
        if known && rest.trim_start_matches('=').is_empty() {
            return Err(PatternError::Empty(text.to_owned()));
        }
        Ok(Self(match kind {
            "run" => match rest.strip_prefix('=') {
                Some(line) => Kind::Line(line.trim().to_owned()),
                None => run(rest).ok_or_else(|| PatternError::NotOneCommand(text.to_owned()))?,
            },
            "edit" | "read" => match rest.strip_prefix('=') {
                Some(path) => Kind::Path { path: path.trim().to_owned(), edit: kind == "edit" },
                None if kind == "edit" => Kind::Edit(files(rest)?),
                None => Kind::Read(files(rest)?),
            },
            "tool" => match rest.strip_prefix('=') {
                Some(name) => {
                    Kind::Tool { name: Glob::Exact(name.trim().to_owned()), whatever: false }
                }
                None => Kind::Tool { name: Glob::new(rest), whatever: true },
            },
            "fetch" => host(rest).ok_or_else(|| PatternError::Host(text.to_owned()))?,
            _ => return Err(PatternError::Kind(text.to_owned())),
        }))
    }

    /// Whether it fits everything the request asks for, so that it may allow it. A command line is
    /// fitted only when each of its commands is, and the files it writes are not.
    #[must_use]
    pub fn fits(&self, ask: &PermissionAsk, worktree: &Path) -> bool {
        let parts = parts::of(ask, worktree);
        parts.iter().all(|part| matches!(part, Part::Within(_)) || self.covers(part, ask))
    }

    /// Whether it fits anything the request asks for, so that it must forbid it.
    #[must_use]
    pub fn touches(&self, ask: &PermissionAsk, worktree: &Path) -> bool {
        parts::of(ask, worktree).iter().any(|part| self.hits(part, ask))
    }

    /// Whether one part is allowed by it.
    pub(super) fn covers(&self, part: &Part, ask: &PermissionAsk) -> bool {
        match (&self.0, part) {
            (Kind::Tool { name, .. }, Part::Own | Part::Tool) => name.is(tool(ask)),
            // The captain named the tool: whatever it is given.
            (Kind::Tool { name, whatever }, part) => {
                (*whatever || says_nothing(part, ask))
                    && ask.name.as_deref().is_some_and(|tool| name.is(tool))
            }
            (Kind::Path { path, edit: true }, Part::Write { path: asked, .. })
            | (Kind::Path { path, edit: false }, Part::Read { path: Some(asked), .. }) => {
                asked.trim() == path
            }
            // The line as a whole, with the files it writes; not what the tool changes besides.
            (Kind::Line(line), Part::Elsewhere { .. }) => {
                ask.changes.is_empty() && parts::whole_line(ask).is_some_and(|whole| whole == *line)
            }
            (Kind::Line(line), _) => {
                let is_so = ask.command.as_deref().is_some_and(|command| command.trim() == line)
                    || parts::whole_line(ask).is_some_and(|whole| whole == *line);
                ask.changes.is_empty() && is_so
            }
            (Kind::Run { words, any_more }, Part::Run(command)) => {
                !command.sets
                    && fits_words(words, *any_more, &command.words)
                    && is_harmless_behind(words, &command.words)
            }
            (Kind::Edit(files), Part::Write { path, place }) => files.fit(path, place),
            (Kind::Read(files), Part::Read { path: Some(path), place }) => files.fit(path, place),
            (Kind::Fetch { host, below }, Part::Fetch(Some(asked))) => is_host(asked, host, *below),
            _ => false,
        }
    }

    /// Whether one part is forbidden by it: in doubt it is.
    pub(super) fn hits(&self, part: &Part, ask: &PermissionAsk) -> bool {
        match (&self.0, part) {
            (Kind::Run { words, any_more }, Part::Run(command) | Part::Within(command)) => {
                started(command).any(|started| hits_words(words, *any_more, started))
            }
            (Kind::Run { words, .. }, Part::Opaque) => {
                let first = words.first();
                let mentioned = |command: &str| first.is_none_or(|word| word.is_in(command));
                ask.command.as_deref().is_none_or(mentioned)
            }
            (Kind::Edit(files), Part::Write { path, place }) => {
                *place == Place::Unknown || files.fit(path, place)
            }
            (Kind::Read(files), Part::Read { path: Some(path), place }) => {
                *place == Place::Unknown || files.fit(path, place)
            }
            (Kind::Fetch { .. }, Part::Fetch(None)) => true,
            (Kind::Tool { name, .. }, _) => name.is(tool(ask)),
            _ => self.covers(part, ask),
        }
    }
}

/// Whether a part tells nothing of what a tool does, beside its name.
fn says_nothing(part: &Part, ask: &PermissionAsk) -> bool {
    match part {
        Part::Read { path: None, .. } | Part::Fetch(None) => true,
        Part::Write { path, .. } => path.is_empty(),
        Part::Opaque => ask.command.is_none(),
        _ => false,
    }
}

/// Whether the words that only a `*` stands for name no credentials, and hold no option that is not
/// known to be harmless. Where `*` is all there is, any program is meant with any options.
fn is_harmless_behind(patterns: &[Glob], words: &[Word]) -> bool {
    let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let program = texts.first().copied().unwrap_or_default();
    words.iter().enumerate().all(|(at, word)| {
        let option = match patterns.get(at) {
            Some(Glob::Exact(_)) => return true,
            // `--name=*` names the option; what it is given may be anything.
            Some(Glob::Parts(parts)) => {
                parts.first().is_some_and(|first| first.starts_with('-') && first.contains('='))
            }
            None => false,
        };
        if names_secret(&word.text) || (word.expands && !expands_plainly(word)) {
            return false;
        }
        let any = patterns.is_empty() || at == 0 || option;
        any || ((!is_option(program, &word.text) || is_harmless(&texts, at))
            && !(is_deep(&texts) && leads_out(&word.text)))
    })
}

/// Whether what a shell makes of a word is no option, and no file with credentials.
fn expands_plainly(word: &Word) -> bool {
    !word.replaced && stays_plain(&word.text)
}

fn tool(ask: &PermissionAsk) -> &str {
    ask.name.as_deref().unwrap_or(&ask.title)
}

fn run(text: &str) -> Option<Kind> {
    let line = shell::read(text);
    let [command] = line.commands.as_slice() else { return None };
    let plain = !line.opaque
        && !command.sets
        && command.writes.is_empty()
        && command.reads.is_empty()
        && !command
            .words
            .iter()
            .any(|word| word.text.contains(['$', '{', '?', '[']) && word.expands);
    if !plain {
        return None;
    }
    // A line for another shell would be read as what that shell runs.
    let mut words: Vec<Glob> = command
        .words
        .iter()
        .map(
            |word| {
                if word.expands { Glob::new(&word.text) } else { Glob::Exact(word.text.clone()) }
            },
        )
        .collect();
    let any_more = words.last().is_some_and(Glob::is_anything);
    if any_more {
        words.pop();
    }
    Some(Kind::Run { words, any_more })
}

fn files(text: &str) -> Result<Files, PatternError> {
    let failed = |why: &str| PatternError::Files { pattern: text.to_owned(), why: why.to_owned() };
    if text.split('/').any(|part| part == "..") {
        return Err(failed("write the path without '..'"));
    }
    if text.starts_with('~') {
        return Err(failed("write the whole path in place of '~'"));
    }
    let glob = text.strip_prefix("./").unwrap_or(text);
    let glob = GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map_err(|err| failed(&err.kind().to_string()))?;
    Ok(Files { glob: glob.compile_matcher(), absolute: text.starts_with('/') })
}

impl Files {
    fn fit(&self, _path: &str, place: &Place) -> bool {
        match place {
            Place::Inside(inside) => !self.absolute && self.glob.is_match(inside),
            Place::Outside(there) => self.absolute && self.glob.is_match(there),
            Place::Git | Place::Unknown => false,
        }
    }
}

fn host(text: &str) -> Option<Kind> {
    let below = text.starts_with("*.");
    let host = text.strip_prefix("*.").unwrap_or(text).to_ascii_lowercase();
    let fine = |ch: char| ch.is_ascii_alphanumeric() || ".-:[]".contains(ch);
    (!host.is_empty() && host.chars().all(fine)).then_some(Kind::Fetch { host, below })
}

fn is_host(asked: &str, host: &str, below: bool) -> bool {
    if below {
        asked.strip_suffix(host).is_some_and(|before| before.ends_with('.') && before.len() > 1)
    } else {
        asked == host
    }
}

fn fits_words(patterns: &[Glob], any_more: bool, words: &[Word]) -> bool {
    let enough =
        if any_more { words.len() >= patterns.len() } else { words.len() == patterns.len() };
    enough
        && !words.is_empty()
        // What the shell makes several words of, or none, stands for nothing but the rest.
        && patterns.iter().zip(words).all(|(pattern, word)| !word.expands && pattern.is(&word.text))
        && (!patterns.is_empty() || !words[0].expands)
}

fn hits_words(patterns: &[Glob], any_more: bool, words: &[Word]) -> bool {
    let enough =
        if any_more { words.len() >= patterns.len() } else { words.len() == patterns.len() };
    let name = |word: &Word| word.text.rsplit('/').next().unwrap_or_default().to_owned();
    let expands = words.iter().take(patterns.len()).any(|word| word.expands);
    let fits = |(at, (pattern, word)): (usize, (&Glob, &Word))| {
        word.expands || pattern.is(&word.text) || (at == 0 && pattern.is(&name(word)))
    };
    (enough || expands) && patterns.iter().zip(words).enumerate().all(fits)
}

/// The words from each program that a command starts: its own, and the ones behind starters.
fn started(command: &Command) -> impl Iterator<Item = &[Word]> {
    let words = command.words.as_slice();
    let starts = words.first().is_some_and(|word| {
        let name = word.text.rsplit('/').next().unwrap_or_default();
        STARTERS.contains(&name)
    });
    let behind = (1..words.len()).filter(move |at| {
        let exec = matches!(words[at - 1].text.as_str(), "-exec" | "-execdir" | "-ok");
        starts || exec
    });
    std::iter::once(words).chain(behind.map(move |at| &words[at..]))
}

impl Glob {
    fn new(text: &str) -> Self {
        if text.contains('*') {
            Self::Parts(text.split('*').map(ToOwned::to_owned).collect())
        } else {
            Self::Exact(text.to_owned())
        }
    }

    fn is_anything(&self) -> bool {
        matches!(self, Self::Parts(parts) if parts.iter().all(String::is_empty))
    }

    fn is(&self, text: &str) -> bool {
        let parts = match self {
            Self::Exact(exact) => return exact == text,
            Self::Parts(parts) => parts,
        };
        let (Some(first), Some(last)) = (parts.first(), parts.last()) else { return false };
        let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
        if parts.len() == 1 {
            return rest.is_empty();
        }
        for part in &parts[1..parts.len() - 1] {
            match rest.find(part.as_str()) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }

    /// Whether its text, or the text before its first `*`, is found anywhere.
    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => text.contains(exact.as_str()),
            Self::Parts(parts) => parts.iter().all(|part| text.contains(part.as_str())),
        }
    }
}
