//! Checkpoints: everything in a worktree, kept as a commit and put back byte by byte.
//!
//! Invariant: making one touches neither the worktree, nor its index, nor a branch; putting one back
//! moves no branch, and overwrites or removes nothing that was not kept just before.

use std::path::Path;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secure::{FALLBACK_COMMITTER, set_aside_stale_lock};
use crate::shadow::{Captured, DURABLE, Shadow};
use crate::worktree::{Git, GitError, refused};

/// Where checkpoints are kept.
const CHECKPOINTS: &str = "refs/hive/checkpoints";
/// Where is kept what was in a worktree before a checkpoint was put back.
const SNAPSHOTS: &str = "refs/hive/snapshots";
/// The longest name of one, in bytes.
const NAME_BYTES_MAX: usize = 100;
/// How often files are put in place until they are what they should be. The second time removes what
/// was ignored before and no longer is; a third one is not known to be needed.
const ROUNDS_MAX: u32 = 4;
/// What is done, in the words of an error.
const KEEP: &str = "keep the worktree's files";

/// The files of a worktree, kept as a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpointed {
    /// The reference that keeps it.
    pub reference: String,
    /// The commit. Its first parent is what was checked out.
    pub commit: String,
    /// The tree of the files; equal trees are equal files.
    pub tree: String,
    /// How many files it has.
    pub files: u64,
    /// How many of them were not committed: changed, new or removed.
    pub uncommitted_files: u64,
    /// How many repositories are inside the worktree; what is in them is not kept.
    pub nested_repositories: u64,
}

/// What putting back a checkpoint did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restored {
    /// The tree of the files that are now there, read from the disk.
    pub tree: String,
    /// How many files were written, changed or removed.
    pub changed_files: u64,
    /// What was there before.
    pub snapshot: Checkpointed,
}

impl Git {
    /// Keeps everything in the worktree or checkout `dir`, committed or not, ignored files excepted,
    /// under `refs/hive/checkpoints/<name>`. Files are kept as they are on the disk, whatever
    /// filters and line ends the repository prescribes; of their modes only whether they may be
    /// executed. Repositories inside are counted and left out.
    ///
    /// Idempotent. A checkpoint of that name that has other files stays, as a parent of the new one.
    ///
    /// # Errors
    /// When the name has other characters than letters, digits, `-`, `_` and `.`, git refuses, or
    /// a file cannot be read; nothing is kept then.
    pub async fn checkpoint(
        &self,
        dir: &Path,
        name: &str,
        message: &str,
    ) -> Result<Checkpointed, GitError> {
        let reference = format!("{CHECKPOINTS}/{}", checked(name)?);
        self.keep(dir, &reference, message).await
    }

    /// Lets go of a checkpoint; git removes what nothing else keeps in its own time. Does nothing
    /// where there is none.
    ///
    /// # Errors
    /// When the name is none, or git refuses.
    pub async fn forget_checkpoint(&self, dir: &Path, name: &str) -> Result<(), GitError> {
        let reference = format!("{CHECKPOINTS}/{}", checked(name)?);
        self.let_go(dir, &reference).await
    }

    /// Keeps everything in `dir` under `reference`, which is one of ours.
    pub(crate) async fn keep(
        &self,
        dir: &Path,
        reference: &str,
        message: &str,
    ) -> Result<Checkpointed, GitError> {
        let shadow = Shadow::open(self, dir).await?;
        let captured = shadow.capture(None).await?;
        self.keep_captured(dir, &shadow, reference, message, captured).await
    }

    async fn keep_captured(
        &self,
        dir: &Path,
        shadow: &Shadow<'_>,
        reference: &str,
        message: &str,
        captured: Captured,
    ) -> Result<Checkpointed, GitError> {
        let head = self.object(dir, "HEAD^{commit}").await?;
        let head_tree = self.object(dir, "HEAD^{tree}").await?;
        let before = self.object(dir, &format!("{reference}^{{commit}}")).await?;
        let mut checkpointed = Checkpointed {
            reference: reference.to_owned(),
            commit: String::new(),
            tree: captured.tree,
            files: captured.files,
            uncommitted_files: self.uncommitted_files(dir).await?,
            nested_repositories: captured.nested,
        };
        if let Some(before) = &before {
            let same = self.object(dir, &format!("{before}^{{tree}}")).await?;
            let parent = self.object(dir, &format!("{before}^1^{{commit}}")).await?;
            if same.as_ref() == Some(&checkpointed.tree) && parent == head && head.is_some() {
                checkpointed.commit.clone_from(before);
                return Ok(checkpointed);
            }
        }
        let mut parents: Vec<String> = head.into_iter().collect();
        // What was staged and then changed again is nowhere else.
        let staged = captured
            .staged
            .filter(|staged| *staged != checkpointed.tree && Some(staged) != head_tree.as_ref());
        if let Some(staged) = staged {
            parents.push(self.commit_tree(dir, &staged, &parents, "What was staged").await?);
        }
        parents.extend(before.clone());
        checkpointed.commit = self.commit_tree(dir, &checkpointed.tree, &parents, message).await?;
        // Only we write here, so a lock is one that a killed git left.
        let _ = std::fs::remove_file(shadow.common.join(format!("{reference}.lock")));
        let set = ["update-ref", reference, checkpointed.commit.as_str()];
        let before = before.unwrap_or_default();
        let set = [DURABLE, &set, &[before.as_str()]].concat();
        self.tell(dir, KEEP, &set, &[]).await?;
        Ok(checkpointed)
    }

