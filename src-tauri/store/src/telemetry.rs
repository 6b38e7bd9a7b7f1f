//! Telemetry: what was measured, in its own file, written by its own task.
//!
//! Samples become whole multiples of their signal's resolution, wait in an open chunk per series,
//! are journaled at every flush, and are written as compressed chunks of ten minutes. Once four hours
//! are over, the first, minimum, maximum, sum, count and last of every minute and hour are made of
//! the chunks, exactly. What is no number of that kind (not finite, or too large) is kept bit by bit.
//! A crash loses what came after the last flush; a power cut may lose a little more, as the file is
//! not synced at every flush.
//!
//! Must never delay anybody: recording is a `try_send`, and what does not fit is counted.

mod blob;
mod codec;
mod counters;
mod file;
mod key;
mod memory;
mod packed;
mod place;
mod range;
mod read;
mod retention;
mod roll;
mod scan;
mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use model::clock::SharedClock;
use model::signal::{self, Mark, SeriesKey, SeriesRange, SignalKind, Tick};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::datadir::DataDir;
use crate::spare::SpareError;
use counters::Counted;
use memory::Found;
use retention::Witness;
use writer::{Input, Shared, Writer};

pub use counters::TelemetryCounters;
pub use key::{BadPattern, MatchOp, Matcher, Selector};
pub use read::{ReadQuery, Resolution, Sample, SeriesReader, SeriesValues, Sums, Values};

/// The file's name in the data directory.
const FILE: &str = "telemetry.db";
/// How long a question may take.
const READ_DEADLINE: Duration = Duration::from_secs(5);

/// Why a question cannot be answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The range ends before it begins.
    #[error("read signals from {from} to {to}: the range ends before it begins")]
    Backwards {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// Too many series match.
    #[error("read signals: {found} series match and {max} are allowed; add labels to the question")]
    TooManySeries {
        /// How many match.
        found: usize,
        /// How many may.
        max: usize,
    },
    /// The answer took longer than the deadline.
    #[error("read signals within {deadline_ms} ms: ask for a shorter range or fewer series")]
    Deadline {
        /// The deadline.
        deadline_ms: u64,
    },
    /// The asker wants no answer any more.
    #[error("read signals: the question was withdrawn")]
    Cancelled,
    /// There are more samples of one series than an answer may hold.
    #[error(
        "read signals: a series has over {max} samples in the range; ask for a shorter one, or by the minute"
    )]
    TooMuch {
        /// How many an answer may hold.
        max: usize,
    },
    /// SQLite could not read the file.
    #[error("read telemetry.db")]
    Storage {
        /// What SQLite said.
        source: sqlx::Error,
    },
}

impl ReadError {
    fn storage(source: sqlx::Error) -> Self {
        Self::Storage { source }
    }
}

/// Why a flush did not reach the file.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// Telemetry was closed.
    #[error("flush telemetry: it is closed")]
    Closed,
    /// SQLite could not write; the samples are kept and tried again.
    #[error("write telemetry.db; the samples are kept and tried again")]
    Storage {
        /// What SQLite said.
        source: sqlx::Error,
    },
}

/// How much is kept, and how often it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// The time between two flushes: what a crash may cost.
    pub flush_interval: Duration,
    /// How long samples are kept.
    pub raw_age: Duration,
    /// How long sums by the minute, and marks, are kept.
    pub minute_age: Duration,
    /// How long sums by the hour are kept.
    pub hour_age: Duration,
    /// The size of the file beyond which the oldest is deleted.
    pub disk_budget_bytes: u64,
    /// How many series there may be.
    pub series_max: usize,
    /// How many ticks may wait for the writer.
    pub queue_ticks: usize,
    /// How much older than now a sample may be.
    pub late_window: Duration,
    /// How far ahead of now the moment of a sample may be.
    pub ahead_window: Duration,
    /// How many samples may wait for a disk that takes none; beyond, the oldest are given up.
    pub waiting_samples_max: usize,
    /// How long a clock that jumped ahead must go on evenly before what it makes old is deleted.
    pub trust_after: Duration,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            flush_interval: Duration::from_secs(5),
            raw_age: 2 * DAY,
            minute_age: 90 * DAY,
            hour_age: 730 * DAY,
            disk_budget_bytes: 512 << 20,
            series_max: 40_000,
            queue_ticks: 64,
            late_window: Duration::from_secs(3600),
            ahead_window: Duration::from_secs(300),
            waiting_samples_max: 2_000_000,
            trust_after: Duration::from_secs(3600),
        }
    }
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Recorded {
    /// It is on its way.
    Taken,
    /// The queue was full or closed; the tick is gone and was counted.
    Dropped,
}

/// A series by its number in this telemetry file; no number is used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(u32);

/// Everything measured at one moment, of series that are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// When. On a grid, moments cost nothing: the moment a measurement was due is better than the
    /// one at which it was made.
    pub at: Timestamp,
    /// What, in the signal's unit.
    pub samples: Vec<(SeriesId, f64)>,
}

