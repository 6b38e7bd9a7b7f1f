//! Places aside of a repository: git works with an index and objects of its own there, or without
//! any files at all, so that looking at a repository changes nothing in it and runs nothing of it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::git;
use crate::worktree::{Git, GitError};

/// What is done, in the words of an error.
const WHAT: &str = "look at the worktree";
/// How the places' names begin.
const PREFIX: &str = "hivekeeper-";

/// A place for objects, and an index where one is wanted, beside a repository's own, which are read
/// and never written. Gone with its drop.
pub(crate) struct Aside {
    place: TempDir,
    alternates: OsString,
    index: bool,
}

impl Aside {
    /// Makes a prepared command work here.
    pub(crate) fn apply(&self, command: &mut Command) {
        if self.index {
            command.env("GIT_INDEX_FILE", self.place.path().join("index"));
        }
        command
            .env("GIT_OBJECT_DIRECTORY", self.place.path().join("objects"))
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", &self.alternates);
    }
}

/// Git's view of a repository that has no files: no attributes of a worktree tell it which programs
/// to run, or which files not to show.
pub(crate) struct Unattributed {
    place: TempDir,
    git_dir: PathBuf,
}

impl Unattributed {
    /// A command that sees the repository's objects only; `paths` are taken by the letter.
    pub(crate) fn command(&self, args: &[&str], paths: &[&Path]) -> Command {
        let plain = ["-c", "core.attributesFile=/dev/null", "--literal-pathspecs"];
        let mut command = git::command(self.place.path(), &[&plain, args].concat(), paths);
        command
            .env("GIT_DIR", &self.git_dir)
            .env("GIT_WORK_TREE", self.place.path())
            .env("GIT_INDEX_FILE", self.place.path().join("index"));
        command
    }
}

impl Git {
    /// A place aside of the worktree `dir`, with a copy of its index. It is in git's directory of
    /// the worktree, as what is staged may be large: on the same disk, as private, and gone with the
    /// worktree at the latest.
    pub(crate) async fn aside(&self, dir: &Path) -> Result<Aside, GitError> {
        let io = |source| GitError::Io { what: WHAT, source };
        let git_dir = self.git_dir(dir).await?;
        let place = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&git_dir).map_err(io)?;
        copy_index(&git_dir.join("index"), &place.path().join("index")).await.map_err(io)?;
        Ok(Aside { index: true, ..self.objects_in(dir, place).await? })
    }

    /// A place aside of the repository that `dir` is in, for a few objects.
    pub(crate) async fn objects_aside(&self, dir: &Path) -> Result<Aside, GitError> {
        let place = tempfile::Builder::new().prefix(PREFIX).tempdir();
        self.objects_in(dir, place.map_err(|source| GitError::Io { what: WHAT, source })?).await
    }

    async fn objects_in(&self, dir: &Path, place: TempDir) -> Result<Aside, GitError> {
        let ask = ["rev-parse", "--path-format=absolute", "--git-path", "objects"];
        let objects = self.tell(dir, WHAT, &ask, &[]).await?;
        let objects = objects.out.strip_suffix(b"\n").unwrap_or(&objects.out);
        std::fs::create_dir(place.path().join("objects"))
            .map_err(|source| GitError::Io { what: WHAT, source })?;
        Ok(Aside { place, alternates: quoted(objects), index: false })
    }

    /// A view of the repository that `dir` is in, without any of its files.
    pub(crate) async fn unattributed(&self, dir: &Path) -> Result<Unattributed, GitError> {
        let git_dir = self.git_dir(dir).await?;
        let place = tempfile::Builder::new().prefix(PREFIX).tempdir();
        Ok(Unattributed {
            place: place.map_err(|source| GitError::Io { what: WHAT, source })?,
            git_dir,
        })
    }

    /// Where git keeps what it knows of the checkout that `dir` is in.
    pub(crate) async fn git_dir(&self, dir: &Path) -> Result<PathBuf, GitError> {
        if !dir.is_dir() {
            return Err(GitError::Missing(dir.to_owned()));
        }
        let answer = self.ask(dir, WHAT, &["rev-parse", "--absolute-git-dir"], &[]).await?;
        if answer.code != Some(0) && answer.said.contains("not a git repository") {
            return Err(GitError::NotARepository(dir.to_owned()));
        }
        if answer.code != Some(0) {
            return Err(crate::worktree::refused(WHAT, answer));
        }
        let line = answer.out.strip_suffix(b"\n").unwrap_or(&answer.out);
        Ok(PathBuf::from(OsString::from_vec(line.to_vec())))
    }
}

/// Copies an index with its time: git tells by it which files may have changed after it was written.
async fn copy_index(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut source = match tokio::fs::File::open(from).await {
        Ok(source) => source,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let written = source.metadata().await?.modified()?;
    let mut copy = tokio::fs::File::create_new(to).await?;
    tokio::io::copy(&mut source, &mut copy).await?;
    copy.flush().await?;
    copy.into_std().await.set_modified(written)
}

/// One entry of a list of directories, as git reads it whatever its name holds.
fn quoted(path: &[u8]) -> OsString {
    let mut text = vec![b'"'];
    for byte in path {
        match byte {
            b'"' | b'\\' => text.extend([b'\\', *byte]),
            b'\n' => text.extend(b"\\n"),
            _ => text.push(*byte),
        }
    }
    text.push(b'"');
    std::ffi::OsStr::from_bytes(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_listed_so_that_git_reads_it_whatever_its_name() {
        assert_eq!(quoted(b"/a:b c"), "\"/a:b c\"");
        assert_eq!(quoted(b"/a\"\\\n"), "\"/a\\\"\\\\\\n\"");
    }
}
