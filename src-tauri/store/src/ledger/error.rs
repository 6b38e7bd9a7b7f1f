//! What can go wrong with the ledger, told so that a person knows what was kept and what to do.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why a database could not be opened. The file is left as it was found.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The SQLite inside this program has the WAL-reset race.
    #[error(
        "open the ledger with SQLite {found}: 3.51.3 or newer is needed; install a current build"
    )]
    SqliteTooOld {
        /// The version in use.
        found: String,
    },
    /// The file belongs to another program.
    #[error(
        "open {}: it is not a Hivekeeper ledger ({why}); nothing was changed: move that file away, or choose another directory with --data-dir",
        path.display()
    )]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What says so.
        why: String,
    },
    /// The stored history is damaged.
    #[error(
        "open {}: it is damaged ({what}); nothing was changed: keep a copy of its directory, then put back ledger.db from the newest backup that opens and remove ledger.head, ledger.db-wal and ledger.db-shm, or start empty with another --data-dir",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A newer Hivekeeper wrote it.
    #[error(
        "open {}: it was written by a newer Hivekeeper (schema {found}, this one knows {known}); nothing was changed: install the newer version",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema it has.
        found: i64,
        /// The newest schema known here.
        known: i64,
    },
    /// The copy that is made before a migration failed.
    #[error("back up the ledger to {} before its migration; the ledger was not changed: free disk space and start again", path.display())]
    Backup {
        /// Where the copy was to go.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The schema could not be brought up to date.
    #[error("bring {} up to date; what was done is undone, and a copy from before is in the directory 'backups'", path.display())]
    Migrate {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Box<sqlx::migrate::MigrateError>,
    },
    /// SQLite could not open or read it.
    #[error("open {}; nothing was changed: check the disk and the rights of this user", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The file system refused.
    #[error("{operation} {}; nothing was changed: check the disk and the rights of this user", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It took longer than a reader may hold the database.
    #[error("{operation} within {seconds} s; ask for less, or again when the machine is less busy")]
    Deadline {
        /// What was attempted.
        operation: &'static str,
        /// How long a reader may take, in seconds.
        seconds: f64,
    },
    /// The cursor is not one that was handed out.
    #[error("continue at '{cursor}', which is no cursor of this list; start from its beginning")]
    BadCursor {
        /// What was given.
        cursor: String,
    },
    /// A stored value makes no sense.
    #[error("{operation}: the stored {column} cannot be read; run `hivekeeper verify`")]
    Unreadable {
        /// What was attempted.
        operation: &'static str,
        /// Where the value stands.
        column: &'static str,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// SQLite failed.
    #[error("{operation}{}", DiskTrouble::after(source))]
    Storage {
        /// What was attempted.
        operation: &'static str,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The ledger is closed.
    #[error("{operation}: the ledger is closed")]
    Closed {
        /// What was attempted.
        operation: &'static str,
    },
    /// A scratch file of the verification could not be made or removed.
    #[error("{operation} {}", path.display())]
    File {
        /// What was attempted.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why a change was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// It does not fit what is stored; nothing of it was written.
    #[error("write {what}: {reason}; nothing was written")]
    Conflict {
        /// The part that does not fit, as a word (an event's kind, `outbox`, `cursor`).
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The idempotency key was used for another request within the last day.
    #[error(
        "use an idempotency key again for a different request; nothing was written: choose a fresh key"
    )]
    KeyReused,
    /// It has more events than one change may.
    #[error("write {events} events at once, where {max} are allowed; nothing was written")]
    TooLarge {
        /// How many it has.
        events: usize,
        /// How many are allowed.
        max: usize,
    },
    /// The queue was full for five seconds; nothing was written.
    #[error("write to the ledger: its queue is full; nothing was written: try again in a moment")]
    Busy,
    /// The ledger is closed.
    #[error("write to the ledger: it is closed")]
    Closed,
    /// The disk failed; whether the change was kept is not certain.
    #[error(
        "{operation}{}; whether the change was kept is not certain: send it again under the same idempotency key",
        DiskTrouble::after(&**source)
    )]
    Storage {
        /// What was attempted.
        operation: &'static str,
        /// What SQLite or the operating system said.
        source: Arc<dyn Error + Send + Sync>,
    },
}

impl CommitError {
    /// Whether the disk that holds the ledger is full.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Storage { source, .. } = self else {
            return false;
        };
        DiskTrouble::of(&**source) == Some(DiskTrouble::Full)
    }
}

/// A failure that is the disk's, not the ledger's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DiskTrouble {
    Full,
    Failing,
}

impl DiskTrouble {
    /// Looks for it in an error and what caused that.
    fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<sqlx::Error>() {
                match sqlite_code(error) {
                    Some(CODE_FULL) => return Some(Self::Full),
                    Some(CODE_IO) => return Some(Self::Failing),
                    _ => {}
                }
            }
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if let Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) = kind {
                return Some(Self::Full);
            }
            next = error.source();
        }
        None
    }

    /// What follows the operation in a text.
    fn after(error: &(dyn Error + 'static)) -> &'static str {
        match Self::of(error) {
            Some(Self::Full) => ": the disk is full",
            Some(Self::Failing) => ": the disk cannot be read or written",
            None => "",
        }
    }
}

/// What goes wrong between a table and a row; callers turn it into one of the errors above.
#[derive(Debug)]
pub(crate) enum RowError {
    /// The row does not fit what is stored.
    Conflict {
        /// The part that does not fit.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// SQLite failed.
    Sql(sqlx::Error),
    /// A stored value makes no sense.
    Unreadable {
        /// Where it stands.
        column: &'static str,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl RowError {
    /// A row that does not fit what is stored.
    pub(crate) fn conflict(what: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Conflict { what, reason }
    }

    /// A stored value that makes no sense.
    pub(crate) fn unreadable(
        column: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self::Unreadable { column, source }
    }

    /// Says which part of a change broke a constraint of the schema.
    pub(crate) fn of(self, what: &'static str) -> Self {
        match self {
            Self::Sql(sqlx::Error::Database(error)) if breaks_constraint(error.as_ref()) => {
                Self::conflict(what, format!("it contradicts what is stored ({error})"))
            }
            other => other,
        }
    }
}

fn breaks_constraint(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.is_unique_violation() || error.is_foreign_key_violation() || error.is_check_violation()
}

impl From<sqlx::Error> for RowError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::ColumnDecode { source, .. } => Self::unreadable("column", source),
            other => Self::Sql(other),
        }
    }
}

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Conflict { what, reason } => write!(f, "{what}: {reason}"),
            Self::Sql(error) => error.fmt(f),
            Self::Unreadable { column, source } => write!(f, "{column}: {source}"),
        }
    }
}

/// The primary SQLite result code of an error, where it has one.
pub(crate) fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}

/// `SQLITE_CORRUPT`: the file contradicts itself.
pub(crate) const CODE_CORRUPT: i32 = 11;
/// `SQLITE_INTERRUPT`: the deadline of a reader.
pub(crate) const CODE_INTERRUPT: i32 = 9;
/// `SQLITE_IOERR`: the operating system could not read or write.
const CODE_IO: i32 = 10;
/// `SQLITE_FULL`: there is no room for another page.
const CODE_FULL: i32 = 13;
/// `SQLITE_NOTADB`: the file is no database.
pub(crate) const CODE_NOT_A_DATABASE: i32 = 26;
