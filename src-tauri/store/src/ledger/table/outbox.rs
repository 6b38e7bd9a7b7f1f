//! The table `outbox`: effects that are still to be carried out, and those that were.
//!
//! Tested in `tests/ledger/commit.rs`.

use jiff::Timestamp;
use model::effect::OutboxEntry;
use model::id::EffectId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// Adds an effect.
pub(crate) async fn insert(
    conn: &mut SqliteConnection,
    entry: &OutboxEntry,
    at: Timestamp,
) -> Result<(), RowError> {
    sqlx::query("INSERT INTO outbox (id, effect, at) VALUES (?, ?, ?)")
        .bind(column::id(entry.id.as_uuid()))
        .bind(column::json("outbox.effect", &entry.effect)?)
        .bind(column::time(at))
        .execute(conn)
        .await?;
    Ok(())
}

/// Marks an effect as carried out; says whether it was still open.
pub(crate) async fn deliver(
    conn: &mut SqliteConnection,
    id: EffectId,
    at: Timestamp,
) -> Result<bool, RowError> {
    let done =
        sqlx::query("UPDATE outbox SET delivered_at = ? WHERE id = ? AND delivered_at IS NULL")
            .bind(column::time(at))
            .bind(column::id(id.as_uuid()))
            .execute(conn)
            .await?;
    Ok(done.rows_affected() == 1)
}

/// Effects that are still to be carried out, oldest first.
pub(crate) async fn open(
    conn: &mut SqliteConnection,
    limit: usize,
) -> Result<Vec<OutboxEntry>, RowError> {
    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as(
        "SELECT id, effect FROM outbox WHERE delivered_at IS NULL ORDER BY place LIMIT ?",
    )
    .bind(limit as i64)
    .fetch_all(conn)
    .await?;
    rows.iter()
        .map(|(id, effect)| {
            Ok(OutboxEntry {
                id: column::read_id("outbox.id", id, EffectId::from_uuid)?,
                effect: column::read_json("outbox.effect", effect)?,
            })
        })
        .collect()
}
