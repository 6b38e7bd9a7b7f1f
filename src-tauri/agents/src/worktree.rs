//! Git worktrees: each attempt works on a branch of its own, in a directory of its own.
//!
//! Git is run as a program, with everything in a repository that could run code or ask questions
//! switched off, with a deadline, and with bounded output.

use std::path::{Path, PathBuf};
use std::time::Duration;

use model::attempt::Workplace;

use crate::git::{self, Answer};

/// How long git may take for one command; a checkout of a large repository is the slowest.
const TIMEOUT: Duration = Duration::from_secs(300);
/// What is done, in the words of an error.
const OPEN: &str = "open the repository";

/// What keeps git from doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// Git is not installed.
    #[error("run git: install it, or put it into PATH")]
    NoGit(#[source] std::io::Error),
    /// The path does not exist.
    #[error("open the repository: '{}' does not exist", .0.display())]
    Missing(PathBuf),
    /// The path is not in a repository.
    #[error("open the repository: '{}' is not in a git repository; run 'git init' there first", .0.display())]
    NotARepository(PathBuf),
    /// The repository has no files of its own.
    #[error("open the repository: '{}' is a bare repository; name a checkout of it", .0.display())]
    Bare(PathBuf),
    /// The repository has no commit to start from.
    #[error("open the repository: '{}' has no commit yet; make a first one", .0.display())]
    NoCommits(PathBuf),
    /// A branch of that name holds somebody else's work.
    #[error(
        "make the branch '{0}': there is one of that name with work on it, which is left as it is; \
         rename that branch and retry the mission"
    )]
    BranchTaken(String),
    /// The name is not one git takes for a branch.
    #[error("use '{0}' as the name of a branch")]
    BadBranch(String),
    /// Something else is where the worktree should be.
    #[error("create the worktree: '{}' exists and is something else; it was left as it is", .0.display())]
    Taken(PathBuf),
    /// A worktree no longer finds its repository.
    #[error(
        "find the repository of '{0}': '{1}' is missing; copy what you need from '{0}', then retry",
        place.display(), missing.display()
    )]
    Unlinked {
        /// The worktree.
        place: PathBuf,
        /// What it would need.
        missing: PathBuf,
    },
    /// A worktree was made a repository of its own, or part of another one.
    #[error(
        "find the repository of '{dir}': '{dir}/.git' is no longer the one the worktree was made with; \
         copy what you need from '{dir}', then retry", dir = .0.display()
    )]
    Replaced(PathBuf),
    /// There is uncommitted work in the worktree.
    #[error("remove the worktree '{}': {files} files in it are not committed; it was left as it is", path.display())]
    Dirty {
        /// The worktree.
        path: PathBuf,
        /// How many files.
        files: u64,
    },
    /// Git took too long and was ended.
    #[error("{what}: git did not end within {timeout_s} s")]
    TimedOut {
        /// What it was to do.
        what: &'static str,
        /// How long it had.
        timeout_s: u64,
    },
    /// Git refused.
    #[error("{what}: git said: {said}")]
    Refused {
        /// What it was to do.
        what: &'static str,
        /// Its words.
        said: String,
    },
    /// What should be the name of a commit is none, or the repository has no such commit.
    #[error("find the commit '{commit}': it is no full name of a commit of '{}'", repo.display())]
    NoCommit {
        /// What was given.
        commit: String,
        /// Where it was looked for.
        repo: PathBuf,
    },
    /// Two commits have nothing in common.
    #[error(
        "compare the commits {0} and {1}: they have no common history here; where the repository is a \
         shallow clone, run 'git fetch --unshallow' in it"
    )]
    Unrelated(String, String),
    /// Git answered with something this program cannot read.
    #[error("{what}: git gave an answer that could not be read; nothing was changed")]
    Unreadable {
        /// What it was to do.
        what: &'static str,
    },
    /// Accepting an attempt's work is refused.
    #[error(transparent)]
    Merge(#[from] crate::merge::MergeError),
    /// The system got in the way.
    #[error("{what}")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something of a checkpoint is missing or not what it was.
    #[error(
        "use the checkpoint {commit}: it is damaged: {why}; nothing was changed, use an older one"
    )]
    DamagedCheckpoint {
        /// Its commit.
        commit: String,
        /// What is wrong with it.
        why: String,
    },
    /// The files did not become those of the checkpoint.
    #[error(
        "restore the checkpoint: the files in '{}' did not become the checkpoint's, as if somebody \
         worked there; what was there before is kept as {reference}", place.display()
    )]
    NotRestored {
        /// The worktree.
        place: PathBuf,
        /// What keeps the files as they were.
        reference: String,
    },
    /// A name that cannot be part of a reference.
    #[error("use '{0}' as a name: letters, digits, '-', '_' and '.' are allowed, 100 at most")]
    BadName(String),
}

