//! The tables of telemetry.db and every statement that touches them.

use jiff::Timestamp;
use model::signal::{Mark, MarkKind};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::counters::{COUNTERS, Counters};
use super::key;
use super::memory::SeriesRow;
use super::place::{PARTS_MAX, WINDOW_MINUTES, chunk_key};
use super::tally::{Point, Scale};

/// Names of single numbers that are not counters of samples.
pub(super) const CLOSED_CLEANLY: &str = "closed_cleanly";
/// The highest number a series was ever given; forgotten ones are not given again.
pub(super) const HIGHEST_SERIES: &str = "highest_series";
/// Up to this moment everything is in rows of minutes and hours.
pub(super) const ROLLED_TO: &str = "rolled_to_ms";
/// The names of what a tier takes, in bytes.
const SIZES: [&str; 3] = ["bytes_of_chunks", "bytes_of_minutes", "bytes_of_hours"];
/// Marks in one answer, and in the file.
pub(super) const MARKS_MAX: i64 = 10_000;

/// A tier: samples, minutes or hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Chunks,
    Minutes,
    Hours,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Chunks, Self::Minutes, Self::Hours];
}

/// What the rows of each tier take, in bytes.
pub(super) type Sizes = [i64; 3];

/// A row's key and its blob.
pub(super) type KeyedBlob = (i64, Vec<u8>);

