//! Accepting an attempt's work: what merging would do, and doing it.
//!
//! Invariant: what is merged is the reviewed commit and nothing else, and a checkout is touched only
//! where the branch is checked out, only by a fast-forward, and only where it has nothing of its own.
//! Results are made as objects beside everything (`merge-tree`), and the branch is moved at the end
//! in one step: what is interrupted before leaves objects that git clears away.
//!
//! Programs named for merging (`merge.*.driver`) are not run; git's own merging of lines takes their
//! place, and what it cannot merge is a conflict. Filters of git's configuration (`filter.*`) do run
//! where files are put into a checkout or compared with what is in it: without them git-lfs and
//! git-crypt would leave there what is not the file, and take every file for a changed one. A
//! repository that is cloned brings none.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::aside::Aside;
use crate::checkouts::Standing;
use crate::git;
use crate::review::{FileStatus, read_raw};
use crate::worktree::{Git, GitError, refused};

/// The most files listed of a merge.
pub const LISTED_MAX: usize = 1_000;
/// What is done, in the words of an error.
pub(crate) const WHAT: &str = "merge the work";
/// Takes the place of every program for merging: git's own way, and a conflict where it has none.
const OWN_DRIVER: &str = "git merge-file --quiet --marker-size=%L %A %O %B || exit 1";

/// What keeps work from being merged. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// There is no such branch to merge into.
    #[error(
        "merge the work: there is no branch '{branch}' in '{}'; name one that is there, or make it",
        repo.display()
    )]
    NoBranch {
        /// Its name.
        branch: String,
        /// The repository.
        repo: PathBuf,
    },
    /// The branch is another name of another one.
    #[error("merge the work: '{branch}' is another name for '{target}'; merge into that")]
    Alias {
        /// Its name.
        branch: String,
        /// What it means.
        target: String,
    },
    /// Both sides changed the same.
    #[error(
        "merge the work into '{target}': both changed {}; nothing was changed. Send it back to be \
         rebased onto '{target}', or merge it by hand: git merge {branch}",
        listed(files)
    )]
    Conflicts {
        /// The branch to merge into.
        target: String,
        /// What is to be merged.
        branch: String,
        /// The files.
        files: Vec<String>,
    },
    /// One of the commits cannot be replayed, though all together may be merged.
    #[error(
        "rebase the work onto '{target}': its commit {commit} conflicts in {}; nothing was changed. \
         Merge or squash it, which takes all commits together, or send it back to be rebased",
        listed(files)
    )]
    ReplayConflicts {
        /// The branch to rebase onto.
        target: String,
        /// The commit.
        commit: String,
        /// The files.
        files: Vec<String>,
    },
    /// Replaying the commits does not give the reviewed result.
    #[error(
        "rebase the work onto '{target}': replayed commit by commit it is not what was reviewed; \
         nothing was changed. Merge or squash it"
    )]
    ReplayDiffers {
        /// The branch to rebase onto.
        target: String,
    },
    /// There are too many commits to replay.
    #[error(
        "rebase the work: it has more than {commits_max} commits; nothing was changed. Merge or squash it"
    )]
    TooManyCommits {
        /// How many there may be.
        commits_max: usize,
    },
    /// The branch was moved after the review.
    #[error(
        "merge the work: '{target}' has moved from {expected} to {found} since it was reviewed; \
         nothing was changed. Look at the work again, then accept it"
    )]
    TargetMoved {
        /// The branch to merge into.
        target: String,
        /// Where the reviewer saw it.
        expected: String,
        /// Where it is.
        found: String,
    },
    /// There is work that was not reviewed.
    #[error(
        "merge the work: '{place}' has changed since the commit {commit} was reviewed; nothing was \
         changed. Review it again"
    )]
    ChangedAfterReview {
        /// The worktree or the branch.
        place: String,
        /// What was reviewed.
        commit: String,
    },
    /// The result would not be the reviewed one.
    #[error(
        "merge the work: the result is not the tree of the reviewed commit {commit}; nothing was changed. Review it again"
    )]
    NotAsReviewed {
        /// What was reviewed.
        commit: String,
    },
    /// The checkout has changes of its own there.
    #[error(
        "merge the work into '{target}': '{}' has uncommitted changes in {}, which were left as they \
         are. Commit or stash them, then accept again", place.display(), listed(files)
    )]
    WouldOverwrite {
        /// The branch to merge into.
        target: String,
        /// Where it is checked out.
        place: PathBuf,
        /// The files.
        files: Vec<String>,
    },
    /// Another git is at work, or one died there.
    #[error(
        "merge the work: '{}' is in the way; nothing was changed. Wait until the git that holds it is \
         done; if none is running, remove that file. Then accept again", .0.display()
    )]
    Locked(PathBuf),
    /// Something is unfinished in a checkout of the branch.
    #[error("merge the work: {doing} is unfinished in '{}'; nothing was changed. Finish or abort it, then accept again", place.display())]
    Unfinished {
        /// What is unfinished.
        doing: &'static str,
        /// Where.
        place: PathBuf,
    },
    /// The branch is checked out where it cannot be updated.
    #[error(
        "merge the work: '{target}' is checked out at '{}', {why}; nothing was changed. Check out \
         another branch there, or run 'git worktree prune', then accept again", place.display()
    )]
    CheckedOut {
        /// The branch to merge into.
        target: String,
        /// Where it is checked out.
        place: PathBuf,
        /// Why that is in the way.
        why: &'static str,
    },
    /// Git cannot merge without a checkout yet.
    #[error(
        "merge the work: git 2.38 or newer is needed; nothing was changed. Update git, or merge by hand"
    )]
    OldGit,
}

