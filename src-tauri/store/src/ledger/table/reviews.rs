//! The table `reviews`: reviewing agents that have been asked and have not answered.
//!
//! Tested in `tests/ledger/workspace.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::{AgentId, AttemptId};
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::page::collect;
use crate::ledger::stroke::{Rows, Stroke, values};

/// Remembers who was asked; whoever was asked before for the same gate is not awaited any more.
/// Says whether there is such an attempt that is not over.
pub(crate) async fn ask(
    conn: &mut SqliteConnection,
    attempt_id: AttemptId,
    index: u32,
    agent_id: AgentId,
    seq: u64,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO reviews (attempt_id, gate_index, agent_id, asked_seq) \
         SELECT id, ?, ?, ? FROM attempts \
         WHERE id = ? AND state NOT IN ('accepted', 'rejected', 'lost', 'stopped')",
    )
    .bind(i64::from(index))
    .bind(column::id(agent_id.as_uuid()))
    .bind(column::count(seq))
    .bind(column::id(attempt_id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Nobody is awaited any more for one gate of an attempt.
pub(crate) async fn answered(
    conn: &mut SqliteConnection,
    attempt_id: AttemptId,
    index: u32,
) -> Result<(), RowError> {
    sqlx::query("DELETE FROM reviews WHERE attempt_id = ? AND gate_index = ?")
        .bind(column::id(attempt_id.as_uuid()))
        .bind(i64::from(index))
        .execute(conn)
        .await?;
    Ok(())
}

static DROP_ALL: Rows = Rows {
    head: "DELETE FROM reviews WHERE attempt_id IN (VALUES ",
    columns: 1,
    tail: ")",
    exact: false,
};

/// Nobody is awaited any more for an attempt.
pub(crate) fn drop_all(attempt_id: AttemptId) -> Stroke {
    let id = attempt_id.as_uuid();
    Stroke { rows: &DROP_ALL, subject: Some(id), values: values![column::id(id)] }
}

/// Who is awaited, longest first.
pub(crate) async fn pending(
    conn: &mut SqliteConnection,
) -> Result<Vec<(AttemptId, u32, AgentId)>, RowError> {
    let rows: Vec<(Vec<u8>, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT attempt_id, gate_index, agent_id FROM reviews ORDER BY asked_seq, gate_index",
    )
    .fetch_all(conn)
    .await?;
    collect(rows, |(attempt, index, agent)| {
        Ok((
            column::read_id("reviews.attempt_id", &attempt, AttemptId::from_uuid)?,
            column::read_small("reviews.gate_index", index)?,
            column::read_id("reviews.agent_id", &agent, AgentId::from_uuid)?,
        ))
    })
}
