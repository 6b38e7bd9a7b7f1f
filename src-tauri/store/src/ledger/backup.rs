//! Backups: a copy of the ledger as it is at one moment, verified before it counts as one; and putting
//! one back in its place.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Timestamp;
use model::clock::SharedClock;
use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::Ledger;
use super::error::{OpenError, ReadError, RowError};
use super::head::HeadFile;
use super::open::{self, Files, Settings, options};
use super::table::{events, logins, tokens};
use super::verify::{self, Finding};
use crate::datadir::DataDir;

/// Where a ledger lies while it is copied or put back, in the directory it goes to.
const MAKING: &str = "making";
/// Where what was replaced is kept, in the data directory.
const ASIDE: &str = "set-aside";
/// What belongs to a ledger besides its file.
const SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];
/// How long a copy waits for the file, which a checkpoint may hold.
const BUSY: Duration = Duration::from_secs(30);
/// The longest label of a backup that is read, in bytes.
const LABEL_BYTES_MAX: u64 = 64 * 1024;
/// The most tokens, and the most logins, that are compared.
const KEYS_MAX: usize = 2_000;

/// A copy that was made and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Its size, in bytes.
    pub bytes: u64,
    /// How many events it holds.
    pub events: u64,
    /// The hash of the last one, as 64 hexadecimal digits.
    pub head: String,
}

/// A ledger that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// How many events it holds.
    pub events: u64,
    /// The hash of the last one, as 64 hexadecimal digits.
    pub head: String,
    /// Where the ledger is kept that was there before; nothing where there was none.
    pub aside: Option<PathBuf>,
    /// Keys that are good again: the ledger that was there before did not accept them any more.
    pub revived: Vec<Revived>,
}

/// A key that a ledger which was put back accepts, and the one before it did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revived {
    /// What it is.
    pub kind: RevivedKind,
    /// Its id, by which it is revoked or ended.
    pub id: String,
    /// The name of a token, or what a browser calls itself.
    pub name: String,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RevivedKind {
    /// An access token.
    Token,
    /// The login of a browser.
    Login,
}

/// What stands beside a backup, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Label {
    events: u64,
    head: String,
}

/// A backup could not be made or put back. The ledger is as it was, unless it says where it is.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be used.
    #[error("{operation} {}; the ledger is as it was", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite failed.
    #[error("copy the ledger to {}; the ledger is as it was: free disk space and try again", path.display())]
    Copy {
        /// Where the copy was to go.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The copy cannot be opened.
    #[error("open the copy of {}; the ledger is as it was", path.display())]
    Open {
        /// What was copied.
        path: PathBuf,
        /// Why.
        source: Box<OpenError>,
    },
    /// The copy cannot be checked.
    #[error("check the copy of {}; the ledger is as it was", path.display())]
    Check {
        /// What was copied.
        path: PathBuf,
        /// Why.
        source: Box<ReadError>,
    },
    /// It is damaged.
    #[error("trust {}: {}; the ledger is as it was", path.display(), first(findings))]
    Unsound {
        /// What was checked.
        path: PathBuf,
        /// What is wrong with it.
        findings: Vec<Finding>,
    },
    /// The ledger was moved aside, and could not be moved back.
    #[error(
        "put the ledger back where it was; its files are in {}: move them into the data directory",
        aside.display()
    )]
    Aside {
        /// Where it is.
        aside: PathBuf,
        /// Why the backup could not take its place.
        source: Box<BackupError>,
    },
}

fn first(findings: &[Finding]) -> String {
    let more = findings.len().saturating_sub(1);
    let first = findings.first().map(ToString::to_string).unwrap_or_default();
    if more > 0 { format!("{first}, and {more} more") } else { first }
}

fn file_error<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> BackupError + 'a {
    move |source| BackupError::File { operation, path: path.to_owned(), source }
}

/// A directory that is gone with its drop.
struct Making(PathBuf);

impl Making {
    fn new(within: &Path) -> Result<Self, BackupError> {
        let path = within.join(MAKING);
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error("remove", &path)(error));
            }
            _ => {}
        }
        create_private(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "what was half made was not removed");
        }
    }
}

fn create_private(path: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(file_error("create", path))
}

