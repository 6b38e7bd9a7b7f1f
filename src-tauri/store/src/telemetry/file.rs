//! Opening telemetry.db: checked, brought up to date, and set aside when it is damaged.
//!
//! Telemetry may be lost, so that a damaged file never keeps the engine from starting.

use std::path::Path;
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
use crate::spare;

/// "HKtm": tells our file from any other SQLite database.
const APPLICATION_ID: i64 = 0x484B_746D;
/// Journal rows read at once.
const JOURNAL_SLICE: i64 = 16;
const READERS: u32 = 2;
/// How long a statement waits for a lock; nobody but a person with a shell takes one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a reader waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

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
        if spare::is_damage(&source) {
            Self::Damaged(source.to_string())
        } else {
            Self::Refused(OpenError::Storage { path: path.to_owned(), source })
        }
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
    let aside = spare::set_aside(path, clock.now().as_millisecond())
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
        spare::check_pages(conn).await.map_err(trouble)?;
    }
    tables::set_number(conn, tables::CLOSED_CLEANLY, 0).await.map_err(trouble)?;
    let loaded = restore(conn, options).await;
    loaded.map_err(trouble)
}

async fn check_version(conn: &mut SqliteConnection, path: &Path) -> Result<(), Trouble> {
    match spare::too_old(conn).await.map_err(|source| Trouble::of(path, source))? {
        Some(found) => Err(Trouble::Refused(OpenError::SqliteTooOld { found })),
        None => Ok(()),
    }
}

/// Marks an empty database as ours, and refuses one that is somebody else's.
async fn claim(conn: &mut SqliteConnection, path: &Path) -> Result<(), Trouble> {
    let claimed = spare::claim(conn, APPLICATION_ID).await;
    claimed
        .map_err(|source| Trouble::of(path, source))?
        .map_err(|id| Trouble::Damaged(format!("application id {id:#x} is not that of telemetry")))
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
