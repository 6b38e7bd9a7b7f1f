//! Rolling up: rows of minutes and hours, made of chunks once four hours are over, exactly.
//!
//! Up to [`Roller::to_ms`] every sample that is in a chunk is in such rows too; what comes later than
//! that has its four hours rolled up again in the same transaction that writes it.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::time::Instant;

use super::blob;
use super::counters::Counters;
use super::memory::LATE_MS;
use super::place::{
    DAY_MS, SPAN_MS, WINDOW_MS, chunk_key, row_key, window_of, window_of_key, window_start,
};
use super::scan::{Scan, damaged};
use super::tables::{self, Sizes, Table};
use super::tally::{HOUR_MS, MINUTE_MS, Stretches, group, hours_of};
use super::writer::Shared;

/// How long one step may take.
const STEP: Duration = Duration::from_millis(20);
/// Steps over which the series of four hours are spread, so that they cost the same at any time.
const STEPS: usize = 600;
/// How long four hours wait, once they are over, for chunks that are not closed yet.
const SETTLED_MS: i64 = WINDOW_MS + LATE_MS + 60_000;
/// Four hours that are over for so long are rolled up without a pause.
const BEHIND_MS: i64 = 2 * HOUR_MS;

/// How far rolling up has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Roller {
    /// Everything before this moment is rolled up, and nothing after it is said to be.
    pub(super) to_ms: i64,
    /// The next series of the four hours from then on.
    next: i64,
}

impl Roller {
    pub(super) const fn new(to_ms: i64) -> Self {
        Self { to_ms, next: 0 }
    }

    /// The four hours that a window belongs to and that are rolled up for this series already.
    pub(super) fn done_of(&self, series: i64, window: i64) -> Vec<i64> {
        let start = window_start(window);
        let mut spans = vec![start, start + WINDOW_MS - 1];
        spans.iter_mut().for_each(|span| *span = span.div_euclid(SPAN_MS) * SPAN_MS);
        spans.dedup();
        let done = |span: &i64| *span < self.to_ms || (*span == self.to_ms && series < self.next);
        spans.retain(done);
        spans
    }

    /// Rolls up a few more series, if four hours are over; with `hurry`, if not as well. Says
    /// whether anything was done.
    pub(super) async fn step(
        &mut self,
        conn: &mut SqliteConnection,
        shared: &Shared,
        sizes: &mut Sizes,
        (now_ms, hurry): (i64, bool),
    ) -> sqlx::Result<bool> {
        let mut then = *self;
        if then.next == 0 {
            let first = (then.to_ms - WINDOW_MS).div_euclid(MINUTE_MS) + 1;
            let Some(key) = tables::chunk_from(conn, chunk_key(first.max(0), 0)).await? else {
                return Ok(false);
            };
            let begin = window_start(window_of_key(key)).max(then.to_ms);
            then.to_ms = begin.div_euclid(SPAN_MS) * SPAN_MS;
        }
        let over_for = now_ms.saturating_sub(then.to_ms + SPAN_MS + SETTLED_MS);
        if over_for < 0 && !hurry {
            return Ok(false);
        }
        let paced = over_for < BEHIND_MS && !hurry;
        let count = shared.with(|memory| memory.series_count());
        let quota = if paced { count / STEPS + 1 } else { usize::MAX };
        let (started, mut grown) = (Instant::now(), *sizes);
        let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
        for _ in 0..quota {
            let Some(id) = shared.with(|memory| memory.next_id(then.next.max(1))) else {
                (then.to_ms, then.next) = (then.to_ms + SPAN_MS, 0);
                tables::set_number(&mut tx, tables::ROLLED_TO, then.to_ms).await?;
                break;
            };
            roll(&mut tx, id, then.to_ms, &mut grown, &shared.counters).await?;
            then.next = id + 1;
            if started.elapsed() > STEP {
                break;
            }
        }
        tables::save_sizes(&mut tx, grown).await?;
        tx.commit().await?;
        (*self, *sizes) = (then, grown);
        Ok(true)
    }
}

/// Makes the minutes and hours of one series and four hours, from `span_ms` on, of its chunks.
/// Minutes whose samples are no longer there stay as they are.
pub(super) async fn roll(
    conn: &mut SqliteConnection,
    series: i64,
    span_ms: i64,
    sizes: &mut Sizes,
    counters: &Counters,
) -> sqlx::Result<()> {
    let end_ms = span_ms + SPAN_MS - 1;
    let windows = (window_of(series, span_ms), window_of(series, end_ms));
    let mut scan = Scan::new(series, (span_ms, end_ms), Some(windows), &[]);
    let mut fresh: Stretches = Vec::new();
    while let Some(points) = scan.next(conn, counters).await? {
        fresh.extend(group(&points, MINUTE_MS));
    }
    if fresh.is_empty() {
        return Ok(());
    }
    let slot = row_key(span_ms.div_euclid(SPAN_MS), series);
    let minutes = put(conn, (Table::Minutes, slot, MINUTE_MS), fresh, sizes, counters).await?;
    let day = row_key(span_ms.div_euclid(DAY_MS), series);
    put(conn, (Table::Hours, day, HOUR_MS), hours_of(&minutes), sizes, counters).await?;
    Ok(())
}

/// Writes stretches into their row, over those that are there; gives what the row holds then.
async fn put(
    conn: &mut SqliteConnection,
    (table, key, width_ms): (Table, i64, i64),
    fresh: Stretches,
    sizes: &mut Sizes,
    counters: &Counters,
) -> sqlx::Result<Stretches> {
    let before = tables::row(conn, table, key).await?;
    let mut all = BTreeMap::new();
    if let Some(blob) = &before {
        match blob::decode_stretches(blob, width_ms) {
            Ok(stretches) => all.extend(stretches),
            Err(_) => damaged(key, width_ms, counters),
        }
    }
    all.extend(fresh);
    let all: Stretches = all.into_iter().collect();
    let data = blob::encode_stretches(&all, width_ms);
    let before = before.map_or(0, |blob| blob.len());
    sizes[table as usize] += tables::put_row(conn, table, key, before, &data).await?;
    Ok(all)
}
