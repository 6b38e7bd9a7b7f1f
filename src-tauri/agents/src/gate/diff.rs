//! The gates that look at what an attempt changed.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use model::gate::{GateSpec, Verdict};

use super::added::{Part, Patch};
use super::stream::{Entry, LookError, Span, shown};
use super::{Finding, List, counted, some, twice};
use crate::{scan, secrets};

/// How much of a long line is searched again together with what follows it, in bytes: no secret
/// that is cut in two is missed.
const OVERLAP_BYTES: usize = 8 * 1024;
/// How much of a line with a secret is shown, in characters.
const EXCERPT_CHARS: usize = 100;

/// Answers one of the gates that need a repository.
///
/// # Errors
/// When git cannot be asked or a pattern cannot be read.
pub(super) async fn answer(gate: &GateSpec, span: Span<'_>) -> Result<Finding, LookError> {
    let changed = span.changed().await?;
    match gate {
        GateSpec::DiffNotEmpty => Ok(not_empty(&changed)),
        GateSpec::DiffWithin { paths } => within(&changed, paths),
        GateSpec::MaxLines { lines } => max_lines(span, changed, u64::from(*lines)).await,
        GateSpec::NoDuplicates { lines } => twice::answer(span, changed, *lines as usize).await,
        _ => no_secrets(span).await,
    }
}

fn not_empty(changed: &[Entry]) -> Finding {
    let names: Vec<String> = changed.iter().map(Entry::name).collect();
    if names.is_empty() {
        return Finding::new(Verdict::Failed, "nothing was changed");
    }
    let mut list = List::default();
    names.iter().for_each(|name| list.push(name));
    let reason = format!("{} changed: {}", counted(names.len(), "file"), some(&names));
    Finding::listing(Verdict::Passed, reason, list)
}

fn within(changed: &[Entry], paths: &[String]) -> Result<Finding, LookError> {
    use std::os::unix::ffi::OsStrExt;
    let allowed = patterns(paths)?;
    let path = |entry: &Entry| std::ffi::OsStr::from_bytes(&entry.path).to_owned();
    let outside: Vec<String> =
        changed.iter().filter(|entry| !allowed.is_match(path(entry))).map(Entry::name).collect();
    let paths = paths.join(" ");
    if changed.is_empty() {
        return Ok(Finding::new(
            Verdict::Passed,
            format!("nothing was changed outside of {paths}"),
        ));
    }
    let of = counted(changed.len(), "changed file");
    if outside.is_empty() {
        let all = if changed.len() == 1 { "the only" } else { "each of" };
        let reason = format!("{all} {of} is within {paths}");
        return Ok(Finding::new(Verdict::Passed, reason));
    }
    let mut list = List::default();
    outside.iter().for_each(|name| list.push(&format!("{name}: outside of {paths}")));
    let is = if outside.len() == 1 { "is" } else { "are" };
    let reason = format!("{} of {of} {is} outside of {paths}: {}", outside.len(), some(&outside));
    Ok(Finding::listing(Verdict::Failed, reason, list))
}

/// The patterns, each of which also means everything in a directory of that name.
fn patterns(paths: &[String]) -> Result<GlobSet, LookError> {
    let mut set = GlobSetBuilder::new();
    for path in paths {
        let plain = path.trim_start_matches("./").trim_end_matches('/');
        let plain = if plain.is_empty() || plain == "." { "**" } else { plain };
        let mut add = |pattern: &str| -> Result<(), LookError> {
            set.add(GlobBuilder::new(pattern).literal_separator(true).build()?);
            Ok(())
        };
        add(&format!("{plain}/**"))?;
        if !path.ends_with('/') {
            add(plain)?;
        }
    }
    Ok(set.build()?)
}

/// What is counted of one file.
#[derive(Default)]
struct Count {
    lines: u64,
    bytes: usize,
    open: bool,
    binary: bool,
}

async fn max_lines(
    span: Span<'_>,
    mut changed: Vec<Entry>,
    lines_max: u64,
) -> Result<Finding, LookError> {
    changed.retain(|entry| entry.plain);
    let mut counts: Vec<Count> = changed.iter().map(|_| Count::default()).collect();
    span.contents(&changed, &mut |index, piece| {
        let count = &mut counts[index];
        let beginning = scan::BINARY_BYTES.saturating_sub(count.bytes).min(piece.len());
        count.binary |= piece[..beginning].contains(&0);
        count.bytes += piece.len();
        count.lines += piece.iter().filter(|byte| **byte == b'\n').count() as u64;
        count.open = piece.last().map_or(count.open, |byte| *byte != b'\n');
    })
    .await?;
    let mut list = List::default();
    let mut long = Vec::new();
    let text: Vec<_> = changed.iter().zip(&counts).filter(|(_, count)| !count.binary).collect();
    for (entry, count) in &text {
        let lines = count.lines + u64::from(count.open);
        if lines > lines_max {
            let name = entry.name();
            list.push(&format!("{name}:{}: it has {lines} lines", lines_max + 1));
            long.push(format!("{name} ({lines})"));
        }
    }
    let of = counted(text.len(), "changed text file");
    if long.is_empty() {
        let reason = format!("none of {of} has more than {lines_max} lines");
        return Ok(Finding::new(Verdict::Passed, reason));
    }
    let has = if long.len() == 1 { "has" } else { "have" };
    let n = long.len();
    let reason = format!("{n} of {of} {has} more than {lines_max} lines: {}", some(&long));
    Ok(Finding::listing(Verdict::Failed, reason, list))
}

