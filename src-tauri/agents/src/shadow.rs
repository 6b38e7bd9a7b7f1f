//! A repository beside the real one, for as long as one question takes: it shares its objects and
//! its files, and has an index and rules of its own.
//!
//! Its rules say that a file's bytes are what git keeps: no line ends are turned, no filters run and
//! no encodings change, whatever the repository's settings and attributes are. So what is kept
//! through it comes back byte by byte. The worktree's own index and every branch are left alone.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use crate::git::{self, Answer};
use crate::secure::linked;
use crate::worktree::{Git, GitError, refused};

/// Git's settings for what must outlive a power cut.
pub(crate) const DURABLE: &[&str] =
    &["-c", "core.fsync=objects,reference", "-c", "core.fsyncMethod=batch"];
/// Git's rules for bytes as they are. They stand where no other rule outranks them.
const ATTRIBUTES: &str = "* -text -eol -crlf -ident -filter -working-tree-encoding\n";
/// The mode of an entry that is a repository of its own.
const NESTED_MODE: &[u8] = b"160000 ";
/// How git ends its complaint about a repository inside the worktree that has nothing to refer to.
const NESTED: &str = "does not have a commit checked out";
/// How often files are read again that somebody changed while they were read.
const READS_MAX: u32 = 3;

/// What a worktree's files came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Captured {
    /// The tree of all files.
    pub(crate) tree: String,
    /// The tree of what is staged; nothing in the middle of a merge.
    pub(crate) staged: Option<String>,
    /// How many files there are.
    pub(crate) files: u64,
    /// How many repositories are inside, which are left alone.
    pub(crate) nested: u64,
}

/// A repository beside the real one; gone when it is dropped.
pub(crate) struct Shadow<'a> {
    git: &'a Git,
    /// The worktree.
    dir: PathBuf,
    /// The directory in which the repository keeps what it knows of the worktree.
    pub(crate) git_dir: PathBuf,
    /// The directory that all worktrees of the repository share.
    pub(crate) common: PathBuf,
    objects: PathBuf,
    excludes: Option<String>,
    place: TempDir,
}

impl<'a> Shadow<'a> {
    /// Makes one for the worktree or checkout at `dir`.
    pub(crate) async fn open(git: &'a Git, dir: &Path) -> Result<Self, GitError> {
        let what = "look at the worktree";
        if !dir.is_dir() {
            return Err(GitError::Missing(dir.to_owned()));
        }
        let ask = [
            "rev-parse",
            "--path-format=absolute",
            "--show-toplevel",
            "--absolute-git-dir",
            "--git-common-dir",
            "--git-path",
            "objects",
            "--git-path",
            "info/exclude",
            "--show-object-format",
        ];
        let answer = git.ask(dir, what, &ask, &[]).await?;
        if answer.code != Some(0) {
            linked(dir)?;
            return Err(refused(what, answer));
        }
        let lines: Vec<&[u8]> = answer.out.split(|byte| *byte == b'\n').collect();
        let [top, git_dir, common, objects, exclude, format, ..] = lines.as_slice() else {
            return Err(refused(what, answer));
        };
        let path = |line: &&[u8]| PathBuf::from(OsStr::from_bytes(line));
        let failed = |source| GitError::Io { what, source };
        let own = dir.canonicalize().map_err(failed)?;
        if path(top) != own {
            linked(dir)?;
            return Err(GitError::Replaced(dir.to_owned()));
        }
        let ask = ["config", "--type=path", "--get", "core.excludesFile"];
        let excludes = git.ask(dir, what, &ask, &[]).await?;
        let git_dir = path(git_dir);
        let format = String::from_utf8_lossy(format).trim().to_owned();
        let place = furnish(&git_dir, &format, &path(exclude)).map_err(failed)?;
        Ok(Self {
            git,
            dir: own,
            git_dir,
            common: path(common),
            objects: path(objects),
            excludes: (excludes.code == Some(0)).then(|| excludes.line()),
            place,
        })
    }

