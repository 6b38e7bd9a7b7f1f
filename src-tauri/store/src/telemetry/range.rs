//! Answering a range: memory, chunks and rollups merged into buckets.

use std::collections::HashSet;

use model::signal::{self, SeriesRange};
use sqlx::SqlitePool;

use super::blob;
use super::counters::Counted;
use super::memory::{Found, WINDOW_MINUTES, window_of, window_start};
use super::sums::{Buckets, Grid, MINUTE_MS};
use super::tables::{self, Extent};
use super::writer::Shared;
use super::{RangeQuery, ReadError};

/// Buckets an answer may have.
const POINTS_MAX: u32 = 2000;
/// Series an answer may have.
const SERIES_MAX: usize = 500;

/// Where stored samples are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Samples,
    Minutes,
}

/// Reads a range.
///
/// Memory is looked at before the file: a chunk that is written in between is in both, and is
/// then left out of what the file says.
pub(super) async fn range(
    shared: &Shared,
    pool: &SqlitePool,
    query: &RangeQuery,
) -> Result<Vec<SeriesRange>, ReadError> {
    let (from_ms, to_ms) = (query.from.as_millisecond(), query.to.as_millisecond());
    if from_ms > to_ms {
        return Err(ReadError::Backwards { from: query.from, to: query.to });
    }
    let mut found = shared.with(|memory| memory.find(&query.name, &query.labels));
    if found.len() > SERIES_MAX {
        return Err(ReadError::TooManySeries { found: found.len(), max: SERIES_MAX });
    }
    shared.with(|memory| memory.fill(&mut found));
    let (chunks, rollups) = tables::extents(pool).await.map_err(ReadError::storage)?;
    let points = query.points.clamp(1, POINTS_MAX) as usize;
    let tier = choose(from_ms, to_ms, points, chunks, rollups);
    let (grid, extent) = match tier {
        Tier::Samples => (Grid::of_samples(from_ms, to_ms, points), chunks),
        Tier::Minutes => (Grid::of_minutes(from_ms, to_ms, points), rollups),
    };
    let mut answer = Vec::new();
    for found in found {
        let mut reading = Reading { buckets: Buckets::new(grid), shared, tier, found: &found };
        reading.add_live();
        if let Some(windows) = windows_of(found.id, grid, extent) {
            reading.add_stored(pool, windows).await?;
        }
        let buckets = reading.buckets.finish(found.scale);
        if !buckets.is_empty() {
            answer.push(SeriesRange {
                unit: signal::by_name(&found.key.name)
                    .map_or_else(String::new, |signal| signal.unit.to_owned()),
                key: found.key,
                step_ms: grid.step_ms.unsigned_abs(),
                buckets,
            });
        }
    }
    Ok(answer)
}

/// Samples, unless a bucket is a minute or more, or the samples of the range are gone.
fn choose(from_ms: i64, to_ms: i64, points: usize, chunks: Extent, rollups: Extent) -> Tier {
    if Grid::of_samples(from_ms, to_ms, points).step_ms >= MINUTE_MS {
        return Tier::Minutes;
    }
    let from = from_ms.div_euclid(MINUTE_MS);
    let oldest_sample = chunks.map_or(i64::MAX, |(oldest, _)| oldest);
    // The oldest window of one series may start a window later than that of another.
    let gone = rollups.is_some_and(|(oldest, newest)| {
        oldest < oldest_sample
            && from < oldest_sample.saturating_add(WINDOW_MINUTES)
            && from < newest + WINDOW_MINUTES
    });
    if gone { Tier::Minutes } else { Tier::Samples }
}

fn windows_of(series: i64, grid: Grid, extent: Extent) -> Option<(i64, i64)> {
    let (oldest, newest) = extent?;
    let first = window_of(series, grid.start_ms);
    // Stays in step with the series' own windows.
    let skipped = (oldest - first).max(0) / WINDOW_MINUTES * WINDOW_MINUTES;
    let first = first + skipped;
    let last = window_of(series, grid.end_ms).min(newest);
    (first <= last).then_some((first, last))
}

/// One series being read.
struct Reading<'a> {
    buckets: Buckets,
    shared: &'a Shared,
    tier: Tier,
    found: &'a Found,
}

impl Reading<'_> {
    fn add_live(&mut self) {
        for live in &self.found.live {
            self.buckets.add_points(&live.points);
        }
    }

    async fn add_stored(
        &mut self,
        pool: &SqlitePool,
        windows: (i64, i64),
    ) -> Result<(), ReadError> {
        let live = self.found.live.iter();
        let live: HashSet<(i64, i64)> = live.map(|live| (live.window, live.part)).collect();
        let series = self.found.id;
        if self.tier == Tier::Samples {
            let rows = tables::chunks_of(pool, series, windows).await;
            for row in rows.map_err(ReadError::storage)? {
                if live.contains(&(row.window, row.part)) {
                    continue;
                }
                match blob::decode_chunk(&row.samples, window_start(row.window)) {
                    Ok(points) => self.buckets.add_points(&points),
                    Err(_) => self.skip_damaged(row.window),
                }
            }
            return Ok(());
        }
        let rows = tables::rollups_of(pool, series, windows).await;
        for row in rows.map_err(ReadError::storage)? {
            let in_memory = live.contains(&(row.window, row.part));
            if in_memory || self.buckets.add_whole(row.first_at, row.sums) {
                continue;
            }
            match blob::decode_minutes(&row.minutes) {
                Ok(minutes) => self.buckets.add_minutes(&minutes),
                Err(_) => self.skip_damaged(row.window),
            }
        }
        Ok(())
    }

    fn skip_damaged(&self, window: i64) {
        self.shared.counters.add(Counted::DamagedChunk, 1);
        tracing::warn!(
            series = self.found.id,
            window,
            "telemetry chunk skipped: its bytes are damaged"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    #[test]
    fn the_tier_follows_the_width_of_a_bucket_and_what_is_left() {
        let window = |hour: i64| hour * 60;
        let days = Some((window(100), window(200)));
        let weeks = Some((window(0), window(200)));
        for (name, from_hour, to_hour, points, chunks, rollups, expected) in [
            ("an hour in detail", 150, 151, 600, days, weeks, Tier::Samples),
            ("a day in minutes", 150, 174, 500, days, weeks, Tier::Minutes),
            ("an hour long ago", 20, 21, 600, days, weeks, Tier::Minutes),
            ("nothing stored yet", 20, 21, 600, None, None, Tier::Samples),
            ("only rollups left", 20, 21, 600, None, weeks, Tier::Minutes),
            ("newer than all that is stored", 300, 301, 600, None, weeks, Tier::Samples),
            ("older than everything, all samples kept", 20, 21, 600, days, days, Tier::Samples),
        ] {
            let tier = choose(from_hour * HOUR_MS, to_hour * HOUR_MS, points, chunks, rollups);
            assert_eq!(tier, expected, "{name}");
        }
    }
}