    /// Removes a reference of ours, if it is there.
    pub(crate) async fn let_go(&self, dir: &Path, reference: &str) -> Result<(), GitError> {
        let what = "let go of a checkpoint";
        self.tell(dir, what, &["update-ref", "-d", reference], &[]).await.map(drop)
    }

    async fn commit_tree(
        &self,
        dir: &Path,
        tree: &str,
        parents: &[String],
        message: &str,
    ) -> Result<String, GitError> {
        let mut args = [DURABLE, FALLBACK_COMMITTER, &["commit-tree", tree]].concat();
        for parent in parents {
            args.extend(["-p", parent.as_str()]);
        }
        args.extend(["-m", message]);
        Ok(self.tell(dir, KEEP, &args, &[]).await?.line())
    }

    /// The hash of what a name means; nothing where it means nothing.
    async fn object(&self, dir: &Path, name: &str) -> Result<Option<String>, GitError> {
        let ask = ["rev-parse", "--verify", "--quiet", "--end-of-options", name];
        let answer = self.ask(dir, "look at the repository", &ask, &[]).await?;
        Ok((answer.code == Some(0)).then(|| answer.line()))
    }

    /// How many files of the worktree `dir` are not committed; a repository inside counts as one.
    pub(crate) async fn uncommitted_files(&self, dir: &Path) -> Result<u64, GitError> {
        let ask = [
            "--no-optional-locks",
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=none",
        ];
        Ok(self.tell(dir, "count uncommitted files", &ask, &[]).await?.entries())
    }

    /// Checks that a checkpoint is whole: that its commit is there and has the tree it was recorded
    /// with, and that every directory and file of it can be read and has the hash it should have.
    /// What it was made from is not looked at.
    ///
    /// # Errors
    /// [`GitError::DamagedCheckpoint`] with what is wrong; another error when it could not be found
    /// out.
    pub async fn verify_checkpoint(
        &self,
        dir: &Path,
        commit: &str,
        tree: &str,
    ) -> Result<(), GitError> {
        let damaged = |why: String| GitError::DamagedCheckpoint { commit: commit.to_owned(), why };
        if !is_hash(commit) || !is_hash(tree) {
            return Err(damaged("its record is not one of a commit".to_owned()));
        }
        let name = format!("{commit}^{{commit}}^{{tree}}");
        let ask = ["rev-parse", "--verify", "--end-of-options", name.as_str()];
        let answer = self.ask(dir, "look for the checkpoint", &ask, &[]).await?;
        if answer.code != Some(0) {
            return Err(damaged(format!("its commit cannot be read: {}", answer.said)));
        }
        if answer.line() != tree {
            return Err(damaged("its commit is not of the files that were recorded".to_owned()));
        }
        let shadow = Shadow::open(self, dir).await?;
        match shadow.rebuilt(tree).await {
            Ok(rebuilt) if rebuilt == tree => {}
            Ok(_) => return Err(damaged("a directory of it was changed".to_owned())),
            Err(GitError::Refused { said, .. }) => {
                return Err(damaged(format!("something of it cannot be read: {said}")));
            }
            Err(error) => return Err(error),
        }
        let ask = ["rev-list", "--objects", "--verify-objects", "--no-walk", "--quiet", commit];
        let answer = self.ask(dir, "look through the checkpoint", &ask, &[]).await?;
        // A wrong hash is complained about and does not change the exit code.
        let complained = ["error: ", "fatal: "];
        let complained =
            answer.said.lines().any(|line| complained.iter().any(|kind| line.starts_with(kind)));
        if answer.code == Some(0) && !complained {
            Ok(())
        } else {
            Err(damaged(format!("a file of it cannot be read: {}", answer.said)))
        }
    }

