//! Opening: what is not ours, damaged or newer is refused and left as it was found.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::clock::SharedClock;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::chain::{Tail, hex};
use super::error::{CODE_CORRUPT, CODE_NOT_A_DATABASE, OpenError, RowError, sqlite_code};
use super::head::{self, Head, HeadFile};
use super::page::PAGE_ROWS_MAX;
use super::table::events;
use super::writer::GROUP_EVENTS_MAX;

/// `HvKp`: marks a ledger in the header of its file.
pub(crate) const APPLICATION_ID: i32 = 0x4876_4B70;
/// The first SQLite without the WAL-reset race.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
/// Up to this size the whole file is checked at every start.
const QUICK_CHECK_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Events before the end of the log whose links are checked at every start.
const TAIL_CHECKED: u64 = 256;
/// Events by which a crash can leave the head file behind: a group, and one not yet synced.
const HEAD_BEHIND_MAX: u64 = 2 * GROUP_EVENTS_MAX as u64;
/// Events read at once while the chain is walked.
pub(crate) const WALK_ROWS: usize = 512;

/// The steps from an empty file to the newest schema.
pub(crate) static MIGRATOR: Migrator = sqlx::migrate!("migrations/ledger");

/// The paths of a ledger.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    pub(crate) db: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) head: PathBuf,
    pub(crate) fresh: PathBuf,
    pub(crate) scratch: PathBuf,
    backups: PathBuf,
}

impl Files {
    /// The files in a data directory.
    pub(crate) fn within(root: &Path) -> Self {
        Self {
            db: root.join("ledger.db"),
            wal: root.join("ledger.db-wal"),
            head: root.join("ledger.head"),
            fresh: root.join("ledger.db.new"),
            scratch: root.join("ledger.verify.db"),
            backups: root.join("backups"),
        }
    }

    fn damaged(&self, what: impl Into<String>) -> OpenError {
        OpenError::Damaged { path: self.db.clone(), what: what.into() }
    }

    fn storage(&self, source: sqlx::Error) -> OpenError {
        match sqlite_code(&source) {
            Some(CODE_CORRUPT | CODE_NOT_A_DATABASE) => self.damaged(source.to_string()),
            _ => OpenError::Storage { path: self.db.clone(), source },
        }
    }

    fn row(&self, error: RowError) -> OpenError {
        match error {
            RowError::Sql(source) => self.storage(source),
            other => self.damaged(other.to_string()),
        }
    }
}

fn file_error<'a>(
    operation: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::File { operation, path: path.to_owned(), source }
}

/// What a test sets differently.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) read_deadline: Duration,
    pub(crate) busy_timeout: Duration,
    pub(crate) migrator: &'static Migrator,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            read_deadline: Duration::from_secs(5),
            busy_timeout: Duration::from_secs(5),
            migrator: &MIGRATOR,
        }
    }
}

/// Pages each connection keeps to itself: 512 KiB. The default of 2 MB, times the connections, was
/// a fifth of the engine's memory, and the operating system keeps the file's pages anyway.
pub(crate) const CACHE_SIZE: &str = "-512";

