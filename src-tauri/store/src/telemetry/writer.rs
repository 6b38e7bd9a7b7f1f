//! The writer: the one task that takes samples and owns the write connection.
//!
//! A flush is one transaction: chunks that were closed, the journal of those that are open, and the
//! counters now and then. What fails is tried again with the next flush; nothing waits for the disk.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use model::clock::SharedClock;
use model::signal::{Mark, Tick};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::blob;
use super::counters::{Counted, Counters};
use super::key::Selector;
use super::memory::{self, CHUNK_SAMPLES, Chunk, Found, Memory, Part};
use super::place::{PARTS_MAX, chunk_key, part_of, window_start};
use super::retention::{Retention, Witness};
use super::roll::{self, Roller};
use super::scan::damaged;
use super::tables::{self, Sizes};
use super::tally::{Point, tidy};
use super::{Batch, FlushError, TelemetryOptions};
use crate::spare;

/// Flushes between two looks at what is too old, and between two savings of the counters.
const RETENTION_EVERY: u64 = 12;
/// Chunks of a window that are put together with late samples; beyond, those are put beside them.
const MERGED_MAX: usize = 8;

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Input {
    Tick(Tick),
    Batch(Batch),
    Mark(Mark),
    Flush(oneshot::Sender<Result<(), FlushError>>),
    Close,
}

/// What writer and readers share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) memory: Mutex<Memory>,
    pub(super) counters: Counters,
}

impl Shared {
    /// Looks at the memory; never held across an await.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Memory) -> T) -> T {
        look(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The series that are chosen, by their ids in order. Patterns take their time, and the writer must
    /// not wait for them.
    pub(super) fn select(&self, selector: &Selector) -> Vec<Found> {
        let mut found = self.with(|memory| memory.every());
        found.retain(|series| selector.accepts(&series.key));
        found
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) conn: SqliteConnection,
    /// How `conn` was opened, to open it again.
    pub(super) connect: SqliteConnectOptions,
    pub(super) readers: SqlitePool,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: SharedClock,
    pub(super) options: TelemetryOptions,
    pub(super) inputs: mpsc::Receiver<Input>,
    pub(super) roller: Roller,
    pub(super) sizes: Sizes,
    pub(super) witness: Witness,
}

impl Writer {
    /// Runs until it is told to close, or until nobody is left to tell it.
    pub(super) async fn run(mut self) {
        self.housekeep(0).await;
        let period = self.options.flush_interval;
        let mut timer = interval_at(Instant::now() + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut flushes = 0;
        loop {
            tokio::select! {
                // A flush that is due comes before further samples, however many there are.
                biased;
                _ = timer.tick() => {
                    flushes += 1;
                    self.housekeep(flushes).await;
                }
                input = self.inputs.recv() => match input {
                    Some(Input::Flush(answer)) => {
                        let flushed = self.flush(true).await;
                        self.roll().await;
                        // The asker may be gone; the flush was done all the same.
                        let _ = answer.send(flushed);
                    }
                    Some(Input::Close) | None => break,
                    Some(input) => self.take(input),
                },
            }
        }
        self.finish().await;
    }

    /// What is due with the n-th flush.
    async fn housekeep(&mut self, flushes: u64) {
        let thorough = flushes.is_multiple_of(RETENTION_EVERY);
        // Counted and logged inside; tried again with the next one.
        let _ = self.flush(thorough).await;
        self.roll().await;
        if thorough {
            self.retain().await;
        }
    }

    fn take(&self, input: Input) {
        let now_ms = self.clock.now().as_millisecond();
        let counters = &self.shared.counters;
        self.shared.with(|memory| match input {
            Input::Tick(tick) => {
                let known = |(key, value)| Some((memory.intern(&key, counters).ok()?, value));
                let samples: Vec<(i64, f64)> = tick.samples.into_iter().filter_map(known).collect();
                let at = tick.at.as_millisecond();
                memory.append(at, now_ms, samples.into_iter(), counters);
            }
            Input::Batch(batch) => {
                let samples = batch.samples.iter().map(|(id, value)| (i64::from(id.0), *value));
                memory.append(batch.at.as_millisecond(), now_ms, samples, counters);
            }
            Input::Mark(mark) => memory.mark(mark),
            Input::Flush(_) | Input::Close => {}
        });
    }

    /// Writes what memory holds; with `thorough`, the counters too.
    async fn flush(&mut self, thorough: bool) -> Result<(), FlushError> {
        let now_ms = self.clock.now().as_millisecond();
        let batch = self.shared.with(|memory| memory.prepare(now_ms));
        if batch.is_empty() && !thorough {
            return Ok(());
        }
        let batch = Arc::new(batch);
        let (encoded, of) = (Arc::clone(&batch), tokio::task::spawn_blocking);
        let encoded = of(move || Encoded::of(&encoded)).await.map_err(|_| FlushError::Closed)?;
        let written = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => self.write(&batch, &encoded, thorough).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(sizes) => {
                self.sizes = sizes;
                self.shared.with(|memory| memory.committed(&batch));
                Ok(())
            }
            Err(source) => {
                self.shared.counters.add(Counted::FlushFailed, 1);
                self.shared.with(|memory| memory.refused(&batch, &self.shared.counters));
                let damaged = spare::is_damage(&source);
                tracing::warn!(error = %source, damaged, "telemetry flush failed, will be tried again");
                Err(FlushError::Storage { source })
            }
        }
    }

