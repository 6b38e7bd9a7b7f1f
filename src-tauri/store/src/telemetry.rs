//! Telemetry: what was measured, in its own file, written by its own task.
//!
//! Samples become whole multiples of their signal's resolution, wait in an open chunk per series,
//! are journaled at every flush, and are written as compressed chunks of at most ten minutes with
//! their minimum, maximum, sum, count and latest by the minute. A crash loses what came after the
//! last flush; a power cut may lose a little more, as the file is not synced at every flush.
//!
//! Must never delay anybody: recording is a `try_send`, and what does not fit is counted.

mod blob;
mod codec;
mod counters;
mod file;
mod memory;
mod packed;
mod range;
mod retention;
mod sums;
mod tables;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use model::clock::SharedClock;
use model::signal::{SeriesKey, SeriesRange, Tick};
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::datadir::DataDir;
use crate::spare::SpareError;
use counters::Counted;
use writer::{Input, Shared, Writer};

pub use counters::TelemetryCounters;

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
    /// How long rollups by the minute are kept.
    pub minute_age: Duration,
    /// The size of the file beyond which the oldest is deleted.
    pub disk_budget_bytes: u64,
    /// How many series there may be.
    pub series_max: usize,
    /// How many ticks may wait for the writer.
    pub queue_ticks: usize,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            flush_interval: Duration::from_secs(5),
            raw_age: 2 * DAY,
            minute_age: 90 * DAY,
            disk_budget_bytes: 512 << 20,
            series_max: 40_000,
            queue_ticks: 64,
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
        let (memory, counters) = opened.found;
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
        };
        writer.spawn(task.run());
        writer.close();
        Ok(Self { inputs, shared, readers: opened.readers, writer })
    }

    /// Hands over what was measured at one moment; never waits.
    pub fn record(&self, tick: Tick) -> Recorded {
        match self.inputs.try_send(Input::Tick(tick)) {
            Ok(()) => Recorded::Taken,
            Err(_) => {
                self.shared.counters.add(Counted::TicksDropped, 1);
                Recorded::Dropped
            }
        }
    }

    /// The series that match, each in at most `points` buckets; stretches without samples have no
    /// bucket, series without samples are left out.
    ///
    /// Where a bucket is a minute or longer, or the samples are no longer kept, the answer is made
    /// of rollups by the minute: the range is then widened to full minutes.
    ///
    /// # Errors
    /// When the range is backwards, over 500 series match, or the file cannot be read in 5 s.
    pub async fn range(&self, query: RangeQuery) -> Result<Vec<SeriesRange>, ReadError> {
        let answer = range::range(&self.shared, &self.readers, &query);
        let answer = tokio::time::timeout(READ_DEADLINE, answer).await;
        answer.unwrap_or(Err(ReadError::Deadline { deadline_ms: READ_DEADLINE.as_millis() as u64 }))
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
        let found = self.shared.with(|memory| memory.find(name, labels));
        let latest = found.into_iter().filter_map(|found| {
            let at = Timestamp::from_millisecond(found.latest.at).ok()?;
            let value = found.scale.number(found.latest.value as f64);
            Some((found.key, at, value))
        });
        Ok(latest.collect())
    }

    /// What happened to samples since the file was made.
    #[must_use]
    pub fn counters(&self) -> TelemetryCounters {
        TelemetryCounters::from(&self.shared.counters)
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