/// How every connection to a ledger is set up.
pub(crate) fn options(path: &Path, settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(settings.busy_timeout)
        .pragma("cell_size_check", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("cache_size", CACHE_SIZE)
        // A page of a list in one go: each time the buffer is full costs two changes of the thread.
        .row_buffer_size(PAGE_ROWS_MAX as usize + 1)
        .disable_statement_logging()
}

fn writer_options(path: &Path, settings: &Settings) -> SqliteConnectOptions {
    options(path, settings)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
}

/// The connection that writes, with the end of the log and the file that states it.
pub(crate) struct Opened {
    pub(crate) conn: SqliteConnection,
    pub(crate) head: HeadFile,
    pub(crate) tail: Tail,
}

/// Opens a ledger, making it where there is none.
pub(crate) async fn open(
    files: &Files,
    settings: &Settings,
    clock: &SharedClock,
) -> Result<Opened, OpenError> {
    remove_leftovers(files)?;
    let stated = head::read(&files.head).map_err(file_error("read", &files.head))?;
    if files.db.exists() {
        refuse_foreign(files, &stated)?;
        inspect(files, settings).await?;
    } else {
        refuse_missing(files, &stated)?;
        create(files, settings).await?;
    }
    let mut conn = connect(files, settings).await?;
    migrate(&mut conn, files, settings, clock).await?;
    finish(conn, files, stated).await
}

/// Opens the ledger again after a failed write.
pub(crate) async fn reopen(files: &Files, settings: &Settings) -> Result<Opened, OpenError> {
    let stated = head::read(&files.head).map_err(file_error("read", &files.head))?;
    refuse_foreign(files, &stated)?;
    let conn = connect(files, settings).await?;
    finish(conn, files, stated).await
}

async fn finish(
    mut conn: SqliteConnection,
    files: &Files,
    stated: Head,
) -> Result<Opened, OpenError> {
    let tail = check_end(&mut conn, files, stated).await?;
    let head = HeadFile::open(&files.head, &tail).map_err(file_error("write", &files.head))?;
    Ok(Opened { conn, head, tail })
}

async fn connect(files: &Files, settings: &Settings) -> Result<SqliteConnection, OpenError> {
    writer_options(&files.db, settings).connect().await.map_err(|error| files.storage(error))
}

/// Files that only an interrupted start or verification leaves behind.
fn remove_leftovers(files: &Files) -> Result<(), OpenError> {
    for base in [&files.fresh, &files.scratch] {
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let mut name = base.clone().into_os_string();
            name.push(suffix);
            let path = PathBuf::from(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(file_error("remove", &path)(error));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn refuse_missing(files: &Files, stated: &Head) -> Result<(), OpenError> {
    match stated {
        Head::At(tail) if tail.seq > 0 => Err(files.damaged(format!(
            "the file is gone, and ledger.head says that it held {} events",
            tail.seq
        ))),
        _ if files.wal.exists() => {
            Err(files.damaged("the file is gone, and its write-ahead log is still there"))
        }
        _ => Ok(()),
    }
}

/// Looks at the raw header, before SQLite sees the file.
fn refuse_foreign(files: &Files, stated: &Head) -> Result<(), OpenError> {
    let mut header = Vec::with_capacity(100);
    File::open(&files.db)
        .and_then(|file| file.take(100).read_to_end(&mut header))
        .map_err(file_error("read", &files.db))?;
    let not_ours = |why: &str| match stated {
        Head::Missing => OpenError::NotOurs { path: files.db.clone(), why: why.to_owned() },
        _ => files.damaged(why),
    };
    if header.is_empty() {
        return Err(files.damaged("the file is empty"));
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(not_ours("it does not begin like a database"));
    }
    let mark = i32::from_be_bytes([header[68], header[69], header[70], header[71]]);
    if mark != APPLICATION_ID {
        return Err(not_ours("it bears the mark of another program"));
    }
    Ok(())
}

/// Reads schema and, where the file is small, every page, through a connection that cannot write.
async fn inspect(files: &Files, settings: &Settings) -> Result<(), OpenError> {
    let mut conn = options(&files.db, settings)
        .read_only(true)
        .connect()
        .await
        .map_err(|error| files.storage(error))?;
    let result = inspect_with(&mut conn, files, settings).await;
    let closed = conn.close().await.map_err(|error| files.storage(error));
    result.and(closed)
}

async fn inspect_with(
    conn: &mut SqliteConnection,
    files: &Files,
    settings: &Settings,
) -> Result<(), OpenError> {
    refuse_old_sqlite(conn).await.map_err(|e| match e {
        Old::Version(found) => OpenError::SqliteTooOld { found },
        Old::Sql(error) => files.storage(error),
    })?;
    let found = schema(conn).await.map_err(|error| match error {
        sqlx::Error::Database(e) if e.message().contains("no such table") => {
            files.damaged("it has no list of its schema's versions")
        }
        other => files.storage(other),
    })?;
    let known = newest(settings.migrator);
    if found > known {
        let path = files.db.clone();
        return Err(OpenError::Newer { path, found, known });
    }
    let bytes = fs::metadata(&files.db).map_err(file_error("read", &files.db))?.len();
    if bytes > QUICK_CHECK_BYTES_MAX {
        return Ok(());
    }
    let said: Vec<String> = sqlx::query_scalar("PRAGMA quick_check(5)")
        .fetch_all(conn)
        .await
        .map_err(|error| files.storage(error))?;
    match said.as_slice() {
        [ok] if ok == "ok" => Ok(()),
        problems => Err(files.damaged(problems.join("; "))),
    }
}

enum Old {
    Version(String),
    Sql(sqlx::Error),
}

async fn refuse_old_sqlite(conn: &mut SqliteConnection) -> Result<(), Old> {
    let found: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await.map_err(Old::Sql)?;
    if is_new_enough(&found) { Ok(()) } else { Err(Old::Version(found)) }
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= SQLITE_MIN
}

/// The newest migration a file has seen.
async fn schema(conn: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
        .fetch_one(conn)
        .await
}

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|step| step.version).max().unwrap_or(0)
}

/// Makes a ledger beside its place and moves it there when it is complete, so that a crash never
/// leaves a half-made one.
async fn create(files: &Files, settings: &Settings) -> Result<(), OpenError> {
    let mut new = File::options();
    new.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut new, 0o600);
    new.open(&files.fresh).map_err(file_error("create", &files.fresh))?;
    let mut conn = writer_options(&files.fresh, settings)
        .pragma("application_id", APPLICATION_ID.to_string())
        .connect()
        .await
        .map_err(|error| files.storage(error))?;
    refuse_old_sqlite(&mut conn).await.map_err(|e| match e {
        Old::Version(found) => OpenError::SqliteTooOld { found },
        Old::Sql(error) => files.storage(error),
    })?;
    run_migrations(&mut conn, files, settings).await?;
    conn.close().await.map_err(|error| files.storage(error))?;
    File::open(&files.fresh)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&files.fresh, &files.db))
        .and_then(|()| sync_folder(&files.db))
        .map_err(file_error("create", &files.db))
}

