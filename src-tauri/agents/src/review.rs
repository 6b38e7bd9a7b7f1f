//! What an attempt's work is, as its reviewer sees it: the tree it holds right now, the files it
//! changed, and their patches.
//!
//! Nothing is written where it is looked at, and nothing of the repository runs: differences are
//! taken between commits, without attributes, so that a file cannot hide itself from its reviewer by
//! being declared binary. The one exception is [`Git::seen`], which stages what is not committed as
//! a commit would, through the clean filters of git's configuration (as git-lfs and git-crypt use
//! them): without those it would see another tree than the one that is committed later.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secure::linked;
use crate::worktree::{Git, GitError, refused};

/// The most changed files that are listed.
pub const FILES_MAX: usize = 5_000;
/// The most that is read of one patch, in bytes.
pub const PATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The most lines around a change.
const CONTEXT_LINES_MAX: u32 = 10_000;
/// How differences are taken, whatever the configuration says.
const PLAINLY: &[&str] = &[
    "diff-tree",
    "-r",
    "-O/dev/null",
    "-l1000",
    "--find-renames",
    "--find-copies",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
];

/// What a worktree holds right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Seen {
    /// The commit that is checked out.
    pub head_commit: String,
    /// The tree of everything in it, uncommitted and untracked files included, ignored ones not.
    pub tree: String,
    /// How many files differ from the commit, untracked ones included.
    pub dirty_files: u64,
}

/// What happened to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileStatus {
    /// It was not there before.
    Added,
    /// It has other content, or may be executed now or no longer.
    Modified,
    /// It is no longer there.
    Deleted,
    /// It was elsewhere before.
    Renamed,
    /// It resembles another one that is still there or was changed as well.
    Copied,
    /// It was a file, a link or a repository, and is another of these now.
    TypeChanged,
}

/// A file that differs between two commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangedFile {
    /// Its path in the repository, as far as it is text.
    pub path: String,
    /// Where it was before, for a rename or a copy.
    pub old_path: Option<String>,
    /// Whether the paths are exact; the patch of one that is not cannot be asked for.
    pub exact: bool,
    /// What happened to it.
    pub status: FileStatus,
    /// Lines added; nothing where it has no lines.
    pub insertions: Option<u64>,
    /// Lines removed; nothing where it has no lines.
    pub deletions: Option<u64>,
    /// Whether it is no text.
    pub binary: bool,
}

/// How a commit differs from what it was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Changes {
    /// The commit it is compared with: the last one it has in common with the base.
    pub base: String,
    /// The files, in the order of their paths; at most 5,000.
    pub files: Vec<ChangedFile>,
    /// Whether there are more.
    pub truncated: bool,
}

/// What patch is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PatchOrder {
    /// The attempt's base.
    pub base: String,
    /// The commit that is reviewed.
    pub commit: String,
    /// The file, or the directory with all its files; nothing for all files.
    pub path: Option<String>,
    /// Where the file was before, for a rename or a copy.
    pub old_path: Option<String>,
    /// Unchanged lines shown around each change; three where nothing is said.
    pub context_lines: Option<u32>,
    /// The most that is returned, in bytes; 4 MiB at most.
    pub bytes_max: u64,
}

/// A unified diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Patch {
    /// Its text; what is not text is replaced.
    pub text: String,
    /// Whether it is longer. What is there ends with a whole line.
    pub truncated: bool,
}

impl Git {
    /// Looks at what a worktree of an attempt holds, without touching its index.
    ///
    /// The tree is the one a commit of everything would have.
    ///
    /// # Errors
    /// When the worktree is gone or cut off from its repository, has no commit checked out, or git
    /// refuses to read a file of it.
    pub async fn seen(&self, dir: &Path) -> Result<Seen, GitError> {
        let what = "look at the worktree";
        linked(dir)?;
        let ask = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        let head = self.ask(dir, what, &ask, &[]).await?;
        if head.code != Some(0) {
            return Err(GitError::NoCommits(dir.to_owned()));
        }
        let head_commit = head.line();
        let aside = self.aside(dir).await?;
        self.stage(dir, Some(&aside)).await?;
        let tell = async |args: &[&str]| {
            let mut command = crate::git::command(dir, args, &[]);
            aside.apply(&mut command);
            let answer = self.run(command, what).await?;
            if answer.code == Some(0) { Ok(answer) } else { Err(refused(what, answer)) }
        };
        let tree = tell(&["write-tree"]).await?.line();
        let differ = ["diff-index", "--cached", "--name-only", "-z", "--no-renames", &head_commit];
        let dirty_files = tell(&differ).await?.entries();
        Ok(Seen { head_commit, tree, dirty_files })
    }

