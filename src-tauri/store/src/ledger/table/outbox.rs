//! The table `outbox`: effects that are still to be carried out, and those that were.
//!
//! Tested in `tests/ledger/commit.rs`.

use jiff::Timestamp;
use model::effect::OutboxEntry;
use model::id::EffectId;
use sqlx::SqliteConnection;

use crate::ledger::column;
use crate::ledger::error::RowError;
use crate::ledger::stroke::{Rows, Stroke, values};

/// How long a delivered effect is kept, in hours.
const DELIVERED_KEPT_H: i64 = 24;
/// Effects removed at once, so that pruning never holds the writer for long.
const PRUNED_AT_ONCE: i64 = 1_000;

static INSERT: Rows =
    Rows { head: "INSERT INTO outbox (id, effect, at) VALUES ", columns: 3, tail: "", exact: true };

static DELIVER: Rows = Rows {
    head: "UPDATE outbox SET delivered_at = v.column1 FROM (VALUES ",
    columns: 2,
    tail: ") AS v WHERE id = v.column2 AND delivered_at IS NULL",
    exact: true,
};

/// Adds an effect.
pub(crate) fn insert(entry: &OutboxEntry, at: Timestamp) -> Result<Stroke, RowError> {
    let id = entry.id.as_uuid();
    let effect = column::json("outbox.effect", &entry.effect)?;
    let values = values![column::id(id), effect, column::time(at)];
    Ok(Stroke { rows: &INSERT, subject: Some(id), values })
}

/// Marks an effect as carried out; fits where it was still open.
pub(crate) fn deliver(id: EffectId, at: Timestamp) -> Stroke {
    let values = values![column::time(at), column::id(id.as_uuid())];
    Stroke { rows: &DELIVER, subject: Some(id.as_uuid()), values }
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
            insert(&entry, old).unwrap().write(&mut conn).await.unwrap();
            match n {
                0 => kept.push(entry.id),
                1 => assert!(deliver(entry.id, now).write(&mut conn).await.unwrap()),
                _ => assert!(deliver(entry.id, old).write(&mut conn).await.unwrap()),
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