/// How work is put onto a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// With a merge commit that has the reviewed commit as its second parent.
    Merge,
    /// As one commit of the attempt's author.
    Squash,
    /// Commit by commit, with their authors and messages; as they are where the branch has not moved.
    Rebase,
}

/// What merging would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MergePreview {
    /// The branch to merge into.
    pub target_branch: String,
    /// Its commit.
    pub target_commit: String,
    /// Whether that is another one than the work was started from.
    pub target_moved: bool,
    /// Commits the branch has and the work has not.
    pub commits_behind: u64,
    /// Commits the work has and the branch has not.
    pub commits_ahead: u64,
    /// Whether the branch has all of the work.
    pub already_merged: bool,
    /// Files both changed so that git cannot merge them; at most 1,000.
    pub conflicts: Vec<String>,
    /// Whether the work stands on the branch as it is.
    pub can_fast_forward: bool,
    /// Where the branch is checked out.
    pub checked_out_at: Option<String>,
    /// Uncommitted, untracked or ignored files there that merging would overwrite; at most 1,000.
    pub checkout_dirty_files: Vec<String>,
}

/// What is to be merged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MergeOrder {
    /// The branch to merge into.
    pub target_branch: String,
    /// The commit it had when the work was reviewed; nothing where that does not matter.
    pub expected_target: Option<String>,
    /// The commit the work was started from.
    pub base: String,
    /// The reviewed commit.
    pub commit: String,
    /// The attempt's branch: refused unless it still ends with the reviewed commit.
    pub branch: Option<String>,
    /// The attempt's worktree: refused if it holds anything that was not reviewed. One that is gone
    /// holds nothing.
    pub worktree: Option<String>,
    /// How.
    pub how: How,
    /// The message of the commit that is made.
    pub message: String,
}

/// What was merged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Merged {
    /// The branch.
    pub target_branch: String,
    /// Its commit before.
    pub before: String,
    /// Its commit now.
    pub after: String,
    /// The tree of that.
    pub tree: String,
    /// Whether it had all of the work before, so that nothing was to be done.
    pub already_merged: bool,
    /// The checkout that was updated.
    pub checked_out_at: Option<String>,
}

/// What merging two commits gives.
pub(crate) struct Melt {
    /// The tree; with marks of conflicts in it where there are some.
    pub(crate) tree: String,
    /// The files in conflict.
    pub(crate) conflicts: Vec<String>,
}

/// A branch to merge into.
pub(crate) struct Target {
    pub(crate) root: PathBuf,
    pub(crate) branch: String,
    pub(crate) commit: String,
}

impl Target {
    pub(crate) fn name(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }
}

