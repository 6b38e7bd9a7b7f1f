//! What is known without the file: every series, its open chunk, and chunks on their way to disk.
//!
//! Knows no SQL. Only the writer adds samples; readers look at it under a short lock.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use model::signal::{self, Mark, SeriesKey};

use super::Refused;
use super::blob::{JOURNAL_ROW_SAMPLES, JournalRow};
use super::counters::{Counted, Counters};
use super::key;
use super::packed::{End, Packed};
use super::place::{SERIES_MAX, WINDOW_MS, has_place, window_of, window_start};
use super::tally::{Point, Scale, is_multiple, tidy};

/// Samples after which a chunk is closed before its window ends.
pub(super) const CHUNK_SAMPLES: usize = 1024;
/// How long after the end of its window a chunk waits for late samples.
pub(super) const LATE_MS: i64 = 60_000;
/// Journal rows after which a chunk is closed whatever the clock says, so that the journal ends.
const JOURNAL_ROWS_MAX: i64 = 240;
/// The same for chunks of samples that came late.
const LATE_ROWS_MAX: i64 = 24;
/// Chunks of late samples that may be open.
const LATE_CHUNKS_MAX: usize = 4096;
/// Flushes that may fail, one after the other, before anything is given up: a minute of them.
const REFUSALS_MAX: u32 = 12;
/// Marks that may wait.
const MARKS_WAITING_MAX: usize = 1000;

/// Where in its window a chunk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It is the n-th, and begins after those before it.
    Next(i64),
    /// There may be chunks whose samples lie between its own; the file knows.
    Among,
}

/// A closed chunk: never changes again.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) series: i64,
    pub(super) window: i64,
    pub(super) part: Part,
    points: Packed,
}

impl Chunk {
    /// Its samples, sorted by time.
    pub(super) fn points(&self) -> Vec<Point> {
        let mut points = self.points.points();
        tidy(&mut points);
        points
    }
}

#[derive(Debug)]
struct Open {
    window: i64,
    part: Part,
    points: Packed,
    /// The points before this place are in the journal.
    journaled: End,
    /// The journal row that holds the first of them.
    first_seq: Option<i64>,
}

impl Open {
    fn new(window: i64, part: Part) -> Self {
        Self { window, part, points: Packed::default(), journaled: End::default(), first_seq: None }
    }

    fn note(&mut self, seq: i64) {
        self.journaled = self.points.end();
        self.first_seq.get_or_insert(seq);
    }

    fn is_over(&self, now_ms: i64, next_seq: i64, rows_max: i64) -> bool {
        let end = window_start(self.window).saturating_add(WINDOW_MS + LATE_MS);
        end < now_ms || next_seq - self.first_seq.unwrap_or(next_seq) >= rows_max
    }
}

/// A series as the file keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SeriesRow {
    pub(super) id: i64,
    /// Its name and labels, written by [`key::write_key`].
    pub(super) key: Arc<str>,
    pub(super) scale: Scale,
    pub(super) latest: Option<Point>,
}

#[derive(Debug)]
struct Series {
    row: SeriesRow,
    stored: bool,
    /// The newest window of which a chunk was closed, and how many were; of what was closed before
    /// a restart, only the file knows.
    closed: Option<(i64, i64)>,
    open: Option<Box<Open>>,
}

/// A series a reader asked for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: i64,
    pub(super) key: Arc<str>,
    pub(super) scale: Scale,
    pub(super) latest: Option<Point>,
}

/// What one flush writes, in one transaction.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The number of the first journal row to be written.
    pub(super) seq: i64,
    pub(super) new_series: Vec<SeriesRow>,
    pub(super) chunks: Vec<Arc<Chunk>>,
    /// Series that have no open chunk any more; their latest samples are in no journal.
    pub(super) silent: Vec<SeriesRow>,
    pub(super) journal: Vec<JournalRow>,
    /// Journal rows before this one are needed no more.
    pub(super) journal_from: i64,
    pub(super) marks: Vec<Mark>,
}

impl Batch {
    /// Whether there is nothing to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.is_empty()
            && self.chunks.is_empty()
            && self.new_series.is_empty()
            && self.marks.is_empty()
    }
}

