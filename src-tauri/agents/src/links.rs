//! Ignored directories of the captain's checkout, linked into a worktree so that an attempt need not
//! make them again: dependencies, build caches.
//!
//! Invariant: a link is never part of an attempt's work. A pattern such as `node_modules/` ignores a
//! directory and not a link to one, so the link is excluded in the repository's own `info/exclude`,
//! and [`Git::secure`] leaves it out even where a `.gitignore` takes it back in.
//!
//! What is linked is shared: what an attempt writes into it, the checkout has.

use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use model::attempt::Workplace;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::secure::linked;
use crate::worktree::{Git, GitError};

/// In git's directory of a worktree: the links made in it, one a line.
const RECORD: &str = "hivekeeper-links";
/// The most directories linked into one worktree.
pub const LINKS_MAX: usize = 64;
/// What is done, in the words of an error.
const WHAT: &str = "link a directory into the worktree";
/// What stands above the first link in `info/exclude`.
const HEADING: &str =
    "# Links that hivekeeper makes in its worktrees; directories of that name are ignored already.";

/// A worktree that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The repository, or a directory in it.
    pub repo: &'a Path,
    /// The branch to make.
    pub branch: &'a str,
    /// Where the worktree is to be.
    pub dir: &'a Path,
    /// The full name of the commit to start from; nothing for what is checked out.
    pub start: Option<&'a str>,
    /// Ignored directories of the checkout to link to, relative to the repository.
    pub links: &'a [String],
}

/// A worktree that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Laid {
    /// The worktree.
    pub workplace: Workplace,
    /// The directories that are linked into it.
    pub linked: Vec<String>,
    /// Those that are not, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// A directory that was not linked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// The directory, as it was given.
    pub path: String,
    /// Why.
    pub reason: NotLinked,
}

/// Why a directory is not linked into a worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotLinked {
    /// The path is absolute, leaves the repository, or is git's own.
    #[error("it is not inside the repository")]
    Outside,
    /// There is no such directory.
    #[error("there is no such directory in the checkout")]
    Missing,
    /// It is part of the repository.
    #[error("git does not ignore it, so the worktree has its own")]
    NotIgnored,
    /// The worktree has something there.
    #[error("the worktree has something of that name, which was left as it is")]
    Taken,
    /// The directory it would be in is not in the worktree.
    #[error("the worktree does not have the directory it is in")]
    NoParent,
    /// Git would commit the link.
    #[error(
        "git would commit the link: a .gitignore takes it back in, or info/exclude cannot be written"
    )]
    Committed,
    /// There are too many.
    #[error("it is more than can be linked into one worktree")]
    TooMany,
}

impl Git {
    /// Makes a worktree as [`Git::create_from`] does, and links ignored directories of the checkout
    /// into it. What cannot be linked is said and left out.
    ///
    /// Idempotent.
    ///
    /// # Errors
    /// As [`Git::create_from`]; when a link cannot be made although nothing speaks against it.
    pub async fn lay(&self, ground: Ground<'_>) -> Result<Laid, GitError> {
        let Ground { repo, branch, dir, start, links } = ground;
        let workplace = self.create_from(repo, branch, dir, start).await?;
        let root = self.inspect(repo).await?.root;
        let mut laid = Laid { workplace, linked: Vec::new(), left_out: Vec::new() };
        for (n, path) in links.iter().enumerate() {
            let made = if n < LINKS_MAX {
                self.link(&root, dir, path).await?
            } else {
                Err(NotLinked::TooMany)
            };
            match made {
                Ok(()) => laid.linked.push(path.clone()),
                Err(reason) => {
                    tracing::info!(path, %reason, "a directory was not linked into a worktree");
                    laid.left_out.push(LeftOut { path: path.clone(), reason });
                }
            }
        }
        Ok(laid)
    }

    /// Links one directory, or says why not.
    async fn link(
        &self,
        root: &Path,
        dir: &Path,
        path: &str,
    ) -> Result<Result<(), NotLinked>, GitError> {
        let io = |source| GitError::Io { what: WHAT, source };
        let (name, target) = match checked(root, path) {
            Ok(found) => found,
            Err(reason) => return Ok(Err(reason)),
        };
        if !self.ignores(root, &name).await? {
            return Ok(Err(NotLinked::NotIgnored));
        }
        let link = dir.join(&name);
        if !parent_is_inside(dir, &link) {
            return Ok(Err(NotLinked::NoParent));
        }
        match std::os::unix::fs::symlink(&target, &link) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if !std::fs::read_link(&link).is_ok_and(|there| there == target) {
                    return Ok(Err(NotLinked::Taken));
                }
            }
            Err(source) => return Err(io(source)),
        }
        let git_dir = linked(dir)?;
        let ignored = self.ignores(dir, &name).await?
            || (self.exclude(dir, &name).await? && self.ignores(dir, &name).await?);
        if !ignored {
            std::fs::remove_file(&link).map_err(io)?;
            return Ok(Err(NotLinked::Committed));
        }
        record(&git_dir, &name).map_err(io)?;
        Ok(Ok(()))
    }

    async fn ignores(&self, dir: &Path, name: &str) -> Result<bool, GitError> {
        // With a point before it, so that a name is a path whatever it begins with.
        let path = Path::new(".").join(name);
        Ok(self.ask(dir, WHAT, &["check-ignore", "--quiet"], &[&path]).await?.code == Some(0))
    }

    /// Excludes a link by name; says whether that could be written.
    async fn exclude(&self, dir: &Path, name: &str) -> Result<bool, GitError> {
        let ask = ["rev-parse", "--path-format=absolute", "--git-path", "info/exclude"];
        let answer = self.tell(dir, WHAT, &ask, &[]).await?;
        let file = answer.out.strip_suffix(b"\n").unwrap_or(&answer.out);
        let file = PathBuf::from(std::ffi::OsStr::from_bytes(file));
        let written = append(&file, &pattern(name), HEADING);
        if let Err(error) = &written {
            tracing::warn!(%error, file = %file.display(), "a link cannot be excluded");
        }
        Ok(written.is_ok())
    }
}