fn sync_folder(file: &Path) -> io::Result<()> {
    match file.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

async fn run_migrations(
    conn: &mut SqliteConnection,
    files: &Files,
    settings: &Settings,
) -> Result<(), OpenError> {
    settings
        .migrator
        .run_direct(None, conn, false)
        .await
        .map_err(|source| OpenError::Migrate { path: files.db.clone(), source: Box::new(source) })
}

/// Brings an existing ledger up to date, after a copy of it was made and checked.
async fn migrate(
    conn: &mut SqliteConnection,
    files: &Files,
    settings: &Settings,
    clock: &SharedClock,
) -> Result<(), OpenError> {
    let found = schema(conn).await.map_err(|error| files.storage(error))?;
    if found < newest(settings.migrator) {
        let stamp = clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let path = files.backups.join(format!("ledger-schema-{found}-{stamp}.db"));
        back_up(conn, &path, settings).await?;
        tracing::info!(from = found, backup = %path.display(), "ledger copied before migration");
    }
    run_migrations(conn, files, settings).await
}

async fn back_up(
    conn: &mut SqliteConnection,
    path: &Path,
    settings: &Settings,
) -> Result<(), OpenError> {
    let failed = |source| OpenError::Backup { path: path.to_owned(), source };
    let folder = path.parent().unwrap_or(path);
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(file_error("create", folder))?;
    sqlx::query("VACUUM INTO ?")
        .bind(path.to_string_lossy().into_owned())
        .execute(&mut *conn)
        .await
        .map_err(failed)?;
    let mut copy = options(path, settings).read_only(true).connect().await.map_err(failed)?;
    let theirs = events::tail(&mut copy).await;
    let ours = events::tail(conn).await;
    copy.close().await.map_err(failed)?;
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => {}
        (Err(RowError::Sql(error)), _) | (_, Err(RowError::Sql(error))) => {
            return Err(failed(error));
        }
        _ => return Err(failed(sqlx::Error::Protocol("the copy differs".into()))),
    }
    File::open(path)
        .and_then(|file| file.sync_all())
        .and_then(|()| sync_folder(path))
        .map_err(file_error("sync", path))
}