/// What is taken and what is not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) series_max: usize,
    /// Samples that may wait for a disk that takes none. Only what a flush has failed on counts: after
    /// a pause every open chunk is closed at once, and all of them are to be written.
    pub(super) waiting_max: usize,
    pub(super) late_ms: i64,
    pub(super) ahead_ms: i64,
}

/// Everything the engine knows without asking the file.
#[derive(Debug)]
pub(super) struct Memory {
    /// By their ids, which are never used twice.
    series: Vec<Option<Box<Series>>>,
    by_key: HashMap<Arc<str>, i64>,
    /// Chunks of late samples, by series and window.
    late: BTreeMap<(i64, i64), Open>,
    closing: VecDeque<Arc<Chunk>>,
    /// Flushes that failed since the last that did not.
    refusals: u32,
    marks: VecDeque<Mark>,
    limits: Limits,
    next_seq: i64,
    scratch: String,
}

impl Memory {
    /// Starts from what the file holds; `highest` is the highest id that was ever given.
    pub(super) fn new(rows: Vec<SeriesRow>, highest: i64, next_seq: i64, limits: Limits) -> Self {
        let mut memory = Self {
            series: Vec::new(),
            by_key: HashMap::new(),
            late: BTreeMap::new(),
            closing: VecDeque::new(),
            refusals: 0,
            marks: VecDeque::new(),
            limits,
            next_seq,
            scratch: String::new(),
        };
        let given = usize::try_from(highest.clamp(0, SERIES_MAX)).unwrap_or_default() + 1;
        memory.series.resize_with(given, || None);
        for row in rows {
            memory.insert(Series { row, stored: true, closed: None, open: None });
        }
        memory
    }

    fn insert(&mut self, series: Series) {
        let at = usize::try_from(series.row.id).unwrap_or_default();
        if self.series.len() <= at {
            self.series.resize_with(at + 1, || None);
        }
        self.by_key.insert(Arc::clone(&series.row.key), series.row.id);
        self.series[at] = Some(Box::new(series));
    }

    /// The highest id that was ever given.
    pub(super) fn highest_id(&self) -> i64 {
        self.series.len().max(1) as i64 - 1
    }

    /// How many series there are.
    pub(super) fn series_count(&self) -> usize {
        self.by_key.len()
    }

    /// The last journal row that is in the file: what readers must find there.
    pub(super) const fn generation(&self) -> i64 {
        self.next_seq - 1
    }

    /// The series of a key; a new one where there is none and one may be.
    pub(super) fn intern(&mut self, key: &SeriesKey, counters: &Counters) -> Result<i64, Refused> {
        let mut text = std::mem::take(&mut self.scratch);
        let fits = key::write_key(key, &mut text);
        let known = self.by_key.get(text.as_str()).copied();
        let found = known.map_or_else(|| self.add(key, fits, &text, counters), Ok);
        self.scratch = text;
        found
    }

    fn add(
        &mut self,
        key: &SeriesKey,
        fits: bool,
        text: &str,
        counters: &Counters,
    ) -> Result<i64, Refused> {
        let Some(of) = signal::of_series(&key.name) else {
            counters.add(Counted::UnknownSignal, 1);
            return Err(Refused::UnknownSignal { name: key.name.chars().take(80).collect() });
        };
        if !fits {
            counters.add(Counted::BadLabels, 1);
            return Err(Refused::Labels { len: text.len(), max: key::KEY_LEN_MAX });
        }
        let id = self.series.len().max(1) as i64;
        if self.by_key.len() >= self.limits.series_max || id > SERIES_MAX {
            counters.add(Counted::OverSeriesCap, 1);
            return Err(Refused::TooManySeries { max: self.limits.series_max });
        }
        let scale = Scale(of.resolution());
        let row = SeriesRow { id, key: text.into(), scale, latest: None };
        self.insert(Series { row, stored: false, closed: Some((i64::MIN, 0)), open: None });
        Ok(id)
    }

    fn get(&self, id: i64) -> Option<&Series> {
        self.series.get(usize::try_from(id).ok()?)?.as_deref()
    }

    fn all(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter_map(Option::as_deref)
    }