    /// Reads every file of the worktree that is not ignored, as it is, and everything that is in its
    /// index or in the tree `seed`, ignored or not.
    pub(crate) async fn capture(&self, seed: Option<&str>) -> Result<Captured, GitError> {
        let what = "read the worktree's files";
        self.clear_index(what)?;
        let staged = ["ls-files", "--stage", "-z"];
        let list = self.list_to_file(self.real(&staged), what).await?;
        self.index(&["update-index", "-z", "--index-info"], list, what).await?;
        // In the middle of a merge there is no tree; what is merged is kept by its branches.
        let answer = self.run(self.own(&["write-tree"]), what).await?;
        let staged = (answer.code == Some(0)).then(|| answer.line());
        if let Some(tree) = seed {
            self.index_tree(tree, what).await?;
        }
        self.add(what).await?;
        let (files, nested) = self.drop_nested(what).await?;
        let tree = self.written(what).await?;
        Ok(Captured { tree, staged, files, nested })
    }

    /// The tree that the entries of `tree` make when every one of them is looked at anew.
    pub(crate) async fn rebuilt(&self, tree: &str) -> Result<String, GitError> {
        let what = "look through a checkpoint";
        self.clear_index(what)?;
        self.index_tree(tree, what).await?;
        self.written(what).await
    }

    /// Makes the worktree, of which `from` was just captured, what `to` is. Refuses, before anything
    /// is changed, where something would be lost that is not in `from`.
    pub(crate) async fn replace(&self, from: &str, to: &str) -> Result<(), GitError> {
        let what = "put the checkpoint's files in place";
        std::fs::write(self.place.path().join("HEAD"), format!("{from}\n"))
            .map_err(|source| GitError::Io { what, source })?;
        let checkout = ["checkout", "--quiet", "--no-overwrite-ignore", "--detach", to, "--"];
        self.tell(self.own(&checkout), what).await.map(drop)
    }

