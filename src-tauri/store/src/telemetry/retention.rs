//! Deleting what is too old, or too much for the disk, in slices that hold nobody up.

use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::TelemetryOptions;
use super::place::{DAY_MS, SPAN_MS, WINDOW_MS, chunk_key, row_key};
use super::roll::Roller;
use super::tables::{self, Sizes, Table};
use super::tally::MINUTE_MS;
use super::writer::Shared;
use crate::spare;

/// Rows deleted in one transaction, at first and at most.
const SLICE: i64 = 200;
const SLICE_MAX: i64 = 4096;
/// How long a transaction should take: twice as long, and the next one is half as large.
const SLICE_TIME: Duration = Duration::from_millis(12);
/// How long all of it may take in one go; the rest is left to the next.
const TIME_MAX: Duration = Duration::from_millis(250);
/// Series forgotten in one go.
const SERIES_SLICE: usize = 200;
/// What the tiers may take of the disk budget, in eighths.
const EIGHTHS: [i64; 3] = [4, 3, 1];

/// What retention needs to know.
pub(super) struct Retention<'a> {
    pub(super) conn: &'a mut SqliteConnection,
    pub(super) shared: &'a Shared,
    pub(super) options: &'a TelemetryOptions,
    pub(super) roller: &'a mut Roller,
    pub(super) sizes: &'a mut Sizes,
    pub(super) now_ms: i64,
}

/// How many rows at once, and for how long.
struct Pace {
    until: Instant,
    slice: i64,
    deleted: u64,
}

impl Retention<'_> {
    /// Deletes by age, then by budget, the oldest first. Samples go only once they are rolled up.
    pub(super) async fn run(mut self) -> sqlx::Result<()> {
        // A clock that jumped ahead deletes nothing that is young by its own measure.
        let newest_ms = self.shared.with(|memory| memory.newest_ms());
        self.now_ms = newest_ms.map_or(self.now_ms, |newest| newest.min(self.now_ms));
        let mut pace = Pace { until: Instant::now() + TIME_MAX, slice: SLICE, deleted: 0 };
        let ages = [self.options.raw_age, self.options.minute_age, self.options.hour_age];
        for (table, age) in Table::ALL.into_iter().zip(ages) {
            let cutoff = self.before(age);
            while self.delete(table, cutoff, &mut pace).await? > 0 {}
        }
        self.shrink(&mut pace).await?;
        if pace.deleted > 0 {
            tracing::info!(rows = pace.deleted, "old telemetry deleted");
            tables::save_sizes(self.conn, *self.sizes).await?;
            spare::give_back_pages(self.conn).await?;
        }
        let marks = self.before(self.options.minute_age);
        tables::delete_marks(self.conn, marks).await?;
        self.forget().await
    }

    fn before(&self, age: Duration) -> i64 {
        self.now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    }

    /// Deletes a slice of what is wholly before a moment; says how many rows.
    async fn delete(&mut self, table: Table, cutoff_ms: i64, pace: &mut Pace) -> sqlx::Result<u64> {
        let started = Instant::now();
        if started >= pace.until {
            return Ok(0);
        }
        // Far beyond every key there is, and what makes a key of it still fits.
        let cutoff_ms = cutoff_ms.clamp(0, i64::MAX >> 20);
        let key = match table {
            Table::Chunks => {
                let done = cutoff_ms.min(self.roller.to_ms) - WINDOW_MS;
                chunk_key(done.max(0).div_euclid(MINUTE_MS), 0)
            }
            Table::Minutes => row_key(cutoff_ms.div_euclid(SPAN_MS), 0),
            Table::Hours => row_key(cutoff_ms.div_euclid(DAY_MS), 0),
        };
        let (rows, bytes) = tables::delete_before(self.conn, table, key, pace.slice).await?;
        self.sizes[table as usize] = (self.sizes[table as usize] - bytes).max(0);
        pace.deleted += rows;
        if started.elapsed() > 2 * SLICE_TIME {
            pace.slice = (pace.slice / 2).max(1);
        } else if started.elapsed() < SLICE_TIME {
            pace.slice = (pace.slice * 2).min(SLICE_MAX);
        }
        Ok(rows)
    }

    /// While the file is too large, deletes the oldest of the tier that is furthest over its share.
    async fn shrink(&mut self, pace: &mut Pace) -> sqlx::Result<()> {
        let budget = i64::try_from(self.options.disk_budget_bytes).unwrap_or(i64::MAX);
        while Instant::now() < pace.until && spare::used_bytes(self.conn).await? > budget {
            let mut tables = Table::ALL;
            tables.sort_by_key(|table| {
                -(self.sizes[*table as usize].saturating_mul(8) / EIGHTHS[*table as usize])
            });
            let mut rows = 0;
            for table in tables {
                rows = self.delete(table, i64::MAX, pace).await?;
                if rows == 0 && table == Table::Chunks && self.hurry().await? {
                    // Something is rolled up now that was not, and may go.
                    rows = 1;
                }
                if rows > 0 {
                    break;
                }
            }
            if rows == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Rolls up before its time.
    async fn hurry(&mut self) -> sqlx::Result<bool> {
        self.roller.step(self.conn, self.shared, self.sizes, (self.now_ms, true)).await
    }

    /// Lets go of series of which nothing is left, and where there are nearly too many, of those
    /// that have been silent for as long as samples are kept.
    async fn forget(&mut self) -> sqlx::Result<()> {
        let count = self.shared.with(|memory| memory.series_count());
        let scarce = count.saturating_mul(10) >= self.options.series_max.saturating_mul(9);
        let age = if scarce { self.options.raw_age } else { self.options.hour_age };
        let cutoff_ms = self.before(age).saturating_sub(DAY_MS);
        let ids = self.shared.with(|memory| memory.forgotten(cutoff_ms, SERIES_SLICE));
        if ids.is_empty() {
            return Ok(());
        }
        let mut tx = self.conn.begin().await?;
        for id in &ids {
            tables::delete_series(&mut tx, *id).await?;
        }
        tx.commit().await?;
        self.shared.with(|memory| memory.forget(&ids));
        Ok(())
    }
}