/// A repository, as far as an attempt needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The directory of its checkout.
    pub root: PathBuf,
    /// The commit that is checked out.
    pub head_commit: String,
    /// The branch that is checked out; nothing when the head is detached.
    pub branch: Option<String>,
    /// Files that differ from the commit, untracked ones included, ignored ones not.
    pub uncommitted_files: u64,
}

/// Runs git.
#[derive(Debug, Clone)]
pub struct Git {
    pub(crate) timeout: Duration,
}

impl Default for Git {
    fn default() -> Self {
        Self { timeout: TIMEOUT }
    }
}

impl Git {
    /// Git as found in `PATH`, with five minutes for each of its commands.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives git this long for each of its commands.
    #[must_use]
    pub const fn with_timeout(timeout: Duration) -> Self {
        Self { timeout }
    }

    /// Looks at the repository that `path` is in.
    ///
    /// # Errors
    /// When `path` is missing or in no repository, or the repository is bare or without commits.
    pub async fn inspect(&self, path: &Path) -> Result<Repository, GitError> {
        let root = self.root_of(path).await?;
        let head = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        let head = self.ask(path, OPEN, &head, &[]).await?;
        if head.code != Some(0) {
            return Err(GitError::NoCommits(path.to_owned()));
        }
        Ok(Repository {
            head_commit: head.line(),
            branch: self.branch_of(path).await?,
            uncommitted_files: self.uncommitted(&root).await?,
            root,
        })
    }

    /// The directory of the checkout that `path` is in.
    pub(crate) async fn root_of(&self, path: &Path) -> Result<PathBuf, GitError> {
        if !path.is_dir() {
            return Err(GitError::Missing(path.to_owned()));
        }
        let kind = ["rev-parse", "--is-bare-repository", "--is-inside-work-tree"];
        let answer = self.ask(path, OPEN, &kind, &[]).await?;
        let inside = match (answer.code, answer.line().as_str()) {
            (Some(0), "false\ntrue") => true,
            (Some(0), "true\nfalse") => return Err(GitError::Bare(path.to_owned())),
            (Some(0), _) => false,
            _ if answer.said.contains("not a git repository") => false,
            _ => return Err(refused(OPEN, answer)),
        };
        if !inside {
            return Err(GitError::NotARepository(path.to_owned()));
        }
        let root = self.tell(path, OPEN, &["rev-parse", "--show-toplevel"], &[]).await?.line();
        Ok(PathBuf::from(root))
    }

    async fn branch_of(&self, path: &Path) -> Result<Option<String>, GitError> {
        let ask = ["symbolic-ref", "--quiet", "--short", "HEAD"];
        let answer = self.ask(path, "read the branch", &ask, &[]).await?;
        Ok((answer.code == Some(0)).then(|| answer.line()))
    }

    async fn uncommitted(&self, directory: &Path) -> Result<u64, GitError> {
        let ask = [
            "--no-optional-locks",
            "status",
            "--porcelain=v1",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=none",
        ];
        let answer = self.tell(directory, "count uncommitted files", &ask, &[]).await?;
        Ok(answer.entries())
    }

    /// Makes the worktree `dir` on a new branch that starts at what is checked out in `repo`.
    ///
    /// Idempotent: what an earlier call made, or left half made when it was interrupted, is finished.
    ///
    /// # Errors
    /// As [`Git::inspect`]; when the branch's name is not allowed, or something else is at `dir`.
    pub async fn create(
        &self,
        repo: &Path,
        branch: &str,
        dir: &Path,
    ) -> Result<Workplace, GitError> {
        self.create_from(repo, branch, dir, None).await
    }

