//! The pattern that *always* would allow: wide enough to be of use, never wider than it looks.

use std::path::{Path, PathBuf};

use model::conversation::cut;
use model::inbox::PermissionAsk;

use super::parts::{self, Part};
use super::pattern::{PATTERN_BYTES_MAX, Pattern};
use super::places::Place;
use super::shell::{Command, Word};

/// Programs whose first word says what they do, and those words that are safe to repeat with others.
/// What runs a script by its name, or takes settings as plain words (`npm run`, `make`), is not here.
const VERBS: &[(&str, &[&str])] = &[
    ("git", &["status", "diff", "log", "show", "add", "commit", "blame", "rev-parse", "ls-files"]),
    ("cargo", &["build", "check", "test", "clippy", "fmt", "doc", "tree", "metadata", "bench"]),
    ("go", &["build", "test", "vet", "fmt"]),
];
/// Programs that only look, or run the project's own tests: what a `*` may stand for changes nothing.
const LOOKERS: &[&str] = &[
    "ls", "cat", "head", "tail", "wc", "grep", "rg", "pwd", "echo", "stat", "du", "df", "which",
    "tree", "diff", "cmp", "basename", "dirname", "realpath", "sort", "cut", "pytest", "mypy",
];

/// The pattern that fits this request and what is like it. A command that could do anything with
/// other words, or more than one kind of command, is suggested exactly as it is.
#[must_use]
pub fn pattern(ask: &PermissionAsk, worktree: &Path) -> String {
    let parts = parts::of(ask, worktree);
    let suggested = if let Some(command) = &ask.command {
        of_command(command, &parts, ask)
    } else if let Some(host) = parts.iter().find_map(host) {
        format!("fetch: {host}")
    } else {
        of_files(&parts).or_else(|| parts.iter().find_map(exactly)).unwrap_or_else(|| {
            let tool = ask.name.as_deref().unwrap_or(&ask.title);
            format!("tool: ={}", tool.trim())
        })
    };
    cut(&suggested, PATTERN_BYTES_MAX)
}

fn host(part: &Part) -> Option<&String> {
    match part {
        Part::Fetch(host) => host.as_ref(),
        _ => None,
    }
}

/// The path of a file that no wider pattern describes, as the agent named it. Of several it is the
/// first: the others are asked for again.
fn exactly(part: &Part) -> Option<String> {
    let (kind, path) = match part {
        Part::Write { path, .. } => ("edit", path),
        Part::Read { path: Some(path), .. } => ("read", path),
        _ => return None,
    };
    let path = path.trim();
    (!path.is_empty()).then(|| format!("{kind}: ={path}"))
}

fn of_command(command: &str, parts: &[Part], ask: &PermissionAsk) -> String {
    let elsewhere = parts.iter().any(|part| matches!(part, Part::Elsewhere { .. }));
    let whole = parts::whole_line(ask).filter(|_| elsewhere);
    let exact = || format!("run: ={}", whole.as_deref().unwrap_or(command.trim()));
    let mut suggested: Option<String> = None;
    for part in parts {
        let Part::Run(command) = part else { return exact() };
        match (widened(command), &suggested) {
            (None, _) => return exact(),
            (Some(new), Some(old)) if new != *old => return exact(),
            (Some(new), _) => suggested = Some(new),
        }
    }
    // A `*` does not stand for everything: what it leaves out is suggested as it is.
    let covers = |text: &String| {
        Pattern::parse(text).is_ok_and(|it| parts.iter().all(|part| it.covers(part, ask)))
    };
    suggested.filter(covers).unwrap_or_else(exact)
}

fn widened(command: &Command) -> Option<String> {
    if command.sets || !command.writes.is_empty() || !command.reads.is_empty() {
        return None;
    }
    let program = plain(command.words.first()?)?;
    if LOOKERS.contains(&program.as_str()) {
        return Some(format!("run: {program} *"));
    }
    let verb = plain(command.words.get(1)?)?;
    // It has verbs of its own.
    if program == "cargo" && verb == "nextest" {
        let runs = plain(command.words.get(2)?)? == "run";
        return runs.then(|| "run: cargo nextest run *".to_owned());
    }
    let (_, verbs) = VERBS.iter().find(|(name, _)| name == program)?;
    verbs.contains(&verb.as_str()).then(|| format!("run: {program} {verb} *"))
}

/// The text of a word that a pattern can hold as it is.
fn plain(word: &Word) -> Option<&String> {
    let fine = |ch: char| ch.is_ascii_alphanumeric() || "-_./+".contains(ch);
    let whole = !word.expands && !word.text.is_empty() && word.text.chars().all(fine);
    whole.then_some(&word.text)
}

fn of_files(parts: &[Part]) -> Option<String> {
    let mut kind = None;
    let mut paths = Vec::new();
    for part in parts {
        let (this, place) = match part {
            Part::Write { place, .. } => ("edit", place),
            Part::Read { path: Some(_), place } => ("read", place),
            _ => return None,
        };
        if kind.is_some_and(|kind| kind != this) {
            return None;
        }
        kind = Some(this);
        match place {
            // The worktree itself is no file.
            Place::Inside(path) if path.as_os_str().is_empty() => return None,
            Place::Inside(path) | Place::Outside(path) => paths.push((path.clone(), place)),
            Place::Git | Place::Unknown => return None,
        }
    }
    let inside = paths.iter().all(|(_, place)| matches!(place, Place::Inside(_)));
    let (first, _) = paths.first()?;
    // Outside of the worktree only what was asked for, file by file.
    if !inside {
        return (paths.len() == 1).then(|| Some(format!("{}: {}", kind?, escaped(first)?)))?;
    }
    let mut common: PathBuf = first.parent().unwrap_or(Path::new("")).to_owned();
    for (path, _) in &paths {
        while !path.starts_with(&common) {
            common.pop();
        }
    }
    match (common.as_os_str().is_empty(), paths.len()) {
        (true, 1) => Some(format!("{}: {}", kind?, escaped(first)?)),
        (true, _) => Some(format!("{}: **", kind?)),
        (false, _) => Some(format!("{}: {}/**", kind?, escaped(&common)?)),
    }
}

/// A path in which nothing stands for anything else.
fn escaped(path: &Path) -> Option<String> {
    let mut text = String::new();
    for ch in path.to_str()?.chars() {
        if "*?[]{}!\\".contains(ch) {
            text.push('[');
            text.push(ch);
            text.push(']');
        } else {
            text.push(ch);
        }
    }
    (!text.contains("[!]") && !text.contains("[\\]") && !text.contains("[]]")).then_some(text)
}