    fn clear_index(&self, what: &'static str) -> Result<(), GitError> {
        match std::fs::remove_file(self.place.path().join("index")) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(GitError::Io { what, source })
            }
            _ => Ok(()),
        }
    }

    async fn index_tree(&self, tree: &str, what: &'static str) -> Result<(), GitError> {
        let entries = ["ls-tree", "-r", "-z", "--full-tree", tree];
        let list = self.list_to_file(self.own(&entries), what).await?;
        self.index(&["update-index", "-z", "--index-info"], list, what).await
    }

    async fn written(&self, what: &'static str) -> Result<String, GitError> {
        Ok(self.tell(self.own(&["write-tree"]), what).await?.line())
    }

    async fn add(&self, what: &'static str) -> Result<(), GitError> {
        let mut reads = 1;
        loop {
            let answer = self.run(self.own(&["add", "--all", "--", "."]), what).await?;
            if answer.code == Some(0) {
                return Ok(());
            }
            if answer.said.contains(NESTED) {
                return self.add_around_nested(what).await;
            }
            if reads == READS_MAX {
                return Err(refused(what, answer));
            }
            reads += 1;
        }
    }

    /// The same where a repository without a commit is inside, which cannot be referred to.
    async fn add_around_nested(&self, what: &'static str) -> Result<(), GitError> {
        let add = self.own(&["add", "--all", "--ignore-errors", "--", "."]);
        let answer = self.run(add, what).await?;
        let mut errors = answer
            .said
            .lines()
            .filter(|line| ["error: ", "fatal: "].iter().any(|kind| line.starts_with(kind)));
        if answer.code == Some(0) || errors.all(|line| line.ends_with(NESTED)) {
            Ok(())
        } else {
            Err(refused(what, answer))
        }
    }

    /// Leaves repositories inside of the worktree out of the index; counts the files and them.
    async fn drop_nested(&self, what: &'static str) -> Result<(u64, u64), GitError> {
        let failed = |source| GitError::Io { what, source };
        let entries = ["ls-files", "--stage", "-z"];
        let list = self.list_to_file(self.own(&entries), what).await?;
        let path = self.place.path().join("nested");
        let mut nested_list = File::create(&path).map_err(failed)?;
        let (mut files, mut nested) = (0, 0);
        for entry in BufReader::new(list).split(0) {
            let entry = entry.map_err(failed)?;
            if entry.starts_with(NESTED_MODE) {
                let name = entry.iter().position(|byte| *byte == b'\t').map_or(0, |tab| tab + 1);
                nested_list.write_all(entry.get(name..).unwrap_or_default()).map_err(failed)?;
                nested_list.write_all(&[0]).map_err(failed)?;
                nested += 1;
            } else {
                files += 1;
            }
        }
        if nested > 0 {
            let remove = ["update-index", "--force-remove", "-z", "--stdin"];
            self.index(&remove, File::open(&path).map_err(failed)?, what).await?;
        }
        Ok((files, nested))
    }

    /// Runs a command of the shadow's index that reads a list.
    async fn index(&self, args: &[&str], list: File, what: &'static str) -> Result<(), GitError> {
        let mut command = self.own(args);
        command.stdin(Stdio::from(list));
        self.tell(command, what).await.map(drop)
    }

    /// What a command prints, as a file: a list may be longer than what is read of an answer.
    async fn list_to_file(
        &self,
        mut command: Command,
        what: &'static str,
    ) -> Result<File, GitError> {
        let failed = |source| GitError::Io { what, source };
        let path = self.place.path().join("list");
        command.stdout(File::create(&path).map_err(failed)?);
        self.tell(command, what).await?;
        File::open(&path).map_err(failed)
    }

    async fn run(&self, command: Command, what: &'static str) -> Result<Answer, GitError> {
        Box::pin(git::ask(command, what, self.git.timeout)).await
    }

    async fn tell(&self, command: Command, what: &'static str) -> Result<Answer, GitError> {
        let answer = self.run(command, what).await?;
        if answer.code == Some(0) { Ok(answer) } else { Err(refused(what, answer)) }
    }

    /// Git in the worktree itself.
    fn real(&self, args: &[&str]) -> Command {
        git::command(&self.dir, args, &[])
    }

    /// Git with this repository's index and rules.
    fn own(&self, args: &[&str]) -> Command {
        let mut all = DURABLE.to_vec();
        all.extend(["-c", "add.ignoreErrors=false", "-c", "advice.addEmbeddedRepo=false"]);
        all.extend(["-c", "submodule.recurse=false"]);
        let excludes = self.excludes.as_ref().map(|file| format!("core.excludesFile={file}"));
        if let Some(excludes) = &excludes {
            all.extend(["-c", excludes.as_str()]);
        }
        all.extend_from_slice(args);
        let mut command = git::command(&self.dir, &all, &[]);
        command
            .env("GIT_DIR", self.place.path())
            .env("GIT_WORK_TREE", &self.dir)
            .env("GIT_OBJECT_DIRECTORY", &self.objects);
        command
    }
}

/// Makes the files of a repository that has nothing of its own but rules.
fn furnish(git_dir: &Path, format: &str, exclude: &Path) -> std::io::Result<TempDir> {
    // Beside what git knows of the worktree: on its disk, as private, and removed with it.
    let place = tempfile::Builder::new().prefix("hive-").tempdir_in(git_dir)?;
    let at = |name: &str| place.path().join(name);
    std::fs::create_dir(at("refs"))?;
    std::fs::create_dir(at("info"))?;
    std::fs::write(at("HEAD"), "ref: refs/heads/none\n")?;
    std::fs::write(at("info/attributes"), ATTRIBUTES)?;
    if exclude.is_file() {
        std::fs::copy(exclude, at("info/exclude"))?;
    }
    let config = format!(
        "[core]\n\trepositoryformatversion = 1\n\tbare = false\n\tfilemode = true\n\tsymlinks = true\n\
         \tautocrlf = false\n\tsafecrlf = false\n\tsparseCheckout = false\n\tlogAllRefUpdates = false\n\
         \tuntrackedCache = false\n\tsplitIndex = false\n[extensions]\n\tobjectFormat = {format}\n"
    );
    std::fs::write(at("config"), config)?;
    Ok(place)
}
