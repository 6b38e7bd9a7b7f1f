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
/// How far a clock may be ahead of what it should say before it is doubted.
const JUMP_MS: i64 = 600_000;
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
    pub(super) witness: &'a mut Witness,
}

/// Watches the clock by which things get old. One that was set ahead, or stood for a while, makes
/// everything old at once; it is believed when it has gone on evenly for long enough.
#[derive(Debug, Default)]
pub(super) struct Witness {
    /// When it was looked at last, by the clock that only goes on, and what it said.
    last: Option<(Instant, i64)>,
    doubted_since: Option<Instant>,
}

impl Witness {
    /// Whether what is old by a clock may be deleted, seen at the same moment of both clocks.
    fn trusts(
        &mut self,
        (now, now_ms): (Instant, i64),
        newest_ms: Option<i64>,
        after: Duration,
    ) -> bool {
        let expected_ms = match self.last {
            Some((then, then_ms)) => {
                let passed_ms = i64::try_from((now - then).as_millis()).unwrap_or(i64::MAX);
                Some(then_ms.saturating_add(passed_ms))
            }
            // What was measured before this start.
            None => newest_ms,
        };
        self.last = Some((now, now_ms));
        if expected_ms.is_some_and(|expected| now_ms > expected.saturating_add(JUMP_MS)) {
            self.doubted_since = Some(now);
        }
        if self.doubted_since.is_some_and(|since| now - since >= after) {
            self.doubted_since = None;
        }
        self.doubted_since.is_none()
    }
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
        let newest_ms = self.shared.with(|memory| memory.newest_ms());
        let trusted =
            self.witness.trusts((Instant::now(), self.now_ms), newest_ms, self.options.trust_after);
        // What was measured last is as late as it is: where nothing is measured, nothing gets older.
        self.now_ms = newest_ms.map_or(self.now_ms, |newest| newest.min(self.now_ms));
        let mut pace = Pace { until: Instant::now() + TIME_MAX, slice: SLICE, deleted: 0 };
        if trusted {
            self.outgrown(&mut pace).await?;
        }
        self.shrink(&mut pace).await?;
        if pace.deleted > 0 {
            tracing::info!(rows = pace.deleted, "old telemetry deleted");
            tables::save_sizes(self.conn, *self.sizes).await?;
            spare::give_back_pages(self.conn).await?;
        }
        if trusted {
            let marks = self.before(self.options.minute_age);
            tables::delete_marks(self.conn, marks).await?;
            self.forget().await?;
        }
        Ok(())
    }

    /// Deletes what is older than it is kept.
    async fn outgrown(&mut self, pace: &mut Pace) -> sqlx::Result<()> {
        let ages = [self.options.raw_age, self.options.minute_age, self.options.hour_age];
        for (table, age) in Table::ALL.into_iter().zip(ages) {
            let cutoff = self.before(age);
            while self.delete(table, cutoff, pace).await? > 0 {}
        }
        Ok(())
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
        let highest = self.shared.with(|memory| memory.highest_id());
        tables::set_number(&mut tx, tables::HIGHEST_SERIES, highest).await?;
        for id in &ids {
            tables::delete_series(&mut tx, *id).await?;
        }
        tx.commit().await?;
        self.shared.with(|memory| memory.forget(&ids));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    const DAY_MS: i64 = 24 * HOUR_MS;

    #[test]
    fn a_clock_that_is_ahead_for_a_minute_makes_nothing_old() {
        let after = Duration::from_secs(3600);
        let minute = Duration::from_secs(60);
        let mut witness = Witness::default();
        let (mut now, mut wall_ms) = (Instant::now(), 1000 * DAY_MS);
        let mut looked = |ahead_ms: i64| {
            now += minute;
            wall_ms += 60_000;
            witness.trusts((now, wall_ms + ahead_ms), Some(wall_ms), after)
        };
        assert!(looked(0) && looked(0));
        // A year ahead, for a minute; and right again.
        assert!(!looked(365 * DAY_MS));
        for minute in 1..60 {
            assert!(!looked(0), "{minute} minutes later");
        }
        assert!(looked(0), "after an hour of even time");
        // A little ahead is nothing, back is nothing.
        assert!(looked(300_000) && looked(0) && looked(-HOUR_MS));
        // A night asleep: what was measured before it is a night old an hour later.
        assert!(!looked(9 * HOUR_MS));
        for _ in 0..59 {
            assert!(!looked(9 * HOUR_MS));
        }
        assert!(looked(9 * HOUR_MS));
    }

    #[test]
    fn a_start_long_after_the_last_measurement_waits_as_well() {
        let after = Duration::from_secs(3600);
        let now = Instant::now();
        assert!(Witness::default().trusts((now, DAY_MS), None, after), "there is nothing");
        assert!(Witness::default().trusts((now, DAY_MS), Some(DAY_MS - 1000), after));
        let mut witness = Witness::default();
        assert!(!witness.trusts((now, 2 * DAY_MS), Some(DAY_MS), after));
        assert!(witness.trusts((now + after, 2 * DAY_MS + HOUR_MS), Some(DAY_MS), after));
    }
}
