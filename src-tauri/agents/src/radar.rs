//! Which files the attempts touch that are under way, and where two touch the same.
//!
//! Line ranges are those of the base, the one numbering two attempts share. Comparing is pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::review::{FILES_MAX, FileStatus, read_raw};
use crate::secure::linked;
use crate::worktree::{Git, GitError, refused};

/// The most ranges kept of one file; the last one then reaches to the last change.
const RANGES_MAX: usize = 500;
/// The most files in conflict that are returned.
pub const CONFLICTS_MAX: usize = 1_000;
/// How a worktree is compared with its base.
const PLAINLY: &[&str] = &[
    "diff-index",
    "--cached",
    "-O/dev/null",
    "--no-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
];

/// Lines of a file as it is in the base, counted from 1.
///
/// A range whose last line is before its first is the place in front of `first`, where lines were
/// added and none was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Lines {
    /// The first line.
    pub first: u64,
    /// The last line.
    pub last: u64,
}

impl Lines {
    /// Whether git would not merge changes of these and of those lines by itself: where they share
    /// a line, or meet without one between them.
    #[must_use]
    pub const fn meets(&self, other: &Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.last < self.first {
            write!(f, "before {}", self.first)
        } else if self.last == self.first {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A file of a worktree that is not as in the base, be it committed or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TouchedFile {
    /// Its path in the repository; what is not text in it is replaced.
    pub path: String,
    /// What happened to it; a rename is a file deleted and another one added.
    pub status: FileStatus,
    /// The changed lines of the base, in their order; none where the file was not there.
    pub lines: Vec<Lines>,
    /// Whether all of them are known.
    pub lines_known: bool,
    /// Lines added and removed.
    pub changed_lines: u64,
    /// The hash and mode of what it is now: the same where two attempts made the same of it.
    pub content: String,
}

/// What one attempt touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Touched {
    /// What the attempt is called.
    pub key: String,
    /// The commit it is compared with.
    pub base: String,
    /// Its files.
    pub files: Vec<TouchedFile>,
}

/// The lines of a file that one attempt changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinesOf {
    /// The attempt.
    pub key: String,
    /// Its ranges, in the base of this attempt.
    pub lines: Vec<Lines>,
}

/// A file that several attempts touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileConflict {
    /// Its path.
    pub path: String,
    /// The attempts, in the order of their keys.
    pub between: Vec<String>,
    /// Whether two of them cannot both be merged as they are: their lines meet, one deletes what
    /// another changes, or both add another file here. True as well where that is not known.
    pub overlapping: bool,
    /// Whether `overlapping` was told by the name of the file only: the bases differ, or not all
    /// lines are known.
    pub by_file_only: bool,
    /// The lines of each, in the same order.
    pub lines: Vec<LinesOf>,
}

/// An attempt's place in the suggested order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suggested {
    /// The attempt.
    pub key: String,
    /// Why it is there.
    pub why: String,
}

impl Git {
    /// The files of an attempt's worktree that are not as in the commit `base`, uncommitted and
    /// untracked ones included, with the lines that changed; at most 5,000. Its index is not touched.
    ///
    /// # Errors
    /// As [`Git::seen`]; when `base` is no commit of the repository.
    pub async fn touched(&self, dir: &Path, base: &str) -> Result<Vec<TouchedFile>, GitError> {
        let what = "look at the changed lines";
        linked(dir)?;
        self.check_commit(dir, base).await?;
        let aside = self.aside(dir).await?;
        self.stage(dir, Some(&aside)).await?;
        let command = |how: &[&str]| {
            let args = [PLAINLY, how, &[base]].concat();
            let mut command = crate::git::command(dir, &args, &[]);
            aside.apply(&mut command);
            command
        };
        let raw = self.run(command(&["--raw", "--no-abbrev", "-z"]), what).await?;
        if raw.code != Some(0) {
            return Err(refused(what, raw));
        }
        let patch = command(&["--patch", "--unified=0", "--submodule=short", "--no-color"]);
        let patch = self.run_for(patch, what, is_heading).await?;
        if patch.code != Some(0) {
            return Err(refused(what, patch));
        }
        let entries = read_raw(raw.list()).ok_or(GitError::Unreadable { what })?;
        let mut hunks = read_hunks(&patch.out).into_iter();
        let mut files = Vec::new();
        for entry in entries.iter().take(FILES_MAX) {
            // A file that became a link is shown as one deleted and one added.
            let parts = if entry.status == FileStatus::TypeChanged { 2 } else { 1 };
            let found: Vec<Hunks> = hunks.by_ref().take(parts).collect();
            let content = [entry.mode, b" ", entry.object].concat();
            let in_base = usize::from(entry.status != FileStatus::Added);
            files.push(TouchedFile {
                path: String::from_utf8_lossy(entry.path).into_owned(),
                status: entry.status,
                lines_known: !patch.cut && found.len() == parts && found.iter().all(|h| h.whole),
                changed_lines: found.iter().map(|hunks| hunks.changed).sum(),
                lines: found.into_iter().take(in_base).flat_map(|hunks| hunks.lines).collect(),
                content: String::from_utf8_lossy(&content).into_owned(),
            });
        }
        Ok(files)
    }
}

