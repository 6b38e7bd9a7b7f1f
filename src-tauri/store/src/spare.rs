//! What databases that may be lost have in common: a damaged one never keeps the engine from
//! starting, it is renamed aside for a look at it and begun anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, SqlSafeStr};

/// The first release of SQLite without the WAL-reset race.
const SQLITE_MIN: (u32, u32, u32) = (3, 51, 3);
/// Damaged files that are kept for a look at them.
const SET_ASIDE_MAX: usize = 2;
/// SQLite's primary result codes of a file that is damaged, or no database at all.
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

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
pub(crate) async fn too_old(conn: &mut SqliteConnection) -> sqlx::Result<Option<String>> {
    let found: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(conn).await?;
    let mut numbers = found.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    Ok(((next(), next(), next()) < SQLITE_MIN).then_some(found))
}

/// Marks an empty database with an application id; says whether the file has it now, and otherwise
/// whose it is.
pub(crate) async fn claim(
    conn: &mut SqliteConnection,
    application_id: i64,
) -> sqlx::Result<Result<(), i64>> {
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
pub(crate) async fn check_pages(conn: &mut SqliteConnection) -> sqlx::Result<()> {
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
pub(crate) fn with_suffix(base: &Path, suffix: &str) -> PathBuf {
    let mut name = base.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the file and its companions, and keeps only the newest few of those.
pub(crate) fn set_aside(path: &Path, now_ms: i64) -> io::Result<PathBuf> {
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
