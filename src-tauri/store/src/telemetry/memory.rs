//! What is known without the file: every series, its open chunk, and chunks on their way to disk.
//!
//! Knows no SQL. Only the writer changes it; readers look at it under a short lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use model::signal::{self, SeriesKey, Tick};

use super::blob::Group;
use super::counters::{Counted, Counters};
use super::packed::{End, Packed};
use super::sums::{MINUTE_MS, Point, Scale};

/// The stretch of time one chunk covers.
pub(super) const WINDOW_MINUTES: i64 = 10;
pub(super) const WINDOW_MS: i64 = WINDOW_MINUTES * MINUTE_MS;
/// Samples after which a chunk is closed before its window ends.
pub(super) const CHUNK_SAMPLES: usize = 600;
/// How long after the end of its window a chunk waits for late samples.
const LATE_MS: i64 = 60_000;
/// Journal rows after which a chunk is closed whatever the clock says, so that the journal ends.
const JOURNAL_ROWS_MAX: i64 = 240;
/// Samples that may wait for a disk that takes none; beyond, the oldest are given up.
const CLOSING_SAMPLES_MAX: usize = 2_000_000;
/// The longest labels, as JSON.
const LABELS_LEN_MAX: usize = 1024;

/// The window of a series that a moment belongs to, named by the minute it starts at.
///
/// Windows of different series start at different minutes, so that not all chunks close at once.
pub(super) fn window_of(series: i64, at_ms: i64) -> i64 {
    let phase = series.rem_euclid(WINDOW_MINUTES);
    let minute = at_ms.div_euclid(MINUTE_MS) - phase;
    minute - minute.rem_euclid(WINDOW_MINUTES) + phase
}

/// The first moment of a window.
pub(super) fn window_start(window: i64) -> i64 {
    window.saturating_mul(MINUTE_MS)
}

/// A closed chunk: never changes again.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) series: i64,
    pub(super) window: i64,
    /// Tells apart the chunks of one window; never used twice.
    pub(super) part: i64,
    /// Sorted by time.
    pub(super) points: Vec<Point>,
}

#[derive(Debug)]
struct Open {
    window: i64,
    part: i64,
    points: Packed,
    /// The points before this place are in the journal.
    journaled: End,
    /// The journal row that holds the first of them.
    first_seq: Option<i64>,
}

/// A series as the file keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesRow {
    pub(super) id: i64,
    pub(super) key: SeriesKey,
    pub(super) scale: Scale,
    pub(super) journal_from: i64,
    pub(super) latest: Point,
}

#[derive(Debug)]
struct Series {
    row: SeriesRow,
    stored: bool,
    open: Option<Open>,
}

/// A chunk that is not in the file yet, as a reader sees it.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) window: i64,
    pub(super) part: i64,
    pub(super) points: Vec<Point>,
}

/// A series a reader asked for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) key: SeriesKey,
    pub(super) scale: Scale,
    pub(super) latest: Point,
    pub(super) live: Vec<Live>,
}

/// What one flush writes, in one transaction.
#[derive(Debug)]
pub(super) struct Batch {
    /// The number of the first journal row to be written.
    pub(super) seq: i64,
    pub(super) new_series: Vec<SeriesRow>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    /// Series of which chunks were closed, with their new journal start and latest sample.
    pub(super) closed: Vec<SeriesRow>,
    pub(super) journal: Vec<Group>,
    /// Journal rows before this one are needed no more.
    pub(super) journal_from: i64,
    pub(super) next_part: i64,
}

/// Everything the engine knows without asking the file.
#[derive(Debug)]
pub(super) struct Memory {
    series: BTreeMap<i64, Series>,
    by_key: HashMap<SeriesKey, i64>,
    closing: VecDeque<Arc<Chunk>>,
    closing_samples: usize,
    series_max: usize,
    next_part: i64,
    next_seq: i64,
}

impl Memory {
    /// Starts from what the file holds.
    pub(super) fn new(rows: Vec<SeriesRow>, next_part: i64, next_seq: i64, max: usize) -> Self {
        let by_key = rows.iter().map(|row| (row.key.clone(), row.id)).collect();
        let series = rows.into_iter().map(|row| {
            let id = row.id;
            let series = Series { row, stored: true, open: None };
            (id, series)
        });
        Self {
            series: series.collect(),
            by_key,
            closing: VecDeque::new(),
            closing_samples: 0,
            series_max: max,
            next_part,
            next_seq,
        }
    }

