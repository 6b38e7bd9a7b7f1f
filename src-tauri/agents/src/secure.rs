//! What an attempt leaves in its worktree ends up on the attempt's own branch.
//!
//! Invariant: no branch is moved but the attempt's, and that one only where no work of it is lost.
//! An agent may leave its worktree detached, on another's branch, or without its branch: then `HEAD`
//! is detached before anything is committed, and the attempt's branch is set to the result.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use model::attempt::{Commit, DiffStat, Work};

use crate::aside::Aside;
use crate::git;
use crate::worktree::{Git, GitError, refused};

/// The most commits listed of an attempt.
const COMMITS_MAX: &str = "100";
/// Who commits where the repository names nobody.
pub(crate) const FALLBACK_COMMITTER: &[&str] =
    &["-c", "user.name=Hivekeeper", "-c", "user.email=hivekeeper@localhost"];
/// How git ends its complaint about a repository inside the worktree that has nothing to refer to.
const NESTED: &str = "does not have a commit checked out";
/// What is done, in the words of an error.
const COMMIT: &str = "commit what was left";
/// What is done, in the words of an error.
const PLACE: &str = "put the work on its branch";
/// What `HEAD`'s log says where the engine moves it: it was moved, nothing was made.
const MOVED: &str = "checkout: by hivekeeper";

/// Where `HEAD` was when the agent ended.
struct Head {
    /// Its commit; where it has none, the last one it had, or the base.
    commit: String,
    /// Whether it is on the branch the work belongs to.
    own: bool,
    /// Whether its log says that its commit was made elsewhere and only looked at here.
    visited: bool,
}

/// Where the work goes.
enum Target {
    /// The branch has everything already.
    Kept(String),
    /// This branch is set to it, provided it is still at this commit, or still missing.
    Set { branch: String, from: String },
}

impl Git {
    /// Commits what an agent left uncommitted, ignored files excepted, puts it and the commits of the
    /// worktree's `HEAD` on `branch`, and sums up the attempt's work.
    ///
    /// No other branch is moved, whatever the agent checked out. Where `branch` has work that `HEAD`
    /// has not, it stays, and what `HEAD` has goes to `<branch>-head`. A repository inside the
    /// worktree that has no commit yet stays in the directory and is left out.
    ///
    /// Idempotent. To be called when no process of the attempt is left.
    ///
    /// # Errors
    /// When git refuses, or the worktree is gone or cut off from its repository; nothing in the
    /// worktree is removed or overwritten then.
    pub async fn secure(
        &self,
        dir: &Path,
        branch: &str,
        base_commit: &str,
        message: &str,
    ) -> Result<Work, GitError> {
        let git_dir = linked(dir)?;
        set_aside_stale_lock(dir, &git_dir)?;
        let head = self.head(dir, &git_dir, branch, base_commit).await?;
        if !head.own {
            let detach = ["update-ref", "--no-deref", "-m", MOVED, "HEAD", head.commit.as_str()];
            self.tell(dir, COMMIT, &detach, &[]).await?;
        }
        self.stage(dir, None).await?;
        let staged = ["diff", "--cached", "--name-only", "-z", "--no-renames"];
        let rescued_files = self.tell(dir, COMMIT, &staged, &[]).await?.entries();
        if head.own {
            self.commit(dir, rescued_files, message).await?;
            let commit = self.commit_of(dir, "HEAD").await?;
            return self.sum_up(dir, base_commit, commit, rescued_files).await;
        }
        let target = self.target(dir, &head, branch, base_commit, rescued_files > 0).await?;
        let commit = match target {
            Target::Kept(tip) => {
                // The gates are to see what is on the branch; what git would overwrite it refuses.
                let checkout = ["checkout", "--quiet", "--no-overwrite-ignore", branch, "--"];
                self.tell(dir, PLACE, &checkout, &[]).await?;
                tip
            }
            Target::Set { branch: to, from } => {
                let message = if to == branch {
                    message.to_owned()
                } else {
                    tracing::warn!(branch, beside = to, "an agent left work beside its branch's");
                    format!("{message}\n\nThe branch {branch} has other work, so this is on {to}.")
                };
                self.commit(dir, rescued_files, &message).await?;
                let commit = self.commit_of(dir, "HEAD").await?;
                let name = format!("refs/heads/{to}");
                let set = ["update-ref", "-m", "hivekeeper", &name, &commit, &from];
                self.tell(dir, PLACE, &set, &[]).await?;
                let attach = ["symbolic-ref", "-m", MOVED, "HEAD", &name];
                self.tell(dir, PLACE, &attach, &[]).await?;
                commit
            }
        };
        self.sum_up(dir, base_commit, commit, rescued_files).await
    }

