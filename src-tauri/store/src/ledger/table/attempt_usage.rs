//! The table `attempt_usage`: what each attempt has used according to each source.
//!
//! Tested in `tests/ledger/conversation.rs` and by the replay in `tests/ledger/replay.rs`.

use model::id::{AttemptId, MissionId};
use model::usage::Usage;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// The most figures of one mission that are handed out at once.
const FIGURES_MAX: i64 = 4_000;

fn read(body: &str) -> Result<Usage, RowError> {
    column::read_json("attempt_usage.body", body)
}

/// Keeps what a source says now in place of what it said before; says whether the attempt is there.
pub(crate) async fn put(
    conn: &mut SqliteConnection,
    id: AttemptId,
    usage: &Usage,
) -> Result<bool, RowError> {
    let done = sqlx::query(
        "INSERT OR REPLACE INTO attempt_usage (attempt_id, source, body) \
         SELECT id, ?, ? FROM attempts WHERE id = ?",
    )
    .bind(usage.source.as_str())
    .bind(column::json("attempt_usage.body", usage)?)
    .bind(column::id(id.as_uuid()))
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What an attempt has used, best source first.
pub(crate) async fn of_attempt(
    conn: &mut SqliteConnection,
    id: AttemptId,
) -> Result<Vec<Usage>, RowError> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT body FROM attempt_usage WHERE attempt_id = ?")
            .bind(column::id(id.as_uuid()))
            .fetch_all(conn)
            .await?;
    let mut all: Vec<Usage> = rows.iter().map(|body| read(body)).collect::<Result<_, _>>()?;
    all.sort_by_key(|usage| usage.source);
    Ok(all)
}

/// What the attempts of a mission have used, oldest attempt first, best source first.
pub(crate) async fn of_mission(
    conn: &mut SqliteConnection,
    id: MissionId,
) -> Result<Vec<(AttemptId, Vec<Usage>)>, RowError> {
    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT attempts.id, attempt_usage.body FROM attempts \
         JOIN attempt_usage ON attempt_usage.attempt_id = attempts.id \
         WHERE attempts.mission_id = ? ORDER BY attempts.n LIMIT ?",
    )
    .bind(column::id(id.as_uuid()))
    .bind(FIGURES_MAX)
    .fetch_all(conn)
    .await?;
    let mut all: Vec<(AttemptId, Vec<Usage>)> = Vec::new();
    for (attempt, body) in rows {
        let id = column::read_id("attempt_usage.attempt_id", &attempt, AttemptId::from_uuid)?;
        let usage = read(&body)?;
        match all.last_mut().filter(|(last, _)| *last == id) {
            Some((_, figures)) => figures.push(usage),
            None => all.push((id, vec![usage])),
        }
    }
    for (_, figures) in &mut all {
        figures.sort_by_key(|usage| usage.source);
    }
    Ok(all)
}