impl Git {
    /// Says what merging `commit`, whose work started at `base`, into `target_branch` would do.
    /// Changes nothing.
    ///
    /// # Errors
    /// When the repository, the branch or a commit is missing, or git refuses.
    pub async fn merge_preview(
        &self,
        repo: &Path,
        target_branch: &str,
        base: &str,
        commit: &str,
    ) -> Result<MergePreview, GitError> {
        let target = self.target_of(repo, target_branch).await?;
        self.check_commit(&target.root, base).await?;
        self.check_commit(&target.root, commit).await?;
        let aside = self.objects_aside(&target.root).await?;
        let melt = self.melt(&target.root, &target.commit, commit, Some(&aside)).await?;
        let count = async |from: &str, to: &str| {
            let list = ["rev-list", "--count", to, "--not", from];
            let answer = self.tell(&target.root, WHAT, &list, &[]).await?;
            answer.line().parse::<u64>().map_err(|_| GitError::Unreadable { what: WHAT })
        };
        let commits_behind = count(commit, &target.commit).await?;
        let commits_ahead = count(&target.commit, commit).await?;
        let tree = self.tree_of(&target.root, &target.commit).await?;
        let has_all = melt.conflicts.is_empty() && melt.tree == tree;
        let place = match self.standing(&target).await? {
            Standing::Free => None,
            Standing::At(place) | Standing::Hindered { place, .. } => Some(place),
        };
        let dirty = match &place {
            Some(place) if place.is_dir() && melt.conflicts.is_empty() => {
                self.overwritten(place, &target.commit, &melt.tree, Some(&aside)).await?
            }
            _ => Vec::new(),
        };
        Ok(MergePreview {
            target_moved: target.commit != base,
            commits_behind,
            commits_ahead,
            already_merged: commits_ahead == 0 || has_all,
            conflicts: melt.conflicts,
            can_fast_forward: commits_behind == 0,
            checked_out_at: place.map(|place| place.display().to_string()),
            checkout_dirty_files: dirty,
            target_branch: target.branch,
            target_commit: target.commit,
        })
    }

    /// Finds the branch to merge into.
    pub(crate) async fn target_of(&self, repo: &Path, branch: &str) -> Result<Target, GitError> {
        let root = self.root_of(repo).await?;
        if !self.branch_exists(&root, branch).await? {
            return Err(MergeError::NoBranch { branch: branch.to_owned(), repo: root }.into());
        }
        let name = format!("refs/heads/{branch}");
        let answer = self.ask(&root, WHAT, &["symbolic-ref", "--quiet", &name], &[]).await?;
        if answer.code == Some(0) {
            let target = answer.line();
            let target = target.strip_prefix("refs/heads/").unwrap_or(&target).to_owned();
            return Err(MergeError::Alias { branch: branch.to_owned(), target }.into());
        }
        let name = format!("{name}^{{commit}}");
        let ask = ["rev-parse", "--verify", "--end-of-options", &name];
        let commit = self.tell(&root, WHAT, &ask, &[]).await?.line();
        Ok(Target { root, branch: branch.to_owned(), commit })
    }

    /// Merges two commits into a tree, beside everything; the objects go `aside` where that is given.
    pub(crate) async fn melt(
        &self,
        root: &Path,
        ours: &str,
        theirs: &str,
        aside: Option<&Aside>,
    ) -> Result<Melt, GitError> {
        let args =
            ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", ours, theirs];
        let mut command = git::command(root, &args, &[]);
        git::set(&mut command, &self.own_drivers(root).await?);
        if let Some(aside) = aside {
            aside.apply(&mut command);
        }
        let answer = self.run(command, WHAT).await?;
        match answer.code {
            Some(0 | 1) => {}
            // Its usage, which it shows where it does not know an option.
            Some(129) => return Err(MergeError::OldGit.into()),
            _ if answer.said.contains("unrelated histories") => {
                return Err(GitError::Unrelated(ours.to_owned(), theirs.to_owned()));
            }
            _ => return Err(refused(WHAT, answer)),
        }
        let mut parts = answer.list();
        let tree = parts.next().map(|tree| String::from_utf8_lossy(tree).into_owned());
        let tree = tree.ok_or(GitError::Unreadable { what: WHAT })?;
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        let mut conflicts: Vec<String> =
            parts.take_while(|part| !part.is_empty()).take(LISTED_MAX).map(name).collect();
        if answer.code == Some(1) && conflicts.is_empty() {
            // Conflicts that are no file's, such as a renamed directory's.
            conflicts.push("the directories' names".to_owned());
        }
        Ok(Melt { tree, conflicts })
    }

