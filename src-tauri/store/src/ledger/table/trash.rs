//! The table `trash`: what was removed and can be restored for a while.
//!
//! Tested in `tests/ledger/workspace.rs` and by the replay in `tests/ledger/replay.rs`.

use jiff::Timestamp;
use model::id::{MissionId, TrashId};
use model::trash::{TrashEnd, TrashItem, TrashKind};
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;
use crate::ledger::query;

/// Which things in the trash to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrashFilter {
    /// Only those of this kind.
    pub kind: Option<TrashKind>,
    /// Only those of this mission.
    pub mission_id: Option<MissionId>,
    /// Where to go on, from the page before.
    pub cursor: Option<String>,
    /// How many, at most [`crate::ledger::PAGE_ROWS_MAX`].
    pub limit: u32,
}

fn read(body: String) -> Result<TrashItem, RowError> {
    column::read_json("trash.body", &body)
}

/// Adds something.
pub(crate) async fn insert(conn: &mut SqliteConnection, item: &TrashItem) -> Result<(), RowError> {
    sqlx::query(
        "INSERT INTO trash (id, kind, mission_id, attempt, body, at, until) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(column::id(item.id.as_uuid()))
    .bind(column::word("trash.kind", &item.kind)?)
    .bind(column::id(item.mission_id.as_uuid()))
    .bind(item.attempt.map(i64::from))
    .bind(column::json("trash.body", item)?)
    .bind(column::time(item.at))
    .bind(column::time(item.until))
    .execute(conn)
    .await?;
    Ok(())
}

/// Marks how something left the trash; says whether it was in there.
pub(crate) async fn end(
    conn: &mut SqliteConnection,
    id: TrashId,
    end: TrashEnd,
) -> Result<bool, RowError> {
    let done = sqlx::query("UPDATE trash SET ended = ? WHERE id = ? AND ended IS NULL")
        .bind(column::word("trash.ended", &end)?)
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// How something left the trash; nothing where it was never in there, nothing inside where it
/// still is.
pub(crate) async fn ended(
    conn: &mut SqliteConnection,
    id: TrashId,
) -> Result<Option<Option<String>>, RowError> {
    Ok(sqlx::query_scalar("SELECT ended FROM trash WHERE id = ?")
        .bind(column::id(id.as_uuid()))
        .fetch_optional(conn)
        .await?)
}

/// One thing that is in the trash.
pub(crate) async fn get(
    conn: &mut SqliteConnection,
    id: TrashId,
) -> Result<Option<TrashItem>, RowError> {
    let body: Option<String> =
        sqlx::query_scalar("SELECT body FROM trash WHERE id = ? AND ended IS NULL")
            .bind(column::id(id.as_uuid()))
            .fetch_optional(conn)
            .await?;
    body.map(read).transpose()
}

/// What is in the trash and matches, newest first, at most `limit`.
pub(crate) async fn list(
    conn: &mut SqliteConnection,
    filter: &TrashFilter,
    before: Option<TrashId>,
    limit: usize,
) -> Result<Vec<TrashItem>, RowError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT body FROM trash WHERE ended IS NULL");
    if let Some(kind) = filter.kind {
        query.push(" AND kind = ").push_bind(column::word("trash.kind", &kind)?);
    }
    query::narrow(&mut query, " AND mission_id = ", filter.mission_id.map(MissionId::as_uuid));
    query::page(&mut query, before.map(TrashId::as_uuid), limit);
    collect(query.build_query_scalar().fetch_all(conn).await?, read)
}

/// What is to be removed for good by now, longest due first.
pub(crate) async fn due(
    conn: &mut SqliteConnection,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<TrashItem>, RowError> {
    let rows = sqlx::query_scalar(
        "SELECT body FROM trash WHERE ended IS NULL AND until <= ? ORDER BY until LIMIT ?",
    )
    .bind(column::time(now))
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    collect(rows, read)
}
