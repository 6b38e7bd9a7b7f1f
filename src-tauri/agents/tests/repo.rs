//! A real repository to make worktrees of.

use std::path::{Path, PathBuf};
use std::process::Command;

use agents::worktree::Git;
use tempfile::TempDir;

/// A repository in a directory of its own.
pub(crate) struct Repo {
    /// What holds it, its worktrees included.
    pub(crate) root: TempDir,
}

impl Repo {
    /// A repository with one commit, and no settings but its own.
    pub(crate) fn new() -> Self {
        let repo = Self::empty();
        repo.write("a.txt", "one\ntwo\n");
        repo.write(".gitignore", "ignored/\n");
        repo.git(&["add", "."]);
        repo.git(&["commit", "-q", "-m", "first"]);
        repo
    }

    /// One without a commit.
    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("repo")).unwrap();
        let repo = Self { root };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// Its checkout.
    pub(crate) fn path(&self) -> PathBuf {
        self.root.path().join("repo").canonicalize().unwrap()
    }

    /// Where the worktree of the attempt is made.
    pub(crate) fn tree(&self) -> PathBuf {
        self.root.path().join("data/worktrees/attempt")
    }

    /// Writes a file of the checkout.
    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.path(), name, text);
    }

    /// Runs git in the checkout.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(&self.path(), args)
    }

    /// Makes the worktree of the attempt, on its branch.
    pub(crate) async fn worktree(&self) -> model::attempt::Workplace {
        Git::new().create(&self.path(), "hive/m1/1", &self.tree()).await.unwrap()
    }
}

/// Writes a file, and the directories it is in.
pub(crate) fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Runs git as somebody would by hand.
pub(crate) fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .args(args)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
