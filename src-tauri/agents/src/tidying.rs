//! How much room worktrees take, and which of them can go without losing anything.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::worktree::{Git, GitError};

/// How many files and directories are looked at in one worktree.
const ENTRIES_MAX: u64 = 500_000;
/// How many changed files are compared with where they were to go.
const COMPARED_MAX: usize = 1_000;
/// What a block of a disk is counted in, in bytes.
const BLOCK_BYTES: u64 = 512;
/// What is done, in the words of an error.
const LOOK: &str = "look at the worktree";

/// What is in a worktree, and what of it is nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Space {
    /// How much room it takes on the disk, in bytes; a file with several names counts once.
    pub bytes: u64,
    /// How many files it has.
    pub files: u64,
    /// Whether everything was counted; a very large worktree is counted so far only.
    pub complete: bool,
    /// How many directories could not be looked into, or are on another disk.
    pub unseen: u64,
    /// How much of the room ignored files take, such as build output, in bytes.
    pub ignored_bytes: u64,
    /// When something in it was last written.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub modified_at: Option<Timestamp>,
    /// How many files are not committed.
    pub dirty_files: u64,
    /// How many repositories of their own are inside.
    pub nested_repositories: u64,
    /// Commits of its branch, and of what is checked out, that are on no other branch.
    pub unmerged_commits: u64,
    /// What is checked out; nothing where there is no commit.
    pub head_commit: Option<String>,
}

/// Why a worktree is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Keep {
    /// Somebody works in it.
    LiveAttempt,
    /// Something in it is not committed.
    Uncommitted {
        /// How many files.
        files: u64,
    },
    /// Something of it is nowhere else.
    Unmerged {
        /// How many commits.
        commits: u64,
    },
    /// What is in the repositories inside is not known.
    Nested {
        /// How many repositories.
        repositories: u64,
    },
    /// Not all of it could be looked at.
    Unseen,
}

impl std::fmt::Display for Keep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LiveAttempt => f.write_str("a live attempt works in it"),
            Self::Uncommitted { files: 1 } => f.write_str("1 file is not committed"),
            Self::Uncommitted { files } => write!(f, "{files} files are not committed"),
            Self::Unmerged { commits: 1 } => f.write_str("1 commit is on no other branch"),
            Self::Unmerged { commits } => write!(f, "{commits} commits are on no other branch"),
            Self::Nested { repositories: 1 } => f.write_str("1 repository is inside"),
            Self::Nested { repositories } => write!(f, "{repositories} repositories are inside"),
            Self::Unseen => f.write_str("not all of it could be looked at"),
        }
    }
}

/// Whether a worktree can go without losing anything; otherwise every reason against it.
///
/// # Errors
/// The reasons to keep it.
pub fn removable(space: &Space, live: bool) -> Result<(), Vec<Keep>> {
    let (files, commits) = (space.dirty_files, space.unmerged_commits);
    let repositories = space.nested_repositories;
    let reasons: Vec<Keep> = [
        live.then_some(Keep::LiveAttempt),
        (files > 0).then_some(Keep::Uncommitted { files }),
        (commits > 0).then_some(Keep::Unmerged { commits }),
        (repositories > 0).then_some(Keep::Nested { repositories }),
        // What was not counted may hold a repository; what is not committed git has counted.
        (space.unseen > 0 || !space.complete).then_some(Keep::Unseen),
    ]
    .into_iter()
    .flatten()
    .collect();
    if reasons.is_empty() { Ok(()) } else { Err(reasons) }
}

impl Git {
    /// Looks how much room the worktree `dir` of `repo` takes, and what of it is nowhere else.
    ///
    /// A commit counts as unmerged where no other branch, local or remote, has it; and not where
    /// everything that was changed since `base` is in `target` as it is on `branch`, as after
    /// a merge that made one commit of many.
    ///
    /// # Errors
    /// When the worktree is missing, or git cannot tell what is in it.
    pub async fn survey(
        &self,
        dir: &Path,
        repo: &Path,
        branch: &str,
        base: &str,
        target: Option<&str>,
    ) -> Result<Space, GitError> {
        if !dir.is_dir() {
            return Err(GitError::Missing(dir.to_owned()));
        }
        let head_commit = self.commit_named(dir, "HEAD").await?;
        let dirty_files = self.uncommitted_files(dir).await?;
        let unmerged_commits =
            self.unmerged(repo, branch, head_commit.as_deref(), base, target).await?;
        let ignored = self.ignored(dir).await?;
        let walk = walk(dir.to_owned(), ignored).await?;
        Ok(Space {
            bytes: walk.bytes,
            files: walk.files,
            complete: walk.complete,
            unseen: walk.unseen,
            ignored_bytes: walk.ignored_bytes,
            modified_at: walk.modified_at,
            dirty_files,
            nested_repositories: walk.repositories,
            unmerged_commits,
            head_commit,
        })
    }

