//! The table `outbox`: effects that are still to be carried out, and those that were.
//!
//! Tested in `tests/ledger/commit.rs`.

use jiff::Timestamp;
use model::effect::OutboxEntry;
use model::id::EffectId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;

/// How long a delivered effect is kept, in hours.
const DELIVERED_KEPT_H: i64 = 24;
/// Effects removed at once, so that pruning never holds the writer for long.
const PRUNED_AT_ONCE: i64 = 1_000;

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

/// Removes some of the effects that were delivered long ago; says whether there may be more.
pub(crate) async fn prune(conn: &mut SqliteConnection, now: Timestamp) -> Result<bool, RowError> {
    let kept = jiff::SignedDuration::from_hours(DELIVERED_KEPT_H);
    let oldest = now.saturating_sub(kept).unwrap_or(Timestamp::MIN);
    let removed = sqlx::query(
        "DELETE FROM outbox WHERE place IN (SELECT place FROM outbox \
         WHERE delivered_at IS NOT NULL AND delivered_at <= ? ORDER BY delivered_at LIMIT ?)",
    )
    .bind(column::time(oldest))
    .bind(PRUNED_AT_ONCE)
    .execute(conn)
    .await?;
    Ok(removed.rows_affected() >= PRUNED_AT_ONCE as u64)
}

#[cfg(test)]
mod tests {
    use model::clock::{Clock as _, SystemClock};
    use model::effect::Effect;
    use model::id::{AttemptId, SystemDraw};
    use sqlx::Connection as _;

    use super::*;

    #[tokio::test]
    async fn delivered_effects_go_after_a_day_and_open_ones_stay() {
        let mut conn = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        crate::ledger::open::MIGRATOR.run(&mut conn).await.unwrap();
        let now = SystemClock.now();
        let old = now - jiff::SignedDuration::from_hours(DELIVERED_KEPT_H);
        let mut kept = Vec::new();
        for n in 0..PRUNED_AT_ONCE + 3 {
            let entry = OutboxEntry {
                id: EffectId::draw(old, &mut SystemDraw),
                effect: Effect::Stop { attempt_id: AttemptId::draw(old, &mut SystemDraw) },
            };
            insert(&mut conn, &entry, old).await.unwrap();
            match n {
                0 => kept.push(entry.id),
                1 => assert!(deliver(&mut conn, entry.id, now).await.unwrap()),
                _ => assert!(deliver(&mut conn, entry.id, old).await.unwrap()),
            }
        }
        assert!(prune(&mut conn, now).await.unwrap(), "one is left");
        assert!(!prune(&mut conn, now).await.unwrap());
        let open: Vec<_> = open(&mut conn, 9).await.unwrap().iter().map(|e| e.id).collect();
        assert_eq!(open, kept);
        let left: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM outbox").fetch_one(&mut conn).await.unwrap();
        assert_eq!(left, 2);
    }
}