    async fn write(
        &mut self,
        batch: &memory::Batch,
        encoded: &Encoded,
        thorough: bool,
    ) -> sqlx::Result<Sizes> {
        let (counters, mut sizes) = (&self.shared.counters, self.sizes);
        let mut tx = self.conn.begin_with("BEGIN IMMEDIATE").await?;
        for series in &batch.new_series {
            tables::insert_series(&mut tx, series).await?;
        }
        let mut again = BTreeSet::new();
        for (chunk, blob) in batch.chunks.iter().zip(&encoded.chunks) {
            put_chunk(&mut tx, chunk, blob.as_deref(), &mut sizes, counters).await?;
            let done = self.roller.done_of(chunk.series, chunk.window);
            again.extend(done.into_iter().map(|span| (chunk.series, span)));
        }
        for (series, span) in again {
            roll::roll(&mut tx, series, span, &mut sizes, counters).await?;
        }
        for series in &batch.silent {
            tables::update_series(&mut tx, series).await?;
        }
        for (seq, row) in (batch.seq..).zip(&encoded.journal) {
            tables::insert_journal(&mut tx, seq, row).await?;
        }
        // The last row stays: by its number readers know what is in the file.
        if !encoded.journal.is_empty() {
            tables::delete_journal(&mut tx, batch.journal_from).await?;
        }
        for mark in &batch.marks {
            tables::insert_mark(&mut tx, *mark).await?;
        }
        if thorough {
            tables::save_counters(&mut tx, counters).await?;
        }
        if thorough || !batch.chunks.is_empty() {
            tables::save_sizes(&mut tx, sizes).await?;
        }
        tx.commit().await?;
        Ok(sizes)
    }

    async fn roll(&mut self) {
        let now_ms = self.clock.now().as_millisecond();
        let done = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => {
                let (conn, shared) = (&mut self.conn, &self.shared);
                self.roller.step(conn, shared, &mut self.sizes, (now_ms, false)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "telemetry was not rolled up, will be tried again");
        }
    }

    async fn retain(&mut self) {
        let now_ms = self.clock.now().as_millisecond();
        let done = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => {
                let retention = Retention {
                    conn: &mut self.conn,
                    shared: &self.shared,
                    options: &self.options,
                    roller: &mut self.roller,
                    sizes: &mut self.sizes,
                    now_ms,
                    witness: &mut self.witness,
                };
                retention.run().await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "telemetry retention failed, will be tried again");
        }
    }