    /// Takes samples of one moment; what is refused is counted.
    pub(super) fn append(
        &mut self,
        at: i64,
        now_ms: i64,
        samples: impl Iterator<Item = (i64, f64)>,
        counters: &Counters,
    ) {
        let outside = if at < now_ms.saturating_sub(self.limits.late_ms) || !has_place(at) {
            Some(Counted::Late)
        } else {
            (at > now_ms.saturating_add(self.limits.ahead_ms)).then_some(Counted::Ahead)
        };
        if let Some(counted) = outside {
            counters.add(counted, samples.count() as u64);
            return;
        }
        let (mut taken, mut numberless, mut unknown, mut twice) = (0, 0, 0, 0);
        for (id, value) in samples {
            let Some(series) = self.get(id) else {
                unknown += 1;
                continue;
            };
            let point = Point { at, value: series.row.scale.kept(value) };
            taken += 1;
            numberless += u64::from(!is_multiple(point.value));
            twice += u64::from(series.row.latest.is_some_and(|latest| latest.at == at));
            self.push(id, point, now_ms);
        }
        counters.add(Counted::Recorded, taken);
        counters.add(Counted::NoMultiple, numberless);
        counters.add(Counted::UnknownSeries, unknown);
        counters.add(Counted::Twice, twice);
    }

    /// Puts a sample into its chunk.
    fn push(&mut self, id: i64, point: Point, now_ms: i64) {
        let at = usize::try_from(id).unwrap_or_default();
        let Some(series) = self.series.get_mut(at).and_then(Option::as_deref_mut) else {
            return;
        };
        let window = window_of(id, point.at);
        // A latest sample of the future: the clock was set back, so time goes on from here.
        if series.row.latest.is_none_or(|latest| point.at >= latest.at || latest.at > now_ms) {
            series.row.latest = Some(point);
        }
        let (open_window, next) = match &series.open {
            Some(open) => (open.window, window_start(open.window) > now_ms),
            None => (window, true),
        };
        if window < open_window && !next {
            self.push_late(id, window, point);
            return;
        }
        let left = series.open.take_if(|open| open.window != window);
        if let Some(left) = left {
            series.closed = next_place(series.closed, left.window);
            self.close_chunk(id, *left);
        }
        let Some(series) = self.series.get_mut(at).and_then(Option::as_deref_mut) else {
            return;
        };
        let closed = series.closed;
        let open = series.open.get_or_insert_with(|| {
            let part = match closed {
                Some((last, _)) if last < window => Part::Next(0),
                Some((last, count)) if last == window => Part::Next(count),
                _ => Part::Among,
            };
            Box::new(Open::new(window, part))
        });
        open.points.push(point);
        if let Some(full) = series.open.take_if(|open| open.points.len() >= CHUNK_SAMPLES) {
            series.closed = next_place(series.closed, full.window);
            self.close_chunk(id, *full);
        }
    }

    fn push_late(&mut self, id: i64, window: i64, point: Point) {
        let open = self.late.entry((id, window)).or_insert_with(|| Open::new(window, Part::Among));
        open.points.push(point);
        let full = open.points.len() >= CHUNK_SAMPLES;
        let place = if full { Some((id, window)) } else { None };
        let over = (self.late.len() > LATE_CHUNKS_MAX).then(|| self.late.first_key_value());
        let over = over.flatten().map(|(place, _)| *place);
        for place in place.into_iter().chain(over) {
            if let Some(open) = self.late.remove(&place) {
                self.close_chunk(place.0, open);
            }
        }
    }

    fn close_chunk(&mut self, series: i64, open: Open) {
        let Open { window, part, points, .. } = open;
        self.closing.push_back(Arc::new(Chunk { series, window, part, points }));
    }

    /// Notes that a batch could not be written: what waits too long is given up, the oldest first.
    /// One failure is none: after a pause much waits, and it is all in the journal.
    pub(super) fn refused(&mut self, batch: &Batch, counters: &Counters) {
        self.refusals += 1;
        if self.refusals < REFUSALS_MAX {
            return;
        }
        let mut samples: usize = batch.chunks.iter().map(|chunk| chunk.points.len()).sum();
        while samples > self.limits.waiting_max {
            let Some(lost) = self.closing.pop_front() else {
                break;
            };
            samples -= lost.points.len();
            counters.add(Counted::Lost, lost.points.len() as u64);
        }
    }

