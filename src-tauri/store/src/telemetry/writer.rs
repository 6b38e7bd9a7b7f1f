//! The writer: the one task that takes samples and owns the write connection.
//!
//! A flush is one transaction: chunks that were closed, the journal of those that are open, and
//! the counters. What fails is tried again with the next flush; nothing waits for the disk.

use std::sync::{Arc, Mutex, PoisonError};

use model::clock::SharedClock;
use model::signal::Tick;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::blob::{self, Group, JOURNAL_ROW_SAMPLES};
use super::counters::{Counted, Counters};
use super::memory::{Batch, Memory};
use super::tables::{self, Sealed};
use super::{FlushError, TelemetryOptions, retention};
use crate::spare;

/// Flushes between two looks at what is too old.
const RETENTION_EVERY: u64 = 12;

/// What the writer is asked.
#[derive(Debug)]
pub(super) enum Input {
    Tick(Tick),
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
                    Some(Input::Tick(tick)) => self.take(tick),
                    Some(Input::Flush(answer)) => {
                        // The asker may be gone; the flush was done all the same.
                        let _ = answer.send(self.flush().await);
                    }
                    Some(Input::Close) | None => break,
                },
            }
        }
        self.finish().await;
    }

    /// What is due with the n-th flush.
    async fn housekeep(&mut self, flushes: u64) {
        // Counted and logged inside; tried again with the next one.
        let _ = self.flush().await;
        if flushes.is_multiple_of(RETENTION_EVERY) {
            self.retain().await;
        }
    }

    fn take(&self, tick: Tick) {
        self.shared.with(|memory| memory.append(tick, &self.shared.counters));
    }

    async fn flush(&mut self) -> Result<(), FlushError> {
        let now_ms = self.clock.now().as_millisecond();
        let batch = self.shared.with(|memory| memory.prepare(now_ms, &self.shared.counters));
        let chunks = batch.chunks.clone();
        let journal = batch.journal.clone();
        let encoded = tokio::task::spawn_blocking(move || {
            let sealed: Vec<Sealed> =
                chunks.iter().filter_map(|chunk| Sealed::seal(chunk)).collect();
            (sealed, journal_rows(&journal))
        });
        let (sealed, rows) = encoded.await.map_err(|_| FlushError::Closed)?;
        let written = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => write(&mut self.conn, &batch, &sealed, &rows, &self.shared.counters).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(()) => {
                self.shared.with(|memory| memory.committed(&batch, rows.len() as i64));
                Ok(())
            }
            Err(source) => {
                self.shared.counters.add(Counted::FlushFailed, 1);
                let damaged = spare::is_damage(&source);
                tracing::warn!(error = %source, damaged, "telemetry flush failed, will be tried again");
                Err(FlushError::Storage { source })
            }
        }
    }

    async fn retain(&mut self) {
        let now_ms = self.clock.now().as_millisecond();
        let done = match spare::mend(&mut self.conn, &self.connect).await {
            Ok(()) => retention::retain(&mut self.conn, &self.shared, now_ms, &self.options).await,
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
                Input::Tick(tick) => self.take(tick),
                Input::Flush(answer) => drop(answer.send(Err(FlushError::Closed))),
                Input::Close => {}
            }
        }
        if self.flush().await.is_ok() {
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

/// The samples of a flush as blobs of bounded size.
fn journal_rows(groups: &[Group]) -> Vec<Vec<u8>> {
    let mut rows = Vec::new();
    let (mut from, mut samples) = (0, 0);
    for (at, group) in groups.iter().enumerate() {
        samples += group.points.len();
        if samples >= JOURNAL_ROW_SAMPLES || at + 1 == groups.len() {
            rows.push(blob::encode_journal(&groups[from..=at]));
            (from, samples) = (at + 1, 0);
        }
    }
    rows
}

async fn write(
    conn: &mut SqliteConnection,
    batch: &Batch,
    sealed: &[Sealed],
    rows: &[Vec<u8>],
    counters: &Counters,
) -> sqlx::Result<()> {
    let mut tx = conn.begin_with("BEGIN IMMEDIATE").await?;
    for series in &batch.new_series {
        tables::insert_series(&mut tx, series).await?;
    }
    for sealed in sealed {
        tables::insert_sealed(&mut tx, sealed).await?;
    }
    for series in &batch.closed {
        tables::update_series(&mut tx, series).await?;
    }
    for (seq, row) in (batch.seq..).zip(rows) {
        tables::insert_journal(&mut tx, seq, row).await?;
    }
    tables::delete_journal(&mut tx, batch.journal_from).await?;
    tables::set_number(&mut tx, tables::NEXT_PART, batch.next_part).await?;
    tables::save_counters(&mut tx, counters).await?;
    tx.commit().await
}
