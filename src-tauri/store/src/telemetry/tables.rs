//! The tables of telemetry.db and every statement that touches them.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, SqlitePool};

use super::blob;
use super::counters::{COUNTERS, Counters};
use super::memory::{Chunk, SeriesRow};
use super::sums::{Point, Scale, Sums, by_minute};

/// Names of single numbers that are not counters of samples.
pub(super) const NEXT_PART: &str = "next_part";
pub(super) const CLOSED_CLEANLY: &str = "closed_cleanly";

/// A chunk's place, and where its samples lie.
#[derive(Debug)]
pub(super) struct ChunkRow {
    pub(super) window: i64,
    pub(super) part: i64,
    pub(super) samples: Vec<u8>,
}

/// What a chunk amounts to.
#[derive(Debug)]
pub(super) struct RollupRow {
    pub(super) window: i64,
    pub(super) part: i64,
    pub(super) first_at: i64,
    pub(super) sums: Sums,
    pub(super) minutes: Vec<u8>,
}

/// The oldest and newest windows of a table that holds any.
pub(super) type Extent = Option<(i64, i64)>;

/// Chunk and rollup as they go into the file.
#[derive(Debug)]
pub(super) struct Sealed {
    series: i64,
    rollup: RollupRow,
    samples: Vec<u8>,
}

impl Sealed {
    /// Encodes a chunk; `None` for one without samples, which is never made.
    pub(super) fn seal(chunk: &Chunk) -> Option<Self> {
        let start = super::memory::window_start(chunk.window);
        let minutes = by_minute(&chunk.points);
        let mut all = minutes.iter().map(|(_, sums)| *sums);
        let mut sums = all.next()?;
        all.for_each(|minute| sums.merge(minute));
        Some(Self {
            series: chunk.series,
            rollup: RollupRow {
                window: chunk.window,
                part: chunk.part,
                first_at: chunk.points.first()?.at,
                sums,
                minutes: blob::encode_minutes(&minutes),
            },
            samples: blob::encode_chunk(&chunk.points, start),
        })
    }
}

pub(super) async fn load_series(conn: &mut SqliteConnection) -> sqlx::Result<Vec<SeriesRow>> {
    let rows = sqlx::query(
        "SELECT id, name, labels, resolution, journal_from, last_at, last_value FROM series",
    )
    .fetch_all(conn)
    .await?;
    rows.iter().map(series_row).collect()
}

fn series_row(row: &SqliteRow) -> sqlx::Result<SeriesRow> {
    let labels: String = row.try_get("labels")?;
    let labels =
        serde_json::from_str(&labels).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(SeriesRow {
        id: row.try_get("id")?,
        key: model::signal::SeriesKey { name: row.try_get("name")?, labels },
        scale: Scale(row.try_get("resolution")?),
        journal_from: row.try_get("journal_from")?,
        latest: Point { at: row.try_get("last_at")?, value: row.try_get("last_value")? },
    })
}