    async fn commit_named(&self, dir: &Path, name: &str) -> Result<Option<String>, GitError> {
        let name = format!("{name}^{{commit}}");
        let ask = ["rev-parse", "--verify", "--quiet", "--end-of-options", name.as_str()];
        let answer = self.ask(dir, LOOK, &ask, &[]).await?;
        Ok((answer.code == Some(0)).then(|| answer.line()))
    }

    async fn unmerged(
        &self,
        repo: &Path,
        branch: &str,
        head: Option<&str>,
        base: &str,
        target: Option<&str>,
    ) -> Result<u64, GitError> {
        let mut tips: Vec<String> = head.map(str::to_owned).into_iter().collect();
        tips.extend(self.commit_named(repo, &format!("refs/heads/{branch}")).await?);
        if tips.is_empty() {
            return Ok(0);
        }
        let exclude = format!("--exclude={branch}");
        let mut list = vec!["rev-list", "--count"];
        list.extend(tips.iter().map(String::as_str));
        list.extend(["--not", &exclude, "--branches", "--remotes"]);
        let count = self.tell(repo, LOOK, &list, &[]).await?.line();
        // A number git did not give is not zero.
        let count = count.parse().unwrap_or(u64::MAX);
        let target = match target {
            Some(target) if count > 0 => self.commit_named(repo, target).await?,
            _ => None,
        };
        let Some(target) = target else {
            return Ok(count);
        };
        for tip in &tips {
            if !self.arrived(repo, base, tip, &target).await? {
                return Ok(count);
            }
        }
        Ok(0)
    }

    /// Whether every file that differs between `base` and `tip` is in `target` as it is in `tip`.
    async fn arrived(
        &self,
        repo: &Path,
        base: &str,
        tip: &str,
        target: &str,
    ) -> Result<bool, GitError> {
        let Some(base) = self.commit_named(repo, base).await? else {
            return Ok(false);
        };
        let changed = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", &base, tip];
        let changed = self.tell(repo, LOOK, &changed, &[]).await?.out;
        let paths: Vec<&Path> = changed
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
            .map(|name| Path::new(OsStr::from_bytes(name)))
            .collect();
        if paths.len() > COMPARED_MAX {
            return Ok(false);
        }
        if paths.is_empty() {
            return Ok(true);
        }
        let same = ["--literal-pathspecs", "diff-tree", "-r", "--quiet", target, tip];
        Ok(self.ask(repo, LOOK, &same, &paths).await?.code == Some(0))
    }

    /// What is ignored in the worktree; a directory stands for all that is in it.
    async fn ignored(&self, dir: &Path) -> Result<HashSet<PathBuf>, GitError> {
        let list = ["ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z"];
        let list = self.tell(dir, LOOK, &list, &[]).await?.out;
        Ok(list
            .split(|byte| *byte == 0)
            .map(|name| name.strip_suffix(b"/").unwrap_or(name))
            .filter(|name| !name.is_empty())
            .map(|name| dir.join(OsStr::from_bytes(name)))
            .collect())
    }
}

/// What a walk through a directory found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    pub(crate) complete: bool,
    unseen: u64,
    ignored_bytes: u64,
    repositories: u64,
    modified_at: Option<Timestamp>,
}

/// Walks through a directory, beside everything else that is done.
pub(crate) async fn walk(root: PathBuf, ignored: HashSet<PathBuf>) -> Result<Walk, GitError> {
    let task = tokio::task::spawn_blocking(move || walk_now(&root, &ignored, ENTRIES_MAX));
    let failed = |source: std::io::Error| GitError::Io { what: LOOK, source };
    task.await.map_err(|error| failed(error.into()))?.map_err(failed)
}