async fn no_secrets(span: Span<'_>) -> Result<Finding, LookError> {
    let (mut patch, mut search) = (Patch::default(), Search::default());
    span.patch(&mut |piece| patch.read(piece, &mut |part| search.take(&part))).await?;
    let Search { found, list, lines, .. } = search;
    if found.is_empty() {
        let reason = format!("none of {} looks like a secret", counted(lines, "added line"));
        return Ok(Finding::new(Verdict::Passed, reason));
    }
    let thing = if found.len() == 1 { "thing looks" } else { "things look" };
    let n = found.len();
    let reason = format!("{n} added {thing} like a secret: {}", some(&found));
    Ok(Finding::listing(Verdict::Failed, reason, list))
}

/// Searches the added lines of a patch for secrets, and keeps none.
#[derive(Default)]
struct Search {
    path: String,
    /// The end of a long line's last piece.
    tail: Vec<u8>,
    /// How many lines were searched.
    lines: usize,
    /// What was found in the line that is being read.
    of_line: Vec<&'static str>,
    /// Where something was found, and what.
    found: Vec<String>,
    list: List,
}

impl Search {
    fn take(&mut self, part: &Part<'_>) {
        match part {
            Part::File(path) => {
                self.path = shown(path);
                self.tail.clear();
                self.of_line.clear();
            }
            Part::Lines { .. } => {}
            Part::Added { line, text, ends } => {
                let in_pieces = !ends || !self.tail.is_empty();
                if in_pieces {
                    let mut text = [self.tail.as_slice(), text].concat();
                    self.search(*line, &text, true);
                    self.tail = text.split_off(text.len().saturating_sub(OVERLAP_BYTES));
                } else {
                    self.search(*line, text, false);
                }
                if *ends {
                    self.lines += 1;
                    self.tail.clear();
                    self.of_line.clear();
                }
            }
        }
    }

    fn search(&mut self, line: u64, text: &[u8], in_pieces: bool) {
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let mut from = 0;
        while let Some(found) = secrets::find_from(text, from) {
            from = found.end;
            if self.of_line.contains(&found.rule) {
                continue;
            }
            self.of_line.push(found.rule);
            self.found.push(format!("{}:{line} ({})", self.path, found.rule));
            // Of a piece of a line the rest of a secret may stand in the next one.
            let excerpt = if in_pieces { String::new() } else { excerpt(text) };
            self.list.push(format!("{}:{line}: {} {excerpt}", self.path, found.rule).trim_end());
        }
    }
}

/// What stands around the first secret of a line, with all of them taken out.
fn excerpt(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let clean = scan::printable(&secrets::redact(&line));
    let at = clean.find("[removed").unwrap_or(0);
    let before = clean[..at].chars().count().saturating_sub(EXCERPT_CHARS / 3);
    let part: String = clean.chars().skip(before).take(EXCERPT_CHARS).collect();
    format!("in: {}", part.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_files_and_everything_in_directories() {
        let check = |patterns_of: &[&str], path: &str, expect: bool| {
            let paths: Vec<String> = patterns_of.iter().map(|path| (*path).to_owned()).collect();
            assert_eq!(patterns(&paths).unwrap().is_match(path), expect, "{patterns_of:?} {path}");
        };
        check(&["src/**"], "src/a/b.rs", true);
        check(&["src/**"], "srcs/a.rs", false);
        check(&["src"], "src/a/b.rs", true);
        check(&["src/"], "src/.hidden/b.rs", true);
        check(&["./src/"], "src/b.rs", true);
        check(&["src/"], "src", false);
        check(&["src/*.rs"], "src/a/b.rs", false);
        check(&["*.md"], "docs/a.md", false);
        check(&["**/*.md"], "a.md", true);
        check(&["docs", "*.md"], "a.md", true);
        check(&["."], "anything/at.all", true);
        check(&["a/{b,c}/*"], "a/c/d", true);
        assert!(patterns(&["src/[".to_owned()]).is_err());
    }

    #[test]
    fn a_secret_is_found_once_wherever_a_long_line_is_cut_and_never_shown() {
        let token = ["gh", "p_", &"aB3dE5fG7h".repeat(4)[..36]].concat();
        let line = format!("{} {token} {}", "x".repeat(3000), "y".repeat(3000));
        for cut in [2990, 3001, 3010, 3041, 3042, 5000] {
            let mut search = Search::default();
            search.take(&Part::File(b"a.txt"));
            let (one, other) = line.as_bytes().split_at(cut);
            search.take(&Part::Added { line: 7, text: one, ends: false });
            search.take(&Part::Added { line: 7, text: other, ends: true });
            assert_eq!(search.found, ["a.txt:7 (GitHub token)"], "{cut}");
            assert!(!search.list.text().contains(&token[4..12]));
        }
        let excerpt = excerpt(format!("ä {line} ä").as_bytes());
        assert!(excerpt.contains("[removed: GitHub token]"), "{excerpt}");
        assert!(excerpt.chars().count() <= EXCERPT_CHARS + 4 && !excerpt.contains(&token[4..12]));
    }
}