/// Why there is no series of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The catalogue has no such signal.
    #[error("keep a series of '{name}': there is no such signal")]
    UnknownSignal {
        /// Its name, or the beginning of it.
        name: String,
    },
    /// It has too many labels, or too long ones.
    #[error(
        "keep a series: its name and labels take {len} bytes; at most {max}, 16 labels, and no zero byte are allowed"
    )]
    Labels {
        /// How long they are.
        len: usize,
        /// How long they may be.
        max: usize,
    },
    /// There are too many series.
    #[error("keep another series: there are {max} already; those that fall silent give place")]
    TooManySeries {
        /// How many there may be.
        max: usize,
    },
}

/// A series, and what it is of.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesMeta {
    /// Its number.
    pub id: SeriesId,
    /// Its name and labels.
    pub key: SeriesKey,
    /// What its numbers mean.
    pub kind: SignalKind,
    /// Their unit.
    pub unit: &'static str,
    /// The latest sample.
    pub latest: Option<(Timestamp, f64)>,
}

/// Which samples are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// The signal's name.
    pub name: String,
    /// Labels that must be equal; a series may have more.
    pub labels: BTreeMap<String, String>,
    /// The beginning, included.
    pub from: Timestamp,
    /// The end, included.
    pub to: Timestamp,
    /// The most buckets in the answer, 1 to 2,000.
    pub points: u32,
}

/// A handle on telemetry; clones share the file and its writer.
#[derive(Debug, Clone)]
pub struct Telemetry {
    inputs: mpsc::Sender<Input>,
    shared: Arc<Shared>,
    readers: SqlitePool,
    writer: TaskTracker,
    series_max: u64,
    set_aside: Option<Arc<Path>>,
}

impl Telemetry {
    /// Opens DIR/telemetry.db with the usual options; a damaged file is set aside and replaced.
    ///
    /// # Errors
    /// When no file can be opened, damaged or fresh.
    pub async fn open(dir: &DataDir, clock: SharedClock) -> Result<Self, SpareError> {
        Self::open_with(dir, clock, TelemetryOptions::default()).await
    }

    /// Opens DIR/telemetry.db.
    ///
    /// # Errors
    /// When no file can be opened, damaged or fresh.
    pub async fn open_with(
        dir: &DataDir,
        clock: SharedClock,
        options: TelemetryOptions,
    ) -> Result<Self, SpareError> {
        let path = dir.root().join(FILE);
        let now_ms = clock.now().as_millisecond();
        let opened = file::SPARE.open(&path, now_ms, &file::Restore(&options)).await?;
        let (inputs, receiver) = mpsc::channel(options.queue_ticks.max(1));
        let file::Restored { memory, counters, roller, sizes } = opened.found;
        let shared = Arc::new(Shared { memory: Mutex::new(memory), counters });
        let writer = TaskTracker::new();
        let task = Writer {
            conn: opened.writer,
            connect: opened.writing,
            readers: opened.readers.clone(),
            shared: Arc::clone(&shared),
            clock,
            options,
            inputs: receiver,
            roller,
            sizes,
            witness: Witness::default(),
        };
        writer.spawn(task.run());
        writer.close();
        let series_max = options.series_max as u64;
        let set_aside = opened.aside.map(Arc::from);
        Ok(Self { inputs, shared, readers: opened.readers, writer, series_max, set_aside })
    }

    /// The number of a series, for [`Telemetry::record_batch`]; a new one if it is not known.
    ///
    /// # Errors
    /// When there is no such signal, its labels are too much, or there are too many series. Each is
    /// counted.
    pub fn series(&self, key: &SeriesKey) -> Result<SeriesId, Refused> {
        self.shared.with(|memory| memory.intern(key, &self.shared.counters)).map(id_of)
    }

    /// Hands over what was measured at one moment; never waits.
    pub fn record(&self, tick: Tick) -> Recorded {
        self.hand_over(Input::Tick(tick))
    }

    /// Hands over what was measured at one moment, by the numbers of series; never waits.
    pub fn record_batch(&self, batch: Batch) -> Recorded {
        self.hand_over(Input::Batch(batch))
    }

    /// Hands over what happened to time; never waits.
    pub fn mark(&self, mark: Mark) -> Recorded {
        self.hand_over(Input::Mark(mark))
    }

    fn hand_over(&self, input: Input) -> Recorded {
        match self.inputs.try_send(input) {
            Ok(()) => Recorded::Taken,
            Err(_) => {
                self.shared.counters.add(Counted::TicksDropped, 1);
                Recorded::Dropped
            }
        }
    }