/// The files that two or more attempts touch, those with overlapping changes first, then by path; at
/// most 1,000.
#[must_use]
pub fn conflicts(all: &[Touched]) -> Vec<FileConflict> {
    let mut by_path: BTreeMap<&str, Vec<Part<'_>>> = BTreeMap::new();
    for touched in all {
        for file in &touched.files {
            by_path.entry(&file.path).or_default().push(Part { touched, file });
        }
    }
    let mut found: Vec<FileConflict> = by_path
        .into_iter()
        .filter(|(_, parts)| parts.len() > 1)
        .map(|(path, mut parts)| {
            parts.sort_by(|a, b| a.touched.key.cmp(&b.touched.key));
            let of = |part: &Part<'_>| LinesOf {
                key: part.touched.key.clone(),
                lines: part.file.lines.clone(),
            };
            let met: Vec<Meeting> = pairs(&parts).map(|(a, b)| a.meeting(b)).collect();
            FileConflict {
                path: path.to_owned(),
                between: parts.iter().map(|part| part.touched.key.clone()).collect(),
                overlapping: met.iter().any(|met| *met != Meeting::Apart),
                by_file_only: !met.contains(&Meeting::Known) && met.contains(&Meeting::Possible),
                lines: parts.iter().map(of).collect(),
            }
        })
        .collect();
    found.sort_by_key(|conflict| !conflict.overlapping);
    found.truncate(CONFLICTS_MAX);
    found
}

/// The order in which the attempts are best merged: first what overlaps with the fewest files of
/// others, of these what shares the fewest, then what changes the fewest lines, then by key.
#[must_use]
pub fn suggested_order(all: &[Touched]) -> Vec<Suggested> {
    let mut by_path: BTreeMap<&str, Vec<Part<'_>>> = BTreeMap::new();
    for touched in all {
        for file in &touched.files {
            by_path.entry(&file.path).or_default().push(Part { touched, file });
        }
    }
    let mut overlapping: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut shared: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, parts) in &by_path {
        for (a, b) in pairs(parts) {
            let apart = a.meeting(b) == Meeting::Apart;
            let into = if apart { &mut shared } else { &mut overlapping };
            for part in [a, b] {
                into.entry(&part.touched.key).or_default().insert(path);
            }
        }
    }
    let mut order: Vec<_> = all
        .iter()
        .map(|touched| {
            let key = touched.key.as_str();
            let count = |of: &BTreeMap<&str, BTreeSet<&str>>| of.get(key).map_or(0, BTreeSet::len);
            let lines: u64 = touched.files.iter().map(|file| file.changed_lines).sum();
            (count(&overlapping), count(&shared), lines, key)
        })
        .collect();
    order.sort_unstable();
    order
        .into_iter()
        .map(|(overlapping, shared, lines, key)| {
            let why = match (overlapping, shared) {
                (0, 0) => "shares no file with another".to_owned(),
                (0, n) => format!("shares {n} files with others, on other lines"),
                (n, _) => format!("overlaps with others in {n} files"),
            };
            let why = format!("{why}; {lines} changed lines").replace(" 1 files", " 1 file");
            Suggested {
                key: key.to_owned(),
                why: why.replace("; 1 changed lines", "; 1 changed line"),
            }
        })
        .collect()
}

