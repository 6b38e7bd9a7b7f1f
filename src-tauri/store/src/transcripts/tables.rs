//! The tables of transcripts.db and every statement that touches them.

use std::ops::RangeInclusive;

use jiff::Timestamp;
use model::conversation::{Entry, ToolKind};
use model::id::AttemptId;
use sqlx::sqlite::SqliteConnection;
use sqlx::{QueryBuilder, Sqlite};
use uuid::Uuid;

use super::row::{self, Row};
use super::search::{Words, attempt_tag, kind_tag};
use super::{Hit, PAGE_ENTRIES_MAX, PageFrom, Placed, ReadError, ToolCalls, ToolTime};

/// Names of single numbers.
pub(super) const NEXT_REVISION: &str = "next_revision";
pub(super) const CLOSED_CLEANLY: &str = "closed_cleanly";
/// The most attempts of one search.
const SEARCHED_MAX: usize = 500;

fn bytes(id: AttemptId) -> Vec<u8> {
    id.as_uuid().as_bytes().to_vec()
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn stored(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) async fn mark(conn: &mut SqliteConnection, name: &str) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT value FROM marks WHERE name = ?1")
        .bind(name)
        .fetch_optional(conn)
        .await
}

pub(super) async fn set_mark(
    conn: &mut SqliteConnection,
    name: &str,
    value: i64,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO marks (name, value) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(conn)
    .await?;
    Ok(())
}

/// The key of an attempt and the ordinal of its next entry; it is added where it is not there.
pub(super) async fn attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
    now_ms: i64,
) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "INSERT INTO attempts (attempt_id, next_ordinal, kept_from, revision, entries, bytes,
                               changed_ms)
         VALUES (?1, 1, 1, 0, 0, 0, ?2)
         ON CONFLICT (attempt_id) DO UPDATE SET changed_ms = excluded.changed_ms
         RETURNING key, next_ordinal",
    )
    .bind(bytes(id))
    .bind(now_ms)
    .fetch_one(conn)
    .await
}

/// What an attempt has after its entries were written.
pub(super) async fn advance(
    conn: &mut SqliteConnection,
    key: i64,
    next_ordinal: i64,
    revision: i64,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE attempts SET next_ordinal = ?2, revision = ?3 WHERE key = ?1")
        .bind(key)
        .bind(next_ordinal)
        .bind(revision)
        .execute(conn)
        .await?;
    Ok(())
}

/// Adds an entry at `ordinal`, or changes the one with its id where that stands; gives the ordinal,
/// or nothing where it is as it was.
pub(super) async fn put(
    conn: &mut SqliteConnection,
    key: i64,
    ordinal: i64,
    revision: i64,
    row: &Row,
) -> sqlx::Result<Option<i64>> {
    let call = row.call.as_ref();
    let written: Option<(i64, i64)> = sqlx::query_as(
        "INSERT INTO entries (attempt, ordinal, revision, bytes, kind, tool, tool_state, tool_ms,
                              slow, id, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (attempt, id) DO UPDATE SET
             revision = excluded.revision, bytes = excluded.bytes, kind = excluded.kind,
             tool = excluded.tool, tool_state = excluded.tool_state, tool_ms = excluded.tool_ms,
             slow = excluded.slow, body = excluded.body
             WHERE entries.body <> excluded.body
         RETURNING place, ordinal",
    )
    .bind(key)
    .bind(ordinal)
    .bind(revision)
    .bind(row.body.len() as i64)
    .bind(row.kind)
    .bind(call.map(|call| call.tool.as_str()))
    .bind(call.map(|call| call.state.as_str()))
    .bind(call.and_then(|call| call.ms))
    .bind(call.is_some_and(|call| call.slow))
    .bind(&row.id)
    .bind(&row.body)
    .fetch_optional(&mut *conn)
    .await?;
    let Some((place, placed)) = written else {
        return Ok(None);
    };
    if !row.text.is_empty() {
        let tags = format!("{} {}", attempt_tag(key), kind_tag(row.kind));
        sqlx::query("INSERT OR REPLACE INTO texts (rowid, tags, text) VALUES (?1, ?2, ?3)")
            .bind(place)
            .bind(tags)
            .bind(&row.text)
            .execute(conn)
            .await?;
    } else if placed != ordinal {
        sqlx::query("DELETE FROM texts WHERE rowid = ?1").bind(place).execute(conn).await?;
    }
    Ok(Some(placed))
}

/// How many entries and bytes an attempt has.
pub(super) async fn amount(conn: &mut SqliteConnection, key: i64) -> sqlx::Result<(u64, u64)> {
    let (entries, bytes): (i64, i64) =
        sqlx::query_as("SELECT entries, bytes FROM attempts WHERE key = ?1")
            .bind(key)
            .fetch_one(conn)
            .await?;
    Ok((number(entries), number(bytes)))
}

/// Ordinals and sizes of an attempt's oldest entries.
pub(super) async fn oldest(
    conn: &mut SqliteConnection,
    key: i64,
    limit: u32,
) -> sqlx::Result<Vec<(u64, u64)>> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT ordinal, bytes FROM entries WHERE attempt = ?1 ORDER BY ordinal LIMIT ?2",
    )
    .bind(key)
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(ordinal, bytes)| (number(ordinal), number(bytes))).collect())
}