pub(super) async fn load_series(conn: &mut SqliteConnection) -> sqlx::Result<Vec<SeriesRow>> {
    let rows = sqlx::query(
        "SELECT id, name, labels, resolution, last_at, last_value FROM series ORDER BY id",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(series_row).collect()
}

fn series_row(row: &SqliteRow) -> sqlx::Result<SeriesRow> {
    let decode = |error: Box<dyn std::error::Error + Send + Sync>| sqlx::Error::Decode(error);
    let labels: String = row.try_get("labels")?;
    let labels = serde_json::from_str(&labels).map_err(|error| decode(error.into()))?;
    let key = model::signal::SeriesKey { name: row.try_get("name")?, labels };
    let mut text = String::new();
    let id: i64 = row.try_get("id")?;
    if !key::write_key(&key, &mut text) || !(1..=super::place::SERIES_MAX).contains(&id) {
        return Err(decode(format!("series {id} is none that was ever written").into()));
    }
    let at: Option<i64> = row.try_get("last_at")?;
    let value: Option<i64> = row.try_get("last_value")?;
    let latest = at.zip(value).map(|(at, value)| Point { at, value });
    Ok(SeriesRow { id, key: text.into(), scale: Scale(row.try_get("resolution")?), latest })
}

pub(super) async fn insert_series(
    conn: &mut SqliteConnection,
    series: &SeriesRow,
) -> sqlx::Result<()> {
    let key = key::read_key(&series.key);
    let labels =
        serde_json::to_string(&key.labels).map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO series (id, name, labels, resolution, last_at, last_value)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .bind(series.id)
    .bind(key.name)
    .bind(labels)
    .bind(series.scale.0)
    .bind(series.latest.map(|latest| latest.at))
    .bind(series.latest.map(|latest| latest.value))
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps the latest sample of a series that fell silent.
pub(super) async fn update_series(
    conn: &mut SqliteConnection,
    series: &SeriesRow,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE series SET last_at = ?2, last_value = ?3 WHERE id = ?1")
        .bind(series.id)
        .bind(series.latest.map(|latest| latest.at))
        .bind(series.latest.map(|latest| latest.value))
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn delete_series(conn: &mut SqliteConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM series WHERE id = ?1").bind(id).execute(conn).await?;
    Ok(())
}

/// Inserts a row unless its key is taken; says whether it was inserted.
pub(super) async fn insert_chunk(
    conn: &mut SqliteConnection,
    key: i64,
    data: &[u8],
) -> sqlx::Result<bool> {
    let done = sqlx::query("INSERT INTO chunks (id, data) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
        .bind(key)
        .bind(data)
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Inserts or replaces a row of minutes or hours; gives how many bytes it has grown.
pub(super) async fn put_row(
    conn: &mut SqliteConnection,
    table: Table,
    key: i64,
    before: usize,
    data: &[u8],
) -> sqlx::Result<i64> {
    let statement = match table {
        Table::Chunks => "INSERT OR REPLACE INTO chunks (id, data) VALUES (?1, ?2)",
        Table::Minutes => "INSERT OR REPLACE INTO minutes (id, data) VALUES (?1, ?2)",
        Table::Hours => "INSERT OR REPLACE INTO hours (id, data) VALUES (?1, ?2)",
    };
    sqlx::query(statement).bind(key).bind(data).execute(conn).await?;
    Ok(data.len() as i64 - before as i64)
}

/// The row of a key.
pub(super) async fn row(
    conn: &mut SqliteConnection,
    table: Table,
    key: i64,
) -> sqlx::Result<Option<Vec<u8>>> {
    let statement = match table {
        Table::Chunks => "SELECT data FROM chunks WHERE id = ?1",
        Table::Minutes => "SELECT data FROM minutes WHERE id = ?1",
        Table::Hours => "SELECT data FROM hours WHERE id = ?1",
    };
    sqlx::query_scalar(statement).bind(key).fetch_optional(conn).await
}

/// The chunks of one series and window.
pub(super) async fn chunks_in(
    conn: &mut SqliteConnection,
    window: i64,
    series: i64,
) -> sqlx::Result<Vec<KeyedBlob>> {
    let key = chunk_key(window, series);
    sqlx::query_as("SELECT id, data FROM chunks WHERE id BETWEEN ?1 AND ?2 ORDER BY id")
        .bind(key)
        .bind(key + PARTS_MAX - 1)
        .fetch_all(conn)
        .await
}

pub(super) async fn delete_chunk(conn: &mut SqliteConnection, key: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM chunks WHERE id = ?1").bind(key).execute(conn).await?;
    Ok(())
}

/// The chunks of a series in `windows` (first and last), by one seek for each window: the key is
/// time-major, and windows of one series are ten minutes apart. At most `limit`.
pub(super) async fn chunks_of(
    conn: &mut SqliteConnection,
    series: i64,
    windows: (i64, i64),
    limit: i64,
) -> sqlx::Result<Vec<KeyedBlob>> {
    sqlx::query_as(
        "WITH RECURSIVE w(n, k) AS (
             VALUES (?1, ?4)
             UNION ALL SELECT n + ?3, k + (?3 << 36) FROM w WHERE n + ?3 <= ?2)
         SELECT c.id, c.data FROM w CROSS JOIN chunks AS c ON c.id BETWEEN w.k AND w.k + 4095
         LIMIT ?5",
    )
    .bind(windows.0)
    .bind(windows.1)
    .bind(WINDOW_MINUTES)
    .bind(chunk_key(windows.0, series))
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// The rows of minutes or hours of a series in `slots` (first and last), oldest first.
pub(super) async fn rows_of(
    conn: &mut SqliteConnection,
    table: Table,
    series: i64,
    slots: (i64, i64),
) -> sqlx::Result<Vec<KeyedBlob>> {
    let statement = if table == Table::Hours {
        "WITH RECURSIVE w(n) AS (VALUES (?1) UNION ALL SELECT n + 1 FROM w WHERE n < ?2)
         SELECT r.id, r.data FROM w CROSS JOIN hours AS r ON r.id = (w.n << 24 | ?3)"
    } else {
        "WITH RECURSIVE w(n) AS (VALUES (?1) UNION ALL SELECT n + 1 FROM w WHERE n < ?2)
         SELECT r.id, r.data FROM w CROSS JOIN minutes AS r ON r.id = (w.n << 24 | ?3)"
    };
    sqlx::query_as(statement).bind(slots.0).bind(slots.1).bind(series).fetch_all(conn).await
}

/// The first and the last key of a tier.
pub(super) async fn extent(
    conn: &mut SqliteConnection,
    table: Table,
) -> sqlx::Result<Option<(i64, i64)>> {
    let statement = match table {
        Table::Chunks => "SELECT (SELECT min(id) FROM chunks), (SELECT max(id) FROM chunks)",
        Table::Minutes => "SELECT (SELECT min(id) FROM minutes), (SELECT max(id) FROM minutes)",
        Table::Hours => "SELECT (SELECT min(id) FROM hours), (SELECT max(id) FROM hours)",
    };
    let (first, last): (Option<i64>, Option<i64>) =
        sqlx::query_as(statement).fetch_one(conn).await?;
    Ok(first.zip(last))
}

/// The first key of a chunk from `from` on.
pub(super) async fn chunk_from(
    conn: &mut SqliteConnection,
    from: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT min(id) FROM chunks WHERE id >= ?1").bind(from).fetch_one(conn).await
}

/// Deletes at most `slice` rows before `cutoff`, oldest first; says how many there were, and their
/// bytes.
pub(super) async fn delete_before(
    conn: &mut SqliteConnection,
    table: Table,
    cutoff: i64,
    slice: i64,
) -> sqlx::Result<(u64, i64)> {
    let statement = match table {
        Table::Chunks => {
            "DELETE FROM chunks WHERE id < min(?1, coalesce(
                 (SELECT id FROM chunks ORDER BY id LIMIT 1 OFFSET ?2), ?1))
             RETURNING length(data)"
        }
        Table::Minutes => {
            "DELETE FROM minutes WHERE id < min(?1, coalesce(
                 (SELECT id FROM minutes ORDER BY id LIMIT 1 OFFSET ?2), ?1))
             RETURNING length(data)"
        }
        Table::Hours => {
            "DELETE FROM hours WHERE id < min(?1, coalesce(
                 (SELECT id FROM hours ORDER BY id LIMIT 1 OFFSET ?2), ?1))
             RETURNING length(data)"
        }
    };
    let lens: Vec<i64> =
        sqlx::query_scalar(statement).bind(cutoff).bind(slice).fetch_all(conn).await?;
    Ok((lens.len() as u64, lens.iter().sum()))
}