    async fn head(
        &self,
        dir: &Path,
        git_dir: &Path,
        branch: &str,
        base_commit: &str,
    ) -> Result<Head, GitError> {
        let ask = ["symbolic-ref", "--quiet", "HEAD"];
        let on = self.ask(dir, COMMIT, &ask, &[]).await?.line();
        let own = on.strip_prefix("refs/heads/");
        let own = own.is_some_and(|on| on == branch || on == beside(branch));
        let log = std::fs::read(git_dir.join("logs/HEAD")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let ask = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        let answer = self.ask(dir, COMMIT, &ask, &[]).await?;
        if answer.code == Some(0) {
            let commit = answer.line();
            let visited = visited(&log, &commit);
            return Ok(Head { visited, own, commit });
        }
        // Its branch was deleted, or has no commit yet.
        let mut hashes = log.lines().rev().flat_map(|line| {
            let mut words = line.split(' ');
            let (before, after) = (words.next(), words.next());
            [after, before].into_iter().flatten()
        });
        let last = hashes.find(|hash| hash.bytes().any(|byte| byte != b'0'));
        let commit = self.commit_of(dir, last.unwrap_or(base_commit)).await?;
        Ok(Head { visited: visited(&log, &commit), own: false, commit })
    }

    /// Stages everything but repositories git cannot refer to, and what was only linked to.
    ///
    /// In the worktree's own index, or in one that is `aside` of it.
    pub(crate) async fn stage(&self, dir: &Path, aside: Option<&Aside>) -> Result<(), GitError> {
        let git_dir = linked(dir)?;
        let links = crate::links::still_there(dir, &git_dir);
        let command = |args: &[&str]| {
            let mut command = git::command(dir, args, &[Path::new(".")]);
            // `:(exclude)` takes everything else in the worktree, whatever its name looks like.
            command.args(links.iter().map(|link| format!(":(top,exclude,literal){link}")));
            if let Some(aside) = aside {
                aside.apply(&mut command);
            }
            command
        };
        let answer = self.run(command(&["add", "--all"]), COMMIT).await?;
        if answer.code == Some(0) {
            return Ok(());
        }
        if !answer.said.contains(NESTED) {
            return Err(refused(COMMIT, answer));
        }
        let answer = self.run(command(&["add", "--all", "--ignore-errors"]), COMMIT).await?;
        let mut errors = answer
            .said
            .lines()
            .filter(|line| ["error: ", "fatal: "].iter().any(|kind| line.starts_with(kind)));
        if answer.code != Some(0) && !errors.all(|line| line.ends_with(NESTED)) {
            return Err(refused(COMMIT, answer));
        }
        tracing::warn!(
            worktree = %dir.display(),
            said = answer.said,
            "a repository without a commit inside a worktree is not part of the work"
        );
        Ok(())
    }

    /// Commits what is staged to wherever `HEAD` is, if anything is.
    async fn commit(&self, dir: &Path, files: u64, message: &str) -> Result<(), GitError> {
        if files == 0 {
            return Ok(());
        }
        let mut commit = Vec::new();
        let email = self.ask(dir, COMMIT, &["config", "user.email"], &[]).await?;
        if email.code != Some(0) {
            commit.extend_from_slice(FALLBACK_COMMITTER);
        }
        commit.extend_from_slice(&["commit", "--no-verify", "--quiet", "--message", message]);
        self.tell(dir, COMMIT, &commit, &[]).await.map(drop)
    }

    async fn commit_of(&self, dir: &Path, name: &str) -> Result<String, GitError> {
        let name = format!("{name}^{{commit}}");
        let ask = ["rev-parse", "--verify", "--end-of-options", name.as_str()];
        Ok(self.tell(dir, COMMIT, &ask, &[]).await?.line())
    }

    /// Where the commits of a `HEAD` go that is not on the attempt's branch.
    async fn target(
        &self,
        dir: &Path,
        head: &Head,
        branch: &str,
        base_commit: &str,
        dirty: bool,
    ) -> Result<Target, GitError> {
        let set = |branch: &str, from: String| Target::Set { branch: branch.to_owned(), from };
        // Nothing is the name of a branch that must not be there.
        if !self.branch_exists(dir, branch).await? {
            return Ok(set(branch, String::new()));
        }
        let tip = self.commit_of(dir, &format!("refs/heads/{branch}")).await?;
        if tip == head.commit {
            return Ok(set(branch, tip));
        }
        if !dirty
            && (self.has_all(dir, &head.commit, &[&tip]).await?
                || (head.visited && self.on_another(dir, &head.commit, branch).await?))
        {
            return Ok(Target::Kept(tip));
        }
        if self.has_all(dir, &tip, &[&head.commit, base_commit]).await? {
            return Ok(set(branch, tip));
        }
        let beside = beside(branch);
        if !self.branch_exists(dir, &beside).await? {
            return Ok(set(&beside, String::new()));
        }
        let there = self.commit_of(dir, &format!("refs/heads/{beside}")).await?;
        if self.has_all(dir, &there, &[&head.commit]).await? {
            Ok(set(&beside, there))
        } else {
            Err(GitError::BranchTaken(beside))
        }
    }

    /// Whether the history of `commits` has everything `commit` has.
    async fn has_all(&self, dir: &Path, commit: &str, commits: &[&str]) -> Result<bool, GitError> {
        let mut list = vec!["rev-list", "--max-count=1", commit, "--not"];
        list.extend_from_slice(commits);
        Ok(self.tell(dir, PLACE, &list, &[]).await?.out.is_empty())
    }

    /// Whether a commit is kept by another branch than this one.
    async fn on_another(&self, dir: &Path, commit: &str, branch: &str) -> Result<bool, GitError> {
        let own = format!("refs/heads/{branch}");
        let list = ["for-each-ref", "--format=%(refname)", "--contains", commit];
        let list = [list.as_slice(), &["refs/heads", "refs/remotes", "refs/tags"]].concat();
        Ok(self.tell(dir, PLACE, &list, &[]).await?.line().lines().any(|name| name != own))
    }

    async fn sum_up(
        &self,
        dir: &Path,
        base_commit: &str,
        head_commit: String,
        rescued_files: u64,
    ) -> Result<Work, GitError> {
        let what = "sum up the work";
        let range = format!("{base_commit}..{head_commit}");
        let log = [
            "log",
            "--reverse",
            "--format=%H%x09%s",
            "--max-count",
            COMMITS_MAX,
            "--end-of-options",
            range.as_str(),
        ];
        let log = self.tell(dir, what, &log, &[]).await?;
        let stat = [
            "diff",
            "--shortstat",
            "--no-ext-diff",
            "--no-textconv",
            "--end-of-options",
            base_commit,
            head_commit.as_str(),
        ];
        let stat = self.tell(dir, what, &stat, &[]).await?;
        Ok(Work {
            commits: String::from_utf8_lossy(&log.out)
                .lines()
                .filter_map(|line| line.split_once('\t'))
                .map(|(hash, subject)| Commit {
                    hash: hash.to_owned(),
                    subject: subject.to_owned(),
                })
                .collect(),
            tree: Some(self.tree_of(dir, &head_commit).await?),
            diff: read_stat(&stat.line()),
            head_commit,
            rescued_files,
        })
    }
}

/// The branch for work that cannot go on the attempt's own.
fn beside(branch: &str) -> String {
    format!("{branch}-head")
}

/// Whether a log of `HEAD` knows a commit only from looking at it.
fn visited(log: &str, commit: &str) -> bool {
    let mut messages = log
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter(|(moved, _)| moved.split(' ').nth(1) == Some(commit))
        .map(|(_, message)| message)
        .peekable();
    messages.peek().is_some()
        && messages.all(|message| {
            message.starts_with("checkout:")
                || message.starts_with("reset:")
                || (message.starts_with("rebase") && message.contains("(start)"))
        })
}

/// The directory in which the repository keeps what it knows of a worktree.
pub(crate) fn linked(dir: &Path) -> Result<PathBuf, GitError> {
    let what = "look at the worktree";
    if !dir.is_dir() {
        return Err(GitError::Missing(dir.to_owned()));
    }
    // Without it, git would look for a repository further up, and find another's.
    let link = dir.join(".git");
    let text = match std::fs::read_to_string(&link) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(GitError::Unlinked { place: dir.to_owned(), missing: link });
        }
        Err(_) if link.is_dir() => return Err(GitError::Replaced(dir.to_owned())),
        Err(source) => return Err(GitError::Io { what, source }),
    };
    let Some(git_dir) = text.strip_prefix("gitdir: ") else {
        return Err(GitError::Replaced(dir.to_owned()));
    };
    let git_dir = dir.join(git_dir.trim_end_matches('\n'));
    // The first of its parents that is missing tells most.
    let missing = git_dir.ancestors().take_while(|path| !path.exists()).last();
    match missing {
        None => Ok(git_dir),
        Some(missing) => {
            Err(GitError::Unlinked { place: dir.to_owned(), missing: missing.to_owned() })
        }
    }
}

