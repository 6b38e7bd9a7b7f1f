//! Deleting what is too old, or too much for the disk, in slices that hold nobody up.

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::TelemetryOptions;
use super::memory::WINDOW_MS;
use super::sums::MINUTE_MS;
use super::tables;
use super::writer::Shared;
use crate::spare;

/// Rows deleted in one transaction.
const SLICE: i64 = 200;
/// Transactions in one go; the rest is left to the next.
const SLICES_MAX: u32 = 50;
/// Series forgotten in one go.
const SERIES_SLICE: usize = 200;

/// Deletes by age, then by budget: chunks before rollups, the oldest first.
pub(super) async fn retain(
    conn: &mut SqliteConnection,
    shared: &Shared,
    now_ms: i64,
    options: &TelemetryOptions,
) -> sqlx::Result<()> {
    // A clock that jumped ahead deletes nothing that is young by its own measure.
    let newest_ms = shared.with(|memory| memory.newest_ms());
    let now_ms = newest_ms.map_or(now_ms, |newest| newest.min(now_ms));
    let cutoff = |age: std::time::Duration| {
        now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    // A window is old when its last moment is.
    let window = |cutoff_ms: i64| cutoff_ms.saturating_sub(WINDOW_MS).div_euclid(MINUTE_MS);
    let minutes_ms = cutoff(options.minute_age);
    let mut slices = SLICES_MAX;
    let raw = window(cutoff(options.raw_age));
    let mut deleted = 0;
    while slices > 0 {
        let rows = tables::delete_chunks(conn, raw, SLICE).await?
            + tables::delete_rollups(conn, window(minutes_ms), SLICE).await?;
        slices -= 1;
        deleted += rows;
        if rows == 0 {
            forget(conn, shared, minutes_ms).await?;
            break;
        }
    }
    let budget = i64::try_from(options.disk_budget_bytes).unwrap_or(i64::MAX);
    while slices > 0 && spare::used_bytes(conn).await? > budget {
        let mut rows = tables::delete_chunks(conn, i64::MAX, SLICE).await?;
        if rows == 0 {
            rows = tables::delete_rollups(conn, i64::MAX, SLICE).await?;
        }
        slices -= 1;
        deleted += rows;
        if rows == 0 {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(rows = deleted, "old telemetry deleted");
        spare::give_back_pages(conn).await?;
    }
    Ok(())
}

/// Lets go of series of which nothing is left.
async fn forget(conn: &mut SqliteConnection, shared: &Shared, cutoff_ms: i64) -> sqlx::Result<()> {
    // Two windows later than the rollups, so that those are gone for certain.
    let cutoff_ms = cutoff_ms.saturating_sub(3 * WINDOW_MS);
    let ids = shared.with(|memory| memory.forgotten(cutoff_ms, SERIES_SLICE));
    if ids.is_empty() {
        return Ok(());
    }
    let mut tx = conn.begin().await?;
    for id in &ids {
        tables::delete_series(&mut tx, *id).await?;
    }
    tx.commit().await?;
    shared.with(|memory| memory.forget(&ids));
    Ok(())
}
