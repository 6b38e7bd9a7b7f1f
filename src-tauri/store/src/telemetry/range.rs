//! Answering a range: one bucket for each pixel column.

use model::signal::{self, SeriesRange};
use sqlx::SqlitePool;

use super::key::{Selector, read_key};
use super::read::{Loaded, Snapshot, Tier};
use super::tally::{Buckets, Grid};
use super::writer::Shared;
use super::{RangeQuery, ReadError};

/// Buckets an answer may have.
const POINTS_MAX: u32 = 2000;
/// Series an answer may have.
const SERIES_MAX: usize = 500;
/// Series that are read together.
const TOGETHER: usize = 32;

/// Reads a range.
pub(super) async fn range(
    shared: &Shared,
    pool: &SqlitePool,
    query: &RangeQuery,
) -> Result<Vec<SeriesRange>, ReadError> {
    let (from_ms, to_ms) = (query.from.as_millisecond(), query.to.as_millisecond());
    if from_ms > to_ms {
        return Err(ReadError::Backwards { from: query.from, to: query.to });
    }
    let selector = Selector::labelled(&query.name, &query.labels);
    let found = shared.select(&selector);
    if found.len() > SERIES_MAX {
        return Err(ReadError::TooManySeries { found: found.len(), max: SERIES_MAX });
    }
    let points = query.points.clamp(1, POINTS_MAX);
    let mut answer = Vec::new();
    for found in found.chunks(TOGETHER) {
        let ids: Vec<i64> = found.iter().map(|found| found.id).collect();
        let snapshot = Snapshot::take(shared, pool, &ids).await;
        let mut snapshot = snapshot.map_err(ReadError::storage)?;
        let tier = snapshot.tier(Tier::for_points(from_ms, to_ms, points), from_ms);
        let grid = match tier {
            Tier::Samples => Grid::of_samples(from_ms, to_ms, points as usize),
            _ => Grid::of_stretches(from_ms, to_ms, points as usize, tier.width_ms()),
        };
        for found in found {
            let mut buckets = Buckets::new(grid);
            match snapshot.load(found.id, tier, (from_ms, to_ms)).await? {
                Loaded::Points(points) => buckets.add_points(&points),
                Loaded::Stretches(stretches, width_ms) => {
                    buckets.add_stretches(&stretches, width_ms);
                }
            }
            let buckets = buckets.finish(found.scale);
            if !buckets.is_empty() {
                let key = read_key(&found.key);
                let unit = signal::of_series(&key.name).map_or("", |of| of.unit()).to_owned();
                answer.push(SeriesRange {
                    key,
                    unit,
                    step_ms: grid.step_ms.unsigned_abs(),
                    buckets,
                });
            }
        }
        snapshot.done().await;
    }
    Ok(answer)
}
