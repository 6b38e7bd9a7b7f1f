//! What a request really asks for, part by part: each program, each file, each host.

use std::path::Path;

use model::conversation::ToolKind;
use model::inbox::PermissionAsk;
use serde_json::Value;
use url::Url;

use super::places::{Ground, Place};
use super::shell::{self, Command, Word};

/// The most files one request is read for.
const FILES_MAX: usize = 1000;
/// The most of an input that is looked at, in bytes.
const INPUT_BYTES_MAX: usize = 64 * 1024;
/// Programs after which a relative path leads elsewhere.
const MOVERS: &[&str] = &["cd", "pushd", "popd", "chdir"];

/// One thing a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Starts a program.
    Run(Command),
    /// Another program may start this one: looked at to forbid, never to allow.
    Within(Command),
    /// Works elsewhere than in its worktree.
    Elsewhere { place: Place },
    /// Does something by a command that cannot be read.
    Opaque,
    /// Changes a file.
    Write { path: String, place: Place },
    /// Reads a file, or something nobody named.
    Read { path: Option<String>, place: Place },
    /// Reaches a host; nothing where that is not known.
    Fetch(Option<String>),
    /// Uses one of our own tools.
    Own,
    /// Uses another tool.
    Tool,
}

/// Every part of a request. There is always at least one.
pub(super) fn of(ask: &PermissionAsk, worktree: &Path) -> Vec<Part> {
    let ground = Ground { worktree, directory: ask.directory.as_deref(), moved: false };
    let mut parts = Vec::new();
    if let Some(command) = &ask.command {
        run(command, ground, &mut parts);
    } else if ask.tool == ToolKind::Execute {
        parts.push(Part::Opaque);
    }
    let changes = !ask.changes.is_empty();
    let paths = ask.changes.iter().map(|change| &change.path).chain(&ask.places);
    match ask.tool {
        ToolKind::Edit | ToolKind::Delete | ToolKind::Move => {
            let before = parts.len();
            parts.extend(paths.take(FILES_MAX).map(|path| written(path, ground)));
            if parts.len() == before {
                parts.push(Part::Write { path: String::new(), place: Place::Unknown });
            }
        }
        // Whatever it calls itself: it changes files.
        _ if changes => parts.extend(paths.take(FILES_MAX).map(|path| written(path, ground))),
        ToolKind::Read | ToolKind::Search | ToolKind::Think if ask.command.is_none() => {
            parts.extend(ask.places.iter().take(FILES_MAX).map(|path| seen(path, ground)));
            if ask.places.is_empty() {
                let place = Place::Inside(std::path::PathBuf::new());
                parts.push(Part::Read { path: None, place });
            }
        }
        ToolKind::Fetch => fetched(ask, &mut parts),
        ToolKind::Own if parts.is_empty() => parts.push(Part::Own),
        _ => {}
    }
    if ask.changes.len() + ask.places.len() > FILES_MAX {
        parts.push(Part::Opaque);
    }
    if parts.is_empty() {
        parts.push(Part::Tool);
    }
    parts
}

fn run(command: &str, ground: Ground<'_>, parts: &mut Vec<Part>) {
    let line = shell::read(command);
    let place = ground.home();
    if !matches!(place, Place::Inside(_)) {
        parts.push(Part::Elsewhere { place });
    }
    let ground = Ground { moved: line.commands.iter().any(moves), ..ground };
    let leads =
        |word: &Word| if word.expands { Place::Unknown } else { ground.resolve(&word.text) };
    for command in &line.commands {
        parts.push(Part::Run(command.clone()));
        for word in &command.writes {
            parts.push(Part::Write { path: word.text.clone(), place: leads(word) });
        }
        for word in &command.reads {
            parts.push(Part::Read { path: Some(word.text.clone()), place: leads(word) });
        }
    }
    parts.extend(line.within.into_iter().map(Part::Within));
    if line.opaque || line.commands.is_empty() {
        parts.push(Part::Opaque);
    }
}

/// Whether a command makes relative paths lead elsewhere for those behind it.
pub(super) fn moves(command: &Command) -> bool {
    command.words.first().is_some_and(|word| MOVERS.contains(&word.text.as_str()))
}

/// The command with the directory it is to run in, as one line.
pub(super) fn whole_line(ask: &PermissionAsk) -> Option<String> {
    let directory = shell::quoted(ask.directory.as_deref()?);
    Some(format!("cd {directory} && {}", ask.command.as_deref()?.trim()))
}

fn written(path: &str, ground: Ground<'_>) -> Part {
    Part::Write { path: path.to_owned(), place: ground.resolve(path) }
}

fn seen(path: &str, ground: Ground<'_>) -> Part {
    Part::Read { path: Some(path.to_owned()), place: ground.resolve(path) }
}

fn fetched(ask: &PermissionAsk, parts: &mut Vec<Part>) {
    let input = ask.input.as_deref().unwrap_or_default();
    let mut addresses = Vec::new();
    if input.len() <= INPUT_BYTES_MAX {
        match serde_json::from_str::<Value>(input) {
            Ok(value) => collect(&value, &mut addresses, 0),
            Err(_) => addresses_in(input, &mut addresses),
        }
    }
    for place in &ask.places {
        addresses_in(place, &mut addresses);
    }
    if addresses.is_empty() {
        addresses_in(&ask.title, &mut addresses);
    }
    let hosts = addresses.iter().take(FILES_MAX).map(|address| Part::Fetch(host(address)));
    let before = parts.len();
    parts.extend(hosts);
    if parts.len() == before {
        parts.push(Part::Fetch(None));
    }
}

/// The host an address leads to, as a browser reads it.
fn host(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    matches!(url.scheme(), "http" | "https").then(|| url.host_str().map(str::to_ascii_lowercase))?
}

fn collect(value: &Value, addresses: &mut Vec<String>, depth: u8) {
    match value {
        _ if depth > 8 => {}
        Value::String(text) => addresses_in(text, addresses),
        Value::Array(all) => all.iter().for_each(|one| collect(one, addresses, depth + 1)),
        Value::Object(all) => all.values().for_each(|one| collect(one, addresses, depth + 1)),
        _ => {}
    }
}

fn addresses_in(text: &str, addresses: &mut Vec<String>) {
    let words = text.split(|ch: char| ch.is_whitespace() || "\"'<>()".contains(ch));
    let found = words.filter(|word| {
        let word = word.to_ascii_lowercase();
        word.starts_with("http:") || word.starts_with("https:")
    });
    addresses.extend(found.take(FILES_MAX).map(ToOwned::to_owned));
}