    /// The tree of a commit.
    ///
    /// # Errors
    /// When `commit` is not the full name of a commit of the repository `repo`.
    pub async fn tree_of(&self, repo: &Path, commit: &str) -> Result<String, GitError> {
        self.check_commit(repo, commit).await?;
        let name = format!("{commit}^{{tree}}");
        let ask = ["rev-parse", "--verify", "--end-of-options", name.as_str()];
        Ok(self.tell(repo, "find the tree of a commit", &ask, &[]).await?.line())
    }

    /// The files that differ between `commit` and the last commit it has in common with `base`.
    ///
    /// # Errors
    /// When one of the commits is not in the repository of `dir`, they have nothing in common, or
    /// git refuses.
    pub async fn changed(&self, dir: &Path, base: &str, commit: &str) -> Result<Changes, GitError> {
        let what = "list the changed files";
        let base = self.fork(dir, base, commit).await?;
        let view = self.unattributed(dir).await?;
        let tell = async |how: &[&str]| {
            let args = [PLAINLY, how, &["-z", &base, commit]].concat();
            let answer = self.run(view.command(&args, &[]), what).await?;
            if answer.code == Some(0) { Ok(answer) } else { Err(refused(what, answer)) }
        };
        let raw = tell(&["--raw", "--no-abbrev"]).await?;
        let counted = tell(&["--numstat"]).await?;
        let entries = read_raw(raw.list()).ok_or(GitError::Unreadable { what })?;
        let lines = read_counts(counted.list());
        let truncated = raw.cut || entries.len() > FILES_MAX;
        let files = entries.iter().take(FILES_MAX).map(|entry| entry.with(&lines)).collect();
        Ok(Changes { base, files, truncated })
    }

    /// The patch between a commit and the last one it has in common with its base.
    ///
    /// # Errors
    /// As [`Git::changed`]; when the path is outside the repository.
    pub async fn patch(&self, dir: &Path, order: &PatchOrder) -> Result<Patch, GitError> {
        let what = "show the changes";
        let base = self.fork(dir, &order.base, &order.commit).await?;
        let context = order.context_lines.unwrap_or(3).min(CONTEXT_LINES_MAX);
        let context = format!("--unified={context}");
        let how = ["--patch", &context, "--submodule=short", "--no-color", &base, &order.commit];
        let paths = [&order.path, &order.old_path].into_iter().flatten();
        let paths: Vec<&Path> = paths.map(Path::new).collect();
        let view = self.unattributed(dir).await?;
        let command = view.command(&[PLAINLY, &how].concat(), &paths);
        let answer = self.run(command, what).await?;
        if answer.code != Some(0) {
            return Err(refused(what, answer));
        }
        let bytes_max = usize::try_from(order.bytes_max.min(PATCH_BYTES_MAX)).unwrap_or(usize::MAX);
        Ok(cut_off(&answer.out, bytes_max, answer.cut))
    }

    /// The commit that `commit` is to be compared with.
    async fn fork(&self, dir: &Path, base: &str, commit: &str) -> Result<String, GitError> {
        self.check_commit(dir, base).await?;
        self.check_commit(dir, commit).await?;
        self.base_of(dir, base, commit).await
    }
}

/// As much of a patch as fits, in whole lines.
fn cut_off(patch: &[u8], bytes_max: usize, cut: bool) -> Patch {
    let truncated = cut || patch.len() > bytes_max;
    let mut bytes = patch.get(..bytes_max).unwrap_or(patch);
    if truncated {
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        bytes = bytes.get(..end).unwrap_or_default();
    }
    Patch { text: String::from_utf8_lossy(bytes).into_owned(), truncated }
}

/// One entry of git's raw list of differences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawEntry<'a> {
    /// What happened.
    pub(crate) status: FileStatus,
    /// The object that is there now; zeros where there is none.
    pub(crate) object: &'a [u8],
    /// How its file is to be taken: its mode.
    pub(crate) mode: &'a [u8],
    /// Its path.
    pub(crate) path: &'a [u8],
    /// Its path before.
    pub(crate) old_path: Option<&'a [u8]>,
}

