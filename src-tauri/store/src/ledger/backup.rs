//! Backups: a copy of the ledger as it is at one moment, verified before it counts as one; and putting
//! one back in its place.

mod put_back;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use sqlx::{ConnectOptions, Connection};

use super::Ledger;
use super::error::{CommitError, OpenError, ReadError, RowError};
use super::head::HeadFile;
use super::open::{Files, Settings, options};
use super::table::events;
use super::verify::{self, Finding};

pub use put_back::restore;

/// Where a ledger lies while it is copied or put back, in the directory it goes to.
const MAKING: &str = "making";
/// How long a copy waits for the file, which a checkpoint may hold.
const BUSY: Duration = Duration::from_secs(30);

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
    /// Keys that the backup accepts and the ledger that was there before did not.
    pub revived: Vec<Revived>,
    /// Whether these were ended as it was put back, so that they open nothing; they do where not.
    pub revived_ended: bool,
}

/// What becomes of keys that a backup accepts and the ledger that is there does not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revival {
    /// They are ended, and the log says so.
    End,
    /// They are good again.
    Keep,
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
    /// The keys it would make good again cannot be ended.
    #[error("end the keys that the copy of {} would make good again; the ledger is as it was", path.display())]
    Keys {
        /// What was copied.
        path: PathBuf,
        /// Why.
        source: Box<CommitError>,
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

fn sql(error: RowError) -> sqlx::Error {
    match error {
        RowError::Sql(source) => source,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}