/// Compares the end of the log with what the head file states.
async fn check_end(
    conn: &mut SqliteConnection,
    files: &Files,
    stated: Head,
) -> Result<Tail, OpenError> {
    let tail = events::tail(conn).await.map_err(|error| files.row(error))?;
    let from = match stated {
        Head::Unreadable => {
            return Err(files.damaged("ledger.head beside it cannot be read"));
        }
        Head::Missing if tail.seq > 0 => {
            tracing::warn!(events = tail.seq, "ledger.head is missing; every event is checked");
            0
        }
        Head::Missing => 0,
        Head::At(head) => {
            compare(conn, files, &head, &tail).await?;
            head.seq.min(tail.seq.saturating_sub(TAIL_CHECKED))
        }
    };
    let start = hash_at(conn, files, from).await?;
    walk(conn, files, Tail { seq: from, hash: start }, &tail).await?;
    Ok(tail)
}

async fn hash_at(
    conn: &mut SqliteConnection,
    files: &Files,
    seq: u64,
) -> Result<super::chain::Hash, OpenError> {
    events::hash_at(conn, seq)
        .await
        .map_err(|error| files.row(error))?
        .ok_or_else(|| files.damaged(format!("event {seq} is missing")))
}

async fn compare(
    conn: &mut SqliteConnection,
    files: &Files,
    head: &Tail,
    tail: &Tail,
) -> Result<(), OpenError> {
    if head.seq > tail.seq {
        return Err(files.damaged(format!(
            "its newest events are lost: ledger.head says that {} were acknowledged, {} are there",
            head.seq, tail.seq
        )));
    }
    if tail.seq - head.seq > HEAD_BEHIND_MAX {
        return Err(files.damaged(format!(
            "ledger.head is {} events behind, more than a crash explains",
            tail.seq - head.seq
        )));
    }
    let found = hash_at(conn, files, head.seq).await?;
    if found != head.hash {
        return Err(files.damaged(format!(
            "event {} is not the one that was written: its hash is {}, ledger.head says {}",
            head.seq,
            hex(&found),
            hex(&head.hash)
        )));
    }
    if head.seq < tail.seq {
        let behind = tail.seq - head.seq;
        tracing::info!(behind, "ledger.head was behind after a crash and is brought up to date");
    }
    Ok(())
}

/// Checks the links after `from` up to the end.
async fn walk(
    conn: &mut SqliteConnection,
    files: &Files,
    mut from: Tail,
    end: &Tail,
) -> Result<(), OpenError> {
    while from.seq < end.seq {
        let rows =
            events::after(conn, from.seq, WALK_ROWS).await.map_err(|error| files.row(error))?;
        if rows.is_empty() {
            return Err(files.damaged(format!("no event follows event {}", from.seq)));
        }
        for row in rows {
            let expected = from.seq + 1;
            let hash = row.stored_hash().map_err(|error| files.row(error))?;
            if u64::try_from(row.seq) != Ok(expected) {
                return Err(files.damaged(format!("event {expected} is missing")));
            }
            if row.link(&from.hash) != hash {
                return Err(files.damaged(format!("event {expected} was altered")));
            }
            from = Tail { seq: expected, hash };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_with_the_wal_reset_race_is_refused() {
        let check =
            |version: &str, fine: bool| assert_eq!(is_new_enough(version), fine, "{version}");
        check("3.51.3", true);
        check("3.52.0", true);
        check("4.0", true);
        check("3.51.2", false);
        check("3.9.99", false);
        check("", false);
    }
}
