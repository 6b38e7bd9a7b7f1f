//! The table `reports`: which reports of an agent were taken, so that each counts once.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::AgentId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// How many reports of each agent are remembered, the newest.
pub const REPORTS_KEPT: u32 = 1_000;

/// Remembers a report; says whether it is a new one of an agent that is there.
pub(crate) async fn take(
    conn: &mut SqliteConnection,
    id: AgentId,
    key: &str,
    seq: u64,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT OR IGNORE INTO reports (agent_id, key, seq) \
         SELECT id, ?, ? FROM agents WHERE id = ? AND removed_seq IS NULL",
    )
    .bind(key)
    .bind(column::count(seq))
    .bind(column::id(id.as_uuid()))
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    sqlx::query(
        "DELETE FROM reports WHERE agent_id = ?1 AND seq <= (SELECT seq FROM reports \
         WHERE agent_id = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(column::id(id.as_uuid()))
    .bind(i64::from(REPORTS_KEPT))
    .execute(conn)
    .await?;
    Ok(true)
}

/// Forgets the reports of an agent.
pub(crate) async fn forget(conn: &mut SqliteConnection, id: AgentId) -> Result<(), RowError> {
    sqlx::query("DELETE FROM reports WHERE agent_id = ?")
        .bind(column::id(id.as_uuid()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Whether a report was taken.
pub(crate) async fn seen(
    conn: &mut SqliteConnection,
    id: AgentId,
    key: &str,
) -> Result<bool, RowError> {
    let found: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM reports WHERE agent_id = ? AND key = ?")
            .bind(column::id(id.as_uuid()))
            .bind(key)
            .fetch_optional(conn)
            .await?;
    Ok(found.is_some())
}