    /// Takes what is still queued, flushes, and closes the file.
    async fn finish(mut self) {
        self.inputs.close();
        while let Some(input) = self.inputs.recv().await {
            match input {
                Input::Flush(answer) => drop(answer.send(Err(FlushError::Closed))),
                input => self.take(input),
            }
        }
        if self.flush(true).await.is_ok() {
            let marked = tables::set_number(&mut self.conn, tables::CLOSED_CLEANLY, 1).await;
            if let Err(error) = marked {
                tracing::warn!(%error, "telemetry file could not be marked as closed");
            }
        }
        self.readers.close().await;
        if let Err(error) = self.conn.close().await {
            tracing::warn!(%error, "telemetry file could not be closed");
        }
    }
}

/// What of a batch goes into the file as bytes.
#[derive(Debug)]
struct Encoded {
    /// Chunks, but for those of which the file knows more.
    chunks: Vec<Option<Vec<u8>>>,
    journal: Vec<Vec<u8>>,
}

impl Encoded {
    fn of(batch: &memory::Batch) -> Self {
        let chunk = |chunk: &Arc<Chunk>| {
            let start = window_start(chunk.window);
            (chunk.part != Part::Among).then(|| blob::encode_chunk(&chunk.points(), start))
        };
        Self {
            chunks: batch.chunks.iter().map(chunk).collect(),
            journal: batch.journal.iter().map(blob::encode_journal).collect(),
        }
    }
}

/// Writes a chunk, where it was encoded and there is none in its place.
async fn put_chunk(
    conn: &mut SqliteConnection,
    chunk: &Chunk,
    blob: Option<&[u8]>,
    sizes: &mut Sizes,
    counters: &Counters,
) -> sqlx::Result<()> {
    if let (Part::Next(part), Some(blob)) = (chunk.part, blob)
        && part < PARTS_MAX
        && tables::insert_chunk(conn, chunk_key(chunk.window, chunk.series) + part, blob).await?
    {
        sizes[0] += blob.len() as i64;
        return Ok(());
    }
    merge_chunk(conn, chunk, sizes, counters).await
}

/// Writes a chunk among those of its window. Samples that are there already change nothing, so that
/// what was written before a crash may be written again.
async fn merge_chunk(
    conn: &mut SqliteConnection,
    chunk: &Chunk,
    sizes: &mut Sizes,
    counters: &Counters,
) -> sqlx::Result<()> {
    let (key, start) = (chunk_key(chunk.window, chunk.series), window_start(chunk.window));
    let rows = tables::chunks_in(conn, chunk.window, chunk.series).await?;
    let mut all: Vec<Point> = Vec::new();
    let mut whole = rows.len() <= MERGED_MAX;
    for (_, blob) in rows.iter().take(MERGED_MAX) {
        if blob::decode_chunk(blob, start, &mut all).is_err() {
            damaged(chunk.series, chunk.window, counters);
            whole = false;
        }
    }
    let mut next = 0;
    if whole {
        let before = all.clone();
        all.extend(chunk.points());
        tidy(&mut all);
        if all == before {
            return Ok(());
        }
        for (key, blob) in &rows {
            tables::delete_chunk(conn, *key).await?;
            sizes[0] -= blob.len() as i64;
        }
    } else {
        all = chunk.points();
        next = rows.last().map_or(0, |(key, _)| part_of(*key) + 1);
    }
    for points in all.chunks(CHUNK_SAMPLES) {
        if next >= PARTS_MAX {
            counters.add(Counted::Lost, points.len() as u64);
            continue;
        }
        let blob = blob::encode_chunk(points, start);
        tables::insert_chunk(conn, key + next, &blob).await?;
        sizes[0] += blob.len() as i64;
        next += 1;
    }
    Ok(())
}
