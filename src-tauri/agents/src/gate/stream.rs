//! Reads what lies between two commits from git, a bounded piece at a time.
//!
//! The commits are compared, not the directory, and every file is taken for text: what a repository
//! says of its own files (`.gitattributes`) hides nothing from a gate.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::git;
use crate::worktree::GitError;

/// How much is read at a time, in bytes.
pub(super) const PIECE_BYTES_MAX: usize = 64 * 1024;
/// The longest entry of a list, in bytes: a path and what git says of it.
const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// The most files a list may have.
const FILES_MAX: usize = 500_000;
/// The most that is kept of git's complaints, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 16 * 1024;
/// How differences are asked for: nothing of the repository's settings changes the answer.
const DIFF: &[&str] = &[
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--no-renames",
    "--no-relative",
    "--no-indent-heuristic",
    "--submodule=short",
    "--ignore-submodules=none",
];

/// What keeps a gate from looking at what changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    /// Git could not be asked, or refused.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is more than is looked at.
    #[error("{0}: there are more than {FILES_MAX} files")]
    TooMany(&'static str),
    /// A pattern of the gate is none.
    #[error("read the pattern")]
    Pattern(#[from] globset::Error),
    /// The comparison itself was interrupted.
    #[error("compare the lines")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The two commits that are compared, and where.
#[derive(Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) directory: &'a Path,
    pub(super) base: &'a str,
    pub(super) commit: &'a str,
}

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its path in the repository, as git has it.
    pub(super) path: Vec<u8>,
    /// The hash of its content.
    pub(super) blob: String,
    /// Whether it is a plain file: no link, no submodule, and not removed.
    pub(super) plain: bool,
}

impl Entry {
    /// Its path as it is shown.
    pub(super) fn name(&self) -> String {
        shown(&self.path)
    }
}

/// A path as it is shown.
pub(super) fn shown(path: &[u8]) -> String {
    crate::scan::printable(&String::from_utf8_lossy(path))
}

impl Span<'_> {
    /// The files that differ; one that was renamed is there under both names.
    pub(super) async fn changed(&self) -> Result<Vec<Entry>, LookError> {
        let what = "list what changed";
        let args = ["--raw", "-z", "--no-abbrev", "--end-of-options", self.base, self.commit];
        let git = git::command(self.directory, &[DIFF, &args].concat(), &[]);
        let mut running = Running::start(git, what)?;
        let (mut entries, mut about) = (Vec::new(), None::<Vec<u8>>);
        while let Some(field) = running.entry(0).await? {
            match about.take() {
                None => about = Some(field),
                Some(about) => entries.extend(changed_entry(&about, field)),
            }
            if entries.len() > FILES_MAX {
                return Err(LookError::TooMany(what));
            }
        }
        running.end().await?;
        Ok(entries)
    }

    /// All plain files of the later commit.
    pub(super) async fn files(&self) -> Result<Vec<Entry>, LookError> {
        let what = "list the files";
        let args = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", self.commit];
        let mut running = Running::start(git::command(self.directory, &args, &[]), what)?;
        let mut entries = Vec::new();
        while let Some(line) = running.entry(0).await? {
            entries.extend(tree_entry(&line).filter(|entry| entry.plain));
            if entries.len() > FILES_MAX {
                return Err(LookError::TooMany(what));
            }
        }
        running.end().await?;
        Ok(entries)
    }

    /// Hands over the patch, without context, in pieces no longer than [`PIECE_BYTES_MAX`], none of
    /// them with more than one line; a line that ends has its end.
    pub(super) async fn patch(
        &self,
        take: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<(), LookError> {
        let args = [
            "--patch",
            "--text",
            "--unified=0",
            "--inter-hunk-context=0",
            "--diff-filter=d",
            "--src-prefix=a/",
            "--dst-prefix=b/",
            "--end-of-options",
            self.base,
            self.commit,
        ];
        let git = git::command(self.directory, &[DIFF, &args].concat(), &[]);
        let mut running = Running::start(git, "read what changed")?;
        running.lines(take).await?;
        Ok(running.end().await?)
    }

    /// Hands over the content of files, piece by piece; a piece of no length ends each.
    pub(super) async fn contents(
        &self,
        entries: &[Entry],
        take: &mut (dyn FnMut(usize, &[u8]) + Send),
    ) -> Result<(), LookError> {
        let what = "read the files";
        let mut git = git::command(self.directory, &["cat-file", "--batch", "--buffer"], &[]);
        git.stdin(Stdio::piped());
        let mut running = Running::start(git, what)?;
        let stdin = running.child.stdin.take();
        let asked = async {
            let Some(mut stdin) = stdin else {
                return Ok(());
            };
            let mut list = String::new();
            for (n, entry) in entries.iter().enumerate() {
                list.push_str(&entry.blob);
                list.push('\n');
                if list.len() > PIECE_BYTES_MAX / 2 || n + 1 == entries.len() {
                    let written = stdin.write_all(list.as_bytes()).await;
                    written.map_err(|source| GitError::Io { what, source })?;
                    list.clear();
                }
            }
            Ok::<(), GitError>(())
        };
        let read = async {
            for index in 0..entries.len() {
                running.content(&mut |piece| take(index, piece)).await?;
            }
            Ok(())
        };
        tokio::try_join!(asked, read)?;
        Ok(running.end().await?)
    }
}