    /// Keeps a mark until it is written.
    pub(super) fn mark(&mut self, mark: Mark) {
        if self.marks.len() >= MARKS_WAITING_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// The marks that are not in the file yet.
    pub(super) fn marks(&self) -> Vec<Mark> {
        self.marks.iter().copied().collect()
    }

    /// Takes back the samples of a journal row; `begins` says from which row on they count.
    pub(super) fn replay(&mut self, seq: i64, row: &JournalRow, begins: &HashMap<i64, i64>) {
        let mut points = row.points.as_slice();
        for (id, count) in &row.series {
            let (own, rest) = points.split_at_checked(*count).unwrap_or((points, &[]));
            points = rest;
            if begins.get(id).is_some_and(|from| seq < *from) {
                continue;
            }
            for point in own.iter().filter(|point| has_place(point.at)) {
                // Nothing is of the future: what was taken then is taken now.
                self.push(*id, *point, i64::MAX);
            }
            let series = self.series.get_mut(usize::try_from(*id).unwrap_or_default());
            let open = series.and_then(|it| it.as_mut()).and_then(|it| it.open.as_mut());
            let late = self.late.range_mut((*id, i64::MIN)..=(*id, i64::MAX));
            late.map(|(_, open)| open).chain(open.map(|it| &mut **it)).for_each(|it| it.note(seq));
        }
    }

    /// Closes chunks whose time is over, and gathers what the file does not hold yet.
    pub(super) fn prepare(&mut self, now_ms: i64) -> Batch {
        self.close_stale(now_ms);
        let seq = self.next_seq;
        let chunks: Vec<Arc<Chunk>> = self.closing.iter().cloned().collect();
        let mut batch =
            Batch { seq, marks: self.marks(), journal_from: seq, chunks, ..Batch::default() };
        let mut closed: Vec<i64> = batch.chunks.iter().map(|chunk| chunk.series).collect();
        closed.sort_unstable();
        closed.dedup();
        let mut rows = vec![JournalRow::default()];
        for series in self.series.iter().filter_map(Option::as_deref) {
            let id = series.row.id;
            let late = self.late.range((id, i64::MIN)..=(id, i64::MAX)).map(|(_, open)| open);
            let mut begun = seq;
            for open in late.chain(series.open.as_deref()) {
                begun = begun.min(open.first_seq.unwrap_or(seq));
                add_fresh(id, open, &mut rows);
            }
            batch.journal_from = batch.journal_from.min(begun);
            if closed.binary_search(&id).is_ok() {
                rows[0].begins.push((id, begun));
                if series.open.is_none() {
                    batch.silent.push(series.row.clone());
                }
            }
            if !series.stored {
                batch.new_series.push(series.row.clone());
            }
        }
        // With chunks there is always a row: its number tells readers that they are in the file.
        let chunks = !batch.chunks.is_empty();
        rows.retain(|row| !row.series.is_empty() || chunks);
        batch.journal = rows;
        batch
    }

    fn close_stale(&mut self, now_ms: i64) {
        let next_seq = self.next_seq;
        let mut stale = Vec::new();
        for series in self.series.iter_mut().filter_map(Option::as_deref_mut) {
            let over = |open: &mut Box<Open>| open.is_over(now_ms, next_seq, JOURNAL_ROWS_MAX);
            if let Some(open) = series.open.take_if(over) {
                series.closed = next_place(series.closed, open.window);
                stale.push((series.row.id, *open));
            }
        }
        let over = |_: &(i64, i64), open: &mut Open| {
            next_seq - open.first_seq.unwrap_or(next_seq) >= LATE_ROWS_MAX
        };
        let late = self.late.extract_if(.., over).map(|((id, _), open)| (id, open));
        stale.extend(late.collect::<Vec<_>>());
        for (id, open) in stale {
            self.close_chunk(id, open);
        }
    }

    /// Notes that a batch is in the file.
    pub(super) fn committed(&mut self, batch: &Batch) {
        self.refusals = 0;
        self.closing.drain(..batch.chunks.len());
        self.marks.drain(..batch.marks.len().min(self.marks.len()));
        for (seq, row) in (batch.seq..).zip(&batch.journal) {
            for (id, _) in &row.series {
                let series = self.series.get_mut(usize::try_from(*id).unwrap_or_default());
                let open = series.and_then(|it| it.as_mut()).and_then(|it| it.open.as_mut());
                let late = self.late.range_mut((*id, i64::MIN)..=(*id, i64::MAX));
                let opens = late.map(|(_, open)| open).chain(open.map(|it| &mut **it));
                opens.for_each(|open| open.note(seq));
            }
        }
        for row in &batch.new_series {
            let series = self.series.get_mut(usize::try_from(row.id).unwrap_or_default());
            if let Some(series) = series.and_then(|it| it.as_mut()) {
                series.stored = true;
            }
        }
        self.next_seq += batch.journal.len() as i64;
    }

    /// Every series, by their ids in order: what a selector is held against where nobody waits for it.
    pub(super) fn every(&self) -> Vec<Found> {
        self.all().map(|series| found(&series.row)).collect()
    }

    /// The series of an id.
    pub(super) fn find(&self, id: i64) -> Option<Found> {
        self.get(id).map(|series| found(&series.row))
    }

    /// The samples of each series that are not in the file yet, in no order, and the generation of
    /// the file they complete.
    pub(super) fn live(&self, ids: &[i64]) -> (i64, HashMap<i64, Vec<Point>>) {
        let mut live: HashMap<i64, Vec<Point>> = HashMap::new();
        for id in ids {
            let mut points = Vec::new();
            for chunk in self.closing.iter().filter(|chunk| chunk.series == *id) {
                chunk.points.since(End::default(), &mut points);
            }
            let late = self.late.range((*id, i64::MIN)..=(*id, i64::MAX)).map(|(_, open)| open);
            let open = self.get(*id).and_then(|series| series.open.as_deref());
            for open in late.chain(open) {
                open.points.since(End::default(), &mut points);
            }
            live.insert(*id, points);
        }
        (self.generation(), live)
    }

    /// The newest moment of which there is a sample.
    pub(super) fn newest_ms(&self) -> Option<i64> {
        self.all().filter_map(|series| Some(series.row.latest?.at)).max()
    }

    /// The first id from `from` on of which there is a series.
    pub(super) fn next_id(&self, from: i64) -> Option<i64> {
        let from = usize::try_from(from.max(0)).ok()?;
        let series = self.series.get(from..)?.iter().find_map(Option::as_deref)?;
        Some(series.row.id)
    }

    /// At most `max` series that have had no sample since `cutoff_ms` and are wholly in the file.
    pub(super) fn forgotten(&self, cutoff_ms: i64, max: usize) -> Vec<i64> {
        let waiting = |id: i64| {
            self.closing.iter().any(|chunk| chunk.series == id)
                || self.late.range((id, i64::MIN)..=(id, i64::MAX)).next().is_some()
        };
        let old = self.all().filter(|series| {
            let silent = series.row.latest.is_some_and(|latest| latest.at < cutoff_ms);
            series.stored && series.open.is_none() && silent
        });
        let ids = old.map(|series| series.row.id);
        ids.filter(|id| !waiting(*id)).take(max).collect()
    }

    /// Lets go of series that are no longer in the file.
    pub(super) fn forget(&mut self, ids: &[i64]) {
        for id in ids {
            let series = self.series.get_mut(usize::try_from(*id).unwrap_or_default());
            if let Some(series) = series.and_then(Option::take) {
                self.by_key.remove(&series.row.key);
            }
        }
    }
}

fn found(row: &SeriesRow) -> Found {
    Found { id: row.id, key: Arc::clone(&row.key), scale: row.scale, latest: row.latest }
}

/// The newest window of which chunks were closed, and how many, after another one.
fn next_place(closed: Option<(i64, i64)>, window: i64) -> Option<(i64, i64)> {
    match closed {
        Some((last, count)) if window == last => Some((last, count + 1)),
        Some((last, count)) if window < last => Some((last, count)),
        _ => Some((window, 1)),
    }
}

/// Adds what of a chunk is not in the journal yet.
fn add_fresh(id: i64, open: &Open, rows: &mut Vec<JournalRow>) {
    let full = rows.last().is_none_or(|row| row.points.len() >= JOURNAL_ROW_SAMPLES);
    if full {
        rows.push(JournalRow::default());
    }
    let Some(row) = rows.last_mut() else {
        return;
    };
    let before = row.points.len();
    open.points.since(open.journaled, &mut row.points);
    let count = row.points.len() - before;
    if count > 0 {
        row.series.push((id, count));
    }
}