/// The links of a worktree that are still what was made: links, whatever they lead to by now.
pub(crate) fn still_there(dir: &Path, git_dir: &Path) -> Vec<String> {
    let record = std::fs::read_to_string(git_dir.join(RECORD)).unwrap_or_default();
    let links = record.lines().take(LINKS_MAX).filter(|name| dir.join(name).is_symlink());
    links.map(str::to_owned).collect()
}

/// The path in one form, and the directory it means, where both are inside the repository.
fn checked(root: &Path, path: &str) -> Result<(String, PathBuf), NotLinked> {
    let mut plain = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(NotLinked::Outside);
            }
        }
    }
    let git = |part: &std::ffi::OsStr| part.eq_ignore_ascii_case(".git");
    let name = plain.to_str().filter(|name| !name.is_empty() && !name.contains(['\n', '\r', '\0']));
    let Some(name) = name.filter(|_| !plain.iter().any(git)) else {
        return Err(NotLinked::Outside);
    };
    let root = root.canonicalize().map_err(|_| NotLinked::Missing)?;
    let target = root.join(name).canonicalize().map_err(|_| NotLinked::Missing)?;
    if !target.is_dir() {
        return Err(NotLinked::Missing);
    }
    match target.strip_prefix(&root) {
        Ok(inside) if inside != Path::new("") && !inside.iter().any(git) => {
            Ok((name.to_owned(), target))
        }
        _ => Err(NotLinked::Outside),
    }
}

/// Whether the directory a link is to be in is a directory of the worktree, not one it leads to.
fn parent_is_inside(dir: &Path, link: &Path) -> bool {
    let parent = link.parent().and_then(|parent| parent.canonicalize().ok());
    let dir = dir.canonicalize().ok();
    parent.zip(dir).is_some_and(|(parent, dir)| parent.is_dir() && parent.starts_with(dir))
}

/// The line of an exclude file that means this path and no other.
fn pattern(name: &str) -> String {
    let mut pattern = String::from("/");
    for letter in name.chars() {
        if matches!(letter, '*' | '?' | '[' | '\\' | ' ' | '!' | '#') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

fn record(git_dir: &Path, name: &str) -> std::io::Result<()> {
    append(&git_dir.join(RECORD), name, "")
}

/// Appends a line to a file that does not have it yet, below `heading`.
fn append(file: &Path, line: &str, heading: &str) -> std::io::Result<()> {
    let there = match std::fs::read(file) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let has = |line: &str| there.split(|byte| *byte == b'\n').any(|each| each == line.as_bytes());
    if has(line) {
        return Ok(());
    }
    let mut text = String::new();
    if !there.is_empty() && !there.ends_with(b"\n") {
        text.push('\n');
    }
    if !heading.is_empty() && !has(heading) {
        text.extend([heading, "\n"]);
    }
    text.extend([line, "\n"]);
    if let Some(parent) = file.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_inside_the_repository_is_not_linked() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("repo");
        for made in ["repo/.git/x", "repo/a/b", "else"] {
            std::fs::create_dir_all(place.path().join(made)).unwrap();
        }
        std::os::unix::fs::symlink("../else", root.join("out")).unwrap();
        std::os::unix::fs::symlink("a", root.join("in")).unwrap();
        std::os::unix::fs::symlink(".git", root.join("git")).unwrap();
        std::fs::write(root.join("file"), "").unwrap();
        let check = |path: &str, expect: Result<&str, NotLinked>| {
            let found = checked(&root, path).map(|(name, _)| name);
            assert_eq!(found, expect.map(str::to_owned), "{path}");
        };
        check("a", Ok("a"));
        check("./a//b/", Ok("a/b"));
        check("in", Ok("in"));
        for path in ["", ".", "..", "a/../../else", "/etc", "out", ".git", ".GIT/x", "git", "a\nb"]
        {
            check(path, Err(NotLinked::Outside));
        }
        check("gone", Err(NotLinked::Missing));
        check("file", Err(NotLinked::Missing));
    }

    #[test]
    fn a_line_is_appended_once_and_below_what_was_there() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("info/exclude");
        append(&file, "/a", "# h").unwrap();
        std::fs::write(&file, "mine").unwrap();
        for line in ["/a", "/b", "/a"] {
            append(&file, line, "# h").unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine\n# h\n/a\n/b\n");
        assert_eq!(pattern("a b/#c*"), "/a\\ b/\\#c\\*");
    }
}