    /// Makes the files of the worktree `dir` what they were when the checkpoint was made: bytes,
    /// symbolic links, whether they may be executed, and no file more, ignored ones excepted. What
    /// was there is kept first, under `refs/hive/snapshots/<worktree>/<number>`. No branch is moved;
    /// the index is what is checked out. To be called when nobody works in the worktree.
    ///
    /// # Errors
    /// [`GitError::DamagedCheckpoint`] before anything is changed, as [`Git::verify_checkpoint`];
    /// when an ignored file stands where a directory of the checkpoint must be, which is left as it
    /// is; [`GitError::NotRestored`] when the files on the disk do not become what they should.
    pub async fn restore(
        &self,
        dir: &Path,
        commit: &str,
        tree: &str,
    ) -> Result<Restored, GitError> {
        self.verify_checkpoint(dir, commit, tree).await?;
        let shadow = Shadow::open(self, dir).await?;
        set_aside_stale_lock(dir, &shadow.git_dir)?;
        let reference = self.next_snapshot(dir, &shadow).await?;
        let message = format!("What was here before the checkpoint {commit} was restored");
        let mut first: Option<Checkpointed> = None;
        for _ in 0..ROUNDS_MAX {
            let captured = shadow.capture(Some(tree)).await?;
            let same = captured.tree == tree;
            if same && let Some(snapshot) = first {
                self.settle_index(dir).await?;
                let changed_files = self.differing(dir, &snapshot.tree, tree).await?;
                return Ok(Restored { tree: captured.tree, changed_files, snapshot });
            }
            let kept = self.keep_captured(dir, &shadow, &reference, &message, captured).await?;
            if !same {
                shadow.replace(&kept.commit, commit).await?;
            }
            // What is kept later has this among its parents, under the same reference.
            first.get_or_insert(kept);
        }
        Err(GitError::NotRestored { place: dir.to_owned(), reference })
    }

    /// A reference for what is in the worktree now.
    async fn next_snapshot(&self, dir: &Path, shadow: &Shadow<'_>) -> Result<String, GitError> {
        // Git's own name of a worktree: unique in its repository, and the same wherever it is moved.
        let id = if shadow.git_dir == shadow.common {
            "checkout".to_owned()
        } else {
            let name = shadow.git_dir.file_name().unwrap_or_default().to_string_lossy();
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
        };
        let prefix = format!("{SNAPSHOTS}/{id}/");
        let list = ["for-each-ref", "--format=%(refname)", prefix.as_str()];
        let list = self.tell(dir, KEEP, &list, &[]).await?.line();
        let numbers = list.lines().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok());
        let next = numbers.max().unwrap_or(0_u64) + 1;
        Ok(format!("{prefix}{next}"))
    }

    /// Makes the worktree's index what is checked out.
    async fn settle_index(&self, dir: &Path) -> Result<(), GitError> {
        let what = "clear the worktree's index";
        let head = self.object(dir, "HEAD^{commit}").await?;
        let read = ["read-tree", head.as_deref().unwrap_or("--empty")];
        self.tell(dir, what, &read, &[]).await?;
        // Says by its exit code whether files differ from what is checked out, as they may.
        self.ask(dir, what, &["update-index", "-q", "--refresh"], &[]).await.map(drop)
    }

    async fn differing(&self, dir: &Path, from: &str, to: &str) -> Result<u64, GitError> {
        let what = "compare two checkpoints";
        let ask = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", from, to];
        let answer = self.ask(dir, what, &ask, &[]).await?;
        if answer.code == Some(0) { Ok(answer.entries()) } else { Err(refused(what, answer)) }
    }
}

/// A name that is one part of a reference and of a path, and nothing else.
pub(crate) fn checked(name: &str) -> Result<&str, GitError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let refused = name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || !name.chars().all(plain)
        || name.starts_with(['.', '-'])
        || name.ends_with('.')
        || name.to_ascii_lowercase().ends_with(".lock")
        || name.contains("..");
    if refused { Err(GitError::BadName(name.to_owned())) } else { Ok(name) }
}

fn is_hash(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_git_or_a_path_would_read_otherwise_are_refused() {
        for good in ["a", "M-7K2P.1", "0198f0c2-7d4e", "a_b"] {
            assert!(checked(good).is_ok(), "{good}");
        }
        let long = "a".repeat(NAME_BYTES_MAX + 1);
        for bad in [
            "", ".", "..", "-d", ".a", "a.", "a..b", "a/b", "a.lock", "a.LOCK", "ä", "a b", "a\n",
            &long,
        ] {
            assert!(matches!(checked(bad), Err(GitError::BadName(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_checked_name_is_one_part_of_a_path(name in ".{0,12}") {
            if checked(&name).is_ok() {
                let parts: Vec<_> = Path::new(&name).components().collect();
                prop_assert_eq!(parts.len(), 1);
                prop_assert!(matches!(parts[0], std::path::Component::Normal(_)));
            }
        }
    }
}
