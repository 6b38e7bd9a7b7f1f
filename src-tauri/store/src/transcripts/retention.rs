//! Giving up what is too old, or too much, in slices that hold nobody up.

use model::id::AttemptId;
use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;

use super::{TranscriptOptions, tables};
use crate::spare;

/// Entries given up in one transaction.
const SLICE: u32 = 200;
/// Transactions in one go; the rest is left to the next.
const SLICES_MAX: u32 = 20;

/// Gives an attempt's oldest entries up where it has more than it may, a little more than it must,
/// so that not every entry costs another.
pub(super) async fn trim(
    conn: &mut SqliteConnection,
    key: i64,
    options: &TranscriptOptions,
) -> sqlx::Result<()> {
    let (mut entries, mut bytes) = tables::amount(conn, key).await?;
    if entries <= options.entries_max && bytes <= options.bytes_max {
        return Ok(());
    }
    let lower = |max: u64| max - max / 100;
    let (entries_goal, bytes_goal) = (lower(options.entries_max), lower(options.bytes_max));
    while entries > entries_goal || bytes > bytes_goal {
        let mut last = None;
        for (ordinal, size) in tables::oldest(conn, key, SLICE).await? {
            if entries <= entries_goal && bytes <= bytes_goal {
                break;
            }
            entries -= 1;
            bytes = bytes.saturating_sub(size);
            last = Some(ordinal);
        }
        let Some(last) = last else {
            break;
        };
        tables::give_up(conn, key, last).await?;
    }
    Ok(())
}

/// Gives up by age, then by budget: what did not change for longest first.
pub(super) async fn retain(
    conn: &mut SqliteConnection,
    now_ms: i64,
    options: &TranscriptOptions,
) -> sqlx::Result<()> {
    // A clock that jumped ahead deletes nothing that is young by its own measure.
    let now_ms = tables::newest_ms(conn).await?.map_or(now_ms, |newest| newest.min(now_ms));
    let age_ms = i64::try_from(options.age.as_millis()).unwrap_or(i64::MAX);
    let cutoff_ms = now_ms.saturating_sub(age_ms);
    let mut slices = SLICES_MAX;
    while slices > 0 {
        let Some(key) = tables::stale(conn, cutoff_ms).await? else {
            break;
        };
        if !slice(conn, key).await? {
            tables::remove_attempt(conn, key).await?;
        }
        slices -= 1;
    }
    let budget = i64::try_from(options.disk_budget_bytes).unwrap_or(i64::MAX);
    while slices > 0 && spare::used_bytes(conn).await? > budget {
        let Some(key) = tables::stalest_filled(conn).await? else {
            break;
        };
        slice(conn, key).await?;
        slices -= 1;
    }
    if slices < SLICES_MAX {
        tracing::info!(slices = SLICES_MAX - slices, "old conversations given up");
        spare::give_back_pages(conn).await?;
    }
    Ok(())
}

/// Gives an attempt's oldest entries up; says whether there were any.
async fn slice(conn: &mut SqliteConnection, key: i64) -> sqlx::Result<bool> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    let oldest = tables::oldest(&mut tx, key, SLICE).await?;
    if let Some((last, _)) = oldest.last() {
        tables::give_up(&mut tx, key, *last).await?;
    }
    tx.commit().await?;
    Ok(!oldest.is_empty())
}

/// Removes everything of an attempt.
pub(super) async fn forget(conn: &mut SqliteConnection, id: AttemptId) -> sqlx::Result<()> {
    let Some(key) = tables::key(conn, id).await? else {
        return Ok(());
    };
    while slice(conn, key).await? {}
    tables::remove_attempt(conn, key).await?;
    spare::give_back_pages(conn).await
}
