//! Opening transcripts.db: checked, brought up to date, and set aside when it is damaged.

use std::fs;
use std::path::Path;
use std::time::Duration;

use model::clock::Clock;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::{OpenError, tables};
use crate::datadir::private_file;
use crate::spare;

/// "HKtr": tells our file from any other SQLite database.
const APPLICATION_ID: i64 = 0x484B_7472;
const READERS: u32 = 3;
/// How long a statement waits for a lock; nobody but a person with a shell takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Up to this size every page is looked at after a crash.
const CHECKED_BYTES_MAX: u64 = 64 << 20;
/// Revisions of a fresh file begin after those of any file before it: this many for each
/// millisecond since 1970, which is more than can be written.
const REVISIONS_PER_MS: i64 = 1_000;
/// Beside the file, it says that the file was found to be damaged while it was in use.
const SUSPECT: &str = ".suspect";

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/transcripts");

/// An open file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    /// How the writer was opened.
    pub(super) writing: SqliteConnectOptions,
    pub(super) readers: SqlitePool,
    /// The revision of the next change.
    pub(super) revision: i64,
}

/// Why a file was not opened.
#[derive(Debug)]
enum Trouble {
    /// It is not (any longer) a file this program can read.
    Damaged(String),
    Refused(OpenError),
}

impl Trouble {
    fn of(path: &Path, source: sqlx::Error) -> Self {
        if spare::is_damage(&source) {
            Self::Damaged(source.to_string())
        } else {
            Self::Refused(OpenError::Storage { path: path.to_owned(), source })
        }
    }
}

/// Remembers that the file turned out to be damaged, for the next start.
pub(super) fn suspect(path: &Path) {
    let mark = spare::with_suffix(path, SUSPECT);
    if let Err(error) = private_file(&mark) {
        tracing::warn!(%error, path = %mark.display(), "damage could not be noted for the next start");
    }
}

/// Opens the file, or a fresh one in its place when it is damaged.
pub(super) async fn open(path: &Path, clock: &dyn Clock) -> Result<Opened, OpenError> {
    let now_ms = clock.now().as_millisecond();
    let mark = spare::with_suffix(path, SUSPECT);
    let first = if mark.exists() {
        Err(Trouble::Damaged("damage was found while it was in use".to_owned()))
    } else {
        attempt(path, now_ms).await
    };
    let reason = match first {
        Ok(opened) => return Ok(opened),
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(reason)) => reason,
    };
    let unmovable = |source| OpenError::SetAside { path: path.to_owned(), source };
    let aside = spare::set_aside(path, now_ms).map_err(unmovable)?;
    match fs::remove_file(&mark) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unmovable(error)),
        _ => {}
    }
    tracing::warn!(
        reason,
        kept = %aside.display(),
        "the transcripts were damaged and set aside; conversations of the past are in there, new ones begin in a fresh file"
    );
    attempt(path, now_ms).await.map_err(|trouble| match trouble {
        Trouble::Refused(error) => error,
        Trouble::Damaged(reason) => OpenError::Unusable { path: path.to_owned(), reason },
    })
}

async fn attempt(path: &Path, now_ms: i64) -> Result<Opened, Trouble> {
    private_file(path)
        .map_err(|source| Trouble::Refused(OpenError::Create { path: path.to_owned(), source }))?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", crate::ledger::CACHE_SIZE)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging();
    let writing = connect
        .clone()
        .page_size(8192)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("cache_size", "-4096")
        .pragma("journal_size_limit", "16777216");
    let trouble = |source| Trouble::of(path, source);
    let mut writer = writing.connect().await.map_err(trouble)?;
    match load(&mut writer, path, now_ms).await {
        Ok(revision) => {
            let readers = SqlitePoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .test_before_acquire(false)
                .connect_lazy_with(connect.read_only(true));
            Ok(Opened { writer, writing, readers, revision })
        }
        Err(trouble) => {
            // Closed before it may be renamed; what closing says adds nothing.
            let _ = writer.close().await;
            Err(trouble)
        }
    }
}

/// Gives the revision of the next change.
async fn load(conn: &mut SqliteConnection, path: &Path, now_ms: i64) -> Result<i64, Trouble> {
    let trouble = |source| Trouble::of(path, source);
    if let Some(found) = spare::too_old(conn).await.map_err(trouble)? {
        return Err(Trouble::Refused(OpenError::SqliteTooOld { found }));
    }
    spare::claim(conn, APPLICATION_ID).await.map_err(trouble)?.map_err(|id| {
        Trouble::Damaged(format!("application id {id:#x} is not that of transcripts"))
    })?;
    MIGRATOR.run(&mut *conn).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            Trouble::of(path, source)
        }
        // Written by another release of the program: kept aside, as it can be told again.
        other => Trouble::Damaged(other.to_string()),
    })?;
    let clean = tables::mark(conn, tables::CLOSED_CLEANLY).await.map_err(trouble)?;
    let small = fs::metadata(path).is_ok_and(|meta| meta.len() <= CHECKED_BYTES_MAX);
    if clean != Some(1) && small {
        spare::check_pages(conn).await.map_err(trouble)?;
    }
    tables::set_mark(conn, tables::CLOSED_CLEANLY, 0).await.map_err(trouble)?;
    let revision = tables::mark(conn, tables::NEXT_REVISION).await.map_err(trouble)?;
    Ok(revision.unwrap_or_else(|| now_ms.max(1).saturating_mul(REVISIONS_PER_MS)))
}