    /// Takes the samples of one moment; what is refused is counted.
    pub(super) fn append(&mut self, tick: Tick, counters: &Counters) {
        let at = tick.at.as_millisecond();
        for (key, value) in tick.samples {
            match self.accept(key, at, value) {
                Ok((id, point)) => {
                    counters.add(Counted::Recorded, 1);
                    self.push(id, point, counters);
                }
                Err(counted) => counters.add(counted, 1),
            }
        }
    }

    fn accept(&mut self, key: SeriesKey, at: i64, value: f64) -> Result<(i64, Point), Counted> {
        let known = self.by_key.get(&key).and_then(|id| self.series.get(id));
        if let Some(series) = known {
            let value = series.row.scale.scaled(value).ok_or(Counted::BadValue)?;
            return Ok((series.row.id, Point { at, value }));
        }
        let signal = signal::by_name(&key.name).ok_or(Counted::UnknownSignal)?;
        let labels = serde_json::to_string(&key.labels).map_err(|_| Counted::UnknownSignal)?;
        if labels.len() > LABELS_LEN_MAX {
            return Err(Counted::UnknownSignal);
        }
        if self.series.len() >= self.series_max {
            return Err(Counted::OverSeriesCap);
        }
        let scale = Scale(signal.resolution);
        let value = scale.scaled(value).ok_or(Counted::BadValue)?;
        let latest = Point { at, value };
        let id = self.series.keys().next_back().map_or(1, |id| id + 1);
        self.by_key.insert(key.clone(), id);
        let row = SeriesRow { id, key, scale, journal_from: self.next_seq, latest };
        let series = Series { row, stored: false, open: None };
        self.series.insert(id, series);
        Ok((id, latest))
    }

    /// Puts a sample into its chunk; late ones are welcome as long as the chunk is open.
    fn push(&mut self, id: i64, point: Point, counters: &Counters) {
        let window = window_of(id, point.at);
        let Some(series) = self.series.get_mut(&id) else {
            return;
        };
        // Much older than the latest: the clock was set back, so time goes on from here.
        if point.at >= series.row.latest.at || series.row.latest.at - point.at > WINDOW_MS {
            series.row.latest = point;
        }
        let left = series.open.take_if(|open| open.window != window);
        let open = series.open.get_or_insert_with(|| {
            self.next_part += 1;
            Open {
                window,
                part: self.next_part,
                points: Packed::default(),
                journaled: End::default(),
                first_seq: None,
            }
        });
        open.points.push(point);
        let full = series.open.take_if(|open| open.points.len() >= CHUNK_SAMPLES);
        for open in left.into_iter().chain(full) {
            self.close_chunk(id, open, counters);
        }
    }

    fn close_chunk(&mut self, series: i64, open: Open, counters: &Counters) {
        let mut points = open.points.points();
        points.sort_by_key(|point| point.at);
        self.closing_samples += points.len();
        self.closing.push_back(Arc::new(Chunk {
            series,
            window: open.window,
            part: open.part,
            points,
        }));
        while self.closing_samples > CLOSING_SAMPLES_MAX {
            let Some(lost) = self.closing.pop_front() else {
                break;
            };
            self.closing_samples -= lost.points.len();
            counters.add(Counted::Lost, lost.points.len() as u64);
        }
    }

    /// Takes back the samples of a journal row.
    pub(super) fn replay(&mut self, seq: i64, groups: Vec<Group>, counters: &Counters) {
        for group in groups {
            let series = self.series.get(&group.series);
            if series.is_none_or(|series| seq < series.row.journal_from) {
                continue;
            }
            for point in group.points {
                self.push(group.series, point, counters);
            }
            let series = self.series.get_mut(&group.series);
            if let Some(open) = series.and_then(|series| series.open.as_mut()) {
                open.journaled = open.points.end();
                open.first_seq.get_or_insert(seq);
            }
        }
    }

