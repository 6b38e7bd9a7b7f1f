//! Reading: memory and file as they were at one moment, from the tier that fits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::Sqlite;
use sqlx::{SqlitePool, Transaction};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::blob;
use super::counters::Counters;
use super::memory::Found;
use super::place::{DAY_MS, SPAN_MS, WINDOW_MS, slot_and_series, window_of_key, window_start};
use super::scan::{Scan, Windows, damaged};
use super::tables::{self, Table};
use super::tally::{HOUR_MS, MINUTE_MS, Point, Scale, Stretches, Tally, add, group};
use super::writer::Shared;
use super::{ReadError, SeriesId};

/// Samples of one series in one answer.
pub(super) const SAMPLES_MAX: usize = 2_000_000;
/// Series and samples that are read together, about.
const TOGETHER: i64 = 64;
const SAMPLES_TOGETHER: i64 = 200_000;
/// How long a reader waits for a flush that is being finished.
const PAUSE: Duration = Duration::from_millis(1);

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What, in the signal's unit.
    pub value: f64,
}

/// What the samples of a minute or an hour amount to. Samples that are not finite, or beyond 2^53
/// multiples of the resolution, are in `anomalies` alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sums {
    /// Its beginning, in milliseconds since 1970.
    pub at_ms: i64,
    /// The smallest sample.
    pub min: f64,
    /// The largest sample.
    pub max: f64,
    /// Their sum.
    pub sum: f64,
    /// How many there are; where there are none, the other figures mean nothing.
    pub count: u64,
    /// The first.
    pub first: f64,
    /// When that was, in milliseconds since 1970.
    pub first_at_ms: i64,
    /// The last.
    pub last: f64,
    /// When that was, in milliseconds since 1970.
    pub last_at_ms: i64,
    /// Samples that are none of those.
    pub anomalies: u64,
}

/// How finely is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// Every sample.
    Raw,
    /// By the minute.
    Minute,
    /// By the hour.
    Hour,
    /// As finely as so many points can show.
    Auto {
        /// How many points are shown.
        points: u32,
    },
}

/// What is to be read.
#[derive(Debug, Clone)]
pub struct ReadQuery {
    /// Of which series; each is answered in turn.
    pub series: Vec<SeriesId>,
    /// The beginning, included.
    pub from: Timestamp,
    /// The end, included.
    pub to: Timestamp,
    /// How finely. What is no longer kept as finely is read more coarsely.
    pub resolution: Resolution,
    /// How long all of it may take.
    pub deadline: Duration,
    /// Ends it early.
    pub cancel: CancellationToken,
}

/// What was measured, oldest first.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Every sample, each moment once.
    Samples(Vec<Sample>),
    /// By the minute or the hour; stretches without samples are left out. The range is widened to
    /// full ones.
    Sums {
        /// How long each is.
        step_ms: u64,
        /// They.
        sums: Vec<Sums>,
    },
}

/// What was measured of one series; nothing for one that is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesValues {
    /// Which.
    pub id: SeriesId,
    /// What.
    pub values: Values,
}

/// How finely is read, in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tier {
    Samples,
    Minutes,
    Hours,
}

impl Tier {
    /// The finest that shows no more than so many points.
    pub(super) fn for_points(from_ms: i64, to_ms: i64, points: u32) -> Self {
        let step = to_ms.saturating_sub(from_ms) / i64::from(points.max(1));
        match step {
            ..MINUTE_MS => Self::Samples,
            MINUTE_MS..HOUR_MS => Self::Minutes,
            _ => Self::Hours,
        }
    }

    pub(super) const fn width_ms(self) -> i64 {
        match self {
            Self::Samples => 1,
            Self::Minutes => MINUTE_MS,
            Self::Hours => HOUR_MS,
        }
    }
}

/// What was read of one series.
#[derive(Debug)]
pub(super) enum Loaded {
    Points(Vec<Point>),
    Stretches(Stretches, i64),
}

/// Memory and file as they were at one moment.
pub(super) struct Snapshot<'a> {
    tx: Transaction<'static, Sqlite>,
    counters: &'a Counters,
    live: HashMap<i64, Vec<Point>>,
    rolled_to: i64,
    windows: Windows,
    /// The first moments of which there may be samples, minutes and hours.
    oldest: [Option<i64>; 3],
}

