//! What databases that may be lost have in common: how they are opened and mended. A damaged one never
//! keeps the engine from starting: it is renamed aside for a look at it, and begun anew.

use std::fs;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr, SqlitePool};

use crate::datadir::private_file;

/// The first release of SQLite without the WAL-reset race.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
/// Damaged files that are kept for a look at them.
const SET_ASIDE_MAX: usize = 2;
/// SQLite's primary result codes of a file that is damaged, or no database at all.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;
/// How long a statement waits for a lock; nobody but a person with a shell takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Beside a file, it says that the file was found to be damaged while it was in use.
const SUSPECT: &str = ".suspect";

/// Why a database that may be lost cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpareError {
    /// The file could not be created or opened for writing.
    #[error("create {}: check that this user owns the data directory and that the disk has room", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// SQLite could not read or write the file, for another reason than damage.
    #[error("open {}; it was left as it is: check the disk and the file's owner", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: sqlx::Error,
    },
    /// The file is damaged, and could not be renamed out of the way.
    #[error(
        "set the damaged {} aside: move it elsewhere by hand; it holds {holds} only, missions are in the ledger",
        path.display()
    )]
    SetAside {
        /// The file.
        path: PathBuf,
        /// What it holds, in words.
        holds: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// Even a fresh file could not be used.
    #[error("use a fresh {} ({reason}): check the disk", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// SQLite is older than the release that fixed a loss of data in WAL mode.
    #[error(
        "use SQLite {found}: it may lose data, 3.51.3 or newer is needed; build with the bundled one"
    )]
    SqliteTooOld {
        /// The version found.
        found: String,
    },
}

/// What tells one such database from the others.
#[derive(Debug)]
pub(crate) struct Spare {
    /// Tells our file from any other SQLite database.
    pub(crate) application_id: i64,
    /// What is in it, in words.
    pub(crate) holds: &'static str,
    pub(crate) migrator: &'static Migrator,
    pub(crate) readers: u32,
    /// The writer's cache, as the pragma wants it.
    pub(crate) writer_cache: &'static str,
    /// Up to this size every page is looked at after a crash.
    pub(crate) checked_bytes_max: u64,
}

/// What is read of such a database when it is opened.
pub(crate) trait Contents: Sync {
    /// What was read.
    type Found: Send;

    /// Whether the file was closed in order; from now on it counts as open.
    fn was_closed(conn: &mut SqliteConnection) -> impl Future<Output = sqlx::Result<bool>> + Send;

    /// Reads it.
    fn read(
        &self,
        conn: &mut SqliteConnection,
    ) -> impl Future<Output = sqlx::Result<Self::Found>> + Send;
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Opened<T> {
    pub(crate) writer: SqliteConnection,
    /// How the writer was opened, to open it again.
    pub(crate) writing: SqliteConnectOptions,
    pub(crate) readers: SqlitePool,
    /// What was read of it.
    pub(crate) found: T,
    /// Where a damaged file was put that was in its place.
    pub(crate) aside: Option<PathBuf>,
}

/// Why a file was not opened.
#[derive(Debug)]
enum Trouble {
    /// It is not (any longer) a file this program can read.
    Damaged(String),
    Refused(SpareError),
}

impl Trouble {
    fn of(path: &Path, source: sqlx::Error) -> Self {
        if is_damage(&source) {
            Self::Damaged(source.to_string())
        } else {
            Self::Refused(SpareError::Storage { path: path.to_owned(), source })
        }
    }
}

impl Spare {
    /// Opens the file, or a fresh one in its place when it is damaged.
    pub(crate) async fn open<C: Contents>(
        &self,
        path: &Path,
        now_ms: i64,
        contents: &C,
    ) -> Result<Opened<C::Found>, SpareError> {
        let mark = with_suffix(path, SUSPECT);
        let first = if mark.exists() {
            Err(Trouble::Damaged("damage was found while it was in use".to_owned()))
        } else {
            self.attempt(path, contents).await
        };
        let reason = match first {
            Ok(opened) => return Ok(opened),
            Err(Trouble::Refused(error)) => return Err(error),
            Err(Trouble::Damaged(reason)) => reason,
        };
        let holds = self.holds;
        let unmovable = |source| SpareError::SetAside { path: path.to_owned(), holds, source };
        let aside = set_aside(path, now_ms).map_err(unmovable)?;
        match fs::remove_file(&mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unmovable(error)),
            _ => {}
        }
        tracing::warn!(
            reason,
            holds,
            kept = %aside.display(),
            "a damaged file was set aside; what was kept until now is in there, a fresh one is begun"
        );
        let opened = self.attempt(path, contents).await.map_err(|trouble| match trouble {
            Trouble::Refused(error) => error,
            Trouble::Damaged(reason) => SpareError::Unusable { path: path.to_owned(), reason },
        })?;
        Ok(Opened { aside: Some(aside), ..opened })
    }

    async fn attempt<C: Contents>(
        &self,
        path: &Path,
        contents: &C,
    ) -> Result<Opened<C::Found>, Trouble> {
        private_file(path).map_err(|source| {
            Trouble::Refused(SpareError::Create { path: path.to_owned(), source })
        })?;
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
            .pragma("cache_size", self.writer_cache)
            .pragma("journal_size_limit", "16777216");
        let mut writer = writing.connect().await.map_err(|source| Trouble::of(path, source))?;
        match self.prepare(&mut writer, path, contents).await {
            Ok(found) => {
                let readers = SqlitePoolOptions::new()
                    .max_connections(self.readers)
                    .acquire_timeout(ACQUIRE_TIMEOUT)
                    .test_before_acquire(false)
                    .connect_lazy_with(connect.read_only(true));
                Ok(Opened { writer, writing, readers, found, aside: None })
            }
            Err(trouble) => {
                // Closed before it may be renamed; what closing says adds nothing.
                let _ = writer.close().await;
                Err(trouble)
            }
        }
    }

