//! Opening telemetry.db: checked, brought up to date, and set aside when it is damaged.
//!
//! Telemetry may be lost, so that a damaged file never keeps the engine from starting.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::clock::Clock;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlitePool};

use super::counters::{Counted, Counters};
use super::memory::Memory;
use super::{OpenError, TelemetryOptions, blob, tables};
use crate::datadir::private_file;

/// "HKtm": tells our file from any other SQLite database.
const APPLICATION_ID: i64 = 0x484B_746D;
/// The first release of SQLite without the WAL-reset race.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
/// Damaged files that are kept for a look at them.
const SET_ASIDE_MAX: usize = 2;
/// Journal rows read at once.
const JOURNAL_SLICE: i64 = 16;
const READERS: u32 = 2;
/// How long a statement waits for a lock; nobody but a person with a shell takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// SQLite's primary result codes of a file that is damaged, or no database at all.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

static MIGRATOR: Migrator = sqlx::migrate!("./migrations/telemetry");

/// An open file and what it holds.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    /// How the writer was opened.
    pub(super) writing: SqliteConnectOptions,
    pub(super) readers: SqlitePool,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
}

/// Why a file was not opened.
#[derive(Debug)]
enum Trouble {
    /// It is not (any longer) a telemetry file this program can read.
    Damaged(String),
    Refused(OpenError),
}

impl Trouble {
    fn of(path: &Path, source: sqlx::Error) -> Self {
        if is_damage(&source) {
            Self::Damaged(source.to_string())
        } else {
            Self::Refused(OpenError::Storage { path: path.to_owned(), source })
        }
    }
}

/// Whether an error says that the file itself is damaged.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
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

/// Opens the file, or a fresh one in its place when it is damaged.
pub(super) async fn open(
    path: &Path,
    clock: &dyn Clock,
    options: &TelemetryOptions,
) -> Result<Opened, OpenError> {
    let reason = match attempt(path, options).await {
        Ok(opened) => return Ok(opened),
        Err(Trouble::Refused(error)) => return Err(error),
        Err(Trouble::Damaged(reason)) => reason,
    };
    let aside = set_aside(path, clock.now().as_millisecond())
        .map_err(|source| OpenError::SetAside { path: path.to_owned(), source })?;
    tracing::warn!(reason, kept = %aside.display(), "telemetry file was damaged and set aside");
    attempt(path, options).await.map_err(|trouble| match trouble {
        Trouble::Refused(error) => error,
        Trouble::Damaged(reason) => OpenError::Unusable { path: path.to_owned(), reason },
    })
}

async fn attempt(path: &Path, options: &TelemetryOptions) -> Result<Opened, Trouble> {
    private_file(path)
        .map_err(|source| Trouble::Refused(OpenError::Create { path: path.to_owned(), source }))?;
    let connect = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", crate::ledger::CACHE_SIZE)
        .disable_statement_logging();
    let writing = connect
        .clone()
        .page_size(8192)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("journal_size_limit", "16777216");
    let trouble = |source| Trouble::of(path, source);
    let mut writer = writing.connect().await.map_err(trouble)?;
    match load(&mut writer, path, options).await {
        Ok((memory, counters)) => {
            let readers = SqlitePoolOptions::new()
                .max_connections(READERS)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .connect_lazy_with(connect.read_only(true));
            Ok(Opened { writer, writing, readers, memory, counters })
        }
        Err(trouble) => {
            // Closed before it may be renamed; what closing says adds nothing.
            let _ = writer.close().await;
            Err(trouble)
        }
    }
}

async fn load(
    conn: &mut SqliteConnection,
    path: &Path,
    options: &TelemetryOptions,
) -> Result<(Memory, Counters), Trouble> {
    let trouble = |source| Trouble::of(path, source);
    check_version(conn, path).await?;
    claim(conn, path).await?;
    MIGRATOR.run(&mut *conn).await.map_err(|error| migration_trouble(path, error))?;
    let clean = tables::number(conn, tables::CLOSED_CLEANLY).await.map_err(trouble)?;
    if clean == 0 {
        check_pages(conn).await.map_err(trouble)?;
    }
    tables::set_number(conn, tables::CLOSED_CLEANLY, 0).await.map_err(trouble)?;
    let loaded = restore(conn, options).await;
    loaded.map_err(trouble)
}

async fn check_version(conn: &mut SqliteConnection, path: &Path) -> Result<(), Trouble> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(conn)
        .await
        .map_err(|source| Trouble::of(path, source))?;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < SQLITE_MIN {
        return Err(Trouble::Refused(OpenError::SqliteTooOld { found }));
    }
    Ok(())
}

/// Marks an empty database as ours, and refuses one that is somebody else's.
async fn claim(conn: &mut SqliteConnection, path: &Path) -> Result<(), Trouble> {
    let trouble = |source| Trouble::of(path, source);
    let id: i64 =
        sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *conn).await.map_err(trouble)?;
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *conn)
        .await
        .map_err(trouble)?;
    match (id, tables) {
        (APPLICATION_ID, _) => Ok(()),
        (0, 0) => {
            // 1212904557 is APPLICATION_ID; a pragma takes no parameters.
            sqlx::query("PRAGMA application_id = 1212904557")
                .execute(conn)
                .await
                .map_err(trouble)?;
            Ok(())
        }
        _ => Err(Trouble::Damaged(format!("application id {id:#x} is not that of telemetry"))),
    }
}

fn migration_trouble(path: &Path, error: MigrateError) -> Trouble {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            Trouble::of(path, source)
        }
        // Written by another release of the program: kept aside, as measurements may be lost.
        other => Trouble::Damaged(other.to_string()),
    }
}

/// After a crash, has SQLite look at every page.
async fn check_pages(conn: &mut SqliteConnection) -> sqlx::Result<()> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(conn).await?;
    if found == "ok" {
        return Ok(());
    }
    Err(sqlx::Error::Decode(found.into()))
}

/// Reads series, counters and journal into memory.
async fn restore(
    conn: &mut SqliteConnection,
    options: &TelemetryOptions,
) -> sqlx::Result<(Memory, Counters)> {
    let counters = tables::load_counters(conn).await?;
    let series = tables::load_series(conn).await?;
    let next_part = tables::number(conn, tables::NEXT_PART).await?;
    let from = series.iter().map(|series| series.journal_from).max();
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT max(seq) FROM journal").fetch_one(&mut *conn).await?;
    let next_seq = from.unwrap_or(1).max(newest.unwrap_or(0) + 1);
    let mut memory = Memory::new(series, next_part, next_seq, options.series_max);
    let mut seq = i64::MIN;
    loop {
        let rows = tables::journal_after(conn, seq, JOURNAL_SLICE).await?;
        let Some((last, _)) = rows.last() else {
            break;
        };
        seq = *last;
        for (seq, samples) in &rows {
            match blob::decode_journal(samples) {
                Ok(groups) => memory.replay(*seq, groups, &counters),
                Err(error) => {
                    counters.add(Counted::DamagedJournalRow, 1);
                    tracing::warn!(seq, %error, "telemetry journal row skipped");
                }
            }
        }
    }
    Ok((memory, counters))
}

/// Renames the file and its companions, and keeps only the newest few of those.
fn set_aside(path: &Path, now_ms: i64) -> io::Result<PathBuf> {
    let with = |base: &Path, suffix: &str| {
        let mut name = base.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(path, &format!(".damaged-{now_ms:013}"));
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(path, suffix), with(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let prefix = with(path, ".damaged-");
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
            let _ = fs::remove_file(with(&folder.join(name), suffix));
        }
    }
    Ok(aside)
}