    /// The series that are chosen, in the order in which they were begun.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<SeriesMeta> {
        let found = self.shared.select(selector);
        let meta = |found: Found| {
            let key = key::read_key(&found.key);
            // A signal that the catalogue no longer has is shown as a level.
            let of = signal::of_series(&key.name);
            SeriesMeta {
                id: id_of(found.id),
                latest: latest_of(&found),
                kind: of.map_or(SignalKind::Gauge, |of| of.kind()),
                unit: of.map_or("", |of| of.unit()),
                key,
            }
        };
        found.into_iter().map(meta).collect()
    }

    /// Begins to read series; nothing is read before the first is asked for.
    ///
    /// # Errors
    /// When the range is backwards.
    pub fn read(&self, query: ReadQuery) -> Result<SeriesReader, ReadError> {
        SeriesReader::new(Arc::clone(&self.shared), self.readers.clone(), query)
    }

    /// What happened to time in a range, both ends included, oldest first; at most 10,000 marks.
    ///
    /// # Errors
    /// When the file cannot be read in 5 s.
    pub async fn marks(&self, from: Timestamp, to: Timestamp) -> Result<Vec<Mark>, ReadError> {
        let (from_ms, to_ms) = (from.as_millisecond(), to.as_millisecond());
        // Memory first: one that is written meanwhile is in both, and told once.
        let waiting = self.shared.with(|memory| memory.marks());
        let read = async {
            let mut conn = self.readers.acquire().await?;
            tables::marks(&mut conn, from_ms, to_ms).await
        };
        let mut marks = in_time(async { read.await.map_err(ReadError::storage) }).await?;
        let inside = |mark: &Mark| (from_ms..=to_ms).contains(&mark.at.as_millisecond());
        for mark in waiting.into_iter().filter(inside) {
            if !marks.contains(&mark) {
                marks.push(mark);
            }
        }
        marks.sort_by_key(|mark| mark.at);
        Ok(marks)
    }

    /// The series that match, each in at most `points` buckets; stretches without samples have no
    /// bucket, series without samples are left out.
    ///
    /// Where a bucket is a minute or an hour or longer, or the samples are no longer kept, the answer
    /// is made of sums by the minute or the hour: the range is then widened to full ones. Samples that
    /// are no multiples of the resolution, NaN for one, are left out.
    ///
    /// # Errors
    /// When the range is backwards, over 500 series match, or the file cannot be read in 5 s.
    pub async fn range(&self, query: RangeQuery) -> Result<Vec<SeriesRange>, ReadError> {
        in_time(range::range(&self.shared, &self.readers, &query)).await
    }

    /// The latest sample of each series that matches; `labels` as in [`RangeQuery::labels`].
    ///
    /// # Errors
    /// None today: the latest samples are in memory. The signature leaves room for a file.
    #[expect(clippy::unused_async, reason = "reading is asynchronous for every caller alike")]
    pub async fn latest(
        &self,
        name: &str,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<(SeriesKey, Timestamp, f64)>, ReadError> {
        let selector = Selector::labelled(name, labels);
        let found = self.shared.select(&selector);
        let latest = found.into_iter().filter_map(|found| {
            let (at, value) = latest_of(&found)?;
            Some((key::read_key(&found.key), at, value))
        });
        Ok(latest.filter(|(_, _, value)| value.is_finite()).collect())
    }

    /// Where the file lies now that was found damaged, or of another release, when this one was
    /// opened; `None` where there was no such file.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }

    /// What happened to samples since the file was made.
    #[must_use]
    pub fn counters(&self) -> TelemetryCounters {
        let series = self.shared.with(|memory| memory.series_count()) as u64;
        let counters = TelemetryCounters::from(&self.shared.counters);
        TelemetryCounters { series, series_max: self.series_max, ..counters }
    }

    /// Writes everything recorded so far to the file.
    ///
    /// # Errors
    /// When the file could not be written, or telemetry is closed.
    pub async fn flush(&self) -> Result<(), FlushError> {
        let (answer, answered) = oneshot::channel();
        let asked = self.inputs.send(Input::Flush(answer)).await;
        asked.map_err(|_| FlushError::Closed)?;
        answered.await.map_err(|_| FlushError::Closed)?
    }

    /// Flushes and closes the file; what is recorded afterwards is dropped and counted.
    pub async fn close(&self) {
        // Closed already when nobody listens.
        let _ = self.inputs.send(Input::Close).await;
        self.writer.wait().await;
    }
}

fn id_of(id: i64) -> SeriesId {
    // Below 2^24, as the key of a chunk has no more room.
    SeriesId(u32::try_from(id).unwrap_or(u32::MAX))
}

fn latest_of(found: &Found) -> Option<(Timestamp, f64)> {
    let latest = found.latest?;
    Some((Timestamp::from_millisecond(latest.at).ok()?, found.scale.given(latest.value)))
}

/// Gives an answer up that takes too long.
async fn in_time<T>(answer: impl Future<Output = Result<T, ReadError>>) -> Result<T, ReadError> {
    let deadline_ms = READ_DEADLINE.as_millis() as u64;
    let answer = tokio::time::timeout(READ_DEADLINE, answer).await;
    answer.unwrap_or(Err(ReadError::Deadline { deadline_ms }))
}