    /// As [`Git::create`], with a branch that starts at the commit `start`: what an earlier attempt
    /// reached, or a checkpoint. The base is still a commit of what is checked out in `repo`: the last
    /// one that `start` has in common with it.
    ///
    /// # Errors
    /// As [`Git::create`]; when `start` is no full name of a commit, or has nothing in common with
    /// what is checked out.
    pub async fn create_from(
        &self,
        repo: &Path,
        branch: &str,
        dir: &Path,
        start: Option<&str>,
    ) -> Result<Workplace, GitError> {
        let repository = self.inspect(repo).await?;
        let root = repository.root.as_path();
        let head = repository.head_commit.as_str();
        self.check_branch(root, branch).await?;
        if let Some(start) = start {
            self.check_commit(root, start).await?;
        }
        let there = self.find_worktree(branch, dir).await?;
        let base_commit = if self.branch_exists(root, branch).await? {
            let base = self.base_of(root, branch, head).await?;
            if there == There::Nothing {
                self.check_unused(root, branch, start.unwrap_or(&base)).await?;
                // The directory is ours alone, so a stale registration of it may be taken over.
                let add = ["worktree", "add", "--force", "--force"];
                self.add(root, &add, dir, Path::new(branch)).await?;
            }
            base
        } else {
            let start = start.unwrap_or(head);
            let base = self.base_of(root, start, head).await?;
            let add = ["worktree", "add", "-b", branch];
            self.add(root, &add, dir, Path::new(start)).await?;
            base
        };
        Ok(Workplace {
            directory: dir.display().to_string(),
            branch: Some(branch.to_owned()),
            base_commit: Some(base_commit),
            uncommitted_files: repository.uncommitted_files,
        })
    }

    /// The last commit two have in common.
    pub(crate) async fn base_of(
        &self,
        dir: &Path,
        commit: &str,
        other: &str,
    ) -> Result<String, GitError> {
        let (what, ask) = ("find the common base", ["merge-base", commit, other]);
        let answer = self.ask(dir, what, &ask, &[]).await?;
        match answer.code {
            Some(0) => Ok(answer.line()),
            Some(1) => Err(GitError::Unrelated(commit.to_owned(), other.to_owned())),
            _ => Err(refused(what, answer)),
        }
    }

    /// Refuses what is not the full name of a commit that is there: git would take it for a branch,
    /// an expression, or an option.
    pub(crate) async fn check_commit(&self, dir: &Path, commit: &str) -> Result<(), GitError> {
        let full = matches!(commit.len(), 40 | 64)
            && commit.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if full && dir.is_dir() {
            let ask = ["cat-file", "-t", commit];
            let answer = self.ask(dir, "find the commit", &ask, &[]).await?;
            if answer.code == Some(0) && answer.line() == "commit" {
                return Ok(());
            }
        } else if full {
            return Err(GitError::Missing(dir.to_owned()));
        }
        Err(GitError::NoCommit { commit: commit.to_owned(), repo: dir.to_owned() })
    }

    async fn add(
        &self,
        root: &Path,
        add: &[&str],
        dir: &Path,
        start: &Path,
    ) -> Result<(), GitError> {
        let what = "create the worktree";
        if let Some(parent) = dir.parent() {
            crate::run_files::make_private(parent)
                .map_err(|source| GitError::Io { what, source })?;
        }
        self.tell(root, what, add, &[dir, start]).await.map(drop)
    }

    /// Refuses a branch that holds work although its worktree was never made: it is another's.
    async fn check_unused(&self, root: &Path, branch: &str, base: &str) -> Result<(), GitError> {
        let tip = ["rev-parse", "--verify", "--end-of-options", branch];
        let tip = self.tell(root, "look at the branch", &tip, &[]).await?.line();
        if tip == base { Ok(()) } else { Err(GitError::BranchTaken(branch.to_owned())) }
    }

    async fn check_branch(&self, root: &Path, branch: &str) -> Result<(), GitError> {
        let ask = ["check-ref-format", "--branch", branch];
        let plain = !branch.starts_with('-') && !branch.contains('@');
        if plain && self.ask(root, "check the branch", &ask, &[]).await?.code == Some(0) {
            Ok(())
        } else {
            Err(GitError::BadBranch(branch.to_owned()))
        }
    }

    pub(crate) async fn branch_exists(&self, root: &Path, branch: &str) -> Result<bool, GitError> {
        let name = format!("refs/heads/{branch}");
        let ask = ["show-ref", "--verify", "--quiet", name.as_str()];
        Ok(self.ask(root, "look for the branch", &ask, &[]).await?.code == Some(0))
    }