impl<'a> Snapshot<'a> {
    /// Looks at both until they agree: a flush that was committed between the one look and the other
    /// is seen by its journal row.
    pub(super) async fn take(
        shared: &'a Shared,
        pool: &SqlitePool,
        ids: &[i64],
    ) -> sqlx::Result<Self> {
        let (mut tx, live) = loop {
            let (generation, live) = shared.with(|memory| memory.live(ids));
            let mut tx = pool.begin().await?;
            if tables::last_seq(&mut tx).await? == generation {
                break (tx, live);
            }
            tx.rollback().await?;
            tokio::time::sleep(PAUSE).await;
        };
        let rolled_to = tables::number(&mut tx, tables::ROLLED_TO).await?;
        let chunks = tables::extent(&mut tx, Table::Chunks).await?;
        let minutes = tables::extent(&mut tx, Table::Minutes).await?;
        let hours = tables::extent(&mut tx, Table::Hours).await?;
        let windows = chunks.map(|(first, last)| (window_of_key(first), window_of_key(last)));
        let begin = |row: Option<(i64, i64)>, ms: i64| row.map(|it| slot_and_series(it.0).0 * ms);
        let oldest = [
            // The oldest window of one series may start a window later than that of another.
            windows.map(|(first, _)| window_start(first) + WINDOW_MS),
            begin(minutes, SPAN_MS),
            begin(hours, DAY_MS),
        ];
        Ok(Self { tx, counters: &shared.counters, live, rolled_to, windows, oldest })
    }

    /// The tier that is asked for, or a coarser one where that reaches further back.
    pub(super) fn tier(&self, wanted: Tier, from_ms: i64) -> Tier {
        coarsen(wanted, from_ms, self.rolled_to, self.oldest)
    }