pub(super) async fn insert_series(
    conn: &mut SqliteConnection,
    series: &SeriesRow,
) -> sqlx::Result<()> {
    let labels = serde_json::to_string(&series.key.labels)
        .map_err(|error| sqlx::Error::Encode(error.into()))?;
    sqlx::query(
        "INSERT INTO series (id, name, labels, resolution, journal_from, last_at, last_value)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(series.id)
    .bind(&series.key.name)
    .bind(labels)
    .bind(series.scale.0)
    .bind(series.journal_from)
    .bind(series.latest.at)
    .bind(series.latest.value)
    .execute(conn)
    .await?;
    Ok(())
}

pub(super) async fn update_series(
    conn: &mut SqliteConnection,
    series: &SeriesRow,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE series SET journal_from = ?2, last_at = ?3, last_value = ?4 WHERE id = ?1")
        .bind(series.id)
        .bind(series.journal_from)
        .bind(series.latest.at)
        .bind(series.latest.value)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn delete_series(conn: &mut SqliteConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM series WHERE id = ?1").bind(id).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_sealed(
    conn: &mut SqliteConnection,
    sealed: &Sealed,
) -> sqlx::Result<()> {
    let rollup = &sealed.rollup;
    sqlx::query(
        "INSERT INTO chunks (time_window, series_id, part, samples) VALUES (?1, ?2, ?3, ?4)",
    )
    .bind(rollup.window)
    .bind(sealed.series)
    .bind(rollup.part)
    .bind(sealed.samples.as_slice())
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO rollups (time_window, series_id, part, first_at, last_at, sample_count,
             min_value, max_value, sum_value, last_value, minutes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )
    .bind(rollup.window)
    .bind(sealed.series)
    .bind(rollup.part)
    .bind(rollup.first_at)
    .bind(rollup.sums.last.at)
    .bind(rollup.sums.count)
    .bind(rollup.sums.min)
    .bind(rollup.sums.max)
    .bind(rollup.sums.sum)
    .bind(rollup.sums.last.value)
    .bind(rollup.minutes.as_slice())
    .execute(conn)
    .await?;
    Ok(())
}

/// The windows of which there are chunks, and those of which there are rollups.
pub(super) async fn extents(pool: &SqlitePool) -> sqlx::Result<(Extent, Extent)> {
    let row = sqlx::query(
        "SELECT (SELECT min(time_window) FROM chunks), (SELECT max(time_window) FROM chunks),
                (SELECT min(time_window) FROM rollups), (SELECT max(time_window) FROM rollups)",
    )
    .fetch_one(pool)
    .await?;
    let edge = |at: usize| row.try_get::<Option<i64>, _>(at);
    Ok((edge(0)?.zip(edge(1)?), edge(2)?.zip(edge(3)?)))
}

/// The chunks of a series in `windows` (first and last), by one seek for each: the key is
/// time-major, and windows of one series are ten minutes apart.
pub(super) async fn chunks_of(
    pool: &SqlitePool,
    series: i64,
    windows: (i64, i64),
) -> sqlx::Result<Vec<ChunkRow>> {
    let rows = sqlx::query(
        "WITH RECURSIVE w(n) AS (VALUES (?1) UNION ALL SELECT n + 10 FROM w WHERE n + 10 <= ?2)
         SELECT c.time_window, c.part, c.samples
         FROM w CROSS JOIN chunks AS c ON c.time_window = w.n AND c.series_id = ?3",
    )
    .bind(windows.0)
    .bind(windows.1)
    .bind(series)
    .fetch_all(pool)
    .await?;
    let row = |row: &SqliteRow| {
        Ok(ChunkRow { window: row.try_get(0)?, part: row.try_get(1)?, samples: row.try_get(2)? })
    };
    rows.iter().map(row).collect()
}

/// The rollups of a series in `windows`, as in [`chunks_of`].
pub(super) async fn rollups_of(
    pool: &SqlitePool,
    series: i64,
    windows: (i64, i64),
) -> sqlx::Result<Vec<RollupRow>> {
    let rows = sqlx::query(
        "WITH RECURSIVE w(n) AS (VALUES (?1) UNION ALL SELECT n + 10 FROM w WHERE n + 10 <= ?2)
         SELECT r.time_window, r.part, r.first_at, r.last_at, r.sample_count, r.min_value,
                r.max_value, r.sum_value, r.last_value, r.minutes
         FROM w CROSS JOIN rollups AS r ON r.time_window = w.n AND r.series_id = ?3",
    )
    .bind(windows.0)
    .bind(windows.1)
    .bind(series)
    .fetch_all(pool)
    .await?;
    rows.iter().map(rollup_row).collect()
}

fn rollup_row(row: &SqliteRow) -> sqlx::Result<RollupRow> {
    Ok(RollupRow {
        window: row.try_get("time_window")?,
        part: row.try_get("part")?,
        first_at: row.try_get("first_at")?,
        sums: Sums {
            min: row.try_get("min_value")?,
            max: row.try_get("max_value")?,
            sum: row.try_get("sum_value")?,
            count: row.try_get("sample_count")?,
            last: Point { at: row.try_get("last_at")?, value: row.try_get("last_value")? },
        },
        minutes: row.try_get("minutes")?,
    })
}

/// Deletes at most `slice` chunks of windows before `cutoff`, oldest first.
pub(super) async fn delete_chunks(
    conn: &mut SqliteConnection,
    cutoff: i64,
    slice: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM chunks WHERE (time_window, series_id, part) IN
         (SELECT time_window, series_id, part FROM chunks WHERE time_window < ?1
          ORDER BY time_window, series_id, part LIMIT ?2)",
    )
    .bind(cutoff)
    .bind(slice)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes at most `slice` rollups of windows before `cutoff`, oldest first.
pub(super) async fn delete_rollups(
    conn: &mut SqliteConnection,
    cutoff: i64,
    slice: i64,
) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "DELETE FROM rollups WHERE (time_window, series_id, part) IN
         (SELECT time_window, series_id, part FROM rollups WHERE time_window < ?1
          ORDER BY time_window, series_id, part LIMIT ?2)",
    )
    .bind(cutoff)
    .bind(slice)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// The rows of the journal, oldest first.
pub(super) async fn journal_after(
    conn: &mut SqliteConnection,
    seq: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, Vec<u8>)>> {
    sqlx::query_as("SELECT seq, samples FROM journal WHERE seq > ?1 ORDER BY seq LIMIT ?2")
        .bind(seq)
        .bind(limit)
        .fetch_all(conn)
        .await
}

pub(super) async fn insert_journal(
    conn: &mut SqliteConnection,
    seq: i64,
    samples: &[u8],
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO journal (seq, samples) VALUES (?1, ?2)")
        .bind(seq)
        .bind(samples)
        .execute(conn)
        .await?;
    Ok(())
}

pub(super) async fn delete_journal(conn: &mut SqliteConnection, before: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM journal WHERE seq < ?1").bind(before).execute(conn).await?;
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