/// Links are counted, never followed; other disks are not entered.
fn walk_now(root: &Path, ignored: &HashSet<PathBuf>, entries_max: u64) -> std::io::Result<Walk> {
    let device = root.symlink_metadata()?.dev();
    let mut walk = Walk { complete: true, ..Walk::default() };
    let mut several_names = HashSet::new();
    let mut directories = vec![(root.to_owned(), false)];
    let mut entries = 0;
    while let Some((directory, inside_ignored)) = directories.pop() {
        let Ok(list) = std::fs::read_dir(&directory) else {
            walk.unseen += 1;
            continue;
        };
        for entry in list {
            let Ok((entry, metadata)) = entry.and_then(|entry| {
                let metadata = entry.metadata()?;
                Ok((entry, metadata))
            }) else {
                walk.unseen += 1;
                continue;
            };
            if entries == entries_max {
                walk.complete = false;
                return Ok(walk);
            }
            entries += 1;
            let path = entry.path();
            let top = directory == root;
            if entry.file_name() == ".git" {
                // The worktree's own says where its repository is, and changes on a move.
                walk.repositories += u64::from(!top);
                if top && !metadata.is_dir() {
                    continue;
                }
            }
            let is_ignored = inside_ignored || ignored.contains(&path);
            let counted = metadata.nlink() < 2
                || metadata.is_dir()
                || several_names.insert((metadata.dev(), metadata.ino()));
            let bytes = if counted { metadata.blocks() * BLOCK_BYTES } else { 0 };
            walk.bytes += bytes;
            walk.ignored_bytes += if is_ignored { bytes } else { 0 };
            let modified = nanos(&metadata);
            walk.modified_at = walk.modified_at.max(modified);
            if !metadata.is_dir() {
                walk.files += 1;
            } else if metadata.dev() == device {
                directories.push((path, is_ignored));
            } else {
                walk.unseen += 1;
            }
        }
    }
    Ok(walk)
}

fn nanos(metadata: &std::fs::Metadata) -> Option<Timestamp> {
    Timestamp::new(metadata.mtime(), i32::try_from(metadata.mtime_nsec()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean() -> Space {
        Space {
            bytes: 1,
            files: 1,
            complete: true,
            unseen: 0,
            ignored_bytes: 0,
            modified_at: None,
            dirty_files: 0,
            nested_repositories: 0,
            unmerged_commits: 0,
            head_commit: None,
        }
    }

    #[test]
    fn only_what_is_known_to_be_elsewhere_can_go() {
        assert_eq!(removable(&clean(), false), Ok(()));
        let reasons = [
            (clean(), true, Keep::LiveAttempt),
            (Space { dirty_files: 2, ..clean() }, false, Keep::Uncommitted { files: 2 }),
            (Space { unmerged_commits: 3, ..clean() }, false, Keep::Unmerged { commits: 3 }),
            (Space { nested_repositories: 1, ..clean() }, false, Keep::Nested { repositories: 1 }),
            (Space { unseen: 1, ..clean() }, false, Keep::Unseen),
            (Space { complete: false, ..clean() }, false, Keep::Unseen),
        ];
        for (space, live, reason) in reasons {
            assert_eq!(removable(&space, live), Err(vec![reason]));
        }
        let all = Space { dirty_files: 1, unmerged_commits: 1, unseen: 1, ..clean() };
        let all = removable(&all, true).unwrap_err();
        let all: Vec<String> = all.iter().map(Keep::to_string).collect();
        assert_eq!(
            all,
            [
                "a live attempt works in it",
                "1 file is not committed",
                "1 commit is on no other branch",
                "not all of it could be looked at",
            ]
        );
    }

    #[test]
    fn a_walk_counts_files_once_follows_no_link_and_stops_at_its_limit() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join("root").join(name);
        std::fs::create_dir_all(at("out/inner/.git")).unwrap();
        std::fs::write(at("file"), vec![1; 100_000]).unwrap();
        std::fs::hard_link(at("file"), at("out/again")).unwrap();
        std::fs::write(place.path().join("elsewhere"), vec![1; 1_000_000]).unwrap();
        std::os::unix::fs::symlink("../elsewhere", at("link")).unwrap();
        std::os::unix::fs::symlink("..", at("loop")).unwrap();
        let ignored = HashSet::from([at("out")]);
        let found = walk_now(&at(""), &ignored, 100).unwrap();
        assert_eq!((found.files, found.repositories, found.unseen), (4, 1, 0));
        assert!(found.complete && found.modified_at.is_some());
        assert!((100_000..300_000).contains(&found.bytes), "{found:?}");
        assert!(found.ignored_bytes < found.bytes);
        let found = walk_now(&at(""), &ignored, 3).unwrap();
        assert!(!found.complete);
    }
}