/// The rows of the journal, oldest first.
pub(super) async fn journal_after(
    conn: &mut SqliteConnection,
    seq: i64,
    limit: i64,
) -> sqlx::Result<Vec<KeyedBlob>> {
    sqlx::query_as("SELECT seq, data FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .bind(seq)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// The number of the last row of the journal.
pub(super) async fn last_seq(conn: &mut SqliteConnection) -> sqlx::Result<i64> {
    let last: Option<i64> =
        sqlx::query_scalar("SELECT max(seq) FROM journal").fetch_one(conn).await?;
    Ok(last.unwrap_or(0))
}

pub(super) async fn insert_journal(
    conn: &mut SqliteConnection,
    seq: i64,
    data: &[u8],
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO journal (seq, data) VALUES (?1, ?2)")
        .bind(seq)
        .bind(data)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn delete_journal(conn: &mut SqliteConnection, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM journal WHERE seq < ?1").bind(before).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_mark(conn: &mut SqliteConnection, mark: Mark) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO marks (at, kind, span_ms) VALUES (?1, ?2, ?3)")
        .bind(mark.at.as_millisecond())
        .bind(mark.kind.as_str())
        .bind(mark.span_ms)
        .execute(conn)
        .await?;
    Ok(())
}

/// The marks of a range, both ends included, oldest first.
pub(super) async fn marks(
    conn: &mut SqliteConnection,
    from_ms: i64,
    to_ms: i64,
) -> sqlx::Result<Vec<Mark>> {
    let rows: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT at, kind, span_ms FROM marks WHERE at BETWEEN ?1 AND ?2 ORDER BY at, id LIMIT ?3",
    )
    .bind(from_ms)
    .bind(to_ms)
    .bind(MARKS_MAX)
    .fetch_all(conn)
    .await?;
    let mark = |(at, kind, span_ms): (i64, String, i64)| {
        let kind = MarkKind::ALL.into_iter().find(|it| it.as_str() == kind)?;
        Some(Mark { at: Timestamp::from_millisecond(at).ok()?, kind, span_ms })
    };
    // One of a kind that a later release may know is left out.
    Ok(rows.into_iter().filter_map(mark).collect())
}

/// Deletes marks before `cutoff_ms`, and the oldest of those that are too many.
pub(super) async fn delete_marks(conn: &mut SqliteConnection, cutoff_ms: i64) -> sqlx::Result<()> {
    sqlx::query(
        "DELETE FROM marks WHERE at < ?1 OR id <=
         (SELECT id FROM marks ORDER BY id DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(cutoff_ms)
    .bind(MARKS_MAX)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn number(conn: &mut SqliteConnection, name: &str) -> sqlx::Result<i64> {
    let value = sqlx::query_scalar("SELECT value FROM counters WHERE name = ?1")
        .bind(name)
        .fetch_optional(conn)
        .await?;
    Ok(value.unwrap_or(0))
}

pub(super) async fn set_number(
    conn: &mut SqliteConnection,
    name: &str,
    value: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO counters (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn load_counters(conn: &mut SqliteConnection) -> sqlx::Result<Counters> {
    let counters = Counters::default();
    for (counted, name) in COUNTERS {
        let value = number(conn, name).await?;
        counters.add(counted, value.max(0).unsigned_abs());
    }
    Ok(counters)
}

pub(super) async fn save_counters(
    conn: &mut SqliteConnection,
    counters: &Counters,
) -> sqlx::Result<()> {
    for (counted, name) in COUNTERS {
        let value = i64::try_from(counters.get(counted)).unwrap_or(i64::MAX);
        set_number(conn, name, value).await?;
    }
    Ok(())
}

pub(super) async fn load_sizes(conn: &mut SqliteConnection) -> sqlx::Result<Sizes> {
    let mut sizes = [0; SIZES.len()];
    for (size, name) in sizes.iter_mut().zip(SIZES) {
        *size = number(conn, name).await?;
    }
    Ok(sizes)
}

pub(super) async fn save_sizes(conn: &mut SqliteConnection, sizes: Sizes) -> sqlx::Result<()> {
    for (size, name) in sizes.into_iter().zip(SIZES) {
        set_number(conn, name, size).await?;
    }
    Ok(())
}