/// A file as one attempt touches it.
#[derive(Clone, Copy)]
struct Part<'a> {
    touched: &'a Touched,
    file: &'a TouchedFile,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// Both can be merged.
    Apart,
    /// They may not both be merged: only the file is known to be the same.
    Possible,
    /// They cannot both be merged by git alone.
    Known,
}

impl Part<'_> {
    fn meeting(&self, other: &Part<'_>) -> Meeting {
        let (a, b) = (self.file, other.file);
        if a.content == b.content {
            return Meeting::Apart;
        }
        if self.touched.base != other.touched.base {
            return Meeting::Possible;
        }
        let whole = |file: &TouchedFile| file.status != FileStatus::Modified;
        if whole(a) || whole(b) {
            return Meeting::Known;
        }
        // Both are in the order of their lines.
        let (mut left, mut right) = (a.lines.iter().peekable(), b.lines.iter().peekable());
        while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
            if one.meets(two) {
                return Meeting::Known;
            }
            if one.first < two.first {
                left.next()
            } else {
                right.next()
            };
        }
        if a.lines_known && b.lines_known { Meeting::Apart } else { Meeting::Possible }
    }
}

fn pairs<'a, 'b>(parts: &'a [Part<'b>]) -> impl Iterator<Item = (&'a Part<'b>, &'a Part<'b>)> {
    let after = |n: usize| parts.get(n + 1..).unwrap_or_default().iter();
    parts.iter().enumerate().flat_map(move |(n, a)| after(n).map(move |b| (a, b)))
}

/// The lines of a patch that say where changes are. Lines of the files start with another letter.
fn is_heading(line: &[u8]) -> bool {
    [b"diff --git ".as_slice(), b"@@ -", b"Binary files "].iter().any(|it| line.starts_with(it))
}

/// Where one file of a patch changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Hunks {
    lines: Vec<Lines>,
    changed: u64,
    whole: bool,
}

/// Reads the headings of a patch without context lines; one answer per `diff --git`.
fn read_hunks(headings: &[u8]) -> Vec<Hunks> {
    let mut files: Vec<Hunks> = Vec::new();
    for line in headings.split(|byte| *byte == b'\n') {
        if line.starts_with(b"diff --git ") {
            files.push(Hunks { whole: true, ..Hunks::default() });
        }
        let Some(file) = files.last_mut() else { continue };
        if line.starts_with(b"Binary files ") {
            file.whole = false;
        }
        if !line.starts_with(b"@@ -") {
            continue;
        }
        match read_heading(line) {
            None => file.whole = false,
            Some((lines, changed)) => {
                file.changed = file.changed.saturating_add(changed);
                let full = file.lines.len() == RANGES_MAX;
                match file.lines.last_mut().filter(|_| full) {
                    Some(last) => last.last = last.last.max(lines.last),
                    None => file.lines.push(lines),
                }
            }
        }
    }
    files
}

/// Reads `@@ -10,2 +12 @@`: the lines of the base, and how many were removed and added.
fn read_heading(line: &[u8]) -> Option<(Lines, u64)> {
    let line = std::str::from_utf8(line.get(..line.len().min(100))?).unwrap_or_else(|error| {
        // What follows the numbers is text of the file.
        let valid = line.get(..error.valid_up_to()).unwrap_or_default();
        std::str::from_utf8(valid).unwrap_or_default()
    });
    let (before, rest) = line.strip_prefix("@@ -")?.split_once(" +")?;
    let (after, _) = rest.split_once(" @@")?;
    let numbers = |text: &str| -> Option<(u64, u64)> {
        let (start, count) = text.split_once(',').unwrap_or((text, "1"));
        Some((start.parse().ok()?, count.parse().ok()?))
    };
    let ((start, count), (_, added)) = (numbers(before)?, numbers(after)?);
    let lines = if count == 0 {
        Lines { first: start.checked_add(1)?, last: start }
    } else {
        Lines { first: start, last: start.checked_add(count - 1)? }
    };
    Some((lines, count.saturating_add(added)))
}

#[cfg(test)]
#[path = "radar_tests.rs"]
mod tests;