    /// Reads one series; both ends are included, widened to full stretches.
    pub(super) async fn load(
        &mut self,
        series: i64,
        tier: Tier,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Loaded, ReadError> {
        let live = self.live.remove(&series).unwrap_or_default();
        if tier == Tier::Samples {
            let mut scan = Scan::new(series, (from_ms, to_ms), self.windows, &live);
            let mut all = Vec::new();
            while let Some(points) = self.next(&mut scan).await? {
                all.extend(points);
                if all.len() > SAMPLES_MAX {
                    return Err(ReadError::TooMuch { max: SAMPLES_MAX });
                }
            }
            return Ok(Loaded::Points(all));
        }
        let width = tier.width_ms();
        let from_ms = from_ms.div_euclid(width) * width;
        let to_ms = to_ms.div_euclid(width) * width + width - 1;
        let mut stretches = self.rolled(series, tier, (from_ms, to_ms)).await?;
        let from_raw = from_ms.max(self.rolled_to);
        let mut scan = Scan::new(series, (from_raw, to_ms), self.windows, &live);
        while let Some(points) = self.next(&mut scan).await? {
            for (number, tally) in group(&points, width) {
                add(&mut stretches, number, tally);
            }
        }
        let late: Vec<Point> = live
            .into_iter()
            .filter(|point| point.at < self.rolled_to && (from_ms..=to_ms).contains(&point.at))
            .collect();
        if !late.is_empty() {
            stretches = with_late(stretches, late, width);
        }
        Ok(Loaded::Stretches(stretches, width))
    }

    async fn next(&mut self, scan: &mut Scan) -> Result<Option<Vec<Point>>, ReadError> {
        scan.next(&mut self.tx, self.counters).await.map_err(ReadError::storage)
    }

    /// What is rolled up of a range.
    async fn rolled(
        &mut self,
        series: i64,
        tier: Tier,
        (from_ms, to_ms): (i64, i64),
    ) -> Result<Stretches, ReadError> {
        let (table, slot_ms, at) = match tier {
            Tier::Hours => (Table::Hours, DAY_MS, 2),
            _ => (Table::Minutes, SPAN_MS, 1),
        };
        let width = tier.width_ms();
        let end = to_ms.min(self.rolled_to - 1);
        let begin = self.oldest[at].map_or(i64::MAX, |oldest| oldest.max(from_ms));
        if begin > end {
            return Ok(Vec::new());
        }
        let slots = (begin.div_euclid(slot_ms), end.div_euclid(slot_ms));
        let rows = tables::rows_of(&mut self.tx, table, series, slots).await;
        let mut stretches: Stretches = Vec::new();
        for (key, blob) in rows.map_err(ReadError::storage)? {
            match blob::decode_stretches(&blob, width) {
                Ok(found) => stretches.extend(found),
                Err(_) => damaged(series, slot_and_series(key).0, self.counters),
            }
        }
        let inside = |number: i64| (from_ms..=end).contains(&(number.saturating_mul(width)));
        stretches.retain(|(number, _)| inside(*number));
        Ok(stretches)
    }

    /// Gives the connection back.
    pub(super) async fn done(self) {
        // Nothing was written; a connection that fails is replaced by the pool.
        let _ = self.tx.rollback().await;
    }
}

/// Adds samples that came after their stretches were rolled up and are not in the file yet.
fn with_late(stretches: Stretches, mut late: Vec<Point>, width_ms: i64) -> Stretches {
    super::tally::tidy(&mut late);
    let mut all = stretches;
    all.extend(group(&late, width_ms));
    all.sort_by_key(|(number, _)| *number);
    let mut merged: Stretches = Vec::with_capacity(all.len());
    for (number, tally) in all {
        add(&mut merged, number, tally);
    }
    merged
}

/// A tier that is no longer kept at the beginning of a range gives way to one that is.
fn coarsen(wanted: Tier, from_ms: i64, rolled_to: i64, oldest: [Option<i64>; 3]) -> Tier {
    // Rows cover what was there when they were made: only those that end before the finer tier
    // begins are of samples that are gone.
    let [samples, minutes, hours] = oldest;
    let gone = |finer: Option<i64>, coarser: Option<i64>, slot_ms: i64| {
        let finer = finer.unwrap_or(i64::MAX);
        let reaches = coarser.is_some_and(|begin| begin.saturating_add(slot_ms) < finer);
        reaches && from_ms < finer && from_ms < rolled_to
    };
    let mut tier = wanted;
    if tier == Tier::Samples
        && (gone(samples, minutes, SPAN_MS) || gone(samples.or(minutes), hours, DAY_MS))
    {
        tier = Tier::Minutes;
    }
    if tier == Tier::Minutes && gone(minutes, hours, DAY_MS) {
        tier = Tier::Hours;
    }
    tier
}

/// An answer that is read series by series, so that it never is in memory as a whole.
#[derive(Debug)]
pub struct SeriesReader {
    shared: Arc<Shared>,
    pool: SqlitePool,
    left: VecDeque<SeriesId>,
    ready: VecDeque<SeriesValues>,
    range: (i64, i64),
    resolution: Resolution,
    deadline: Duration,
    until: Instant,
    cancel: CancellationToken,
}

impl SeriesReader {
    pub(super) fn new(
        shared: Arc<Shared>,
        pool: SqlitePool,
        query: ReadQuery,
    ) -> Result<Self, ReadError> {
        let ReadQuery { series, from, to, resolution, deadline, cancel } = query;
        if from > to {
            return Err(ReadError::Backwards { from, to });
        }
        Ok(Self {
            shared,
            pool,
            left: series.into(),
            ready: VecDeque::new(),
            range: (from.as_millisecond(), to.as_millisecond()),
            resolution,
            deadline,
            until: Instant::now() + deadline,
            cancel,
        })
    }

    /// What was measured of the next series; `None` after the last, and after an error.
    pub async fn next(&mut self) -> Option<Result<SeriesValues, ReadError>> {
        if self.ready.is_empty() && !self.left.is_empty() {
            let (cancel, until) = (self.cancel.clone(), self.until);
            let deadline_ms = u64::try_from(self.deadline.as_millis()).unwrap_or(u64::MAX);
            let read = tokio::select! {
                biased;
                () = cancel.cancelled() => Err(ReadError::Cancelled),
                read = timeout_at(until, self.advance()) => {
                    read.unwrap_or(Err(ReadError::Deadline { deadline_ms }))
                }
            };
            if let Err(error) = read {
                self.left.clear();
                return Some(Err(error));
            }
        }
        self.ready.pop_front().map(Ok)
    }