/// An empty file for its owner alone, for what is written into it later.
fn private_file(path: &Path) -> Result<(), BackupError> {
    let mut new = File::options();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    new.open(path).map(drop).map_err(file_error("create", path))
}

impl Ledger {
    /// Copies the ledger as it is at this moment to `to`, which must not exist, and verifies the copy:
    /// every link, and every row against the events. Work goes on meanwhile.
    ///
    /// # Errors
    /// When the copy cannot be made or is not sound; there is no file then.
    pub async fn back_up(&self, to: &Path) -> Result<Backup, BackupError> {
        let _alone = self.0.verifying.lock().await;
        let folder = to.parent().unwrap_or(to);
        create_private(folder)?;
        let making = Making::new(folder)?;
        let copy = Files::within(&making.0);
        self.copy(&copy).await?;
        let events = stated(&copy).await?;
        let found = checked(&copy, to).await?;
        if found.events != events {
            let why = format!("{} events were copied, and {events} were there", found.events);
            let findings = vec![Finding::Head { why }];
            return Err(BackupError::Unsound { path: to.to_owned(), findings });
        }
        if to.exists() {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(file_error("write", to)(taken));
        }
        put(&copy.db, to)?;
        let bytes = fs::metadata(to).map_err(file_error("read", to))?.len();
        Ok(Backup { bytes, ..found })
    }

    /// Where a copy grows while it is made, beside the place it goes to.
    #[must_use]
    pub fn growing_backup(to: &Path) -> PathBuf {
        Files::within(&to.parent().unwrap_or(to).join(MAKING)).db
    }

    async fn copy(&self, copy: &Files) -> Result<(), BackupError> {
        let failed = |source| BackupError::Copy { path: copy.db.clone(), source };
        private_file(&copy.db)?;
        let mut conn = options(&self.0.files.db, &self.0.settings)
            .busy_timeout(BUSY)
            .connect()
            .await
            .map_err(failed)?;
        // SQLite writes into an empty file as into none.
        let made = sqlx::query("VACUUM INTO ?")
            .bind(copy.db.to_string_lossy().into_owned())
            .execute(&mut conn)
            .await
            .map_err(failed);
        let closed = conn.close().await.map_err(failed);
        made.map(drop).and(closed)
    }
}

/// States the end of a copy beside it, as a ledger has it; gives how many events that are.
async fn stated(copy: &Files) -> Result<u64, BackupError> {
    let failed = |source| BackupError::Copy { path: copy.db.clone(), source };
    let mut conn = options(&copy.db, &Settings::default()).connect().await.map_err(failed)?;
    let tail = events::tail(&mut conn).await;
    conn.close().await.map_err(failed)?;
    let tail = tail.map_err(|error| failed(sql(error)))?;
    HeadFile::open(&copy.head, &tail).map_err(file_error("write", &copy.head))?;
    Ok(tail.seq)
}

/// Verifies a copy of `what`.
async fn checked(copy: &Files, what: &Path) -> Result<Backup, BackupError> {
    let found = verify::verify(copy, &Settings::default()).await;
    let found = found.map_err(|source| {
        let source = Box::new(source);
        BackupError::Check { path: what.to_owned(), source }
    })?;
    if !found.is_sound() {
        return Err(BackupError::Unsound { path: what.to_owned(), findings: found.findings });
    }
    Ok(Backup { bytes: 0, events: found.events, head: found.head })
}

/// Moves a file to its place so that it is there after a power cut.
fn put(from: &Path, to: &Path) -> Result<(), BackupError> {
    File::open(from)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(from, to))
        .and_then(|()| sync_folder(to))
        .map_err(file_error("write", to))
}

fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Puts a backup in the place of the ledger of a data directory that no engine holds: it is copied with
/// what belongs to it, brought up to date, and verified, and only then takes the ledger's place. What was
/// there before is kept beside it.
///
/// # Errors
/// When the file is no ledger, is newer than this program, is not sound, or does not end as its label or
/// the head file beside it says; everything is as it was then.
pub async fn restore(
    dir: &DataDir,
    file: &Path,
    clock: &SharedClock,
) -> Result<Restored, BackupError> {
    let making = Making::new(dir.root())?;
    let copy = Files::within(&making.0);
    take(file, &copy)?;
    let opened = open::open(&copy, &Settings::default(), clock).await;
    let mut opened = opened.map_err(|source| {
        let source = Box::new(source);
        BackupError::Open { path: file.to_owned(), source }
    })?;
    let failed = |source| BackupError::Copy { path: copy.db.clone(), source };
    let now = clock.now();
    let good = keys(&mut opened.conn, now).await;
    opened.conn.close().await.map_err(failed)?;
    let mut revived = good.map_err(|error| failed(sql(error)))?;
    let found = checked(&copy, file).await?;
    as_labelled(file, &found)?;
    if fs::metadata(&copy.wal).is_ok_and(|wal| wal.len() > 0) {
        let apart = io::Error::other("its newest events are still in its write-ahead log");
        return Err(file_error("read", &copy.db)(apart));
    }
    let before = keys_of(&Files::within(dir.root()).db, now).await;
    revived.retain(|key| !before.contains(key));
    let stamp = now.strftime("%Y%m%dT%H%M%S%fZ").to_string();
    let aside = swap(dir.root(), &copy, &stamp)?;
    Ok(Restored { events: found.events, head: found.head, aside, revived })
}

fn copy_private(from: &Path, to: &Path) -> Result<(), BackupError> {
    private_file(to)?;
    File::open(from)
        .and_then(|mut from| io::copy(&mut from, &mut File::options().write(true).open(to)?))
        .map(drop)
        .map_err(file_error("read", from))
}

/// Copies a ledger with its write-ahead log, in which its newest events may be, and with what states its
/// end.
fn take(file: &Path, copy: &Files) -> Result<(), BackupError> {
    copy_private(file, &copy.db)?;
    let mut wal = file.as_os_str().to_owned();
    wal.push("-wal");
    let wal = PathBuf::from(wal);
    if wal.is_file() {
        copy_private(&wal, &copy.wal)?;
    }
    // Beside a file by another name, it is that of another ledger.
    let own = copy.db.file_name() == file.file_name();
    let head = copy.head.file_name().map(|name| file.with_file_name(name));
    match head.filter(|head| own && head.is_file()) {
        Some(head) => copy_private(&head, &copy.head),
        None => Ok(()),
    }
}

/// Compares a copy with the label of the backup, where it has one.
fn as_labelled(file: &Path, found: &Backup) -> Result<(), BackupError> {
    let path = file.with_extension("json");
    let mut text = String::new();
    let read = File::open(&path)
        .and_then(|label| label.take(LABEL_BYTES_MAX).read_to_string(&mut text).map(drop));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(file_error("read", &path))?,
    }
    let Ok(label) = serde_json::from_str::<Label>(&text) else {
        tracing::warn!(path = %path.display(), "what stands beside the backup is no label of one");
        return Ok(());
    };
    if (label.events, &label.head) == (found.events, &found.head) {
        return Ok(());
    }
    let why = format!(
        "its label says that it holds {} events and ends with {}; it holds {} and ends with {}",
        label.events, label.head, found.events, found.head
    );
    Err(BackupError::Unsound { path: file.to_owned(), findings: vec![Finding::Head { why }] })
}

fn sql(error: RowError) -> sqlx::Error {
    match error {
        RowError::Sql(source) => source,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

/// The keys that a ledger accepts.
async fn keys(conn: &mut SqliteConnection, now: Timestamp) -> Result<Vec<Revived>, RowError> {
    let tokens = tokens::list(conn, false, KEYS_MAX).await?.into_iter();
    let tokens = tokens.map(|kept| kept.token).filter(|token| token.is_valid(now));
    let logins = logins::list(conn, now, false, KEYS_MAX).await?.into_iter();
    let tokens = tokens.map(|token| Revived {
        kind: RevivedKind::Token,
        id: token.id.to_string(),
        name: token.name,
    });
    let logins = logins.map(|kept| Revived {
        kind: RevivedKind::Login,
        id: kept.login.id.to_string(),
        name: kept.login.agent,
    });
    Ok(tokens.chain(logins).collect())
}

/// The keys that the ledger accepts which is about to be replaced; none where it is not there, or cannot
/// be read: better to name one too many.
async fn keys_of(db: &Path, now: Timestamp) -> Vec<Revived> {
    if !db.exists() {
        return Vec::new();
    }
    let read = async || -> Result<Vec<Revived>, RowError> {
        let mut conn = options(db, &Settings::default()).read_only(true).connect().await?;
        let found = keys(&mut conn, now).await;
        conn.close().await?;
        found
    };
    read().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "which keys the ledger before accepted cannot be found out");
        Vec::new()
    })
}