/// Gives an attempt's entries up to an ordinal up.
pub(super) async fn give_up(
    conn: &mut SqliteConnection,
    key: i64,
    ordinal: u64,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM entries WHERE attempt = ?1 AND ordinal <= ?2")
        .bind(key)
        .bind(stored(ordinal))
        .execute(&mut *conn)
        .await?;
    sqlx::query("UPDATE attempts SET kept_from = ?2 WHERE key = ?1")
        .bind(key)
        .bind(stored(ordinal + 1))
        .execute(conn)
        .await?;
    Ok(())
}

/// Forgets an attempt of which no entry is left.
pub(super) async fn remove_attempt(conn: &mut SqliteConnection, key: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM attempts WHERE key = ?1").bind(key).execute(conn).await?;
    Ok(())
}

/// The attempt that did not change for longest, where that is before a moment.
pub(super) async fn stale(
    conn: &mut SqliteConnection,
    before_ms: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT key FROM attempts WHERE changed_ms < ?1 ORDER BY changed_ms LIMIT 1")
        .bind(before_ms)
        .fetch_optional(conn)
        .await
}

/// Of the attempts that have entries, the one that did not change for longest.
pub(super) async fn stalest_filled(conn: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT key FROM attempts WHERE entries > 0 ORDER BY changed_ms LIMIT 1")
        .fetch_optional(conn)
        .await
}

/// When anything last changed.
pub(super) async fn newest_ms(conn: &mut SqliteConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT MAX(changed_ms) FROM attempts").fetch_one(conn).await
}

/// The key of an attempt.
pub(super) async fn key(conn: &mut SqliteConnection, id: AttemptId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar("SELECT key FROM attempts WHERE attempt_id = ?1")
        .bind(bytes(id))
        .fetch_optional(conn)
        .await
}

/// The keys of attempts, of those that have entries.
pub(super) async fn keys(conn: &mut SqliteConnection, ids: &[AttemptId]) -> sqlx::Result<Vec<i64>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Sqlite>::new("SELECT key FROM attempts WHERE attempt_id IN (");
    let mut list = query.separated(", ");
    for id in ids.iter().take(SEARCHED_MAX) {
        list.push_bind(bytes(*id));
    }
    query.push(")");
    query.build_query_scalar().fetch_all(conn).await
}

/// What is known of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) key: i64,
    pub(super) entries: u64,
    pub(super) kept_from: u64,
    pub(super) revision: u64,
}

pub(super) async fn known(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> sqlx::Result<Option<Known>> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT key, entries, kept_from, revision FROM attempts WHERE attempt_id = ?1",
    )
    .bind(bytes(id))
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|(key, entries, kept_from, revision)| Known {
        key,
        entries: number(entries),
        kept_from: number(kept_from),
        revision: number(revision),
    }))
}

/// The first and last ordinal of an attempt; 0 where it has no entry.
pub(super) async fn ends(conn: &mut SqliteConnection, key: i64) -> sqlx::Result<(u64, u64)> {
    // Two questions: each is one look at an end of the index.
    let (first, last): (i64, i64) = sqlx::query_as(
        "SELECT COALESCE((SELECT MIN(ordinal) FROM entries WHERE attempt = ?1), 0),
                COALESCE((SELECT MAX(ordinal) FROM entries WHERE attempt = ?1), 0)",
    )
    .bind(key)
    .fetch_one(conn)
    .await?;
    Ok((number(first), number(last)))
}

/// Ordinals and sizes of what a page may hold, from where it begins on.
pub(super) async fn sizes(
    conn: &mut SqliteConnection,
    key: i64,
    from: PageFrom,
    limit: u32,
) -> sqlx::Result<Vec<(u64, u64)>> {
    let (sql, from) = match from {
        PageFrom::After(ordinal) => (
            "SELECT ordinal, bytes FROM entries WHERE attempt = ?1 AND ordinal > ?2
             ORDER BY ordinal LIMIT ?3",
            stored(ordinal),
        ),
        PageFrom::Before(ordinal) => (BACKWARDS, stored(ordinal)),
        PageFrom::End => (BACKWARDS, i64::MAX),
    };
    let rows: Vec<(i64, i64)> =
        sqlx::query_as(sql).bind(key).bind(from).bind(limit).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(ordinal, bytes)| (number(ordinal), number(bytes))).collect())
}

const BACKWARDS: &str = "SELECT ordinal, bytes FROM entries WHERE attempt = ?1 AND ordinal < ?2
    ORDER BY ordinal DESC LIMIT ?3";

fn placed((ordinal, revision, body): (i64, i64, String)) -> Result<Placed, ReadError> {
    let ordinal = number(ordinal);
    let entry =
        serde_json::from_str(&body).map_err(|source| ReadError::Unreadable { ordinal, source })?;
    Ok(Placed { ordinal, revision: number(revision), entry })
}