    /// Reads a few series at once.
    async fn advance(&mut self) -> Result<(), ReadError> {
        let (from_ms, to_ms) = self.range;
        let wanted = match self.resolution {
            Resolution::Raw => Tier::Samples,
            Resolution::Minute => Tier::Minutes,
            Resolution::Hour => Tier::Hours,
            Resolution::Auto { points } => Tier::for_points(from_ms, to_ms, points),
        };
        let second = if wanted == Tier::Samples { 1000 } else { wanted.width_ms() };
        let each = (to_ms.saturating_sub(from_ms) / second).max(1);
        let together = (SAMPLES_TOGETHER / each).clamp(1, TOGETHER) as usize;
        let ids: Vec<SeriesId> = self.left.drain(..together.min(self.left.len())).collect();
        let found: Vec<Option<Found>> =
            self.shared.with(|memory| ids.iter().map(|id| memory.find(i64::from(id.0))).collect());
        let known: Vec<i64> = found.iter().flatten().map(|found| found.id).collect();
        let snapshot = Snapshot::take(&self.shared, &self.pool, &known).await;
        let mut snapshot = snapshot.map_err(ReadError::storage)?;
        let tier = snapshot.tier(wanted, from_ms);
        for (id, found) in ids.into_iter().zip(found) {
            let values = if let Some(found) = found {
                given(snapshot.load(found.id, tier, self.range).await?, found.scale)
            } else {
                Values::Samples(Vec::new())
            };
            self.ready.push_back(SeriesValues { id, values });
        }
        snapshot.done().await;
        Ok(())
    }
}

/// What was read, in the signal's unit.
fn given(loaded: Loaded, scale: Scale) -> Values {
    match loaded {
        Loaded::Points(points) => {
            let sample = |point: Point| Sample { at_ms: point.at, value: scale.given(point.value) };
            Values::Samples(points.into_iter().map(sample).collect())
        }
        Loaded::Stretches(stretches, width_ms) => {
            let sums =
                stretches.into_iter().map(|(number, tally)| sums(number * width_ms, &tally, scale));
            Values::Sums { step_ms: width_ms.unsigned_abs(), sums: sums.collect() }
        }
    }
}

fn sums(at_ms: i64, tally: &Tally, scale: Scale) -> Sums {
    Sums {
        at_ms,
        min: scale.number(tally.min as f64),
        max: scale.number(tally.max as f64),
        sum: scale.number(tally.sum as f64),
        count: tally.count.unsigned_abs(),
        first: scale.number(tally.first.value as f64),
        first_at_ms: tally.first.at,
        last: scale.number(tally.last.value as f64),
        last_at_ms: tally.last.at,
        anomalies: tally.anomalies.unsigned_abs(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tally::hours_of;
    use super::*;

    #[test]
    fn the_tier_follows_the_width_of_a_point_and_what_is_left() {
        let hour = |hour: i64| Some(hour * HOUR_MS);
        use Tier::{Hours, Minutes, Samples};
        for (name, wanted, from_hour, oldest, expected) in [
            ("all is kept", Samples, 150, [hour(96), hour(0), hour(0)], Samples),
            ("samples are gone", Samples, 20, [hour(96), hour(0), hour(0)], Minutes),
            ("minutes too", Samples, 2, [hour(96), hour(48), hour(0)], Hours),
            ("nothing stored yet", Samples, 20, [None, None, None], Samples),
            ("only minutes left", Samples, 20, [None, hour(0), hour(0)], Minutes),
            ("only hours left", Samples, 20, [None, None, hour(0)], Hours),
            ("newer than all that is stored", Samples, 300, [None, hour(0), hour(0)], Samples),
            ("before everything", Samples, 20, [hour(100), hour(100), hour(96)], Samples),
            ("minutes asked for", Minutes, 150, [hour(96), hour(0), hour(0)], Minutes),
            ("minutes asked for, gone", Minutes, 2, [hour(96), hour(48), hour(0)], Hours),
        ] {
            let tier = coarsen(wanted, from_hour * HOUR_MS, 200 * HOUR_MS, oldest);
            assert_eq!(tier, expected, "{name}");
        }
        assert_eq!(Tier::for_points(0, HOUR_MS, 600), Samples);
        assert_eq!(Tier::for_points(0, 24 * HOUR_MS, 500), Minutes);
        assert_eq!(Tier::for_points(0, 90 * 24 * HOUR_MS, 500), Hours);
    }

    #[test]
    fn late_samples_are_added_to_their_stretches() {
        let at = |at: i64, value: i64| Point { at: at * MINUTE_MS, value };
        let stored = group(&[at(1, 5), at(3, 7)], MINUTE_MS);
        let all = with_late(stored, vec![at(3, 9), at(2, 4)], MINUTE_MS);
        let counts: Vec<(i64, i64)> = all.iter().map(|(minute, it)| (*minute, it.count)).collect();
        assert_eq!(counts, [(1, 1), (2, 1), (3, 2)]);
        assert_eq!(hours_of(&all), group(&[at(1, 5), at(2, 4), at(3, 7), at(3, 9)], HOUR_MS));
    }
}