    /// Checks the file, brings it up to date and reads it.
    async fn prepare<C: Contents>(
        &self,
        conn: &mut SqliteConnection,
        path: &Path,
        contents: &C,
    ) -> Result<C::Found, Trouble> {
        let trouble = |source| Trouble::of(path, source);
        if let Some(found) = too_old(conn).await.map_err(trouble)? {
            return Err(Trouble::Refused(SpareError::SqliteTooOld { found }));
        }
        claim(conn, self.application_id).await.map_err(trouble)?.map_err(|id| {
            Trouble::Damaged(format!("application id {id:#x} is not that of {}", self.holds))
        })?;
        self.migrator.run(&mut *conn).await.map_err(|error| match error {
            MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
                Trouble::of(path, source)
            }
            // Written by another release of the program: kept aside, as it may be lost.
            other => Trouble::Damaged(other.to_string()),
        })?;
        let closed = C::was_closed(conn).await.map_err(trouble)?;
        let small = fs::metadata(path).is_ok_and(|meta| meta.len() <= self.checked_bytes_max);
        if !closed && small {
            check_pages(conn).await.map_err(trouble)?;
        }
        contents.read(conn).await.map_err(trouble)
    }
}

/// Remembers that a file turned out to be damaged, for the next start.
pub(crate) fn suspect(path: &Path) {
    let mark = with_suffix(path, SUSPECT);
    if let Err(error) = private_file(&mark) {
        tracing::warn!(%error, path = %mark.display(), "damage could not be noted for the next start");
    }
}

/// Opens the file again where a transaction that failed left the connection inside of it.
///
/// SQLite ends a transaction by itself when the disk is full. The rollback that follows then fails,
/// and the connection counts a transaction that is no more: it would begin no other.
pub(crate) async fn mend(
    conn: &mut SqliteConnection,
    connect: &SqliteConnectOptions,
) -> sqlx::Result<()> {
    // The rollback of a transaction that was dropped is done when the ping is answered.
    if conn.ping().await.is_ok() && !conn.is_in_transaction() {
        return Ok(());
    }
    let fresh = connect.connect().await?;
    let broken = std::mem::replace(conn, fresh);
    if let Err(error) = broken.close().await {
        tracing::warn!(%error, "a connection that failed was not closed in order");
    }
    Ok(())
}

/// Whether an error says that the file itself is damaged.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            // The low byte is the primary code.
            code.is_some_and(|code| [SQLITE_CORRUPT, SQLITE_NOTADB].contains(&(code & 0xff)))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => true,
        _ => false,
    }
}

/// The version of SQLite where it is too old to be trusted with a write-ahead log.
async fn too_old(conn: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await?;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    Ok(((next(), next(), next()) < SQLITE_MIN).then_some(found))
}

/// Marks an empty database with an application id; says whether the file has it now, and otherwise
/// whose it is.
async fn claim(conn: &mut SqliteConnection, application_id: i64) -> sqlx::Result<Result<(), i64>> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *conn).await?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *conn).await?;
    if (id, tables) == (0, 0) {
        // A pragma takes no parameters.
        let sql = format!("PRAGMA application_id = {application_id}");
        sqlx::query(AssertSqlSafe(sql).into_sql_str()).execute(conn).await?;
        return Ok(Ok(()));
    }
    Ok(if id == application_id { Ok(()) } else { Err(id) })
}

/// Has SQLite look at every page.
async fn check_pages(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(conn).await?;
    if found == "ok" {
        return Ok(());
    }
    Err(sqlx::Error::Decode(found.into()))
}

/// How much of the file is in use, in bytes.
pub(crate) async fn used_bytes(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT (p.page_count - f.freelist_count) * s.page_size
         FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s",
    )
    .fetch_one(conn)
    .await
}

/// Gives at most 1,024 unused pages back to the file system.
pub(crate) async fn give_back_pages(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    sqlx::query("PRAGMA incremental_vacuum(1024)").fetch_all(conn).await?;
    Ok(())
}

/// The path with something at its end.
fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the file and its companions, and keeps only the newest few of those.
fn set_aside(path: &Path, now_ms: i64) -> io::Result<PathBuf> {
    let aside = with_suffix(path, &format!(".damaged-{now_ms:013}"));
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with_suffix(path, suffix), with_suffix(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let prefix = with_suffix(path, ".damaged-");
    let (Some(folder), Some(prefix)) = (path.parent(), prefix.file_name()) else {
        return Ok(aside);
    };
    let prefix = prefix.to_string_lossy().into_owned();
    let mut kept: Vec<String> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm")
        })
        .collect();
    kept.sort_unstable_by(|one, other| other.cmp(one));
    for name in kept.iter().skip(SET_ASIDE_MAX) {
        for suffix in ["-wal", "-shm", ""] {
            // One that cannot be deleted is tried again with the next damage.
            let _ = fs::remove_file(with_suffix(&folder.join(name), suffix));
        }
    }
    Ok(aside)
}