/// Puts a copy in the place of the ledger. At each step in between, the head file beside it says that
/// something is missing, so that nobody takes it for whole, or for a new workspace. Where a step fails,
/// those before it are undone.
fn swap(root: &Path, copy: &Files, stamp: &str) -> Result<Option<PathBuf>, BackupError> {
    let live = Files::within(root);
    let aside = root.join(ASIDE).join(format!("ledger-{stamp}"));
    let was_there = live.db.exists() || live.head.exists();
    let mut moved = Vec::new();
    let kept = if was_there { set_aside(root, &aside, &mut moved) } else { Ok(()) };
    let done =
        kept.and_then(|()| put(&copy.db, &live.db)).and_then(|()| put(&copy.head, &live.head));
    let Err(error) = done else {
        return Ok(was_there.then_some(aside));
    };
    match undo(&live, copy, &aside, &moved) {
        Ok(()) => Err(error),
        Err(problem) => {
            tracing::warn!(%problem, "the ledger was not moved back");
            Err(BackupError::Aside { aside, source: Box::new(error) })
        }
    }
}

/// Moves the ledger aside, but for its head file, of which there is a copy then; notes each file.
fn set_aside(
    root: &Path,
    aside: &Path,
    moved: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<(), BackupError> {
    let live = Files::within(root);
    create_private(aside)?;
    if live.head.exists() {
        let kept = Files::within(aside).head;
        fs::copy(&live.head, &kept).map_err(file_error("copy", &live.head))?;
    }
    for suffix in [""].iter().chain(&SUFFIXES) {
        let from = root.join(format!("ledger.db{suffix}"));
        if from.exists() {
            let to = aside.join(format!("ledger.db{suffix}"));
            fs::rename(&from, &to).map_err(file_error("move", &from))?;
            moved.push((from, to));
        }
    }
    sync_folder(&live.db).map_err(file_error("sync", root))
}

/// Makes the ledger what it was before a copy began to take its place.
fn undo(live: &Files, copy: &Files, aside: &Path, moved: &[(PathBuf, PathBuf)]) -> io::Result<()> {
    let gone = |path: &Path| match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    // Of the copy, what is not there any more has taken its place.
    if !copy.db.exists() {
        gone(&live.db)?;
    }
    for (from, to) in moved.iter().rev() {
        fs::rename(to, from)?;
    }
    let kept = Files::within(aside).head;
    if kept.exists() {
        fs::copy(&kept, &live.head)?;
        File::open(&live.head)?.sync_all()?;
    } else if !copy.head.exists() {
        gone(&live.head)?;
    }
    sync_folder(&live.db)?;
    if aside.exists() {
        gone(&kept)?;
        fs::remove_dir(aside)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_copy_that_cannot_take_the_place_of_the_ledger_leaves_it_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let live = Files::within(root);
        let copy = Files::within(&root.join(MAKING));
        for there in [false, true] {
            if there {
                written(&live.db, "db");
                written(&live.wal, "wal");
                written(&live.head, "head");
            }
            // Its head file is missing: the last step fails.
            written(&copy.db, "copy");
            let refused = swap(root, &copy, "now").unwrap_err();
            assert!(refused.to_string().contains("as it was"), "{refused}");
            let read = |path: &Path| fs::read_to_string(path).ok();
            let expected = |text: &str| there.then(|| text.to_owned());
            assert_eq!(read(&live.db), expected("db"));
            assert_eq!(read(&live.wal), expected("wal"));
            assert_eq!(read(&live.head), expected("head"));
            assert!(!root.join(ASIDE).join("ledger-now").exists());
        }
    }
}