impl RawEntry<'_> {
    fn with(&self, counts: &HashMap<&[u8], Counts>) -> ChangedFile {
        let counts = counts.get(self.path).copied().unwrap_or_default();
        let exact = |path: &[u8]| std::str::from_utf8(path).is_ok();
        ChangedFile {
            path: String::from_utf8_lossy(self.path).into_owned(),
            old_path: self.old_path.map(|path| String::from_utf8_lossy(path).into_owned()),
            exact: exact(self.path) && self.old_path.is_none_or(exact),
            status: self.status,
            insertions: counts.insertions,
            deletions: counts.deletions,
            binary: counts.binary,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    insertions: Option<u64>,
    deletions: Option<u64>,
    binary: bool,
}

/// Reads `:mode mode object object status`, path, and for renames and copies another path; an
/// unfinished entry at the end is left out. Nothing where it is something else.
pub(crate) fn read_raw<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> Option<Vec<RawEntry<'a>>> {
    let mut entries = Vec::new();
    while let Some(head) = parts.next() {
        let mut words = head.strip_prefix(b":")?.split(|byte| *byte == b' ');
        let (mode, object) = (words.nth(1)?, words.nth(1)?);
        let status = match words.next()?.first()? {
            b'A' => FileStatus::Added,
            b'D' => FileStatus::Deleted,
            b'R' => FileStatus::Renamed,
            b'C' => FileStatus::Copied,
            b'T' => FileStatus::TypeChanged,
            b'M' | b'U' | b'X' => FileStatus::Modified,
            _ => return None,
        };
        let Some(first) = parts.next() else { break };
        let moved = matches!(status, FileStatus::Renamed | FileStatus::Copied);
        let (old_path, path) = match (moved, moved.then(|| parts.next()).flatten()) {
            (false, _) => (None, first),
            (true, Some(second)) => (Some(first), second),
            (true, None) => break,
        };
        entries.push(RawEntry { status, object, mode, path, old_path });
    }
    Some(entries)
}

/// Reads `added TAB removed TAB path`, or for renames no path and then both; by the new path.
fn read_counts<'a>(mut parts: impl Iterator<Item = &'a [u8]>) -> HashMap<&'a [u8], Counts> {
    let mut counts = HashMap::new();
    while let Some(part) = parts.next() {
        let mut words = part.splitn(3, |byte| *byte == b'\t');
        let (Some(added), Some(removed), Some(path)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let path = if path.is_empty() { parts.nth(1).unwrap_or_default() } else { path };
        let number = |word: &[u8]| std::str::from_utf8(word).ok().and_then(|w| w.parse().ok());
        let (insertions, deletions) = (number(added), number(removed));
        counts.insert(path, Counts { insertions, deletions, binary: added == b"-" });
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zero_separated(text: &[u8]) -> impl Iterator<Item = &[u8]> {
        text.split(|byte| *byte == 0)
    }

    #[test]
    fn a_list_of_differences_is_read_with_renames_and_odd_names() {
        let text =
            b":100644 100755 aa bb M\0a b\0:100644 100644 aa cc R087\0-old\0n\nw\0:0 1 0 d A";
        let entries = read_raw(zero_separated(text)).unwrap();
        assert_eq!(entries.len(), 2, "the unfinished one is left out");
        let first = (entries[0].status, entries[0].path, entries[0].mode, entries[0].object);
        assert_eq!(first, (FileStatus::Modified, b"a b".as_slice(), &b"100755"[..], &b"bb"[..]));
        let second = (entries[1].status, entries[1].path, entries[1].old_path);
        assert_eq!(second, (FileStatus::Renamed, b"n\nw".as_slice(), Some(b"-old".as_slice())));
        assert_eq!(read_raw(zero_separated(b"something else")), None);
    }

    #[test]
    fn lines_are_counted_by_the_new_path_and_binary_files_have_none() {
        let counts = read_counts(zero_separated(b"1\t2\ta\tb\x003\t4\t\0old\0new\0-\t-\tbin"));
        let get = |path: &[u8]| counts[path];
        let lines = |a, b| Counts { insertions: Some(a), deletions: Some(b), binary: false };
        assert_eq!(get(b"a\tb"), lines(1, 2));
        assert_eq!(get(b"new"), lines(3, 4));
        assert_eq!(get(b"bin"), Counts { insertions: None, deletions: None, binary: true });
    }

    #[test]
    fn a_patch_is_cut_after_a_whole_line() {
        let check = |max, text: &str, truncated| {
            let expect = Patch { text: text.to_owned(), truncated };
            assert_eq!(cut_off("+ä\n+b\n".as_bytes(), max, false), expect, "{max}");
        };
        check(7, "+ä\n+b\n", false);
        check(6, "+ä\n", true);
        check(3, "", true);
        check(0, "", true);
    }

    proptest! {
        #[test]
        fn no_list_of_git_s_can_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_raw(zero_separated(&bytes));
            let _ = read_counts(zero_separated(&bytes));
        }

        #[test]
        fn what_is_listed_is_read_as_it_was(
            names in prop::collection::vec("[^\0]{1,20}", 0..20),
        ) {
            let text: String =
                names.iter().map(|name| format!(":100644 100644 aa bb M\0{name}\0")).collect();
            let text = text.strip_suffix('\0').unwrap_or_default();
            let entries = read_raw(zero_separated(text.as_bytes()).filter(|p| !p.is_empty()));
            let read: Vec<_> = entries.unwrap().iter().map(|entry| entry.path.to_vec()).collect();
            let names: Vec<_> = names.iter().map(|name| name.as_bytes().to_vec()).collect();
            prop_assert_eq!(read, names);
        }
    }
}