    /// What is at the place of the worktree; an unfinished one is cleared away.
    async fn find_worktree(&self, branch: &str, dir: &Path) -> Result<There, GitError> {
        let what = "look for the worktree";
        let empty = match std::fs::read_dir(dir) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(source) => return Err(GitError::Io { what, source }),
        };
        if empty {
            return Ok(There::Nothing);
        }
        let ask = ["rev-parse", "--show-toplevel", "--absolute-git-dir"];
        let answer = self.ask(dir, what, &ask, &[]).await?;
        let line = answer.line();
        let Some((top, git_dir)) = line.split_once('\n') else {
            return Err(GitError::Taken(dir.to_owned()));
        };
        let own = dir.canonicalize().map_err(|source| GitError::Io { what, source })?;
        if Path::new(top) != own {
            return Err(GitError::Taken(dir.to_owned()));
        }
        // Git holds this lock until the checkout is complete: nobody has worked here yet.
        let lock = std::fs::read_to_string(Path::new(git_dir).join("locked")).unwrap_or_default();
        if lock.starts_with("initializing") {
            let remove = ["worktree", "remove", "--force", "--force"];
            // From within: the worktree knows its repository.
            self.tell(&own, "clear an unfinished worktree", &remove, &[&own]).await?;
            return Ok(There::Nothing);
        }
        if self.branch_of(dir).await?.as_deref() == Some(branch) {
            Ok(There::Worktree)
        } else {
            Err(GitError::Taken(dir.to_owned()))
        }
    }

    /// Takes a worktree back to the commit that is checked out: what is not committed goes, ignored
    /// files and repositories inside excepted. To be called once all of it is kept elsewhere.
    ///
    /// # Errors
    /// When git refuses, or something else than `commit` is checked out; nothing is changed then.
    pub async fn take_back(&self, dir: &Path, commit: &str) -> Result<(), GitError> {
        let what = "take the worktree back to its commit";
        crate::secure::linked(dir)?;
        let ask = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"];
        let head = self.tell(dir, what, &ask, &[]).await?.line();
        if head != commit {
            return Err(GitError::NoCommit { commit: commit.to_owned(), repo: dir.to_owned() });
        }
        self.tell(dir, what, &["reset", "--hard", "--quiet", commit], &[]).await?;
        self.tell(dir, what, &["clean", "-d", "--force", "--quiet"], &[]).await.map(drop)
    }

    /// Removes a worktree, never its branch. Does nothing where there is none.
    ///
    /// # Errors
    /// When there is uncommitted work in it, which is then left as it is.
    pub async fn remove(&self, repo: &Path, dir: &Path) -> Result<(), GitError> {
        let what = "remove the worktree";
        if !dir.exists() {
            return self.tell(repo, what, &["worktree", "prune"], &[]).await.map(drop);
        }
        let files = self.uncommitted(dir).await?;
        if files > 0 {
            return Err(GitError::Dirty { path: dir.to_owned(), files });
        }
        self.tell(repo, what, &["worktree", "remove"], &[dir]).await.map(drop)
    }

    /// Removes a worktree that was only looked at, and its branch, which is ours alone and still ends
    /// with `commit`. One that was moved has something of its own and stays.
    ///
    /// # Errors
    /// As [`Git::remove`]; the branch stays then.
    pub async fn remove_with_branch(
        &self,
        repo: &Path,
        dir: &Path,
        branch: &str,
        commit: &str,
    ) -> Result<(), GitError> {
        self.remove(repo, dir).await?;
        let name = format!("refs/heads/{branch}");
        let delete = ["update-ref", "-d", name.as_str(), commit];
        self.tell(repo, "remove the branch of a worktree", &delete, &[]).await.map(drop)
    }

    /// Runs git and takes anything but exit code 0 for a refusal.
    pub(crate) async fn tell(
        &self,
        directory: &Path,
        what: &'static str,
        args: &[&str],
        paths: &[&Path],
    ) -> Result<Answer, GitError> {
        let answer = self.ask(directory, what, args, paths).await?;
        if answer.code == Some(0) { Ok(answer) } else { Err(refused(what, answer)) }
    }

    /// Runs git in `directory`; `paths` stand behind `--`.
    pub(crate) async fn ask(
        &self,
        directory: &Path,
        what: &'static str,
        args: &[&str],
        paths: &[&Path],
    ) -> Result<Answer, GitError> {
        self.run(git::command(directory, args, paths), what).await
    }

    /// Runs a command that was prepared.
    pub(crate) async fn run(
        &self,
        command: tokio::process::Command,
        what: &'static str,
    ) -> Result<Answer, GitError> {
        // On the heap: what calls git many layers deep would otherwise outgrow a thread's stack.
        Box::pin(git::ask(command, what, self.timeout)).await
    }

    /// As [`Git::run`], for a command of whose answer only some lines are wanted.
    pub(crate) async fn run_for(
        &self,
        command: tokio::process::Command,
        what: &'static str,
        keep: git::Keep,
    ) -> Result<Answer, GitError> {
        Box::pin(git::ask_for(command, what, self.timeout, Some(keep))).await
    }
}

#[derive(PartialEq, Eq)]
enum There {
    Nothing,
    Worktree,
}

pub(crate) fn refused(what: &'static str, answer: Answer) -> GitError {
    let said = if answer.said.is_empty() {
        format!("nothing, and ended with {:?}", answer.code)
    } else {
        answer.said
    };
    GitError::Refused { what, said }
}