/// Entries by their ordinals, in order.
pub(super) async fn entries(
    conn: &mut SqliteConnection,
    key: i64,
    range: RangeInclusive<u64>,
) -> Result<Vec<Placed>, ReadError> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT ordinal, revision, body FROM entries
         WHERE attempt = ?1 AND ordinal BETWEEN ?2 AND ?3 ORDER BY ordinal",
    )
    .bind(key)
    .bind(stored(*range.start()))
    .bind(stored(*range.end()))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(placed).collect()
}

/// Revisions and sizes of what changed after a revision, oldest change first.
pub(super) async fn changed(
    conn: &mut SqliteConnection,
    key: i64,
    revision: u64,
    limit: u32,
) -> sqlx::Result<Vec<(u64, u64)>> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT revision, bytes FROM entries WHERE attempt = ?1 AND revision > ?2
         ORDER BY revision LIMIT ?3",
    )
    .bind(key)
    .bind(stored(revision))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|(revision, bytes)| (number(revision), number(bytes))).collect())
}

/// Entries that changed after a revision and not after another, oldest change first.
pub(super) async fn revised(
    conn: &mut SqliteConnection,
    key: i64,
    after: u64,
    last: u64,
) -> Result<Vec<Placed>, ReadError> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT ordinal, revision, body FROM entries
         WHERE attempt = ?1 AND revision > ?2 AND revision <= ?3 ORDER BY revision",
    )
    .bind(key)
    .bind(stored(after))
    .bind(stored(last))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(placed).collect()
}

/// Tool calls that wait or run, in order.
pub(super) async fn open_calls(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Vec<Placed>, ReadError> {
    let rows: Vec<(i64, i64, String)> = sqlx::query_as(
        "SELECT ordinal, revision, body FROM entries
         WHERE attempt = (SELECT key FROM attempts WHERE attempt_id = ?1)
         AND tool_state IN ('pending', 'running') ORDER BY ordinal LIMIT ?2",
    )
    .bind(bytes(id))
    .bind(PAGE_ENTRIES_MAX)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(placed).collect()
}

#[derive(sqlx::FromRow)]
struct ToolRow {
    tool: String,
    calls: i64,
    open: i64,
    failed: i64,
    slow: i64,
    ms: i64,
}

/// What an attempt used tools for.
pub(super) async fn tool_calls(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<ToolCalls, ReadError> {
    let rows: Vec<ToolRow> = sqlx::query_as(
        "SELECT tool, COUNT(*) AS calls, SUM(tool_state IN ('pending', 'running')) AS open,
                SUM(tool_state = 'failed') AS failed, SUM(slow) AS slow,
                COALESCE(SUM(tool_ms), 0) AS ms
         FROM entries WHERE attempt = (SELECT key FROM attempts WHERE attempt_id = ?1)
         AND tool_state IS NOT NULL GROUP BY tool ORDER BY ms DESC, tool",
    )
    .bind(bytes(id))
    .fetch_all(conn)
    .await?;
    let mut all = ToolCalls::default();
    for row in rows {
        let tool: ToolKind = serde_json::from_value(row.tool.into()).unwrap_or_default();
        let time = ToolTime {
            tool,
            calls: number(row.calls),
            failed: number(row.failed),
            slow: number(row.slow),
            ms: number(row.ms),
        };
        all.total += time.calls;
        all.open += number(row.open);
        all.failed += time.failed;
        all.slow += time.slow;
        all.total_ms += time.ms;
        all.by_tool.push(time);
    }
    Ok(all)
}

/// An entry that was found.
#[derive(sqlx::FromRow)]
pub(super) struct Found {
    pub(super) place: i64,
    attempt_id: Vec<u8>,
    ordinal: i64,
    kind: String,
    body: String,
}

impl Found {
    pub(super) fn hit(&self, words: &Words) -> Result<Hit, ReadError> {
        let ordinal = number(self.ordinal);
        let entry: Entry = serde_json::from_str(&self.body)
            .map_err(|source| ReadError::Unreadable { ordinal, source })?;
        let attempt_id = Uuid::from_slice(&self.attempt_id).map(AttemptId::from_uuid);
        let at: Timestamp = entry.at;
        Ok(Hit {
            attempt_id: attempt_id.map_err(|error| sqlx::Error::Decode(error.into()))?,
            ordinal,
            snippet: words.snippet(&row::text(&entry.body)),
            entry_id: entry.id,
            kind: self.kind.clone(),
            at,
        })
    }
}

/// Entries that an expression finds, newest first, before a place.
pub(super) async fn found(
    conn: &mut SqliteConnection,
    expression: &str,
    before: i64,
    limit: usize,
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as(
        "SELECT entries.place, attempts.attempt_id, entries.ordinal, entries.kind, entries.body
         FROM texts JOIN entries ON entries.place = texts.rowid
         JOIN attempts ON attempts.key = entries.attempt
         WHERE texts MATCH ?1 AND texts.rowid < ?2 ORDER BY texts.rowid DESC LIMIT ?3",
    )
    .bind(expression)
    .bind(before)
    .bind(limit as i64)
    .fetch_all(conn)
    .await
}
