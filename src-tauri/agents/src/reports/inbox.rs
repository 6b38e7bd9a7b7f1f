//! An agent's inbox directory: what waits there, and where it goes afterwards.

use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use super::{REPORT_BYTES_MAX, Report, ReportError};

/// A file that changed less long ago may still be written, in milliseconds.
pub const QUIET_MS: i64 = 200;
/// What follows a quarantined file's name where its error stands.
pub const ERROR_SUFFIX: &str = ".error.txt";
/// The most names of one directory that are looked at.
const NAMES_MAX: usize = 10_000;
/// Ends of the names of files that are still written.
const UNFINISHED: &[&str] = &[".tmp", ".part", ".partial", ".swp", ".crdownload", "~"];
/// How many other names are tried for a file whose name is taken.
const NAMES_TRIED_MAX: u32 = 10_000;

/// A file that waits in an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Where it is.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its name and the digest of its content: the same report is never applied twice under it.
    pub key: String,
    /// What it says.
    pub report: Result<Report, ReportError>,
}

/// An inbox that cannot be read, or a file that cannot be put away.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// The directory cannot be read.
    #[error("read the inbox '{}': {source}", path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file cannot be moved.
    #[error("move '{}' to '{}': {source}", path.display(), to.display())]
    Move {
        /// The file.
        path: PathBuf,
        /// The directory it is to be in.
        to: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The oldest files that wait in an inbox, at most `limit`, the oldest first. One that is not there
/// has none. Left out are files that changed in the last moments before `now`, those with names of
/// unfinished or hidden files, links, directories and everything else that is no file.
///
/// # Errors
/// When the directory cannot be read.
pub fn waiting(dir: &Path, limit: usize, now: Timestamp) -> Result<Vec<Waiting>, InboxError> {
    let failed = |source| InboxError::Read { path: dir.to_owned(), source };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(failed(err)),
    };
    let mut found = Vec::new();
    for entry in entries.take(NAMES_MAX) {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if is_unfinished(name.as_bytes()) {
            continue;
        }
        // The entry itself, not what a link leads to. One that is gone by now does not wait.
        let Ok(about) = entry.metadata() else { continue };
        if !about.file_type().is_file() {
            continue;
        }
        let changed = changed_at(&about);
        if is_settled(changed, now) {
            found.push((changed, name, entry.path()));
        }
    }
    found.sort();
    let waiting = found.into_iter().take(limit).filter_map(|(changed, name, path)| {
        let report = read(&path, changed)?;
        let digest = match &report {
            Ok(bytes) => format!("{:x}", HexOf(&Sha256::digest(bytes))),
            Err(_) => "unread".to_owned(),
        };
        let name = name.to_string_lossy().into_owned();
        let key = format!("{name}:{digest}");
        Some(Waiting { path, key, name, report: report.and_then(|bytes| Report::parse(&bytes)) })
    });
    Ok(waiting.collect())
}

struct HexOf<'a>(&'a [u8]);

impl std::fmt::LowerHex for HexOf<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(b".") || UNFINISHED.iter().any(|end| name.ends_with(end.as_bytes()))
}

/// When it changed last, in milliseconds since 1970.
fn changed_at(about: &std::fs::Metadata) -> i64 {
    use std::os::unix::fs::MetadataExt;
    about.mtime().saturating_mul(1000).saturating_add(about.mtime_nsec() / 1_000_000)
}

/// Whether nobody has changed it for a while. One from the future has settled: its clock is wrong,
/// and it must not wait for ever.
fn is_settled(changed: i64, now: Timestamp) -> bool {
    let age = now.as_millisecond().saturating_sub(changed);
    !(-QUIET_MS..QUIET_MS).contains(&age)
}

/// What is in a file; nothing where it changed since it was looked at, or is no file any more.
fn read(path: &Path, changed: i64) -> Option<Result<Vec<u8>, ReportError>> {
    // Neither a link nor a pipe that appeared meanwhile is followed or waited for.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => return None,
        Err(err) => {
            let why = std::io::Error::from(err).to_string();
            return Some(Err(ReportError::Unreadable(why)));
        }
    };
    let before = file.metadata().ok().filter(|about| about.file_type().is_file())?;
    if before.len() > REPORT_BYTES_MAX as u64 {
        return Some(Err(ReportError::TooLarge));
    }
    let mut bytes = Vec::new();
    if let Err(err) = (&file).take(REPORT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes) {
        return Some(Err(ReportError::Unreadable(err.to_string())));
    }
    let after = file.metadata().ok()?;
    let same = after.len() == bytes.len() as u64
        && after.len() == before.len()
        && changed_at(&after) == changed;
    same.then_some(Ok(bytes))
}

/// Moves a report that was applied into `done`, which is made where it is not there; beside one of the
/// same name it gets another. Gives where it is; one that is gone already is nowhere.
///
/// # Errors
/// When it cannot be moved: it stays where it is.
pub fn archive(path: &Path, done: &Path) -> Result<Option<PathBuf>, InboxError> {
    put_away(path, done)
}

/// Moves a file that is no report into `dir`, and writes beside it why.
///
/// # Errors
/// When it cannot be moved, or the reason cannot be written.
pub fn quarantine(
    path: &Path,
    dir: &Path,
    error: &ReportError,
) -> Result<Option<PathBuf>, InboxError> {
    let moved = put_away(path, dir)?;
    if let Some(moved) = &moved {
        let mut name = moved.file_name().unwrap_or_default().to_owned();
        name.push(ERROR_SUFFIX);
        let text = format!(
            "This is no report: {error}.\nNothing of it was applied. Correct it and put it into the inbox again.\n"
        );
        std::fs::write(dir.join(name), text).map_err(|source| InboxError::Move {
            path: path.to_owned(),
            to: dir.to_owned(),
            source,
        })?;
    }
    Ok(moved)
}

fn put_away(path: &Path, dir: &Path) -> Result<Option<PathBuf>, InboxError> {
    let failed = |source| InboxError::Move { path: path.to_owned(), to: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(failed)?;
    let name = path.file_name().unwrap_or_default();
    for n in 0..NAMES_TRIED_MAX {
        let mut free = name.to_owned();
        if n > 0 {
            free.push(format!(".{n}"));
        }
        let to = dir.join(&free);
        let mut beside = free;
        beside.push(ERROR_SUFFIX);
        if to.symlink_metadata().is_ok() || dir.join(beside).symlink_metadata().is_ok() {
            continue;
        }
        return match std::fs::rename(path, &to) {
            Ok(()) => Ok(Some(to)),
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(err) => Err(failed(err)),
        };
    }
    Err(failed(std::io::ErrorKind::AlreadyExists.into()))
}