/// Reads `:100644 100644 <hash> <hash> M`.
fn changed_entry(about: &[u8], path: Vec<u8>) -> Option<Entry> {
    let about = std::str::from_utf8(about).ok()?.strip_prefix(':')?;
    let mut words = about.split(' ');
    let (_, mode) = (words.next()?, words.next()?);
    let (_, blob) = (words.next()?, words.next()?);
    Some(Entry { path, blob: blob.to_owned(), plain: is_plain(mode) })
}

/// Reads `100644 blob <hash>\t<path>`.
fn tree_entry(line: &[u8]) -> Option<Entry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&line[..tab]).ok()?.split(' ');
    let (mode, _, blob) = (words.next()?, words.next()?, words.next()?);
    Some(Entry { path: line[tab + 1..].to_vec(), blob: blob.to_owned(), plain: is_plain(mode) })
}

fn is_plain(mode: &str) -> bool {
    mode.starts_with("100")
}

/// A git that is being read. It ends when this is dropped.
struct Running {
    what: &'static str,
    child: Child,
    out: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    /// Reads what it complains about, so that it never waits for that.
    said: JoinSet<Vec<u8>>,
}

impl Running {
    fn start(mut git: Command, what: &'static str) -> Result<Self, GitError> {
        let failed = |source: std::io::Error| GitError::Io { what, source };
        let there = git.as_std().get_current_dir().is_none_or(Path::is_dir);
        let mut child = git.spawn().map_err(|source| match source.kind() {
            ErrorKind::NotFound if there => GitError::NoGit(source),
            _ => failed(source),
        })?;
        let none = || failed(std::io::Error::other("git has no output"));
        let out: Box<dyn AsyncRead + Send + Unpin> =
            Box::new(child.stdout.take().ok_or_else(none)?);
        let complaints = child.stderr.take().ok_or_else(none)?;
        let mut said = JoinSet::new();
        said.spawn(async move {
            let (mut said, mut complaints) = (Vec::new(), complaints);
            // What it says only matters where it fails, and what cannot be read is not said.
            let _ = (&mut complaints).take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await;
            let _ = tokio::io::copy(&mut complaints, &mut tokio::io::sink()).await;
            said
        });
        let out = BufReader::with_capacity(PIECE_BYTES_MAX, out);
        Ok(Self { what, child, out, said })
    }

    fn failed(&self, source: std::io::Error) -> GitError {
        GitError::Io { what: self.what, source }
    }

    /// Waits for its end; what it refused is an error.
    async fn end(mut self) -> Result<(), GitError> {
        let status = self.child.wait().await.map_err(|source| self.failed(source))?;
        if status.success() {
            return Ok(());
        }
        let said = self.said.join_next().await.and_then(Result::ok).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        Err(GitError::Refused { what: self.what, said: format!("{said} ({status})") })
    }

    /// The next entry of a list, without the byte that ends it.
    async fn entry(&mut self, end: u8) -> Result<Option<Vec<u8>>, GitError> {
        let mut entry = Vec::new();
        let mut limited = (&mut self.out).take(ENTRY_BYTES_MAX as u64);
        let read = limited.read_until(end, &mut entry).await;
        read.map_err(|source| self.failed(source))?;
        if entry.is_empty() {
            return Ok(None);
        }
        if entry.pop() != Some(end) {
            return Err(self.failed(std::io::Error::other("git's answer is cut off")));
        }
        Ok(Some(entry))
    }

    /// Hands over everything in pieces with at most one line each.
    async fn lines(&mut self, take: &mut (dyn FnMut(&[u8]) + Send)) -> Result<(), GitError> {
        loop {
            let piece = self.out.fill_buf().await;
            let piece = piece.map_err(|source| GitError::Io { what: self.what, source })?;
            if piece.is_empty() {
                return Ok(());
            }
            piece.split_inclusive(|byte| *byte == b'\n').for_each(&mut *take);
            let used = piece.len();
            self.out.consume(used);
        }
    }

    /// Hands over one object of `cat-file --batch`.
    async fn content(&mut self, take: &mut (dyn FnMut(&[u8]) + Send)) -> Result<(), GitError> {
        let head = self.entry(b'\n').await?.unwrap_or_default();
        let head = String::from_utf8_lossy(&head).into_owned();
        let size = head.split(' ').nth(2).and_then(|size| size.parse::<usize>().ok());
        let Some(mut left) = size else {
            return Err(GitError::Refused { what: self.what, said: head });
        };
        while left > 0 {
            let piece = self.out.fill_buf().await;
            let piece = piece.map_err(|source| GitError::Io { what: self.what, source })?;
            if piece.is_empty() {
                return Err(self.failed(ErrorKind::UnexpectedEof.into()));
            }
            let piece = &piece[..piece.len().min(left)];
            take(piece);
            let used = piece.len();
            left -= used;
            self.out.consume(used);
        }
        take(&[]);
        self.entry(b'\n').await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_lists_is_read_and_anything_else_is_left_out() {
        let (old, new) = ("1".repeat(40), "2".repeat(40));
        let about = format!(":100644 100755 {old} {new} M");
        let entry = changed_entry(about.as_bytes(), b"a b".to_vec()).unwrap();
        assert_eq!(entry, Entry { path: b"a b".to_vec(), blob: new.clone(), plain: true });
        let link = format!(":000000 120000 {old} {new} A");
        assert!(!changed_entry(link.as_bytes(), b"l".to_vec()).unwrap().plain);
        assert_eq!(changed_entry(b"100644 x", b"l".to_vec()), None);
        let line = format!("100644 blob {new}\ta\tb\n");
        assert_eq!(tree_entry(line.as_bytes()).unwrap().path, b"a\tb\n");
        assert_eq!(tree_entry(b"\xff\tx"), None);
    }
}