/// A git that was killed leaves its lock, and every later one refuses to work.
pub(crate) fn set_aside_stale_lock(dir: &Path, git_dir: &Path) -> Result<(), GitError> {
    let what = "set a stale lock aside";
    match std::fs::rename(git_dir.join("index.lock"), git_dir.join("index.lock.stale")) {
        Ok(()) => {
            tracing::warn!(worktree = %dir.display(), "a lock left by a killed git was set aside");
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(GitError::Io { what, source }),
    }
}

/// Reads ` 3 files changed, 10 insertions(+), 2 deletions(-)`.
fn read_stat(line: &str) -> DiffStat {
    let mut stat = DiffStat::default();
    for part in line.split(',') {
        let (number, word) = part.trim().split_once(' ').unwrap_or_default();
        let number = number.parse().unwrap_or(0);
        match word.get(..4) {
            Some("file") => stat.files = number,
            Some("inse") => stat.insertions = number,
            Some("dele") => stat.deletions = number,
            _ => {}
        }
    }
    stat
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_read_from_gits_summary() {
        let check = |line: &str, files, insertions, deletions| {
            let expect = DiffStat { files, insertions, deletions };
            assert_eq!(read_stat(line), expect, "{line}");
        };
        check(" 3 files changed, 10 insertions(+), 2 deletions(-)", 3, 10, 2);
        check(" 1 file changed, 1 deletion(-)", 1, 0, 1);
        check("", 0, 0, 0);
        check("ä, 7, x y z", 0, 0, 0);
    }
}