    /// Closes chunks whose time is over, and gathers what the file does not hold yet.
    pub(super) fn prepare(&mut self, now_ms: i64, counters: &Counters) -> Batch {
        self.close_stale(now_ms, counters);
        let seq = self.next_seq;
        let mut batch = Batch {
            seq,
            new_series: Vec::new(),
            chunks: self.closing.iter().cloned().collect(),
            closed: Vec::new(),
            journal: Vec::new(),
            journal_from: seq,
            next_part: self.next_part,
        };
        let mut closed: Vec<i64> = batch.chunks.iter().map(|chunk| chunk.series).collect();
        closed.sort_unstable();
        closed.dedup();
        for (id, series) in &mut self.series {
            let first_seq = series.open.as_ref().and_then(|open| open.first_seq);
            let begun = first_seq.unwrap_or(seq);
            batch.journal_from = batch.journal_from.min(begun);
            if closed.binary_search(id).is_ok() {
                series.row.journal_from = begun;
                batch.closed.push(series.row.clone());
            }
            if !series.stored {
                batch.new_series.push(series.row.clone());
            }
            let fresh = series.open.as_ref().map(|open| open.points.since(open.journaled));
            if let Some(points) = fresh.filter(|points| !points.is_empty()) {
                batch.journal.push(Group { series: *id, points });
            }
        }
        batch
    }

    fn close_stale(&mut self, now_ms: i64, counters: &Counters) {
        let next_seq = self.next_seq;
        let mut stale = Vec::new();
        for (id, series) in &mut self.series {
            let open = series.open.take_if(|open| {
                let end = window_start(open.window).saturating_add(WINDOW_MS + LATE_MS);
                let oldest = open.first_seq.unwrap_or(next_seq);
                end < now_ms || next_seq - oldest >= JOURNAL_ROWS_MAX
            });
            stale.extend(open.map(|open| (*id, open)));
        }
        for (id, open) in stale {
            self.close_chunk(id, open, counters);
        }
    }

    /// Notes that a batch is in the file, with its journal in `rows` rows.
    pub(super) fn committed(&mut self, batch: &Batch, rows: i64) {
        for chunk in &batch.chunks {
            self.closing_samples -= chunk.points.len();
        }
        self.closing.drain(..batch.chunks.len());
        for row in &batch.new_series {
            if let Some(series) = self.series.get_mut(&row.id) {
                series.stored = true;
            }
        }
        for group in &batch.journal {
            let series = self.series.get_mut(&group.series);
            if let Some(open) = series.and_then(|series| series.open.as_mut()) {
                open.journaled = open.points.end();
                open.first_seq.get_or_insert(batch.seq);
            }
        }
        self.next_seq += rows;
    }

    /// Series whose name is `name` and whose labels include `labels`, without their samples.
    pub(super) fn find(&self, name: &str, labels: &BTreeMap<String, String>) -> Vec<Found> {
        let wanted = |key: &SeriesKey| {
            key.name == name
                && labels.iter().all(|(label, value)| key.labels.get(label) == Some(value))
        };
        let found = self.series.values().filter(|series| wanted(&series.row.key));
        found
            .map(|series| Found {
                id: series.row.id,
                key: series.row.key.clone(),
                scale: series.row.scale,
                latest: series.row.latest,
                live: Vec::new(),
            })
            .collect()
    }

    /// Adds to each series its chunks that are not in the file yet.
    pub(super) fn fill(&self, found: &mut [Found]) {
        for found in &mut *found {
            let open = self.series.get(&found.id).and_then(|series| series.open.as_ref());
            found.live.extend(open.map(|open| Live {
                window: open.window,
                part: open.part,
                points: open.points.points(),
            }));
        }
        for chunk in &self.closing {
            if let Ok(at) = found.binary_search_by_key(&chunk.series, |found| found.id) {
                found[at].live.push(Live {
                    window: chunk.window,
                    part: chunk.part,
                    points: chunk.points.clone(),
                });
            }
        }
    }

    /// The newest moment of which there is a sample.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.series.values().map(|series| series.row.latest.at).max()
    }

    /// At most `max` series that have had no sample since `cutoff_ms` and are wholly in the file.
    pub(super) fn forgotten(&self, cutoff_ms: i64, max: usize) -> Vec<i64> {
        let waiting = |id: i64| self.closing.iter().any(|chunk| chunk.series == id);
        let old = self.series.values().filter(|series| {
            series.stored && series.open.is_none() && series.row.latest.at < cutoff_ms
        });
        let ids = old.map(|series| series.row.id);
        ids.filter(|id| !waiting(*id)).take(max).collect()
    }

    /// Lets go of series that are no longer in the file.
    pub(super) fn forget(&mut self, ids: &[i64]) {
        for id in ids {
            if let Some(series) = self.series.remove(id) {
                self.by_key.remove(&series.row.key);
            }
        }
    }
}