    /// Settings that put git's own merging in the place of every program for it.
    async fn own_drivers(&self, root: &Path) -> Result<Vec<(String, String)>, GitError> {
        let ask = ["config", "--name-only", "-z", "--get-regexp", r"^merge\..*\."];
        let answer = self.ask(root, WHAT, &ask, &[]).await?;
        if !matches!(answer.code, Some(0 | 1)) || answer.cut {
            return Err(refused(WHAT, answer));
        }
        let mut keys: Vec<String> = answer
            .list()
            .filter_map(|key| std::str::from_utf8(key).ok())
            .filter_map(|key| key.rsplit_once('.'))
            .map(|(section, _)| format!("{section}.driver"))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(keys.into_iter().map(|key| (key, OWN_DRIVER.to_owned())).collect())
    }

    /// Files of a checkout that have changes of their own, or are not git's, where two trees differ.
    pub(crate) async fn overwritten(
        &self,
        place: &Path,
        from: &str,
        to: &str,
        aside: Option<&Aside>,
    ) -> Result<Vec<String>, GitError> {
        let differences = async |how: &[&str], of: &[&str]| {
            let plain = ["-z", "--no-abbrev", "--no-renames", "--ignore-submodules=none"];
            let mut command = git::command(place, &[how, &plain, of].concat(), &[]);
            if let Some(aside) = aside {
                aside.apply(&mut command);
            }
            let answer = self.run(command, WHAT).await?;
            if answer.code == Some(0) { Ok(answer) } else { Err(refused(WHAT, answer)) }
        };
        let trees = differences(&["diff-tree", "-r", "--raw"], &[from, to]).await?;
        let changes = read_raw(trees.list()).ok_or(GitError::Unreadable { what: WHAT })?;
        // What a merge left staged that died before it moved the branch is what it is to be.
        let staged = differences(&["diff-index", "--cached", "--name-only"], &[to]).await?;
        let staged: BTreeSet<&[u8]> = staged.list().collect();
        let paths: BTreeSet<&[u8]> = changes.iter().map(|it| it.path).collect();
        let status = [
            "--no-optional-locks",
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=dirty",
        ];
        let status = self.tell(place, WHAT, &status, &[]).await?;
        let mut found: Vec<&[u8]> = Vec::new();
        let mut done: BTreeSet<&[u8]> = paths.difference(&staged).copied().collect();
        for entry in status.list() {
            let (Some(state), Some(path)) = (entry.get(1), entry.get(3..)) else { continue };
            if *state != b' ' {
                done.remove(path);
            }
            if paths.contains(path) && !done.contains(path) {
                found.push(path);
            }
        }
        let added =
            changes.iter().filter(|it| it.status == FileStatus::Added && !done.contains(it.path));
        found.extend(added.filter_map(|change| in_the_way(place, change.path, &paths)));
        found.sort_unstable();
        found.dedup();
        let name = |name: &&[u8]| String::from_utf8_lossy(name).into_owned();
        Ok(found.iter().take(LISTED_MAX).map(name).collect())
    }
}

/// What is on disk where a file is to be added: it, or a file in the place of its directory.
fn in_the_way<'a>(place: &Path, path: &'a [u8], changed: &BTreeSet<&[u8]>) -> Option<&'a [u8]> {
    use std::os::unix::ffi::OsStrExt;
    let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    for end in ends.chain([path.len()]) {
        let part = path.get(..end)?;
        let there = std::fs::symlink_metadata(place.join(std::ffi::OsStr::from_bytes(part)));
        match there {
            Ok(there) if end < path.len() && there.is_dir() => {}
            // Git's own is taken away first where something else takes its place.
            Ok(_) if end < path.len() && changed.contains(part) => return None,
            // A directory whose files are all git's is taken away with them; others are dirty files.
            Ok(there) if end == path.len() && there.is_dir() && had(changed, part) => return None,
            Ok(_) => return Some(part),
            Err(_) => return None,
        }
    }
    None
}

/// Whether files of a directory are among the changed ones.
fn had(changed: &BTreeSet<&[u8]>, directory: &[u8]) -> bool {
    let inside = [directory, b"/"].concat();
    changed.range(inside.as_slice()..).next().is_some_and(|path| path.starts_with(&inside))
}

/// Names of files in a sentence, not more than fit one.
fn listed(files: &[String]) -> String {
    let mut text =
        files.iter().take(10).map(|file| format!("'{file}'")).collect::<Vec<_>>().join(", ");
    if files.len() > 10 {
        text.push_str(&format!(" and {} more files", files.len() - 10));
    }
    text
}
